"""What a collective takes on a node's topology, by each algorithm, and which is best."""

from dataclasses import dataclass
from functools import lru_cache

from openppu_sim.cycles.link import algorithms, events, paths, steps
from openppu_sim.cycles.link.algorithms import bus_factor
from openppu_sim.cycles.link.formulas import FORMULAS, FREE, TWINS, best_pieces, holds, twin_pieces
from openppu_sim.cycles.link.network import Graph
from openppu_sim.cycles.link.ports import Ports
from openppu_sim.cycles.link.schedule import Schedule, renamed, side_by_side, steps_of
from openppu_sim.cycles.link.topologies import Topology

ALGORITHMS: dict[str, tuple[str, ...]] = {
    "direct": algorithms.OPERATIONS,
    "one-shot": ("allreduce",),
    "two-level": ("allreduce", "reducescatter", "allgather", "barrier"),
    "halving-doubling": ("allreduce", "reducescatter", "allgather", "barrier"),
    "double-tree": ("allreduce", "broadcast", "barrier"),
    "ring": ("allreduce", "reducescatter", "allgather", "broadcast", "barrier"),
    "tree": ("broadcast", "barrier"),
    "routed": ("alltoall",),
}
"""The operations that each algorithm does."""

ONE_BY_ONE = 1_000
"""Messages up to which each is followed on its own."""


@dataclass(frozen=True)
class Estimate:
    """An operation by one algorithm.

    Attributes
    ----------
    how : str
        ``formula`` (a closed form), ``events`` (each message on its own) or ``steps`` (a step at a time).
    formula : str
        The closed form, or an empty text.
    """

    operation: str
    algorithm: str
    chips: int
    size: int
    time_ns: float
    steps: int
    how: str
    formula: str = ""

    @property
    def algbw_gbs(self) -> float:
        """Size / time."""
        return self.size / self.time_ns

    @property
    def busbw_gbs(self) -> float:
        """Size / time x the operation's factor, as nccl-tests defines it."""
        return self.algbw_gbs * bus_factor(self.operation, self.chips)


def algorithms_for(operation: str, topology: Topology) -> list[str]:
    """Those that do an operation on a topology."""
    names = [name for name, operations in ALGORITHMS.items() if operation in operations]
    unfit = {"two-level"} if len(topology.groups) == 1 else {"one-shot"}
    unfit |= {"one-shot"} if topology.name not in FREE else {"routed"}
    return [name for name in names if name not in unfit]


def schedule_for(operation: str, algorithm: str, topology: Topology, size: int, pieces: int = 1) -> Schedule:
    """The steps of an algorithm on the chips of a topology."""
    if algorithm == "two-level":
        return algorithms.two_level(operation, topology.groups, size, pieces=pieces)
    if algorithm == "double-tree":
        return algorithms.double_tree(operation, topology.chips, size, pieces)
    if algorithm in ("tree", "routed"):
        return {"tree": paths.tree, "routed": paths.routed}[algorithm](operation, topology, size)
    if algorithm == "ring":
        return algorithms.ring(operation, topology.chips, size, topology.rings)
    part = {
        "direct": algorithms.direct,
        "one-shot": algorithms.one_shot,
        "halving-doubling": algorithms.halving_doubling,
    }[algorithm]
    return part(operation, topology.chips, size)


def estimate(
    operation: str, algorithm: str, topology: Topology, ports: Ports, size: int, *, graph: Graph | None = None
) -> Estimate:
    """What an operation takes by one algorithm.

    Parameters
    ----------
    size : int
        Bytes, as `openppu_sim.cycles.link.algorithms` counts them; 0 for a barrier.
    graph : Graph, optional
        The topology's links in another state, for example with one dead; closed forms do not hold then.
    """
    endpoint = ports.endpoint
    hop = ports.hop_ns + endpoint.step_ns + endpoint.store_ns
    width = max(count for _, _, count in topology.links)
    narrow = min(count for _, _, count in topology.links)
    gbs = ports.gbs * (narrow if algorithm == "ring" else width)
    pieces = 1
    if algorithm == "double-tree":
        pieces = best_pieces(topology.chips, size, hop_ns=hop, gbs=gbs)
    elif algorithm == "two-level":
        pieces = twin_pieces(size / len(topology.groups[0]), hop_ns=hop, gbs=ports.gbs)
    schedule = schedule_for(operation, algorithm, topology, size, pieces)
    number = steps_of(schedule)
    if graph is None and algorithm == "two-level" and operation == "allreduce" and len(topology.groups) == 2:
        time = TWINS.time_ns(topology.chips, size, 1, 1, endpoint=endpoint, hop_ns=ports.hop_ns, gbs=ports.gbs)
        return Estimate(operation, algorithm, topology.chips, size, time, 3, "formula", TWINS.text)
    if graph is None and holds(topology.name, operation, algorithm):
        formula = FORMULAS[operation, algorithm]
        rings = len(topology.rings)
        time = formula.time_ns(topology.chips, size, rings, pieces, endpoint=endpoint, hop_ns=ports.hop_ns, gbs=gbs)
        return Estimate(operation, algorithm, topology.chips, size, time, number, "formula", formula.text)
    time, how = solved_ns(schedule, topology.network(ports) if graph is None else graph)
    return Estimate(operation, algorithm, topology.chips, size, time, number, how)


def solved_ns(schedule: Schedule, graph: Graph) -> tuple[float, str]:
    """Nanoseconds of a schedule, and by which solver."""
    messages = sum(one.source.size * one.times for one in schedule)
    if messages <= ONE_BY_ONE:
        return events.solve(schedule, graph).time_ns, "events"
    return steps.solve(schedule, graph), "steps"


def estimates(
    operation: str, topology: Topology, ports: Ports, size: int, *, graph: Graph | None = None
) -> list[Estimate]:
    """By every algorithm, the fastest first."""
    names = algorithms_for(operation, topology)
    found = [estimate(operation, name, topology, ports, size, graph=graph) for name in names]
    return sorted(found, key=lambda one: one.time_ns)


@lru_cache(maxsize=10_000)
def best_ns(operation: str, topology: Topology, ports: Ports, size: int) -> float:
    """By the fastest algorithm."""
    return estimates(operation, topology, ports, size)[0].time_ns


def group_ns(operation: str, topology: Topology, ports: Ports, groups: list[list[int]], size: int) -> float:
    """What an operation takes in several groups of a node at once, all of one size, by the best of three algorithms."""
    chips = len(groups[0])
    if chips == 1:
        return 0.0
    if chips == topology.chips:
        return best_ns(operation, topology, ports, size)
    graph = topology.network(ports)
    parts = [algorithms.direct, algorithms.ring]
    parts += [algorithms.halving_doubling] if operation in ALGORITHMS["halving-doubling"] else []
    parts = parts[:1] if operation == "alltoall" else parts
    schedules = [side_by_side([renamed(part(operation, chips, size), group) for group in groups]) for part in parts]
    return min(steps.solve(schedule, graph) for schedule in schedules)
