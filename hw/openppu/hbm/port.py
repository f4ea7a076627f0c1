"""A request port of a channel."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.hbm.config import GRANULE, ChannelConfig
from openppu.hbm.layouts import (
    acknowledge_layout,
    entry_layout,
    request_layout,
    response_layout,
    returned_layout,
    write_word_layout,
)
from openppu.hbm.phy import PSEUDO_CHANNELS
from openppu.hbm.reorder import Reorder
from openppu.hbm.settings import settings_layout
from openppu.hbm.splitter import Splitter

ENTRIES = 4
"""Entries that wait in a port for each PC."""

WORDS = ENTRIES * GRANULE
"""Words of write entries that wait in a port for each PC."""

ACKNOWLEDGES = 8
"""Writes that were sent to the PCs, and whose acknowledges wait."""


class Port(wiring.Component):
    """Turns requests into entries for the pseudo-channels, and what they return into responses.

    Requests take effect in their order. A write's entry is offered once all its words are there. A write is
    acknowledged when its last entry is taken by its PC: from then on everybody's reads come after it.

    Latency: 1 cycle from a read to its entry; 2 from a piece's last word returned to its first response. Throughput:
    one word in and one out a cycle.

    Members
    -------
    settings : In(settings_layout())
    refuse : In(1)
        Answer the requests that come from the next cycle on with an error.
    requests : In(stream of request_layout(config))
    words : In(stream of write_word_layout())
    responses : Out(stream of response_layout(config))
    acknowledges : Out(stream of acknowledge_layout(config))
    entries : Out(stream of entry_layout(config)), array of one a PC
        Without ``port``, which the crossbar fills in.
    entry_words : Out(stream of write_word_layout()), array of one a PC
        The words of the PC's write entries, in order; they come at one a cycle, from the cycle after their entry was
        offered at the latest.
    returned : In(returned_layout(config)), array of one a PC
    """

    LATENCY = 1
    """Cycles from a read to its entry."""

    def __init__(self, config: ChannelConfig):
        self.config = config
        words = stream.Signature(write_word_layout())
        super().__init__(
            {
                "settings": In(settings_layout()),
                "refuse": In(1),
                "requests": In(stream.Signature(request_layout(config))),
                "words": In(words),
                "responses": Out(stream.Signature(response_layout(config))),
                "acknowledges": Out(stream.Signature(acknowledge_layout(config))),
                "entries": Out(stream.Signature(entry_layout(config))).array(PSEUDO_CHANNELS),
                "entry_words": Out(words).array(PSEUDO_CHANNELS),
                "returned": In(returned_layout(config)).array(PSEUDO_CHANNELS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.splitter = splitter = Splitter(config)
        m.submodules.reorder = reorder = Reorder(config)
        m.d.comb += [splitter.settings.eq(self.settings), splitter.refuse.eq(self.refuse)]
        wiring.connect(m, wiring.flipped(self.requests), splitter.requests)
        wiring.connect(m, reorder.responses, wiring.flipped(self.responses))
        for pc in range(PSEUDO_CHANNELS):
            m.d.comb += reorder.returned[pc].eq(self.returned[pc])

        granule = splitter.granules.payload
        entry_shape = data.StructLayout({"entry": entry_layout(config), "end": 1})
        waiting = [fifo.SyncFIFO(width=entry_shape.size, depth=ENTRIES) for _ in range(PSEUDO_CHANNELS)]
        word_queues = [
            fifo.SyncFIFOBuffered(width=write_word_layout().size, depth=WORDS) for _ in range(PSEUDO_CHANNELS)
        ]
        m.submodules.acknowledges = owed = fifo.SyncFIFO(
            width=acknowledge_layout(config).size + PSEUDO_CHANNELS, depth=ACKNOWLEDGES
        )

        def of_pc(values):
            """The granule's PC's one of two values."""
            return Mux(granule.pc, values[1], values[0])

        entry_room = of_pc([queue.w_rdy for queue in waiting])
        word_room = of_pc([queue.w_rdy for queue in word_queues])
        free = of_pc([slots.valid for slots in reorder.free])
        order_room = Cat(pieces.ready for pieces in reorder.pieces).bit_select(granule.tag, 1)

        # A read goes on as soon as there is room everywhere; a write with its last word.
        word = Signal(range(GRANULE))
        masked = Signal()
        word_masked = Signal()
        last_word = Signal()
        read_step = Signal()
        word_step = Signal()
        write_step = Signal()
        m.d.comb += [
            word_masked.eq(masked | ~self.words.payload.mask.all()),
            last_word.eq(word == granule.last),
            read_step.eq(
                splitter.granules.valid & ~granule.write & order_room & (granule.refused | (entry_room & free))
            ),
            self.words.ready.eq(
                splitter.granules.valid
                & granule.write
                & (granule.refused | word_room)
                & (~last_word | ((granule.refused | entry_room) & (~granule.end | owed.w_rdy)))
            ),
            word_step.eq(self.words.valid & self.words.ready),
            write_step.eq(word_step & last_word),
            splitter.granules.ready.eq(read_step | write_step),
        ]
        with m.If(word_step):
            m.d.sync += [word.eq(Mux(last_word, 0, word + 1)), masked.eq(~last_word & word_masked)]

        # Entries.
        entry = Signal(entry_shape)
        m.d.comb += [
            entry.entry.write.eq(granule.write),
            entry.entry.masked.eq(granule.write & word_masked),
            entry.entry.place.eq(granule.place),
            entry.entry.last.eq(granule.last),
            entry.entry.slot.eq(of_pc([slots.payload for slots in reorder.free])),
            entry.end.eq(granule.write & granule.end_of_pc),
        ]
        ended = []
        for pc, (queue, words) in enumerate(zip(waiting, word_queues, strict=True)):
            m.submodules[f"entries_{pc}"] = queue
            m.submodules[f"words_{pc}"] = words
            here = ~granule.refused & (granule.pc == pc)
            head = Signal(entry_shape, name=f"head_{pc}")
            m.d.comb += [
                queue.w_data.eq(entry),
                queue.w_en.eq(here & (read_step | write_step)),
                reorder.free[pc].ready.eq(here & read_step),
                words.w_data.eq(self.words.payload),
                words.w_en.eq(here & word_step),
                head.eq(queue.r_data),
                self.entries[pc].payload.eq(head.entry),
                self.entries[pc].valid.eq(queue.r_rdy),
                queue.r_en.eq(self.entries[pc].ready),
                self.entry_words[pc].payload.eq(words.r_data),
                self.entry_words[pc].valid.eq(words.r_rdy),
                words.r_en.eq(self.entry_words[pc].ready),
            ]
            ended.append(queue.r_rdy & self.entries[pc].ready & head.end)

        # Responses.
        for tag, pieces in enumerate(reorder.pieces):
            m.d.comb += [
                pieces.valid.eq(read_step & (granule.tag == tag)),
                pieces.payload.pc.eq(granule.pc),
                pieces.payload.slot.eq(entry.entry.slot),
                pieces.payload.word.eq(granule.place.column),
                pieces.payload.last.eq(granule.last),
                pieces.payload.end.eq(granule.end),
                pieces.payload.refused.eq(granule.refused),
            ]

        # Acknowledges: one once as many of the PCs' parts of writes have gone as this write has.
        acknowledge = Signal(acknowledge_layout(config))
        parts = Signal(PSEUDO_CHANNELS)
        gone = [Signal(range(ACKNOWLEDGES + 2), name=f"gone_{pc}") for pc in range(PSEUDO_CHANNELS)]
        missing = Signal(PSEUDO_CHANNELS)
        needed = Signal(PSEUDO_CHANNELS)
        m.d.comb += [
            # Neighbouring granules lie in different PCs: a write of several pieces has both.
            parts.eq(Cat(granule.pc == pc for pc in range(PSEUDO_CHANNELS)) | (~granule.first).replicate(2)),
            acknowledge.tag.eq(granule.tag),
            acknowledge.error.eq(granule.refused),
            owed.w_data.eq(Cat(acknowledge, parts & (~granule.refused).replicate(PSEUDO_CHANNELS))),
            owed.w_en.eq(write_step & granule.end),
            Cat(self.acknowledges.payload, needed).eq(owed.r_data),
            missing.eq(needed & Cat(count == 0 for count in gone)),
            self.acknowledges.valid.eq(owed.r_rdy & ~missing.any()),
            owed.r_en.eq(self.acknowledges.valid & self.acknowledges.ready),
        ]
        for pc, count in enumerate(gone):
            m.d.sync += count.eq(count + ended[pc] - (owed.r_en & needed[pc]))
        return m
