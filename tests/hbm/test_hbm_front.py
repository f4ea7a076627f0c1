"""Ports and crossbars together: every port is served, writes find their slots, two ports fill both pseudo-channels."""

import random
from collections import deque
from typing import Any

import pytest
from amaranth import Module
from amaranth.lib import wiring
from front import PseudoChannel, Responses, expect
from openppu.hbm.config import ChannelConfig
from openppu.hbm.crossbar import Crossbar
from openppu.hbm.port import Port
from openppu.hbm.settings import Settings
from openppu_verif.ends import Put, Take, run

SETTINGS = Settings()


class Front:
    """Some ports, and a crossbar for each pseudo-channel."""

    def __init__(self, config: ChannelConfig) -> None:
        self.m = Module()
        self.ports = [Port(config) for _ in range(config.ports)]
        self.crossbars = [Crossbar(config) for _ in range(2)]
        self.m.submodules += self.ports + self.crossbars
        for index, port in enumerate(self.ports):
            for pc, crossbar in enumerate(self.crossbars):
                wiring.connect(self.m, port.entries[pc], crossbar.ports[index])
                wiring.connect(self.m, port.entry_words[pc], crossbar.port_words[index])


class Slots:
    """A pseudo-channel's write slots: each entry's words must come to its slot, each to its place."""

    def __init__(self, count: int, chance: random.Random) -> None:
        self.free = list(range(count))
        self.chance = chance
        self.entries: deque[tuple[int, Any, int]] = deque()
        self.offer = self.free.pop()

    @property
    def due(self) -> bool:
        """The next word that comes is its entry's last."""
        return bool(self.entries) and self.entries[0][2] == self.entries[0][1].last

    def accept(self, entry: Any) -> None:
        """Give the entry the slot on offer."""
        self.entries.append((self.offer, entry, 0))
        self.offer = self.free.pop(self.chance.randrange(len(self.free)))

    def word(self, fill: Any) -> None:
        """Check where a word goes; a slot is free again after its last one."""
        slot, entry, done = self.entries.popleft()
        assert (fill.slot, fill.word) == (slot, entry.place.column % 8 + done)
        if done == entry.last:
            self.free.append(slot)
        else:
            self.entries.appendleft((slot, entry, done + 1))


def exercise(
    config: ChannelConfig,
    requests: list[list[dict[str, int]]],
    *,
    rate: float = 1.0,
    fill_rate: float = 1.0,
    seed: int = 0,
) -> tuple[int, list[int]]:
    """Put each port's requests through; cycles it took, and how often each port's entries were taken."""
    front = Front(config)
    chance = random.Random(seed)
    expected = [expect(config, SETTINGS, asked, chance, {}) for asked in requests]
    responses = [Responses(item) for item in expected]
    asks = [Put(port.requests, chance, rate) for port in front.ports]
    words = [Put(port.words, chance, rate) for port in front.ports]
    answers = [Take(port.responses, chance, rate) for port in front.ports]
    acknowledges = [Take(port.acknowledges, chance, rate) for port in front.ports]
    for ask, word, asked, item in zip(asks, words, requests, expected, strict=True):
        ask.waiting.extend(asked)
        word.waiting.extend({"data": data, "mask": mask} for data, mask in item.words)
    entries = [Take(crossbar.entries, chance, rate) for crossbar in front.crossbars]
    fills = [Take(crossbar.fill, chance, rate * fill_rate) for crossbar in front.crossbars]
    channels = [PseudoChannel(pc, chance, rate, delay=20) for pc in range(2)]
    slots = [Slots(config.writes, chance) for _ in range(2)]
    taken = [0] * config.ports

    def step(ctx: Any, cycle: int) -> bool:
        for port in front.ports:
            ctx.set(port.settings, SETTINGS.values())
        for end in (*asks, *words, *answers, *acknowledges, *fills):
            end.drive(ctx)
        returning: list[Any] = [channel.answer(cycle) for channel in channels]
        for pc, crossbar in enumerate(front.crossbars):
            entries[pc].drive(ctx, allowed=len(slots[pc].free) > 1)
            ctx.set(crossbar.write_slot, slots[pc].offer)
            for index, port in enumerate(front.ports):
                here = returning[pc] is not None and returning[pc][0] == index
                ctx.set(port.returned[pc], returning[pc][1] if here else {"valid": 0})
        for index in range(config.ports):
            acknowledge = acknowledges[index].sample(ctx)
            if acknowledge is not None:
                tag, refused, _ = expected[index].acknowledges.popleft()
                assert (acknowledge.tag, acknowledge.error) == (tag, refused)
            beat = answers[index].sample(ctx)
            if beat is not None:
                responses[index].check(beat)
            asks[index].sample(ctx)
            words[index].sample(ctx)
        for pc, crossbar in enumerate(front.crossbars):
            fill = fills[pc].sample(ctx)
            filled = fill is not None and slots[pc].due
            assert ctx.get(crossbar.filled.valid) == filled
            if fill is not None:
                assert not filled or ctx.get(crossbar.filled.slot) == fill.slot
                slots[pc].word(fill)
                channels[pc].word(fill.data, fill.mask)
            entry = entries[pc].sample(ctx)
            if entry is not None:
                taken[entry.port] += 1
                channels[pc].accept(entry, cycle)
                if entry.write:
                    slots[pc].accept(entry)
        waiting = any(end.waiting for end in (*asks, *words)) or any(item.acknowledges for item in expected)
        return not waiting and all(item.done for item in responses)

    try:
        cycles = run(front.m, step, most=12_000)
    except AssertionError as error:
        error.add_note(f"{config}, rate {rate}, seed {seed}, requests {requests}")
        raise
    return cycles, taken


@pytest.mark.parametrize("rate", [0.4, 1.0])
@pytest.mark.parametrize("ports", [1, 2, 3])
def test_random_requests_come_out_right(ports: int, rate: float) -> None:
    # Each port has a part of the memory for itself: what the others do between is open.
    config = ChannelConfig(ports=ports, slots=8, writes=8, tags=2)
    chance = random.Random(ports)
    requests = [
        [
            {
                "write": chance.randrange(2),
                "address": index * 8192 + chance.randrange(60),
                "last": chance.choice([0, 1, 7, chance.randrange(40)]),
                "tag": chance.randrange(2),
            }
            for _ in range(30)
        ]
        for index in range(ports)
    ]
    exercise(config, requests, rate=rate, seed=ports)


def streams(ports: int, words: int, *, write: int) -> list[list[dict[str, int]]]:
    """For each port, requests one behind the other."""
    return [
        [
            {"write": write, "address": 8192 * index + 64 * number, "last": 63, "tag": number % 2}
            for number in range(words // 64)
        ]
        for index in range(ports)
    ]


@pytest.mark.parametrize("write", [0, 1])
def test_two_ports_keep_both_pseudo_channels_busy(write: int) -> None:
    words = 512
    config = ChannelConfig(ports=2, slots=16, writes=16, tags=2)
    cycles, taken = exercise(config, streams(2, words, write=write))
    assert cycles <= words + 20 + 24, f"{cycles} cycles for {words} words a port"
    assert taken == [words // 8] * 2


def test_words_that_find_their_slots_late_are_all_there() -> None:
    config = ChannelConfig(ports=2, slots=8, writes=16, tags=2)
    single = [{"write": 1, "address": 16 * number, "last": 0, "tag": 0} for number in range(40)]
    exercise(config, [single, [request | {"address": request["address"] + 8192} for request in single]], fill_rate=0.15)


def test_no_port_waits_for_more_than_one_entry_of_each_other_port() -> None:
    dut = Crossbar(ChannelConfig(ports=4))
    chance = random.Random(1)
    puts = [Put(port, chance, 1.0 if index else 0.3) for index, port in enumerate(dut.ports)]
    take = Take(dut.entries, chance, 0.5)
    for index, put in enumerate(puts):
        put.waiting.extend({"write": 0, "port": index} for _ in range(200))
    since = [0] * 4

    def step(ctx: Any, cycle: int) -> bool:
        for end in (*puts, take):
            end.drive(ctx)
        entry = take.sample(ctx)
        for index, put in enumerate(puts):
            offered = put.offered
            served = put.sample(ctx) is not None
            assert served == (entry is not None and entry.port == index)
            since[index] = since[index] + (entry is not None) if offered and not served else 0
            assert since[index] <= 4, f"port {index} waits in cycle {cycle}"
        return cycle == 400

    run(dut, step, most=401)
