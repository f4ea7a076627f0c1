"""Takes packets out of the payload of flits."""

from dataclasses import dataclass

from amaranth import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.choose import lowest
from openppu.common.shared import shared
from openppu.link.config import CHANNELS, GRAIN, LinkConfig
from openppu.link.grains import GRAIN_BITS, HEADER_GRAINS, moved_down, moved_up
from openppu.link.layouts import BRINGS_DATA, LENGTH_BITS, Header, packet_layout, payload_layout
from openppu.link.word_queue import WordQueue


@dataclass(frozen=True)
class _Word:
    """The next word of a channel's bytes, if there are ``need`` grains of them."""

    filled: Signal
    last: Signal
    left: Signal
    """Bytes of data from this word on, less one."""
    need: Signal


class Unpacker(wiring.Component):
    """Takes the packets out of each channel's flits, into a queue a channel.

    A channel is ``wanted`` while its queue has room for all words of two flits beside the one that is being taken
    apart, so flits never wait here for a channel that does not move. A flit that is ``cut``, and ``reset_link``, end
    the packet that is under way with a last word that is ``cut``; what is in the queues stays.

    Latency: 1 cycle from the beat that completes a word. Throughput: a beat a cycle, a word a cycle.

    Members
    -------
    receive : In(stream of payload_layout(config))
        ``used`` and ``cut`` hold for all beats of a flit, which come without beats of others between them.
    wanted : Out(CHANNELS)
        The flit that is begun next may be of this channel; one may be chosen while another is on its way here.
    packets : Out(stream of packet_layout(config)), array of one a channel
    reset_link : In(1)
        No beat is taken meanwhile.
    """

    LATENCY = 1

    def __init__(self, config: LinkConfig):
        self.config = config
        packet = stream.Signature(packet_layout(config))
        super().__init__(
            {
                "receive": In(stream.Signature(payload_layout(config))),
                "wanted": Out(CHANNELS),
                "packets": Out(packet).array(CHANNELS),
                "reset_link": In(1),
            }
        )

    @property
    def flit_words(self) -> int:
        """The most words of one flit: headers alone, or a beat's width of data each; and its ends."""
        least = min(self.config.beat_bytes // GRAIN, HEADER_GRAINS)
        return -(-self.config.payload_bytes // GRAIN // least) + 3

    def elaborate(self, platform):
        m = Module()
        config = self.config
        grains = config.beat_bytes // GRAIN
        # One less than the largest word: with more it would have been taken out.
        most_kept = grains + HEADER_GRAINS - 1
        flit = self.receive.payload

        # Of each channel: grains that are kept, whether a packet is under way, its bytes to come less one.
        state = data.StructLayout({"kept": range(most_kept + 1), "inside": 1, "left": LENGTH_BITS})
        states = Array(Signal(state, name=f"state_{c}") for c in range(CHANNELS))
        current = Signal(range(CHANNELS))
        now = Signal(state)
        residue = Signal(GRAIN_BITS * most_kept)
        m.d.comb += now.eq(states[current])

        # While a word can be made of what is kept, a beat is taken only if there is room, and of this channel alone.
        waiting = self._word(m, residue, now, name="waiting")
        can = Signal()
        room = Signal()
        switch = Signal()
        accept = Signal()
        ending = Signal()
        cutting = Signal(CHANNELS)
        m.d.comb += [
            can.eq(now.kept >= waiting.need),
            room.eq(now.kept <= waiting.need + (most_kept - grains)),
            switch.eq(flit.channel != current),
            self.receive.ready.eq((~can | (room & ~switch)) & ~ending & ~cutting.any() & ~self.reset_link),
            accept.eq(self.receive.valid & self.receive.ready),
        ]

        # The grains of the beat that count.
        unread_before = Signal(7)
        unread = Signal(7)
        counts = Signal(range(grains + 1))
        beat = Signal(8 * config.beat_bytes)
        m.d.comb += [
            unread.eq(Mux(flit.first, flit.used, unread_before)),
            counts.eq(Mux(accept, Mux(unread < grains, unread, grains), 0)),
            beat.eq(Cat(Mux(counts > g, flit.data.word_select(g, GRAIN_BITS), 0) for g in range(grains))),
        ]
        mid_flit = Signal()
        with m.If(accept):
            m.d.sync += [unread_before.eq(unread - counts), mid_flit.eq(~flit.last)]

        # What is kept of the channel, and the beat behind it.
        m.submodules.residues = residues = memory.Memory(shape=GRAIN_BITS * most_kept, depth=CHANNELS, init=[])
        read, write = residues.read_port(domain="comb"), residues.write_port()
        channel = Signal(range(CHANNELS))
        base = Signal(state)
        kept = Signal(GRAIN_BITS * most_kept)
        window = Signal(GRAIN_BITS * (most_kept + grains))
        available = Signal(range(most_kept + grains + 1))
        m.d.comb += [
            read.addr.eq(flit.channel),
            write.addr.eq(current),
            write.data.eq(residue),
            write.en.eq(accept & switch),
            channel.eq(Mux(accept, flit.channel, current)),
            base.eq(states[channel]),
            kept.eq(Mux(base.kept == 0, 0, Mux(accept & switch, read.data, residue))),
            available.eq(base.kept + counts),
        ]
        m.d.comb += window.eq(moved_up(m, beat, base.kept, width=len(window), name="placed") | kept)

        # A word of it, and what is behind that.
        word = self._word(m, window, base, name="word")
        low = len(word.left) - len(self._words_left(word.left))
        made = Signal()
        ends = Signal()
        after = Signal(state)
        content = Signal.like(window)
        behind = Signal.like(window)
        m.d.comb += [
            made.eq((available >= word.need) & ~self.reset_link),
            ends.eq(ending & ~can & ~self.reset_link),
            content.eq(Mux(base.inside, window, window[GRAIN_BITS * HEADER_GRAINS :])),
            after.kept.eq(Mux(ends, 0, available - Mux(made, word.need, 0))),
            after.inside.eq(Mux(made, ~word.last, base.inside & ~ends)),
            after.left.eq(
                Cat(word.left[:low], Mux(made, self._words_left(word.left) - 1, self._words_left(word.left)))
            ),
        ]
        with m.If(~made):
            m.d.comb += behind.eq(window)
        with m.Elif(~word.filled):
            m.d.comb += behind.eq(content)
        with m.Elif(word.last):
            m.d.comb += behind.eq(moved_down(m, content[GRAIN_BITS:], word.left[1:low], name="shorter"))
        with m.Else():
            m.d.comb += behind.eq(content[GRAIN_BITS * grains :])
        m.d.sync += [states[channel].eq(after), current.eq(channel), residue.eq(behind)]
        with m.If(accept & flit.last & flit.cut):
            m.d.sync += ending.eq(1)
        with m.Elif(ends):
            m.d.sync += ending.eq(0)

        # Into the queue: a word; or the end of a packet that is cut off.
        made_word = Signal(packet_layout(config))
        cut_word = Signal(packet_layout(config))
        m.d.comb += [
            made_word.header.eq(window[: len(made_word.header.as_value())]),
            made_word.data.eq(content),
            made_word.count.eq(Mux(word.last, word.left, config.beat_bytes - 1)),
            made_word.filled.eq(word.filled),
            made_word.first.eq(~base.inside),
            made_word.last.eq(word.last),
            cut_word.cut.eq(1),
            cut_word.last.eq(1),
        ]
        next_cut = lowest(m, cutting, name="next_cut")
        for c, port in enumerate(self.packets):
            queue = WordQueue(packet_layout(config), depth=4 * self.flit_words)
            m.submodules[f"queue_{c}"] = shared(queue, platform)
            wiring.connect(m, queue.o, wiring.flipped(port))
            cut = Signal(name=f"cut_{c}")
            reserved = Signal(name=f"reserved_{c}")
            m.d.comb += [
                cut.eq((cutting[c] & (next_cut == c) & ~self.reset_link) | (ends & (current == c) & base.inside)),
                queue.i.valid.eq((made & (channel == c)) | cut),
                queue.i.payload.eq(Mux(cut, cut_word, made_word)),
                reserved.eq((current == c) & (mid_flit | can | ending)),
                self.wanted[c].eq(queue.level <= Mux(reserved, self.flit_words, 2 * self.flit_words)),
            ]
            with m.If(self.reset_link):
                m.d.sync += [states[c].eq(0), cutting[c].eq(cutting[c] | states[c].inside)]
            with m.Elif(cut):
                m.d.sync += cutting[c].eq(0)
        with m.If(self.reset_link):
            m.d.sync += [ending.eq(0), mid_flit.eq(0)]
        return m

    def _words_left(self, left: Value) -> Value:
        """The upper bits of a number of bytes: words of data to come behind this one."""
        return left[(self.config.beat_bytes - 1).bit_length() :]

    def _word(self, m: Module, window: Value, state: data.View, *, name: str) -> _Word:
        """What the next word is, of a channel whose bytes are in ``window``."""
        grains = self.config.beat_bytes // GRAIN
        low = (self.config.beat_bytes - 1).bit_length()
        header = data.View(Header, window[: Header.as_shape().size])
        word = _Word(
            filled=Signal(name=f"{name}_filled"),
            last=Signal(name=f"{name}_last"),
            left=Signal(LENGTH_BITS, name=f"{name}_left"),
            need=Signal(range(grains + HEADER_GRAINS + 1), name=f"{name}_need"),
        )
        brings = header.operation.as_value().matches(*(operation.value for operation in BRINGS_DATA))
        size = Mux(word.last, word.left[1:low] + 1, grains)
        m.d.comb += [
            word.filled.eq(state.inside | brings),
            word.left.eq(Mux(state.inside, state.left, header.length)),
            word.last.eq(~word.filled | (self._words_left(word.left) == 0)),
            word.need.eq(Mux(state.inside, 0, HEADER_GRAINS) + Mux(word.filled, size, 0)),
        ]
        return word
