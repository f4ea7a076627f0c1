"""A DMA engine in Amaranth's simulator, between models of its memories, compared with the reference."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from openppu.command.error import Error
from openppu.common.counters import Counters
from openppu.common.memory import WORD_BYTES
from openppu.config import ChipConfig
from openppu.dma.cause import Cause
from openppu.dma.load_engine import LoadEngine
from openppu.dma.store_engine import StoreEngine
from openppu.formats.operand import formats_named
from openppu_sim.reference import dma as reference

from openppu_verif.dma.commands import encode
from openppu_verif.dma.models import MemoryPort, Pad, Timing, Touched
from openppu_verif.ends import Put, Take, run

Command = tuple[str, Mapping[str, int]]


@dataclass
class Run:
    """What came of commands: how each ended, in which cycle; what each cycle went to; how many words were wrong; the
    words of each write to memory."""

    errors: list[int] = field(default_factory=list)
    cycles: list[int] = field(default_factory=list)
    causes: list[int] = field(default_factory=list)
    faults: int = 0
    writes: list[list[int]] = field(default_factory=list)


def new_memories(config: ChipConfig, rng: np.random.Generator, *, hbm_bytes: int = 8192) -> reference.Memories:
    """Random bytes."""
    pad = rng.integers(0, 256, config.scratchpad.capacity, dtype=np.uint8)
    return reference.Memories(rng.integers(0, 256, hbm_bytes, dtype=np.uint8), pad)


def exercise(
    config: ChipConfig,
    commands: Sequence[Command],
    memories: reference.Memories,
    *,
    store: bool,
    timing: Timing,
    seed: int = 0,
    most: int = 8_000,
    noise: bool = False,
) -> Run:
    """Run commands on an engine and on the reference, and compare.

    Its counters must have counted the cause of every cycle.
    Without faults, both must agree byte for byte, and the engine may read no word and write no byte that the reference
    does not name. With faults, a byte may also be what it was before.
    """
    chance = random.Random(seed)
    formats = tuple(fmt for fmt in formats_named(config.tile.formats) if fmt.is_float)
    before = reference.Memories(memories.hbm.copy(), memories.scratchpad.copy())
    wanted = reference.Memories(memories.hbm.copy(), memories.scratchpad.copy())
    outcomes = [reference.run(name, of, wanted, store=store, formats=formats) for name, of in commands]

    dut: Any = (StoreEngine if store else LoadEngine)(config)
    touched = Touched.nothing()
    ports = [MemoryPort(port, memories, timing, chance, touched) for port in dut.memory]
    pad = Pad(dut.scratchpad, memories.scratchpad, config.scratchpad.word_bytes, timing, chance, touched)
    models: list[Any] = [*ports, pad]
    asks, ends = Put(dut.commands, chance, timing.rate), Take(dut.finished, chance, timing.rate)
    asks.waiting.extend(encode(name, of) for name, of in commands)
    result = Run()

    def step(ctx: Any, cycle: int) -> bool:
        ctx.set(dut.hbm_bytes, len(memories.hbm))
        ctx.set(dut.scratchpad_bytes, len(memories.scratchpad))
        for model in models:
            model.drive(ctx, cycle)
        asks.drive(ctx)
        ends.drive(ctx)
        for model in models:
            model.sample(ctx, cycle)
        asks.sample(ctx)
        result.causes.append(ctx.get(dut.cause))
        ended = ends.sample(ctx)
        if ended is not None:
            result.errors.append(ended.error)
            result.cycles.append(cycle)
        if len(result.errors) < len(commands):
            return False
        counted = result.causes[: -Counters.LATENCY]
        all_causes: Any = Cause
        for each in all_causes:
            assert ctx.get(dut.counters[each.name.lower()]) == counted.count(each.value), each
        return True

    def disturb(ctx: Any, cycle: int) -> None:
        """Work that a reset cuts off, on memories that nobody looks at."""
        ctx.set(dut.hbm_bytes, len(memories.hbm))
        ctx.set(dut.scratchpad_bytes, len(memories.scratchpad))
        for model in lost_models:
            model.drive(ctx, cycle)
            model.sample(ctx, cycle)
        lost.drive(ctx)
        lost.sample(ctx)
        lost_ends.drive(ctx)
        lost_ends.sample(ctx)

    nothing = reference.Memories(memories.hbm.copy(), memories.scratchpad.copy())
    lost_models: list[Any] = [MemoryPort(port, nothing, timing, chance, Touched.nothing()) for port in dut.memory]
    width = config.scratchpad.word_bytes
    lost_models.append(Pad(dut.scratchpad, nothing.scratchpad, width, timing, chance, Touched.nothing()))
    lost, lost_ends = Put(dut.commands, chance, 0.9), Take(dut.finished, chance, 0.5)
    lost.waiting.extend(encode(name, of) for name, of in commands)

    run(dut, step, most=most, noise=disturb if noise else None)
    result.faults = sum(model.errors for model in models)
    result.writes = [words for port in ports for words in port.asked]
    _compare(config, before, wanted, memories, outcomes, touched, result)
    return result


def _compare(
    config: ChipConfig,
    before: reference.Memories,
    wanted: reference.Memories,
    found: reference.Memories,
    outcomes: Sequence[reference.Outcome],
    touched: Touched,
    result: Run,
) -> None:
    named = reference.Outcome(Error.OKAY)
    for outcome in outcomes:
        named.memory_read |= outcome.memory_read
        named.memory_written |= outcome.memory_written
        named.scratchpad_read |= outcome.scratchpad_read
        named.scratchpad_written |= outcome.scratchpad_written
    assert touched.memory_read <= {address // WORD_BYTES * WORD_BYTES for address in named.memory_read}
    width = config.scratchpad.word_bytes
    assert touched.scratchpad_read <= {address // width * width for address in named.scratchpad_read}
    assert not touched.memory_written - named.memory_written, sorted(touched.memory_written - named.memory_written)
    assert not touched.scratchpad_written - named.scratchpad_written
    errors = [outcome.error for outcome in outcomes]
    if not result.faults:
        assert result.errors == errors
        assert (found.hbm == wanted.hbm).all(), np.flatnonzero(found.hbm != wanted.hbm)
        assert (found.scratchpad == wanted.scratchpad).all(), np.flatnonzero(found.scratchpad != wanted.scratchpad)
        return
    for got, want in zip(result.errors, errors, strict=True):
        assert got in (want, Error.MEMORY)
    assert Error.MEMORY in result.errors
    if len(outcomes) == 1:
        for old, new, now in (
            (before.hbm, wanted.hbm, found.hbm),
            (before.scratchpad, wanted.scratchpad, found.scratchpad),
        ):
            assert ((now == old) | (now == new)).all()
