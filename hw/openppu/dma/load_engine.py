"""The engine that brings memory into a scratchpad."""

from amaranth import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.command.error import finished_layout
from openppu.common.counters import counters_layout
from openppu.common.memory import ADDRESS_BITS, WORD_BYTES, MemorySignature
from openppu.common.shared import shared
from openppu.config import ChipConfig
from openppu.dma.account import Account
from openppu.dma.cause import Cause
from openppu.dma.deal import Deal
from openppu.dma.fetch import Fetch
from openppu.dma.front import Front
from openppu.dma.lane import Lane
from openppu.dma.layouts import SCRATCHPAD_BITS, command_layout, source_layout
from openppu.dma.share import Share
from openppu.formats.operand import formats_named
from openppu.link.word_queue import WordQueue
from openppu.scratchpad.port import ScratchpadPort

FINISHED = 4
"""Ended commands that wait to be told of."""


class LoadEngine(wiring.Component):
    """Runs `LOAD`, `GATHER`, `IM2COL` and `FILL_SCRATCHPAD`; ``docs/dma.md`` says what each does.

    A command's reads go out while the data of those before it still arrives; it writes nothing before they have written
    all. Throughput: one word of memory a cycle and channel, one word of the scratchpad a cycle.

    Members
    -------
    commands : In(stream of command_layout())
    finished : Out(stream of finished_layout())
    memory : Out(MemorySignature), array of one a channel
    scratchpad : Out(ScratchpadPort)
    hbm_bytes : In(40)
    scratchpad_bytes : In(25)
    cause : Out(Cause)
        What this cycle goes to.
    counters : Out
        Cycles by cause, of `openppu.common.counters.Counters`.
    """

    def __init__(self, config: ChipConfig):
        self.config = config
        self.dma = config.dma
        self.word_bytes = config.scratchpad.word_bytes
        self.address_bits = config.scratchpad.address_bits
        super().__init__(
            {
                "commands": In(stream.Signature(command_layout())),
                "finished": Out(stream.Signature(finished_layout())),
                "memory": Out(MemorySignature(tags=self.dma.tags)).array(self.dma.channels),
                "scratchpad": Out(ScratchpadPort(address_bits=self.address_bits, word_bytes=self.word_bytes)),
                "hbm_bytes": In(ADDRESS_BITS),
                "scratchpad_bytes": In(SCRATCHPAD_BITS + 1),
                "cause": Out(Cause),
                "counters": Out(counters_layout(Cause)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        channels = self.dma.channels
        sizes = {"word_bytes": self.word_bytes, "address_bits": self.address_bits}
        formats = tuple(fmt for fmt in formats_named(self.config.tile.formats) if fmt.is_float)
        front = Front(
            store=False,
            formats=formats,
            compute_units=self.config.compute_units,
            channels=channels,
            **sizes,
        )
        m.submodules.front = shared(front, platform)
        m.submodules.deal = deal = Deal(store=False, channels=channels, burst_bytes=self.dma.burst_bytes)
        m.submodules.share = share = Share(users=channels + 1, **sizes)
        m.submodules.finished = finished = WordQueue(finished_layout(), depth=FINISHED)
        wiring.connect(m, wiring.flipped(self.commands), front.commands)
        wiring.connect(m, front.sources, deal.sources)
        wiring.connect(m, front.targets, deal.targets)
        wiring.connect(m, share.port, wiring.flipped(self.scratchpad))
        wiring.connect(m, finished.o, wiring.flipped(self.finished))
        m.d.comb += [front.hbm_bytes.eq(self.hbm_bytes), front.scratchpad_bytes.eq(self.scratchpad_bytes)]

        placed, fetches = [], []
        for channel in range(channels):
            fetch = Fetch(self.dma)
            lane = Lane(
                read_bytes=WORD_BYTES,
                written_bytes=self.word_bytes,
                written_bits=self.address_bits,
                depth=self.dma.outstanding,
                formats=formats,
            )
            queue = WordQueue(source_layout(), depth=2)
            m.submodules[f"fetch_{channel}"] = shared(fetch, platform)
            m.submodules[f"lane_{channel}"] = shared(lane, platform)
            m.submodules[f"sources_{channel}"] = queue
            memory = self.memory[channel]
            wiring.connect(m, deal.channel_sources[channel], queue.i)
            wiring.connect(m, deal.channel_targets[channel], lane.targets)
            wiring.connect(m, queue.o, fetch.sources)
            wiring.connect(m, fetch.described, lane.sources)
            wiring.connect(m, fetch.words, lane.words)
            wiring.connect(m, fetch.requests, wiring.flipped(memory.requests))
            wiring.connect(m, wiring.flipped(memory.responses), fetch.responses)
            m.d.comb += memory.acknowledges.ready.eq(1)
            placed.append(lane.placed)
            fetches.append(fetch)

        # What is placed is written, unless nothing of a word is; the ends of a command wait for each other.
        over = Signal()
        m.d.comb += [
            over.eq(Cat(each.valid & each.payload.end for each in placed).all() & finished.i.ready),
            finished.i.valid.eq(over),
            front.over.eq(over),
        ]
        errors = Signal(8)
        m.d.comb += [errors.eq(0), finished.i.payload.error.eq(errors)]
        # All channels have the same error of the command; of their own, they have but one.
        total = 0
        for each in placed:
            total = total | each.payload.error.as_value()
        m.d.comb += errors.eq(total)
        for channel, each in enumerate(placed):
            word, request = each.payload, share.requests[channel]
            writes = ~word.end & word.mask.any()
            m.d.comb += [
                request.payload.write.eq(1),
                request.payload.address.eq(word.address),
                request.payload.data.eq(word.data),
                request.payload.mask.eq(word.mask),
                request.valid.eq(each.valid & writes),
                each.ready.eq((word.end & over) | (~word.end & (~writes | request.ready))),
            ]

        index = share.requests[channels]
        m.d.comb += [
            index.payload.address.eq(front.reads.payload),
            index.valid.eq(front.reads.valid),
            front.reads.ready.eq(index.ready),
        ]
        wiring.connect(m, share.results[channels], front.results)

        account = Account()
        m.submodules.account = shared(account, platform)
        m.d.comb += [
            *account.watch(self.commands, self.finished, self.scratchpad.requests),
            account.moves.eq(Cat(each.valid & each.ready for each in share.requests[:channels]).any()),
            account.waits.eq(Cat(fetch.waits for fetch in fetches).any()),
            self.cause.eq(account.cause),
            self.counters.eq(account.counters),
        ]
        return m
