"""Where an address of the chip lies: in which stack, in which channel, and where there."""

from functools import reduce
from operator import xor
from typing import Any

from amaranth import Array, C, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.hbm.config import GRANULE

FACTORS = {1: (0, 0), 3: (2, -1), 5: (4, 1), 7: (3, -1)}
"""For each odd factor of a number of stacks: bits of a digit whose sum has the same remainder; and the sign of the
power of two by which the factor differs from a neighbour: 4 - 1, 4 + 1, 8 - 1."""

TABLE_BITS = 5
HASH_BITS = 5
"""Each so manieth bit of a unit's number in its channel helps to choose the pseudo-channel."""


def split_stacks(stacks: int) -> tuple[int, int]:
    """The odd factor of a number of stacks, and the power of two: 6 is (3, 1)."""
    power = (stacks & -stacks).bit_length() - 1
    return stacks >> power, power


def place_layout(*, stacks: int, channels: int, accesses: int, tag_bits: int) -> data.StructLayout:
    """A place: ``address`` counts the accesses of the channel; with ``beyond`` there is none, and all else is void."""
    return data.StructLayout(
        {
            "stack": range(max(2, stacks)),
            "channel": range(max(2, channels)),
            "address": range(accesses),
            "beyond": 1,
            "tag": tag_bits,
        }
    )


class StackInterleave(wiring.Component):
    """Spreads a chip's addresses over the channels of its stacks, each address to a place of its own.

    The rule is that of ``docs/hbm.md``. Numbers of stacks that are no power of two need a quotient and a remainder by
    3, 5 or 7, which come without a divider: the remainder by adding digits, and, since what is left without it divides
    exactly, the quotient by adding shifted copies modulo a power of two.

    Latency: `latency` cycles. Throughput: one address a cycle.

    Parameters
    ----------
    stacks : int, 1 to 8
    channels : int
        Of a stack: a power of two, 1 to 8.
    accesses : int
        Of a channel: 32 bytes each; a multiple of 16.
    tag_bits : int, at least 1
        What comes with an address, and stays with it.

    Members
    -------
    addresses : In(stream of {address, tag})
        In accesses of 32 bytes of the chip.
    places : Out(stream of place_layout)

    Raises
    ------
    ValueError
        If it cannot be built for such numbers.
    """

    def __init__(self, *, stacks: int, channels: int, accesses: int, tag_bits: int = 1):
        if not 1 <= stacks <= 8 or channels not in (1, 2, 4, 8) or accesses < 1 or accesses % (2 * GRANULE):
            raise ValueError(
                f"StackInterleave stacks = {stacks}, channels = {channels}, accesses = {accesses}: give 1 to 8 stacks, "
                f"1, 2, 4 or 8 channels, and a multiple of {2 * GRANULE} accesses"
            )
        self.stacks = stacks
        self.channels = channels
        self.accesses = accesses
        self.tag_bits = tag_bits
        sizes = dict(stacks=stacks, channels=channels, accesses=accesses, tag_bits=tag_bits)
        address = range(stacks * channels * accesses)
        super().__init__(
            {
                "addresses": In(stream.Signature(data.StructLayout({"address": address, "tag": tag_bits}))),
                "places": Out(stream.Signature(place_layout(**sizes))),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from an address to its place: 1 for a power of two, else 6."""
        return 1 if split_stacks(self.stacks)[0] == 1 else 6

    def elaborate(self, platform):
        m = Module()
        odd, power = split_stacks(self.stacks)
        channel_bits = self.channels.bit_length() - 1
        low_bits = channel_bits + power
        asked, place = self.addresses.payload, self.places.payload

        # All stages go on together.
        step = Signal()
        m.d.comb += [step.eq(~self.places.valid | self.places.ready), self.addresses.ready.eq(step)]

        def stage(number: int, **values: Any) -> dict[str, Signal]:
            """Registers that hold values of the stage before."""
            held = {}
            for name, value in values.items():
                value = Value.cast(value)
                held[name] = Signal(len(value), name=f"{name}_{number}", reset_less=name != "valid")
                with m.If(step):
                    m.d.sync += held[name].eq(value)
            return held

        unit = asked.address[GRANULE.bit_length() - 1 :]
        now = {
            "valid": self.addresses.valid,
            "tag": asked.tag,
            "beyond": asked.address >= self.stacks * self.channels * self.accesses,
            "offset": asked.address[: GRANULE.bit_length() - 1],
        }
        if low_bits:
            now["low"] = unit[:low_bits]
        quotient, third = unit[low_bits:], None
        if odd > 1:
            digit_bits, sign = FACTORS[odd]
            upper = unit[low_bits:]
            now = stage(1, **now, upper=upper, sum=_digit_sum(upper, digit_bits))
            remainder = _remainder(m, now.pop("sum"), odd, name="remainder_of_address")
            upper = now.pop("upper")
            now = stage(2, **now, remainder=remainder, multiple=(upper - remainder)[: len(upper)])

            # 1 / (1 + x) = (1 - x) (1 + x^2) (1 + x^4) ... modulo a power of two, for an even x.
            width = len(upper)
            shift = (odd - sign).bit_length() - 1
            shifts = [shift << turn for turn in range(width.bit_length()) if shift << turn < width]
            value = now.pop("multiple") if sign > 0 else (-now.pop("multiple"))[:width]
            for turn, by in enumerate(shifts):
                if turn == 2:
                    now = stage(3, **now, value=value)
                    value = now.pop("value")
                shifted = (value << by)[:width]
                total = Signal(width, name=f"product_{turn}")
                m.d.comb += total.eq(value - shifted if turn == 0 and sign > 0 else value + shifted)
                value = total
            if len(shifts) <= 2:
                now = stage(3, **now, value=value)
                value = now.pop("value")
            now = stage(4, **now, quotient=value)
            now = stage(5, **now, sum=_digit_sum(now["quotient"], digit_bits))
            again = _remainder(m, now.pop("sum"), odd, name="remainder_of_quotient")
            both = Signal(range(2 * odd - 1))
            third = Signal(range(odd))
            m.d.comb += [both.eq(now.pop("remainder") + again), third.eq(Mux(both >= odd, both - odd, both))]
            quotient = now.pop("quotient")

        # Hashes.
        local = quotient[: self.accesses.bit_length() - 3]
        flip = C(0)
        if self.stacks * self.channels > 1:
            flip = reduce(xor, (local[bit] for bit in range(HASH_BITS, len(local), HASH_BITS)), C(0))
        low = C(0, 0)
        if low_bits:
            groups = (local[bit : bit + low_bits] for bit in range(0, len(local), low_bits))
            low = reduce(xor, groups, now["low"])[:low_bits]
        with m.If(step):
            m.d.sync += [
                self.places.valid.eq(now["valid"]),
                place.tag.eq(now["tag"]),
                place.beyond.eq(now["beyond"]),
                place.channel.eq(low[:channel_bits]),
                place.stack.eq(Cat(low[channel_bits:], third if third is not None else C(0))),
                place.address.eq(Cat(now["offset"], local[0] ^ flip, local[1:])),
            ]
        return m


def _digits(value: Value, bits: int) -> list[Value]:
    return [value[at : at + bits] for at in range(0, len(value), bits)]


def _digit_sum(value: Value, bits: int) -> Value:
    """The sum of the digits, whose width is as small as it can be."""
    digits = _digits(value, bits)
    most = sum((1 << len(digit)) - 1 for digit in digits)
    return sum(digits[1:], digits[0])[: most.bit_length()]


def _remainder(m: Module, value: Value, divisor: int, *, name: str) -> Signal:
    """The remainder of a sum of digits, by further sums and a table."""
    turn = 0
    while len(value) > TABLE_BITS:
        total = _digit_sum(value, FACTORS[divisor][0])
        held = Signal(len(total), name=f"{name}_{turn}")
        m.d.comb += held.eq(total)
        value, turn = held, turn + 1
    remainder = Signal(range(divisor), name=name)
    m.d.comb += remainder.eq(Array(C(number % divisor, remainder.shape()) for number in range(1 << len(value)))[value])
    return remainder
