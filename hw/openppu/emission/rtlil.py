"""Reads the part of RTLIL, Yosys' netlist text, that Amaranth writes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple


class Slice(NamedTuple):
    """Bits ``low`` to ``low + width - 1`` of a wire."""

    wire: str
    low: int
    width: int


class Constant(NamedTuple):
    """Known bits, the most significant first."""

    digits: str

    @property
    def width(self) -> int:
        """Number of bits."""
        return len(self.digits)


Chunk = Slice | Constant
Bits = tuple[Chunk, ...]
"""A value put together from parts, the least significant first."""


def width_of(bits: Bits) -> int:
    """Number of bits of a value."""
    return sum(chunk.width for chunk in bits)


def joined(chunks: Iterator[Chunk] | list[Chunk]) -> Bits:
    """The chunks as one value, neighbours that continue each other merged."""
    result: list[Chunk] = []
    for chunk in chunks:
        last = result[-1] if result else None
        if chunk.width == 0:
            continue
        if isinstance(chunk, Constant) and isinstance(last, Constant):
            result[-1] = Constant(chunk.digits + last.digits)
        elif isinstance(chunk, Slice) and isinstance(last, Slice) and chunk[:2] == (last.wire, last.low + last.width):
            result[-1] = Slice(last.wire, last.low, last.width + chunk.width)
        else:
            result.append(chunk)
    return tuple(result)


def part(bits: Bits, low: int, width: int) -> Bits:
    """Bits ``low`` to ``low + width - 1`` of a value."""
    chunks: list[Chunk] = []
    for chunk in bits:
        first, last = max(low, 0), min(low + width, chunk.width)
        if first < last:
            if isinstance(chunk, Slice):
                chunks.append(Slice(chunk.wire, chunk.low + first, last - first))
            else:
                chunks.append(Constant(chunk.digits[chunk.width - last : chunk.width - first]))
        low -= chunk.width
    return joined(chunks)


def one_slice(bits: Bits) -> Slice | None:
    """The value's only part, if it is one and part of a wire."""
    return bits[0] if len(bits) == 1 and isinstance(bits[0], Slice) else None


@dataclass
class Wire:
    """A wire; ``port`` is empty, ``input`` or ``output``; ``init`` its register's value at power-up."""

    width: int
    port: str = ""
    init: str = ""


@dataclass
class Cell:
    """An operator, register, memory port, or (if ``kind`` begins with a backslash) a use of a module."""

    kind: str
    name: str
    parameters: dict[str, str] = field(default_factory=dict)
    ports: dict[str, Bits] = field(default_factory=dict)


@dataclass
class Assign:
    """In a process: ``target`` gets ``value``."""

    target: Bits
    value: Bits


@dataclass
class Switch:
    """In a process: the body of the first case with a pattern that matches; no pattern matches anything."""

    value: Bits
    cases: list[tuple[tuple[str, ...], list["Statement"]]]


Statement = Assign | Switch


@dataclass
class Module:
    """One module as Amaranth wrote it."""

    name: str
    wires: dict[str, Wire] = field(default_factory=dict)
    memories: dict[str, tuple[int, int, str]] = field(default_factory=dict)
    """Width, depth, and the attribute ``ram_style`` or nothing."""
    cells: list[Cell] = field(default_factory=list)
    processes: list[list[Statement]] = field(default_factory=list)
    connects: list[tuple[Bits, Bits]] = field(default_factory=list)


def read(text: str) -> list[Module]:
    """Read every module of a netlist.

    Raises
    ------
    ValueError
        If a line is not of the part of RTLIL that is known here.
    """
    lines = (line.split() for line in text.splitlines())
    reader = _Reader(words for words in lines if words)
    return list(reader.modules())


def _without_empty(module: Module) -> Module:
    """The module without what has no bits, such as the number of a row among one."""
    module.wires = {name: wire for name, wire in module.wires.items() if wire.width}
    module.connects = [(target, value) for target, value in module.connects if target]
    module.processes = [body for body in module.processes if body]
    module.cells = [cell for cell in module.cells if cell.ports.get("Y", cell.ports.get("Q")) != ()]
    for cell in module.cells:
        if cell.kind[0] == "\\":
            cell.ports = {port: bits for port, bits in cell.ports.items() if bits}
    return module


class _Reader:
    def __init__(self, lines: Iterator[list[str]]):
        self.lines = lines
        self.wires: dict[str, Wire] = {}

    def modules(self) -> Iterator[Module]:
        for words in self.lines:
            if words[0] == "module":
                yield self.module(words[1])
            elif words[0] != "attribute":
                raise ValueError(f"RTLIL outside a module: {' '.join(words)}")

    def module(self, name: str) -> Module:
        module = Module(name)
        self.wires = module.wires
        attributes: dict[str, str] = {}
        for words in self.lines:
            if words[0] == "end":
                return _without_empty(module)
            if words[0] == "attribute":
                attributes[words[1]] = words[2]
                continue
            if words[0] == "wire":
                port = next((word for word in words if word in ("input", "output")), "")
                init = attributes.get("\\init", "").partition("'")[2]
                module.wires[words[-1]] = Wire(int(words[words.index("width") + 1]), port, init)
            elif words[0] == "memory":
                width, depth = (int(words[words.index(key) + 1]) for key in ("width", "size"))
                module.memories[words[-1]] = (width, depth, attributes.get("\\ram_style", "").strip('"'))
            elif words[0] == "cell":
                module.cells.append(self.cell(Cell(words[1], words[2])))
            elif words[0] == "process":
                module.processes.append(self.body()[0])
            elif words[0] == "connect":
                module.connects.append(self.pair(words))
            else:
                raise ValueError(f"RTLIL line of an unknown kind: {' '.join(words)}")
            attributes = {}
        raise ValueError(f"RTLIL ends within module {name}")

    def cell(self, cell: Cell) -> Cell:
        for words in self.lines:
            if words[0] == "end":
                break
            if words[0] == "parameter":
                cell.parameters[words[-2].lstrip("\\")] = words[-1]
            elif words[0] == "connect":
                cell.ports[words[1].lstrip("\\")] = self.bits(words[2:])[0]
        return cell

    def body(self) -> tuple[list[Statement], list[str]]:
        """Statements up to the ``end`` or ``case`` that ends them, and that line."""
        statements: list[Statement] = []
        for words in self.lines:
            if words[0] == "assign":
                target, value = self.pair(words)
                if target:
                    statements.append(Assign(target, value))
            elif words[0] == "switch":
                switch = self.switch(self.bits(words[1:])[0])
                # Of a value without bits, the first case always matches.
                statements += [switch] if switch.value else switch.cases[0][1] if switch.cases else []
            elif words[0] in ("end", "case"):
                return statements, words
        raise ValueError("RTLIL ends within a process")

    def switch(self, value: Bits) -> Switch:
        _, words = self.body()
        switch = Switch(value, [])
        while words[0] == "case":
            patterns = tuple(word.rstrip(",").partition("'")[2] for word in words[1:])
            body, words = self.body()
            switch.cases.append((patterns, body))
        return switch

    def pair(self, words: list[str]) -> tuple[Bits, Bits]:
        target, rest = self.bits(words[1:])
        return target, self.bits(rest)[0]

    def bits(self, words: list[str]) -> tuple[Bits, list[str]]:
        """The value at the beginning of the words, and the words after it."""
        if words[0] == "{":
            chunks: list[Chunk] = []
            words = words[1:]
            while words[0] != "}":
                chunk, words = self.chunk(words)
                chunks.insert(0, chunk)
            return joined(chunks), words[1:]
        chunk, words = self.chunk(words)
        return joined([chunk]), words

    def chunk(self, words: list[str]) -> tuple[Chunk, list[str]]:
        word, rest = words[0], words[1:]
        if word[0] not in "\\$":
            return Constant(word.partition("'")[2]), rest
        place = re.fullmatch(r"\[(\d+)(?::(\d+))?\]", rest[0]) if rest else None
        if place is None:
            return Slice(word, 0, self.wires[word].width), rest
        high, low = int(place[1]), int(place[2] or place[1])
        return Slice(word, low, high - low + 1), rest[1:]
