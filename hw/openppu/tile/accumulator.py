"""The accumulators of one column."""

from amaranth import Module, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from openppu.config import TileConfig
from openppu.tile.command import Addend

DISTRIBUTED = 64
"""Words up to which the memory asks an FPGA for look-up tables: block memory answers later than they do (on an ECP5,
5.6 ns after the clock)."""


def inject_layout(config: TileConfig) -> data.StructLayout:
    """Which sum enters the top of a column: its accumulator row, and where its value comes from."""
    return data.StructLayout({"row": config.accumulator_bits, "source": Addend})


def collect_layout(config: TileConfig) -> data.StructLayout:
    """Where the sum that leaves the bottom of a column goes, if ``valid``."""
    return data.StructLayout({"row": config.accumulator_bits, "valid": 1})


class Accumulator(wiring.Component):
    """One column's accumulator memory, between the bottom of the column and its top.

    What to inject and to collect comes from the column at the left and goes on to the right one cycle later, like the
    data in the array; so a row of accumulators needs no skew registers. A result is read for all columns at once, and
    so is what others read, if it is ``readable`` by them.

    Latency: 2 cycles from ``inject`` to ``partial``; 1 from ``drain_row`` to ``drained`` and from ``read_row`` to
    ``sum``; a row that is collected in one cycle can be read from the next. Throughput: one of each a cycle.

    Members
    -------
    inject, inject_next : In, Out(inject_layout)
    collect, collect_next : In, Out(collect_layout)
        Accompanies ``total``.
    addend : In(32)
        Value of a ``STREAM`` source, one cycle after its ``inject``.
    partial : Out(32)
        To the top of the column.
    total : In(32)
        From the bottom of the column.
    drain, drain_row, drained : In(1), In, Out(32)
        While ``drain`` is low ``drained`` keeps its value.
    read, read_row, sum : In(1), In, Out(32)
        Likewise, for others than the tile; only if ``readable``.
    """

    PARTIAL_AFTER_INJECT = 2

    def __init__(self, config: TileConfig, *, readable: bool = False):
        self.config = config
        self.readable = readable
        inject = inject_layout(config)
        collect = collect_layout(config)
        others = {"read": In(1), "read_row": In(config.accumulator_bits), "sum": Out(32)}
        super().__init__(
            {
                "inject": In(inject),
                "inject_next": Out(inject),
                "collect": In(collect),
                "collect_next": Out(collect),
                "addend": In(32),
                "partial": Out(32),
                "total": In(32),
                "drain": In(1),
                "drain_row": In(config.accumulator_bits),
                "drained": Out(32),
            }
            | (others if readable else {})
        )

    def elaborate(self, platform):
        m = Module()
        depth = self.config.accumulators
        style = {"ram_style": "distributed"} if depth <= DISTRIBUTED else {}
        m.submodules.memory = store = memory.Memory(shape=32, depth=depth, init=[], attrs=style)
        write = store.write_port()
        inject = store.read_port()
        drain = store.read_port()

        # Not reset: what is on its way lands before anything that is issued after the reset.
        inject_next = Signal(inject_layout(self.config), reset_less=True)
        collect_next = Signal(collect_layout(self.config), reset_less=True)
        m.d.sync += [inject_next.eq(self.inject), collect_next.eq(self.collect)]
        m.d.comb += [
            self.inject_next.eq(inject_next),
            self.collect_next.eq(collect_next),
            write.addr.eq(self.collect.row),
            write.en.eq(self.collect.valid),
            write.data.eq(self.total),
            inject.addr.eq(self.inject.row),
            drain.addr.eq(self.drain_row),
            drain.en.eq(self.drain),
            self.drained.eq(drain.data),
        ]
        if self.readable:
            read = store.read_port()
            m.d.comb += [read.addr.eq(self.read_row), read.en.eq(self.read), self.sum.eq(read.data)]
        partial = Signal(32, reset_less=True)
        with m.Switch(inject_next.source):
            with m.Case(Addend.ZERO):
                m.d.sync += partial.eq(0)
            with m.Case(Addend.STREAM):
                m.d.sync += partial.eq(self.addend)
            with m.Default():
                m.d.sync += partial.eq(inject.data)
        m.d.comb += self.partial.eq(partial)
        return m
