"""Collectives on chips' links, RTL to RTL, each compared with the reference, bit for bit."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from openppu.link import topology as topologies
from openppu.link.collective import wiring as wirings
from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.plan import FORMATS, Job, choose
from openppu.link.collective.wiring import Wiring
from openppu.link.topology import Topology
from openppu_sim.cycles.link.rtl import Measured, Request
from openppu_sim.errors import SimulationError
from openppu_sim.progress import step

from openppu_verif.link.collective_jobs import Case, make_case
from openppu_verif.link.mesh_native import About, Outcome, Work, build_node, run

RESET_SKEW = 200
"""Clocks within which chips leave reset: their flits do not begin together."""
LIMIT, LIMIT_WORDS = 400_000, 16
"""Clocks that a collective may take, and more for each beat of the vector: some need two, and wrong bits more."""
IN_PARTS = ("reduce_scatter", "all_gather", "all_to_all")
"""Operations whose vector is made of a part for each chip."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Chips: which ports are joined, and where the streams of the engines go."""

    topology: Topology
    wiring: Wiring


def place(name: str, chips: int) -> Place:
    """The chips of a topology as a user names it: pair, ring, mesh or groups.

    Raises
    ------
    ConfigError
        If there is no such one, or not with so many chips.
    """
    if (name, chips) == ("mesh", 2):
        name = "pair"
    return Place(topology=topologies.named(name, chips), wiring=wirings.named(name, chips))


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A collective.

    Parameters
    ----------
    operation, format, hops, root
        As `openppu.link.collective.plan.Job` has them.
    size : int
        Bytes of the whole vector, as nccl-tests counts them. A broadcast is in place, all else from place to place.
    algorithm : str
        As `openppu.link.collective.plan.plan` takes it.
    pause : int
        Clocks that the links rest before.
    begins : tuple of int
        As of `openppu_verif.link.mesh_native.Work`.
    seed : int
        Of the numbers.
    """

    operation: str
    size: int
    format: str = "binary32"
    hops: str = "binary32"
    root: int = 0
    algorithm: str = "auto"
    pause: int = 0
    begins: tuple[int, ...] = ()
    seed: int = 1


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a collective came to, and by which algorithm."""

    trial: Trial
    algorithm: str
    outcome: Outcome


def run_trials(
    config: CollectiveConfig, where: Place, trials: Sequence[Trial], about: About, build_root: Path
) -> list[Run]:
    """Train all ports from reset, and do the collectives one after the other.

    Raises
    ------
    ConfigError
        If a collective is impossible there.
    SimulationError
        If it does not end, or a chip's memory does not hold what the reference says.
    """
    works, cases = [], []
    for trial in trials:
        case, algorithm, work = _prepared(trial, where.wiring, config)
        cases.append((case, algorithm))
        works.append(work)
    executable = build_node(config, build_root)
    outcomes = run(executable, config, where.topology, where.wiring, works, about)
    runs = []
    for trial, (case, algorithm), outcome in zip(trials, cases, outcomes, strict=True):
        try:
            case.check(list(outcome.memories))
        except AssertionError as wrong:
            raise SimulationError(str(wrong)) from None
        runs.append(Run(trial=trial, algorithm=algorithm, outcome=outcome))
    return runs


def _prepared(trial: Trial, wiring: Wiring, config: CollectiveConfig) -> tuple[Case, str, Work]:
    elements = trial.size // FORMATS[trial.format] // (wiring.ranks if trial.operation in IN_PARTS else 1)
    values = dict(operation=trial.operation, format=trial.format, hops=trial.hops, root=trial.root)
    algorithm = trial.algorithm
    if algorithm == "auto":
        algorithm = choose(Job(elements=elements, **values), wiring, config)  # type: ignore[arg-type]
    case = make_case(
        trial.operation,
        wiring,
        config,
        algorithm,
        elements=elements,
        fmt=trial.format,
        hops=trial.hops,
        root=trial.root,
        in_place=trial.operation == "broadcast",
        seed=trial.seed,
    )
    return case, algorithm, Work(programs=case.programs, memories=case.memories, pause=trial.pause, begins=trial.begins)


def measure(request: Request) -> list[Measured]:
    """What ``openppu collective --rtl`` asks for.

    Raises
    ------
    UserError
        If a tool is missing.
    SimulationError
        As `run_trials`.
    """
    config = CollectiveConfig(link=request.chip.link)
    trials = [
        Trial(
            operation=request.operation,
            size=size,
            format=request.format,
            hops=request.hops,
            algorithm=request.algorithm,
            seed=number + 1,
        )
        for number, size in enumerate(request.sizes)
    ]
    limit = LIMIT + LIMIT_WORDS * max(request.sizes) // request.chip.link.beat_bytes
    about = About(bit_errors=request.bit_errors, reset_skew=RESET_SKEW, limit=limit)
    where = place(request.place, request.chips)
    with step(f"running {request.operation} on {request.chips} chips"):
        runs = run_trials(config, where, trials, about, request.build_root)
    return [
        Measured(
            size=run.trial.size,
            algorithm=run.algorithm,
            clocks=run.outcome.clocks,
            wrong_bits=run.outcome.wrong_bits,
            replayed=run.outcome.counts["replayed"],
        )
        for run in runs
    ]
