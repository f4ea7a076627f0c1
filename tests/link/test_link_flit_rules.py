"""The rules for a port's flits: they hold for what two ports did, and each notices a flit that breaks it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from openppu.config import load
from openppu_sim.reference.link_flit import take_apart
from openppu_verif.link.flit_rules import Rules
from openppu_verif.link.flits import Flit, flits
from openppu_verif.link.native import Faults, Run, build_port, run, straight
from openppu_verif.link.trial import EVERY

NARROW = load("tiny").link
BEGINS, CLOCKS = 1_300, 16_000


@pytest.fixture(scope="module")
def recorded(build_root: Path) -> Run:
    """All channels, with wrong bits."""
    return run(
        build_port(NARROW, build_root),
        NARROW,
        traffic=EVERY,
        lanes=(straight(NARROW, words=40), straight(NARROW, words=21)),
        events=[(BEGINS, "faults", [side, Faults(bit_errors=8e-5).words()]) for side in "ab"],
        warmup=BEGINS,
        clocks=CLOCKS,
        note=["link.round_trip"],
        record=True,
    )


def rules(recorded: Run) -> Rules:
    return Rules(recorded, "a", timeouts=0, taken_at_once=True)


def test_flits_are_found_as_they_were_sent(recorded: Run) -> None:
    found = flits(recorded, "a")
    assert len(found) > CLOCKS / NARROW.beats
    assert 0.02 < sum(not flit.right for flit in found) / len(found) < 0.4
    size = NARROW.payload_bytes
    for flit in (found[0], found[1], found[-1]):
        # Numbers of so short a run have no upper bits.
        body = flit.payload + flit.trailer.to_bytes() + bytes(2)
        whole = body + flit.check.to_bytes(8, "little")
        assert take_apart(whole, number=0, crc_bits=NARROW.crc_bits, fec=False) == (body[:size], flit.trailer)


def test_two_ports_keep_the_rules(recorded: Run) -> None:
    checked = rules(recorded)
    assert list(checked.broken()) == []
    assert sum(heard.wish is not None for heard in checked.known) > 10


def told(place: int, **fields: int) -> Callable[[list[Flit]], None]:
    """Another trailer."""

    def change(sent: list[Flit]) -> None:
        sent[place] = replace(sent[place], trailer=replace(sent[place].trailer, **fields))

    return change


def _is_again(sent: list[Flit], place: int) -> bool:
    before = [flit.trailer.sequence for flit in sent[:place] if flit.trailer.data]
    return bool(sent[place].trailer.data) and sent[place].trailer.sequence in before


def sent_twice(sent: list[Flit]) -> None:
    """A flit that nobody asks for comes again instead of a later one."""
    sent[100] = replace(sent[100], trailer=sent[90].trailer, payload=sent[90].payload)


def another_payload(sent: list[Flit]) -> None:
    place = next(place for place in range(200) if _is_again(sent, place))
    sent[place] = replace(sent[place], payload=bytes(len(sent[place].payload)))


def no_answer(sent: list[Flit]) -> None:
    """What is sent again is never sent again, and the next number is named instead."""
    again = [place for place in range(len(sent)) if _is_again(sent, place)]
    for place in again:
        highest = 0
        for flit in sent[:place]:
            if flit.trailer.data:
                ahead = (flit.trailer.sequence - highest) % 256
                highest = highest + ahead if ahead < 128 else highest
        sent[place] = replace(sent[place], trailer=replace(sent[place].trailer, data=0, sequence=(highest + 1) % 256))


def never_named(sent: list[Flit]) -> None:
    for place, flit in enumerate(sent):
        sent[place] = replace(flit, trailer=replace(flit.trailer, missing_valid=0))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (told(80, acknowledge=200), "acknowledges"),
        (told(80, missing_valid=1, missing=3), "names 3 missing"),
        (told(80, credit_channel=2, credit=255), "gives channel 2 credit"),
        (told(80, credit_channel=7), "gives credit to channel 7"),
        (told(80, data=0, sequence=3), "as the next one"),
        (sent_twice, "nobody asked for"),
        (another_payload, "something else in it"),
        (no_answer, "goes before"),
        (never_named, "not named"),
    ],
)
def test_a_broken_rule_is_told(recorded: Run, change: Callable[[list[Flit]], None], complaint: str) -> None:
    checked = rules(recorded)
    change(checked.sent)
    found = list(checked.broken())
    assert any(complaint in each for each in found), found[:5]
