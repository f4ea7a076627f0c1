"""Copies of every kind with large numbers in every field, all over memory."""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
from amaranth import Shape
from openppu.command.error import Error
from openppu.command.instructions import instructions
from openppu.formats.operand import formats_named
from openppu_sim.device.device import Device
from openppu_sim.device.driver import Driver, rings_base
from openppu_sim.errors import SimulationError
from openppu_sim.program.command import Command
from openppu_sim.reference import dma

from openppu_verif.chip.native import Session
from openppu_verif.dma.commands import LAYOUTS, Fields, RandomCommands

COMMANDS = 16
TRIES = 24
"""Of a field at random with another value."""

MOST_ROWS, MOST_BYTES = 60, 3_000
EDGE = 64
"""Bytes beside what is written, which must stay."""

RINGS = 16 << 20
"""At memory's end: rings and records are there."""

LIMIT = 20_000
STEP = 200


def copy_far(backend: Driver) -> None:
    """Let both engines do copies, and compare all that they write.

    Raises
    ------
    SimulationError
        If something differs, or something else was written.
    """
    hardware, chip = backend.hardware, backend.chip
    assert isinstance(hardware, Session)
    device, rng, chance = Device(chip, backend), np.random.default_rng(23), random.Random(23)
    pad = rng.integers(0, 256, chip.scratchpad.capacity, dtype=np.uint8)
    pad.view("<u4")[: pad.size // 8] = rng.integers(0, 1 << 12, pad.size // 8)  # lists for gathering
    device.write(device.scratchpad(), pad)
    # All rows of memory that commands come from exist from now on, so that one more can be told.
    hardware.load(0, rings_base(chip), bytes(len(backend.queues) * 64 << backend.log2))
    memories = dma.Memories(np.zeros(chip.hbm.capacity - RINGS, np.uint8), pad, [pad])
    formats = tuple(fmt for fmt in formats_named(chip.tile.formats) if fmt.is_float)
    source = {store: RandomCommands(chance, store, formats, memories) for store in (False, True)}
    for number in range(COMMANDS):
        store = number % 2 == 1
        name, fields = _stretched(chance, source[store], number)
        given = {operand.name: fields.get(operand.name, 0) for operand in instructions().by_name[name].operands}
        trial = dma.Memories(memories.hbm, pad.copy(), [pad])
        reached = dma.run(name, given, _untouched(trial), store=store, formats=formats)
        for start, count in _runs(reached.memory_read | _around(reached.memory_written, memories.hbm.size)):
            memories.hbm[start : start + count] = rng.integers(0, 256, count, dtype=np.uint8)
            hardware.load(0, start, memories.hbm[start : start + count].tobytes())
        device.submit("store" if store else "load", [Command(name=name, fields=fields)])
        pages = hardware.pages(0)
        device.wait(LIMIT)
        dma.run(name, given, memories, store=store, formats=formats)
        hardware.run(STEP)
        for start, count in _runs(_around(reached.memory_written, memories.hbm.size)):
            if device.read(start, count, np.uint8).tobytes() != memories.hbm[start : start + count].tobytes():
                raise SimulationError(f"{name} {fields}: memory differs within {count} bytes from {start:#x} on")
        if hardware.pages(0) != pages:
            raise SimulationError(f"{name} {fields}: memory was written that it does not name")
    if not (device.read(device.scratchpad(), pad.size, np.uint8) == pad).all():
        raise SimulationError("the scratchpad differs")


class _Untouched:
    """Memory that reads as zeros and that writing leaves as it is: copies are only asked where they go."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, places: Any) -> np.ndarray:
        return np.zeros(len(places), np.uint8)

    def __setitem__(self, places: Any, values: Any) -> None:
        pass


def _untouched(memories: dma.Memories) -> dma.Memories:
    nothing: Any = _Untouched(len(memories.hbm))
    return dma.Memories(nothing, memories.scratchpad, [memories.scratchpad.copy()])


def _stretched(chance: random.Random, source: RandomCommands, number: int) -> tuple[str, Fields]:
    """A command some of whose fields are as large as its others let them be."""
    while True:
        name, fields = source.some()
        if not _small(name, fields):
            continue
        for _ in range(TRIES):
            field = chance.choice(list(fields))
            shape = Shape.cast(LAYOUTS[name][1][field].shape)
            value = chance.getrandbits(chance.randint(1, shape.width - shape.signed))
            if shape.signed and chance.random() < 0.5:
                value = -value
            changed = {**fields, field: value}
            legal = source._error(name, changed) == Error.OKAY and _small(name, changed)
            if legal and not source._meets(name, changed) and _right(name, changed, source):
                fields = changed
        if _right(name, fields, source):
            return name, fields


def _small(name: str, fields: Fields) -> bool:
    """Whether it is done soon."""
    counts = [value for field, value in fields.items() if field.startswith(("count", "out_", "kernel_", "images"))]
    return int(np.prod([float(each) for each in counts])) <= MOST_ROWS and fields["row"] * MOST_ROWS <= 64 * MOST_BYTES


def _right(name: str, fields: Fields, source: RandomCommands) -> bool:
    """Whether it is done at all, and reads nothing that it writes."""
    if fields.get("memory", 0) >= dma.REMOTE:
        return False
    if "indices" in fields:
        places = fields["indices"] + 4 * np.arange(fields["count"])
        if places[-1] + 4 > source.memories.scratchpad.size:
            return False
        if (source.memories.scratchpad.view("<u4")[places // 4] >= fields["rows"]).any():
            return False
    return True


def _around(places: set[int], size: int) -> set[int]:
    """Places, and some beside them."""
    return {
        near for start, count in _runs(places) for near in range(max(0, start - EDGE), min(size, start + count + EDGE))
    }


def _runs(places: set[int]) -> Iterator[tuple[int, int]]:
    """First place and number of those that follow each other."""
    ordered = np.array(sorted(places), np.int64)
    for part in np.split(ordered, np.flatnonzero(np.diff(ordered) > 1) + 1):
        if part.size:
            yield int(part[0]), part.size
