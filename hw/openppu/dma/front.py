"""From commands to what is read and written: what both engines begin with."""

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.memory import ADDRESS_BITS
from openppu.dma.admit import Admit
from openppu.dma.expand import Expand
from openppu.dma.layouts import SCRATCHPAD_BITS, command_layout, source_layout, target_layout, word_layout
from openppu.dma.prepare import Prepare
from openppu.dma.walker import Walker
from openppu.formats.spec import Format

MOST_UNDER_WAY = 15
"""Commands that are walked through but not over."""


class Front(wiring.Component):
    """Checks commands, and gives the sources and targets of those that are right, each command's ``end`` behind them.

    Parameters
    ----------
    store : bool
    formats : tuple of Format
    compute_units : int
    word_bytes, address_bits : int
        Of the scratchpad.
    channels : int

    Members
    -------
    commands : In(stream of command_layout())
    sources : Out(stream of source_layout())
    targets : Out(stream of target_layout())
    over : In(1)
        All of a command is done.
    reads : Out(stream), results : In(stream)
        Of lists of indices, as in `openppu.dma.read`.
    hbm_bytes : In(40)
    scratchpad_bytes : In(25)
    """

    def __init__(
        self,
        *,
        store: bool,
        formats: tuple[Format, ...],
        compute_units: int,
        word_bytes: int,
        address_bits: int,
        channels: int,
    ):
        self.store = store
        self.prepare = Prepare(store=store, formats=formats, compute_units=compute_units)
        self.admit = Admit(word_bytes=word_bytes, address_bits=address_bits, store=store, waits_block=channels > 1)
        super().__init__(
            {
                "commands": In(stream.Signature(command_layout())),
                "sources": Out(stream.Signature(source_layout())),
                "targets": Out(stream.Signature(target_layout())),
                "over": In(1),
                "reads": Out(stream.Signature(address_bits)),
                "results": In(stream.Signature(word_layout(word_bytes), always_ready=True)),
                "hbm_bytes": In(ADDRESS_BITS),
                "scratchpad_bytes": In(SCRATCHPAD_BITS + 1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.prepare = prepare = self.prepare
        m.submodules.admit = admit = self.admit
        m.submodules.walker = walker = Walker()
        m.submodules.expand = expand = Expand(store=self.store)
        wiring.connect(m, wiring.flipped(self.commands), prepare.commands)
        wiring.connect(m, prepare.jobs, admit.given)
        wiring.connect(m, admit.offsets, expand.offsets)
        wiring.connect(m, admit.reads, wiring.flipped(self.reads))
        wiring.connect(m, wiring.flipped(self.results), admit.results)
        wiring.connect(m, walker.steps, expand.steps)
        wiring.connect(m, expand.sources, wiring.flipped(self.sources))
        wiring.connect(m, expand.targets, wiring.flipped(self.targets))

        under_way = Signal(range(MOST_UNDER_WAY + 1))
        room = Signal()
        m.d.comb += [
            prepare.hbm_bytes.eq(self.hbm_bytes),
            prepare.scratchpad_bytes.eq(self.scratchpad_bytes),
            room.eq(under_way != MOST_UNDER_WAY),
            walker.jobs.payload.eq(admit.jobs.payload),
            walker.jobs.valid.eq(admit.jobs.valid & room),
            admit.jobs.ready.eq(walker.jobs.ready),
            expand.job.eq(admit.jobs.payload),
            admit.idle.eq(under_way == 0),
        ]
        m.d.sync += under_way.eq(under_way + (walker.jobs.valid & walker.jobs.ready) - self.over)
        return m
