"""Flits of the inter-chip link by their definition: CRC bit by bit, Reed-Solomon codes by their roots, fields by hand.

A flit is 256 bytes: payload, 6 bytes of trailer, 2 of zeros where there is no FEC, 8 of CRC, and 6 of FEC if there is
any.
"""

from dataclasses import dataclass

FLIT_BYTES = 256
POLYNOMIALS = {16: 0x8005, 32: 0x1EDC6F41, 64: 0x42F0E1EBA9EA3693}
"""Without the highest power."""

FIELDS = (
    ("data", 1),
    ("channel", 3),
    ("used", 7),
    ("sequence", 8),
    ("acknowledge", 8),
    ("missing_valid", 1),
    ("missing", 8),
    ("credit_channel", 3),
    ("credit", 8),
    ("cut", 1),
)
"""Of the trailer, and their bits, from the lowest one on."""


@dataclass(frozen=True, kw_only=True)
class Trailer:
    """What a flit says beside its payload."""

    data: int = 0
    channel: int = 0
    used: int = 0
    sequence: int = 0
    acknowledge: int = 0
    missing_valid: int = 0
    missing: int = 0
    credit_channel: int = 0
    credit: int = 0
    cut: int = 0

    def to_bytes(self) -> bytes:
        """The 6 bytes."""
        value, place = 0, 0
        for name, width in FIELDS:
            value |= getattr(self, name) << place
            place += width
        return value.to_bytes(6, "little")

    @classmethod
    def from_bytes(cls, raw: bytes) -> "Trailer":
        """The fields of 6 bytes."""
        value, found = int.from_bytes(raw, "little"), {}
        for name, width in FIELDS:
            found[name] = value & (1 << width) - 1
            value >>= width
        return cls(**found)


def crc(message: bytes, bits: int) -> int:
    """The CRC of so many bits; bit 0 of it is sent first, as bit 0 of each byte is."""
    top, register = 1 << bits - 1, (1 << bits) - 1
    for byte in message:
        for place in range(8):
            out = bool(register & top) ^ (byte >> place & 1)
            register = register << 1 & (1 << bits) - 1
            if out:
                register ^= POLYNOMIALS[bits]
    return int(f"{register:0{bits}b}"[::-1], 2) ^ (1 << bits) - 1


def multiply(a: int, b: int) -> int:
    """In the field GF(256) of x^8 + x^4 + x^3 + x^2 + 1."""
    product = 0
    while b:
        if b & 1:
            product ^= a
        a = a << 1 ^ (0x11D if a & 0x80 else 0)
        b >>= 1
    return product


def evaluate(word: bytes, point: int) -> int:
    """A code word, its first byte the coefficient of the highest power, at a point of the field."""
    value = 0
    for byte in word:
        value = multiply(value, point) ^ byte
    return value


def with_fec(first: bytes) -> bytes:
    """250 bytes and the 6 that make each of the three code words zero at 1 and at 2."""
    flit = bytearray(first + bytes(6))
    for code in range(3):
        for high in range(256):
            flit[250 + (code - 250) % 3] = high
            low = evaluate(bytes(flit[code::3][:-1]) + b"\0", 1)
            flit[253 + (code - 250) % 3] = low
            if evaluate(bytes(flit[code::3]), 2) == 0:
                break
    return bytes(flit)


def corrected(flit: bytes) -> tuple[bytes, int]:
    """The flit with every code word changed in the one byte that makes it right, and how many were.

    A code word that no change of one byte makes right stays.
    """
    result, count = bytearray(flit), 0
    for code in range(3):
        word = bytes(flit[code::3])
        change = evaluate(word, 1)
        if change == 0 and evaluate(word, 2) == 0:
            continue
        for place in range(len(word)):
            tried = bytearray(word)
            tried[place] ^= change
            if evaluate(bytes(tried), 2) == 0:
                result[code::3] = tried
                count += 1
                break
    return bytes(result), count


def assemble(payload: bytes, trailer: Trailer, *, number: int, crc_bits: int, fec: bool) -> bytes:
    """A flit; ``number`` is the whole number of which the trailer has 8 bits."""
    size = 236 if fec else 240
    body = payload.ljust(size, b"\0") + trailer.to_bytes() + (b"" if fec else b"\0\0")
    check = crc(body, crc_bits) ^ number >> 8 & 0xFFFF
    whole = body + check.to_bytes(8, "little")
    return with_fec(whole) if fec else whole


def take_apart(flit: bytes, *, number: int, crc_bits: int, fec: bool) -> tuple[bytes, Trailer] | None:
    """Payload and trailer, or None if the CRC is not that of ``number``."""
    if fec:
        flit, _ = corrected(flit)
    size = 236 if fec else 240
    place = size + 6 + (0 if fec else 2)
    check = int.from_bytes(flit[place : place + crc_bits // 8], "little")
    if crc(flit[:place], crc_bits) ^ number >> 8 & 0xFFFF != check:
        return None
    return flit[:size], Trailer.from_bytes(flit[size : size + 6])
