"""Linear feedback shift registers, many bits a clock: what each next bit is the XOR of, found in Python."""

from collections.abc import Sequence

from amaranth import C, Cat, Value

Rows = Sequence[int]
"""For each bit of a result, the bits of the state that it is the XOR of, as a mask."""


def steps(taps: Sequence[int], bits: int) -> tuple[Rows, Rows]:
    """``bits`` steps of the register whose bit n is the XOR of its bits n - t, for each t of ``taps``.

    The state is as long as the longest tap; its bit 0 is the oldest, the next to come out.

    Returns
    -------
    out, after
        The bits that come out, the first one lowest, and the state after them.
    """
    length = max(taps)
    sequence = [1 << place for place in range(length)]
    while len(sequence) < bits + length:
        new = 0
        for tap in taps:
            new ^= sequence[-tap]
        sequence.append(new)
    return tuple(sequence[:bits]), tuple(sequence[bits : bits + length])


def product(rows: Rows, *values: Value) -> Value:
    """The bits that ``rows`` make of signals or constants, the bits of the first one lowest."""
    # Bits of the parts themselves: each bit of a concatenation would hold all of it.
    bits = [value[place] for value in values for place in range(len(value))]
    return Cat(*(_exclusive_or([bit for place, bit in enumerate(bits) if row >> place & 1]) for row in rows))


def _exclusive_or(bits: list[Value]) -> Value:
    return Cat(*bits).xor() if bits else C(0, 1)


def crc_steps(polynomial: int, width: int, bits: int) -> Rows:
    """A CRC register after ``bits`` more bits, the lowest first: rows over the register, then those bits.

    The register's highest bit leaves first.
    """
    register = [1 << place for place in range(width)]
    for place in range(bits):
        out = register[-1] ^ 1 << width + place
        register = [0, *register[:-1]]
        register = [row ^ (out if polynomial >> bit & 1 else 0) for bit, row in enumerate(register)]
    return tuple(register)


def crc_of(polynomial: int, width: int, start: int, value: int, bits: int) -> int:
    """A CRC of a constant."""
    given = start | value << width
    rows = crc_steps(polynomial, width, bits)
    return sum((row & given).bit_count() % 2 << bit for bit, row in enumerate(rows))
