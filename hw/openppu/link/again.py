"""Which flits are sent again, in which order."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.common.choose import RoundRobin
from openppu.link.config import LinkConfig
from openppu.link.numbers import NUMBER_BITS, later


class Again(wiring.Component):
    """Names the flit to be sent again next.

    With ``selective``, each that was asked for, once, in turn. With ``go_back_n``, that and all after it.
    What was acknowledged meanwhile is left out. Latency: 2 cycles from ``ask`` to ``due``.

    Members
    -------
    ask : In(1), asked : In(NUMBER_BITS)
        Send this one again; not before ``oldest``, and before ``next_number``.
    oldest, next_number : In(NUMBER_BITS)
        The oldest that is not acknowledged; the next new one, without one in progress.
    stored : In(1)
        ``next_number`` goes up by one.
    due : Out(1), number : Out(NUMBER_BITS)
        Both stay until it is taken, or acknowledged.
    taken : In(1)
        It begins. ``due`` falls for a cycle at least.
    """

    def __init__(self, config: LinkConfig):
        self.config = config
        super().__init__(
            {
                "ask": In(1),
                "asked": In(NUMBER_BITS),
                "oldest": In(NUMBER_BITS),
                "next_number": In(NUMBER_BITS),
                "stored": In(1),
                "due": Out(1),
                "number": Out(NUMBER_BITS),
                "taken": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        return self.go_back(m) if self.config.retry == "go_back_n" else self.select(m)

    def select(self, m: Module) -> Module:
        """A bit for each flit of the window."""
        window = self.config.window
        place_bits = (window - 1).bit_length()
        wanted = Signal(window)
        offers = Signal()
        offered = Signal(place_bits)
        m.submodules.turn = turn = RoundRobin(window)

        offset = Signal(place_bits)
        outstanding = Signal(NUMBER_BITS)
        m.d.comb += [
            offset.eq(offered - self.oldest[:place_bits]),
            outstanding.eq(self.next_number - self.oldest),
            self.due.eq(offers & (offset < outstanding)),
            turn.requests.eq(wanted),
            turn.served.eq(~offers),
        ]
        number = later(m, self.oldest, offset, name="offered_number")
        m.d.comb += self.number.eq(number)
        with m.If(~offers):
            m.d.sync += [offers.eq(turn.valid), offered.eq(turn.pick), wanted.bit_select(turn.pick, 1).eq(0)]
        with m.Elif(self.taken | ~self.due):
            m.d.sync += offers.eq(0)
        with m.If(self.ask):
            m.d.sync += wanted.bit_select(self.asked[:place_bits], 1).eq(1)
        return m

    def go_back(self, m: Module) -> Module:
        """A number that goes along with the next new one, unless it was set back."""
        at = Signal(NUMBER_BITS)
        rest = Signal(NUMBER_BITS)
        outstanding = Signal(NUMBER_BITS)
        behind = Signal()
        changes = Signal()
        pauses = Signal()
        m.d.comb += [
            rest.eq(self.next_number - at),
            outstanding.eq(self.next_number - self.oldest),
            behind.eq(rest > outstanding),
            self.due.eq((rest != 0) & ~behind & ~pauses),
            self.number.eq(at),
            changes.eq(self.ask | self.taken | behind),
        ]
        m.d.sync += pauses.eq(changes)
        with m.If(self.ask):
            m.d.sync += at.eq(self.asked)
        with m.Elif(behind):
            m.d.sync += at.eq(self.oldest)
        with m.Elif(self.taken | (self.stored & (rest == 0))):
            m.d.sync += at.eq(at + 1)
        return m
