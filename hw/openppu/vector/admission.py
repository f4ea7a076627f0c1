"""What is known of a command before anything is done: whether it may be done at all."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.command.error import Error
from openppu.formats.spec import BINARY32, INT8, Format
from openppu.vector.command import ACCUMULATORS, ADDRESS_BITS, COUNT_BITS, DIMENSIONS, Opcode, command_layout
from openppu.vector.instruction import ACCUMULATOR_STREAMS, COUNTS, INPUTS, INSTRUCTION_BYTES, OUTPUTS

SIZE_BITS = ADDRESS_BITS + 1
"""Of a number of bytes up to the whole scratchpad."""


class Admission(wiring.Component):
    """Looks at a command's fields, and adds up how far its addresses reach: one dimension a cycle.

    Latency: ``error`` is there with ``done``, 1 + `DIMENSIONS` cycles after ``go``, whatever the command.

    Parameters
    ----------
    lanes, rows, program_words : int
        Lanes, rows of a register, words of the program memory.
    formats : tuple of Format
        Float formats that are built in.
    accumulators : int
        Rows of accumulators.

    Members
    -------
    command : In(command_layout)
        Steady from ``go`` to ``done``.
    scratchpad_bytes : In(25)
    go : In(1)
    done : Out(1)
    error : Out(Error)
        The first that holds of OPCODE, FIELD, FORMAT, ALIGNMENT, BOUNDS; OKAY if none.
    """

    def __init__(self, *, lanes: int, rows: int, program_words: int, formats: tuple[Format, ...], accumulators: int):
        self.lanes = lanes
        self.rows = rows
        self.program_words = program_words
        self.formats = formats
        self.accumulators = accumulators
        super().__init__(
            {
                "command": In(command_layout()),
                "scratchpad_bytes": In(SIZE_BITS),
                "go": In(1),
                "done": Out(1),
                "error": Out(Error),
            }
        )

    def elaborate(self, platform):
        m = Module()
        operands = self.command.operands
        field, form, alignment = Signal(), Signal(), Signal()
        known = Signal()
        program, pattern, run = operands.program, operands.stream.pattern, operands.run
        counts = [pattern[f"count_{d}"] for d in range(DIMENSIONS)]
        strides = [pattern[f"stride_{d}"] for d in range(DIMENSIONS)]
        loops = [run[f"count_{number}"] for number in range(COUNTS)]

        # The bytes of a row, or of an element: powers of two, of which all addresses are multiples.
        element = Signal(3)
        unit = Signal(range(4 * self.lanes + 1))
        m.d.comb += unit.eq(Mux(pattern.single, element, element * self.lanes))
        with m.Switch(pattern.format):
            for fmt in (INT8, *self.formats, BINARY32):
                with m.Case(fmt.code):
                    m.d.comb += element.eq(fmt.bits // 8)
        with m.Switch(self.command.opcode):
            with m.Case(Opcode.PROGRAM.value):
                m.d.comb += [
                    known.eq(1),
                    field.eq((program.count == 0) | (program.start + program.count > self.program_words)),
                    alignment.eq(program.source[: (INSTRUCTION_BYTES - 1).bit_length()] != 0),
                ]
            with m.Case(Opcode.STREAM.value):
                m.d.comb += [
                    known.eq(1),
                    field.eq(
                        (operands.stream.stream >= INPUTS + OUTPUTS)
                        | Cat(count == 0 for count in counts).any()
                        | (pattern.tail > self.lanes)
                    ),
                    form.eq(element == 0),
                    alignment.eq(Cat(Cat(value & (unit - 1)).any() for value in (pattern.base, *strides)).any()),
                ]
            with m.Case(Opcode.RUN.value):
                m.d.comb += [
                    known.eq(1),
                    field.eq(
                        (run.start >= self.program_words)
                        | (run.rows == 0)
                        | (run.rows > self.rows)
                        | Cat(count == 0 for count in loops).any()
                    ),
                ]

        # How far the addresses reach: the sum of (count - 1) * stride, one product a cycle. All that is beyond 24 bits
        # is beyond every scratchpad.
        step = Signal(range(DIMENSIONS + 1), init=DIMENSIONS)
        reach_bits = ADDRESS_BITS + COUNT_BITS + 3
        reach = Signal(reach_bits)
        product = Signal(ADDRESS_BITS + COUNT_BITS)
        count, stride = Signal(COUNT_BITS), Signal(ADDRESS_BITS)
        with m.Switch(step):
            for d in range(DIMENSIONS):
                with m.Case(d):
                    m.d.comb += [count.eq(counts[d] - 1), stride.eq(strides[d])]
        m.d.comb += product.eq(count * stride)
        with m.If(self.go):
            m.d.sync += [step.eq(0), reach.eq(pattern.base)]
        with m.Elif(step != DIMENSIONS):
            m.d.sync += [step.eq(step + 1), reach.eq(reach + product)]
        done = Signal()
        m.d.sync += done.eq(step == DIMENSIONS - 1)
        m.d.comb += self.done.eq(done)

        end = Signal(reach_bits + 1)
        limit = Signal(range(ACCUMULATORS + 4 * self.lanes * self.accumulators + 1))
        bounds = Signal()
        m.d.comb += limit.eq(self.scratchpad_bytes)
        with m.If(self.command.opcode == Opcode.PROGRAM.value):
            m.d.comb += end.eq(program.source + program.count * INSTRUCTION_BYTES)
        with m.If(self.command.opcode == Opcode.STREAM.value):
            m.d.comb += end.eq(reach + unit)
            of_accumulators = Cat(operands.stream.stream == number for number in ACCUMULATOR_STREAMS).any()
            with m.If(of_accumulators & (pattern.base >= ACCUMULATORS)):
                m.d.comb += limit.eq(ACCUMULATORS + 4 * self.lanes * self.accumulators)
        m.d.comb += bounds.eq(end > limit)
        with m.If(~known):
            m.d.comb += self.error.eq(Error.OPCODE)
        with m.Elif(field):
            m.d.comb += self.error.eq(Error.FIELD)
        with m.Elif(form):
            m.d.comb += self.error.eq(Error.FORMAT)
        with m.Elif(alignment):
            m.d.comb += self.error.eq(Error.ALIGNMENT)
        with m.Elif(bounds):
            m.d.comb += self.error.eq(Error.BOUNDS)
        return m
