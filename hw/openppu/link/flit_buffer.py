"""The receive buffer: slots of a flit each, and for each channel a queue of those that wait."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.choose import RoundRobin
from openppu.hbm.slots import Slots
from openppu.link.config import CHANNELS, LinkConfig
from openppu.link.fec import CODES, fix_layout
from openppu.link.flit_receive import slots_of, write_layout
from openppu.link.layouts import payload_layout
from openppu.link.receive_window import note_layout, push_layout, release_layout


class FlitBuffer(wiring.Component):
    """Holds flits from their first beat until they are taken; a flit stays in its slot, queues hold slots' numbers.

    Channels that have a flit and are wanted take turns. Latency: 2 cycles from ``push`` to the first beat.
    Throughput: a beat a cycle.

    Members
    -------
    slot : Out(stream of range(slots))
        Free slots.
    write : In(write_layout)
    note : In(note_layout)
        Not later than ``push``.
    push : In(push_layout)
        The flit is next in its channel, of which no more than ``credits`` may be here.
    release : In(release_layout)
        The slot is not needed. Not in two cycles one after the other.
    wanted : In(CHANNELS)
        There is room for a whole flit of the channel, beside those whose first beat has been taken.
    receive : Out(stream of payload_layout)
    freed : Out(1), freed_channel : Out(range(CHANNELS))
        A flit has been taken.
    """

    def __init__(self, config: LinkConfig):
        self.config = config
        super().__init__(
            {
                "slot": Out(stream.Signature(range(slots_of(config)))),
                "write": In(write_layout(config)),
                "note": In(note_layout(config)),
                "push": In(push_layout(config)),
                "release": In(release_layout(config)),
                "wanted": In(CHANNELS),
                "receive": Out(stream.Signature(payload_layout(config))),
                "freed": Out(1),
                "freed_channel": Out(range(CHANNELS)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        slots, beats, credits = slots_of(config), config.beats, config.credits
        slot_shape = range(slots)
        out = self.receive.payload

        m.submodules.payload = payload = memory.Memory(shape=8 * config.beat_bytes, depth=slots * beats, init=[])
        write, read = payload.write_port(), payload.read_port()
        m.d.comb += [
            write.addr.eq(Cat(self.write.index, self.write.slot)),
            write.data.eq(self.write.data),
            write.en.eq(self.write.valid),
        ]
        fixes_shape = data.ArrayLayout(fix_layout(), CODES if config.fec else 0)
        m.submodules.notes = notes = memory.Memory(
            shape=data.StructLayout({"used": 7, "cut": 1, "fixes": fixes_shape}), depth=slots, init=[]
        )
        note_write, note_read = notes.write_port(), notes.read_port()
        m.d.comb += [
            note_write.addr.eq(self.note.slot),
            note_write.data.used.eq(self.note.used),
            note_write.data.cut.eq(self.note.cut),
            note_write.data.fixes.eq(self.note.fixes),
            note_write.en.eq(self.note.valid),
        ]

        # The queues, in one memory.
        m.submodules.queues = queues = memory.Memory(shape=slot_shape, depth=CHANNELS * credits, init=[])
        queue_write, queue_read = queues.write_port(), queues.read_port(domain="comb")
        place_bits = (credits - 1).bit_length()
        heads = [Signal(place_bits, name=f"head_{channel}") for channel in range(CHANNELS)]
        tails = [Signal(place_bits, name=f"tail_{channel}") for channel in range(CHANNELS)]
        counts = [Signal(range(credits + 1), name=f"count_{channel}") for channel in range(CHANNELS)]
        head = Signal(place_bits)
        tail = Signal(place_bits)
        m.submodules.turn = turn = RoundRobin(CHANNELS)
        pops = Signal()
        for channel in range(CHANNELS):
            enters, leaves = Signal(name=f"enters_{channel}"), Signal(name=f"leaves_{channel}")
            m.d.comb += [
                turn.requests[channel].eq(counts[channel].any() & self.wanted[channel]),
                enters.eq(self.push.valid & (self.push.channel == channel)),
                leaves.eq(pops & (turn.pick == channel)),
            ]
            m.d.sync += [
                counts[channel].eq(counts[channel] + enters - leaves),
                heads[channel].eq(heads[channel] + leaves),
                tails[channel].eq(tails[channel] + enters),
            ]
            with m.If(turn.pick == channel):
                m.d.comb += head.eq(heads[channel])
            with m.If(self.push.channel == channel):
                m.d.comb += tail.eq(tails[channel])
        m.d.comb += [
            queue_write.addr.eq(Cat(tail, self.push.channel)),
            queue_write.data.eq(self.push.slot),
            queue_write.en.eq(self.push.valid),
            queue_read.addr.eq(Cat(head, turn.pick)),
        ]

        # The beat whose address is given in this cycle, and the one that is out.
        index = Signal(range(beats))
        at = Signal(slot_shape)
        slot_read = Signal(slot_shape)
        channel_now = Signal(range(CHANNELS))
        channel_kept = Signal(range(CHANNELS))
        flows = Signal()
        begins = Signal()
        reads = Signal()
        ends = Signal()
        inside = Signal()
        m.d.comb += [
            flows.eq(~self.receive.valid | self.receive.ready),
            begins.eq(~inside & turn.valid),
            reads.eq(flows & (inside | begins)),
            pops.eq(flows & begins),
            turn.served.eq(pops),
            at.eq(Mux(inside, slot_read, queue_read.data)),
            channel_now.eq(Mux(inside, channel_kept, turn.pick)),
            ends.eq(inside & (index == config.payload_beats - 1)),
            read.addr.eq(Cat(index, at)),
            read.en.eq(flows),
            note_read.addr.eq(at),
            note_read.en.eq(flows),
        ]
        out_index = Signal(range(beats))
        out_slot = Signal(slot_shape)
        with m.If(flows):
            m.d.sync += [
                self.receive.valid.eq(reads),
                out.channel.eq(channel_now),
                out.first.eq(~inside),
                out.last.eq(ends),
                out_index.eq(index),
                out_slot.eq(at),
            ]
        with m.If(reads):
            m.d.sync += [
                inside.eq(~ends),
                index.eq(Mux(ends, 0, index + 1)),
                slot_read.eq(at),
                channel_kept.eq(channel_now),
            ]
        m.d.comb += [
            out.data.eq(_fixed(read.data, note_read.data.fixes, out_index, config.beat_bytes)),
            out.used.eq(note_read.data.used),
            out.cut.eq(note_read.data.cut),
            self.freed.eq(self.receive.valid & self.receive.ready & out.last),
            self.freed_channel.eq(out.channel),
        ]

        # One slot comes back in a cycle; one that was taken waits for a cycle if another does.
        m.submodules.slots = pool = Slots(slots)
        waits = Signal()
        waiting = Signal(slot_shape)
        m.d.sync += [
            waits.eq(self.release.valid & (self.freed | waits)),
            waiting.eq(Mux(self.freed, out_slot, waiting)),
        ]
        m.d.comb += [
            pool.released.eq(self.release.valid | self.freed | waits),
            pool.slot.eq(Mux(self.release.valid, self.release.slot, Mux(waits, waiting, out_slot))),
        ]
        wiring.connect(m, wiring.flipped(self.slot), pool.free)
        return m


def _fixed(word, fixes, index, size):
    """A beat with the wrong bytes of its flit made right."""
    place_bits = (size - 1).bit_length()
    for fix in fixes:
        shift = fix.byte[:place_bits] if size > 1 else 0
        here = fix.byte[place_bits:] == index
        word = word ^ (Mux(here, fix.change, 0) << (shift << 3))[: 8 * size]
    return word
