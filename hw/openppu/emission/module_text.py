"""Writes one module."""

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence

from openppu.emission import names as naming
from openppu.emission.expression import CHOICE, INDEX, Expression, Operation, expression_width, leaves, sized_operands
from openppu.emission.netlist import Instance, Memory, Netlist, updated
from openppu.emission.registers import Action, Branch, Update, merge, split_reset
from openppu.emission.rtlil import Bits, Constant, Slice
from openppu.emission.text import Text, constant

WIDTH = 110
"""Longest line, where a line can be broken."""
CLOCK, RESET = "\\clk", "\\rst"
CHEAP = ("~", "&", "|", "^", "==", "!=", INDEX)
"""Operators of a single step that may rather be written twice than get a name that says nothing."""


def module_text(netlist: Netlist, comment: str, fields: dict[str, str]) -> str:
    """The Verilog of one simplified module.

    Parameters
    ----------
    netlist : Netlist
        From `openppu.emission.simplify.simplify`.
    comment : str
        What the module is; stands before it.
    fields : dict
        For some ports, what their bits mean.
    """
    return _Writer(netlist).module(comment, fields)


def hidden(netlist: Netlist) -> dict[str, Expression]:
    """Intermediate results without a name of their own, whose expression can stand where they are used."""
    uses = Counter(chunk.wire for bits in netlist.uses() for chunk in bits if isinstance(chunk, Slice))
    named = {netlist.whole(bits) for name, bits in netlist.aliases.items() if name[0] != "$"}
    named.update(_must_be_wires(netlist))
    result: dict[str, Expression] = {}
    for wire, parts in netlist.drivers.items():
        if wire[0] == "$" and wire not in named and len(parts) == 1:
            expression = parts[0][1]
            cheap = isinstance(expression, Operation) and expression.operator in CHEAP and expression.width == 1
            if uses[wire] == 1 or (cheap and all(_is_plain(bits, result) for bits in leaves(expression))):
                result[wire] = expression
    return result


def _is_plain(bits: Bits, hidden: dict[str, Expression]) -> bool:
    return len(bits) == 1 and not (isinstance(bits[0], Slice) and bits[0].wire in hidden)


def _must_be_wires(netlist: Netlist) -> Iterator[str]:
    """Wires of which only some bits are used somewhere, or whose operator or user needs a name."""
    for bits in netlist.uses():
        for chunk in bits:
            if isinstance(chunk, Slice) and not netlist.whole((chunk,)):
                yield chunk.wire
    for wire, parts in netlist.drivers.items():
        for _, expression in parts:
            yield from _extended(expression)
            if isinstance(expression, Operation) and expression.operator == "*":
                yield wire
            if isinstance(expression, Operation) and sum(map(_is_choice, [expression, *expression.operands])) > 1:
                yield wire


def _extended(expression: Expression) -> Iterator[str]:
    """Wires that an expression extends with their sign."""
    if isinstance(expression, Operation):
        for place, operand in enumerate(expression.operands):
            if isinstance(operand, Operation):
                yield from _extended(operand)
            elif expression.signed and (place in sized_operands(expression) or len(expression.operands) == 2):
                yield from (chunk.wire for chunk in operand if isinstance(chunk, Slice))


class _Writer:
    def __init__(self, netlist: Netlist):
        self.netlist = netlist
        widths = {name: wire.width for name, wire in netlist.wires.items()}
        self.inlined = hidden(netlist)
        self.names = naming.choose(netlist, without=self.inlined)
        self.text = Text(self.names, widths, self.inlined)
        self.carriers = {wire: port for port, wire in netlist.carriers().items()}
        changed = (name for _, body in netlist.registers for name in updated(body))
        # A memory that nothing writes is a table.
        self.registers = list(dict.fromkeys([*changed, *netlist.memories]))

    def module(self, comment: str, fields: dict[str, str]) -> str:
        blocks = [self.declarations(), self.logic(), *map(self.instance, self.netlist.instances), self.outputs()]
        blocks += [self.initial(), *self.edges()]
        body = "\n\n".join("\n".join(f"  {line}" for line in block) for block in blocks if block)
        notes = [comment, *(f"  {port}: {places}" for port, places in fields.items())]
        head = [line for note in notes for line in textwrap.wrap(note, WIDTH - 3, subsequent_indent="    ")]
        lines = [*(f"// {line}" for line in head), f"module {self.netlist.name} (", *self.ports(), ");"]
        return "\n".join(lines) + f"\n{body}\n\nendmodule\n"

    def ports(self) -> list[str]:
        ports = []
        for name, wire in self.netlist.wires.items():
            if wire.port:
                register = any(self.carriers.get(carrier) == name for carrier in self.registers)
                kind = f"{wire.port:6} {'reg ' if register else 'wire'}"
                ports.append((name not in (CLOCK, RESET), kind, _range(wire.width), self.names[name]))
        widest = max(len(width) for _, _, width, _ in ports)
        ports.sort(key=lambda port: port[0])
        lines = [f"  {kind} {width:{widest}}{' ' * (widest > 0)}{name}," for _, kind, width, name in ports]
        return [*lines[:-1], lines[-1][:-1]]

    def declarations(self) -> list[str]:
        lines = []
        for name in self.registers:
            if name in self.netlist.memories:
                memory = self.netlist.memories[name]
                if memory.style:
                    lines.append(f'  (* ram_style = "{memory.style}" *)')
                lines.append(f"{self.declaration('reg', name, memory.width)[:-1]} [0:{memory.depth - 1}];")
            elif name not in self.carriers and not self.netlist.wires[name].port:
                lines.append(self.declaration("reg", name, self.netlist.wires[name].width))
        for instance in self.netlist.instances:
            for bits in instance.outputs.values():
                lines += self.declared(self.netlist.whole(bits))
        return lines

    def declaration(self, kind: str, name: str, width: int) -> str:
        return f"{kind} {_range(width)}{' ' * (width > 1)}{self.names[name]};"

    def logic(self) -> list[str]:
        """Wires and what drives them, each after those that it looks at."""
        lines: list[str] = []
        done: set[str] = set()
        waiting: list[tuple[str, bool]] = [(wire, False) for wire in reversed(self.netlist.drivers)]
        open_wires: set[str] = set()
        while waiting:
            wire, ready = waiting.pop()
            if ready:
                lines += self.driver(wire, declared=wire in done)
                done.add(wire)
            elif wire in open_wires and wire not in done:
                lines += self.declared(wire)  # looks at other bits of itself
                done.add(wire)
            elif wire not in done:
                open_wires.add(wire)
                waiting.append((wire, True))
                waiting += [(other, False) for other in self.sources(wire)]
        return lines

    def sources(self, wire: str) -> list[str]:
        found = []
        for _, expression in self.netlist.drivers[wire]:
            for bits in leaves(expression):
                found += [c.wire for c in bits if isinstance(c, Slice) and c.wire in self.netlist.drivers]
        return found[::-1]

    def declared(self, wire: str) -> list[str]:
        plain = wire not in self.carriers and not self.netlist.wires[wire].port and wire not in self.inlined
        return [self.declaration("wire", wire, self.netlist.wires[wire].width)] if plain else []

    def driver(self, wire: str, *, declared: bool) -> list[str]:
        if wire in self.inlined:
            return []
        parts = self.netlist.drivers[wire]
        lines = [] if declared else self.declared(wire)
        if len(parts) == 1 and lines:
            return self.statement(lines[0][:-1], "=", parts[0][1])
        for low, expression in parts:
            place = self.text.slice(Slice(wire, low, expression_width(expression)))
            lines += self.statement(f"assign {place}", "=", expression)
        return lines

    def statement(self, target: str, sign: str, value: Expression) -> list[str]:
        """An assignment; a long choice has a line for each case."""
        text = self.text.expression(value)
        if len(target) + len(text) + 6 <= WIDTH or not _is_choice(value):
            return _wrapped(f"{target} {sign} {text};")
        lines = [f"{target} {sign}"]
        while isinstance(value, Operation) and value.operator == CHOICE:
            test, yes, value = value.operands
            lines += _wrapped(f"  {self.text.operand(test)} ? {self.text.operand(yes)} :")
        return [*lines, *_wrapped(f"  {self.text.operand(value)};")]

    def outputs(self) -> list[str]:
        lines = []
        for port, bits in self.netlist.outputs.items():
            if self.carriers.get(getattr(bits[0], "wire", "")) != port:
                lines += self.statement(f"assign {self.names[port]}", "=", bits)
        return lines

    def instance(self, instance: Instance) -> list[str]:
        ports = [f".{port}({self.text.expression(bits)})" for port, bits in instance.ports().items()]
        lines = [line for port in ports for line in _wrapped(f"  {port}{',' * (port is not ports[-1])}")]
        return [f"{instance.module} {self.names[instance.name]} (", *lines, ");"]

    def initial(self) -> list[str]:
        """Values at power-up."""
        lines = []
        for name in self.registers:
            if name in self.netlist.memories:
                lines += self.words(name, self.netlist.memories[name])
            elif self.netlist.wires[name].init:
                lines.append(f"  {self.names[name]} = {constant(Constant(self.netlist.wires[name].init))};")
        if not lines:
            return []
        loop = [f"integer {self.names['$loop']};"] if any(" for " in line for line in lines) else []
        return [*loop, "initial begin", *lines, "end"]

    def words(self, name: str, memory: Memory) -> list[str]:
        width, depth, memory_name, i = memory.width, memory.depth, self.names[name], self.names["$loop"]
        words = [memory.init[len(memory.init) - width * (n + 1) : len(memory.init) - width * n] for n in range(depth)]
        if len(set(words)) == 1:
            word = constant(Constant(words[0]))
            return [f"  for ({i} = 0; {i} < {depth}; {i} = {i} + 1) {memory_name}[{i}] = {word};"]
        return [f"  {memory_name}[{n}] = {constant(Constant(word))};" for n, word in enumerate(words)]

    def edges(self) -> list[list[str]]:
        blocks = []
        reset_bit: Bits = (Slice(RESET, 0, 1),)
        for clock in dict.fromkeys(clock for clock, _ in self.netlist.registers):
            free: list[Action] = []
            running: list[Action] = []
            resetting: list[Action] = []
            for _, body in (entry for entry in self.netlist.registers if entry[0] == clock):
                normal, reset = split_reset(body, reset_bit)
                merge(running if reset else free, normal)
                merge(resetting, reset)
            branch = [Branch([(reset_bit, resetting), (None, running)])] if resetting else []
            lines = self.actions([*free, *branch], "  ")
            blocks.append([f"always @(posedge {self.text.expression(clock)}) begin", *lines, "end"])
        return blocks

    def actions(self, body: Sequence[Action], indent: str) -> list[str]:
        lines = []
        for action in body:
            if isinstance(action, Update):
                lines += [indent + line for line in self.statement(self.target(action), "<=", action.value)]
                continue
            for place, (test, inner) in enumerate(action.arms):
                word = "else " if place else ""
                word += f"if ({self.text.expression(test)}) " if test is not None else ""
                lines += [f"{indent}{word}begin", *self.actions(inner, indent + "  "), f"{indent}end"]
        return _joined_else(lines)

    def target(self, update: Update) -> str:
        if update.index is None:
            return self.text.slice(Slice(update.wire, update.low, update.width))
        word = self.text.row(update.wire, update.index)
        if update.width == self.netlist.memories[update.wire].width:
            return word
        return f"{word}[{update.low + update.width - 1}:{update.low}]"


def _is_choice(expression: Expression) -> bool:
    return isinstance(expression, Operation) and expression.operator == CHOICE


def _joined_else(lines: list[str]) -> list[str]:
    """``end else`` on one line."""
    result: list[str] = []
    for line in lines:
        if line.lstrip().startswith("else ") and result:
            result[-1] += f" {line.lstrip()}"
        else:
            result.append(line)
    return result


def _range(width: int) -> str:
    return f"[{width - 1}:0]" if width > 1 else ""


def _wrapped(line: str) -> list[str]:
    if len(line) <= WIDTH:
        return [line]
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    return textwrap.wrap(line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
