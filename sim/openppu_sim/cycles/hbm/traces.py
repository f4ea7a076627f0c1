"""Reads traces of memory requests: our own plain text, Ramulator's and DRAMsim3's, also gzipped."""

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from openppu_sim.cycles.hbm.requests import Requests
from openppu_sim.errors import UserError

FORMATS = ("plain", "ramulator", "dramsim3")

MOST_BYTES = 4096
"""Of one request."""

MOST_TIME = 1e15
"""Of a request, in nanoseconds or memory clocks: days. With much later ones the model could not count on."""

GZIP = b"\x1f\x8b"
"""The first bytes of a gzipped file."""

Line = tuple[int, int, bool, float | None]
"""Address and size in bytes, whether it writes, and its time if it has one: ns, or memory clocks for DRAMsim3."""

_PLAIN = {"read": False, "write": True}
_RAMULATOR = {"LD": False, "ST": True, "R": False, "W": True}
_DRAMSIM3 = {
    "READ": False,
    "WRITE": True,
    "read": False,
    "write": True,
    "P_MEM_RD": False,
    "P_FETCH": False,
    "P_MEM_WR": True,
}

_SHAPES = {
    "plain": "read|write ADDRESS BYTES [NANOSECONDS], such as: read 0x1000 256",
    "ramulator": "LD|ST ADDRESS or R|W ADDRESS, such as: LD 0x12345680",
    "dramsim3": "ADDRESS READ|WRITE CYCLE, such as: 0x12345680 READ 120",
}


def read_trace(
    path: Path, *, form: str | None = None, line_bytes: int = 64, clock_ns: float, capacity: int, wrap: bool = False
) -> Requests:
    """Read a trace. Blank lines, and what follows a #, are skipped; addresses are decimal, or hexadecimal after 0x.

    Parameters
    ----------
    path : Path
    form : str, optional
        One of `FORMATS`; without, the first line tells.
    line_bytes : int
        Size of each request where the format has none: of Ramulator's and DRAMsim3's.
    clock_ns : float
        Period of the memory clock, in which DRAMsim3 counts time.
    capacity : int
        Bytes that there are.
    wrap : bool
        Take addresses modulo the capacity.

    Raises
    ------
    UserError
        If the file cannot be read, or a line is not as the format has it; the message names file and line.
    """
    text = _text(path)
    parse: Callable[[list[str], int], Line] | None = None
    lines: list[Line] = []
    last = 0.0
    for number, raw in enumerate(text.splitlines(), 1):
        words = raw.split("#", 1)[0].split()
        if not words:
            continue
        where = f"{path}:{number}: '{raw.strip()[:60]}'"
        try:
            if parse is None:
                form = form or _detect(words)
                parse = _PARSERS[form]
            line = parse(words, line_bytes)
        except ValueError as error:
            shape = f"give {_SHAPES[form]}" if form else "no known trace format; give " + "; or ".join(_SHAPES.values())
            raise UserError(f"{where}: {f'{error}; ' if str(error) else ''}{shape}") from None
        address, size, write, time = line
        if not 1 <= size <= MOST_BYTES:
            raise UserError(f"{where}: {size} bytes; give a size from 1 to {MOST_BYTES}")
        if wrap:
            address = min(address % capacity, capacity - size)
        if address < 0 or address + size > capacity:
            raise UserError(
                f"{where}: beyond the capacity of {capacity:#x} bytes; give more --channels, or --wrap for addresses "
                "modulo the capacity"
            )
        if lines and (time is None) != (lines[0][3] is None):
            raise UserError(f"{where}: give a time in every line or in none")
        if time is not None and time < last:
            raise UserError(f"{where}: its time {time:g} is before that of the line above, {last:g}; sort the trace")
        last = time or 0.0
        lines.append((address, size, write, time))
    if not lines:
        raise UserError(f"{path}: no request; give one a line: {_SHAPES['plain']}")
    addresses, sizes, writes, times = zip(*lines, strict=True)
    arrival = None
    if times[0] is not None:
        arrival = np.array(times, np.float64) * (clock_ns if form == "dramsim3" else 1.0)
    return Requests(np.array(addresses, np.int64), np.array(sizes, np.int64), np.array(writes, bool), arrival)


def _text(path: Path) -> str:
    """A file's text, without the mark that some editors put at its beginning."""
    try:
        raw = path.read_bytes()
        if raw.startswith(GZIP):
            raw = gzip.decompress(raw)
        return raw.decode("utf-8-sig")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path}: a broken gzip file: {error}; pack it again") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a text file; give a trace with a request a line") from error


def _detect(words: list[str]) -> str:
    """The format of a line."""
    if words[0].lower() in _PLAIN:
        return "plain"
    if words[0] in _RAMULATOR or (len(words) == 2 and words[1] in _RAMULATOR):
        return "ramulator"
    if len(words) == 3 and words[1] in _DRAMSIM3:
        return "dramsim3"
    if "," in words[0]:
        raise ValueError("words are apart by blanks, not by commas")
    if len(words) in (2, 3) and all(word.isdigit() for word in words):
        raise ValueError("numbers alone, as in a processor's trace, say neither read nor write")
    raise ValueError


def _number(text: str, what: str) -> int:
    try:
        value = int(text, 16 if text[:2].lower() == "0x" else 10)
    except ValueError:
        raise ValueError(f"{text[:40]!r} is no {what}") from None
    if not 0 <= value < 1 << 62:
        raise ValueError(f"{text[:40]!r} is no {what} from 0 to 2**62 - 1")
    return value


def _parse_plain(words: list[str], _: int) -> Line:
    if len(words) not in (3, 4) or words[0].lower() not in _PLAIN:
        raise ValueError
    time = None
    if len(words) == 4:
        try:
            time = float(words[3])
        except ValueError:
            raise ValueError(f"{words[3][:40]!r} is no time") from None
        if not 0 <= time < MOST_TIME:
            raise ValueError(f"{words[3][:40]!r} is no time from 0 to 1e15 ns")
    return _number(words[1], "address"), _number(words[2], "size"), _PLAIN[words[0].lower()], time


def _parse_ramulator(words: list[str], line_bytes: int) -> Line:
    if len(words) != 2:
        raise ValueError
    kind, address = words if words[0] in _RAMULATOR else reversed(words)
    if kind not in _RAMULATOR:
        raise ValueError
    if "," in address:
        raise ValueError("an address vector, which means something for one device only")
    # A cache line: its requests are aligned.
    return _number(address, "address") // line_bytes * line_bytes, line_bytes, _RAMULATOR[kind], None


def _parse_dramsim3(words: list[str], line_bytes: int) -> Line:
    if len(words) != 3 or words[1] not in _DRAMSIM3:
        raise ValueError
    # DRAMsim3 reads every address as hexadecimal, with or without 0x.
    address = _number(words[0] if words[0][:2].lower() == "0x" else "0x" + words[0], "address")
    cycle = _number(words[2], "cycle")
    if cycle >= MOST_TIME:
        raise ValueError(f"{words[2][:40]!r} is no cycle from 0 to 1e15")
    return address // line_bytes * line_bytes, line_bytes, _DRAMSIM3[words[1]], float(cycle)


_PARSERS: dict[str, Callable[[list[str], int], Line]] = {
    "plain": _parse_plain,
    "ramulator": _parse_ramulator,
    "dramsim3": _parse_dramsim3,
}
