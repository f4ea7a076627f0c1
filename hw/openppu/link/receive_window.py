"""Puts received flits into their order, and knows which are missing."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.choose import RoundRobin
from openppu.link.config import CHANNELS, SEQUENCE_BITS, LinkConfig
from openppu.link.fec import CODES, fix_layout
from openppu.link.flit_receive import arrival_layout, slots_of
from openppu.link.layouts import Trailer
from openppu.link.numbers import NUMBER_BITS, ahead, high_of, later


def heard_layout() -> data.StructLayout:
    """The trailer of a right flit, if ``valid``."""
    return data.StructLayout({"valid": 1, "trailer": Trailer})


def push_layout(config: LinkConfig) -> data.StructLayout:
    """A flit that is next in order, if ``valid``."""
    return data.StructLayout({"valid": 1, "channel": range(CHANNELS), "slot": range(slots_of(config))})


def note_layout(config: LinkConfig) -> data.StructLayout:
    """What is known of the flit in a slot, if ``valid``: grains used, whether it is cut, and its bytes to change."""
    return data.StructLayout(
        {
            "valid": 1,
            "slot": range(slots_of(config)),
            "used": 7,
            "cut": 1,
            "fixes": data.ArrayLayout(fix_layout(), CODES if config.fec else 0),
        }
    )


def release_layout(config: LinkConfig) -> data.StructLayout:
    """A slot that is free again, if ``valid``."""
    return data.StructLayout({"valid": 1, "slot": range(slots_of(config))})


class ReceiveWindow(wiring.Component):
    """Passes each flit on once, in the order of the numbers.

    Of the flits that may arrive, the oldest is ``expected``; there are ``window`` of them. One that comes early waits
    in its slot (with ``go_back_n`` it is dropped). What others say has been sent, and has not arrived, is missing; all
    of these are named in turn, for as long as they are.

    Latency: from ``arrival`` to ``push`` 0 cycles, if it is next in order. Throughput: an arrival each second cycle, a
    push each cycle.

    Members
    -------
    arrival : In(arrival_layout)
    good, bad : Out(1)
        There is an arrival, and it is right or not.
    duplicate, early, corrected : Out(1)
        It is a right one that has arrived before; comes before others; needed the FEC.
    heard : Out(heard_layout)
        A cycle after ``arrival``.
    push : Out(push_layout)
    note : Out(note_layout)
        In the cycle of the arrival.
    release : Out(release_layout)
    expected : Out(NUMBER_BITS)
        All before it have been passed on.
    missing_valid : Out(1), missing : Out(SEQUENCE_BITS)
    asked : In(1)
        ``missing`` goes out.
    """

    def __init__(self, config: LinkConfig):
        self.config = config
        super().__init__(
            {
                "arrival": In(arrival_layout(config)),
                **{name: Out(1) for name in ("good", "bad", "duplicate", "early", "corrected")},
                "heard": Out(heard_layout()),
                "push": Out(push_layout(config)),
                "note": Out(note_layout(config)),
                "release": Out(release_layout(config)),
                "expected": Out(NUMBER_BITS),
                "missing_valid": Out(1),
                "missing": Out(SEQUENCE_BITS),
                "asked": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        window = self.config.window
        arrival, trailer, expected = self.arrival, self.arrival.trailer, self.expected
        place_bits = (window - 1).bit_length()

        # Is it right? A data flit may be up to 128 back, that is a duplicate; a control flit names what comes next.
        distance = ahead(m, trailer.sequence, expected, name="distance")
        back = Signal()
        high = high_of(m, trailer.sequence, expected, back, name="high")
        is_next = Signal()
        inside = Signal()
        known = Signal()
        right = Signal()
        arrived = Signal(window)
        place = trailer.sequence[:place_bits]
        m.d.comb += [
            back.eq(Mux(trailer.data, distance[7], distance > 128)),
            right.eq((arrival.residue ^ high) == 0),
            self.good.eq(arrival.valid & right),
            self.bad.eq(arrival.valid & ~right),
            inside.eq(distance < window),
            is_next.eq(distance == 0),
            known.eq((arrived >> place)[0]),
        ]
        m.d.sync += [self.heard.valid.eq(self.good), self.heard.trailer.eq(trailer)]

        fresh = Signal()
        accepted = Signal()
        m.d.comb += [
            fresh.eq(self.good & trailer.data & inside & ~known),
            self.duplicate.eq(self.good & trailer.data & (back | (inside & known))),
            self.early.eq(fresh & ~is_next),
            accepted.eq(fresh if self.config.retry == "selective" else fresh & is_next),
            self.release.valid.eq(arrival.valid & ~accepted),
            self.release.slot.eq(arrival.slot),
            self.note.valid.eq(accepted),
            self.note.slot.eq(arrival.slot),
            self.note.used.eq(trailer.used),
            self.note.cut.eq(trailer.cut),
            self.note.fixes.eq(arrival.fixes),
        ]
        changes = [fix.change.any() for fix in arrival.fixes]
        m.d.comb += self.corrected.eq(self.good & sum(changes).any() if changes else 0)

        # How far the other side has sent, as far as is known.
        announced = Signal(SEQUENCE_BITS)
        claimed = Signal(SEQUENCE_BITS)
        so_far = Signal(SEQUENCE_BITS)
        claim = Signal(SEQUENCE_BITS)
        m.d.comb += [
            claim.eq(trailer.sequence + trailer.data),
            claimed.eq(claim - expected),
            so_far.eq(announced - expected),
        ]
        with m.If(self.good & (claimed <= window) & (claimed > so_far)):
            m.d.sync += announced.eq(claim)

        ahead_by_one = later(m, expected, 1, name="ahead_by_one")
        passes = Signal()
        with m.If(passes):
            m.d.sync += expected.eq(ahead_by_one)
        if self.config.retry == "go_back_n":
            m.d.comb += [
                passes.eq(accepted),
                self.push.valid.eq(passes),
                self.push.channel.eq(trailer.channel),
                self.push.slot.eq(arrival.slot),
                self.missing_valid.eq(so_far != 0),
                self.missing.eq(expected),
            ]
            return m

        # Early ones wait by their number.
        m.submodules.waiting = waiting = memory.Memory(
            shape=data.StructLayout({"channel": range(CHANNELS), "slot": range(slots_of(self.config))}),
            depth=window,
            init=[],
        )
        write, read = waiting.write_port(), waiting.read_port(domain="comb")
        waits = Signal()
        oldest = expected[:place_bits]
        m.d.comb += [
            write.addr.eq(place),
            write.data.channel.eq(trailer.channel),
            write.data.slot.eq(arrival.slot),
            write.en.eq(accepted & ~is_next),
            read.addr.eq(oldest),
            waits.eq((arrived >> oldest)[0]),
            passes.eq(waits | (accepted & is_next)),
            self.push.valid.eq(passes),
            self.push.channel.eq(Mux(waits, read.data.channel, trailer.channel)),
            self.push.slot.eq(Mux(waits, read.data.slot, arrival.slot)),
        ]
        with m.If(passes):
            m.d.sync += arrived.bit_select(oldest, 1).eq(0)
        with m.If(accepted & ~is_next):
            m.d.sync += arrived.bit_select(place, 1).eq(1)

        # Each number that was announced is looked at once: if its flit has not arrived, it is missing until it does.
        seen = Signal(SEQUENCE_BITS)
        absentees = Signal(window)
        at = seen[:place_bits]
        absent = Signal()
        m.d.comb += absent.eq(~(arrived >> at)[0] & ~(accepted & (trailer.sequence == seen)))
        with m.If((seen == expected[:SEQUENCE_BITS]) & passes):
            m.d.sync += seen.eq(ahead_by_one)
        with m.Elif(seen != announced):
            m.d.sync += [seen.eq(seen + 1), absentees.bit_select(at, 1).eq(absent)]
        with m.If(accepted):
            m.d.sync += absentees.bit_select(place, 1).eq(0)

        # One is on offer at a time.
        m.submodules.turn = turn = RoundRobin(window)
        offered = Signal(place_bits)
        offers = Signal()
        m.d.comb += [
            turn.requests.eq(absentees),
            self.missing_valid.eq(offers & (absentees >> offered)[0]),
            self.missing.eq(expected + (offered - oldest)[:place_bits]),
            turn.served.eq(~self.missing_valid | self.asked),
        ]
        with m.If(turn.served):
            m.d.sync += [offers.eq(turn.valid), offered.eq(turn.pick)]
        return m
