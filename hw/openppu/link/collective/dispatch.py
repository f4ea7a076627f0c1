"""Reads a program and hands each instruction to the parts that carry it out."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.instruction import (
    INSTRUCTION_BITS,
    LABEL_BITS,
    MOST_BEATS,
    InstructionLayout,
    Opcode,
    Source,
)
from openppu.link.collective.packets import Fault
from openppu.link.collective.receiver import STORE_STEP
from openppu.link.collective.reduce_unit import UNIT_STEP
from openppu.link.collective.sender import RESULT_STEP, SEND_STEP
from openppu.link.collective.spread import TARGET_STEP


class Dispatch(wiring.Component):
    """Takes instructions in order. Each goes to all parts that it concerns at once, when all have room for it.

    A SEND waits until no earlier sums have to go out on one of its ports in the same stream, and a REDUCE whose sums go
    to ports until no earlier SEND has: so what leaves a port in a stream is in the order of the program. A bad
    instruction is told and not carried out, and nothing after it is.

    Latency: 1 cycle. Throughput: an instruction a cycle.

    Members
    -------
    program : In(stream)
    sends, stores, results : Out(stream), array of one a port
    steps, targets : Out(stream), array of one a unit
    consumers : Out(stream), array of one a port
        The unit that takes from the port's window.
    sending, resulting : In(2), array of one a port
        As `openppu.link.collective.sender.Sender` has them.
    tokens : Out(ports)
        Send a token.
    tokens_full : In(ports)
    tokens_there : In(ports)
    take_tokens : Out(ports)
    idle : In(1)
        All parts are.
    finished : Out(1)
        An END is done; ``label`` is its.
    label : Out(LABEL_BITS)
    clear : Out(1)
        Progress counts from zero again.
    halt : In(1)
        Take no more.
    waits_for_tokens : Out(ports)
    working : Out(1)
        There is an instruction that is not carried out.
    opcode : Out(3)
        Of it.
    fault : Out(4)
        A `Fault`, or zero.
    """

    def __init__(self, config: CollectiveConfig):
        self.config = config
        ports, units = config.ports, len(config.units)
        super().__init__(
            {
                "program": In(stream.Signature(INSTRUCTION_BITS)),
                "sends": Out(stream.Signature(SEND_STEP)).array(ports),
                "stores": Out(stream.Signature(STORE_STEP)).array(ports),
                "results": Out(stream.Signature(RESULT_STEP)).array(ports),
                "consumers": Out(stream.Signature(2)).array(ports),
                "steps": Out(stream.Signature(UNIT_STEP)).array(units),
                "targets": Out(stream.Signature(TARGET_STEP)).array(units),
                "sending": In(2).array(ports),
                "resulting": In(2).array(ports),
                "tokens": Out(ports),
                "tokens_full": In(ports),
                "tokens_there": In(ports),
                "take_tokens": Out(ports),
                "idle": In(1),
                "finished": Out(1),
                "label": Out(LABEL_BITS),
                "clear": Out(1),
                "halt": In(1),
                "waits_for_tokens": Out(ports),
                "working": Out(1),
                "opcode": Out(3),
                "fault": Out(4),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, ports = self.config, range(self.config.ports)
        op, full = Signal(InstructionLayout), Signal()
        fault, done, go = Signal(4), Signal(), Signal()
        self._check(m, op, fault)
        m.d.comb += [
            go.eq(full & (fault == Fault.NONE) & ~self.halt),
            self.program.ready.eq((~full | done) & ~self.halt),
            self.working.eq(full),
            self.opcode.eq(Mux(full, op.opcode, 0)),
            self.fault.eq(Mux(full & ~self.halt, fault, Fault.NONE)),
            self.label.eq(op.label),
        ]
        with m.If(self.program.ready):
            m.d.sync += [full.eq(self.program.valid), op.eq(self.program.payload[: len(op.as_value())])]

        # What each part needs to know; only some of it is offered.
        length = Signal(TARGET_STEP["length"].shape)
        m.d.comb += length.eq(Mux(op.narrow, op.length << 1, op.length << 2))
        for port in ports:
            for name in ("address", "length", "stream", "label", "wait", "thread", "base"):
                m.d.comb += getattr(self.sends[port].payload, name).eq(getattr(op, name))
            for name in ("address", "length", "label"):
                m.d.comb += getattr(self.stores[port].payload, name).eq(getattr(op, name))
            result = self.results[port].payload
            m.d.comb += [
                result.length.eq(length),
                result.stream.eq(op.stream),
                result.label.eq(op.label),
                result.unit.eq(op.unit),
                self.consumers[port].payload.eq(op.unit),
            ]
        for step, target in zip(self.steps, self.targets, strict=True):
            for name in UNIT_STEP.members:
                m.d.comb += getattr(step.payload, name).eq(getattr(op, name))
            for name in ("address", "write", "feed", "ports"):
                m.d.comb += getattr(target.payload, name).eq(getattr(op, name))
            m.d.comb += target.payload.length.eq(length)

        # An instruction goes where it is wanted when all of those have room.
        takes = Signal(config.ports)
        for port in ports:
            m.d.comb += takes[port].eq(Cat(*(source == Source.PORT + port for source in op.sources)).any())
        in_order = Signal(config.ports)
        is_send, is_store, is_reduce = (Signal(name=f"is_{name}") for name in ("send", "store", "reduce"))
        m.d.comb += [
            is_send.eq(op.opcode == Opcode.SEND),
            is_store.eq(op.opcode == Opcode.STORE),
            is_reduce.eq(op.opcode == Opcode.REDUCE),
        ]
        targets = []
        for port in ports:
            pending = Mux(is_send, self.resulting[port], self.sending[port])
            m.d.comb += in_order[port].eq(~(op.ports[port] & Mux(op.stream, pending[1], pending[0])))
            targets += [
                (is_send & op.ports[port], self.sends[port]),
                (is_store & op.ports[port], self.stores[port]),
                (is_reduce & op.ports[port], self.results[port]),
                (is_reduce & takes[port], self.consumers[port]),
            ]
        for unit, (step, target) in enumerate(zip(self.steps, self.targets, strict=True)):
            targets += [(is_reduce & (op.unit == unit), part) for part in (step, target)]
        ready = Signal()
        m.d.comb += ready.eq(Cat(*(~wanted | to.ready for wanted, to in targets)).all())
        moves = Signal()
        m.d.comb += moves.eq(go & ready & (is_store | in_order.all()))
        for wanted, to in targets:
            m.d.comb += to.valid.eq(moves & wanted)

        mask = op.ports[: config.ports]
        with m.If(go):
            with m.Switch(op.opcode):
                with m.Case(Opcode.END):
                    m.d.comb += [done.eq(self.idle), self.finished.eq(self.idle), self.clear.eq(self.idle)]
                with m.Case(Opcode.FENCE):
                    m.d.comb += done.eq(self.idle)
                with m.Case(Opcode.TOKEN):
                    m.d.comb += done.eq(~(mask & self.tokens_full).any())
                    with m.If(done):
                        m.d.comb += self.tokens.eq(mask)
                with m.Case(Opcode.WAIT):
                    m.d.comb += self.waits_for_tokens.eq(mask & ~self.tokens_there)
                    m.d.comb += done.eq(~self.waits_for_tokens.any())
                    with m.If(done):
                        m.d.comb += self.take_tokens.eq(mask)
                with m.Default():
                    m.d.comb += done.eq(moves)
        return m

    def _check(self, m, op, fault):
        """What is wrong with an instruction; the first that holds."""
        config = self.config
        beat_bytes = config.beat_bytes
        shift = beat_bytes.bit_length() - 1
        moves = Signal()
        is_reduce = Signal()
        m.d.comb += [
            moves.eq((op.opcode == Opcode.SEND) | (op.opcode == Opcode.STORE)),
            is_reduce.eq(op.opcode == Opcode.REDUCE),
        ]
        known = Cat(*(op.opcode == code for code in Opcode)).any()
        names_ports = moves | (op.opcode == Opcode.TOKEN) | (op.opcode == Opcode.WAIT)
        several = (op.ports & (op.ports - 1)[: len(op.ports)]) != 0
        foreign = (op.ports >> config.ports) != 0
        most_elements = MOST_BEATS * config.lanes
        too_long = Mux(is_reduce, op.length > most_elements, op.length > MOST_BEATS << shift)
        odd_address = op.address[:shift].any() if shift else 0
        odd_local = op.local[:shift].any() if shift else 0

        # Operands: each of a kind that there is, for a slot that there is, and none twice.
        slots_of = Signal(range(5))
        with m.Switch(op.unit):
            for unit, slots in enumerate(config.units):
                with m.Case(unit):
                    m.d.comb += slots_of.eq(slots)
        joining = (op.unit == config.joining) if config.joining is not None else 0
        wrong, used = [], []
        for slot, source in enumerate(op.sources):
            is_port = (source >= Source.PORT) & (source < Source.PORT + config.ports)
            is_unit = ((source == Source.UNIT_0) | (source == Source.UNIT_1)) & joining
            nothing = source == Source.NOTHING
            wrong.append(~(nothing | (source == Source.MEMORY) | is_port | is_unit) | (~nothing & (slots_of <= slot)))
            used.append(~nothing)
        for slot in range(len(used)):
            for other in range(slot + 1, len(used)):
                wrong.append(used[slot] & (op.sources[slot] == op.sources[other]))
        to_ports = op.ports.any()
        feeds_badly = op.feed & (to_ports | op.write | op.narrow | joining | (0 if config.joining is not None else 1))
        checks = [
            (~known, Fault.OPCODE),
            ((names_ports & ~op.ports.any()) | ((names_ports | is_reduce) & foreign), Fault.PORTS),
            ((op.opcode == Opcode.STORE) & several, Fault.PORTS),
            ((moves | is_reduce) & ((op.length == 0) | too_long), Fault.LENGTH),
            ((moves | (is_reduce & op.write)) & odd_address, Fault.ADDRESS),
            (is_reduce & (slots_of == 0), Fault.UNIT),
            (is_reduce & (Cat(*wrong).any() | ~Cat(*used).any()), Fault.SOURCES),
            (is_reduce & odd_local, Fault.ADDRESS),
            (is_reduce & (feeds_badly | ~(op.feed | op.write | to_ports)), Fault.TARGET),
        ]
        for condition, which in reversed(checks):
            with m.If(condition):
                m.d.comb += fault.eq(which)
