"""Collectives on the engines in RTL beside the model: what is asked of the testbench, which nothing here imports, and
what the model says of the same, in link clocks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from pathlib import Path

from openppu.config import ChipConfig
from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.plan import FORMATS, Job, fitting
from openppu.link.collective.wiring import Wiring, named
from openppu.link.config import LinkConfig
from openppu.section import ConfigError

from openppu_sim.cycles.link.calibration import Calibration, Figure
from openppu_sim.cycles.link.collective import estimate
from openppu_sim.cycles.link.ports import ports_of
from openppu_sim.cycles.link.topologies import Topology, topology
from openppu_sim.errors import UserError

ENTRY_POINTS = "openppu.collective"
OPERATIONS = {
    "allreduce": "all_reduce",
    "reducescatter": "reduce_scatter",
    "allgather": "all_gather",
    "broadcast": "broadcast",
    "alltoall": "all_to_all",
    "barrier": "barrier",
}
"""The operations' names here, and as the engine's planner has them."""

IN_PARTS = ("reducescatter", "allgather", "alltoall")
"""Operations whose vector is made of a part for each chip."""

MOST_BYTES = 1 << 20
"""Of a vector: the RTL takes minutes for more."""
MOST_CHIPS = 16
CHANNEL_CLOCKS = 1
"""Of the lanes between two chips in the testbench."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """Collectives for the testbench: one of each size, in bytes, on the chips of a topology.

    ``operation`` and ``algorithm`` are the planner's; ``algorithm`` may be ``auto``.
    """

    chip: ChipConfig
    place: str
    chips: int
    operation: str
    algorithm: str
    format: str
    hops: str
    sizes: Sequence[int]
    bit_errors: float
    build_root: Path


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one took, on the RTL; all bits were those of the reference."""

    size: int
    algorithm: str
    clocks: int
    wrong_bits: int
    replayed: int


def wiring_of(place: str, chips: int) -> Wiring:
    """The engine's streams on a topology of the model."""
    return named("pair" if (place, chips) == ("mesh", 2) else place, chips)


def runs_on_engine(operation: str, algorithm: str, place: Topology) -> bool:
    """Whether the engine does what the model's algorithm does there: it has one link to a neighbour, but two in groups,
    and one ring."""
    if place.chips > MOST_CHIPS or (place.name != "groups" and any(count > 1 for *_, count in place.links)):
        return False
    if algorithm == "ring" and len(place.rings) > 2:
        return False
    wiring = wiring_of(place.name, place.chips)
    job = Job(operation=OPERATIONS[operation], elements=1)
    config = CollectiveConfig(link=LinkConfig(ports=max(map(len, wiring.peers))))
    return algorithm.replace("-", "_") in fitting(job, wiring, config)


def check(request: Request) -> None:
    """Whether the testbench can do it.

    Raises
    ------
    UserError
        If not.
    """
    if request.chips > MOST_CHIPS:
        raise UserError(f"--rtl --chips {request.chips}: the engines do up to {MOST_CHIPS}")
    try:
        wiring = wiring_of(request.place, request.chips)
        wiring.check(CollectiveConfig(link=request.chip.link))
    except ConfigError as error:
        raise UserError(str(error)) from None
    job = Job(operation=request.operation, elements=1)
    possible = fitting(job, wiring, CollectiveConfig(link=request.chip.link))
    if request.algorithm not in ("auto", *possible):
        names = ", ".join(name.replace("_", "-") for name in possible)
        name = request.algorithm.replace("_", "-")
        raise UserError(f"--algorithm {name}: the engines cannot do it on {wiring.name}; give one of {names}")
    if request.operation == "barrier":
        return
    parts = request.chips if request.operation in {OPERATIONS[name] for name in IN_PARTS} else 1
    grain = parts * FORMATS[request.format]
    for size in request.sizes:
        if size > MOST_BYTES:
            raise UserError(f"--rtl --size {size:,} B: the RTL runs up to 1 MiB; leave out --rtl for the model alone")
        if size % grain:
            raise UserError(f"--rtl --size {size:,} B: give a multiple of {grain} B, elements of {request.format}")


def measure(request: Request) -> list[Measured]:
    """Run on the RTL.

    Raises
    ------
    UserError
        If the testbench is not installed, or the collectives are impossible.
    SimulationError
        If a result is not that of the reference.
    """
    check(request)
    found = entry_points(group=ENTRY_POINTS, name="rtl")
    if not found:
        raise UserError("--rtl: the testbench is not installed; run make venv")
    run: Callable[[Request], list[Measured]] = next(iter(found)).load()
    return run(request)


def predicted_clocks(
    chip: ChipConfig, calibration: Calibration, operation: str, algorithm: str, place: str, chips: int, size: int
) -> float:
    """Link clocks by the model, with the testbench's channel, and the links that the engine uses.

    ``operation`` and ``algorithm`` are named as the model names them.
    """
    used = max(map(len, wiring_of(place, chips).peers)) if place != "groups" else chip.link.ports
    chip = replace(chip, link=replace(chip.link, ports=used))
    channel = Figure("channel_ns", CHANNEL_CLOCKS * 1000 / chip.link.clock_mhz, "ns", "given", "the testbench")
    ports = ports_of(chip, Calibration(calibration.figures | {"channel_ns": channel}))
    found = estimate(operation, algorithm, topology(place, chips, ports.count), ports, size)
    return found.time_ns * chip.link.clock_mhz / 1000
