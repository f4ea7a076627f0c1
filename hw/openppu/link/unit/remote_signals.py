"""Signals between the semaphores of chips."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.command.layouts import VALUE_BITS as SIGNAL_BITS
from openppu.command.layouts import remote_layout, signal_layout
from openppu.common.choose import RoundRobin
from openppu.common.shared import shared
from openppu.link.config import MOST_DATA_BYTES, LinkConfig
from openppu.link.layouts import TAG_BITS, Operation, Status, packet_layout
from openppu.link.semaphores import VALUE_BITS, Semaphores


class SignalSender(wiring.Component):
    """Tells another chip's semaphores: a transaction for each 4,096 of a value, one at a time.

    Latency: 1 cycle. Throughput: a signal a round trip.

    Parameters
    ----------
    config : LinkConfig
    tag : int
        Of its transactions.

    Members
    -------
    remote : In(stream of remote_layout())
    packets : Out(stream of packet_layout(config))
    answer : In(struct valid, tag, status)
    failed : Out(1)
        For a cycle: a signal did not get there.
    idle : Out(1)
    """

    def __init__(self, config: LinkConfig, *, tag: int):
        self.config = config
        self.tag = tag
        super().__init__(
            {
                "remote": In(stream.Signature(remote_layout())),
                "packets": Out(stream.Signature(packet_layout(config))),
                "answer": In(data.StructLayout({"valid": 1, "tag": TAG_BITS, "status": Status})),
                "failed": Out(1),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        job = Signal(remote_layout())
        waiting = Signal()
        step = Signal(SIGNAL_BITS)
        header = self.packets.payload.header
        answered = Signal()
        m.d.comb += [
            self.idle.eq((job.value == 0) & ~waiting),
            self.remote.ready.eq(self.idle),
            step.eq(Mux(job.value < MOST_DATA_BYTES, job.value, MOST_DATA_BYTES)),
            self.packets.valid.eq((job.value != 0) & ~waiting),
            self.packets.payload.first.eq(1),
            self.packets.payload.last.eq(1),
            header.operation.eq(Operation.SIGNAL),
            header.destination.eq(job.chip),
            header.tag.eq(self.tag),
            header.length.eq(step - 1),
            header.address.eq(job.semaphore),
            answered.eq(waiting & self.answer.valid & (self.answer.tag == self.tag)),
            self.failed.eq(answered & (self.answer.status != Status.OKAY)),
        ]
        with m.If(self.remote.valid & self.remote.ready):
            m.d.sync += job.eq(self.remote.payload)
        with m.If(self.packets.valid & self.packets.ready):
            m.d.sync += [waiting.eq(1), job.value.eq(job.value - step)]
        with m.If(answered):
            m.d.sync += waiting.eq(0)
        return m


class SignalReceiver(wiring.Component):
    """Hands on what other chips have signalled to the chip's own semaphores, as soon as nothing that came before is on
    its way to memory.

    Latency: 2 cycles. Throughput: a signal in 2 cycles.

    Parameters
    ----------
    count : int

    Members
    -------
    values : In(VALUE_BITS), array
        The link's semaphores.
    lower : Out(Semaphores.lower_layout(count))
    settled : In(1)
        All writes that came are in memory.
    signals : Out(stream of signal_layout())
    """

    def __init__(self, count: int):
        self.count = count
        super().__init__(
            {
                "values": In(VALUE_BITS).array(count),
                "lower": Out(Semaphores.lower_layout(count)),
                "settled": In(1),
                "signals": Out(stream.Signature(signal_layout())),
            }
        )

    def elaborate(self, platform):
        m = Module()
        turns = RoundRobin(self.count)
        m.submodules.turns = shared(turns, platform)
        most = (1 << SIGNAL_BITS) - 1
        takes = Signal()
        # What was lowered is seen in `values` a cycle later.
        m.d.comb += [
            turns.requests.eq(Cat(value != 0 for value in self.values)),
            takes.eq(turns.valid & self.settled & ~self.signals.valid & ~self.lower.valid),
            turns.served.eq(takes),
        ]
        m.d.sync += self.lower.valid.eq(0)
        with m.If(self.signals.ready):
            m.d.sync += self.signals.valid.eq(0)
        with m.If(takes):
            m.d.sync += [self.signals.valid.eq(1), self.lower.valid.eq(1)]
            with m.Switch(turns.pick):
                for number, value in enumerate(self.values):
                    with m.Case(number):
                        amount = Mux(value > most, most, value)
                        m.d.sync += [
                            self.signals.payload.semaphore.eq(number),
                            self.signals.payload.value.eq(amount),
                            self.lower.index.eq(number),
                            self.lower.amount.eq(amount),
                        ]
        return m
