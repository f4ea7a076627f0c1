"""The mutation check: on a part whose tests are good or bad on purpose, and on the tile."""

import re
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import broken_adder as adder
import pytest
from openppu_sim.report.table import format_table
from openppu_verif.mutation.netlist import Mutation, mutate, run_yosys
from openppu_verif.mutation.score import Changed, Outcome, Score, Verdict, measure
from openppu_verif.mutation.solver import SolverError, run_abc
from openppu_verif.tile.mutation import tile_subject

COUNT = 40


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Score:
    """What good tests notice."""
    folder = tmp_path_factory.mktemp("good")
    return measure(adder.subject(largest=255), count=COUNT, seed=1, folder=folder, build_root=folder)


def test_good_tests_kill_all_that_is_not_equivalent(good: Score) -> None:
    assert len(good.outcomes) == COUNT
    assert good.count(Verdict.KILLED) > COUNT / 2
    assert good.survivors() == []
    assert good.percent == 100


def test_what_changes_nothing_is_proved_to(good: Score) -> None:
    proved = [o for o in good.outcomes if o.verdict is Verdict.EQUIVALENT]
    assert proved
    # Of the logic, only `a | b` may change, and nothing where a counter's carry leaves.
    assert {re.search(r"\$(\w+)\$", o.mutation.what)[1] for o in proved} <= {"or", "procmux", "add", "procdff"}
    assert all(o.why for o in proved)


def test_bad_tests_leave_survivors(tmp_path: Path) -> None:
    score = measure(adder.subject(largest=7), count=COUNT, seed=1, folder=tmp_path, build_root=tmp_path)
    assert score.percent < 90
    assert all(re.search(r"\[\d", mutation.what) for mutation in score.survivors())


def test_a_proof_notices_what_bad_tests_do_not(tmp_path: Path) -> None:
    subject = adder.subject(largest=1, claims={"sums": adder.sums})
    score = measure(subject, count=20, seed=1, folder=tmp_path, build_root=tmp_path)
    assert score.count(Verdict.DISPROVED) > 0
    assert {o.why for o in score.outcomes if o.verdict is Verdict.DISPROVED} == {"sums"}


def test_tests_that_fail_on_the_part_as_it_is_are_no_measure(tmp_path: Path) -> None:
    part = adder.subject(largest=255)
    object.__setattr__(part, "tests", lambda netlist, folder: lambda number: "no good")
    with pytest.raises(RuntimeError, match="the tests fail on adder as it is: no good"):
        measure(part, count=5, seed=1, folder=tmp_path, build_root=tmp_path)


def test_what_only_the_lock_notices_is_told_apart(tmp_path: Path) -> None:
    part = adder.subject(largest=0)
    notice = {1: "wrong", 2: Changed("not as before")}
    object.__setattr__(part, "tests", lambda netlist, folder: notice.get)
    score = measure(part, count=5, seed=1, folder=tmp_path, build_root=tmp_path)
    assert [o.verdict for o in score.outcomes[:2]] == [Verdict.KILLED, Verdict.LOCKED]
    assert score.percent_without_lock < score.percent
    assert score.headers()[3] == "killed by the lock"
    assert score.rows()[-1][2:4] == [1, 1]


@pytest.mark.parametrize("broken", ["run_abc", "make_graph"])
def test_a_solver_that_fails_ends_no_run(broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> NoReturn:
        raise SolverError("out of memory")

    part = adder.subject(largest=7)
    monkeypatch.setattr(f"openppu_verif.mutation.equivalence.{broken}", fail)
    score = measure(part, count=COUNT, seed=1, folder=tmp_path, build_root=tmp_path)
    left = [o.why for o in score.outcomes if o.verdict is Verdict.SURVIVED]
    assert "not proved: out of memory" in left
    assert score.count(Verdict.KILLED) > 0


def test_yosys_that_fails_or_takes_too_long_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "no.aig").write_text("not a graph")
    with pytest.raises(SolverError, match=r"ABC gave no verdict on .*no\.aig"):
        run_abc(tmp_path, "no.aig", "ind -F 1")
    assert run_yosys("read_verilog no.v\n", tmp_path, seconds=0.01) == "no answer within 0 s"


def test_the_same_seed_breaks_the_same(tmp_path: Path) -> None:
    part = adder.subject(largest=0)
    found = [
        mutate(part.emit(tmp_path), top=part.top, areas=part.areas, count=9, seed=seed, folder=tmp_path)
        for seed in (1, 1, 2)
    ]
    assert found[0] == found[1] != found[2]
    assert [mutation.number for mutation in found[0]] == list(range(1, 10))


def test_no_more_mutations_than_can_be_chosen(tmp_path: Path) -> None:
    part = adder.subject(largest=0)
    with pytest.raises(ValueError, match="at most 4095"):
        mutate(tmp_path / "adder.v", top=part.top, areas=part.areas, count=4096, seed=1, folder=tmp_path)


def test_the_score_leaves_out_what_is_equivalent() -> None:
    verdicts = [Verdict.KILLED] * 6 + [Verdict.DISPROVED] * 3 + [Verdict.SURVIVED] + [Verdict.EQUIVALENT] * 5
    outcomes = [Outcome(Mutation(n, "even" if n % 2 == 0 else "odd", f"m{n}"), v) for n, v in enumerate(verdicts)]
    score = Score(outcomes)
    assert score.percent == 90
    assert score.survivors() == [Mutation(9, "odd", "m9")]
    assert score.rows()[-1] == ["all", 15, 6, 3, 5, 1, 90.0]
    assert [row[:2] for row in score.rows()] == [["even", 8], ["odd", 7], ["all", 15]]
    expected = {"number": 9, "area": "odd", "what": "m9", "module": "", "verdict": "survived", "why": ""}
    assert score.as_json()[9] == expected


@pytest.mark.parametrize(
    ("option", "told"),
    [("--count=5", "--count 5: it must be 20 to 4094"), ("--seed=-1", "--seed -1: it must be 0 or more")],
)
def test_bad_options_are_refused_in_one_line(option: str, told: str) -> None:
    command = [sys.executable, "-m", "openppu_verif.mutation", option]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert told in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.slow
def test_the_tiles_tests_kill_95_percent(tmp_path: Path, build_root: Path) -> None:
    score = measure(tile_subject(), count=200, seed=5, folder=tmp_path, build_root=build_root)
    table = format_table(score.headers(), score.rows())
    assert score.percent >= 95, f"{table}\n{score.survivors()}"
