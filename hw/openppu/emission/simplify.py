"""Takes out what has no effect."""

from collections.abc import Iterable, Iterator

from openppu.emission.expression import can_narrow, expression_width, leaves, narrowed
from openppu.emission.netlist import Netlist, action_leaves, updated
from openppu.emission.rtlil import Bits, Slice, Wire


def simplify(netlist: Netlist) -> None:
    """Drop what nothing looks at, and the high bits of intermediate results that nothing looks at."""
    _drop_dead(netlist)
    while _narrow(netlist):
        _drop_dead(netlist)


def _drop_dead(netlist: Netlist) -> None:
    """Keep what reaches an output or an instance."""
    behind: dict[str, set[str]] = {}
    for wire, parts in netlist.drivers.items():
        behind[wire] = {name for _, expression in parts for name in _names(leaves(expression))}
    for clock, body in netlist.registers:
        for wire in updated(body):
            behind.setdefault(wire, set()).update(_names(action_leaves(body)), _names([clock]))
    inputs = (bits for instance in netlist.instances for bits in instance.inputs.values())
    waiting = [*_names(netlist.outputs.values()), *_names(inputs)]
    live = set(waiting)
    while waiting:
        fresh = behind.get(waiting.pop(), set()) - live
        live |= fresh
        waiting += fresh
    netlist.drivers = {wire: parts for wire, parts in netlist.drivers.items() if wire in live}
    netlist.registers = [(clock, body) for clock, body in netlist.registers if live.intersection(updated(body))]
    netlist.memories = {name: memory for name, memory in netlist.memories.items() if name in live}


def _names(values: Iterable[Bits]) -> Iterator[str]:
    return (chunk.wire for bits in values for chunk in bits if isinstance(chunk, Slice))


def _narrow(netlist: Netlist) -> bool:
    """Leave out unused high bits of intermediate results; whether there were any."""
    used: dict[str, int] = {}
    for bits in netlist.uses():
        for chunk in bits:
            if isinstance(chunk, Slice):
                used[chunk.wire] = max(used.get(chunk.wire, 0), chunk.low + chunk.width)
    changed = False
    for wire, parts in netlist.drivers.items():
        expression = parts[0][1]
        width = used[wire]
        if wire[0] == "$" and len(parts) == 1 and width < expression_width(expression) and can_narrow(expression):
            netlist.drivers[wire] = [(0, narrowed(expression, width))]
            netlist.wires[wire] = Wire(width)
            changed = True
    return changed
