"""Request patterns for the model of the controller."""

import numpy as np
from openppu_sim.cycles.hbm.requests import Requests

CAPACITY = 1 << 31
"""Of a channel of an 8-high stack, bytes."""


def stream(count: int, size: int, *, writes: float = 0.0, seed: int = 1, offset: int = CAPACITY // 2) -> Requests:
    """Reads from 0 on, and among them a share of writes from ``offset`` on, each without gaps."""
    write = np.random.default_rng(seed).random(count) < writes
    place = np.where(write, np.cumsum(write) - 1, np.cumsum(~write) - 1)
    return Requests(place * size + np.where(write, offset, 0), np.full(count, size), write)


def scattered(
    count: int, size: int, *, writes: float = 0.0, seed: int = 1, capacity: int = CAPACITY, step: int | None = None
) -> Requests:
    """Requests anywhere, at multiples of their size or of ``step``."""
    chance = np.random.default_rng(seed)
    step = step or size
    address = chance.integers(0, (capacity - size) // step + 1, count) * step
    return Requests(address, np.full(count, size), chance.random(count) < writes)
