"""The engine's readers and writers against lists: order, room, waits, progress."""

import random
from typing import Any

import pytest
from collective_memory import ReadPort, WritePort, small
from openppu.link.collective.reader import Reader
from openppu.link.collective.writer import Writer
from openppu_verif.ends import Put, Take, run

CONFIG = small()
BEAT = CONFIG.beat_bytes


def content(address: int) -> int:
    """Any word, but the same one for an address."""
    return (address * 2654435761 + 12345) % (1 << 32)


@pytest.mark.parametrize("seed", range(4))
def test_a_reader_gives_the_beats_of_its_steps_in_order(seed: int) -> None:
    chance = random.Random(seed)
    dut = Reader(CONFIG)
    rate = (0.5, 1.0)[seed % 2]
    steps, beats = Put(dut.steps, chance, rate), Take(dut.beats, chance, rate)
    memory = ReadPort(dut.memory, chance, content, rate=rate)
    expected: list[int] = []
    for _ in range(20):
        address, count = chance.randrange(1000) * BEAT, chance.choice([1, 1, 2, 5, 20])
        steps.waiting.append(dict(address=address, beats=count, wait=0, thread=0, base=0))
        expected += range(address, address + count * BEAT, BEAT)
    found: list[int] = []

    def step(ctx: Any, cycle: int) -> bool:
        steps.drive(ctx)
        beats.drive(ctx)
        memory.drive(ctx, cycle)
        steps.sample(ctx)
        memory.sample(ctx, cycle)
        assert len(memory.asked) - len(found) <= CONFIG.reads
        item = beats.sample(ctx)
        if item is not None:
            found.append(item)
        done = len(found) == len(expected) and not ctx.get(dut.busy)
        return done

    run(dut, step, most=3000)
    assert memory.asked == expected
    assert found == [content(address) for address in expected]


def test_a_reader_waits_for_the_beat_that_it_needs() -> None:
    """With the base next to where progress wraps, and progress that grows in leaps."""
    chance = random.Random(5)
    dut = Reader(CONFIG)
    steps, memory = Put(dut.steps, chance), ReadPort(dut.memory, chance, content)
    base, count, thread = (1 << 24) - 7, 40, 9
    steps.waiting.append(dict(address=0, beats=count, wait=1, thread=thread, base=base))
    written = base - 3
    held = 0

    def step(ctx: Any, cycle: int) -> bool:
        nonlocal written, held
        if chance.random() < 0.1:
            written = min(written + chance.randint(1, 6), base + count)
        steps.drive(ctx)
        memory.drive(ctx, cycle)
        ctx.set(dut.progress[thread], written % (1 << 24))
        ctx.set(dut.progress[0], 5000)
        ctx.set(dut.beats.ready, 1)
        steps.sample(ctx)
        address = memory.sample(ctx, cycle)
        held += ctx.get(dut.held)
        if address is not None:
            assert written > base + address // BEAT, f"beat {address // BEAT} was read too early"
        return len(memory.asked) == count

    run(dut, step, most=2000)
    assert held > 50


def test_a_reader_asks_for_a_beat_each_cycle_also_between_steps() -> None:
    chance = random.Random(6)
    dut = Reader(CONFIG)
    steps, memory = Put(dut.steps, chance), ReadPort(dut.memory, chance, content, most=1)
    steps.waiting.extend(dict(address=0, beats=3, wait=0, thread=0, base=0) for _ in range(10))
    cycles: list[int] = []

    def step(ctx: Any, cycle: int) -> bool:
        steps.drive(ctx)
        memory.drive(ctx, cycle)
        ctx.set(dut.beats.ready, 1)
        steps.sample(ctx)
        if memory.sample(ctx, cycle) is not None:
            cycles.append(cycle)
        return len(cycles) == 30

    run(dut, step, most=100)
    assert cycles == list(range(1, 31))


@pytest.mark.parametrize("seed", range(4))
def test_a_writer_puts_beats_where_steps_say_and_counts_them(seed: int) -> None:
    chance = random.Random(seed)
    dut = Writer(CONFIG)
    rate = (0.5, 1.0)[seed % 2]
    steps, beats = Put(dut.steps, chance, rate), Put(dut.beats, chance, rate)
    memory = WritePort(dut.memory, chance, rate=rate)
    expected: list[tuple[int, int, int]] = []
    for _ in range(20):
        address, length = chance.randrange(1000) * BEAT, chance.choice([1, 3, 4, 5, 8, 30])
        steps.waiting.append(dict(address=address, length=length))
        for low in range(0, length, BEAT):
            data, count = chance.getrandbits(8 * BEAT), min(BEAT, length - low)
            beats.waiting.append(data)
            expected.append((address + low, count, data & (1 << 8 * count) - 1))
    cleared = False

    def step(ctx: Any, cycle: int) -> bool:
        nonlocal cleared
        assert ctx.get(dut.progress) == memory.told
        if not cleared and len(memory.found) > 20:
            ctx.set(dut.clear, 1)
            cleared, memory.told = True, -1
        else:
            ctx.set(dut.clear, 0)
        for end in (steps, beats):
            end.drive(ctx)
        told = memory.told
        memory.drive(ctx, cycle)
        if told < 0:
            memory.told = 0
        for end in (steps, beats):
            end.sample(ctx)
        memory.sample(ctx, cycle)
        return len(memory.found) == len(expected) and not ctx.get(dut.busy)

    run(dut, step, most=3000)
    assert memory.found == expected
    assert cleared
