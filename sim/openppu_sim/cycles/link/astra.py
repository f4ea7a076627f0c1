"""ASTRA-sim's analytical network as a preset of this model, and the figures that it gave.

Its GB is 2**30 bytes. Its settings were: endpoint-delay 10 ns, local-mem-bw 3,350 GB/s (that is 10**9), one chunk
(preferred-dataset-splits 1). Its congestion-aware network stores and forwards whole messages, first come, first served,
and has one dimension only; figures of two dimensions come from its congestion-unaware one, which cuts through, and in
these patterns no two messages share a link.
"""

from dataclasses import dataclass

from openppu_sim.cycles.link.cluster import two_level_ns
from openppu_sim.cycles.link.fabric import Copies, Fabric, FatTree
from openppu_sim.cycles.link.network import Endpoint, Graph

GIB_PER_S = 2**30 / 1e9
"""GB/s of one of ASTRA-sim's GB/s."""

MIB = 2**20
ENDPOINT = Endpoint(start_ns=10.0, step_ns=10.0, memory_gbs=3350.0)


def network(kind: str, chips: int, *, gibs: float, latency_ns: float) -> Graph:
    """A ``ring``, ``switch`` or ``mesh`` (fully connected) as ASTRA-sim builds it.

    Parameters
    ----------
    gibs : float
        Rate of each link in GiB/s.
    latency_ns : float
        Of each link; a way through the switch has two.
    """
    graph = Graph(chips, ENDPOINT)
    pairs = {
        "ring": [(a, (a + 1) % chips) for a in range(chips)],
        "switch": [(a, chips) for a in range(chips)],
        "mesh": [(a, b) for a in range(chips) for b in range(a)],
    }[kind]
    for a, b in pairs:
        graph.connect(a, b, alpha=latency_ns, rate=gibs * GIB_PER_S)
    if kind == "ring":
        graph.ways = {(a, b): _ring_way(a, b, chips) for a in range(chips) for b in range(chips) if a != b}
    return graph


def _ring_way(a: int, b: int, chips: int) -> list[int]:
    """The shorter way around; upwards where both are as long."""
    up = (b - a) % chips
    if up <= chips - up:
        return [2 * ((a + hop) % chips) for hop in range(up)]
    return [2 * ((a - hop - 1) % chips) + 1 for hop in range(chips - up)]


@dataclass(frozen=True)
class Row:
    """A figure of ASTRA-sim's congestion-aware network: an operation on one dimension."""

    kind: str
    algorithm: str
    size: int
    gibs: float
    latency_ns: float
    microseconds: float
    operation: str = "allreduce"
    chips: int = 8

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.operation} {self.algorithm} on {self.kind}, {self.chips} chips, {self.size // MIB} MiB"


ROWS = (
    Row("ring", "ring", MIB, 50, 500, 42.1),
    Row("ring", "direct", MIB, 50, 500, 51.0),
    Row("switch", "ring", MIB, 50, 500, 83.3),
    Row("switch", "halving-doubling", MIB, 50, 500, 74.8),
    Row("mesh", "halving-doubling", MIB, 50, 500, 37.6),
    Row("mesh", "direct", MIB, 50, 500, 6.03),
    Row("mesh", "direct", 64 * MIB, 50, 200, 320.4),
    Row("mesh", "halving-doubling", 64 * MIB, 50, 200, 2211),
    Row("mesh", "ring", 64 * MIB, 50, 200, 2243),
    Row("mesh", "direct", 64 * MIB, 50, 200, 156.5, operation="alltoall"),
    Row("switch", "direct", 64 * MIB, 350, 200, 365),
    Row("switch", "ring", 64 * MIB, 350, 200, 683),
)


class Switch(FatTree):
    """One switch for any number of chips, each with a link each way, as ASTRA-sim has it."""

    def __init__(self, ends: int, *, gibs: float, latency_ns: float) -> None:
        fabric = SwitchFabric(gbs=gibs * GIB_PER_S, interface_ns=latency_ns, switch_ns=latency_ns)
        super().__init__(ends, fabric)
        self.endpoint = ENDPOINT


class SwitchFabric(Fabric):
    """A fabric of one switch with as many ports as there are ends."""

    def tiers(self, ends: int) -> int:
        """One."""
        return 1


def two_level_microseconds(chips: int, size: int, *, across: str) -> float:
    """What this model gives for an all-reduce as in ``TWO_LEVEL_ROWS``, all messages of all chips followed.

    Parameters
    ----------
    across : str
        ``ring`` or ``halving-doubling``.
    """
    nodes = chips // 8
    node = Copies(network("mesh", 8, gibs=50, latency_ns=200), nodes)
    rails = Copies(Switch(nodes, gibs=50, latency_ns=2000), 8, inner=False)
    return two_level_ns(node, rails, 8, nodes, size, across=across) / 1e3


@dataclass(frozen=True)
class TwoLevelRow:
    """All-reduce of 64 MiB: direct on meshes of 8 (50 GiB/s and 200 ns a link), across by a switch (50 GiB/s, 2 us).

    ``microseconds`` is None where ASTRA-sim ended without a result.
    """

    chips: int
    across: str
    microseconds: float | None

    @property
    def name(self) -> str:
        """For people."""
        return f"allreduce direct, then {self.across}, {self.chips:,} chips, 64 MiB"


TWO_LEVEL_ROWS = (
    TwoLevelRow(64, "halving-doubling", 621),
    TwoLevelRow(64, "ring", 657),
    TwoLevelRow(1024, "halving-doubling", 690),
    TwoLevelRow(1024, "ring", 1656),
    TwoLevelRow(10_000, "ring", 10_655),
    TwoLevelRow(10_000, "halving-doubling", None),
)
