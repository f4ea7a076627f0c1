"""Brings what the pseudo-channels return back into the order of the requests."""

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, fifo, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.choose import RoundRobin
from openppu.hbm.config import GRANULE, ChannelConfig
from openppu.hbm.layouts import response_layout, returned_layout
from openppu.hbm.phy import DATA_BITS, PSEUDO_CHANNELS
from openppu.hbm.slots import Slots


def piece_layout(config: ChannelConfig) -> data.StructLayout:
    """What a response gives out next: ``last + 1`` words from ``word`` on of a slot, or zeros if ``refused``."""
    return data.StructLayout(
        {
            "pc": 1,
            "slot": range(config.slots),
            "word": range(GRANULE),
            "last": range(GRANULE),
            "end": 1,
            "refused": 1,
        }
    )


class Reorder(wiring.Component):
    """Gives each piece of a read a slot of memory, and responds with the pieces of a tag in their order.

    A piece that is complete waits for nothing but older ones of its tag; the tags take turns, a piece at a time.

    Latency: a piece's first word is offered 2 cycles after its last one was returned. Throughput: one piece in and one
    word out a cycle.

    Members
    -------
    pieces : In(stream), array of one a tag
        In order; the slot is the one that ``free`` offered.
    free : Out(stream of slots), array of one a PC
        Taken together with the piece.
    returned : In(returned_layout(config)), array of one a PC
    responses : Out(stream of response_layout(config))
    """

    LATENCY = 2
    """Cycles from the word that completes a piece to the offer of its first."""

    def __init__(self, config: ChannelConfig):
        self.config = config
        super().__init__(
            {
                "pieces": In(stream.Signature(piece_layout(config))).array(config.tags),
                "free": Out(stream.Signature(range(config.slots))).array(PSEUDO_CHANNELS),
                "returned": In(returned_layout(config)).array(PSEUDO_CHANNELS),
                "responses": Out(stream.Signature(response_layout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        piece_shape = piece_layout(config)
        word_shape = data.StructLayout({"data": DATA_BITS, "error": 1, "corrected": 1})

        # What came back, and which slots are complete.
        stores = []
        complete = []
        for pc, returned in enumerate(self.returned):
            m.submodules[f"store_{pc}"] = store = memory.Memory(shape=word_shape, depth=config.slots * GRANULE, init=[])
            write = store.write_port()
            whole = Signal(config.slots, name=f"whole_{pc}")
            m.d.comb += [
                write.addr.eq(Cat(returned.word, returned.slot)),
                write.data.data.eq(returned.data),
                write.data.error.eq(returned.error),
                write.data.corrected.eq(returned.corrected),
                write.en.eq(returned.valid),
            ]
            with m.If(self.free[pc].valid & self.free[pc].ready):
                m.d.sync += whole.bit_select(self.free[pc].payload, 1).eq(0)
            with m.If(returned.valid & returned.last):
                m.d.sync += whole.bit_select(returned.slot, 1).eq(1)
            stores.append(store.read_port())
            complete.append(whole)

        # The oldest piece of each tag.
        heads = []
        m.submodules.turns = turns = RoundRobin(config.tags)
        for tag, pieces in enumerate(self.pieces):
            queue = fifo.SyncFIFO(width=piece_shape.size, depth=PSEUDO_CHANNELS * config.slots)
            m.submodules[f"order_{tag}"] = queue
            head = Signal(piece_shape, name=f"head_{tag}")
            ready = Mux(head.pc, *(complete[pc].bit_select(head.slot, 1) for pc in (1, 0)))
            m.d.comb += [
                queue.w_data.eq(pieces.payload),
                queue.w_en.eq(pieces.valid),
                pieces.ready.eq(queue.w_rdy),
                head.eq(queue.r_data),
                turns.requests[tag].eq(queue.r_rdy & (head.refused | ready)),
            ]
            heads.append((head, queue))

        # The piece that is given out: one that was begun, or else one that can begin now.
        begun = Signal()
        kept = Signal(piece_shape)
        kept_tag = Signal(range(config.tags))
        piece = Signal(piece_shape)
        tag = Signal(range(config.tags))
        step = Signal()
        done = Signal()
        m.d.comb += [
            piece.eq(Mux(begun, kept, Array(head.as_value() for head, _ in heads)[turns.pick])),
            tag.eq(Mux(begun, kept_tag, turns.pick)),
            step.eq((begun | turns.valid) & (~self.responses.valid | self.responses.ready)),
            done.eq(piece.last == 0),
            turns.served.eq(step & ~begun),
        ]
        for place, (_, queue) in enumerate(heads):
            m.d.comb += queue.r_en.eq(turns.served & (turns.pick == place))
        with m.If(step):
            m.d.sync += [
                begun.eq(~done),
                kept.eq(piece),
                kept.word.eq(piece.word + 1),
                kept.last.eq(piece.last - 1),
                kept_tag.eq(tag),
            ]

        # A slot whose last word is being read is free again.
        for pc in range(PSEUDO_CHANNELS):
            m.submodules[f"slots_{pc}"] = slots = Slots(config.slots)
            wiring.connect(m, slots.free, wiring.flipped(self.free[pc]))
            m.d.comb += [
                slots.released.eq(step & done & ~piece.refused & (piece.pc == pc)),
                slots.slot.eq(piece.slot),
                stores[pc].addr.eq(Cat(piece.word, piece.slot)),
                stores[pc].en.eq(step & (piece.pc == pc)),
            ]

        response = self.responses.payload
        word = Signal(word_shape)
        shown_pc = Signal()
        refused = Signal()
        with m.If(step):
            m.d.sync += [
                self.responses.valid.eq(1),
                response.tag.eq(tag),
                response.last.eq(done & piece.end),
                shown_pc.eq(piece.pc),
                refused.eq(piece.refused),
            ]
        with m.Elif(self.responses.ready):
            m.d.sync += self.responses.valid.eq(0)
        m.d.comb += [
            word.eq(Mux(shown_pc, stores[1].data.as_value(), stores[0].data.as_value())),
            response.data.eq(Mux(refused, 0, word.data)),
            response.error.eq(refused | word.error),
            response.corrected.eq(~refused & word.corrected),
        ]
        return m
