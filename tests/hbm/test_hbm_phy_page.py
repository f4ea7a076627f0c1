"""The page on attaching a PHY names every signal, its way, and the latencies of every device."""

import re
from pathlib import Path

import pytest
from amaranth.lib import wiring
from openppu.hbm.commands import ColumnCommand, RowCommand
from openppu.hbm.device import BURST, DEVICES, device, organisation
from openppu.hbm.gearbox import CkPhySignature
from openppu.hbm.phy import PhySignature


@pytest.fixture(scope="module")
def page(project_root: Path) -> str:
    return (project_root / "docs" / "hbm-phy.md").read_text()


def _table(page: str, heading: str) -> dict[str, str]:
    """The signals of the first table behind a heading, and the way of each."""
    rows = re.findall(r"^\| (`.+?) \| (in|out) \|", page.split(f"\n## {heading}\n")[1].split("\n## ")[0], re.M)
    return {name: way for names, way in rows for name in re.findall(r"`(\w+)`", names)}


def _ways(signature: wiring.Signature) -> dict[str, str]:
    return {name: member.flow.name.lower() for name, member in signature.members.items()}


def test_every_signal_is_named_with_its_way(page: str) -> None:
    of = organisation(8)
    signals = _table(page, "Signals")
    assert signals == _ways(PhySignature(of))
    assert signals | _table(page, "The ratio of 1:1") == _ways(CkPhySignature(of))


def test_every_command_is_named(page: str) -> None:
    for command in (*RowCommand, *ColumnCommand):
        assert f"`{command.name}`" in page


@pytest.mark.parametrize("name", DEVICES)
def test_the_latencies_are_those_of_the_tables(name: str, page: str) -> None:
    timing = device(name).timing
    reads = [-(-(pc + timing.RL + BURST) // 2) for pc in (0, 1)]
    row = f"| {name} | {timing.RL}, {timing.WL} | {timing.WL // 2} | {reads[0]} | {reads[1]} |"
    assert row in page, f"expected: {row}"
