"""Runs a part's tests on each mutation of its netlist, and tells how many they notice."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from openppu_sim.progress import step

from openppu_verif.formal.harness import Harness
from openppu_verif.mutation.claims import Claim
from openppu_verif.mutation.equivalence import Equivalence
from openppu_verif.mutation.netlist import Area, Mutation, mutate
from openppu_verif.mutation.scopes import Scope, Scopes, settle
from openppu_verif.mutation.solver import SolverError

LEVELS = (
    "",
    ", with all that its module uses",
    ", with all of what uses its module",
    ", with all of what uses what uses its module",
)
"""Of `openppu_verif.mutation.scopes.Scopes`, in words."""

MOST_CHARACTERS = 1_500_000
"""Of the RTLIL that a proof is about."""

Notice = Callable[[int], str | None]
"""What the tests complain of with a mutation, by its number; None if they pass. 0 is the netlist as it was."""


class Changed(str):
    """A complaint that something is not as it had been, when nothing was found that is wrong."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A part whose netlist is broken.

    Parameters
    ----------
    top : str
        Its module.
    areas : sequence of Area
        Where mutations go.
    emit : callable
        Writes its Verilog, or RTLIL, to a folder and returns the file.
    tests : callable
        Makes the tests, from the Verilog with all mutations and the folder for models.
    claims : mapping of str to callable
        Harnesses about the netlist with mutations (`openppu_verif.mutation.claims.mutated`), for what takes more
        cycles to see than a simulation has.
    prepare : str
        As of `openppu_verif.mutation.netlist.mutate`.
    cut : bool
        Its memories are too large for proofs that nothing changes: as in `openppu_verif.mutation.equivalence`.
    alone : bool
        Those proofs are about the module that is broken, for designs of many modules: without those that it uses, with
        them, then about all that use it (`LEVELS`).
    """

    top: str
    areas: Sequence[Area]
    emit: Callable[[Path], Path]
    tests: Callable[[Path, Path], Notice]
    claims: Mapping[str, Callable[[], Harness]] = field(default_factory=dict)
    prepare: str = ""
    cut: bool = False
    alone: bool = False


class Verdict(Enum):
    """What became of a mutation."""

    KILLED = "killed by a scenario"
    LOCKED = "killed by the lock"
    """All that was noticed is that something was not as it had been."""
    DISPROVED = "killed by a proof"
    EQUIVALENT = "equivalent"
    """Proved to change nothing that can be seen."""
    SURVIVED = "survived"


@dataclass(frozen=True)
class Outcome:
    """A mutation, what became of it, and why: a complaint, how it was proved, or why no proof came to an end."""

    mutation: Mutation
    verdict: Verdict
    why: str = ""


@dataclass(frozen=True)
class Score:
    """What became of all mutations."""

    outcomes: Sequence[Outcome]

    def count(self, verdict: Verdict, area: str | None = None) -> int:
        """How many, in an area or in all."""
        return sum(o.verdict is verdict and area in (None, o.mutation.area) for o in self.outcomes)

    @property
    def percent(self) -> float:
        """Of the mutations that are not equivalent, how many were killed."""
        return self._share(Verdict.KILLED, Verdict.LOCKED, Verdict.DISPROVED)

    @property
    def percent_without_lock(self) -> float:
        """The same, if what only the lock noticed counts as survived."""
        return self._share(Verdict.KILLED, Verdict.DISPROVED)

    @property
    def verdicts(self) -> list[Verdict]:
        """Those of a table: without the lock's, if there is none."""
        return [verdict for verdict in Verdict if verdict is not Verdict.LOCKED or self.count(verdict)]

    def headers(self) -> list[str]:
        """Of the table of `rows`."""
        return ["area", "mutations", *(verdict.value for verdict in self.verdicts), "score in %"]

    def _share(self, *good: Verdict) -> float:
        real = len(self.outcomes) - self.count(Verdict.EQUIVALENT)
        return 100 * sum(map(self.count, good)) / max(1, real)

    def rows(self) -> list[list[str | int | float | None]]:
        """A table's: for each area, mutations, those of each verdict, and the score; then all areas together."""
        table: list[list[str | int | float | None]] = []
        for area in [*dict.fromkeys(o.mutation.area for o in self.outcomes), None]:
            part = Score([o for o in self.outcomes if area in (None, o.mutation.area)])
            counts = [part.count(verdict) for verdict in self.verdicts]
            table.append([area or "all", len(part.outcomes), *counts, part.percent])
        return table

    def survivors(self) -> list[Mutation]:
        """What nothing noticed, and may matter."""
        return [o.mutation for o in self.outcomes if o.verdict is Verdict.SURVIVED]

    def as_json(self) -> list[dict[str, Any]]:
        """Each mutation with its verdict and reason."""
        return [{**asdict(o.mutation), "verdict": o.verdict.value, "why": o.why} for o in self.outcomes]


def measure(subject: Subject, *, count: int, seed: int, folder: Path, build_root: Path) -> Score:
    """Break a part in ``count`` ways, and see which are noticed.

    Parameters
    ----------
    subject : Subject
    count : int
        Mutations.
    seed : int
        Chooses them.
    folder : Path
        For the netlist and the proofs.
    build_root : Path
        Folder for models.

    Raises
    ------
    RuntimeError
        If the tests or claims fail on the netlist as it was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with step(f"breaking {subject.top} in {count} ways"):
        source = subject.emit(folder)
        mutations = mutate(
            source,
            top=subject.top,
            areas=subject.areas,
            count=count,
            seed=seed,
            folder=folder,
            prepare=subject.prepare,
        )
    outcomes = {mutation.number: Outcome(mutation, Verdict.SURVIVED) for mutation in mutations}
    notice = subject.tests(folder / "mutated.v", build_root)
    if complaint := notice(0):
        raise RuntimeError(f"the tests fail on {subject.top} as it is: {complaint}")
    with step("running the tests on each"):
        for mutation in mutations:
            if complaint := notice(mutation.number):
                verdict = Verdict.LOCKED if isinstance(complaint, Changed) else Verdict.KILLED
                outcomes[mutation.number] = Outcome(mutation, verdict, str(complaint))
    for name, harness in subject.claims.items():
        with step(f"asking the proof of {name}"):
            _ask_claim(name, harness, subject, folder, outcomes)
    with step("looking for proofs that the others change nothing"):
        _prove(subject, folder, outcomes)
    return Score(list(outcomes.values()))


def _ask_claim(
    name: str, harness: Callable[[], Harness], subject: Subject, folder: Path, outcomes: dict[int, Outcome]
) -> None:
    claim = Claim(harness(), folder, cut=subject.cut)
    if not claim.holds(0):
        raise RuntimeError(f"the proof of {name} fails on {subject.top} as it is")
    for mutation in _left(outcomes):
        try:
            if not claim.holds(mutation.number):
                outcomes[mutation.number] = Outcome(mutation, Verdict.DISPROVED, name)
        except SolverError:
            pass  # Nothing is known, so nothing is noticed.


def _prove(subject: Subject, folder: Path, outcomes: dict[int, Outcome]) -> None:
    """What no proof comes to an end of stays a survivor, and says so."""
    if not subject.alone:
        _prove_each(_left(outcomes), [(subject.top, frozenset())], "", subject, folder, outcomes)
        return
    scopes = Scopes(settle(folder, subject.top), most=MOST_CHARACTERS)
    for level, which in enumerate(LEVELS):
        by_module: dict[str, list[Mutation]] = {}
        for mutation in _left(outcomes):
            by_module.setdefault(mutation.module, []).append(mutation)
        for module, left in by_module.items():
            _prove_each(left, scopes.of(module, level), which, subject, folder, outcomes)


def _prove_each(
    left: list[Mutation],
    scopes: list[Scope],
    which: str,
    subject: Subject,
    folder: Path,
    outcomes: dict[int, Outcome],
) -> None:
    """What is proved of all scopes is equivalent; ``which`` says what they are."""
    proved: dict[int, Outcome] = {}
    for top, kept in scopes:
        proved = {}
        try:
            equivalence = Equivalence(top=top, folder=folder, cut=subject.cut, alone=subject.alone, kept=kept)
        except SolverError as error:
            for mutation in left:
                outcomes[mutation.number] = Outcome(mutation, Verdict.SURVIVED, f"not proved: {error}")
            return
        for mutation in left:
            try:
                if how := equivalence.prove(mutation.number):
                    proved[mutation.number] = Outcome(mutation, Verdict.EQUIVALENT, how + which)
            except SolverError as error:
                outcomes[mutation.number] = Outcome(mutation, Verdict.SURVIVED, f"not proved: {error}")
        left = [outcome.mutation for outcome in proved.values()]
    outcomes |= proved


def _left(outcomes: Mapping[int, Outcome]) -> list[Mutation]:
    return [o.mutation for o in outcomes.values() if o.verdict is Verdict.SURVIVED]
