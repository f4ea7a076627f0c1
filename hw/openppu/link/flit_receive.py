"""Takes flits apart: stores what arrives, and says whether it may be trusted."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.link.config import FLIT_BYTES, TRAILER_BYTES, LinkConfig
from openppu.link.crc import POLYNOMIALS, BeatCrc, power, register_of
from openppu.link.fec import CODES, BeatSyndromes, Locate, fix_layout
from openppu.link.layouts import Trailer, beat_layout

SPARE_SLOTS = 4
"""Slots of the receive buffer beside those that credits are given for: of a flit that arrives, the next one, and two
whose check is under way."""


def slots_of(config: LinkConfig) -> int:
    """Slots of the receive buffer."""
    return 6 * config.credits + SPARE_SLOTS


def arrival_layout(config: LinkConfig) -> data.StructLayout:
    """A flit that has arrived, if ``valid``.

    ``residue`` is its CRC and the one over it, added: bits 8 to 23 of its number if it is right. ``fixes`` are to be
    added to its bytes, if there is FEC.
    """
    return data.StructLayout(
        {
            "valid": 1,
            "residue": config.crc_bits,
            "trailer": Trailer,
            "slot": range(slots_of(config)),
            "fixes": data.ArrayLayout(fix_layout(), CODES if config.fec else 0),
        }
    )


def write_layout(config: LinkConfig) -> data.StructLayout:
    """A beat for the receive buffer."""
    return data.StructLayout(
        {"valid": 1, "slot": range(slots_of(config)), "index": range(config.beats), "data": 8 * config.beat_bytes}
    )


class FlitReceive(wiring.Component):
    """Stores each flit in a slot, and checks it.

    Latency: from a flit's last beat to ``arrival`` 1 cycle, 2 with FEC. Throughput: a beat a cycle.

    Members
    -------
    beats : In(beat_layout), valid : In(1), receiving : In(1)
    slot : In(stream of range(slots))
        A free slot, for the next flit. Its taker has it until ``arrival`` names it.
    write : Out(write_layout)
    arrival : Out(arrival_layout)
        Not in two cycles one after the other.
    broken : Out(1)
        A flit ended that had too many or too few beats; its slot is used for the next one.
    """

    def __init__(self, config: LinkConfig):
        self.config = config
        super().__init__(
            {
                "beats": In(beat_layout(config)),
                "valid": In(1),
                "receiving": In(1),
                "slot": In(stream.Signature(range(slots_of(config)))),
                "write": Out(write_layout(config)),
                "arrival": Out(arrival_layout(config)),
                "broken": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        size, beats, bits = config.beat_bytes, config.beats, config.crc_bits

        # Where a flit's beats are.
        following = Signal(range(beats))
        active = Signal()
        here = Signal(range(beats))
        taken = Signal()
        ended = Signal()
        in_place = Signal()
        whole = Signal()
        slot_filled = Signal(range(slots_of(config)))
        has_slot = Signal()
        m.d.comb += [
            here.eq(Mux(self.beats.first, 0, following)),
            taken.eq(self.valid & self.receiving & Mux(self.beats.first, has_slot, active)),
            in_place.eq(here == beats - 1),
            # After too many beats, wait for a first one.
            ended.eq(taken & (self.beats.last | in_place)),
            whole.eq(taken & self.beats.last & in_place),
        ]
        with m.If(~self.receiving):
            m.d.sync += active.eq(0)
        with m.Elif(self.valid):
            m.d.sync += [following.eq(here + 1), active.eq(taken & ~ended)]

        # A slot for each: the next one is in a register when the last beat comes.
        m.d.comb += self.slot.ready.eq(~has_slot | whole)
        with m.If(self.slot.ready):
            m.d.sync += [has_slot.eq(self.slot.valid), slot_filled.eq(self.slot.payload)]
        m.d.comb += [
            self.write.valid.eq(taken),
            self.write.slot.eq(slot_filled),
            self.write.index.eq(here),
            self.write.data.eq(self.beats.data),
        ]

        # What the end of the flit says.
        field_bytes = bits // 8
        trailer = Signal(8 * TRAILER_BYTES)
        field = Signal(bits)
        for start, length, register in (
            (config.payload_bytes, TRAILER_BYTES, trailer),
            (config.crc_place, field_bytes, field),
        ):
            for byte in range(length):
                beat, place = divmod(start + byte, size)
                with m.If(taken & (here == beat)):
                    m.d.sync += register[8 * byte : 8 * (byte + 1)].eq(self.beats.data[8 * place : 8 * (place + 1)])

        m.submodules.crc = crc = BeatCrc(config)
        m.d.comb += [crc.beat.eq(self.beats.data), crc.index.eq(here), crc.step.eq(taken)]

        found = Signal(arrival_layout(config))
        held = Signal()
        held_slot = Signal.like(slot_filled)
        m.d.sync += [held.eq(whole), held_slot.eq(slot_filled), self.broken.eq(ended & ~whole)]
        m.d.comb += [
            found.valid.eq(held),
            found.residue.eq(crc.before ^ field),
            found.trailer.eq(trailer),
            found.slot.eq(held_slot),
        ]
        if not config.fec:
            m.d.comb += self.arrival.eq(found)
            return m

        # Which bytes are wrong is known a cycle later; then, what that does to the CRC.
        m.submodules.syndromes = syndromes = BeatSyndromes(config, last=beats - 1)
        m.submodules.locate = locate = Locate()
        m.submodules.effects = effects = memory.Memory(shape=bits, depth=FLIT_BYTES, init=_effects(config))
        m.d.comb += [
            syndromes.beat.eq(self.beats.data),
            syndromes.index.eq(here),
            syndromes.step.eq(taken),
            locate.syndromes.eq(syndromes.value),
        ]
        stage = Signal.like(found)
        fixes = Signal.like(locate.fixes)
        m.d.sync += [stage.eq(found), fixes.eq(locate.fixes)]
        residue, mended = stage.residue, stage.trailer.as_value()
        for code in range(CODES):
            effect = effects.read_port()
            m.d.comb += effect.addr.eq(locate.fixes[code].byte)
            residue = residue ^ _scaled(m, effect.data, fixes[code].change, bits, f"effect_{code}")
            mended = mended ^ Cat(
                Mux(fixes[code].byte == config.payload_bytes + byte, fixes[code].change, Const(0, 8))
                for byte in range(TRAILER_BYTES)
            )
        m.d.comb += [
            self.arrival.eq(stage),
            self.arrival.residue.eq(residue),
            self.arrival.trailer.eq(mended),
            self.arrival.fixes.eq(fixes),
        ]
        return m


def _effects(config: LinkConfig) -> list[int]:
    """Of each byte of a flit: what its bit 7 adds to the residue. None, if the CRC neither covers nor is it."""
    bits = config.crc_bits
    behind = config.crc_place + bits // 8
    powers = [power(8 * (config.crc_place - 1 - byte) + bits, bits) for byte in range(behind)]
    return [register_of(value, bits) for value in powers] + [0] * (FLIT_BYTES - behind)


def _scaled(m, effect, change, bits, name):
    """``effect``, for each bit of a byte that is set times x for each bit that was sent after it."""
    polynomial = register_of(POLYNOMIALS[bits] & ((1 << bits) - 1), bits)
    total = Const(0, bits)
    for bit in range(7, -1, -1):
        step = Signal(bits, name=f"{name}_{bit}")
        m.d.comb += step.eq(effect)
        total = total ^ Mux(change[bit], step, 0)
        effect = (step >> 1) ^ Mux(step[0], polynomial, 0)
    return total
