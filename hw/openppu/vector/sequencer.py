"""The program memory, and the way through a program."""

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.vector.command import COUNT_BITS
from openppu.vector.instruction import COUNTS, INPUTS, LOOP_DEPTH, OUTPUTS, Kind, instruction_layout
from openppu.vector.issue import issue_layout
from openppu.vector.word_check import WordCheck


class Sequencer(wiring.Component):
    """Checks a program, then hands its instructions on, round its loops.

    A check looks at one word a cycle, from ``start`` to the first STOP. A run takes 2 cycles a word, and two more from
    ``run`` to the first word.

    Parameters
    ----------
    words : int, a power of two
        Of the program memory.
    lanes, registers, rows : int
        Lanes, registers, and rows of a register.

    Members
    -------
    write, place, word : In
        A word for the program memory. Not while ``busy``.
    start : In
    counts : In(array of 4 counts)
        Of a run's loops, at least 1.
    check, run : In(1)
        Begin. Not while ``busy``.
    set : In(8)
        Streams that have a pattern.
    busy : Out(1)
    wrong : Out(1)
        The last check found a word that must not be run, or no STOP.
    uses : Out(4)
        Input streams that the program takes rows of.
    instructions : Out(stream of issue_layout)
    drained : In(1)
        All instructions that were handed on are done, and what they wrote can be seen.
    free : Out(4)
        Input streams that go on.
    abandon : In(1)
        End the run.
    """

    def __init__(self, *, words: int, lanes: int, registers: int, rows: int):
        self.words = words
        self.lanes = lanes
        self.registers = registers
        self.rows = rows
        super().__init__(
            {
                "write": In(1),
                "place": In(range(words)),
                "word": In(instruction_layout()),
                "start": In(range(words)),
                "counts": In(data.ArrayLayout(COUNT_BITS, COUNTS)),
                "check": In(1),
                "run": In(1),
                "set": In(INPUTS + OUTPUTS),
                "busy": Out(1),
                "wrong": Out(1),
                "uses": Out(INPUTS),
                "instructions": Out(stream.Signature(issue_layout())),
                "drained": In(1),
                "free": Out(INPUTS),
                "abandon": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.program = program = memory.Memory(shape=instruction_layout(), depth=self.words, init=[])
        write, read = program.write_port(), program.read_port()
        m.submodules.word_check = checked = WordCheck(lanes=self.lanes, registers=self.registers, rows=self.rows)
        place = Signal(range(self.words))
        next_place = Signal(range(self.words + 1))
        depth = Signal(range(LOOP_DEPTH + 1))
        word = read.data
        m.d.comb += [
            write.addr.eq(self.place),
            write.data.eq(self.word),
            write.en.eq(self.write),
            read.addr.eq(place),
            next_place.eq(place + 1),
            checked.word.eq(word),
            checked.depth.eq(depth),
            checked.set.eq(self.set),
        ]

        loop_layout = data.StructLayout({"first": range(self.words), "left": COUNT_BITS, "round": COUNT_BITS})
        loops = Array(Signal(loop_layout, name=f"loop_{level}") for level in range(LOOP_DEPTH))
        inner = Signal(loop_layout)
        inner_level = (depth - 1)[: (LOOP_DEPTH - 1).bit_length()]
        m.d.comb += [
            inner.eq(loops[inner_level]),
            self.instructions.payload.instruction.eq(word),
            self.instructions.payload.round.eq(Mux(depth == 0, 0, inner.round)),
        ]
        fresh = Signal(loop_layout)
        m.d.comb += [
            fresh.first.eq(next_place),
            fresh.left.eq(self.counts[word.a.number[:2]] - 1),
        ]
        again = Signal(loop_layout)
        m.d.comb += [again.first.eq(inner.first), again.left.eq(inner.left - 1), again.round.eq(inner.round + 1)]

        with m.FSM() as machine:
            m.d.comb += self.busy.eq(~machine.ongoing("IDLE"))
            with m.State("IDLE"):
                m.d.sync += [place.eq(self.start), depth.eq(0)]
                with m.If(self.check):
                    m.d.sync += [self.wrong.eq(0), self.uses.eq(0)]
                    m.next = "OPEN"
                with m.Elif(self.run):
                    m.next = "FETCH"

            # The check: one word after the other.
            with m.State("OPEN"):
                m.d.sync += place.eq(next_place)
                m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += [place.eq(next_place), self.uses.eq(self.uses | checked.uses)]
                with m.If(word.kind == Kind.LOOP):
                    m.d.sync += depth.eq(depth + 1)
                with m.If(word.kind == Kind.END):
                    m.d.sync += depth.eq(depth - 1)
                with m.If(checked.wrong):
                    m.d.sync += self.wrong.eq(1)
                    m.next = "IDLE"
                with m.Elif(word.kind == Kind.STOP):
                    m.next = "IDLE"
                with m.Elif(place == 0):  # what was looked at was the last word of the memory
                    m.d.sync += self.wrong.eq(1)
                    m.next = "IDLE"

            # The run.
            with m.State("FETCH"):
                m.next = "DECODE"
            with m.State("DECODE"):
                onward = Signal()
                with m.Switch(word.kind):
                    with m.Case(Kind.COMPUTE):
                        m.d.comb += [self.instructions.valid.eq(1), onward.eq(self.instructions.ready)]
                    with m.Case(Kind.LOOP):
                        m.d.sync += [loops[depth[: (LOOP_DEPTH - 1).bit_length()]].eq(fresh), depth.eq(depth + 1)]
                        m.d.comb += onward.eq(1)
                    with m.Case(Kind.END):
                        m.d.comb += onward.eq(inner.left == 0)
                        with m.If(inner.left == 0):
                            m.d.sync += depth.eq(depth - 1)
                        with m.Else():
                            m.d.sync += [loops[inner_level].eq(again), place.eq(inner.first)]
                            m.next = "FETCH"
                    with m.Case(Kind.RELEASE):
                        m.d.comb += onward.eq(self.drained)
                        with m.If(self.drained):
                            m.d.comb += self.free.eq(word.a.number)
                    with m.Default():
                        with m.If(self.drained):
                            m.next = "IDLE"
                with m.If(onward):
                    m.d.sync += place.eq(next_place)
                    m.next = "FETCH"
                with m.If(self.abandon):
                    m.next = "ENDING"
            with m.State("ENDING"):
                with m.If(self.drained):
                    m.next = "IDLE"
        return m
