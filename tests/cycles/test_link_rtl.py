"""The model beside the engines in RTL: which of its algorithms they do, and how near it is to what they take."""

import re
from pathlib import Path

import pytest
from openppu.config import load
from openppu_sim.cycles.link.calibration import load_calibration
from openppu_sim.cycles.link.rtl import predicted_clocks, runs_on_engine
from openppu_sim.cycles.link.topologies import topology


@pytest.mark.parametrize(
    ("name", "chips", "ports", "operation", "algorithm", "able"),
    [
        ("mesh", 7, 6, "allreduce", "halving-doubling", False),
        ("mesh", 8, 7, "allreduce", "halving-doubling", True),
        ("mesh", 8, 7, "allreduce", "double-tree", False),
        ("mesh", 8, 7, "allreduce", "ring", False),  # six rings; an engine goes round one
        ("mesh", 2, 1, "allreduce", "direct", True),
        ("pair", 2, 7, "allreduce", "direct", False),  # seven links between two chips; it uses one
        ("pair", 2, 1, "allreduce", "one-shot", True),
        ("ring", 16, 2, "allreduce", "ring", True),
        ("ring", 17, 2, "allreduce", "ring", False),
        ("groups", 8, 7, "broadcast", "tree", True),
        ("groups", 16, 7, "allreduce", "two-level", True),
        ("groups", 16, 7, "alltoall", "direct", False),
        ("groups", 16, 7, "alltoall", "routed", True),
    ],
)
def test_what_engines_do(name: str, chips: int, ports: int, operation: str, algorithm: str, able: bool) -> None:
    assert runs_on_engine(operation, algorithm, topology(name, chips, ports)) is able


ROW = re.compile(r"\| (pair|ring|mesh|groups) of (\d) \| (\w+) \| ([\w-]+) \| ([\d,]+) \| ([\d,.]+) \|")


def test_the_model_is_within_five_percent_of_the_published_clocks_of_the_rtl(project_root: Path) -> None:
    """All-reduces of 32 bytes to 256 KiB, and the other operations; the clocks are measured, as the page says."""
    chip, calibration = load("ppu810e"), load_calibration()
    rows = ROW.findall((project_root / "docs" / "cluster.md").read_text(encoding="utf-8"))
    assert len(rows) > 100
    places = {(name, int(chips)) for name, chips, *_ in rows}
    assert places >= {("pair", 2), ("ring", 4), ("ring", 8), ("mesh", 4), ("mesh", 8), ("groups", 8)}
    far = []
    for name, chips, operation, algorithm, size, clocks in rows:
        at, measured = int(size.replace(",", "")), float(clocks.replace(",", ""))
        model = predicted_clocks(chip, calibration, operation, algorithm, name, int(chips), at)
        if abs(model - measured) > 0.05 * measured:
            far.append((name, chips, operation, algorithm, at, measured, round(model, 1)))
    assert not far
