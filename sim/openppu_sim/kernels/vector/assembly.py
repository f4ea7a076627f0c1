"""The vector unit's instructions: as objects, as text, as words of memory.

In text a program is a line an instruction::

    loop 0
      r1 = COPY s0
      r2 = MULTIPLY_ADD r1, r1, r2
    end
    r3.packed = ADD r2, r2^4
    r1, s4 = MULTIPLY r1, r3.spread
    stop

``r`` is a register (``.spread``, ``^cross``, ``+shift``), ``p`` a parameter, ``s`` a stream (4 to 7: output), ``index``
the index; any other word is a constant: a number with a point, ``inf`` or ``nan`` is a binary32, any other an integer.
After a colon stands the number of rows, or ``packed``; ``#`` begins a comment.
"""

import math
import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from openppu.vector.instruction import (
    INPUTS,
    INSTRUCTION_BYTES,
    PACKED_ROWS,
    STRIP,
    Kind,
    Source,
    Target,
    instruction_layout,
)
from openppu.vector.operation import Operation

LAYOUT = instruction_layout()
PLACES = {str(name): (place.offset, place.width) for name, place in LAYOUT}
"""Of an instruction's fields: the lowest bit, and how many."""

OF_REGISTERS = (Source.REGISTER, Source.SPREAD, Source.CROSS, Source.SHIFTED)


class AssemblyError(ValueError):
    """Text that is no program; one line, with its number."""


@dataclass(frozen=True)
class Operand:
    """Where an operand comes from: its kind, and the number of a register, constant, parameter or stream."""

    kind: Any
    number: int = 0


NOTHING = Operand(Source.CONSTANT, 1)
"""What an operation does not need is fetched from the second constant, 0 unless it is used."""


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """An instruction; ``docs/vector.md`` defines each field.

    Parameters
    ----------
    kind : Kind
    operation : Operation
    target_kind : Target
    target, stream : int
        A register; the number of an output stream, from 0.
    a, b, c : Operand
    constants : pair of int
        Two words.
    rows : int
        `STRIP`, `PACKED_ROWS`, or how many.
    cross, shift : int
        Of operands of these kinds.
    """

    kind: Any = Kind.COMPUTE
    operation: Any = Operation.ADD
    target_kind: Any = Target.REGISTER
    target: int = 0
    stream: int = 0
    a: Operand = NOTHING
    b: Operand = NOTHING
    c: Operand = NOTHING
    constants: tuple[int, int] = (0, 0)
    rows: int = STRIP
    cross: int = 0
    shift: int = 0

    @property
    def operands(self) -> tuple[Operand, Operand, Operand]:
        """All three."""
        return (self.a, self.b, self.c)


STOP = Instruction(kind=Kind.STOP)
END = Instruction(kind=Kind.END)


def loop(count: int) -> Instruction:
    """The begin of a loop that goes round as often as count ``count`` of the RUN command says."""
    return Instruction(kind=Kind.LOOP, a=Operand(Source.REGISTER, count))


def release(*streams: int) -> Instruction:
    """Lets held input streams go on by a block."""
    return Instruction(kind=Kind.RELEASE, a=Operand(Source.REGISTER, sum(1 << stream for stream in streams)))


def to_word(instruction: Instruction) -> int:
    """The bits of an instruction."""
    word = 0
    fields = {
        "constants": instruction.constants[0] | instruction.constants[1] << 32,
        "kind": instruction.kind.value,
        "operation": instruction.operation.value,
        "target_kind": instruction.target_kind.value,
        "target": instruction.target,
        **{
            name: operand.kind.value | operand.number << 3
            for name, operand in zip("abc", instruction.operands, strict=True)
        },
        "rows": instruction.rows,
        "cross": instruction.cross,
        "shift": instruction.shift,
        "stream": instruction.stream,
    }
    for name, value in fields.items():
        offset, width = PLACES[name]
        if not 0 <= value < 1 << width:
            raise ValueError(f"{name} = {value}: give 0 to {(1 << width) - 1}")
        word |= value << offset
    return word


@lru_cache(maxsize=1 << 14)
def from_word(word: int) -> Instruction:
    """The instruction of a word.

    Raises
    ------
    ValueError
        If there is none.
    """

    def field(name: str) -> int:
        offset, width = PLACES[name]
        return word >> offset & (1 << width) - 1

    if field("unused"):
        raise ValueError(f"word {word:#034x}: the unused bits are not zero")
    constants = field("constants")
    return Instruction(
        kind=Kind(field("kind")),
        operation=Operation(field("operation")),
        target_kind=Target(field("target_kind")),
        target=field("target"),
        stream=field("stream"),
        a=Operand(Source(field("a") & 7), field("a") >> 3),
        b=Operand(Source(field("b") & 7), field("b") >> 3),
        c=Operand(Source(field("c") & 7), field("c") >> 3),
        constants=(constants & 0xFFFFFFFF, constants >> 32),
        rows=field("rows"),
        cross=field("cross"),
        shift=field("shift"),
    )


def image(program: Iterable[Instruction]) -> NDArray[np.uint8]:
    """A program's bytes in memory."""
    words = b"".join(to_word(instruction).to_bytes(INSTRUCTION_BYTES, "little") for instruction in program)
    return np.frombuffer(words, np.uint8)


def instructions(data: NDArray[np.uint8]) -> list[Instruction]:
    """The program of bytes.

    Raises
    ------
    ValueError
        If a word is no instruction.
    """
    raw = data.tobytes()
    words = (raw[at : at + INSTRUCTION_BYTES] for at in range(0, len(raw), INSTRUCTION_BYTES))
    return [from_word(int.from_bytes(word, "little")) for word in words]


def text(program: Sequence[Instruction]) -> str:
    """A program as text, with loops indented; `parse` makes the same program of it."""
    lines = []
    depth = 0
    for each in program:
        depth -= each.kind == Kind.END
        lines.append("  " * max(depth, 0) + line(each))
        depth += each.kind == Kind.LOOP
    return "\n".join(lines) + "\n"


def line(instruction: Instruction) -> str:
    """An instruction as text."""
    if instruction.kind == Kind.LOOP:
        return f"loop {instruction.a.number}"
    if instruction.kind == Kind.RELEASE:
        return "release " + " ".join(str(n) for n in range(INPUTS) if instruction.a.number >> n & 1)
    if instruction.kind != Kind.COMPUTE:
        return str(instruction.kind.name).lower()
    target = {
        Target.REGISTER: f"r{instruction.target}",
        Target.PACKED: f"r{instruction.target}.packed",
        Target.STREAM: f"s{instruction.stream + INPUTS}",
        Target.BOTH: f"r{instruction.target}, s{instruction.stream + INPUTS}",
    }[instruction.target_kind]
    operands = list(instruction.operands)
    while operands and operands[-1] == NOTHING and instruction.constants[1] == 0:
        operands.pop()
    words = ", ".join(_operand(operand, instruction) for operand in operands)
    rows = "packed" if instruction.rows == PACKED_ROWS else str(instruction.rows)
    return f"{target} = {instruction.operation.name} {words}".rstrip() + (
        "" if instruction.rows == STRIP else f" : {rows}"
    )


def _operand(operand: Operand, instruction: Instruction) -> str:
    number = operand.number
    if operand.kind == Source.CONSTANT:
        return constant_text(instruction.constants[number])
    return {
        Source.REGISTER: f"r{number}",
        Source.SPREAD: f"r{number}.spread",
        Source.CROSS: f"r{number}^{instruction.cross}",
        Source.SHIFTED: f"r{number}+{instruction.shift}",
        Source.PARAMETER: f"p{number}",
        Source.STREAM: f"s{number}",
        Source.INDEX: "index",
    }[operand.kind]


def constant_text(word: int) -> str:
    """A constant as text: a binary32 where that is short and exact, a small integer, or hexadecimal."""
    value = struct.unpack("<f", word.to_bytes(4, "little"))[0]
    if word < 1 << 16:
        return str(word)
    if word > 0xFFFFFF00:
        return str(word - (1 << 32))
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if not math.isnan(value):
        short = f"{np.float32(value)!s}"
        if "." in short and len(short) <= 14 and _constant(short) == word:
            return short
    return f"0x{word:08x}"


def _constant(token: str) -> int:
    if re.fullmatch(r"[+-]?(inf|nan|\d*\.\d*(e[+-]?\d+)?)", token):
        number = np.float32(token)
        return 0x7FC00000 if np.isnan(number) else int(number.view(np.uint32))
    return int(token, 0) & 0xFFFFFFFF


class _Line:
    """One line on its way to an instruction."""

    def __init__(self) -> None:
        self.constants: list[int] = []
        self.cross: int | None = None
        self.shift: int | None = None

    def operand(self, token: str) -> Operand:
        if token == "index":
            return Operand(Source.INDEX)
        if found := re.fullmatch(r"([rps])(\d+)(\.spread|\^\d+|\+\d+)?", token):
            letter, number, more = found[1], int(found[2]), found[3] or ""
            if letter != "r" and more:
                raise ValueError(f"{token}: only a register has {more}")
            if letter == "s" and number >= INPUTS:
                raise ValueError(f"{token}: input streams are s0 to s{INPUTS - 1}")
            if letter != "r":
                return Operand(Source.PARAMETER if letter == "p" else Source.STREAM, number)
            if more.startswith("^"):
                self.cross = self._same("cross", self.cross, int(more[1:]))
                return Operand(Source.CROSS, number)
            if more.startswith("+"):
                self.shift = self._same("shift", self.shift, int(more[1:]))
                return Operand(Source.SHIFTED, number)
            return Operand(Source.SPREAD if more else Source.REGISTER, number)
        try:
            word = _constant(token)
        except ValueError:
            raise ValueError(f"{token}: no register, stream, parameter or constant") from None
        if word not in self.constants:
            self.constants.append(word)
        if len(self.constants) > 2:
            raise ValueError("an instruction has two constants at most")
        return Operand(Source.CONSTANT, self.constants.index(word))

    @staticmethod
    def _same(name: str, old: int | None, new: int) -> int:
        if old not in (None, new):
            raise ValueError(f"an instruction has one {name}: {old} or {new}")
        return new

    def instruction(self, **fields: Any) -> Instruction:
        first, second = [*self.constants, 0, 0][:2]
        return Instruction(constants=(first, second), cross=self.cross or 0, shift=self.shift or 0, **fields)


def parse(source: str) -> list[Instruction]:
    """The program of a text.

    Raises
    ------
    AssemblyError
        If a line is no instruction.
    """
    program = []
    for number, raw in enumerate(source.splitlines(), start=1):
        words = raw.partition("#")[0].strip()
        if words:
            try:
                program.append(_parsed(words))
            except (ValueError, KeyError, IndexError) as error:
                raise AssemblyError(f"line {number}: {error.args[0]}") from None
    return program


def _parsed(words: str) -> Instruction:
    if words in ("stop", "end"):
        return STOP if words == "stop" else END
    if found := re.fullmatch(r"loop (\d)", words):
        return loop(int(found[1]))
    if found := re.fullmatch(r"release((?: \d)*)", words):
        return release(*map(int, found[1].split()))
    found = re.fullmatch(r"(?:r(\d+)(\.packed)?)?(?:, )?(?:s(\d+))? = (\w+) ?([^:]*?)(?: ?: ?(\w+))?", words)
    if not found:
        raise ValueError(f"{words}: no instruction")
    register, packed, output, name, tokens, rows = found.groups()
    if packed and output:
        raise ValueError("a packed row goes to a register alone")
    if name not in Operation.__members__:
        raise ValueError(f"{name}: no operation")
    current = _Line()
    operands = [current.operand(token.strip()) for token in tokens.split(",") if token.strip()]
    if len(operands) > 3:
        raise ValueError(f"{len(operands)} operands: there are three at most")
    # The second constant is free for what is not needed, or else the first.
    nothing = NOTHING if len(current.constants) < 2 else Operand(Source.CONSTANT, 0)
    operands += [nothing] * (3 - len(operands))
    if output is not None and not INPUTS <= int(output) < 2 * INPUTS:
        raise ValueError(f"s{output}: output streams are s{INPUTS} to s{2 * INPUTS - 1}")
    one = Target.STREAM if output else Target.PACKED if packed else Target.REGISTER
    a, b, c = operands
    return current.instruction(
        operation=Operation.__members__[name],
        target_kind=Target.BOTH if register and output else one,
        target=int(register or 0),
        stream=int(output) - INPUTS if output else 0,
        a=a,
        b=b,
        c=c,
        rows=STRIP if rows is None else PACKED_ROWS if rows == "packed" else int(rows),
    )
