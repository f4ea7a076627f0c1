"""Whether a word of a program can be run."""

from amaranth import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.vector.instruction import (
    CONSTANTS,
    COUNTS,
    INPUTS,
    LOOP_DEPTH,
    OUTPUTS,
    PACKED_ROWS,
    PARAMETERS,
    STRIP,
    Kind,
    Source,
    Target,
    instruction_layout,
)
from openppu.vector.operation import Operation


class WordCheck(wiring.Component):
    """Looks at one word of a program. Combinational.

    Parameters
    ----------
    lanes, registers, rows : int
        Lanes, registers, and rows of a register.

    Members
    -------
    word : In(instruction_layout)
    depth : In
        Loops that are open before it.
    set : In(8)
        Streams that have a pattern, inputs first.
    wrong : Out(1)
        The word must not be run.
    uses : Out(4)
        Input streams that it takes rows of.
    """

    def __init__(self, *, lanes: int, registers: int, rows: int):
        self.lanes = lanes
        self.registers = registers
        self.rows = rows
        super().__init__(
            {
                "word": In(instruction_layout()),
                "depth": In(range(LOOP_DEPTH + 1)),
                "set": In(INPUTS + OUTPUTS),
                "wrong": Out(1),
                "uses": Out(INPUTS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        word = self.word
        faults = []
        for place, operand in enumerate((word.a, word.b, word.c)):
            most = Signal(range(self.registers + 1), name=f"most_{place}")
            m.d.comb += most.eq(self.registers)
            with m.Switch(operand.kind):
                with m.Case(Source.CONSTANT):
                    m.d.comb += most.eq(CONSTANTS)
                with m.Case(Source.PARAMETER):
                    m.d.comb += most.eq(PARAMETERS)
                with m.Case(Source.STREAM):
                    m.d.comb += most.eq(INPUTS)
                    with m.If(word.kind == Kind.COMPUTE):
                        m.d.comb += self.uses.bit_select(operand.number[:2], 1).eq(1)
                with m.Case(Source.INDEX):
                    m.d.comb += most.eq(1)
            faults.append(operand.number >= most)
        outputs = (word.target_kind == Target.STREAM) | (word.target_kind == Target.BOTH)
        unset = outputs & ~self.set[INPUTS:].bit_select(word.stream, 1)
        rows_fit = (word.rows == STRIP) | (word.rows == PACKED_ROWS) | (word.rows <= self.rows)
        faults += [
            ~Cat(word.operation == each.value for each in Operation).any(),
            word.target >= self.registers,
            unset,
            (self.uses & ~self.set[:INPUTS]).any(),
            ~rows_fit,
            word.cross >= self.lanes,
            word.shift >= self.rows,
        ]
        wrong = Signal()
        m.d.comb += self.wrong.eq(wrong | (word.unused != 0))
        with m.Switch(word.kind):
            with m.Case(Kind.STOP):
                m.d.comb += wrong.eq(self.depth != 0)
            with m.Case(Kind.COMPUTE):
                m.d.comb += wrong.eq(Cat(*faults).any())
            with m.Case(Kind.LOOP):
                m.d.comb += wrong.eq((word.a.number >= COUNTS) | (self.depth == LOOP_DEPTH))
            with m.Case(Kind.END):
                m.d.comb += wrong.eq(self.depth == 0)
            with m.Case(Kind.RELEASE):
                m.d.comb += wrong.eq(word.a.number >= 1 << INPUTS)
            with m.Default():
                m.d.comb += wrong.eq(1)
        return m
