"""What goes along shortest paths, from chip to chip through memory: the engine's broadcast, barrier and all-to-all."""

from collections.abc import Mapping
from functools import lru_cache

from openppu.link.collective.wiring import named

from openppu_sim.cycles.link.algorithms import share
from openppu_sim.cycles.link.schedule import Schedule, step
from openppu_sim.cycles.link.topologies import Topology

Paths = Mapping[int, tuple[int, ...]]


@lru_cache(maxsize=1000)
def paths_from(topology: Topology, root: int) -> Paths:
    """A shortest path from a chip to every one, as the engine's planner takes it."""
    name = "pair" if topology.chips == 2 else topology.name
    return named(name, topology.chips).paths(root)


def tree(operation: str, topology: Topology, size: float) -> Schedule:
    """From chip 0 along its paths, level by level; of a barrier, tokens to it first, and back."""
    levels: dict[int, list[tuple[int, int]]] = {}
    for path in paths_from(topology, 0).values():
        if len(path) > 1:
            levels.setdefault(len(path), []).append((path[-2], path[-1]))
    down = [levels[depth] for depth in sorted(levels)]
    if operation == "broadcast":
        return [step(pairs, size) for pairs in down]
    up = [[(b, a) for a, b in pairs] for pairs in reversed(down)]
    return [step(pairs, 0) for pairs in (*up, *down)]


def routed(operation: str, topology: Topology, size: float) -> Schedule:
    """All-to-all: in step k each part takes the k-th link of its path."""
    if operation != "alltoall":
        raise ValueError(f"{operation}, routed: give alltoall")
    part = share(size, topology.chips)
    ways = [way for root in range(topology.chips) for way in paths_from(topology, root).values()]
    hops = range(max(map(len, ways)) - 1)
    return [step([(way[hop], way[hop + 1]) for way in ways if hop + 1 < len(way)], part) for hop in hops]
