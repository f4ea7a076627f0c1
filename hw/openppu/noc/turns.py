"""Puts packets of several streams into one, without a delay."""

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.choose import RoundRobin


class Turns(wiring.Component):
    """Packets of several streams, one after the other; the streams take turns.

    Packets come whole; or with ``whole`` not asked for, so long as there is a next flit of the packet: where each flit
    says all that is needed of it, others may come while a packet pauses.

    Latency: 0 cycles. Throughput: a flit a cycle.

    Parameters
    ----------
    shape : StructLayout
        A flit, with a field ``end``.
    count : int, at least 1
        Streams.
    whole : bool

    Members
    -------
    flits : In(stream of shape), array
    merged : Out(stream of shape)

    Raises
    ------
    ValueError
        If ``count`` is under 1.
    """

    def __init__(self, shape, *, count: int, whole: bool):
        if count < 1:
            raise ValueError(f"Turns count = {count}: give at least 1")
        self.shape = shape
        self.count = count
        self.whole = whole
        flit = stream.Signature(shape)
        super().__init__({"flits": In(flit).array(count), "merged": Out(flit)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.turns = turns = RoundRobin(self.count)
        # From the moment that a packet is offered until its end is taken.
        under_way = Signal()
        current = Signal(range(max(2, self.count)))
        chosen = Signal.like(current)
        goes_on = Signal()
        valid = Array(flits.valid for flits in self.flits)
        m.d.comb += goes_on.eq(under_way if self.whole else under_way & valid[current])
        m.d.comb += [
            *(turns.requests[place].eq(flits.valid) for place, flits in enumerate(self.flits)),
            chosen.eq(Mux(goes_on, current, turns.pick)),
            self.merged.payload.eq(Array(flits.payload.as_value() for flits in self.flits)[chosen]),
            self.merged.valid.eq(valid[chosen]),
            turns.served.eq(self.merged.valid & ~goes_on),
            *(flits.ready.eq(self.merged.ready & (chosen == place)) for place, flits in enumerate(self.flits)),
        ]
        with m.If(self.merged.valid):
            m.d.sync += [under_way.eq(~(self.merged.ready & self.merged.payload.end)), current.eq(chosen)]
        return m
