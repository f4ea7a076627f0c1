"""A scratchpad behind a memory port: requests of many words, of any alignment, errors and bounds."""

import random
from collections import deque
from typing import Any

import pytest
from amaranth import Elaboratable, Module
from amaranth.lib import wiring
from openppu.scratchpad.config import ScratchpadConfig
from openppu.scratchpad.memory_port import ScratchpadMemory
from openppu.scratchpad.scratchpad import Scratchpad
from openppu_verif.ends import Put, Take, run


class Joined(Elaboratable):
    """A scratchpad of one port, and what makes it a memory."""

    def __init__(self, config: ScratchpadConfig) -> None:
        self.pad, self.front = Scratchpad(config, ports=1), ScratchpadMemory(config, tags=2)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.pad, m.submodules.front = self.pad, self.front
        wiring.connect(m, self.front.port, self.pad.port[0])
        return m


@pytest.mark.parametrize("word_bytes", [32, 128])
@pytest.mark.parametrize("rate", [1.0, 0.5])
def test_requests_are_answered_in_order(word_bytes: int, rate: float) -> None:
    config = ScratchpadConfig(banks=2, bank_words=16, word_bytes=word_bytes)
    chance = random.Random(word_bytes)
    dut = Joined(config)
    port = dut.front.memory
    requests, words = Put(port.requests, chance, rate), Put(port.words, chance, rate)
    responses, acknowledges = Take(port.responses, chance, rate), Take(port.acknowledges, chance, rate)
    held = bytearray(config.capacity)
    answers: deque[dict[str, int]] = deque()
    acknowledged: deque[tuple[int, int]] = deque()
    for _ in range(60):
        count, tag, write = chance.choice((1, 1, 3, 9)), chance.randrange(2), chance.getrandbits(1)
        address = 32 * chance.randrange(config.capacity // 32 + 2)
        error = address + 32 * count > config.capacity
        requests.waiting.append({"write": write, "address": address, "last": count - 1, "tag": tag})
        for number in range(count):
            place = address + 32 * number
            if write:
                data, mask = chance.randbytes(32), chance.choice((0xFFFFFFFF, chance.getrandbits(32)))
                words.waiting.append({"data": int.from_bytes(data, "little"), "mask": mask})
                for byte in range(0 if error else 32):
                    held[place + byte] = data[byte] if mask >> byte & 1 else held[place + byte]
            else:
                word = 0 if error else int.from_bytes(held[place : place + 32], "little")
                answers.append({"data": word, "tag": tag, "last": number == count - 1, "error": error})
        if write:
            acknowledged.append((tag, int(error)))
    reads = len(answers)

    def step(ctx: Any, cycle: int) -> bool:
        for end in (requests, words, responses, acknowledges):
            end.drive(ctx)
        for end in (requests, words):
            end.sample(ctx)
        response, acknowledge = responses.sample(ctx), acknowledges.sample(ctx)
        if response is not None:
            expected = answers.popleft()
            if expected["error"]:
                expected["data"] = response.data
            assert {name: response[name] for name in expected} == expected
        if acknowledge is not None:
            assert (acknowledge.tag, acknowledge.error) == acknowledged.popleft()
        return not (answers or acknowledged)

    run(dut, step, most=4000)
    assert reads > 40


def test_a_word_a_cycle_and_errors_of_the_memory() -> None:
    config = ScratchpadConfig(banks=2, bank_words=16, word_bytes=32)
    dut = Joined(config)
    port = dut.front.memory
    chance = random.Random(1)
    requests, responses = Put(port.requests, chance), Take(port.responses, chance)
    at: list[tuple[int, int]] = []
    asked = 0

    def step(ctx: Any, cycle: int) -> bool:
        nonlocal asked
        if cycle == 20:
            ctx.set(dut.pad.banks[0].content[7], 0b11)
            requests.waiting.append({"write": 0, "address": 0, "last": 23, "tag": 1})
        for end in (requests, responses):
            end.drive(ctx)
        if requests.sample(ctx) is not None:
            asked = cycle
        response = responses.sample(ctx)
        if response is not None:
            at.append((cycle, response.error))
        return len(at) == 24

    run(dut, step, most=100)
    assert [cycle for cycle, _ in at] == list(range(asked + 6, asked + 30))
    assert [number for number, (_, error) in enumerate(at) if error] == [7]
