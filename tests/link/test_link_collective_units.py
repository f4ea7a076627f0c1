"""Reduction units and where their sums go, against numpy."""

import random
from collections import deque
from typing import Any

import numpy as np
import pytest
from collective_memory import ReadPort, WritePort, small
from openppu.formats.spec import BF16
from openppu.link.collective.instruction import Source
from openppu.link.collective.reduce_unit import ReduceUnit
from openppu.link.collective.spread import Spread
from openppu_sim.reference.arithmetic import add32
from openppu_sim.reference.formats import from_binary32
from openppu_verif.ends import Put, Take, run

PORTS = 3
CONFIG = small(ports=PORTS, lanes=4)
BEAT, LANES = CONFIG.beat_bytes, CONFIG.lanes
MINUS_ZERO = np.uint32(0x80000000)


def random_bits(rng: np.random.Generator, count: int) -> np.ndarray:
    """Numbers of like size, so that sums round."""
    exponent = rng.integers(125, 130, count).astype(np.uint32) << np.uint32(23)
    sign = rng.integers(0, 2, count, dtype=np.uint32) << np.uint32(31)
    return sign | exponent | rng.integers(0, 1 << 23, count, dtype=np.uint32)


def beats_of(bits: np.ndarray, narrow: bool) -> list[int]:
    """Beats of memory or of a packet; what is behind the end is noise."""
    raw = (bits >> np.uint32(16)).astype("<u2").tobytes() if narrow else bits.astype("<u4").tobytes()
    raw += b"\xee" * (-len(raw) % BEAT)
    return [int.from_bytes(raw[low : low + BEAT], "little") for low in range(0, len(raw), BEAT)]


def tree(slots: list[np.ndarray | None], integer: bool) -> np.ndarray:
    """The sum as docs/collectives.md has it."""
    filled = [np.full_like(next(s for s in slots if s is not None), 0 if integer else MINUS_ZERO) if s is None else s
              for s in slots]  # fmt: skip
    while len(filled) > 1:
        pairs = [filled[place : place + 2] for place in range(0, len(filled), 2)]
        filled = [a + b if integer else add32(a, b) for a, b in pairs]
    return filled[0]


@pytest.mark.parametrize(("slots", "joining"), [(2, False), (4, False), (2, True)])
@pytest.mark.parametrize("seed", range(3))
def test_a_unit_adds_what_its_steps_name(slots: int, joining: bool, seed: int) -> None:
    chance, rng = random.Random(seed), np.random.default_rng(seed)
    dut = ReduceUnit(CONFIG, slots, joining)
    rate = (0.5, 0.8, 1.0)[seed]
    codes = [Source.MEMORY, *(Source.PORT + port for port in range(PORTS))]
    codes += [Source.UNIT_0, Source.UNIT_1] if joining else []
    steps, sums = Put(dut.steps, chance, rate), Take(dut.sums, chance, (0.5, 0.15, 1.0)[seed])
    windows = [Put(window, chance, rate) for window in dut.windows]
    fed = [Put(stream, chance, rate) for stream in dut.fed]
    content: dict[int, int] = {}
    memory = ReadPort(dut.memory, chance, content.__getitem__, rate=rate)
    expected: list[tuple[int, int]] = []
    place = 0
    for label in range(25):
        length = chance.choice([1, 2, 3, LANES, 2 * LANES, 5 * LANES - 1, 20])
        integer, narrow = chance.random() < 0.3, chance.random() < 0.4
        used = chance.sample(codes, chance.randint(1, min(slots, len(codes))))
        sources = used + [Source.NOTHING] * (slots - len(used))
        chance.shuffle(sources)
        values: list[np.ndarray | None] = []
        narrow_sources = 0
        for slot, source in enumerate(sources):
            if source == Source.NOTHING:
                values.append(None)
                continue
            is_narrow = chance.random() < 0.4 and source not in (Source.UNIT_0, Source.UNIT_1)
            bits = random_bits(rng, length)
            bits = bits & np.uint32(0xFFFF0000) if is_narrow else bits
            values.append(bits)
            narrow_sources |= is_narrow << slot
            beats = beats_of(bits, is_narrow)
            if source == Source.MEMORY:
                content |= {place + index * BEAT: beat for index, beat in enumerate(beats)}
                local, place = place, place + len(beats) * BEAT
            elif source >= Source.PORT:
                windows[source - Source.PORT].waiting.extend({"data": beat, "label": label} for beat in beats)
            else:
                fed[source - Source.UNIT_0].waiting.extend(beats)
        total = tree(values, integer)
        raw = (total >> np.uint32(16)).astype("<u2") if integer else from_binary32(total, BF16).astype("<u2")
        data = raw.tobytes() if narrow else total.astype("<u4").tobytes()
        for low in range(0, len(data), BEAT):
            piece = data[low : low + BEAT]
            expected.append((int.from_bytes(piece, "little"), len(piece)))
        codes_of = [*map(int, sources), *[0] * (4 - slots)]
        step = dict(length=length, label=label, sources=codes_of, narrow_sources=narrow_sources, integer=integer)
        steps.waiting.append(
            step | dict(narrow=narrow, local=local if Source.MEMORY in used else 0, wait=0, thread=0, base=0)
        )
    found: list[int] = []
    finished = 0

    def step_(ctx: Any, cycle: int) -> bool:
        nonlocal finished
        ends = [steps, sums, *windows, *fed]
        for end in ends:
            end.drive(ctx)
        memory.drive(ctx, cycle)
        assert not ctx.get(dut.mislabelled)
        finished += ctx.get(dut.finished)
        memory.sample(ctx, cycle)
        for end in ends:
            item = end.sample(ctx)
            if end is sums and item is not None:
                found.append(item)
        return len(found) == len(expected) and not ctx.get(dut.busy)

    run(dut, step_, most=4000)
    assert [beat & (1 << 8 * count) - 1 for beat, (_, count) in zip(found, expected, strict=True)] == [
        data for data, _ in expected
    ]
    assert finished == 25
    assert not any(window.waiting for window in windows)


def test_a_unit_adds_a_row_each_cycle_and_knows_what_it_lacks() -> None:
    chance = random.Random(9)
    dut = ReduceUnit(CONFIG, 4, False)
    rows = 40
    steps, windows = Put(dut.steps, chance), [Put(window, chance) for window in dut.windows]
    steps.waiting.extend(
        dict(length=rows // 2 * LANES, label=1, sources=[8, 9, 10, 0], narrow_sources=0, integer=1, narrow=0, local=0,
             wait=0, thread=0, base=0)
        for _ in range(2)
    )  # fmt: skip
    for number, window in enumerate(windows):
        window.waiting.extend({"data": number, "label": 1} for _ in range(rows))
    cycles: list[int] = []

    def step(ctx: Any, cycle: int) -> bool:
        ctx.set(dut.sums.ready, 1)
        steps.drive(ctx)
        for window in windows[: 2 if cycle < 10 else 3]:
            window.drive(ctx)
        if 5 < cycle < 10:
            assert ctx.get(dut.claims) == 0b111
            assert ctx.get(dut.missing) == 0b100
        if ctx.get(dut.sums.valid):
            assert ctx.get(dut.sums.payload) == 3
            cycles.append(cycle)
        steps.sample(ctx)
        for window in windows:
            window.sample(ctx)
        return len(cycles) == rows

    run(dut, step, most=100)
    assert cycles == list(range(10 + dut.latency, 10 + dut.latency + rows))


def test_another_label_is_told() -> None:
    dut = ReduceUnit(CONFIG, 2, False)
    chance = random.Random(1)
    steps, window = Put(dut.steps, chance), Put(dut.windows[1], chance)
    values = dict(length=1, label=7, sources=[9, 0, 0, 0], narrow_sources=0, integer=0, narrow=0, local=0)
    steps.waiting.append(values | dict(wait=0, thread=0, base=0))
    window.waiting.append({"data": 1, "label": 8})
    told = []

    def step(ctx: Any, cycle: int) -> bool:
        for end in (steps, window):
            end.drive(ctx)
        told.append(ctx.get(dut.mislabelled))
        for end in (steps, window):
            end.sample(ctx)
        return cycle == 8

    run(dut, step, most=10)
    assert sum(told) == 1


@pytest.mark.parametrize("seed", range(4))
def test_sums_go_to_all_their_targets(seed: int) -> None:
    chance = random.Random(seed)
    dut = Spread(CONFIG)
    rate = (0.5, 1.0)[seed % 2]
    steps, sums = Put(dut.steps, chance, rate), Put(dut.sums, chance, rate)
    memory, feed = WritePort(dut.memory, chance, rate=rate), Take(dut.feed, chance, rate)
    expected: dict[Any, deque[Any]] = {name: deque() for name in ("memory", "feed", 0, 1, 2)}
    for _ in range(25):
        kind = chance.choice(["write", "feed", "ports", "both"])
        length, address = chance.choice([1, BEAT, BEAT + 3, 5 * BEAT]), chance.randrange(100) * BEAT
        ports = chance.randrange(1, 1 << PORTS) if kind in ("ports", "both") else 0
        write = kind in ("write", "both")
        steps.waiting.append(dict(address=address, length=length, write=write, feed=kind == "feed", ports=ports))
        for low in range(0, length, BEAT):
            data, count = chance.getrandbits(8 * BEAT), min(BEAT, length - low)
            sums.waiting.append(data)
            if write:
                expected["memory"].append((address + low, count, data & (1 << 8 * count) - 1))
            if kind == "feed":
                expected["feed"].append(data)
            for port in range(PORTS):
                if ports >> port & 1:
                    expected[port].append(data)
    room = [0] * PORTS
    blocked = 0

    def step(ctx: Any, cycle: int) -> bool:
        nonlocal blocked
        assert ctx.get(dut.progress) == memory.told
        for port in range(PORTS):
            # Ready stays until a beat is given, as in a queue.
            room[port] = room[port] or chance.random() < rate
            ctx.set(dut.ports[port].ready, room[port])
        for end in (steps, sums, feed):
            end.drive(ctx)
        memory.drive(ctx, cycle)
        blocked |= ctx.get(dut.blocked)
        taken = ctx.get(dut.sums.valid) and ctx.get(dut.sums.ready)
        item = feed.sample(ctx)
        if item is not None:
            assert item == expected["feed"].popleft()
            assert taken
        written = memory.sample(ctx, cycle)
        if written is not None:
            assert written == expected["memory"].popleft()
            assert taken
        for port in range(PORTS):
            if room[port] and ctx.get(dut.ports[port].valid):
                assert ctx.get(dut.ports[port].payload) == expected[port].popleft()
                assert taken
                room[port] = 0
        for end in (steps, sums):
            end.sample(ctx)
        return not any(expected.values()) and not ctx.get(dut.busy)

    run(dut, step, most=3000)
    assert rate == 1.0 or blocked == 7
