"""Sizes and times as people write and read them: 64MiB, 1.5 GB, 12.3 us."""

import re

from openppu_sim.errors import UserError

DECIMAL = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
BINARY = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
UNITS = {"": 1} | DECIMAL | BINARY
MOST_BYTES = 2**50

_SIZE = re.compile(r"([0-9]{1,20})(?:\.([0-9]{1,20}))? ?([A-Za-z]*)", re.ASCII)


def parse_bytes(text: str, *, what: str = "size", least: int = 1, most: int = MOST_BYTES) -> int:
    """A number of bytes: digits, a fraction if it comes to whole bytes, and a unit.

    KB, MB, GB and TB are powers of 1,000; KiB, MiB, GiB and TiB powers of 1,024; without a unit it is bytes.

    Parameters
    ----------
    text : str
        Such as ``64MiB``, ``1.5 GB`` or ``4096``.
    what : str
        What it is, for messages.
    least, most : int
        What is allowed.

    Raises
    ------
    UserError
        If it is not a size, not whole bytes, or outside the range.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None or match[3] not in UNITS:
        close = {unit.lower(): unit for unit in UNITS if unit} | {"k": "KiB", "m": "MiB", "g": "GiB", "t": "TiB"}
        meant = close.get(match[3].lower()) if match else None
        hint = f"; did you mean {match[1]}{meant}?" if match and meant else ""
        raise UserError(f"{what} {text[:40]!r}: give bytes, or a number with one of {', '.join(UNITS)[2:]}{hint}")
    whole, fraction, unit = match[1], match[2] or "", match[3]
    scaled = int(whole + fraction) * UNITS[unit]
    size, rest = divmod(scaled, 10 ** len(fraction))
    if rest:
        raise UserError(f"{what} {text[:40]!r}: not a whole number of bytes")
    if not least <= size <= most:
        raise UserError(f"{what} {text[:40]!r}: give {show_bytes(least)} to {show_bytes(most)}")
    return size


def show_bytes(size: int) -> str:
    """A size in the largest binary unit that divides it, else in bytes."""
    for unit, scale in reversed(BINARY.items()):
        if size and size % scale == 0:
            return f"{size // scale:,} {unit}"
    return f"{size:,} B"


def show_ns(nanoseconds: float) -> str:
    """A time with a unit that makes it readable."""
    for unit, scale in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if nanoseconds >= scale:
            return f"{nanoseconds / scale:.4g} {unit}"
    return f"{nanoseconds:.4g} ns"
