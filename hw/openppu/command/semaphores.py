"""Counting semaphores, through which the queues of a chip meet."""

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.command.layouts import VALUE_BITS, signal_layout
from openppu.common.choose import RoundRobin
from openppu.common.shared import shared

MOST = (1 << VALUE_BITS) - 1


class Semaphores(wiring.Component):
    """Counters that are raised by whoever has ended something, and lowered by who has waited for it.

    A wait is taken as soon as its semaphore is at least its value, and takes that away. A signal is taken when the sum
    still fits; so none is ever lost. Of several waits that could be taken, and of several signals, one is a cycle, each
    in its turn.

    Latency: a wait or signal that is taken counts from the next cycle on. Throughput: a wait and a signal a cycle.

    Parameters
    ----------
    count : int
    waiters, signallers : int, at least 1

    Members
    -------
    waits : In(stream of signal_layout), array
    signals : In(stream of signal_layout), array
        Those of a semaphore that does not exist are never taken: check first.
    clear : In(1)
        All are 0 from the next cycle on.
    values : Out(VALUE_BITS), array
    """

    def __init__(self, *, count: int, waiters: int, signallers: int):
        for name, value in (("count", count), ("waiters", waiters), ("signallers", signallers)):
            if value < 1:
                raise ValueError(f"Semaphores {name} = {value}: give at least 1")
        self.count = count
        self.waiters = waiters
        self.signallers = signallers
        super().__init__(
            {
                "waits": In(stream.Signature(signal_layout())).array(waiters),
                "signals": In(stream.Signature(signal_layout())).array(signallers),
                "clear": In(1),
                "values": Out(VALUE_BITS).array(count),
            }
        )

    def elaborate(self, platform):
        m = Module()
        values = Array(self.values)

        def choose(name, streams, possible):
            """The stream whose turn it is, taken now; its semaphore and value, 0 if there is none."""
            turns = RoundRobin(len(streams))
            m.submodules[name] = shared(turns, platform)
            m.d.comb += [turns.requests.eq(Cat(possible)), turns.served.eq(1)]
            chosen = Array(each.payload.as_value() for each in streams)[turns.pick]
            semaphore = Signal(range(self.count), name=f"{name}_of")
            value = Signal(VALUE_BITS, name=f"{name}_by")
            view = signal_layout()(chosen)
            m.d.comb += [semaphore.eq(view.semaphore), value.eq(Mux(turns.valid, view.value, 0))]
            m.d.comb += [each.ready.eq(turns.valid & (turns.pick == n)) for n, each in enumerate(streams)]
            return semaphore, value

        def known(each):
            return each.valid & (each.payload.semaphore < self.count)

        lowered, less = choose(
            "lower",
            self.waits,
            [known(each) & (values[each.payload.semaphore] >= each.payload.value) for each in self.waits],
        )
        raised, more = choose(
            "raise",
            self.signals,
            [known(each) & (values[each.payload.semaphore] + each.payload.value <= MOST) for each in self.signals],
        )
        for number, value in enumerate(self.values):
            m.d.sync += value.eq(value - Mux(lowered == number, less, 0) + Mux(raised == number, more, 0))
            with m.If(self.clear):
                m.d.sync += value.eq(0)
        return m
