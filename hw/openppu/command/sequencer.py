"""Goes through a queue's commands: loops, address registers, waits; gives the engine its own."""

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.command.checks import Checks
from openppu.command.config import CommandConfig
from openppu.command.controls import ADD, COUNT_BITS, END, LOOP, SET
from openppu.command.error import Error
from openppu.command.instruction import Instruction
from openppu.command.layouts import (
    FIRST_ENGINE_OPCODE,
    OPERAND_BITS,
    REGISTERS,
    TIME_BITS,
    issue_layout,
    note_layout,
    signal_layout,
    word_layout,
)
from openppu.common.memory import ADDRESS_BITS
from openppu.common.shared import shared


class State(enum.Enum, shape=2):
    """What a sequencer does."""

    READ = 0
    CHECK = 1
    WAIT = 2
    GIVE = 3


class Sequencer(wiring.Component):
    """Runs the commands that have come, each when its wait is over, and notes what is to be done at its end.

    The outermost loop that runs keeps its commands in the buffer. What is wrong with a command is noted as its end, and
    nothing more is begun.

    Latency: 4 cycles from a command to its engine, if it needs not wait. Throughput: a command in 4 cycles.

    Parameters
    ----------
    config : CommandConfig
    instructions : tuple of Instruction
        Those of the engine.

    Members
    -------
    now : In(TIME_BITS)
    fetched : In(32)
        Commands that have come to the buffer.
    read : Out(32)
        The command to be read from it; it is on ``word`` in the next cycle.
    word : In(word_layout()), damaged : In(1)
        A command, and that its memory held wrong data.
    kept : Out(32)
        Commands before it are done with.
    run : In(1)
        Begin commands.
    ended : In(1)
        All commands that were begun have ended.
    restart : In(1), tail : In(32)
        Forget all, and go on at ``tail``.
    waits : Out(stream of signal_layout)
    issue : Out(stream of issue_layout)
    notes : Out(stream of note_layout)
    begun : Out(32)
        Commands, counted.
    idle : Out(1)
        There is no command to go on with.
    """

    def __init__(self, config: CommandConfig, instructions: tuple[Instruction, ...]):
        self.config = config
        self.instructions = tuple(instructions)
        super().__init__(
            {
                "now": In(TIME_BITS),
                "fetched": In(32),
                "read": Out(32),
                "word": In(word_layout()),
                "damaged": In(1),
                "kept": Out(32),
                "run": In(1),
                "ended": In(1),
                "restart": In(1),
                "tail": In(32),
                "waits": Out(stream.Signature(signal_layout())),
                "issue": Out(stream.Signature(issue_layout())),
                "notes": Out(stream.Signature(note_layout())),
                "begun": Out(32),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        checks = Checks(config, self.instructions)
        m.submodules.checks = shared(checks, platform)
        state = Signal(State)
        place = Signal(32)
        registers = Array(Signal(ADDRESS_BITS, name=f"register_{number}") for number in range(1, REGISTERS))
        loop = data.StructLayout({"start": 32, "count": COUNT_BITS})
        loops = Array(Signal(loop, name=f"loop_{number}") for number in range(config.loops))
        depth = Signal(range(config.loops + 1))
        word = Signal(word_layout())
        operands = Signal(OPERAND_BITS)
        error = Signal(Error)
        header = word.header
        innermost = loops[depth - 1]

        nothing = Signal()
        too_long = Signal()
        m.d.comb += [
            self.kept.eq(Mux(depth == 0, place, loops[0].start)),
            self.read.eq(place),
            nothing.eq(place == self.fetched),
            # The buffer is full of a loop whose end has not come.
            too_long.eq(nothing & (depth != 0) & (self.fetched - self.kept == config.buffer)),
            self.idle.eq((state == State.READ) & nothing & ~too_long),
            checks.word.eq(self.word),
            *(checks.registers[number].eq(register) for number, register in enumerate(registers, start=1)),
        ]

        # What the command in `word` is.
        is_engine, needs_note, may_begin, halted = (
            Signal(name=name) for name in ("is_engine", "needs_note", "may_begin", "halted")
        )
        flags = header.flags
        m.d.comb += [
            is_engine.eq((header.opcode >= FIRST_ENGINE_OPCODE) & (error == Error.OKAY)),
            needs_note.eq(is_engine | (error != Error.OKAY) | flags.signal | flags.record | flags.interrupt),
            may_begin.eq(self.run & ~halted & (self.ended | ~flags.fence)),
            self.waits.payload.semaphore.eq(header.wait_semaphore),
            self.waits.payload.value.eq(header.wait_value),
            self.issue.payload.opcode.eq(header.opcode),
            self.issue.payload.operands.eq(operands),
        ]
        note = self.notes.payload
        m.d.comb += [
            note.engine.eq(is_engine),
            note.error.eq(error),
            note.opcode.eq(header.opcode),
            note.tag.eq(header.tag),
            note.flags.eq(flags),
            note.semaphore.eq(header.signal_semaphore),
            note.value.eq(header.signal_value),
            note.chip.eq(header.chip),
            note.index.eq(place),
            note.begun.eq(self.now),
        ]

        with m.Switch(state):
            with m.Case(State.READ):
                with m.If(self.run & ~halted & too_long):
                    m.d.sync += [
                        error.eq(Error.FIELD),
                        header.opcode.eq(LOOP.opcode),
                        flags.eq(0),
                        state.eq(State.WAIT),
                    ]
                with m.Elif(self.run & ~halted & ~nothing):
                    m.d.sync += state.eq(State.CHECK)
            with m.Case(State.CHECK):
                m.d.sync += [
                    word.eq(self.word),
                    operands.eq(checks.operands),
                    error.eq(Mux(self.damaged, Error.MEMORY, checks.error)),
                    state.eq(State.WAIT),
                ]
                with m.If(~self.damaged & (checks.error == Error.OKAY)):
                    opcode = self.word.header.opcode
                    with m.If((opcode == LOOP.opcode) & (depth == config.loops)):
                        m.d.sync += error.eq(Error.FIELD)
                    with m.If((opcode == END.opcode) & (depth == 0)):
                        m.d.sync += error.eq(Error.FIELD)
            with m.Case(State.WAIT):
                awaits = Signal()
                m.d.comb += [
                    awaits.eq(flags.wait & (error == Error.OKAY)),
                    self.waits.valid.eq(may_begin & awaits),
                ]
                with m.If(may_begin & (~awaits | self.waits.ready)):
                    m.d.sync += state.eq(State.GIVE)
            with m.Case(State.GIVE):
                goes = Signal()
                m.d.comb += [
                    self.issue.valid.eq(is_engine & self.notes.ready),
                    goes.eq(Mux(is_engine, self.issue.ready, 1) & (self.notes.ready | ~needs_note)),
                    self.notes.valid.eq(goes & needs_note),
                ]
                with m.If(goes):
                    m.d.sync += [state.eq(State.READ), place.eq(place + 1), self.begun.eq(self.begun + 1)]
                    with m.If(error == Error.OKAY):
                        self._control(m, header, operands, registers, loops, innermost, depth, place)
                    with m.Else():
                        m.d.sync += halted.eq(1)

        with m.If(self.restart):
            m.d.sync += [state.eq(State.READ), place.eq(self.tail), depth.eq(0), halted.eq(0)]
            m.d.sync += [register.eq(0) for register in registers]
        return m

    def _control(self, m, header, operands, registers, loops, innermost, depth, place):
        """What a command of the queue itself does."""
        with m.Switch(header.opcode):
            for each in (SET, ADD):
                with m.Case(each.opcode):
                    target = registers[each.field(operands, "register") - 1]
                    value = each.field(operands, "value")
                    m.d.sync += target.eq(value if each is SET else target + value)
            with m.Case(LOOP.opcode):
                m.d.sync += [
                    loops[depth].start.eq(place + 1),
                    loops[depth].count.eq(LOOP.field(operands, "count")),
                    depth.eq(depth + 1),
                ]
            with m.Case(END.opcode):
                with m.If(innermost.count > 1):
                    m.d.sync += [innermost.count.eq(innermost.count - 1), place.eq(innermost.start)]
                with m.Else():
                    m.d.sync += depth.eq(depth - 1)
