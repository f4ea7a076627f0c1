"""The checker fires on every rule at the limit less one, once and by its name, and is silent at the limit."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from openppu.hbm.device import Timing, device, organisation
from openppu_verif.hbm.checker import Checker
from openppu_verif.hbm.constraints import ANY, CHANNEL_WIDE, CONSTRAINTS, STATE_RULES, Issued
from openppu_verif.hbm.oracle import gap, judge

PLACES = {"same bank": (0, 5), "same group": (0, 6), "other group": (0, 9), "other SID": (0, 21), "other PC": (1, 5)}
T = device("HBM2E_3200").timing
START = 2600
NEEDS_ROW = ("PRE", "RD", "RDA", "WR", "WRA")


def check(commands: list[Issued], build_root: Path, timing: Timing = T, height: int = 8) -> Checker:
    """A checker that has seen the commands, and found what the brute-force rules find."""
    commands = in_order(commands)
    checker = Checker(timing, organisation(height), build_root)
    checker.run(commands)
    verdict = judge(commands, timing, organisation(height))
    pairs = [v for v in checker.violations if v.earlier]
    assert [(v.command.ck, v.allowed_from) for v in pairs] == [(e.command.ck, e.allowed_from) for e in verdict.early], (
        commands
    )
    for v, e in zip(pairs, verdict.early, strict=True):
        assert v.earlier in e.because, (v, e, commands)
    states = [(v.command.ck, v.rule) for v in checker.violations if not v.earlier]
    assert sorted(states) == sorted(verdict.state), commands
    return checker


def in_order(commands: list[Issued]) -> list[Issued]:
    """By time; in one memory clock the column bus's first."""
    return sorted(commands, key=lambda c: (c.ck, c.name not in ("RD", "RDA", "WR", "WRA", "MRS")))


def place(ck: int, name: str, pc: int, bank: int) -> Issued:
    wide = name in CHANNEL_WIDE
    return Issued(ck, name, 0 if wide else pc, 0 if wide or name == "REF" else bank)


def preparation(first: str, second: str, here: tuple[int, int], there: tuple[int, int]) -> list[Issued]:
    """What lets both commands be obeyed, if anything does."""
    before = []
    if first in NEEDS_ROW:
        before.append(Issued(START - 2500, "ACT", *here))
    if second in NEEDS_ROW and there != here and first not in ("SRE", "SRX", "MRS"):
        before.append(Issued(START - 1800, "ACT", *there))
    entry = {"PDX": "PDE", "SRX": "SRE"}.get(first)
    return before + ([Issued(START - 900, entry)] if entry else [])


@pytest.mark.parametrize("relation", PLACES)
def test_every_pair_fires_once_below_its_limit_and_not_at_it(relation: str, build_root: Path) -> None:
    of, here, there = organisation(8), (0, 5), PLACES[relation]
    cases = 0
    for first, second in itertools.product(ANY, ANY):
        if "PREA" in (first, second):
            continue
        before = preparation(first, second, here, there)
        a = place(START, first, *here)
        limit = gap(a, place(START + 1, second, *there), T, of)
        if limit < 2:
            continue
        early = check([*before, a, place(START + limit - 1, second, *there)], build_root)
        pairs = [v for v in early.violations if v.earlier]
        assert [(v.command.name, v.earlier) for v in pairs] == [(second, a)], f"{first} to {second}, {relation}"
        expected = next(
            row.name
            for row in CONSTRAINTS
            if row.window == 1 and first in row.preceding and second in row.following
            if row.clocks(T) == limit and row.name == pairs[0].rule
        )
        assert early.counts[expected] == 1
        at_limit = check([*before, a, place(START + limit, second, *there)], build_root)
        assert not [v for v in at_limit.violations if v.earlier], f"{first} to {second}, {relation}"
        cases += 2
    assert cases > 60


def test_row_cycle_holds_after_an_early_precharge(build_root: Path) -> None:
    opened = [Issued(100, "ACT", 0, 5), Issued(124, "RDA", 0, 5)]
    assert check([*opened, Issued(100 + T.tRC - 1, "ACT", 0, 5)], build_root).counts == {"tRC": 1}
    assert check([*opened, Issued(100 + T.tRC, "ACT", 0, 5)], build_root).total == 0


def test_four_activations_in_a_window(build_root: Path) -> None:
    timing = replace(T, tFAW=33)
    acts = [Issued(100 + 7 * i, "ACT", 0, 4 * i) for i in range(4)]
    early = check([*acts, Issued(132, "ACT", 0, 20)], build_root, timing)
    assert early.counts == {"tFAW": 1}
    assert early.violations[0].earlier == acts[0]
    assert check([*acts, Issued(133, "ACT", 0, 20)], build_root, timing).total == 0
    assert check([*acts, Issued(130, "ACT", 1, 0)], build_root, timing).total == 0, "the other PC has its own window"


def test_precharge_all_counts_for_each_open_bank(build_root: Path) -> None:
    opened = [Issued(100, "ACT", 0, 5), Issued(107, "ACT", 0, 9), Issued(114, "ACT", 1, 1)]
    early = check([*opened, Issued(107 + T.tRAS, "PREA", 0)], build_root)
    assert early.counts == {"tRAS": 1}
    assert early.violations[0].earlier == opened[1]
    closed = [*opened, Issued(108 + T.tRAS, "PREA", 0)]
    assert check([*closed, Issued(108 + T.tRAS + T.tRP - 1, "ACT", 0, 9)], build_root).counts == {"tRP": 1}
    assert check([*closed, Issued(108 + T.tRAS + T.tRP, "ACT", 0, 9)], build_root).total == 0
    assert check([*closed, Issued(500, "RD", 1, 1)], build_root).total == 0, "PREA of PC 0 leaves PC 1 open"


STATES = {
    "activate_open_bank": [Issued(100, "ACT", 0, 5), Issued(900, "ACT", 0, 5)],
    "refresh_open_bank": [Issued(100, "ACT", 0, 5), Issued(900, "REFSB", 0, 5)],
    "column_closed_bank": [Issued(100, "ACT", 0, 5), Issued(900, "WR", 0, 6)],
    "idle_open_bank": [Issued(100, "ACT", 1, 5), Issued(900, "SRE")],
    "asleep": [Issued(100, "PDE"), Issued(200, "ACT", 0, 5), Issued(300, "PDX")],
    "exit_awake": [Issued(100, "PDX")],
    "no_such_bank": [Issued(100, "ACT", 0, 32)],
    "refresh_round": [Issued(100, "REFSB", 0, 5), Issued(900, "REFSB", 0, 5)],
}


@pytest.mark.parametrize("rule", STATES)
def test_a_broken_rule_of_state_fires_once(rule: str, build_root: Path) -> None:
    checker = check(STATES[rule], build_root)
    assert checker.counts == {rule: 1}
    assert rule in checker.violations[0].text
    assert check(STATES[rule][:-1] if rule != "asleep" else STATES[rule][::2], build_root).total == 0


@pytest.mark.parametrize(
    "commands",
    [
        [Issued(100, "ACT", 0, 5), Issued(900, "REF", 0)],
        [Issued(100, "ACT", 0, 5), Issued(900, "MRS")],
        [Issued(100, "SRE"), Issued(900, "PDX")],
        [Issued(100, "SRE"), Issued(900, "REFSB", 0, 1)],
        [Issued(100, "SRX")],
        [Issued(100, "ACT", 0, 5), Issued(200, "RDA", 0, 5), Issued(900, "RD", 0, 5)],
    ],
)
def test_more_ways_to_break_a_rule_of_state(commands: list[Issued], build_root: Path) -> None:
    assert check(commands, build_root).total == 1


def test_power_and_reset_come_before_commands(build_root: Path) -> None:
    checker = Checker(T, organisation(8), build_root, initialised=False)
    checker.run([Issued(10, "MRS")])
    checker.pins(reset_n=True, cke=False)
    checker.run([Issued(500, "MRS")])
    assert checker.counts == {"in_reset": 1, "cke_low": 1}
    again = Checker(T, organisation(8), build_root, initialised=False)
    again.advance(9)
    again.pins(reset_n=True, cke=True)
    again.run([Issued(20, "REF", 0), Issued(1000, "MRS"), Issued(1000 + T.tMRD, "REF", 1)])
    assert again.counts == {"uninitialised": 1}


def test_reset_closes_all_banks_and_asks_for_initialisation_again(build_root: Path) -> None:
    checker = Checker(T, organisation(8), build_root)
    checker.run([Issued(10, "ACT", 0, 5)])
    checker.pins(reset_n=False, cke=False)
    checker.advance(5)
    checker.pins()
    checker.run([Issued(20, "MRS"), Issued(60, "ACT", 0, 5)])
    assert checker.total == 0
    checker.pins(reset_n=False)
    checker.advance(5)
    checker.pins()
    checker.run([Issued(100, "ACT", 0, 5)])
    assert checker.counts == {"uninitialised": 1}


FAST = replace(T, tREFI=T.tRFC + 40)
LIMIT = 8 * FAST.tREFI


@pytest.mark.parametrize(
    ("temperature", "times"), [(0, 4), (1, 2), (3, 1), (2, 0.5), *((code, 0.25) for code in (6, 4, 5, 7))]
)
def test_refreshes_are_overdue_after_eight_intervals_of_the_temperature(
    temperature: int, times: float, build_root: Path
) -> None:
    checker = Checker(FAST, organisation(8), build_root)
    checker.pins(temperature=temperature)
    checker.advance(int(LIMIT * times))
    assert checker.total == 0
    checker.advance(1)
    assert checker.counts == {"refresh_overdue": 2}, "each PC owes its own"
    checker.advance(100)
    assert checker.total == 2, "one failure is one violation"


def test_one_missed_bank_leaves_the_debt_too_high(build_root: Path) -> None:
    rounds = [Issued(600 * n, "REF", pc) for n in range(1, 8) for pc in (0, 1)]
    last = [Issued(600 * 8 + 20 * bank, "REFSB", 0, bank) for bank in range(32)]
    done = check([*rounds, Issued(5990, "PRE", 0, 0)], build_root, FAST)
    assert done.owed(0) == pytest.approx(32 * (5990 / 600 - 7))
    late = 7 * 600 + LIMIT + 600
    others = [*rounds, Issued(600 * 8, "REF", 1), Issued(late, "PRE", 0, 0)]
    assert check([*others, *last], build_root, FAST).total == 0
    assert check([*others, *last[:-1]], build_root, FAST).counts == {"refresh_overdue": 1}


def test_eight_intervals_may_be_done_ahead(build_root: Path) -> None:
    slow = replace(T, tREFI=60000)
    ahead = [Issued(600 * n, "REF", 0) for n in range(1, 9)]
    assert check(ahead, build_root, slow).total == 0
    # A bank falls due each 60000 / 32 = 1875 CK: the third in CK 5625, which is so soon enough for a third in advance.
    two = [Issued(5400, "REFSB", 0, 0), Issued(5420, "REFSB", 0, 1)]
    assert check([*ahead, *two, Issued(5625, "REFSB", 0, 2)], build_root, slow).total == 0
    assert check([*ahead, *two, Issued(5624, "REFSB", 0, 2)], build_root, slow).counts == {"refresh_ahead": 1}


def test_a_full_refresh_ends_the_round_and_pays_its_rest(build_root: Path) -> None:
    some = [Issued(100 + 20 * bank, "REFSB", 0, bank) for bank in range(20)]
    checker = check([*some, Issued(1000, "REF", 0), Issued(1600, "REFSB", 0, 3)], build_root)
    assert checker.total == 0
    assert checker.owed(0) == pytest.approx(32 * 1600 / T.tREFI - 33)


def test_self_refresh_stops_the_debt(build_root: Path) -> None:
    asleep = [Issued(100, "SRE"), Issued(100 + 2 * LIMIT, "SRX")]
    assert check([*asleep, Issued(3 * LIMIT, "PRE")], build_root, FAST).total == 0
    assert check([*asleep, Issued(3 * LIMIT + 1, "PRE")], build_root, FAST).counts == {"refresh_overdue": 2}
    assert check([Issued(100, "PDE"), Issued(100 + LIMIT, "PDX")], build_root, FAST).counts == {"refresh_overdue": 2}


def test_every_rule_has_a_case_that_fires_it(build_root: Path) -> None:
    """Over all pairs below their limit, and the cases above, every name in the table is seen."""
    fired = {"tFAW", "in_reset", "cke_low", "uninitialised", "refresh_ahead", "refresh_overdue", *STATES}
    for relation, (first, second) in itertools.product(PLACES, itertools.product(ANY, ANY)):
        if "PREA" in (first, second):
            continue
        there = PLACES[relation]
        a = place(START, first, 0, 5)
        limit = gap(a, place(START + 1, second, *there), T, organisation(8))
        if limit >= 2:
            commands = [*preparation(first, second, (0, 5), there), a, place(START + limit - 1, second, *there)]
            checker = Checker(T, organisation(8), build_root)
            checker.run(in_order(commands))
            fired |= set(checker.counts)
    assert fired == {row.name for row in CONSTRAINTS} | set(STATE_RULES)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([[0, 1, 2]], r"shape \(1, 3\): give \(n, 5\): memory clock, command, pseudo-channel, bank, operand"),
        ([[9, 1, 0, 0, 0], [8, 1, 0, 1, 0]], "not in order of time, from memory clock 0 on"),
        ([[-1, 1, 0, 0, 0]], "not in order of time"),
        ([[0, 99, 0, 0, 0]], "command 99"),
        ([[0, 1, 2, 0, 0]], "pseudo-channel 2: give 0 to 1"),
        ([[0, 1, 0, 5, 0], [0, 1, 0, -1, 0]], "bank -1"),
        ([[0, 14, 0, 5, 256]], "operand 256: give 0 to 255"),
    ],
)
def test_what_is_no_list_of_commands_is_refused(rows: list[list[int]], told: str, build_root: Path) -> None:
    checker = Checker(T, organisation(8), build_root)
    with pytest.raises(ValueError, match=told):
        checker.run_array(np.array(rows))
    with pytest.raises(ValueError, match="time does not go back"):
        checker.advance(-1)
    checker.run_array(np.zeros((0, 5), np.int64))
    assert (checker.now, checker.total) == (0, 0)
