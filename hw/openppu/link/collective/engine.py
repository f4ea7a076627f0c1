"""The collective engine: runs a program of sends, stores and reductions over a chip's ports and memory."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.choose import lowest
from openppu.common.shared import shared
from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.dispatch import Dispatch
from openppu.link.collective.instruction import INSTRUCTION_BITS, LABEL_BITS, Thread
from openppu.link.collective.memory import ReadSignature, WriteSignature
from openppu.link.collective.packets import Fault
from openppu.link.collective.reader import PROGRESS
from openppu.link.collective.receiver import Receiver
from openppu.link.collective.reduce_unit import ReduceUnit
from openppu.link.collective.sender import Held, Sender
from openppu.link.collective.spread import Spread
from openppu.link.collective.status import Error, status_layout
from openppu.link.layouts import CHIP_BITS, packet_layout
from openppu.link.word_queue import WordQueue

PATIENCE_BITS = 24


class CollectiveEngine(wiring.Component):
    """Runs programs that `openppu.link.collective.plan` makes; docs/collectives.md defines their instructions.

    All ports send and receive a word a cycle at the same time. What comes is always taken, so packets of collectives
    never hold up a port; a peer sends only what there is room for, which every packet tells.

    After an error nothing more is begun. Resetting the engine, and those of its peers, is the only way on.

    Parameters
    ----------
    config : CollectiveConfig

    Members
    -------
    chip : In(CHIP_BITS)
        This chip.
    peers : In(CHIP_BITS), array
        The chip behind each port.
    program : In(stream)
        Instructions.
    finished : Out(1)
        An END is done, in this cycle; ``label`` is its.
    label : Out(LABEL_BITS)
    send, receive : stream of packet_layout(config.link), arrays of one a port
    reads, writes : Out(ReadSignature(config)), Out(WriteSignature(config)), arrays
        Of the ports, then of the reduction units.
    patience : In(PATIENCE_BITS)
        Cycles without any progress, while there is work, after which ``status.stalled`` rises; 0: never.
    status : Out(status_layout(config))
    """

    def __init__(self, config: CollectiveConfig):
        self.config = config
        count = config.ports + len(config.units)
        packet = stream.Signature(packet_layout(config.link))
        super().__init__(
            {
                "chip": In(CHIP_BITS),
                "peers": In(CHIP_BITS).array(config.ports),
                "program": In(stream.Signature(INSTRUCTION_BITS)),
                "finished": Out(1),
                "label": Out(LABEL_BITS),
                "send": Out(packet).array(config.ports),
                "receive": In(packet).array(config.ports),
                "reads": Out(ReadSignature(config)).array(count),
                "writes": Out(WriteSignature(config)).array(count),
                "patience": In(PATIENCE_BITS),
                "status": Out(status_layout(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        senders = [Sender(config) for _ in range(config.ports)]
        receivers = [Receiver(config) for _ in range(config.ports)]
        units = [ReduceUnit(config, slots, unit == config.joining) for unit, slots in enumerate(config.units)]
        spreads = [Spread(config) for _ in config.units]
        m.submodules.dispatch = dispatch = Dispatch(config)
        for name, parts in (("sender", senders), ("receiver", receivers), ("unit", units), ("spread", spreads)):
            for number, part in enumerate(parts):
                m.submodules[f"{name}_{number}"] = shared(part, platform)
        wiring.connect(m, wiring.flipped(self.program), dispatch.program)

        progress = Signal(PROGRESS)
        for port, (sender, receiver) in enumerate(zip(senders, receivers, strict=True)):
            wiring.connect(m, dispatch.sends[port], sender.sends)
            wiring.connect(m, dispatch.results[port], sender.results)
            wiring.connect(m, dispatch.stores[port], receiver.stores)
            wiring.connect(m, sender.packets, wiring.flipped(self.send[port]))
            wiring.connect(m, wiring.flipped(self.receive[port]), receiver.packets)
            wiring.connect(m, sender.memory, wiring.flipped(self.reads[port]))
            wiring.connect(m, receiver.memory, wiring.flipped(self.writes[port]))
            m.d.comb += [
                sender.chip.eq(self.chip),
                sender.peer.eq(self.peers[port]),
                receiver.peer.eq(self.peers[port]),
                sender.credit.eq(receiver.credit),
                sender.heard.eq(receiver.heard),
                sender.token.eq(dispatch.tokens[port]),
                dispatch.tokens_full[port].eq(sender.tokens_full),
                dispatch.tokens_there[port].eq(receiver.tokens != 0),
                receiver.take_token.eq(dispatch.take_tokens[port]),
                dispatch.sending[port].eq(sender.sending),
                dispatch.resulting[port].eq(sender.resulting),
                sender.progress.eq(progress),
                receiver.clear.eq(dispatch.clear),
                progress[Thread.PORT + port].eq(receiver.progress),
            ]
        for unit, (adder, spread) in enumerate(zip(units, spreads, strict=True)):
            wiring.connect(m, dispatch.steps[unit], adder.steps)
            wiring.connect(m, dispatch.targets[unit], spread.steps)
            wiring.connect(m, adder.sums, spread.sums)
            wiring.connect(m, adder.memory, wiring.flipped(self.reads[config.ports + unit]))
            wiring.connect(m, spread.memory, wiring.flipped(self.writes[config.ports + unit]))
            m.d.comb += [
                adder.progress.eq(progress),
                spread.clear.eq(dispatch.clear),
                progress[Thread.UNIT + unit].eq(spread.progress),
            ]
        if config.joining is not None:
            for spread, fed in zip(spreads, units[config.joining].fed, strict=False):
                wiring.connect(m, spread.feed, fed)
        for port in range(config.ports):
            self._window(m, port, receivers[port], units, dispatch.consumers[port])
            self._sums(m, port, senders[port], spreads)

        m.d.comb += [
            dispatch.idle.eq(~Cat(*(part.busy for part in (*senders, *receivers, *units, *spreads))).any()),
            self.finished.eq(dispatch.finished),
            self.label.eq(dispatch.label),
        ]
        self._faults(m, dispatch, receivers, units)
        self._waits(m, dispatch, senders, receivers, units, spreads)
        return m

    def _window(self, m, port, receiver, units, consumers):
        """A port's window is one unit's at a time, in the order of the program."""
        m.submodules[f"consumers_{port}"] = queue = WordQueue(2, depth=2 * self.config.queue)
        wiring.connect(m, consumers, queue.i)
        ready, ends = [], []
        for unit, adder in enumerate(units):
            its = Signal(name=f"window_{port}_is_of_{unit}")
            window = adder.windows[port]
            m.d.comb += [
                its.eq(queue.o.valid & (queue.o.payload == unit)),
                window.valid.eq(receiver.window.valid & its),
                window.payload.eq(receiver.window.payload),
            ]
            ready.append(its & window.ready)
            ends.append(its & adder.finished & adder.claims[port])
        m.d.comb += [receiver.window.ready.eq(Cat(*ready).any()), queue.o.ready.eq(Cat(*ends).any())]

    def _sums(self, m, port, sender, spreads):
        """A port takes sums of one unit at a time, in the order of the program."""
        for unit, spread in enumerate(spreads):
            its = Signal(name=f"port_{port}_takes_of_{unit}")
            m.d.comb += [
                its.eq(sender.open & (sender.unit == unit)),
                spread.ports[port].ready.eq(its & sender.sums.ready),
            ]
            with m.If(its):
                m.d.comb += [
                    sender.sums.valid.eq(spread.ports[port].valid),
                    sender.sums.payload.eq(spread.ports[port].payload),
                ]

    def _faults(self, m, dispatch, receivers, units):
        """The first fault stays."""
        error = self.status.error
        m.d.comb += dispatch.halt.eq(error.fault != Fault.NONE)
        found = Signal(Error)
        faults = [receiver.fault != Fault.NONE for receiver in receivers]
        port = lowest(m, faults, name="faulty_port")
        with m.If(dispatch.fault != Fault.NONE):
            m.d.comb += [found.fault.eq(dispatch.fault), found.opcode.eq(dispatch.opcode)]
        with m.Elif(Cat(*faults).any()):
            m.d.comb += found.port.eq(port)
            with m.Switch(port):
                for number, receiver in enumerate(receivers):
                    with m.Case(number):
                        m.d.comb += found.fault.eq(receiver.fault)
        for unit, adder in enumerate(units):
            with m.Elif(adder.mislabelled):
                m.d.comb += [found.fault.eq(Fault.LABEL), found.in_unit.eq(1), found.port.eq(unit)]
        with m.If(error.fault == Fault.NONE):
            m.d.sync += error.eq(found)

    def _waits(self, m, dispatch, senders, receivers, units, spreads):
        """Who is waited for."""
        status, config = self.status, self.config
        m.d.comb += [
            status.opcode.eq(dispatch.opcode),
            status.tokens.eq(dispatch.waits_for_tokens),
            status.busy.eq(dispatch.working | ~dispatch.idle),
        ]
        for port, (sender, receiver) in enumerate(zip(senders, receivers, strict=True)):
            far = (sender.held == Held.WINDOW) | (sender.held == Held.GRANT)
            reduces = Cat(*(adder.missing[port] for adder in units)).any()
            m.d.comb += [
                status.senders[port].eq(sender.held),
                status.stores[port].eq(receiver.busy),
                status.operands[port].eq(reduces),
                status.waiting_for[port].eq(far | reduces | receiver.busy | dispatch.waits_for_tokens[port]),
            ]
        for unit, (adder, spread) in enumerate(zip(units, spreads, strict=True)):
            m.d.comb += [
                status.memory[unit].eq(adder.missing[config.ports]),
                status.outlets[unit].eq(spread.blocked),
            ]
        moves = [dispatch.program.valid & dispatch.program.ready, dispatch.finished]
        moves += [receiver.came for receiver in receivers]
        moves += [port.valid & port.ready for port in self.send]
        moves += [read.address.valid & read.address.ready for read in self.reads]
        moves += [write.beat.valid & write.beat.ready for write in self.writes]
        still = Signal(PATIENCE_BITS)
        with m.If(Cat(*moves).any() | ~status.busy):
            m.d.sync += [still.eq(0), status.stalled.eq(0)]
        with m.Elif(still == self.patience):
            m.d.sync += status.stalled.eq(self.patience != 0)
        with m.Else():
            m.d.sync += still.eq(Mux(self.patience == 0, 0, still + 1))
