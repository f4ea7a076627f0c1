"""The memory that a link's target reads and writes, in a chip's memory."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.common.memory import MemorySignature
from openppu.common.memory_share import MemoryShare
from openppu.common.shared import shared
from openppu.link.bridge.beat_reads import BeatReads
from openppu.link.bridge.beat_writes import BeatWrites
from openppu.link.config import LinkConfig
from openppu.link.memory_port import MemorySignature as LinkMemorySignature


class WordAccesses(wiring.Component):
    """Carries out accesses in their order: reads begin when all writes before are in memory, and writes when all reads
    before have their results.

    Latency: 2 cycles from an access to its request, 0 from a word to the result. Throughput: that of `BeatReads` and of
    `BeatWrites`; a change between the two costs what the memory takes to answer.

    Parameters
    ----------
    config : LinkConfig

    Members
    -------
    link : In(openppu.link.memory_port.MemorySignature(config))
    memory : Out(MemorySignature)
        Two tags.
    wrong : Out(1)
        For a cycle: the memory refused a write.
    settled : Out(1)
        All writes are in memory.
    """

    def __init__(self, config: LinkConfig):
        self.config = config
        super().__init__(
            {
                "link": In(LinkMemorySignature(config)),
                "memory": Out(MemorySignature(tags=2)),
                "wrong": Out(1),
                "settled": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        width = self.config.beat_bytes
        reads, writes = BeatReads(beat_bytes=width, patience=0), BeatWrites(beat_bytes=width, patience=0)
        share = MemoryShare((1, 1))
        m.submodules.reads = shared(reads, platform)
        m.submodules.writes = shared(writes, platform)
        m.submodules.share = shared(share, platform)
        wiring.connect(m, share.memory, wiring.flipped(self.memory))
        wiring.connect(m, reads.requests, share.user(0).requests)
        wiring.connect(m, share.user(0).responses, reads.responses)
        for name in ("requests", "words"):
            wiring.connect(m, getattr(writes, name), getattr(share.user(1), name))
        wiring.connect(m, share.user(1).acknowledges, writes.acknowledges)

        accesses, results = self.link.accesses, self.link.results
        given = accesses.payload
        low = (width - 1).bit_length()
        goes = Signal()
        with m.If(given.write):
            m.d.comb += goes.eq(reads.idle & writes.beat.ready)
        with m.Else():
            m.d.comb += goes.eq(writes.idle & reads.address.ready)
        m.d.comb += [
            accesses.ready.eq(goes),
            reads.address.valid.eq(accesses.valid & ~given.write & writes.idle),
            reads.address.payload.address.eq(given.address << low),
            writes.beat.valid.eq(accesses.valid & given.write & reads.idle),
            writes.beat.payload.address.eq(given.address << low),
            writes.beat.payload.data.eq(given.data),
            writes.beat.payload.mask.eq(given.mask),
            results.valid.eq(reads.beat.valid),
            results.payload.eq(reads.beat.payload),
            reads.beat.ready.eq(results.ready),
            self.wrong.eq(writes.wrong),
            self.settled.eq(writes.idle),
        ]
        return m
