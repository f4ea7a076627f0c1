"""The vector unit's commands, for the command processor."""

from typing import Any

from amaranth.lib import data

from openppu.command.instruction import Instruction
from openppu.vector.command import DIMENSIONS, Opcode, pattern_layout, program_layout, run_layout, stream_layout
from openppu.vector.instruction import COUNTS, PARAMETERS

PROGRAM = Instruction(
    name="VECTOR_PROGRAM",
    opcode=Opcode.PROGRAM.value,
    engine="vector",
    layout=program_layout(),
    addresses=("source",),
    meaning="Copies instructions from the scratchpad into the vector unit's program memory.",
    meanings={
        "source": "address in the scratchpad, a multiple of 16",
        "start": "the first word of the program memory that is written",
        "count": "instructions, at least 1",
    },
)

STREAM = Instruction(
    name="VECTOR_STREAM",
    opcode=Opcode.STREAM.value,
    engine="vector",
    layout=data.StructLayout({"stream": stream_layout()["stream"].shape, **dict(pattern_layout().members)}),
    addresses=("base",),
    meaning="Says where a stream of [the vector unit](vector.md) goes.",
    meanings={
        "stream": "0 to 3: an input stream; 4 to 7: an output stream",
        "base": "address in the scratchpad of the first element; from 0x80_0000 on in the accumulators",
        **{f"count_{d}": f"of dimension {d}, 0 being the innermost; at least 1" for d in range(DIMENSIONS)},
        **{f"stride_{d}": f"bytes from one index of dimension {d} to the next" for d in range(DIMENSIONS)},
        "format": "0 int8, 1 fp8_e4m3, 2 fp8_e5m2, 3 fp16, 4 bf16, 7 words of 32 bits",
        "single": "an element is one number, for all lanes or of lane 0, not one for each lane",
        "saturate": "of an output stream's fp8 and int8",
        "held": "an input stream waits for a release before each block of the inner two dimensions",
        "tail": "lanes that count in the last round of `tail_dimension`; 0: all",
        "tail_dimension": "0 to 3",
        "fill": "the word that all other lanes are given",
    },
)

RUN = Instruction(
    name="VECTOR_RUN",
    opcode=Opcode.RUN.value,
    engine="vector",
    layout=run_layout(),
    meaning="Runs a program of the vector unit.",
    meanings={
        "start": "its first word in the program memory",
        "rows": "of a strip, at least 1",
        **{f"count_{n}": "rounds of the loops that name it, at least 1" for n in range(COUNTS)},
        **{f"parameter_{n}": "a word for the program" for n in range(PARAMETERS)},
    },
)

VECTOR_INSTRUCTIONS = (PROGRAM, STREAM, RUN)


def connect(issued: Any, command: Any, m: Any) -> None:
    """Give the unit its command from what the command processor issues.

    Parameters
    ----------
    issued : view of `openppu.command.layouts.issue_layout`
    command : view of `openppu.vector.command.command_layout`
    m : Module
        The statements are added to it.
    """
    operands = command.operands
    # The fields of a stream's command lie side by side, as those of its layout do.
    stream = data.View(STREAM.layout, operands.stream.as_value())
    m.d.comb += command.opcode.eq(issued.opcode)
    with m.Switch(issued.opcode):
        for instruction, view in ((PROGRAM, operands.program), (STREAM, stream), (RUN, operands.run)):
            with m.Case(instruction.opcode):
                m.d.comb += instruction.connect(issued.operands, view)
