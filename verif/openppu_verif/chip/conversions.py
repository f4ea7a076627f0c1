"""Every conversion of the DMA, both ways, of values that are hard for it."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from openppu.dma.layouts import ELEMENTS
from openppu.formats.spec import BINARY32
from openppu_sim.device.device import Device
from openppu_sim.program.command import Command
from openppu_sim.reference.corners import corner_operands
from openppu_sim.reference.formats import bits_dtype, to_binary32

from openppu_verif.dma.commands import copy

COUNT = 128
"""Elements of a row."""

ROW = 4 * COUNT
MEMORY, BACK = 0x4_0000, 0x8_0000
LIMIT = 20_000


def convert_all(devices: Sequence[Device]) -> list[NDArray[Any]]:
    """What a device's scratchpad and memory hold after all conversions by the load engine, then by the store engine."""
    (device,) = devices
    pairs = list(_pairs())
    rng = np.random.default_rng(13)
    image = np.zeros((len(pairs), ROW), np.uint8)
    for row, (source, target, _) in zip(image, pairs, strict=True):
        values = _values(source, target, rng)
        row[: values.size] = values
    found = []
    device.write(device.scratchpad(), np.zeros(image.size, np.uint8))
    for queue, name, memory in (("load", "LOAD", MEMORY), ("store", "STORE", BACK)):
        device.write(MEMORY if queue == "load" else device.scratchpad(), image)
        device.write(BACK, np.zeros(image.size, np.uint8))
        program = [
            Command(
                name=name,
                fields=copy(
                    memory=memory + ROW * number,
                    scratchpad=ROW * number,
                    row=_bytes(source) * COUNT,
                    source=source,
                    target=target,
                    saturate=saturate,
                ),
            )
            for number, (source, target, saturate) in enumerate(pairs)
        ]
        device.submit(queue, program)
        device.wait(LIMIT)
        found.append(device.read(device.scratchpad() if queue == "load" else BACK, image.size, np.uint8))
    return found


def _pairs() -> Iterator[tuple[int, int, int]]:
    for source in ELEMENTS:
        for target, fmt in ELEMENTS.items():
            if source != target:
                yield source, target, 0
                if fmt.name.startswith("fp8"):
                    yield source, target, 1


def _bytes(code: int) -> int:
    return ELEMENTS[code].bits // 8


def _values(source: int, target: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Corners of the format; if it is a wide one, also values about those that the other has, and halfway between."""
    fmt, other = ELEMENTS[source], ELEMENTS[target]
    if not fmt.is_float:
        size = _bytes(source)
        shifts = rng.integers(0, fmt.bits, COUNT)
        whole = (rng.integers(-(1 << fmt.bits - 1), 1 << fmt.bits - 1, COUNT) >> shifts).astype(f"<i{size}")
        whole[:8] = [0, 1, -1, 127, -128, *(3 * [-(1 << fmt.bits - 1)])]
        return whole.view(np.uint8)
    found = corner_operands(fmt)
    if fmt is BINARY32 and other.is_float:
        near = to_binary32(corner_operands(other), other)
        half = np.uint32(1 << max(0, BINARY32.fraction_bits - other.fraction_bits - 1))
        found = np.concatenate([found[::4], near, near + half, near + half - np.uint32(1), near + half + np.uint32(1)])
    return rng.choice(found.astype(bits_dtype(fmt)), COUNT).view(np.uint8)
