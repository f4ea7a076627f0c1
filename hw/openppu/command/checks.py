"""What is wrong with a command before an engine has seen it."""

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.command.config import CommandConfig
from openppu.command.controls import ADD, CONTROLS, LOOP, SET
from openppu.command.error import Error
from openppu.command.instruction import Instruction
from openppu.command.layouts import OPERAND_BITS, REGISTERS, SLOTS, word_layout
from openppu.common.memory import ADDRESS_BITS


class Checks(wiring.Component):
    """Adds address registers to a command, and says what is wrong with it.

    Latency: 0 cycles. Throughput: a command a cycle.

    Parameters
    ----------
    config : CommandConfig
    instructions : tuple of Instruction
        Those of the queue's engine; those of every queue are known.

    Members
    -------
    word : In(word_layout())
    registers : In(ADDRESS_BITS), array
    operands : Out(OPERAND_BITS)
        With the registers added.
    error : Out(Error)
        `OPCODE`: no such command. `FIELD`: bits that have no meaning are set, an address register is named for a slot
        that the command has not, a semaphore does not exist, or a value is not allowed. `BOUNDS`: an address with its
        register does not fit its field.
    """

    def __init__(self, config: CommandConfig, instructions: tuple[Instruction, ...]):
        self.config = config
        self.instructions = tuple(instructions)
        super().__init__(
            {
                "word": In(word_layout()),
                "registers": In(ADDRESS_BITS).array(REGISTERS),
                "operands": Out(OPERAND_BITS),
                "error": Out(Error),
            }
        )

    def elaborate(self, platform):
        m = Module()
        header, given = self.word.header, self.word.operands
        sums = [Signal(ADDRESS_BITS, name=f"sum_{slot}") for slot in range(SLOTS)]
        for slot, total in enumerate(sums):
            place = given.word_select(slot, ADDRESS_BITS)
            m.d.comb += total.eq(place + Array(self.registers)[header.registers[slot]])

        known, stray, outside, useless = (Signal(name=name) for name in ("known", "stray", "outside", "useless"))
        m.d.comb += self.operands.eq(given)
        with m.Switch(header.opcode):
            for each in (*CONTROLS, *self.instructions):
                slots = {operand.slot: operand for operand in each.operands if operand.slot is not None}
                with m.Case(each.opcode):
                    m.d.comb += [known.eq(1), stray.eq((given & each.unused).any())]
                    for slot in slots:
                        m.d.comb += self.operands.word_select(slot, ADDRESS_BITS).eq(sums[slot])
                    above = [sums[slot][operand.bits :].any() for slot, operand in slots.items()]
                    m.d.comb += outside.eq(sum(above, start=0) != 0)
                    without = [header.registers[slot].any() for slot in range(SLOTS) if slot not in slots]
                    m.d.comb += useless.eq(sum(without, start=0) != 0)

        wrong = Signal()
        with m.Switch(header.opcode):
            for each in (SET, ADD):
                with m.Case(each.opcode):
                    m.d.comb += wrong.eq(each.field(given, "register") == 0)
            with m.Case(LOOP.opcode):
                m.d.comb += wrong.eq(LOOP.field(given, "count") == 0)
        flags, count = header.flags, self.config.semaphores
        absent = Signal()
        m.d.comb += absent.eq(
            (flags.wait & (header.wait_semaphore >= count))
            | (flags.signal & ~flags.remote & (header.signal_semaphore >= count))
            | (flags.remote & ~flags.signal)
            | flags.unused.any()
            | header.unused.any()
        )
        m.d.comb += self.error.eq(
            Mux(
                ~known,
                Error.OPCODE,
                Mux(stray | useless | wrong | absent, Error.FIELD, Mux(outside, Error.BOUNDS, Error.OKAY)),
            )
        )
        return m
