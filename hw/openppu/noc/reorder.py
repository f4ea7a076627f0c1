"""Puts what was read back into the order in which it was asked for."""

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.memory import WORD_BYTES, response_layout
from openppu.noc.plan import GRANULE, Plan


def slot_layout(plan: Plan) -> data.StructLayout:
    """A piece that is asked for: its words, its tag, whether it ends its request, whether nobody will answer."""
    return data.StructLayout({"last": range(GRANULE), "final": 1, "bad": 1, "tag": range(plan.tags)})


def arrival_layout(plan: Plan) -> data.StructLayout:
    """A word of a slot."""
    return data.StructLayout(
        {
            "slot": range(plan.noc.slots),
            "word": range(GRANULE),
            "data": 8 * WORD_BYTES,
            "error": 1,
            "corrected": 1,
        }
    )


class Reorder(wiring.Component):
    """A ring of slots of a granule each: they are given in order, filled in any, and emptied in order.

    A word goes out as soon as it and all before it are there.

    Latency: 2 cycles from a word's arrival. Throughput: a word a cycle each way.

    Parameters
    ----------
    plan : Plan

    Members
    -------
    asks : In(stream of slot_layout)
        Takes the next slot; ready while there is one.
    slot : Out(range(plan.noc.slots))
        Which that is.
    arrives : In(1)
    arrival : In(arrival_layout)
        To a slot that has been taken, each of its words once.
    responses : Out(stream of `openppu.common.memory.response_layout`)
    """

    LATENCY = 2

    def __init__(self, plan: Plan):
        self.plan = plan
        super().__init__(
            {
                "asks": In(stream.Signature(slot_layout(plan))),
                "slot": Out(range(plan.noc.slots)),
                "arrives": In(1),
                "arrival": In(arrival_layout(plan)),
                "responses": Out(stream.Signature(response_layout(plan.tags))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        slots = self.plan.noc.slots
        word_shape = data.StructLayout({"data": 8 * WORD_BYTES, "error": 1, "corrected": 1})
        m.submodules.store = store = memory.Memory(shape=word_shape, depth=slots * GRANULE, init=[])
        write, read = store.write_port(), store.read_port()

        # Slots are taken at the tail.
        taken = Signal(range(slots + 1))
        head, tail = Signal(range(slots)), Signal(range(slots))
        asked = [Signal(slot_layout(self.plan), name=f"asked_{slot}", reset_less=True) for slot in range(slots)]
        takes, leaves = Signal(), Signal()
        m.d.comb += [
            self.asks.ready.eq(taken != slots),
            self.slot.eq(tail),
            takes.eq(self.asks.valid & self.asks.ready),
        ]
        m.d.sync += taken.eq(taken + takes - leaves)
        with m.If(takes):
            m.d.sync += [tail.eq(tail + 1), Array(slot.as_value() for slot in asked)[tail].eq(self.asks.payload)]

        # Words come to any.
        here = [Signal(GRANULE, name=f"here_{slot}") for slot in range(slots)]
        arrival = self.arrival
        m.d.comb += [
            write.addr.eq(Cat(arrival.word, arrival.slot)),
            write.en.eq(self.arrives),
            write.data.data.eq(arrival.data),
            write.data.error.eq(arrival.error),
            write.data.corrected.eq(arrival.corrected),
        ]

        # They leave at the head.
        word = Signal(range(GRANULE))
        of_head = Signal(slot_layout(self.plan))
        fetches, is_bad = Signal(), Signal()
        response = self.responses.payload
        m.d.comb += [
            of_head.eq(Array(slot.as_value() for slot in asked)[head]),
            fetches.eq(
                (~self.responses.valid | self.responses.ready)
                & (taken != 0)
                & (of_head.bad | Array(here)[head].bit_select(word, 1))
            ),
            leaves.eq(fetches & (word == of_head.last)),
            read.addr.eq(Cat(word, head)),
            read.en.eq(fetches),
            response.data.eq(Mux(is_bad, 0, read.data.data)),
            response.error.eq(is_bad | read.data.error),
            response.corrected.eq(~is_bad & read.data.corrected),
        ]
        for slot, words in enumerate(here):
            comes = self.arrives & (arrival.slot == slot)
            m.d.sync += words.eq(Mux(leaves & (head == slot), 0, words | Mux(comes, 1 << arrival.word, 0)))
        with m.If(~self.responses.valid | self.responses.ready):
            m.d.sync += self.responses.valid.eq(fetches)
        with m.If(fetches):
            m.d.sync += [
                word.eq(Mux(leaves, 0, word + 1)),
                head.eq(head + leaves),
                is_bad.eq(of_head.bad),
                response.tag.eq(of_head.tag),
                response.last.eq(leaves & of_head.final),
            ]
        return m
