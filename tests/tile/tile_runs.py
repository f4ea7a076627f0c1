"""The tile's testbench runs: which testbench, on which configuration, on which simulator, how long."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openppu.config import ChipConfig, load

CONFIGURATIONS: dict[str, tuple[str, ...]] = {
    "tiny": (),
    "int8-5x3": (
        "tile.rows=5",
        "tile.columns=3",
        "tile.formats=int8",
        "tile.latency=1",
        "tile.accumulators=32",
        "tile.address_bits=8",
    ),
    "bf16-3x5": (
        "tile.rows=3",
        "tile.columns=5",
        "tile.formats=bf16",
        "tile.latency=5",
        "tile.accumulators=64",
        "tile.address_bits=10",
        "tile.outstanding=3",
    ),
    "fp8-1x7": (
        "tile.rows=1",
        "tile.columns=7",
        "tile.formats=fp8_e4m3,fp8_e5m2",
        "tile.latency=4",
        "tile.accumulators=32",
        "tile.address_bits=9",
    ),
    "fp16-7x2": (
        "tile.rows=7",
        "tile.columns=2",
        "tile.formats=int8,fp16",
        "tile.latency=2",
        "tile.address_bits=32",
        "tile.count_bits=4",
        "tile.outstanding=64",
    ),
    "all-1x1": ("tile.rows=1", "tile.columns=1", "tile.accumulators=32", "tile.outstanding=4", "tile.address_bits=10"),
}
"""By name, what each changes of the preset ``tiny``; names say formats and size."""

PROBLEMS = {
    "int8": [("int8", 9, 37, 11), ("int8", 1, 64, 8)],
    "fp8_e4m3": [("fp8_e4m3", 6, 21, 9)],
    "fp8_e5m2": [("fp8_e5m2", 6, 21, 9)],
    "fp16": [("fp16", 9, 30, 5)],
    "bf16": [("bf16", 9, 37, 11), ("bf16", 33, 16, 7), ("bf16", 1, 64, 8)],
}
"""Matrix products (format, M, K, N) that every configuration with the format computes."""


@dataclass(frozen=True)
class Run:
    """A testbench module on a configuration, in a simulator."""

    module: str
    configuration: str
    sim: str
    parameters: dict[str, Any] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return f"{self.module}-{self.configuration}-{self.sim}"

    def chip(self) -> ChipConfig:
        """The chip whose tile it runs on."""
        return configuration(self.configuration)


Runner = Callable[[Run], Path]
"""Does a run and gives its folder, with ``coverage`` and ``results.npz``; fails or skips the test as the run did."""


def configuration(name: str) -> ChipConfig:
    """One of ``CONFIGURATIONS``."""
    return load("tiny", CONFIGURATIONS[name])


def problems(name: str) -> list[tuple[str, int, int, int]]:
    """The problems of a configuration."""
    return [problem for fmt in configuration(name).tile.formats for problem in PROBLEMS[fmt]]


def _runs() -> list[Run]:
    runs = []
    for name in CONFIGURATIONS:
        cases = 250 if name == "tiny" else 120
        runs += [
            Run("test_directed", name, "verilator"),
            Run("test_rates", name, "verilator"),
            Run("test_random", name, "verilator", {"cases": cases}),
            Run("test_reset", name, "verilator", {"resets": cases // 4}),
            Run("test_problem", name, "verilator", {"problems": problems(name)}),
        ]
    for name in ("int8-5x3", "all-1x1"):
        runs += [Run("test_directed", name, "icarus"), Run("test_rates", name, "icarus")]
    for name in ("tiny", "bf16-3x5"):
        runs += [
            Run("test_random", name, "icarus", {"cases": 12}),
            Run("test_reset", name, "icarus", {"resets": 6}),
        ]
    return runs


RUNS = _runs()
