"""Packs packets into the payload of flits."""

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.choose import RoundRobin
from openppu.link.config import CHANNELS, GRAIN, LinkConfig
from openppu.link.grains import GRAIN_BITS, HEADER_GRAINS, moved_up
from openppu.link.layouts import packet_layout, payload_layout


class Packer(wiring.Component):
    """Packs each channel's packets back to back into flits: header and data, on grains of 2 bytes.

    A flit is begun as soon as a channel that may send has anything; the channels take turns, a flit each. It takes
    words of its channel until it is full. If none is there in time it ends, and the rest of it is zeros; words that
    come then are kept for the channel's next flit. What does not fit is kept, too.

    A packet that is ``cut`` ends its flit, which is marked. ``reset_link`` forgets what is kept. What comes meanwhile
    is thrown away, and then the rest of packets that have begun.

    Latency: `latency` cycles from a word to the first beat with its bytes. Throughput: a beat a cycle, a word a cycle.
    So a beat is full unless words are short on average: a packet takes a cycle for each beat's width of data.

    Members
    -------
    packets : In(stream of packet_layout(config)), array of one a channel
    may_send : In(CHANNELS)
        The channel has a credit. Looked at in the cycle in which a flit is begun, which is at least a cycle after the
        first beat of the flit before was taken.
    blocked : Out(1)
        A channel has something to send, and none that has may.
    send : Out(stream of payload_layout(config))
        Once a flit has begun, a beat in every cycle.
    reset_link : In(1)
    """

    def __init__(self, config: LinkConfig):
        self.config = config
        packet = stream.Signature(packet_layout(config))
        super().__init__(
            {
                "packets": In(packet).array(CHANNELS),
                "may_send": In(CHANNELS),
                "blocked": Out(1),
                "send": Out(stream.Signature(payload_layout(config))),
                "reset_link": In(1),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles; with flits of two beats one, for the next flit not to be begun before the last one is accounted."""
        return min(2, self.config.payload_beats - 1)

    def elaborate(self, platform):
        m = Module()
        config = self.config
        grains = config.beat_bytes // GRAIN
        last_grains = config.payload_bytes // GRAIN - grains * (config.payload_beats - 1)
        # What is kept, so that a word can be taken whenever it is needed to fill the next beat.
        most_kept = grains + HEADER_GRAINS - 1
        piece_layout = data.StructLayout(
            {
                "word": GRAIN_BITS * (grains + HEADER_GRAINS),
                "kept": range(most_kept + 1),
                "open": 1,
                "channel": range(CHANNELS),
                "used": 7,
                "cut": 1,
                "first": 1,
                "last": 1,
            }
        )

        piece = Signal(piece_layout)
        piece_valid = Signal()
        piece_ready = Signal()
        go = Signal()
        m.d.comb += go.eq(piece_valid & piece_ready)

        # Which channel, and which beat of its flit.
        place = Signal(range(config.payload_beats))
        begun = Signal()
        current = Signal(range(CHANNELS))
        channel = Signal(range(CHANNELS))
        first = Signal()
        last = Signal()
        m.submodules.turns = turns = RoundRobin(CHANNELS)
        m.d.comb += [
            first.eq(~begun),
            last.eq(place == config.payload_beats - 1),
            channel.eq(Mux(begun, current, turns.pick)),
            piece_valid.eq((begun | turns.valid) & ~self.reset_link),
            turns.served.eq(go & first),
        ]
        with m.If(go):
            m.d.sync += [begun.eq(~last), place.eq(Mux(last, 0, place + 1)), current.eq(channel)]

        # The channel's word, and whether there is room for it.
        kept = Array(Signal(range(most_kept + 1), name=f"kept_{c}") for c in range(CHANNELS))
        under_way = Signal(CHANNELS)
        dropping = Signal(CHANNELS)
        cutting = Signal(CHANNELS)
        word = Signal(packet_layout(config))
        held = Signal(range(most_kept + 1))
        offered = Signal()
        is_cutting = Signal()
        take = Signal()
        size = Signal(range(grains + HEADER_GRAINS + 1))
        open_ = Signal()
        ended = Signal()
        short = Signal()
        capacity = Signal(range(grains + 1))
        total = Signal(range(most_kept + grains + 1))
        rest = Signal(range(most_kept + 1))
        m.d.comb += [
            word.eq(Array(port.payload for port in self.packets)[channel]),
            held.eq(kept[channel]),
            is_cutting.eq(cutting.bit_select(channel, 1)),
            offered.eq(
                Array(port.valid for port in self.packets)[channel]
                & ~dropping.bit_select(channel, 1)
                & ~is_cutting
                & piece_valid
            ),
            size.eq(Mux(word.first, HEADER_GRAINS, 0) + Mux(word.filled, (word.count >> 1) + 1, 0)),
            open_.eq(~ended | first),
            capacity.eq(Mux(open_, Mux(last, last_grains, grains), 0)),
            take.eq(offered & (held + size <= most_kept + capacity)),
            total.eq(held + Mux(take, size, 0)),
            short.eq(total < capacity),
            rest.eq(Mux(short, 0, total - capacity)),
        ]
        used_before = Signal(7)
        used = Signal(7)
        cut_before = Signal()
        cut = Signal()
        m.d.comb += [
            used.eq(Mux(first, 0, used_before) + Mux(short, total, capacity)),
            cut.eq((cut_before & ~first) | (open_ & is_cutting & (held <= capacity))),
        ]
        with m.If(go):
            m.d.sync += [
                ended.eq((ended & ~first) | (open_ & short) | cut),
                used_before.eq(used),
                cut_before.eq(cut),
                kept[channel].eq(rest),
            ]

        waits = Signal(CHANNELS)
        m.d.comb += [
            turns.requests.eq(waits & self.may_send),
            self.blocked.eq(~begun & waits.any() & ~turns.valid),
        ]
        for c, port in enumerate(self.packets):
            mine = Signal(name=f"mine_{c}")
            m.d.comb += [
                mine.eq(go & (channel == c)),
                port.ready.eq((mine & take) | dropping[c] | self.reset_link),
                waits[c].eq((port.valid & ~dropping[c]) | (kept[c] != 0) | cutting[c]),
            ]
            with m.If(mine & open_ & is_cutting & (held <= capacity)):
                m.d.sync += cutting[c].eq(0)
            goes_on = Signal(name=f"goes_on_{c}")
            m.d.comb += goes_on.eq(Mux(port.valid & port.ready, ~port.payload.last, under_way[c]))
            m.d.sync += [under_way[c].eq(goes_on), dropping[c].eq((dropping[c] | self.reset_link) & goes_on)]
            with m.If(port.valid & port.ready & port.payload.cut & ~dropping[c]):
                m.d.sync += cutting[c].eq(1)
            with m.If(self.reset_link):
                m.d.sync += [kept[c].eq(0), cutting[c].eq(0)]

        # Bytes behind the data are zero, for they may be padding.
        present = Cat(
            Mux(word.filled & (word.count >= byte if byte else 1), word.data.word_select(byte, 8), 0)
            for byte in range(config.beat_bytes)
        )
        m.d.comb += [
            piece.word.eq(Mux(take, Mux(word.first, Cat(word.header.as_value(), present), present), 0)),
            piece.kept.eq(held),
            piece.open.eq(open_),
            piece.channel.eq(channel),
            piece.used.eq(used),
            piece.cut.eq(cut),
            piece.first.eq(first),
            piece.last.eq(last),
        ]

        out_ready = Signal()
        m.d.comb += out_ready.eq(~self.send.valid | self.send.ready)
        if self.latency == 2:
            moving = Signal(piece_layout, reset_less=True)
            moving_valid = Signal()
            m.d.comb += piece_ready.eq(~moving_valid | out_ready)
            with m.If(piece_ready):
                m.d.sync += [moving.eq(piece), moving_valid.eq(piece_valid)]
        else:
            moving, moving_valid = piece, piece_valid
            m.d.comb += piece_ready.eq(out_ready)

        # What is kept, and the word behind it: a beat of that goes out, the rest is kept.
        m.submodules.residues = residues = memory.Memory(shape=GRAIN_BITS * most_kept, depth=CHANNELS, init=[])
        read, write = residues.read_port(domain="comb"), residues.write_port()
        window = Signal(GRAIN_BITS * (most_kept + grains))
        placed = moved_up(m, moving.word, moving.kept, width=len(window), name="placed")
        m.d.comb += [
            read.addr.eq(moving.channel),
            window.eq(placed | Mux(moving.kept == 0, 0, read.data)),
            write.addr.eq(moving.channel),
            write.en.eq(moving_valid & out_ready),
        ]
        beat = Signal(8 * config.beat_bytes)
        with m.If(~moving.open):
            m.d.comb += write.data.eq(window)
        with m.Elif(moving.last):
            m.d.comb += [beat.eq(window[: GRAIN_BITS * last_grains]), write.data.eq(window[GRAIN_BITS * last_grains :])]
        with m.Else():
            m.d.comb += [beat.eq(window[: GRAIN_BITS * grains]), write.data.eq(window[GRAIN_BITS * grains :])]

        send = self.send.payload
        with m.If(out_ready):
            m.d.sync += [
                self.send.valid.eq(moving_valid),
                send.data.eq(beat),
                send.channel.eq(moving.channel),
                send.used.eq(moving.used),
                send.cut.eq(moving.cut),
                send.first.eq(moving.first),
                send.last.eq(moving.last),
            ]
        with m.If(self.reset_link):
            m.d.sync += [begun.eq(0), place.eq(0), self.send.valid.eq(0)]
            if self.latency == 2:
                m.d.sync += moving_valid.eq(0)
        return m
