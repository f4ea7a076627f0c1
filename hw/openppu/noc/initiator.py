"""How a user of memory comes into the network."""

from amaranth import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.memory import MemorySignature, write_word_layout
from openppu.common.shared import shared
from openppu.hbm.stack_interleave import StackInterleave
from openppu.link.word_queue import WordQueue
from openppu.noc.cutter import UNIT_ADDRESS_BITS, UNIT_BITS, Cutter
from openppu.noc.layouts import place_layout, request_flit_layout, response_flit_layout
from openppu.noc.plan import GRANULE, ORDERS, Plan
from openppu.noc.reorder import Reorder
from openppu.noc.turns import Turns
from openppu.noc.write_ring import WriteRing

WAITING_WORDS = 2 * GRANULE
"""Words of writes that wait: a granule goes when all of it is there, while the next comes."""


class Initiator(wiring.Component):
    """Cuts a user's requests into packets of a granule each, and puts the answers in order.

    A write's packet enters the network when all its words are there, so a user that is late with its words holds up
    nobody but itself. What is outside of all memory is answered with an error from here.

    Answers to reads are in the order of the reads, and acknowledges in that of the writes, whatever their tags.

    Latency: that of `openppu.hbm.stack_interleave` and 1 cycle from a read to its flit; 2 from the flit of an answer.
    Throughput: a word a cycle each way.

    Parameters
    ----------
    plan : Plan

    Members
    -------
    place : In(place_layout)
        Where it is; constant.
    order : In(range(ORDERS))
        What its orders begin with; constant.
    user : In(MemorySignature)
    requests : Out(stream of request_flit_layout), array of one a plane
        Ready or not, they offer the same flit, each only those for its own targets.
    responses : In(stream of response_flit_layout), array of one a plane
        One of them is ready in each cycle in which there is any.
    """

    def __init__(self, plan: Plan):
        self.plan = plan
        super().__init__(
            {
                "place": In(place_layout(plan)),
                "order": In(range(ORDERS)),
                "user": In(MemorySignature(tags=plan.tags)),
                "requests": Out(stream.Signature(request_flit_layout(plan))).array(plan.noc.planes),
                "responses": In(stream.Signature(response_flit_layout(plan))).array(plan.noc.planes),
            }
        )

    def elaborate(self, platform):
        m = Module()
        plan, user = self.plan, self.user
        m.submodules.cutter = cutter = Cutter(plan)
        m.submodules.reorder = reorder = Reorder(plan)
        m.submodules.ring = ring = WriteRing(plan)
        m.submodules.words = words = WordQueue(write_word_layout(), depth=WAITING_WORDS - 1)
        wiring.connect(m, wiring.flipped(user.requests), cutter.requests)
        wiring.connect(m, wiring.flipped(user.words), words.i)
        wiring.connect(m, reorder.responses, wiring.flipped(user.responses))
        wiring.connect(m, ring.acknowledges, wiring.flipped(user.acknowledges))

        # A piece gets a slot, or the number of its write, and goes on to where its place is found.
        piece = cutter.pieces.payload
        work_shape = data.StructLayout(
            {
                "write": 1,
                "bad": 1,
                "scratch": 1,
                "word": UNIT_ADDRESS_BITS + UNIT_BITS,
                "last": range(GRANULE),
                "index": request_flit_layout(plan)["index"].shape,
                "order": range(ORDERS),
            }
        )
        hbm = plan.hbm
        interleave = StackInterleave(
            stacks=hbm.stacks, channels=hbm.channels, accesses=hbm.channel.accesses, tag_bits=work_shape.size
        )
        m.submodules.interleave = shared(interleave, platform)
        work = Signal(work_shape)
        goes_on, has_index, is_local = Signal(), Signal(), Signal()
        begins = piece.write & piece.first
        last_index = Signal(range(plan.noc.writes))
        m.d.comb += [
            # What is not read anywhere needs a slot alone.
            is_local.eq(~piece.write & piece.bad),
            has_index.eq(Mux(piece.write, ~piece.first | ring.begins.ready, reorder.asks.ready)),
            interleave.addresses.valid.eq(cutter.pieces.valid & has_index & ~is_local),
            goes_on.eq(cutter.pieces.valid & has_index & (is_local | interleave.addresses.ready)),
            cutter.pieces.ready.eq(has_index & (is_local | interleave.addresses.ready)),
            reorder.asks.valid.eq(goes_on & ~piece.write),
            ring.begins.valid.eq(goes_on & begins),
            *(reorder.asks.payload[name].eq(piece[name]) for name in ("last", "final", "bad", "tag")),
            *(ring.begins.payload[name].eq(piece[name]) for name in ("pieces", "tag")),
            *(work[name].eq(piece[name]) for name in ("write", "bad", "scratch", "word", "last")),
            work.index.eq(Mux(piece.write, Mux(piece.first, ring.index, last_index), reorder.slot)),
            work.order.eq(self.order + piece.tag),
            interleave.addresses.payload.address.eq(piece.word),
            interleave.addresses.payload.tag.eq(work),
        ]
        with m.If(goes_on & begins):
            m.d.sync += last_index.eq(ring.index)

        # Flits.
        found = interleave.places.payload
        flit = Signal(request_flit_layout(plan))
        plane = Signal(range(max(2, plan.noc.planes)))
        now = Signal(work_shape)
        target = Signal(range(max(2, plan.targets)))
        address = Signal(flit.address.shape())
        channel = found.stack * plan.hbm.channels + found.channel if plan.hbm.channels > 1 else found.stack
        port = found.address[GRANULE.bit_length() - 1] if plan.ports > 1 else Const(0)
        unit = now.word[UNIT_ADDRESS_BITS:]
        m.d.comb += [
            now.eq(found.tag),
            target.eq(Mux(now.scratch, plan.channel_ports + unit, channel * plan.ports + port)),
            address.eq(Mux(now.scratch, now.word[:UNIT_ADDRESS_BITS], found.address)),
        ]
        sent = Signal(range(GRANULE))
        ready, moves, ends = Signal(), Signal(), Signal()
        places = Array(_code(plan, place) for place in plan.target_places)
        m.d.comb += [
            ready.eq(interleave.places.valid & (~now.write | (sent != 0) | (words.level > now.last))),
            moves.eq(ready & (now.bad | Array(requests.ready for requests in self.requests)[plane])),
            ends.eq(~now.write | (sent == now.last)),
            interleave.places.ready.eq(moves & ends),
            words.o.ready.eq(moves & now.write),
            flit.to.eq(places[target]),
            plane.eq(Array(plan.target_planes)[target]),
            flit.end.eq(ends),
            flit.source.eq(self.place),
            *(flit[name].eq(now[name]) for name in ("index", "order", "write", "last")),
            flit.address.eq(address),
            flit.data.eq(words.o.payload.data),
            flit.mask.eq(words.o.payload.mask),
        ]
        for number, requests in enumerate(self.requests):
            m.d.comb += [requests.payload.eq(flit), requests.valid.eq(ready & ~now.bad & (plane == number))]
        with m.If(moves):
            m.d.sync += sent.eq(Mux(ends, 0, sent + 1))

        # Answers: one is taken in each cycle.
        turns = Turns(response_flit_layout(plan), count=plan.noc.planes, whole=False)
        m.submodules.turns = shared(turns, platform)
        for flits, responses in zip(turns.flits, self.responses, strict=True):
            wiring.connect(m, wiring.flipped(responses), flits)
        comes, response = turns.merged.valid, turns.merged.payload
        m.d.comb += [
            turns.merged.ready.eq(1),
            reorder.arrives.eq(comes & ~response.acknowledge),
            reorder.arrival.slot.eq(response.index),
            *(reorder.arrival[name].eq(response[name]) for name in ("word", "data", "error", "corrected")),
            ring.done[0].valid.eq(comes & response.acknowledge),
            ring.done[0].index.eq(response.index),
            ring.done[0].error.eq(response.error),
            ring.done[1].valid.eq(moves & ends & now.write & now.bad),
            ring.done[1].index.eq(now.index),
            ring.done[1].error.eq(1),
        ]
        return m


def _code(plan: Plan, place) -> Const:
    """A place as its layout has it."""
    layout = place_layout(plan)
    return Cat(*(Const(getattr(place, name), layout[name].width) for name in ("x", "y", "local")))
