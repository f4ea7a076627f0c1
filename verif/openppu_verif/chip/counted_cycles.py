"""What the registers say each engine's cycles went to, while it works: the same as the cycle model's."""

from collections.abc import Callable
from functools import cache, partial

from openppu.config import ChipConfig
from openppu_sim.device.backend import Backend
from openppu_sim.device.device import Device
from openppu_sim.device.driver import Driver
from openppu_sim.errors import SimulationError

from openppu_verif.chip.model_check import LIMIT, copy, product, vector

WORK: tuple[Callable[[Device], int], ...] = (
    partial(product, m=21, k=37, n=11),
    partial(product, m=18, k=40, n=13, fmt="bf16"),
    partial(vector, name="layer_norm"),
    partial(copy, name="LOAD", row=40, rows=48),
    partial(copy, name="STORE", row=40, rows=48),
)
MOMENTS = (137, 53, 101, 307, 211)
"""Clocks from one look at the counters to the next, after work is submitted."""

Counters = dict[str, dict[str, int]]


class _Watched(Device):
    """A device whose counters are looked at while it works, and remembered."""

    def __init__(self, chip: ChipConfig, backend: str | Backend) -> None:
        super().__init__(chip, backend)
        self.found: list[Counters] = []

    def wait(self, limit: int = LIMIT) -> None:
        for clocks in MOMENTS:
            self.backend.hardware.run(clocks)  # type: ignore[attr-defined]
            self.found.append(self.counters())
        super().wait(limit)

    def looks(self) -> list[Counters]:
        """What was counted at each moment, when all is done."""
        for work in WORK:
            work(self)
        return [*self.found, self.counters()]


def count_cycles(backend: Driver) -> None:
    """Let each engine work, and look at all counters meanwhile.

    Raises
    ------
    SimulationError
        If one is not the model's.
    """
    looks = zip(_Watched(backend.chip, backend).looks(), _by_model(backend.chip), strict=True)
    for number, (mine, theirs) in enumerate(looks):
        for engine, counts in theirs.items():
            if mine[engine] != counts:
                raise SimulationError(f"look {number}: {engine} counted {mine[engine]} instead of {counts}")


@cache
def _by_model(chip: ChipConfig) -> list[Counters]:
    device = _Watched(chip, "model")
    with device:
        return device.looks()
