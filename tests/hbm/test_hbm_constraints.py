"""The constraint table says what the description of the device says."""

import itertools
from dataclasses import fields

import pytest
from openppu.hbm.device import DEVICES, HEIGHTS, Timing, device, organisation
from openppu_verif.hbm.constraints import ANY, COMMANDS, CONSTRAINTS, LEVELS, Issued, Place, earliest
from openppu_verif.hbm.oracle import SCATTERED, gap

PLACES = {"same bank": (0, 5), "same group": (0, 6), "other group": (0, 9), "other SID": (0, 21), "other PC": (1, 5)}


@pytest.mark.parametrize("timing", [*(device(name).timing for name in DEVICES), SCATTERED])
@pytest.mark.parametrize("relation", PLACES)
def test_every_pair_is_as_far_apart_as_the_rules_say(timing: Timing, relation: str) -> None:
    of = organisation(8)
    pc, bank = PLACES[relation]
    for first, second in itertools.product(ANY, ANY):
        if "PREA" in (first, second):
            continue  # a PRE of each open bank
        table = earliest(first, Place(0, 5), second, Place(pc, bank), timing, of)
        rules = gap(Issued(0, first, 0, 5), Issued(1, second, pc, bank), timing, of)
        assert table == rules, f"{first} to {second}, {relation}: {table} by the table, {rules} by the rules, {timing}"


def test_every_constraint_is_well_formed() -> None:
    assert len({row.name for row in CONSTRAINTS}) == len(CONSTRAINTS)
    for row in CONSTRAINTS:
        assert row.level in LEVELS
        assert {*row.preceding, *row.following} <= set(COMMANDS[1:])
        for name in DEVICES:
            assert row.clocks(device(name).timing) >= 1


def test_every_timing_value_but_refresh_has_a_constraint() -> None:
    named = {term for row in CONSTRAINTS for term in row.latency.split(" + ")}
    assert {f.name for f in fields(Timing)} - named == {"tREFI"}


@pytest.mark.parametrize("height", HEIGHTS)
def test_banks_fit_the_checkers_masks(height: int) -> None:
    assert organisation(height).banks <= 64
