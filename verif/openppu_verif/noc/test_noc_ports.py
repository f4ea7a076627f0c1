"""The network's Verilog in cocotb: users that write and read back, memories at the channels' ports."""

import random
from collections import deque
from typing import Any

import cocotb
from amaranth.lib import data
from cocotb.handle import Immediate
from cocotb.triggers import Timer
from openppu.common.memory import acknowledge_layout, request_layout, response_layout, write_word_layout
from openppu_sim.simulator.cocotb_runner import parameters

from openppu_verif.streams import Sink, Source

PATIENCE = 3000
FULL = (1 << 32) - 1


def packed(layout: data.StructLayout, **values: int) -> int:
    """A payload."""
    return sum(value << layout[name].offset for name, value in values.items())


def unpacked(layout: data.StructLayout, payload: int) -> dict[str, int]:
    """The fields of one."""
    return {str(name): payload >> field.offset & (1 << field.width) - 1 for name, field in layout}


class Memory:
    """At a port of a channel: answers in order, now and then."""

    def __init__(self, dut: Any, name: str, tags: int, chance: random.Random) -> None:
        self.tags, self.chance = tags, chance
        self.requests, self.words = Sink(dut, f"{name}__requests"), Sink(dut, f"{name}__words")
        self.responses = Source(dut, f"{name}__responses", chance)
        self.acknowledges = Source(dut, f"{name}__acknowledges", chance)
        self.ends = (self.requests, self.words, self.responses, self.acknowledges)
        self.held: dict[int, int] = {}
        self.todo: deque[dict[str, int]] = deque()
        self.early: deque[int] = deque()
        """Words, which may come before their request does."""

    def sample(self, cycle: int) -> None:
        self.responses.sample()
        self.acknowledges.sample()
        asked, word = self.requests.sample(cycle), self.words.sample(cycle)
        if asked is not None:
            self.todo.append(unpacked(request_layout(self.tags), asked) | {"done": 0})
        if word is not None:
            self.early.append(word)
        writes = (request for request in self.todo if request["write"] and request["done"] <= request["last"])
        write = next(writes, None)
        if write and self.early:
            fields = unpacked(write_word_layout(), self.early.popleft())
            assert fields["mask"] == FULL
            self.held[write["address"] + 32 * write["done"]] = fields["data"]
            write["done"] += 1
        if not self.todo or self.chance.random() < 0.5:
            return
        request = self.todo[0]
        if request["write"] and request["done"] > request["last"]:
            self.acknowledges.put(packed(acknowledge_layout(self.tags), tag=request["tag"], error=0), cycle)
            self.todo.popleft()
        elif not request["write"]:
            for number in range(request["last"] + 1):
                fields = dict(
                    data=self.held.get(request["address"] + 32 * number, 0),
                    tag=request["tag"],
                    last=int(number == request["last"]),
                )
                self.responses.put(packed(response_layout(self.tags), **fields), cycle)
            self.todo.popleft()


class User:
    """At an initiator: writes, waits, and reads it back."""

    def __init__(self, dut: Any, number: int, tags: int, chance: random.Random) -> None:
        self.tags, self.chance, name = tags, chance, f"initiator__{number}"
        self.requests, self.words = Source(dut, f"{name}__requests", chance), Source(dut, f"{name}__words", chance)
        self.responses, self.acknowledges = Sink(dut, f"{name}__responses"), Sink(dut, f"{name}__acknowledges")
        self.ends = (self.requests, self.words, self.responses, self.acknowledges)
        self.expected: deque[tuple[int, int, int]] = deque()
        """Of reads: data, tag, error."""
        self.acknowledged: deque[tuple[int, int]] = deque()
        self.count = 0

    def ask(self, address: int, words: list[int] | int, tag: int, *, error: bool = False) -> None:
        """A write of words, or a read of so many zeros that is answered with errors."""
        write = not isinstance(words, int)
        count = len(words) if isinstance(words, list) else words
        fields = dict(write=int(write), address=address, last=count - 1, tag=tag)
        self.requests.put(packed(request_layout(self.tags), **fields))
        if isinstance(words, list):
            for word in words:
                self.words.put(packed(write_word_layout(), data=word, mask=FULL))
            self.acknowledged.append((tag, int(error)))
        else:
            self.expected.extend([(0, tag, int(error))] * count)

    def read_back(self, address: int, words: list[int], tag: int) -> None:
        """A read of what was written."""
        fields = dict(write=0, address=address, last=len(words) - 1, tag=tag)
        self.requests.put(packed(request_layout(self.tags), **fields))
        self.expected.extend((word, tag, 0) for word in words)

    def sample(self, cycle: int) -> None:
        self.requests.sample()
        self.words.sample()
        response, acknowledge = self.responses.sample(cycle), self.acknowledges.sample(cycle)
        if response is not None:
            fields = unpacked(response_layout(self.tags), response)
            assert (fields["data"], fields["tag"], fields["error"]) == self.expected.popleft()
            self.count += 1
        if acknowledge is not None:
            fields = unpacked(acknowledge_layout(self.tags), acknowledge)
            assert (fields["tag"], fields["error"]) == self.acknowledged.popleft()


@cocotb.test()
async def what_each_user_writes_it_reads_back(dut: Any) -> None:
    """In order within a tag, with stalls everywhere; and errors for what is nowhere."""
    given = parameters()
    chance = random.Random(cocotb.RANDOM_SEED)
    users = [User(dut, number, given["tags"], chance) for number in range(given["users"])]
    memories = [Memory(dut, f"channel__{number}", given["memory_tags"], chance) for number in range(given["memories"])]
    parts: list[User | Memory] = [*users, *memories]
    ends = [end for part in parts for end in part.ends]

    await Timer(1, "ns")
    dut.rst.set(Immediate(1))
    for end in ends:
        end.begin()
        end.allow([chance.random() < 0.7 for _ in range(PATIENCE)])
    for level in (0, 1, 0, 1):
        dut.clk.set(Immediate(level))
        await Timer(1, "ns")
    dut.rst.set(Immediate(0))
    for number, user in enumerate(users):
        for turn in range(12):
            tag, address = turn % given["tags"], (number << 20) + 1024 * turn + 32 * chance.randrange(8)
            words = [chance.getrandbits(256) for _ in range(chance.choice((1, 5, 8, 17)))]
            user.ask(address, words, tag)
            user.read_back(address, words, tag)
        user.ask(given["bytes"] - 32, 2, 0, error=True)
        user.ask(1 << 39, [1, 2, 3], 0, error=True)
    for cycle in range(PATIENCE):
        dut.clk.set(Immediate(0))
        for end in ends:
            end.drive(cycle)
        await Timer(1, "ns")
        for part in parts:
            part.sample(cycle)
        dut.clk.set(Immediate(1))
        await Timer(1, "ns")
        if not any(user.expected or user.acknowledged for user in users):
            break
    assert not any(user.expected or user.acknowledged for user in users), f"not done after {PATIENCE} cycles"
    assert all(user.count > 40 for user in users)
    assert all(memory.held for memory in memories)
