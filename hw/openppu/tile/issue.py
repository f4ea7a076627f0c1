"""Decides in which cycle a row of activations enters the array."""

from amaranth import Const, Module, Mux, Signal
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
        Tags of rows whose activations are there.
    row_if_issued, row_if_kept : In
        The accumulators of the tag that is there in the next cycle, if ``rows`` is taken in this one, and if not; so
        that looking them up need not be done in the cycle of the issue.
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
                "row_if_issued": In(config.accumulator_bits),
                "row_if_kept": In(config.accumulator_bits),
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
        row_busy = Signal()
        needs_weights = Signal()
        needs_addend = Signal()
        go = Signal()
        m.d.comb += [
            needs_weights.eq(tag.first & ~self.full),
            needs_addend.eq((tag.source == Addend.STREAM) & ~self.addend_valid),
            self.rows.ready.eq(~(row_busy | needs_weights | needs_addend)),
            go.eq(self.rows.valid & self.rows.ready),
            self.swap.eq(go & tag.first),
            self.addend_ready.eq(self.rows.valid & (tag.source == Addend.STREAM) & ~(row_busy | needs_weights)),
        ]

        one = Const(1, self.config.accumulators)
        taken = Signal(self.config.accumulators)
        freed = Signal(self.config.accumulators)
        with m.If(go):
            m.d.comb += taken.eq(one << tag.row)
        returns = Signal(self.config.accumulators)
        drains = Signal(self.config.accumulators)
        with m.If(self.returned):
            m.d.comb += returns.eq(one << self.returned_row)
        with m.If(self.drained):
            m.d.comb += drains.eq(one << self.drained_row)
        m.d.comb += freed.eq(returns | drains)
        m.d.sync += busy.eq((busy | taken) & ~freed)

        def stays_busy(row):
            freed = (self.returned & (self.returned_row == row)) | (self.drained & (self.drained_row == row))
            return busy.bit_select(row, 1) & ~freed

        after_issue = stays_busy(self.row_if_issued) | (self.row_if_issued == tag.row)
        m.d.sync += row_busy.eq(Mux(go, after_issue, stays_busy(self.row_if_kept)))

        with m.If(go):
            m.d.comb += self.cause.eq(Cause.COMPUTE)
        with m.Elif(self.rows.valid & needs_weights):
            m.d.comb += self.cause.eq(Cause.WEIGHTS)
        with m.Elif(self.rows.valid & needs_addend):
            m.d.comb += self.cause.eq(Cause.ADDENDS)
        with m.Elif(self.rows.valid & self.held):
            m.d.comb += self.cause.eq(Cause.OUTPUT)
        with m.Elif(self.rows.valid):
            m.d.comb += self.cause.eq(Cause.DEPENDENCE)
        with m.Elif(self.waiting):
            m.d.comb += self.cause.eq(Cause.ACTIVATIONS)
        with m.Elif(self.fetching):
            m.d.comb += self.cause.eq(Cause.FILL)
        with m.Elif(busy.any() | self.result_waits):
            m.d.comb += self.cause.eq(Cause.DRAIN)
        with m.Else():
            m.d.comb += self.cause.eq(Cause.IDLE)
        return m
