"""A module as what drives each wire."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from openppu.emission.expression import Expression, leaves
from openppu.emission.registers import Action, Update
from openppu.emission.rtlil import Bits, Wire, one_slice


@dataclass
class Memory:
    """A memory; ``style`` asks for a kind of RAM; ``init`` has the digits of all its words, the last word first."""

    width: int
    depth: int
    style: str
    init: str


@dataclass
class Instance:
    """One use of a module: what is connected to its inputs, and the wires that its outputs drive."""

    module: str
    name: str
    inputs: dict[str, Bits]
    outputs: dict[str, Bits]

    def ports(self) -> dict[str, Bits]:
        """Inputs, then outputs."""
        return self.inputs | self.outputs


@dataclass
class Netlist:
    """A module, each of whose wires has one driver.

    Attributes
    ----------
    wires : dict of str to Wire
    drivers : dict of str to list of (low bit, expression)
        What drives a wire by logic, from its lowest bits up.
    registers : list of (clock, actions)
        What a clock edge does, one entry for each register, read port and write port.
    memories : dict of str to Memory
    instances : list of Instance
    outputs : dict of str to Bits
        What each output port gives.
    aliases : dict of str to Bits
        What other names, of wires that are gone, stand for.
    """

    name: str
    wires: dict[str, Wire]
    drivers: dict[str, list[tuple[int, Expression]]] = field(default_factory=dict)
    registers: list[tuple[Bits, list[Action]]] = field(default_factory=list)
    memories: dict[str, Memory] = field(default_factory=dict)
    instances: list[Instance] = field(default_factory=list)
    outputs: dict[str, Bits] = field(default_factory=dict)
    aliases: dict[str, Bits] = field(default_factory=dict)

    def uses(self) -> Iterator[Bits]:
        """Every value that something looks at."""
        for parts in self.drivers.values():
            for _, expression in parts:
                yield from leaves(expression)
        for clock, body in self.registers:
            yield clock
            yield from action_leaves(body)
        for instance in self.instances:
            yield from instance.inputs.values()
        yield from self.outputs.values()

    def carriers(self) -> dict[str, str]:
        """For each output port that is just a register or wire of the module, that wire."""
        result: dict[str, str] = {}
        for port, bits in self.outputs.items():
            wire = self.whole(bits)
            if wire == port or (wire and wire not in result.values() and not self.wires[wire].port):
                result[port] = wire
        return result

    def whole(self, bits: Bits) -> str:
        """The wire that a value is all of, or an empty text."""
        place = one_slice(bits)
        return place.wire if place and place.wire in self.wires and place.width == self.wires[place.wire].width else ""


def action_leaves(body: list[Action]) -> Iterator[Bits]:
    """Every value that actions look at."""
    for action in body:
        if isinstance(action, Update):
            yield from leaves(action.value)
            if action.index is not None:
                yield action.index
        else:
            for test, inner in action.arms:
                yield from leaves(test) if test is not None else ()
                yield from action_leaves(inner)


def updated(body: Sequence[Action]) -> Iterator[str]:
    """The registers and memories that actions change, some more than once."""
    for action in body:
        if isinstance(action, Update):
            yield action.wire
        else:
            for _, inner in action.arms:
                yield from updated(inner)
