"""Where initiators and targets are in the mesh."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

from openppu.hbm.stack_interleave import split_stacks
from openppu.hbm.stacks import HbmConfig
from openppu.noc.config import NocConfig
from openppu.scratchpad.config import ScratchpadConfig
from openppu.section import ConfigError

GRANULE = 8
"""Words of a granule: 256 bytes, which are in one channel, and travel as one packet."""

ORDERS = 16
"""Requests of the same initiator and tag have the same order, of these; a target keeps them in order."""


@dataclass(frozen=True, order=True)
class Place:
    """A router, and which of its initiators, or of its targets."""

    x: int
    y: int
    local: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A network, with all that is at its edges.

    Parameters
    ----------
    noc : NocConfig
    hbm : HbmConfig
    scratchpad : ScratchpadConfig
        Of each compute unit.
    initiators : int, at least 1
    units : int
        Compute units whose scratchpads can be reached.
    tags : int
        Of an initiator.

    Raises
    ------
    ValueError
        If there are no initiators or tags, or a negative number of units.
    ConfigError
        If there are fewer targets than planes.
    """

    noc: NocConfig
    hbm: HbmConfig
    scratchpad: ScratchpadConfig
    initiators: int
    units: int = 0
    tags: int = 4

    def __post_init__(self) -> None:
        if self.initiators < 1 or self.units < 0 or self.tags < 1:
            raise ValueError(
                f"Plan initiators = {self.initiators}, units = {self.units}, tags = {self.tags}: give at least 1 "
                "initiator and tag, and no negative number of units"
            )

        if self.noc.planes > self.targets:
            raise ConfigError(f"noc.planes = {self.noc.planes}: give at most one for each target: {self.targets}")

    @property
    def request_latency(self) -> int:
        """Cycles from a read that an initiator offers to the request at its target, beside one a router of a mesh."""
        return 3 if split_stacks(self.hbm.stacks)[0] == 1 else 8

    @property
    def response_latency(self) -> int:
        """Cycles from the word that a target gives to the initiator's response, likewise."""
        return 2

    @property
    def ports(self) -> int:
        """Of a channel that are used: one for each pseudo-channel, if it has as many."""
        return min(2, self.hbm.ports)

    @property
    def channel_ports(self) -> int:
        """Of all channels."""
        return self.hbm.stacks * self.hbm.channels * self.ports

    @property
    def targets(self) -> int:
        """Ports of channels, then scratchpads."""
        return self.channel_ports + self.units

    @property
    def hbm_words(self) -> int:
        """Of 32 bytes, of all channels."""
        return self.hbm.stacks * self.hbm.channels * self.hbm.channel.accesses

    @property
    def scratchpad_words(self) -> int:
        """Of 32 bytes, of one unit."""
        return self.scratchpad.capacity // 32

    @cached_property
    def initiator_places(self) -> list[Place]:
        """Of each initiator."""
        return self._places([self._node(number, self.initiators) for number in range(self.initiators)])

    @cached_property
    def target_planes(self) -> list[int]:
        """Of each target: which mesh leads to it."""
        return [target % self.noc.planes for target in range(self.targets)]

    @cached_property
    def target_places(self) -> list[Place]:
        """Of each target, in its plane."""
        nodes = [self._node(number, self.channel_ports) for number in range(self.channel_ports)]
        nodes += [self._node(unit, self.units) for unit in range(self.units)]
        planes = [self._places(nodes[plane :: self.noc.planes]) for plane in range(self.noc.planes)]
        return [planes[plane][target // self.noc.planes] for target, plane in enumerate(self.target_planes)]

    def _node(self, number: int, count: int) -> int:
        return number * self.noc.nodes // count

    def _places(self, nodes: list[int]) -> list[Place]:
        found: list[Place] = []
        there: Counter[int] = Counter()
        for node in nodes:
            y, x = divmod(node, self.noc.columns)
            found.append(Place(x, y, there[node]))
            there[node] += 1
        return found
