"""What the DMA's commands do, byte by byte, from ``docs/dma.md``.

Memory is the HBM alone here; a chip address with bit 39 set is looked up in `Memories.remote`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numpy.typing import NDArray
from openppu.command.error import Error
from openppu.formats.spec import BINARY32, FORMATS, Format

from openppu_sim.reference.formats import (
    binary32_to_int32,
    bits_dtype,
    from_binary32,
    int32_to_binary32,
    to_binary32,
)

Bytes = NDArray[np.uint8]
Fields = Mapping[str, int]

INT32_CODE = 6
SIZES = {**{fmt.code: fmt.bits // 8 for fmt in FORMATS.values()}, INT32_CODE: 4, BINARY32.code: 4}
"""Bytes of an element, by the format's code."""

LOADS = ("LOAD", "GATHER", "IM2COL", "FILL_SCRATCHPAD")
STORES = ("STORE", "SCATTER", "FILL_MEMORY")
REMOTE = 1 << 39
UNIT_BYTES = 1 << 24
DIMENSIONS = 4
POSITIVE = (
    *("images", "height", "width", "out_height", "out_width", "kernel_height", "kernel_width"),
    *("stride_height", "stride_width", "dilation_height", "dilation_width"),
)


@dataclass
class Memories:
    """What a chip's DMA can reach, as bytes; ``remote``: the scratchpads of all compute units as memory sees them."""

    hbm: Bytes
    scratchpad: Bytes
    remote: list[Bytes] = field(default_factory=list)

    def at(self, address: int) -> tuple[Bytes, int]:
        """The memory that a chip address lies in, and where."""
        if address < REMOTE:
            return self.hbm, address
        return self.remote[address % REMOTE // UNIT_BYTES], address % UNIT_BYTES


@dataclass
class Outcome:
    """How a command ended, and which bytes of memory and scratchpad it read and wrote (addresses)."""

    error: int
    memory_read: set[int] = field(default_factory=set)
    memory_written: set[int] = field(default_factory=set)
    scratchpad_read: set[int] = field(default_factory=set)
    scratchpad_written: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Row:
    """Bytes to move; without ``read`` they are the padding. ``elements``: addresses are of elements, not of bytes."""

    read: list[int] | None
    written: list[int]


def run(
    name: str, fields: Fields, memories: Memories, *, store: bool, formats: tuple[Format, ...], compute_units: int = 1
) -> Outcome:
    """Do a command, named as its opcode is; the memories are changed.

    Parameters
    ----------
    store : bool
        Of the engine.
    formats : tuple of Format
        Float formats that are built in.
    """
    of = {**dict.fromkeys(("source", "target", "saturate", "transpose", "value"), 0), **fields}
    if name.startswith("FILL"):
        of["source"] = of["target"] = of["format"]
    error = check(name, of, memories, store=store, formats=formats, compute_units=compute_units)
    if error != Error.OKAY:
        return Outcome(error)
    outcome = Outcome(Error.OKAY)
    if name in ("GATHER", "SCATTER"):
        outcome.scratchpad_read |= set(range(of["indices"], of["indices"] + 4 * of["count"]))
        indices = memories.scratchpad[of["indices"] :][: 4 * of["count"]].view("<u4")
        if (indices >= of["rows"]).any():
            outcome.error = Error.BOUNDS
            return outcome
    padding = np.frombuffer(of["value"].to_bytes(4, "little")[: SIZES[of["target"]]], dtype=np.uint8)
    for row in rows(name, of, memories):
        if row.read is None:
            data = np.resize(padding, len(row.written))
        else:
            raw = _gather(row.read, memories, outcome, from_memory=not store)
            data = convert(raw, of["source"], of["target"], saturate=bool(of["saturate"]))
        _scatter(row.written, data, memories, outcome, to_memory=store)
    return outcome


def _gather(addresses: list[int], memories: Memories, outcome: Outcome, *, from_memory: bool) -> Bytes:
    if not from_memory:
        outcome.scratchpad_read |= set(addresses)
        return memories.scratchpad[addresses]
    outcome.memory_read |= set(addresses)
    memory, first = memories.at(addresses[0])
    return memory[np.array(addresses) - addresses[0] + first]


def _scatter(addresses: list[int], data: Bytes, memories: Memories, outcome: Outcome, *, to_memory: bool) -> None:
    if not to_memory:
        outcome.scratchpad_written |= set(addresses)
        memories.scratchpad[addresses] = data
        return
    outcome.memory_written |= set(addresses)
    memory, first = memories.at(addresses[0])
    memory[np.array(addresses) - addresses[0] + first] = data


def rows(name: str, of: Fields, memories: Memories) -> Iterator[Row]:
    """What a right command moves, in order."""
    size, new_size = SIZES[of["source"]], SIZES[of["target"]]
    loads = name in LOADS
    new_row = of["row"] // size * new_size if of["source"] != of["target"] else of["row"]

    def pair(memory: int, scratchpad: int) -> Row:
        read, written = (memory, scratchpad) if loads else (scratchpad, memory)
        return Row(list(range(read, read + of["row"])), list(range(written, written + new_row)))

    if name in ("LOAD", "STORE") and of["transpose"]:
        yield from _transposed(name, of)
    elif name in ("LOAD", "STORE"):
        for turn in _turns(of):
            yield pair(
                of["memory"] + sum(n * of[f"memory_stride_{d}"] for d, n in enumerate(turn)),
                of["scratchpad"] + sum(n * of[f"scratchpad_stride_{d}"] for d, n in enumerate(turn)),
            )
    elif name.startswith("FILL"):
        for turn in _turns(of):
            start = of["address"] + sum(n * of[f"stride_{d}"] for d, n in enumerate(turn))
            yield Row(None, list(range(start, start + of["row"])))
    elif name in ("GATHER", "SCATTER"):
        indices = memories.scratchpad[of["indices"] :][: 4 * of["count"]].view("<i4")
        for n, index in enumerate(indices.tolist()):
            yield pair(of["memory"] + index * of["memory_stride"], of["scratchpad"] + n * of["scratchpad_stride"])
    else:
        yield from _columns(of, new_row)


def _turns(of: Fields) -> Iterator[tuple[int, ...]]:
    """Of the loops, dimension 0 the innermost."""
    for turn in product(*(range(of[f"count_{d}"]) for d in reversed(range(DIMENSIONS)))):
        yield turn[::-1]


def _transposed(name: str, of: Fields) -> Iterator[Row]:
    """Element (r, c) of each matrix goes where row c has its element r."""
    read_side, written_side = ("memory", "scratchpad") if name == "LOAD" else ("scratchpad", "memory")
    size, new_size = SIZES[of["source"]], SIZES[of["target"]]
    outer = {**of, "count_0": 1}
    for turn in _turns(outer):
        read = of[read_side] + sum(n * of[f"{read_side}_stride_{d}"] for d, n in enumerate(turn))
        written = of[written_side] + sum(n * of[f"{written_side}_stride_{d}"] for d, n in enumerate(turn))
        for r, c in product(range(of["count_0"]), range(of["row"] // size)):
            start = read + r * of[f"{read_side}_stride_0"] + c * size
            to = written + c * of[f"{written_side}_stride_0"] + r * new_size
            yield Row(list(range(start, start + size)), list(range(to, to + new_size)))


def _columns(of: Fields, new_row: int) -> Iterator[Row]:
    """im2col of NHWC."""
    places = product(range(of["images"]), range(of["out_height"]), range(of["out_width"]))
    for number, (image, down, right) in enumerate(places):
        to = of["scratchpad"] + number * of["scratchpad_stride"]
        for y, x in product(range(of["kernel_height"]), range(of["kernel_width"])):
            h = down * of["stride_height"] + y * of["dilation_height"] - of["pad_top"]
            w = right * of["stride_width"] + x * of["dilation_width"] - of["pad_left"]
            written = list(range(to, to + new_row))
            to += new_row
            if 0 <= h < of["height"] and 0 <= w < of["width"]:
                start = of["memory"] + image * of["image_stride"] + h * of["row_stride"] + w * of["pixel_stride"]
                yield Row(list(range(start, start + of["row"])), written)
            else:
                yield Row(None, written)


def convert(raw: Bytes, source: int, target: int, *, saturate: bool) -> Bytes:
    """Elements of one format as those of another; all but int8 to int32 and back go through binary32."""
    if source == target:
        return raw
    by_code = {fmt.code: fmt for fmt in FORMATS.values()}
    if source == 0:
        whole: NDArray | None = raw.view(np.int8).astype(np.int32)
    elif source == INT32_CODE:
        whole = raw.view("<i4")
    else:
        whole = None
    if whole is not None and target in (0, INT32_CODE):
        return _integers(whole, target)
    if whole is not None:
        middle = int32_to_binary32(whole.astype(np.int32).view(np.uint32))
    elif source == BINARY32.code:
        middle = raw.view("<u4")
    else:
        middle = to_binary32(raw.view(bits_dtype(by_code[source])), by_code[source])
    if target in (0, INT32_CODE):
        return _integers(binary32_to_int32(middle).view(np.int32), target)
    if target == BINARY32.code:
        return np.ascontiguousarray(middle).view(np.uint8)
    return np.ascontiguousarray(from_binary32(middle, by_code[target], saturate=saturate)).view(np.uint8)


def _integers(values: NDArray, target: int) -> Bytes:
    if target == INT32_CODE:
        return values.astype("<i4").view(np.uint8)
    return np.clip(values, -128, 127).astype(np.int8).view(np.uint8)


def check(
    name: str, of: Fields, memories: Memories, *, store: bool, formats: tuple[Format, ...], compute_units: int
) -> int:
    """The first thing that is wrong with a command, its list of indices aside, in the order of the documentation."""
    if name not in (STORES if store else LOADS):
        return Error.OPCODE
    if _field_wrong(name, of):
        return Error.FIELD
    known = set(SIZES)
    if of["source"] != of["target"]:
        known = {0, INT32_CODE, BINARY32.code, *(fmt.code for fmt in formats)}
    if not {of["source"], of["target"]} <= known:
        return Error.FORMAT
    if _misaligned(name, of, store=store):
        return Error.ALIGNMENT
    if _outside(name, of, memories, store=store, compute_units=compute_units):
        return Error.BOUNDS
    return Error.OKAY


def _field_wrong(name: str, of: Fields) -> bool:
    if of["row"] == 0:
        return True
    if name in ("GATHER", "SCATTER"):
        return of["count"] == 0 or of["rows"] == 0
    if name == "IM2COL":
        return any(of[each] == 0 for each in POSITIVE)
    if name == "FILL_SCRATCHPAD" and any(not -(1 << 23) <= of[f"stride_{d}"] < 1 << 23 for d in range(DIMENSIONS)):
        return True
    return any(of[f"count_{d}"] == 0 for d in range(DIMENSIONS))


def _misaligned(name: str, of: Fields, *, store: bool) -> bool:
    size, new_size = SIZES[of["source"]], SIZES[of["target"]]
    elements = of["source"] != of["target"] or of["transpose"]
    if name in ("GATHER", "SCATTER") and of["indices"] % 4:
        return True
    if (elements or name == "IM2COL" or name.startswith("FILL")) and of["row"] % size:
        return True
    if not elements:
        return False
    memory_size, scratchpad_size = (new_size, size) if store else (size, new_size)
    memory = [of["memory"], *(value for key, value in of.items() if key.startswith("memory_stride"))]
    memory += [of[key] for key in ("image_stride", "row_stride", "pixel_stride") if key in of]
    scratchpad = [of["scratchpad"], *(value for key, value in of.items() if key.startswith("scratchpad_stride"))]
    return any(value % memory_size for value in memory) or any(value % scratchpad_size for value in scratchpad)


def _outside(name: str, of: Fields, memories: Memories, *, store: bool, compute_units: int) -> bool:
    """Of the ranges: from the lowest byte that the loops reach to the highest."""
    size, new_size = SIZES[of["source"]], SIZES[of["target"]]
    new_row = of["row"] // size * new_size if of["source"] != of["target"] else of["row"]
    columns = of["row"] // size
    memory_row, scratchpad_row = (new_row, of["row"]) if store else (of["row"], new_row)
    memory: list[tuple[int, int]] = []
    scratchpad: list[tuple[int, int]] = []
    if name in ("LOAD", "STORE"):
        memory = [(of[f"count_{d}"], of[f"memory_stride_{d}"]) for d in range(DIMENSIONS)]
        scratchpad = [(of[f"count_{d}"], of[f"scratchpad_stride_{d}"]) for d in range(DIMENSIONS)]
        if of["transpose"] and store:
            memory[0], memory_row = (columns, memory[0][1]), of["count_0"] * new_size
        elif of["transpose"]:
            scratchpad[0], scratchpad_row = (columns, scratchpad[0][1]), of["count_0"] * new_size
    elif name.startswith("FILL"):
        loops = [(of[f"count_{d}"], of[f"stride_{d}"]) for d in range(DIMENSIONS)]
        if store:
            return _memory_outside(of["address"], loops, of["row"], memories, compute_units)
        return _beyond(of["address"], loops, of["row"], len(memories.scratchpad))
    elif name in ("GATHER", "SCATTER"):
        memory, scratchpad = [(of["rows"], of["memory_stride"])], [(of["count"], of["scratchpad_stride"])]
        if of["indices"] + 4 * of["count"] > len(memories.scratchpad):
            return True
    else:
        memory = [(of["images"], of["image_stride"]), (of["height"], of["row_stride"])]
        memory.append((of["width"], of["pixel_stride"]))
        scratchpad = [(of["images"] * of["out_height"] * of["out_width"], of["scratchpad_stride"])]
        scratchpad_row = of["kernel_height"] * of["kernel_width"] * new_row
    return _memory_outside(of["memory"], memory, memory_row, memories, compute_units) or _beyond(
        of["scratchpad"], scratchpad, scratchpad_row, len(memories.scratchpad)
    )


def _memory_outside(
    address: int, loops: list[tuple[int, int]], row: int, memories: Memories, compute_units: int
) -> bool:
    if address < REMOTE:
        return _beyond(address, loops, row, len(memories.hbm))
    unit = address % REMOTE // UNIT_BYTES
    return unit >= compute_units or _beyond(address % UNIT_BYTES, loops, row, len(memories.scratchpad))


def _beyond(start: int, loops: list[tuple[int, int]], row: int, size: int) -> bool:
    low = start + sum(min(0, (count - 1) * stride) for count, stride in loops)
    high = start + sum(max(0, (count - 1) * stride) for count, stride in loops)
    return low < 0 or high + row > size
