"""The engine that brings a scratchpad's data into memory."""

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
from openppu.dma.expand import BLOCK_ROWS
from openppu.dma.front import Front
from openppu.dma.join import Join
from openppu.dma.lane import Lane
from openppu.dma.layouts import SCRATCHPAD_BITS, command_layout, source_layout
from openppu.dma.load_engine import FINISHED
from openppu.dma.put import WORD_ADDRESS_BITS, Put
from openppu.dma.read import Read
from openppu.dma.share import Share
from openppu.formats.operand import formats_named
from openppu.link.word_queue import WordQueue
from openppu.scratchpad.port import ScratchpadPort


class StoreEngine(wiring.Component):
    """Runs `STORE`, `SCATTER` and `FILL_MEMORY`; ``docs/dma.md`` says what each does.

    A command is finished when all its writes have been acknowledged; those behind it go on meanwhile. Throughput: one
    word of memory a cycle and channel, one word of the scratchpad a cycle.

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
            store=True,
            formats=formats,
            compute_units=self.config.compute_units,
            channels=channels,
            **sizes,
        )
        m.submodules.front = shared(front, platform)
        m.submodules.deal = deal = Deal(store=True, channels=channels, burst_bytes=self.dma.burst_bytes)
        m.submodules.share = share = Share(users=channels + 1, **sizes)
        m.submodules.finished = finished = WordQueue(finished_layout(), depth=FINISHED)
        wiring.connect(m, wiring.flipped(self.commands), front.commands)
        wiring.connect(m, front.sources, deal.sources)
        wiring.connect(m, front.targets, deal.targets)
        wiring.connect(m, share.port, wiring.flipped(self.scratchpad))
        wiring.connect(m, finished.o, wiring.flipped(self.finished))
        m.d.comb += [front.hbm_bytes.eq(self.hbm_bytes), front.scratchpad_bytes.eq(self.scratchpad_bytes)]

        puts = []
        for channel in range(channels):
            read = Read(**sizes)
            lane = Lane(
                read_bytes=self.word_bytes,
                written_bytes=WORD_BYTES,
                written_bits=WORD_ADDRESS_BITS,
                depth=2 * BLOCK_ROWS,
                formats=formats,
            )
            join = Join(address_bits=WORD_ADDRESS_BITS)
            put = Put(self.dma)
            queue = WordQueue(source_layout(), depth=2)
            m.submodules[f"read_{channel}"] = shared(read, platform)
            m.submodules[f"lane_{channel}"] = shared(lane, platform)
            m.submodules[f"join_{channel}"] = shared(join, platform)
            m.submodules[f"put_{channel}"] = shared(put, platform)
            m.submodules[f"sources_{channel}"] = queue
            memory = self.memory[channel]
            wiring.connect(m, deal.channel_sources[channel], queue.i)
            wiring.connect(m, deal.channel_targets[channel], lane.targets)
            wiring.connect(m, queue.o, read.sources)
            wiring.connect(m, read.described, lane.sources)
            wiring.connect(m, read.words, lane.words)
            wiring.connect(m, lane.placed, join.words)
            wiring.connect(m, join.joined, put.words)
            wiring.connect(m, put.requests, wiring.flipped(memory.requests))
            wiring.connect(m, put.written, wiring.flipped(memory.words))
            wiring.connect(m, wiring.flipped(memory.acknowledges), put.acknowledges)
            m.d.comb += memory.responses.ready.eq(1)
            self._read(m, share, channel, read.reads, read.results)
            puts.append(put)
        self._read(m, share, channels, front.reads, front.results)

        ends = [put.ends for put in puts]
        over = Signal()
        errors = Signal(8)
        # All channels have the same error of the command; of their own, they have but one.
        total = 0
        for each in ends:
            total = total | each.payload.as_value()
        m.d.comb += [
            over.eq(Cat(each.valid for each in ends).all() & finished.i.ready),
            errors.eq(total),
            finished.i.payload.error.eq(errors),
            finished.i.valid.eq(over),
            front.over.eq(over),
        ]
        m.d.comb += [each.ready.eq(over) for each in ends]

        account = Account()
        m.submodules.account = shared(account, platform)
        m.d.comb += [
            *account.watch(self.commands, self.finished, self.scratchpad.requests),
            account.moves.eq(Cat(put.moves for put in puts).any()),
            account.waits.eq(Cat(put.waits for put in puts).any()),
            self.cause.eq(account.cause),
            self.counters.eq(account.counters),
        ]
        return m

    def _read(self, m, share, user, reads, results):
        request = share.requests[user]
        m.d.comb += [
            request.payload.address.eq(reads.payload),
            request.valid.eq(reads.valid),
            reads.ready.eq(request.ready),
        ]
        wiring.connect(m, share.results[user], results)
