"""The vector unit's commands, as software writes them."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from openppu.formats.spec import BINARY32, FORMATS, Format
from openppu.vector.command import DIMENSIONS, Opcode, command_layout, pattern_layout, program_layout, run_layout
from openppu.vector.instruction import COUNTS, INPUTS, PARAMETERS

from openppu_sim.errors import UserError


@dataclass(frozen=True, kw_only=True)
class LoadProgram:
    """Copies ``count`` instructions from ``source`` to the program memory's word ``start`` and on."""

    source: int
    count: int
    start: int = 0


@dataclass(frozen=True, kw_only=True)
class SetStream:
    """Says where a stream goes; ``docs/vector.md`` defines each field.

    Parameters
    ----------
    stream : int
        0 to 3: an input stream; 4 to 7: an output stream.
    base : int
        Byte address of the first element.
    counts, strides : sequence of int
        The pattern's dimensions, the innermost first, up to four; strides in bytes.
    format : int
        Code of the elements' format.
    single : bool
        An element is one number: for all lanes, or of lane 0.
    saturate : bool
        Of an output stream's rounding.
    held : bool
        Of an input stream: waits for a release before each block of the inner two dimensions.
    tail : int
        Lanes that count in the last round of dimension ``tail_dimension``; 0: all.
    fill : int
        The word that all other lanes are given.
    """

    stream: int
    base: int
    counts: Sequence[int] = ()
    strides: Sequence[int] = ()
    format: int = BINARY32.code
    single: bool = False
    saturate: bool = False
    held: bool = False
    tail: int = 0
    tail_dimension: int = 1
    fill: int = 0


@dataclass(frozen=True, kw_only=True)
class Run:
    """Runs the program at ``start`` on strips of ``rows``.

    Parameters
    ----------
    counts : sequence of int
        How often its loops go round.
    parameters : sequence of int
        Words that it is given.
    """

    start: int = 0
    rows: int = 1
    counts: Sequence[int] = ()
    parameters: Sequence[int] = field(default_factory=tuple)


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """A command with any opcode and operands, for what must be refused."""

    opcode: int
    operands: int = 0


Command = LoadProgram | SetStream | Run | Unknown
OPCODES: Any = Opcode


def format_named(name: str) -> Format:
    """A format of streams by its name: ``binary32`` (for int32, too) or one of the tile's.

    Raises
    ------
    UserError
        If there is none.
    """
    if name == BINARY32.name:
        return BINARY32
    if name not in FORMATS:
        raise UserError(f"format {name!r}: give one of {BINARY32.name}, {', '.join(FORMATS)}")
    return FORMATS[name]


def word_of(value: float) -> int:
    """The binary32 word of a number, rounded to nearest.

    Raises
    ------
    UserError
        If it is no number, or too large for binary32.
    """
    try:
        return int.from_bytes(struct.pack("<f", value), "little")
    except (struct.error, OverflowError):
        raise UserError(f"{value!r}: give a number that binary32 can hold") from None


def encode(command: Command) -> int:
    """The bits of a command, in the order of `openppu.vector.command.command_layout`.

    Raises
    ------
    ValueError
        If a value does not fit its field.
    """
    layout = command_layout()
    opcode, operands = _operands(command)
    return opcode | operands << layout["operands"].offset


def fields_of(command: Command) -> dict[str, int]:
    """All fields of a command by name; what was left out is 1 for a count and 0 for all else."""
    if isinstance(command, SetStream):
        numbers = {f"count_{d}": command.counts[d] if d < len(command.counts) else 1 for d in range(DIMENSIONS)} | {
            f"stride_{d}": command.strides[d] if d < len(command.strides) else 0 for d in range(DIMENSIONS)
        }
        names = ("stream", "base", "format", "single", "saturate", "held", "tail", "tail_dimension", "fill")
        return {name: int(getattr(command, name)) for name in names} | numbers
    if isinstance(command, Run):
        counts = {f"count_{n}": command.counts[n] if n < len(command.counts) else 1 for n in range(COUNTS)}
        parameters = {
            f"parameter_{n}": command.parameters[n] if n < len(command.parameters) else 0 for n in range(PARAMETERS)
        }
        return {"start": command.start, "rows": command.rows} | counts | parameters
    if isinstance(command, LoadProgram):
        return {"source": command.source, "start": command.start, "count": command.count}
    return {"opcode": command.opcode, "operands": command.operands}


def name_of(command: LoadProgram | SetStream | Run) -> str:
    """Of the command in the vector unit's queue; its fields are those of `fields_of`."""
    return f"VECTOR_{_opcode(command).name}"


def from_fields(name: str, fields: Mapping[str, int]) -> LoadProgram | SetStream | Run:
    """The command of a queue's command: the reverse of `name_of` and `fields_of`.

    Raises
    ------
    KeyError
        If a field is missing, or there is no command of that name.
    """
    opcode = OPCODES[name.removeprefix("VECTOR_")]
    if opcode is OPCODES.PROGRAM:
        return LoadProgram(source=fields["source"], count=fields["count"], start=fields["start"])
    if opcode is OPCODES.RUN:
        return Run(
            start=fields["start"],
            rows=fields["rows"],
            counts=tuple(fields[f"count_{n}"] for n in range(COUNTS)),
            parameters=tuple(fields[f"parameter_{n}"] for n in range(PARAMETERS)),
        )
    return SetStream(
        stream=fields["stream"],
        base=fields["base"],
        counts=tuple(fields[f"count_{d}"] for d in range(DIMENSIONS)),
        strides=tuple(fields[f"stride_{d}"] for d in range(DIMENSIONS)),
        format=fields["format"],
        single=bool(fields["single"]),
        saturate=bool(fields["saturate"]),
        held=bool(fields["held"]),
        tail=fields["tail"],
        tail_dimension=fields["tail_dimension"],
        fill=fields["fill"],
    )


def _opcode(command: LoadProgram | SetStream | Run) -> Any:
    if isinstance(command, LoadProgram):
        return OPCODES.PROGRAM
    return OPCODES.RUN if isinstance(command, Run) else OPCODES.STREAM


def _operands(command: Command) -> tuple[int, int]:
    values = fields_of(command)
    if isinstance(command, LoadProgram):
        return OPCODES.PROGRAM.value, _pack(program_layout(), values)
    if isinstance(command, Run):
        return OPCODES.RUN.value, _pack(run_layout(), values)
    if isinstance(command, SetStream):
        stream = values.pop("stream")
        return OPCODES.STREAM.value, stream | _pack(pattern_layout(), values) << 8
    return command.opcode, command.operands


def _pack(layout: Any, values: Mapping[str, int]) -> int:
    bits = 0
    for name, value in values.items():
        place = layout[name]
        if not 0 <= value < 1 << place.width:
            raise ValueError(f"{name} = {value}: give 0 to {(1 << place.width) - 1}")
        bits |= value << place.offset
    return bits


def is_input(stream: int) -> bool:
    """Whether a stream's number is that of an input stream."""
    return stream < INPUTS
