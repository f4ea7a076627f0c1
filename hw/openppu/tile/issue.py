"""Decides in which cycle a row of activations enters the array."""

from amaranth import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.config import TileConfig
from openppu.tile.command import Addend, Cause
from openppu.tile.fetch import activation_tag_layout


class Issue(wiring.Component):
    """The scoreboard of accumulator rows, and the conditions under which a row may go.

    A row's accumulators are busy from its issue until the sum has come back, or, if it is a result, until it has been
    read out. That one rule covers reading too early, overwriting a result that waits, and commands that share
    accumulators.

    Latency: none, ``rows`` is taken in the cycle in which the row enters. Throughput: one row a cycle.

    Members
    -------
    rows : In(stream)
        Tags of rows whose activations are there, or on their way.
    following_row, follows, incoming_row : In
        The accumulators of the tag that comes after ``rows``, if it ``follows``, and if not, those of the one that is
        next to come: they are looked up in the cycle before their issue.
    activations_valid, issued : In(1), Out(1)
        Handshake of the activations' stream: a row is issued.
    full : In(1)
        The next block's weights are loaded.
    swap : Out(1)
        The row that is taken is the first of its block.
    addend_valid, addend_ready : In(1), Out(1)
        Handshake of the addends' stream.
    returned, returned_row : In
        A sum that is not a result is back in its accumulators.
    drained, drained_row : In
        A result has been read out.
    fetching, waiting, held, result_waits : In(1)
        For ``cause``: a command is on its way, an activation request is, a result is held by its taker, or just waits.
    cause : Out(Cause)
        What this cycle went to.
    """

    def __init__(self, config: TileConfig):
        self.config = config
        super().__init__(
            {
                "rows": In(stream.Signature(activation_tag_layout(config))),
                "following_row": In(config.accumulator_bits),
                "follows": In(1),
                "incoming_row": In(config.accumulator_bits),
                "activations_valid": In(1),
                "issued": Out(1),
                "full": In(1),
                "swap": Out(1),
                "addend_valid": In(1),
                "addend_ready": Out(1),
                "returned": In(1),
                "returned_row": In(config.accumulator_bits),
                "drained": In(1),
                "drained_row": In(config.accumulator_bits),
                "fetching": In(1),
                "waiting": In(1),
                "held": In(1),
                "result_waits": In(1),
                "cause": Out(Cause),
            }
        )

    def elaborate(self, platform):
        m = Module()
        tag = self.rows.payload
        busy = Signal(self.config.accumulators)
        in_flight = Signal(range(self.config.accumulators + 1))
        row_busy = Signal()
        went = Signal()
        went_row = Signal(self.config.accumulator_bits)
        needs_weights = Signal()
        needs_addend = Signal()
        there = Signal()
        go = Signal()
        m.d.comb += [
            needs_weights.eq(tag.first & ~self.full),
            needs_addend.eq((tag.source == Addend.STREAM) & ~self.addend_valid),
            there.eq(self.rows.valid & self.activations_valid),
            go.eq(there & ~(row_busy | needs_weights | needs_addend)),
            self.rows.ready.eq(go),
            self.issued.eq(go),
            self.swap.eq(go & tag.first),
            self.addend_ready.eq(there & (tag.source == Addend.STREAM) & ~(row_busy | needs_weights)),
        ]

        freed = Signal(self.config.accumulators)
        # A row is marked in the cycle after its issue, which has no time for it; a look-up asks for that row, too.
        m.d.sync += [went.eq(go), went_row.eq(tag.row)]
        taken = self._flag(m, "taken", went, went_row)
        returns = self._flag(m, "returns", self.returned, self.returned_row)
        drains = self._flag(m, "drains", self.drained, self.drained_row)
        m.d.comb += freed.eq(returns | drains)
        m.d.sync += busy.eq((busy | taken) & ~freed)
        m.d.sync += in_flight.eq(in_flight + go - self.returned - self.drained)

        def stays_busy(row, busy):
            freed = (self.returned & (self.returned_row == row)) | (self.drained & (self.drained_row == row))
            return busy & ~freed

        def will_be_busy(row):
            is_busy = busy.bit_select(row, 1) | (went & (row == went_row))
            return stays_busy(row, is_busy) | (go & (row == tag.row))

        with m.If(self.rows.valid & ~go):
            m.d.sync += row_busy.eq(stays_busy(tag.row, row_busy))
        with m.Elif(self.follows):
            m.d.sync += row_busy.eq(will_be_busy(self.following_row))
        with m.Else():
            m.d.sync += row_busy.eq(will_be_busy(self.incoming_row))

        with m.If(go):
            m.d.comb += self.cause.eq(Cause.COMPUTE)
        with m.Elif(there & needs_weights):
            m.d.comb += self.cause.eq(Cause.WEIGHTS)
        with m.Elif(there & needs_addend):
            m.d.comb += self.cause.eq(Cause.ADDENDS)
        with m.Elif(there & self.held):
            m.d.comb += self.cause.eq(Cause.OUTPUT)
        with m.Elif(there):
            m.d.comb += self.cause.eq(Cause.DEPENDENCE)
        with m.Elif(self.waiting):
            m.d.comb += self.cause.eq(Cause.ACTIVATIONS)
        with m.Elif(self.fetching):
            m.d.comb += self.cause.eq(Cause.FILL)
        with m.Elif((in_flight != 0) | self.result_waits):
            m.d.comb += self.cause.eq(Cause.DRAIN)
        with m.Else():
            m.d.comb += self.cause.eq(Cause.IDLE)
        return m

    def _flag(self, m, name, given, row):
        """A signal with a bit for each row: that of ``row`` is high if it is given.

        One shift over all rows would do, but Amaranth would look at every bit of it for every bit. So the rows are cut
        into groups, about as many as each has rows.
        """
        low = row[: len(row) // 2]
        high = row[len(low) :]
        place = Signal(1 << len(low), name=f"{name}_place")
        group = Signal(1 << len(high), name=f"{name}_group")
        flag = Signal(self.config.accumulators, name=name)
        m.d.comb += place.eq(Const(1, 1) << low)
        with m.If(given):  # no row needs to be known if none is given
            m.d.comb += group.eq(Const(1, 1) << high)
        m.d.comb += flag.eq(Cat(place & chosen.replicate(len(place)) for chosen in group))
        return flag
