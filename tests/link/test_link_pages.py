"""The pages on the link's lanes name every signal, field, state and cause, with the numbers that the hardware has."""

import re
from pathlib import Path

import pytest
from openppu.link.block import MASK, START_BLOCKS, SYNC, Fields
from openppu.link.config import SKIP_INTERVAL, LinkConfig
from openppu.link.lane_transmit import SKIP
from openppu.link.scrambler import TAPS
from openppu.link.serdes import SerdesSignature
from openppu.link.training import Cause, State
from openppu.link.watchdog import SILENCE


@pytest.fixture(scope="module")
def link(project_root: Path) -> str:
    return (project_root / "docs" / "link.md").read_text()


@pytest.fixture(scope="module")
def phy(project_root: Path) -> str:
    return (project_root / "docs" / "link-phy.md").read_text()


def _section(page: str, heading: str) -> str:
    return re.split(r"\n##+ ", page.split(f"# {heading}\n")[1])[0]


def test_every_signal_is_named_with_its_way(phy: str) -> None:
    rows = re.findall(r"^\| `(\w+)` \| (in|out) \|", _section(phy, "Signals"), re.M)
    signature = SerdesSignature(LinkConfig(ports=1))
    assert dict(rows) == {name: member.flow.name.lower() for name, member in signature.members.items()}


def test_every_field_of_a_block_has_its_bits(link: str) -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", _section(link, "The training block"), re.M)
    assert [(name, int(bits)) for name, bits in rows] == [(name, field.width) for name, field in Fields.as_shape()]


def test_every_state_and_cause_is_named(link: str) -> None:
    section = _section(link, "Training")
    states, causes = section.split("| cause | when |")
    rows = re.findall(r"^\| (`.+?) \|", states, re.M)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == {state.name for state in State}
    rows = re.findall(r"^\| `(\w+)` \|", causes, re.M)
    assert {*rows, "POWER_UP"} == {cause.name for cause in Cause}


def test_numbers_are_those_of_the_hardware(link: str, phy: str) -> None:
    assert f"0x{SYNC:016X}" in link
    assert f"0x{MASK:016X}" in link
    assert f"0x{SKIP:016X}" in link
    assert f"0x{SKIP:016X}" in phy
    assert f"{SKIP_INTERVAL - 1:,} data words" in link
    assert f"last {SILENCE} clocks" in link
    assert f"after {SILENCE} clocks" in phy
    assert START_BLOCKS == 8
    places = [f"n - {tap}" for tap in sorted(TAPS)]
    assert f"{', '.join(places[:-1])} and {places[-1]}" in link.replace("\n", " ")
