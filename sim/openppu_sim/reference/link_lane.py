"""What a lane of the link carries, bit by bit: scrambler, test sequences, training blocks, skip words.

Written from docs/link.md. A word's bit 0 is the first on the line.
"""

from collections.abc import Iterator

SYNC = 0xD2B80E6A71C593F4
MASK = 0x5C93A64EB13A6D27
SKIP = 0x96A55A69C33CF00F
SKIP_INTERVAL = 4096

SEEDS = (
    *(0x1DBFBC, 0x0607BB, 0x1EC760, 0x18C0DB, 0x010F12, 0x19CFC9, 0x0277CE, 0x1BB807),
    *(0x62DA43, 0x59F844, 0x41389F, 0x473F24, 0x5EF0ED, 0x463036, 0x5D8831, 0x4447F8),
)

FIELDS = {
    "start": 1,
    "countdown": 4,
    "lane": 4,
    "logical": 4,
    "active": 1,
    "width": 3,
    "heard": 16,
    "ready": 1,
    "epoch": 3,
    "echo": 3,
    "fresh": 1,
    "reset": 1,
    "reset_done": 1,
    "sleep": 1,
    "sleep_agreed": 1,
    "word": 2,
    "spare": 1,
}
"""Of a block, with their bits, the first lowest."""


def recurrence(bits: list[int], taps: tuple[int, ...]) -> Iterator[int]:
    """The bits given, and for ever the XOR of those so many places before."""
    yield from bits
    recent = list(bits)
    while True:
        new = sum(recent[-tap] for tap in taps) % 2
        recent = [*recent[1:], new]
        yield new


def scrambling(lane: int) -> Iterator[int]:
    """What the data of a lane are XORed with, from its first data word on."""
    return recurrence([SEEDS[lane] >> place & 1 for place in range(23)], (2, 5, 8, 16, 21, 23))


def prbs(length: int) -> Iterator[int]:
    """A test sequence, from as many ones before it as it is long."""
    taps = {7: (6, 7), 15: (14, 15), 23: (18, 23), 31: (28, 31)}[length]
    sequence = recurrence([1] * length, taps)
    for _ in range(length):
        next(sequence)
    return sequence


def words(sequence: Iterator[int], bits: int) -> Iterator[int]:
    """Bits as words."""
    while True:
        yield sum(next(sequence) << place for place in range(bits))


def crc16(bits: list[int]) -> int:
    """x^16 + x^12 + x^5 + 1, from ones."""
    register = 0xFFFF
    for bit in bits:
        out = register >> 15 ^ bit
        register = register << 1 & 0xFFFF
        if out:
            register ^= 0x1021
    return register


def block(**fields: int) -> int:
    """A training block of 128 bits; fields that are not given are zero."""
    half = place = 0
    for name, width in FIELDS.items():
        value = fields.pop(name, 0)
        assert value >> width == 0, name
        half |= value << place
        place += width
    assert not fields, f"no such fields: {fields}"
    crc = crc16([half >> bit & 1 for bit in range(48)])
    # The CRC's highest bit is sent first.
    half |= sum((crc >> 15 - bit & 1) << 48 + bit for bit in range(16))
    return SYNC | (half ^ MASK) << 64


def lane_words(lane: int, data: list[int], bits: int) -> list[int]:
    """Data as they are on the line, scrambled, with a skip word after every `SKIP_INTERVAL` - 1."""
    keys = words(scrambling(lane), bits)
    result = []
    for word in data:
        result.append(word ^ next(keys))
        if len(result) % SKIP_INTERVAL == SKIP_INTERVAL - 1:
            result.append(SKIP & (1 << bits) - 1)
    return result
