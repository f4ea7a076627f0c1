"""Finds the driver of each wire, and takes out wires that only pass a value on."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

from openppu.emission.expression import BINARY, CHOICE, INDEX, REDUCTIONS, UNARY, Expression, Operation, chosen, targets
from openppu.emission.netlist import Instance, Memory, Netlist
from openppu.emission.registers import Action, Branch, Update, actions, without_holds
from openppu.emission.rtlil import (
    Assign,
    Bits,
    Cell,
    Chunk,
    Constant,
    Module,
    Slice,
    Statement,
    Switch,
    Wire,
    joined,
    one_slice,
    part,
    width_of,
)


def build(module: Module, output_ports: dict[str, list[str]]) -> Netlist:
    """Find the driver of each wire of a flattened module.

    Parameters
    ----------
    module : Module
        As `openppu.emission.flatten.flatten` left it.
    output_ports : dict
        For each module that may be used, the names of its outputs.

    Raises
    ------
    ValueError
        If a cell is of a kind that is not known here.
    """
    aliases: dict[str, Bits] = {}
    for target, value in module.connects:
        aliases[_whole(target).wire] = value
    processes = {}
    for body in module.processes:
        first = next(targets(body), None)
        if first is None:  # it chooses among values of no bits
            continue
        driven = _place(first).wire
        plain = [statement for statement in body if isinstance(statement, Assign)]
        if len(plain) == len(body):
            aliases[driven] = _assigned(plain)
        else:
            processes[driven] = body

    resolve = _Resolver(aliases)
    netlist = Netlist(module.name.lstrip("\\"), dict(module.wires))
    netlist.outputs = {
        name: resolve((Slice(name, 0, wire.width),)) for name, wire in module.wires.items() if wire.port == "output"
    }
    netlist.aliases = {name: resolve(bits) for name, bits in aliases.items()}
    cells = [replace(cell, ports={name: resolve(bits) for name, bits in cell.ports.items()}) for cell in module.cells]
    processes = {wire: _changed(body, resolve) for wire, body in processes.items()}
    _Cells(netlist, processes).read(cells, module.memories, output_ports)
    for wire, body in processes.items():
        netlist.drivers[wire] = _pieces(body, netlist.wires[wire].width)
    return netlist


class _Resolver:
    """Replaces wires that stand for a value by the value."""

    def __init__(self, aliases: dict[str, Bits]):
        self.aliases = aliases

    def __call__(self, bits: Bits) -> Bits:
        if all(isinstance(chunk, Constant) or chunk.wire not in self.aliases for chunk in bits):
            return bits
        chunks: list[Chunk] = []
        for chunk in bits:
            if isinstance(chunk, Slice) and chunk.wire in self.aliases:
                chunks += self(part(self.aliases[chunk.wire], chunk.low, chunk.width))
            else:
                chunks.append(chunk)
        return joined(chunks)


def _assigned(body: list[Assign]) -> Bits:
    value: Bits = ()
    for statement in body:
        target = _place(statement.target)
        end = target.low + target.width
        after = part(value, end, max(width_of(value) - end, 0))
        value = joined([*part(value, 0, target.low), *statement.value, *after])
    return value


def _pieces(body: list[Statement], width: int) -> list[tuple[int, Expression]]:
    """The wire's parts that are always assigned together, each with its value."""
    edges = {0, width}
    for target in targets(body):
        place = _place(target)
        edges |= {place.low, place.low + place.width}
    result = []
    for low, high in pairwise(sorted(edges)):
        value = chosen(body, low, high - low, None)
        assert value is not None
        result.append((low, value))
    return result


class _Cells:
    """Sorts the cells of a module into a netlist."""

    def __init__(self, netlist: Netlist, processes: dict[str, list[Statement]]):
        self.netlist = netlist
        self.processes = processes

    def read(
        self, cells: list[Cell], memories: dict[str, tuple[int, int, str]], output_ports: dict[str, list[str]]
    ) -> None:
        for cell in cells:
            if cell.kind[0] == "\\":
                self.instance(cell, output_ports[cell.kind])
            elif cell.kind == "$meminit_v2":
                name = self.memory(cell)
                self.netlist.memories[name] = Memory(*memories[name], _digits(cell.ports["DATA"]))
            elif cell.kind == "$memrd_v2":
                self.read_port(cell)
            elif cell.kind == "$memwr_v2":
                self.write_port(cell)
            elif cell.kind == "$dff":
                self.register(cell)
            else:
                wire, expression = self.logic(cell)
                self.netlist.drivers[wire] = [(0, expression)]

    def instance(self, cell: Cell, outputs: list[str]) -> None:
        inputs = {port: bits for port, bits in cell.ports.items() if port not in outputs}
        driven = {port: bits for port, bits in cell.ports.items() if port in outputs}
        self.netlist.instances.append(Instance(cell.kind[1:], cell.name, inputs, driven))

    def logic(self, cell: Cell) -> tuple[str, Expression]:
        # Nothing counts as 0; but of nothing, all bits are set.
        nothing = Constant("1" if cell.kind == "$reduce_and" else "0")
        ports = {port: bits or (nothing,) for port, bits in cell.ports.items()}
        wire, _, width = _whole(ports["Y"])
        signed = cell.parameters.get("A_SIGNED") == "1"
        if cell.kind == "$mux":
            return wire, Operation(CHOICE, (ports["S"], ports["B"], ports["A"]), width)
        if cell.kind in REDUCTIONS and width_of(ports["A"]) == 1:
            return wire, ports["A"]
        if not signed and _always(cell.kind, ports):
            return wire, (Constant("1"),)
        if cell.kind in UNARY:
            operator = UNARY[cell.kind] + ("r" if cell.kind in REDUCTIONS else "")
            return wire, Operation("neg" if operator == "-" else operator, (ports["A"],), width, signed)
        if cell.kind in BINARY:
            return wire, Operation(BINARY[cell.kind], (ports["A"], ports["B"]), width, signed)
        if cell.kind == "$shift":
            return wire, self.selected(ports["A"], ports["B"], width, signed)
        raise ValueError(f"cell {cell.name} of {self.netlist.name}: no Verilog is known for {cell.kind}")

    def selected(self, value: Bits, place: Bits, width: int, signed: bool) -> Expression:
        """The bits of a value from a variable place on; zeros past its end, as Yosys defines it."""
        if width == 1 and self.netlist.whole(value) and width_of(value) >= 1 << width_of(place):
            return Operation(INDEX, (value, place), 1)
        wide = max(width, width_of(value))
        wire = f"$shifted{len(self.netlist.wires)}"
        self.netlist.wires[wire] = Wire(wide)
        self.netlist.drivers[wire] = [(0, Operation(">>", (value, place), wide, signed))]
        return (Slice(wire, 0, width),)

    def register(self, cell: Cell) -> None:
        wire, _, width = _whole(cell.ports["Q"])
        self.clocked(cell)
        data = cell.ports["D"]
        next_wire = self.netlist.whole(data)
        body: list[Action] = [Update(wire, 0, width, data)]
        if next_wire in self.processes and next_wire[0] == "$":
            body = actions(self.processes.pop(next_wire), next_wire, wire)
        self.netlist.registers.append((cell.ports["CLK"], without_holds(body)))

    def read_port(self, cell: Cell) -> None:
        memory = self.memory(cell)
        wire, _, width = _whole(cell.ports["DATA"])
        word = Operation(INDEX, ((Slice(memory, 0, width),), cell.ports["ADDR"]), width)
        if cell.parameters["CLK_ENABLE"] == "0":
            self.netlist.drivers[wire] = [(0, word)]
            return
        self.clocked(cell)
        if "1" in cell.parameters["TRANSPARENCY_MASK"].partition("'")[2]:
            raise ValueError(f"memory {memory} of {self.netlist.name}: a transparent read port cannot be emitted")
        body = [Update(wire, 0, width, word)]
        self.netlist.registers.append((cell.ports["CLK"], _enabled(cell.ports["EN"], body)))

    def write_port(self, cell: Cell) -> None:
        self.clocked(cell)
        memory = self.memory(cell)
        enable, data = cell.ports["EN"], cell.ports["DATA"]
        places = [part(enable, bit, 1) for bit in range(width_of(enable))]
        body: list[Action] = []
        low = 0
        for bit in range(1, len(places) + 1):
            if bit == len(places) or places[bit] != places[low]:
                update = Update(memory, low, bit - low, part(data, low, bit - low), index=cell.ports["ADDR"])
                body += _enabled(places[low], [update])
                low = bit
        self.netlist.registers.append((cell.ports["CLK"], body))

    def memory(self, cell: Cell) -> str:
        return cell.parameters["MEMID"].strip('"').replace("\\\\", "\\")

    def clocked(self, cell: Cell) -> None:
        if cell.parameters["CLK_POLARITY"] != "1":
            raise ValueError(f"cell {cell.name} of {self.netlist.name}: only the rising edge of a clock is known")


def _always(kind: str, ports: dict[str, Bits]) -> bool:
    """Whether a comparison holds whatever its operands are, which a parameter at the end of its range can cause."""
    if kind == "$le":
        limit = ports["B"][0]
        return isinstance(limit, Constant) and limit.digits == "1" * max(limit.width, width_of(ports["A"]))
    return kind == "$eq" and ports["A"] == ports["B"]


def _place(target: Bits) -> Slice:
    """The only part of what is assigned to."""
    place = one_slice(target)
    assert place is not None
    return place


def _whole(target: Bits) -> Slice:
    assert _place(target).low == 0
    return _place(target)


def _digits(bits: Bits) -> str:
    return "".join(chunk.digits for chunk in reversed(bits) if isinstance(chunk, Constant))


def _enabled(enable: Bits, body: list[Update]) -> list[Action]:
    if enable == (Constant("1"),):
        return list(body)
    return [Branch([(enable, list(body))])]


def _changed(body: list[Statement], change: Callable[[Bits], Bits]) -> list[Statement]:
    """A process with every value, but no target, changed."""
    result: list[Statement] = []
    for statement in body:
        if isinstance(statement, Assign):
            result.append(Assign(statement.target, change(statement.value)))
        else:
            cases = [(patterns, _changed(inner, change)) for patterns, inner in statement.cases]
            result.append(Switch(change(statement.value), cases))
    return result
