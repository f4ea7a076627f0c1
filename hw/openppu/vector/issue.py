"""Instructions, row by row, each as soon as what it needs is there."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.tile.tag_queue import TagQueue
from openppu.vector.cause import Cause
from openppu.vector.command import COUNT_BITS
from openppu.vector.datapath import Datapath, row_layout
from openppu.vector.instruction import (
    INPUTS,
    PACKED_ROWS,
    PARAMETERS,
    STRIP,
    Source,
    Target,
    instruction_layout,
)
from openppu.vector.lane_slice import OPERANDS


def issue_layout() -> data.StructLayout:
    """An instruction, and the rounds that its innermost loop has done."""
    return data.StructLayout({"instruction": instruction_layout(), "round": COUNT_BITS})


class Issue(wiring.Component):
    """A queue of instructions, and the row that is next.

    A row is issued when no row of the last `Datapath.VISIBLE` - 1 cycles writes what it reads, all input streams that
    it reads have a row, and an output stream that it writes has room. Latency: an instruction's first row may be issued
    one cycle after it was put. Throughput: one row a cycle, without a gap between instructions.

    Parameters
    ----------
    lanes, registers, rows : int
        Lanes, registers, and rows of a register.

    Members
    -------
    instructions : In(stream of issue_layout)
    strip : In(8)
        Rows of the strip.
    parameters : In(array of 8 words)
    valid, error, starved : In(4)
        Of the input streams.
    pop : Out(4)
    room : In(1)
    reserve : Out(1)
        Of the output streams.
    issued : Out(1)
    row : Out(row_layout)
    clear : In(1)
        Forget that something went wrong.
    poisoned : Out(1)
        A row would have read a word that is known to be wrong. It and all that came after it were dropped.
    stuck : Out(1)
        The same of a row that would have read a held stream that was not released.
    idle : Out(1)
        Nothing waits, and the registers hold all that was issued.
    cause : Out(Cause)
        What this cycle goes to, while a program runs.
    """

    QUEUE = 2

    def __init__(self, *, lanes: int, registers: int, rows: int):
        self.lanes = lanes
        self.registers = registers
        self.rows = rows
        super().__init__(
            {
                "instructions": In(stream.Signature(issue_layout())),
                "strip": In(8),
                "parameters": In(data.ArrayLayout(32, PARAMETERS)),
                "valid": In(INPUTS),
                "error": In(INPUTS),
                "starved": In(INPUTS),
                "pop": Out(INPUTS),
                "room": In(1),
                "reserve": Out(1),
                "issued": Out(1),
                "row": Out(row_layout(words=registers * rows, lanes=lanes)),
                "clear": In(1),
                "poisoned": Out(1),
                "stuck": Out(1),
                "idle": Out(1),
                "cause": Out(Cause),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lane_bits = (self.lanes - 1).bit_length()
        row_bits = (self.rows - 1).bit_length()
        m.submodules.queue = queue = TagQueue(issue_layout(), depth=self.QUEUE)
        wiring.connect(m, wiring.flipped(self.instructions), queue.i)
        head = queue.o.payload
        now = head.instruction
        row = self.row

        number = Signal(8)
        count = Signal(8)
        last = Signal()
        m.d.comb += count.eq(now.rows)
        with m.If(now.rows == STRIP):
            m.d.comb += count.eq(self.strip)
        with m.If(now.rows == PACKED_ROWS):
            m.d.comb += count.eq((self.strip + (self.lanes - 1)) >> lane_bits)
        m.d.comb += last.eq(number + 1 == count)

        across = Signal(row_bits)
        m.d.comb += [across.eq(number >> lane_bits), row.lane.eq(number[:lane_bits])]
        needs = Signal(INPUTS)
        registers_read = Signal(OPERANDS)
        for place, operand in enumerate((now.a, now.b, now.c)):
            choice = row.choices[place]
            read = Signal(row_bits, name=f"read_{place}")
            m.d.comb += [
                read.eq(number),
                choice.kind.eq(operand.kind),
                choice.stream.eq(operand.number),
                choice.cross.eq(now.cross),
                choice.lane.eq(number[:lane_bits]),
                choice.word.eq(
                    Mux(
                        operand.kind == Source.PARAMETER,
                        self.parameters[operand.number[:3]],
                        now.constants[operand.number[:1]],
                    )
                ),
                row.read[place].eq(Cat(read, operand.number[: (self.registers - 1).bit_length()])),
            ]
            with m.Switch(operand.kind):
                with m.Case(Source.SPREAD):
                    m.d.comb += read.eq(across)
                with m.Case(Source.SHIFTED):
                    m.d.comb += read.eq(number + now.shift)
            with m.Switch(operand.kind):
                with m.Case(Source.REGISTER, Source.SPREAD, Source.CROSS, Source.SHIFTED):
                    m.d.comb += registers_read[place].eq(1)
                with m.Case(Source.STREAM):
                    m.d.comb += needs.bit_select(operand.number[:2], 1).eq(1)
        m.d.comb += [
            row.index.eq(head.round << lane_bits),
            row.operation.eq(now.operation),
            row.target_kind.eq(now.target_kind),
            row.stream.eq(now.stream),
            row.address.eq(
                Cat(
                    Mux(now.target_kind == Target.PACKED, across, number[:row_bits]),
                    now.target[: (self.registers - 1).bit_length()],
                )
            ),
        ]

        # Rows that were issued too late for what they write to be read now.
        recent = Datapath.VISIBLE - 1
        writing = Signal(recent)
        written = [Signal(row.address.shape(), name=f"written_{age}", reset_less=True) for age in range(recent)]
        hazard = Signal()
        writes = Signal()
        m.d.comb += [
            writes.eq(self.issued & (now.target_kind != Target.STREAM)),
            hazard.eq(
                Cat(
                    writing[age] & registers_read[place] & (written[age] == row.read[place])
                    for age in range(recent)
                    for place in range(OPERANDS)
                ).any()
            ),
        ]
        m.d.sync += writing.eq(Cat(writes, writing[:-1]))
        for younger, older in zip([row.address, *written], written, strict=False):
            m.d.sync += older.eq(younger)

        stopped = Signal()
        output = Signal()
        ready = Signal()
        m.d.comb += [
            stopped.eq(self.poisoned | self.stuck),
            output.eq((now.target_kind == Target.STREAM) | (now.target_kind == Target.BOTH)),
            ready.eq(queue.o.valid & ~stopped & ~hazard & ~(needs & ~self.valid).any() & (~output | self.room)),
            self.issued.eq(ready & ~(needs & self.error).any()),
            self.pop.eq(Mux(self.issued, needs, 0)),
            self.reserve.eq(self.issued & output),
            queue.o.ready.eq(stopped | (self.issued & last)),
            self.idle.eq(~queue.o.valid & ~writing.any()),
        ]
        m.d.comb += self.cause.eq(Cause.COMPUTE)
        with m.If(~queue.o.valid | stopped):
            m.d.comb += self.cause.eq(Cause.SEQUENCE)
        with m.Elif(hazard):
            m.d.comb += self.cause.eq(Cause.DEPENDENCE)
        with m.Elif((needs & ~self.valid).any() | (needs & self.error).any()):
            m.d.comb += self.cause.eq(Cause.INPUT)
        with m.Elif(output & ~self.room):
            m.d.comb += self.cause.eq(Cause.OUTPUT)
        with m.If(self.issued):
            m.d.sync += number.eq(Mux(last, 0, number + 1))
        with m.If(ready & (needs & self.error).any()):
            m.d.sync += self.poisoned.eq(1)
        with m.Elif(queue.o.valid & (needs & self.starved).any()):
            m.d.sync += self.stuck.eq(1)
        with m.If(self.clear):
            m.d.sync += [number.eq(0), self.poisoned.eq(0), self.stuck.eq(0)]
        return m
