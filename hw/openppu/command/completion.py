"""What happens when a command has ended: signals, records, interrupts; and the queue stops after an error."""

from amaranth import Module, Mux, Signal
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.command.config import CommandConfig
from openppu.command.error import Error, finished_layout
from openppu.command.layouts import QUEUE_BITS, TIME_BITS, note_layout, record_layout, remote_layout, signal_layout


class Completion(wiring.Component):
    """Ends commands in the order in which they were begun.

    A command that ends well signals what it is to signal; behind one that did not, none does any more. An error is
    always recorded, and interrupts. The signal goes before the record, and the record before the interrupt.

    Latency: 2 cycles from an engine's end to the signal. Throughput: a command in 2 cycles, one more for a signal, one
    more for a record.

    Parameters
    ----------
    config : CommandConfig

    Members
    -------
    queue : In(QUEUE_BITS), now : In(TIME_BITS)
        Of the records.
    notes : In(stream of note_layout)
    finished : In(stream of finished_layout)
        From the engine.
    signals : Out(stream of signal_layout), remote : Out(stream of remote_layout)
    records : Out(stream of record_layout)
    interrupts : Out(1)
        For a cycle.
    restart : In(1)
        Forget the error. Only while all ``ended``.
    ended : Out(1)
        No command has begun and not ended.
    count : Out(32)
        Commands that ended here.
    stopped : Out(1), first : Out(note_layout())
        There was an error; the first.
    """

    def __init__(self, config: CommandConfig):
        self.config = config
        super().__init__(
            {
                "queue": In(QUEUE_BITS),
                "now": In(TIME_BITS),
                "notes": In(stream.Signature(note_layout())),
                "finished": In(stream.Signature(finished_layout())),
                "signals": Out(stream.Signature(signal_layout())),
                "remote": Out(stream.Signature(remote_layout())),
                "records": Out(stream.Signature(record_layout())),
                "interrupts": Out(1),
                "restart": In(1),
                "ended": Out(1),
                "count": Out(32),
                "stopped": Out(1),
                "first": Out(note_layout()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.waiting = waiting = fifo.SyncFIFOBuffered(width=note_layout().size, depth=self.config.in_flight)
        head = Signal(note_layout())
        ending = Signal()
        signalled = Signal()
        recorded = Signal()
        m.d.comb += [
            waiting.w_data.eq(self.notes.payload),
            waiting.w_en.eq(self.notes.valid),
            self.notes.ready.eq(waiting.w_rdy),
            self.ended.eq(~waiting.r_rdy & ~ending & (waiting.level == 0)),
        ]
        found = note_layout()(waiting.r_data)
        takes = Signal()
        m.d.comb += [
            takes.eq(waiting.r_rdy & ~ending & (self.finished.valid | ~found.engine)),
            waiting.r_en.eq(takes),
            self.finished.ready.eq(takes & found.engine),
        ]
        error = Signal(Error)
        m.d.comb += error.eq(Mux(found.engine, self.finished.payload.error, found.error))
        with m.If(takes):
            m.d.sync += [
                ending.eq(1),
                head.eq(found),
                head.error.eq(error),
                signalled.eq(~found.flags.signal | self.stopped | (error != Error.OKAY)),
                recorded.eq(~found.flags.record & (error == Error.OKAY)),
            ]
            with m.If((error != Error.OKAY) & ~self.stopped):
                m.d.sync += [self.stopped.eq(1), self.first.eq(found), self.first.error.eq(error)]

        record = self.records.payload
        m.d.comb += [
            self.signals.payload.semaphore.eq(head.semaphore),
            self.signals.payload.value.eq(head.value),
            self.signals.valid.eq(ending & ~signalled & ~head.flags.remote),
            self.remote.payload.chip.eq(head.chip),
            self.remote.payload.semaphore.eq(head.semaphore),
            self.remote.payload.value.eq(head.value),
            self.remote.valid.eq(ending & ~signalled & head.flags.remote),
            record.tag.eq(head.tag),
            record.queue.eq(self.queue),
            record.opcode.eq(head.opcode),
            record.error.eq(head.error),
            record.index.eq(head.index),
            record.begun.eq(head.begun),
        ]
        # The time of the end is that of the engine's word, however long the record waits.
        with m.If(takes):
            m.d.sync += record.ended.eq(self.now)
        m.d.comb += self.records.valid.eq(ending & signalled & ~recorded)
        with m.If((self.signals.valid & self.signals.ready) | (self.remote.valid & self.remote.ready)):
            m.d.sync += signalled.eq(1)
        with m.If(self.records.valid & self.records.ready):
            m.d.sync += recorded.eq(1)
        with m.If(ending & signalled & recorded):
            m.d.sync += [ending.eq(0), self.count.eq(self.count + 1)]
            m.d.comb += self.interrupts.eq(head.flags.interrupt | (head.error != Error.OKAY))
        with m.If(self.restart):
            m.d.sync += self.stopped.eq(0)
        return m
