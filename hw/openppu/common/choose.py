"""Choosing one of several bits: the lowest that is set, or each in its turn."""

from amaranth import C, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


def lowest(m: Module, bits, *, name: str) -> Signal:
    """The index of the lowest set bit, combinational; meaningless if none is set."""
    bits = list(bits)
    index = Signal(range(len(bits)), name=name)
    m.d.comb += index.eq(_lowest(bits, 0)[1])
    return index


def _lowest(bits, base):
    """A tree: whether one of the bits is set, and the lowest such one's place."""
    if len(bits) == 1:
        return bits[0], base
    half = 1 << (len(bits) - 1).bit_length() - 1
    low, low_index = _lowest(bits[:half], base)
    high, high_index = _lowest(bits[half:], base + half)
    return low | high, Mux(low, low_index, high_index)


class RoundRobin(wiring.Component):
    """Picks one of the requests, beginning behind the one that was served last.

    Latency: 0 cycles. As long as a request waits, every other one is served at most once.

    Parameters
    ----------
    width : int, at least 1
        Number of requests.

    Members
    -------
    requests : In(width)
    served : In(1)
        The pick is served in this cycle.
    valid : Out(1)
        There is a request.
    pick : Out(range(width))
        The one that is picked; meaningless if there is none.

    Raises
    ------
    ValueError
        If ``width`` is under 1.
    """

    def __init__(self, width: int):
        if width < 1:
            raise ValueError(f"RoundRobin width = {width}: give at least 1")
        self.width = width
        super().__init__({"requests": In(width), "served": In(1), "valid": Out(1), "pick": Out(range(width))})

    def elaborate(self, platform):
        m = Module()
        # Bits above the last pick come first.
        above = Signal(self.width)
        fresh = Signal(self.width)
        m.d.comb += [fresh.eq(self.requests & above), self.valid.eq(self.requests.any())]
        first = lowest(m, fresh, name="first")
        wrapped = lowest(m, self.requests, name="wrapped")
        m.d.comb += self.pick.eq(Mux(fresh.any(), first, wrapped))
        with m.If(self.served & self.valid):
            m.d.sync += above.eq(Cat(C(0), *(self.pick < place for place in range(1, self.width))))
        return m


class KeptTurns(wiring.Component):
    """A `RoundRobin` whose pick stays until it is served: what a stream offers must not change while it waits.

    Latency: 0 cycles. A request that is picked must stay until it is served.

    Parameters
    ----------
    width : int, at least 1
        Number of requests.

    Members
    -------
    requests : In(width), served : In(1), valid : Out(1), pick : Out(range(width))
        As of `RoundRobin`.

    Raises
    ------
    ValueError
        If ``width`` is under 1.
    """

    def __init__(self, width: int):
        if width < 1:
            raise ValueError(f"KeptTurns width = {width}: give at least 1")
        self.width = width
        super().__init__({"requests": In(width), "served": In(1), "valid": Out(1), "pick": Out(range(width))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.turns = turns = RoundRobin(self.width)
        held = Signal()
        holder = Signal.like(self.pick)
        m.d.comb += [
            turns.requests.eq(self.requests),
            # Its turn is over when it is picked: what comes while it waits must not count for what was before it.
            turns.served.eq(~held),
            self.valid.eq(turns.valid),
            self.pick.eq(Mux(held, holder, turns.pick)),
        ]
        m.d.sync += [held.eq(self.valid & ~self.served), holder.eq(self.pick)]
        return m
