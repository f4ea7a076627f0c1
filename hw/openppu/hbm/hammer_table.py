"""Which rows of a bank are activated often: the table of Graphene."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from openppu.hbm.device import Timing
from openppu.hbm.pick import gather, oldest

WORDS = 16
"""Words of a table at most, which are looked through one a clock: with `HammerTable` done before tRC of any device."""

COUNT_BITS = 16


def least_threshold(entries: int, window: int, timing: Timing) -> int:
    """The lowest threshold for which a table of so many entries is large enough.

    A bank is activated W times at most in a window, by tRC. When an activation adds 1 to ``others`` of `HammerTable`,
    all N entries stand above ``others``, so each time N + 1 activations are used up: ``others`` is W / (N + 1) at
    most. It must stay below threshold - 1.

    Parameters
    ----------
    entries : int
        ``ChannelConfig.hammer_entries``.
    window : int
        ``Settings.hammer_window``, in tREFI.
    timing : Timing

    Returns
    -------
    int
        For ``Settings.hammer_threshold``.
    """
    activations = window * timing.tREFI // timing.tRC + 2
    return activations // (entries + 1) + 2


class HammerTable(wiring.Component):
    """Counts a bank's activations by row, and says when a row's neighbours need a refresh.

    Graphene (Park et al., MICRO 2020), which counts by Misra and Gries's method: an entry holds a row and a count. An
    ACT of a row in the table adds 1 to its count. Of any other row, it takes over an entry whose count is at most
    ``others``, with ``others`` + 1, or if there is none, adds 1 to ``others``. So since its neighbours were refreshed,
    or the window began, a row of the table was activated as often as its count says, or less, and any other row
    ``others`` times or less: who takes over an entry was counted by ``others``, and who loses it had no more. Hence a
    row's count is ``threshold`` at the latest when its activations are. Then its neighbours are refreshed, and its
    count begins at 0 again.

    While they are refreshed, that is, activated, these activations are counted too. A row that comes to the threshold
    by them keeps its count, and is served next. With each window (``clear``) all counts begin at 0, but for those.

    Latency: from an ACT, ``words + 2`` clocks of ``busy``; then ``found``, or the next ACT.

    Parameters
    ----------
    entries : int
    rows : int
        Of the bank.

    Members
    -------
    threshold : In(15)
    act, row : In(1), In(row)
        An ACT is sent in this clock; only while not ``busy``.
    clear : In(1)
        A window ends.
    busy : Out(1)
        No ACT may come.
    found : Out(1)
        The bank is for refreshing neighbours only.
    waits, aggressor : Out(1), Out(row)
        Those of this row are to be activated.
    served : In(1)
        They have been.
    overflow : Out(1)
        In this clock: the table is too small for the threshold, see `least_threshold`; a new window begins.
    """

    def __init__(self, *, entries: int, rows: int):
        self.entries = entries
        self.rows = rows
        self.words = min(entries, WORDS)
        self.ways = entries // self.words
        super().__init__(
            {
                "threshold": In(COUNT_BITS - 1),
                "act": In(1),
                "row": In(range(rows)),
                "clear": In(1),
                "busy": Out(1),
                "found": Out(1),
                "waits": Out(1),
                "aggressor": Out(range(rows)),
                "served": In(1),
                "overflow": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        words, ways = self.words, self.ways
        entry = data.StructLayout({"row": range(self.rows), "count": COUNT_BITS})
        m.submodules.store = store = memory.Memory(shape=data.ArrayLayout(entry, ways), depth=words, init=[])
        read, write = store.read_port(), store.write_port(granularity=1)

        # What waits to be done, and what is being done.
        again, ending = (Signal(name=name) for name in ("again", "ending"))
        counting = Signal()
        starting = Signal(init=1)
        with m.If(self.served):
            m.d.sync += again.eq(1)
        with m.If(self.clear):
            m.d.sync += ending.eq(1)
        m.d.comb += self.waits.eq(self.found & ~again)

        # A walk through the table: in each step, the entries of the one before. Counting wants the row's entry, or
        # else one to take over; otherwise, it is one at the threshold.
        step = Signal(range(words + 1))
        former = Signal(range(max(words, 2)))
        last = Signal()
        row = Signal(range(self.rows))
        others = Signal(COUNT_BITS)
        limit = Signal(COUNT_BITS)
        above, same, wanted, spare, chosen = (
            Signal(ways, name=name) for name in ("above", "same", "wanted", "spare", "chosen")
        )
        hit, some, take = (Signal(name=name) for name in ("hit", "some", "take"))
        at, way = Signal(range(max(words, 2)), name="at"), Signal(ways, name="way")
        count, new = (Signal(COUNT_BITS, name=name) for name in ("count", "new"))
        due = Signal()
        m.d.comb += [
            read.addr.eq(step),
            former.eq(step - 1),
            last.eq(step == words),
            limit.eq(Mux(counting, others, self.threshold - 1)),
            above.eq(Cat(read.data[each].count > limit for each in range(ways))),
            same.eq(Cat(read.data[each].row == row for each in range(ways))),
            wanted.eq(Mux(counting, same, above)),
            spare.eq(Mux(counting, ~above, 0)),
            chosen.eq(oldest(Mux(wanted.any(), wanted, spare))),
            take.eq((step != 0) & ~hit & (wanted.any() | (spare.any() & ~some))),
            new.eq(Mux(hit, count, others) + 1),
            due.eq(hit & (new >= self.threshold) & ~self.found),
        ]
        with m.FSM(init="clear") as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("rest") | again | ending)
            with m.State("rest"):
                m.d.sync += [step.eq(0), hit.eq(0), some.eq(0), counting.eq(self.act)]
                with m.If(self.act):
                    m.d.sync += row.eq(self.row)
                    m.next = "walk"
                with m.Elif(again):
                    m.next = "walk"
                with m.Elif(ending):
                    m.next = "clear"
            with m.State("walk"):
                m.d.sync += step.eq(step + 1)
                with m.If(take):
                    m.d.sync += [
                        hit.eq(wanted.any()),
                        some.eq(1),
                        at.eq(former),
                        way.eq(chosen),
                        count.eq(gather(chosen, [read.data[each].count for each in range(ways)])),
                    ]
                    with m.If(~counting):
                        m.d.sync += row.eq(gather(chosen, [read.data[each].row for each in range(ways)]))
                with m.If(last):
                    m.next = "store"
            with m.State("store"):
                m.d.comb += [write.addr.eq(at), write.en.eq(Mux(some, way, 0))]
                for each in range(ways):
                    m.d.comb += [
                        write.data[each].row.eq(row),
                        write.data[each].count.eq(Mux(counting & ~due, new, 0)),
                    ]
                with m.If(~counting):
                    m.d.sync += [again.eq(0), self.found.eq(hit), self.aggressor.eq(row)]
                with m.Elif(due):
                    m.d.sync += [self.found.eq(1), self.aggressor.eq(row)]
                with m.Elif(~some):
                    m.d.sync += others.eq(new)
                    m.d.comb += self.overflow.eq(new + 1 >= self.threshold)
                    with m.If(self.overflow):
                        m.d.sync += ending.eq(1)
                m.next = "rest"
            with m.State("clear"):
                m.d.sync += step.eq(step + 1)
                m.d.comb += [write.addr.eq(former), write.en.eq((step != 0).replicate(ways))]
                for each in range(ways):
                    m.d.comb += [
                        write.data[each].row.eq(read.data[each].row),
                        write.data[each].count.eq(Mux(above[each] & ~starting, read.data[each].count, 0)),
                    ]
                with m.If(last):
                    m.d.sync += [others.eq(0), starting.eq(0), ending.eq(self.clear)]
                    m.next = "rest"
        return m
