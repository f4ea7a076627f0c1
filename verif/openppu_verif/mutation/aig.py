"""And-inverter graphs: a netlist as ABC sees it, built again with some inputs set."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NewType

Literal = NewType("Literal", int)
"""Twice a node's number, plus one for its inverse."""

FALSE, TRUE = Literal(0), Literal(1)


def inverse(a: Literal) -> Literal:
    """Not ``a``."""
    return Literal(a ^ 1)


class Graph:
    """Gates that are never doubled: what is built twice from the same inputs is the same literal."""

    def __init__(self) -> None:
        self._gates: dict[tuple[Literal, Literal], Literal] = {}
        self._last = 0

    def variable(self) -> Literal:
        """An input or a register's output."""
        self._last += 1
        return Literal(2 * self._last)

    def both(self, a: Literal, b: Literal) -> Literal:
        """``a`` and ``b``."""
        if a > b:
            a, b = b, a
        if a == FALSE or a == b ^ 1:
            return FALSE
        if a in (TRUE, b):
            return b
        result = self._gates.get((a, b))
        if result is None:
            result = self._gates[a, b] = self.variable()
        return result

    def any(self, options: Iterable[Literal]) -> Literal:
        """Whether one of them is set."""
        none = TRUE
        for option in options:
            none = self.both(none, inverse(option))
        return inverse(none)

    def differ(self, a: Literal, b: Literal) -> Literal:
        """``a`` or ``b``, not both."""
        return self.any((self.both(a, inverse(b)), self.both(inverse(a), b)))

    def write(self, path: Path, bad: Literal, registers: Sequence[tuple[Literal, Literal]]) -> None:
        """Write an AIGER file of what decides whether ``bad`` is ever set.

        Parameters
        ----------
        path : Path
        bad : Literal
        registers : sequence of (Literal, Literal)
            A register's output and what it becomes. They start at 0.
        """
        gates = {gate: inputs for inputs, gate in self._gates.items()}
        becomes = dict(registers)
        found: set[Literal] = set()
        unseen = [bad]
        while unseen:
            node = Literal(unseen.pop() & ~1)
            if node not in found and node != FALSE:
                found.add(node)
                unseen += gates[node] if node in gates else [becomes[node]] if node in becomes else []
        inputs = [node for node in found if node not in gates and node not in becomes]
        kept = [node for node in becomes if node in found]
        ordered = sorted(node for node in found if node in gates)
        number = {node: 2 * place for place, node in enumerate([FALSE, *inputs, *kept, *ordered])}

        def new(literal: Literal) -> int:
            return number[Literal(literal & ~1)] | (literal & 1)

        head = f"aig {len(number) - 1} {len(inputs)} {len(kept)} 1 {len(ordered)}"
        lines = [head, *(str(new(becomes[node])) for node in kept), str(new(bad)), ""]
        body = bytearray()
        for gate in ordered:
            high, low = sorted(map(new, gates[gate]), reverse=True)
            for delta in (number[gate] - high, high - low):
                while delta >= 128:
                    body.append(delta & 127 | 128)
                    delta >>= 7
                body.append(delta)
        path.write_bytes("\n".join(lines).encode() + bytes(body))


@dataclass(frozen=True)
class Netlist:
    """A design from an AIGER file.

    Parameters
    ----------
    inputs, registers, seen : sequence of (str, int)
        Name and bit of each input, register and output.
    nexts : sequence of int
        Literals in the file: what each register becomes.
    outputs : sequence of int
        Outputs, or what must never be set where the file has assertions.
    gates : sequence of (int, int)
        Both inputs of each.
    """

    inputs: Sequence[tuple[str, int]]
    registers: Sequence[tuple[str, int]]
    seen: Sequence[tuple[str, int]]
    nexts: Sequence[int]
    outputs: Sequence[int]
    gates: Sequence[tuple[int, int]]

    def build(
        self, graph: Graph, inputs: Sequence[Literal], registers: Sequence[Literal]
    ) -> tuple[list[Literal], list[Literal]]:
        """Put the design into a graph, with these inputs and registers; what the registers become, and the outputs."""
        values = [FALSE, *inputs, *registers]
        for a, b in self.gates:
            values.append(graph.both(Literal(values[a >> 1] ^ (a & 1)), Literal(values[b >> 1] ^ (b & 1))))

        def of(literals: Iterable[int]) -> list[Literal]:
            return [Literal(values[literal >> 1] ^ (literal & 1)) for literal in literals]

        return of(self.nexts), of(self.outputs)


def read_netlist(aiger: Path, names: Path) -> Netlist:
    """Read a binary AIGER file without constraints, and Yosys's map of names beside it."""
    data = aiger.read_bytes()
    place = data.index(b"\n")
    sizes = [int(word) for word in data[:place].split()[1:]]
    _, inputs, registers, outputs, gates, bads, *_ = [*sizes, 0]
    lines = data[place + 1 :].split(b"\n", registers + outputs + bads)
    nexts = [int(line.split()[0]) for line in lines[:registers]]
    seen = [int(line) for line in lines[registers:-1]]
    code = iter(lines[-1])

    def delta() -> int:
        value = shift = 0
        while (byte := next(code)) >= 128:
            value |= (byte & 127) << shift
            shift += 7
        return value | byte << shift

    pairs = []
    for gate in range(gates):
        high = 2 * (inputs + registers + gate + 1) - delta()
        pairs.append((high, high - delta()))
    known: dict[str, dict[int, tuple[str, int]]] = {"input": {}, "latch": {}, "output": {}}
    for line in names.read_text(encoding="utf-8").splitlines():
        kind, index, *rest = line.split(maxsplit=3)
        if kind in known:
            known[kind][int(index)] = (rest[1], int(rest[0]))
    return Netlist(
        inputs=[known["input"].get(index, ("", 0)) for index in range(inputs)],
        registers=[known["latch"].get(index, ("", 0)) for index in range(registers)],
        seen=[known["output"].get(index, ("", 0)) for index in range(bads or outputs)],
        nexts=nexts,
        outputs=seen[outputs:] if bads else seen,
        gates=pairs,
    )
