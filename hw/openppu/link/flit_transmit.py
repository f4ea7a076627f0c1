"""Makes the beats of flits: payload, trailer, CRC, FEC."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.link.config import CHANNELS, CRC_FIELD_BYTES, FEC_BYTES, FLIT_BYTES, TRAILER_BYTES, LinkConfig
from openppu.link.crc import BeatCrc
from openppu.link.fec import BeatSyndromes, check_bytes
from openppu.link.layouts import Trailer, beat_layout, payload_layout
from openppu.link.numbers import NUMBER_BITS

SPARED = 32
"""Flits without news in a row, at most; the next one is marked as if it had some, for those before may be lost."""


class Kind(enum.Enum, shape=2):
    """What is sent."""

    CONTROL = 0
    NEW = 1
    AGAIN = 2


def again_layout(config: LinkConfig) -> data.StructLayout:
    """A flit that can be sent again at once, if ``valid``; ``data`` is its first beat."""
    return data.StructLayout(
        {
            "valid": 1,
            "number": NUMBER_BITS,
            "channel": range(CHANNELS),
            "used": 7,
            "cut": 1,
            "data": 8 * config.beat_bytes,
        }
    )


def store_layout(config: LinkConfig) -> data.StructLayout:
    """A beat of payload for the memory of what was sent; ``used`` and ``cut`` come with the last one."""
    return data.StructLayout(
        {
            "valid": 1,
            "number": NUMBER_BITS,
            "index": range(config.beats),
            "data": 8 * config.beat_bytes,
            "channel": range(CHANNELS),
            "used": 7,
            "cut": 1,
            "last": 1,
        }
    )


class FlitTransmit(wiring.Component):
    """Sends flits without gaps: one that is due again, else a new one, else one without payload.

    What the trailer says of the other direction is taken when the trailer is sent. When ``sending`` falls, the flit in
    progress is lost; the rest of a new one is still taken in, so that it can be sent again. Between flits, beats of
    ``send`` that are not ``first`` are dropped: their flit began before a reset.

    Latency: 1 cycle from ``send`` to ``transmit``. Throughput: a beat a cycle.

    Members
    -------
    send : In(stream of payload_layout)
    may_send : In(CHANNELS)
        A flit of the channel may begin.
    transmit : Out(stream of beat_layout)
    sending : In(1)
    between : Out(1)
        No flit is in progress, not even one that is lost: the next beat is a first one.
    next_number : In(NUMBER_BITS)
        Of the next new flit.
    again : In(again_layout)
        ``data`` is its first beat, and in the cycle after a beat of it was sent, the one that ``again_index`` named.
    trailer : In(Trailer)
        With ``acknowledge``, ``missing``, ``credit``; the rest is put in here.
    news : In(1)
        The trailer tells something that has not been told.
    spares : In(1)
        Flits whose first beat is not marked as ``news`` go nowhere.
    begins : Out(1), kind : Out(Kind), channel
        A flit begins in this cycle.
    again_index : Out(range(beats))
        The beat of the flit sent again that the next cycle needs.
    told : Out(1)
        ``trailer`` is sent in this cycle.
    ends : Out(1)
        The last beat of a flit goes out.
    store : Out(store_layout)
    """

    def __init__(self, config: LinkConfig):
        self.config = config
        super().__init__(
            {
                "send": In(stream.Signature(payload_layout(config))),
                "may_send": In(CHANNELS),
                "transmit": Out(stream.Signature(beat_layout(config))),
                "sending": In(1),
                "between": Out(1),
                "next_number": In(NUMBER_BITS),
                "again": In(again_layout(config)),
                "trailer": In(Trailer),
                "news": In(1),
                "spares": In(1),
                "begins": Out(1),
                "kind": Out(Kind),
                "channel": Out(range(CHANNELS)),
                "again_index": Out(range(config.beats)),
                "told": Out(1),
                "ends": Out(1),
                "store": Out(store_layout(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        size, beats, payload_beats = config.beat_bytes, config.beats, config.payload_beats
        out = self.transmit.payload

        # What is sent, from the first beat to the last.
        position = Signal(range(beats))
        at_start = Signal()
        at_end = Signal()
        chosen = Signal(Kind)
        kept = Signal(Kind)
        allowed = Signal()
        offered = self.send.payload
        m.d.comb += [
            at_start.eq(position == 0),
            self.between.eq(at_start),
            at_end.eq(position == beats - 1),
            allowed.eq(self.send.valid & offered.first & (self.may_send >> offered.channel)[0]),
            chosen.eq(Mux(self.again.valid, Kind.AGAIN, Mux(allowed, Kind.NEW, Kind.CONTROL))),
            self.kind.eq(Mux(at_start, chosen, kept)),
        ]

        # A beat is made. With `lost` it goes nowhere.
        advances = Signal()
        lost = Signal()
        dropping = Signal()
        has_beat = Signal()
        is_new = Signal()
        takes = Signal()
        stray = Signal()
        m.d.comb += [
            is_new.eq(self.kind == Kind.NEW),
            takes.eq(is_new & (position < payload_beats)),
            has_beat.eq(~takes | self.send.valid),
            dropping.eq(~at_start & (lost | ~self.sending)),
            advances.eq(has_beat & (dropping | (self.sending & (~self.transmit.valid | self.transmit.ready)))),
            stray.eq(at_start & ~offered.first),
            self.send.ready.eq((takes & advances) | stray),
            self.begins.eq(advances & at_start),
            self.ends.eq(advances & at_end & ~dropping),
            self.channel.eq(offered.channel),
        ]
        with m.If(advances):
            m.d.sync += [position.eq(Mux(at_end, 0, position + 1)), kept.eq(self.kind)]
        with m.If(advances & at_end):
            m.d.sync += lost.eq(0)
        with m.Elif(dropping):
            m.d.sync += lost.eq(1)
        m.d.comb += self.again_index.eq(Mux(advances, Mux(at_end, 0, position + 1), position))

        number = Signal(NUMBER_BITS)
        channel = Signal(range(CHANNELS))
        used = Signal(7)
        cut = Signal()
        number_kept = Signal.like(number, name="number_kept")
        channel_kept = Signal.like(channel, name="channel_kept")
        used_kept = Signal.like(used, name="used_kept")
        cut_kept = Signal.like(cut, name="cut_kept")
        m.d.comb += [
            number.eq(Mux(at_start, Mux(self.again.valid, self.again.number, self.next_number), number_kept)),
            channel.eq(Mux(at_start, Mux(self.again.valid, self.again.channel, offered.channel), channel_kept)),
            used.eq(Mux(takes, offered.used, used_kept)),
            cut.eq(Mux(takes, offered.cut, cut_kept)),
        ]
        with m.If(advances):
            m.d.sync += [number_kept.eq(number), channel_kept.eq(channel), used_kept.eq(used), cut_kept.eq(cut)]
        with m.If(advances & at_start & self.again.valid):
            m.d.sync += [used_kept.eq(self.again.used), cut_kept.eq(self.again.cut)]

        m.d.comb += [
            self.store.valid.eq(advances & takes),
            self.store.number.eq(number),
            self.store.index.eq(position),
            self.store.data.eq(offered.data),
            self.store.channel.eq(channel),
            self.store.used.eq(offered.used),
            self.store.cut.eq(offered.cut),
            self.store.last.eq(position == payload_beats - 1),
        ]

        # The trailer, as it is when its first beat is sent.
        trailer_index = config.payload_bytes // size
        fresh = Signal(Trailer)
        trailer_kept = Signal(8 * TRAILER_BYTES)
        has_data = Signal()
        spared = Signal(range(SPARED + 1))
        marked = Signal()
        mark = Signal()
        with m.If(advances):
            m.d.sync += marked.eq(mark)
        with m.If(self.begins):
            m.d.sync += spared.eq(Mux(mark, 0, spared + 1))
        m.d.comb += [
            mark.eq(Mux(at_start, has_data | self.news | (spared == SPARED), marked)),
            has_data.eq(self.kind != Kind.CONTROL),
            fresh.eq(self.trailer),
            fresh.data.eq(has_data),
            fresh.channel.eq(Mux(has_data, channel, 0)),
            fresh.used.eq(Mux(has_data, used, 0)),
            fresh.sequence.eq(number),
            fresh.cut.eq(has_data & cut),
            # What comes up after the first beat of a flit that goes nowhere is still to be told.
            self.told.eq(advances & (position == trailer_index) & ~dropping & (mark | ~self.spares)),
        ]
        with m.If(advances & (position == trailer_index)):
            m.d.sync += trailer_kept.eq(fresh)

        # Bytes up to the CRC, then the CRC over them, then the FEC over all.
        source = Signal(8 * size)
        with m.Switch(self.kind):
            with m.Case(Kind.NEW):
                m.d.comb += source.eq(offered.data)
            with m.Case(Kind.AGAIN):
                m.d.comb += source.eq(self.again.data)

        def part(signal, start, beat):
            """What of a signal that begins at byte ``start`` of the flit lies in a beat."""
            offset = 8 * (start - beat * size)
            if offset >= 0:
                return Cat(Const(0, offset), signal)[: 8 * size]
            return signal[-offset:][: 8 * size]

        def touched(start, length):
            return range(start // size, (start + length - 1) // size + 1)

        covered = Signal(8 * size)
        with m.Switch(position):
            for beat in range(trailer_index, beats):
                with m.Case(beat):
                    payload = max(0, config.payload_bytes - beat * size)
                    trailer = fresh.as_value() if beat == trailer_index else trailer_kept
                    behind = part(trailer, config.payload_bytes, beat)
                    m.d.comb += covered.eq(behind | source[: 8 * payload] if payload else behind)
            with m.Default():
                m.d.comb += covered.eq(source)

        m.submodules.crc = crc = BeatCrc(config)
        check = Signal(8 * CRC_FIELD_BYTES)
        m.d.comb += [
            crc.beat.eq(covered),
            crc.index.eq(position),
            crc.step.eq(advances),
            check.eq(crc.value ^ number[8:]),
        ]
        with_crc = Signal(8 * size)
        m.d.comb += with_crc.eq(covered)
        with m.Switch(position):
            for beat in touched(config.crc_place, CRC_FIELD_BYTES):
                with m.Case(beat):
                    m.d.comb += with_crc.eq(covered | part(check, config.crc_place, beat))
        complete = Signal(8 * size)
        m.d.comb += complete.eq(with_crc)
        if config.fec:
            place = FLIT_BYTES - FEC_BYTES
            m.submodules.fec = fec = BeatSyndromes(config, last=(place - 1) // size)
            m.d.comb += [fec.beat.eq(with_crc), fec.index.eq(position), fec.step.eq(advances)]
            parity = check_bytes(m, fec.value)
            with m.Switch(position):
                for beat in touched(place, FEC_BYTES):
                    with m.Case(beat):
                        m.d.comb += complete.eq(with_crc | part(parity, place, beat))

        with m.If(advances & ~dropping):
            m.d.sync += [
                self.transmit.valid.eq(1),
                out.data.eq(complete),
                out.first.eq(at_start),
                out.last.eq(at_end),
                out.news.eq(mark),
            ]
        with m.Elif(self.transmit.ready | ~self.sending):
            m.d.sync += self.transmit.valid.eq(0)
        return m
