"""What tests of the link's model share: a chip's ports, topologies, and the schedules of all algorithms on them."""

from collections.abc import Iterator

from openppu.config import load
from openppu_sim.cycles.link.calibration import load_calibration
from openppu_sim.cycles.link.collective import algorithms_for, schedule_for
from openppu_sim.cycles.link.ports import Ports, ports_of
from openppu_sim.cycles.link.schedule import Schedule
from openppu_sim.cycles.link.topologies import Topology, topology

PORTS: Ports = ports_of(load("ppu810e"), load_calibration())
PLACES: list[Topology] = [
    topology("pair", 2, 7),
    topology("ring", 5, 7),
    topology("ring", 8, 7),
    *(topology("mesh", chips, 7) for chips in (2, 3, 4, 5, 6, 7, 8)),
    topology("groups", 8, 7),
    topology("groups", 16, 7),
]


def name_of(place: Topology) -> str:
    """For test IDs."""
    return f"{place.name}{place.chips}"


def schedules(operation: str, place: Topology, size: int, pieces: int = 3) -> Iterator[tuple[str, Schedule]]:
    """Each algorithm of an operation on a topology, with its schedule."""
    for algorithm in algorithms_for(operation, place):
        yield algorithm, schedule_for(operation, algorithm, place, size, pieces)
