"""What one matrix product on the tile cost and gave: the record that every report is made of."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

CAUSES = ("compute", "weights", "addends", "output", "dependence", "activations", "fill", "drain", "idle")
"""Where a cycle of the tile can go, in the order of the tile's own codes (``docs/tile.md``)."""


@dataclass(frozen=True, kw_only=True)
class TileRun:
    """One matrix product D = A x B as the tile ran it.

    Parameters
    ----------
    name : str
        What was run, as the reports show it.
    format : str
        Operand format: int8, fp8_e4m3, fp8_e5m2, fp16 or bf16.
    m, k, n : int, at least 1
        Shape: A is m x k, B is k x n, D is m x n.
    cycles : int
        Clock cycles measured on the RTL, first command accepted to last result accepted.
    predicted_cycles : int
        The same, from the cycle model.
    bound_cycles : int
        Sum over weight blocks of max(M', R) for their M' rows: every load hidden, and R cycles for each. A last K
        block of fewer than R rows loads faster, so that a product with M' below R may take less.
    mismatches : int
        Elements of ``result`` whose bits differ from the numpy reference.
    result : ndarray, shape (m, n)
        Accumulators: int32 or binary32, as values or as uint32 bits.
    causes : dict of str to int
        Cycles by cause, adding up to ``cycles``; empty when not recorded.
    timeline : ndarray of uint8, shape (cycles,)
        Index into ``CAUSES`` for each cycle, in keeping with ``causes``; empty when not recorded.

    Raises
    ------
    ValueError
        If the parts contradict each other; the message names the run and the numbers.
    """

    name: str
    format: str
    m: int
    k: int
    n: int
    cycles: int
    predicted_cycles: int
    bound_cycles: int
    mismatches: int
    result: np.ndarray
    causes: dict[str, int] = field(default_factory=dict)
    timeline: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint8))

    def __post_init__(self) -> None:
        label = f"run {self.name!r} ({self.format})"
        if self.result.shape != (self.m, self.n):
            raise ValueError(f"{label}: the result's shape is {self.result.shape}, not {(self.m, self.n)}")
        if self.cycles < 1:
            raise ValueError(f"{label}: {self.cycles} cycles; a product takes at least 1")
        if unknown := set(self.causes) - set(CAUSES):
            raise ValueError(f"{label}: unknown causes {sorted(unknown)}; known are {', '.join(CAUSES)}")
        if self.causes and sum(self.causes.values()) != self.cycles:
            raise ValueError(f"{label}: the causes add up to {sum(self.causes.values())} of {self.cycles} cycles")
        if self.timeline.size not in (0, self.cycles):
            raise ValueError(f"{label}: the timeline holds {self.timeline.size} of {self.cycles} cycles")
        if self.timeline.size and self.timeline.max() >= len(CAUSES):
            raise ValueError(f"{label}: the timeline holds cause {self.timeline.max()}; the last is {len(CAUSES) - 1}")
        if self.timeline.size:
            counted = count_causes(self.timeline)
            if counted != {cause: cycles for cause, cycles in self.causes.items() if cycles}:
                raise ValueError(f"{label}: the timeline counts {counted}, the causes say {self.causes}")

    @property
    def shape(self) -> str:
        """M x K x N, as the tables show it."""
        return f"{self.m}x{self.k}x{self.n}"

    @property
    def of_bound(self) -> float:
        """``bound_cycles / cycles``: 1.0 is a tile that never waits."""
        return self.bound_cycles / self.cycles

    def utilisation(self, rows: int, columns: int) -> float:
        """Share of a rows x columns array's multiply-accumulate slots that did useful work (padding is not useful)."""
        return self.m * self.k * self.n / (self.cycles * rows * columns)

    def failures(self) -> list[str]:
        """One line for each way in which this run broke the promise; empty when all is well."""
        label = f"{self.name} ({self.format}, {self.shape})"
        lines = []
        if self.mismatches:
            lines.append(f"{label}: {self.mismatches} of {self.m * self.n} elements differ from the numpy reference")
        if self.cycles != self.predicted_cycles:
            lines.append(f"{label}: the RTL took {self.cycles} cycles, the cycle model says {self.predicted_cycles}")
        return lines

    def record(self) -> dict[str, Any]:
        """The run as JSON values, without the result and the timeline."""
        figures = ("m", "k", "n", "cycles", "predicted_cycles", "bound_cycles", "mismatches")
        names = {"name": self.name, "format": self.format}
        return names | {key: int(getattr(self, key)) for key in figures} | {"causes": dict(self.causes)}


MatmulRunner = Callable[[str, np.ndarray, np.ndarray, str], TileRun]
"""Runs one product: (name, A's bits (m, k), B's bits (k, n), the format's name) to a `TileRun`.

The bits are uint8 or uint16, as ``openppu_sim.reference.formats`` holds them.
"""


def count_causes(timeline: np.ndarray) -> dict[str, int]:
    """Cycles by cause of a timeline (indices into ``CAUSES``), without the causes that never occur."""
    counts = np.bincount(timeline, minlength=len(CAUSES))
    return {cause: int(count) for cause, count in zip(CAUSES, counts, strict=True) if count}


def count_mismatches(result: np.ndarray, expected: np.ndarray) -> int:
    """Count the elements whose 32 bits differ; int32, uint32 and float32 arrays of one shape are compared as bits.

    Raises
    ------
    ValueError
        If the shapes differ or an element is not 32 bits wide.
    """
    if result.shape != expected.shape or result.dtype.itemsize != 4 or expected.dtype.itemsize != 4:
        raise ValueError(
            f"cannot compare {result.dtype} {result.shape} with {expected.dtype} {expected.shape}: "
            "both must have one shape and 32-bit elements"
        )
    ours, theirs = (np.ascontiguousarray(array).view(np.uint32) for array in (result, expected))
    return int(np.count_nonzero(ours != theirs))
