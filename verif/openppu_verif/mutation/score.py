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

Notice = Callable[[int], str | None]
"""What the tests complain of with a mutation, by its number; None if they pass. 0 is the netlist as it was."""


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
        Writes its Verilog to a folder and returns the file.
    tests : callable
        Makes the tests, from the Verilog with all mutations and the folder for models.
    claims : mapping of str to callable
        Harnesses about the netlist with mutations (`openppu_verif.mutation.claims.mutated`), for what takes more
        cycles to see than a simulation has.
    cut : bool
        Its memories are too large for proofs that nothing changes: as in `openppu_verif.mutation.equivalence`.
    """

    top: str
    areas: Sequence[Area]
    emit: Callable[[Path], Path]
    tests: Callable[[Path, Path], Notice]
    claims: Mapping[str, Callable[[], Harness]] = field(default_factory=dict)
    cut: bool = False


class Verdict(Enum):
    """What became of a mutation."""

    KILLED = "killed by a scenario"
    DISPROVED = "killed by a proof"
    EQUIVALENT = "equivalent"
    """Proved to change nothing that can be seen."""
    SURVIVED = "survived"


@dataclass(frozen=True)
class Outcome:
    """A mutation, what became of it, and why: a complaint, or how it was proved."""

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
        real = len(self.outcomes) - self.count(Verdict.EQUIVALENT)
        return 100 * (self.count(Verdict.KILLED) + self.count(Verdict.DISPROVED)) / max(1, real)

    def rows(self) -> list[list[str | int | float | None]]:
        """A table's: for each area, mutations, those of each verdict, and the score; then all areas together."""
        table: list[list[str | int | float | None]] = []
        for area in [*dict.fromkeys(o.mutation.area for o in self.outcomes), None]:
            part = Score([o for o in self.outcomes if area in (None, o.mutation.area)])
            counts = [part.count(verdict) for verdict in Verdict]
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
        mutations = mutate(source, top=subject.top, areas=subject.areas, count=count, seed=seed, folder=folder)
    notice = subject.tests(folder / "mutated.v", build_root)
    if complaint := notice(0):
        raise RuntimeError(f"the tests fail on {subject.top} as it is: {complaint}")
    outcomes = {}
    with step("running the tests on each"):
        for mutation in mutations:
            complaint = notice(mutation.number)
            outcomes[mutation.number] = Outcome(
                mutation, Verdict.KILLED if complaint else Verdict.SURVIVED, complaint or ""
            )
    for name, harness in subject.claims.items():
        with step(f"asking the proof of {name}"):
            claim = Claim(harness(), folder)
            if not claim.holds(0):
                raise RuntimeError(f"the proof of {name} fails on {subject.top} as it is")
            for mutation in _left(outcomes):
                if not claim.holds(mutation.number):
                    outcomes[mutation.number] = Outcome(mutation, Verdict.DISPROVED, name)
    with step("looking for proofs that the others change nothing"):
        equivalence = Equivalence(top=subject.top, folder=folder, cut=subject.cut)
        for mutation in _left(outcomes):
            if how := equivalence.prove(mutation.number):
                outcomes[mutation.number] = Outcome(mutation, Verdict.EQUIVALENT, how)
    return Score(list(outcomes.values()))


def _left(outcomes: Mapping[int, Outcome]) -> list[Mutation]:
    return [o.mutation for o in outcomes.values() if o.verdict is Verdict.SURVIVED]
