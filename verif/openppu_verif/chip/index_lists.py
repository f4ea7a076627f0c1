"""Rows of memory by long lists of indices, which wait in the queues of the DMA's engines."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from openppu_sim.device.device import Device
from openppu_sim.program.command import Command

COUNT, BYTES = 61, 32
"""Indices of a list, which take eight words, and the bytes of a row."""

LIST, ROWS, BACK = 0x1004, 0x2000, 0x4000
"""In the scratchpad; a list begins within a word."""

BASE = 0x10_0000
PLACES = (1 << 21, 128), (COUNT, 32)
"""Rows from the base on of which some are used, or all, and how far apart they are."""

LIMIT = 20_000


def scatter_and_gather(devices: Sequence[Device]) -> list[NDArray[Any]]:
    """What is in memory when rows were scattered, and in the scratchpad when they were gathered in another order."""
    (device,) = devices
    rng = np.random.default_rng(89)
    found = []
    for rows, stride in PLACES:
        indices = rng.choice(rows, COUNT, replace=False).astype(np.uint32)
        device.write(device.scratchpad(ROWS), rng.integers(0, 256, COUNT * BYTES, dtype=np.uint8))
        for queue, name, place, given in (
            ("store", "SCATTER", ROWS, indices),
            ("load", "GATHER", BACK, rng.permutation(indices)),
        ):
            device.write(device.scratchpad(LIST), given)
            strides = {"memory_stride": stride, "scratchpad_stride": BYTES}
            fields = {"memory": BASE, "scratchpad": place, "indices": LIST, "row": BYTES, "count": COUNT, "rows": rows}
            device.submit(queue, [Command(name=name, fields={**fields, **strides})])
            device.wait(LIMIT)
        found += [device.read(BASE + stride * int(index), BYTES, np.uint8) for index in indices]
        found.append(device.read(device.scratchpad(BACK), COUNT * BYTES, np.uint8))
    return found
