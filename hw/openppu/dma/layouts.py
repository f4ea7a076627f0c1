"""The DMA's commands, and what its parts hand to each other.

The fields of a command's operands lie as in memory: addresses of 40 bits first, then all others, one directly after the
other. ``docs/dma.md`` says what each means.
"""

from amaranth import Cat, Shape, signed
from amaranth.lib import data, enum

from openppu.command.error import Error
from openppu.common.memory import ADDRESS_BITS, WORD_BYTES
from openppu.formats.spec import BF16, BINARY32, FORMATS, FP16, Format

OPERAND_BITS = 384
SCRATCHPAD_BITS = 24
"""Of a byte's address in a scratchpad."""

DIMENSIONS = 4
"""Of a copy or fill, beside the row."""

LEVELS = 5
"""Nested loops of the walk through a command: a transposition has two loops over blocks, an im2col five in all."""

COUNT_BITS = 16
ROW_BITS = 16
"""Of a row's bytes on the side that is read."""

WIDE_ROW_BITS = ROW_BITS + 2
"""Of a row's bytes on either side: a conversion makes them at most four times as many."""

MEMORY_STRIDE_BITS = 30
SCRATCHPAD_STRIDE_BITS = 24
ROWS_BITS = 24
"""Of the number of rows that a list of indices chooses from."""

PLACE_BITS = 24
"""Of a row or column of a picture, which may lie outside of it."""

INT32 = Format("int32", 6, 32, 0, 31, 0, False, False, 2.0**31 - 1)
"""Beside the formats of `openppu.formats.spec`, for conversions."""

ELEMENTS = {fmt.code: fmt for fmt in (*FORMATS.values(), INT32, BINARY32)}
"""The formats that a command may name, by code."""


class Opcode(enum.Enum, shape=8):
    """Of commands; an engine refuses those of the other direction."""

    LOAD = 32
    GATHER = 33
    IM2COL = 34
    FILL_SCRATCHPAD = 35
    STORE = 40
    SCATTER = 41
    FILL_MEMORY = 43


def _format_fields() -> dict:
    return {"source": 3, "target": 3, "saturate": 1}


def copy_layout() -> data.StructLayout:
    """`LOAD` and `STORE`: rows along up to four dimensions, the innermost first."""
    fields = {"memory": ADDRESS_BITS, "scratchpad": ADDRESS_BITS, "row": ROW_BITS, **_format_fields(), "transpose": 1}
    for dimension in range(DIMENSIONS):
        fields[f"count_{dimension}"] = COUNT_BITS
        fields[f"memory_stride_{dimension}"] = signed(MEMORY_STRIDE_BITS)
        fields[f"scratchpad_stride_{dimension}"] = signed(SCRATCHPAD_STRIDE_BITS)
    return data.StructLayout(fields)


def fill_layout() -> data.StructLayout:
    """`FILL_SCRATCHPAD` and `FILL_MEMORY`."""
    fields = {"address": ADDRESS_BITS, "row": ROW_BITS, "format": 3, "value": 32}
    for dimension in range(DIMENSIONS):
        fields[f"count_{dimension}"] = COUNT_BITS
        fields[f"stride_{dimension}"] = signed(MEMORY_STRIDE_BITS)
    return data.StructLayout(fields)


def indexed_layout() -> data.StructLayout:
    """`GATHER` and `SCATTER`: rows of memory by a list of int32 in the scratchpad."""
    return data.StructLayout(
        {
            "memory": ADDRESS_BITS,
            "scratchpad": ADDRESS_BITS,
            "indices": ADDRESS_BITS,
            "row": ROW_BITS,
            **_format_fields(),
            "count": COUNT_BITS,
            "memory_stride": signed(MEMORY_STRIDE_BITS),
            "scratchpad_stride": signed(SCRATCHPAD_STRIDE_BITS),
            "rows": ROWS_BITS,
        }
    )


def im2col_layout() -> data.StructLayout:
    """`IM2COL`: of a picture, pixel by pixel, what each place of a kernel lies on."""
    fields = {"memory": ADDRESS_BITS, "scratchpad": ADDRESS_BITS, "row": ROW_BITS, **_format_fields()}
    fields |= dict.fromkeys(("images", "height", "width", "out_height", "out_width"), COUNT_BITS)
    fields |= dict.fromkeys(("kernel_height", "kernel_width", "pad_top", "pad_left"), 8)
    fields |= dict.fromkeys(("stride_height", "stride_width", "dilation_height", "dilation_width"), 6)
    fields |= dict.fromkeys(("image_stride", "row_stride"), signed(MEMORY_STRIDE_BITS))
    fields |= {"pixel_stride": signed(24), "scratchpad_stride": SCRATCHPAD_STRIDE_BITS, "value": 32}
    return data.StructLayout(fields)


OPERANDS = {
    Opcode.LOAD: copy_layout(),
    Opcode.STORE: copy_layout(),
    Opcode.GATHER: indexed_layout(),
    Opcode.SCATTER: indexed_layout(),
    Opcode.IM2COL: im2col_layout(),
    Opcode.FILL_SCRATCHPAD: fill_layout(),
    Opcode.FILL_MEMORY: fill_layout(),
}


def command_layout() -> data.StructLayout:
    """A command; ``operands`` are laid out as `OPERANDS` says of the opcode."""
    return data.StructLayout({"opcode": 8, "operands": OPERAND_BITS})


def operands_as(layout: data.StructLayout, operands) -> data.View:
    """The operands, seen in a layout."""
    return data.View(layout, operands[: layout.size])


def element_bytes_log2(code):
    """log2 of an element's bytes, of a format's code in hardware; of a code that no format has, 0."""
    return Cat(
        (code == FP16.code) | (code == BF16.code),
        (code == INT32.code) | (code == BINARY32.code),
    )


def conversion_layout() -> data.StructLayout:
    """What happens to elements on their way."""
    return data.StructLayout({**_format_fields(), "transpose": 1})


def level_layout() -> data.StructLayout:
    """A loop of the walk: how often less one, and what a turn adds to the addresses, and to the place in a picture."""
    return data.StructLayout(
        {
            "last": COUNT_BITS,
            "memory": ADDRESS_BITS,
            "scratchpad": SCRATCHPAD_BITS,
            "height": PLACE_BITS,
            "width": PLACE_BITS,
        }
    )


class Walk(enum.Enum, shape=3):
    """What is done at each step of the walk."""

    ROW = 0
    INDEXED = 1
    PICTURE = 2
    BLOCK = 3
    FILL = 4


def job_layout() -> data.StructLayout:
    """A command that is known to be right, or else its ``error``.

    ``read_row``, ``written_row``: bytes. ``inside_height``, ``inside_width``: of the picture, or a matrix' elements.
    ``read_stride``: of a matrix' rows, on the side that is read; ``written_stride``: of its columns, on the other.
    """
    return data.StructLayout(
        {
            "error": Error,
            "walk": Walk,
            "memory": ADDRESS_BITS,
            "scratchpad": SCRATCHPAD_BITS,
            "read_row": ROW_BITS,
            "written_row": WIDE_ROW_BITS,
            "height": PLACE_BITS,
            "width": PLACE_BITS,
            "inside_height": COUNT_BITS,
            "inside_width": COUNT_BITS,
            "read_stride": ADDRESS_BITS,
            "written_stride": ADDRESS_BITS,
            "indices": SCRATCHPAD_BITS,
            "rows": ROWS_BITS,
            "value": 32,
            "conversion": conversion_layout(),
            "levels": data.ArrayLayout(level_layout(), LEVELS),
        }
    )


def step_layout() -> data.StructLayout:
    """A step of the walk; ``first`` and ``last`` of its job; with ``end`` there is none, the job is over."""
    return data.StructLayout(
        {
            "memory": ADDRESS_BITS,
            "scratchpad": SCRATCHPAD_BITS,
            "height": PLACE_BITS,
            "width": PLACE_BITS,
            "end": 1,
        }
    )


def source_layout(address_bits: int = ADDRESS_BITS) -> data.StructLayout:
    """Bytes to be read one after the other; with ``fill`` they are ``value`` instead; ``end`` of a command.

    ``block_last``: the last row of a block that is to be transposed.
    """
    return data.StructLayout(
        {
            "address": address_bits,
            "bytes": WIDE_ROW_BITS,
            "fill": 1,
            "block_last": 1,
            "end": 1,
            "error": Error,
            "value": 32,
            "conversion": conversion_layout(),
        }
    )


def target_layout(address_bits: int = ADDRESS_BITS) -> data.StructLayout:
    """Bytes to be written one after the other."""
    return data.StructLayout({"address": address_bits, "bytes": WIDE_ROW_BITS, "end": 1})


def chunk_layout() -> data.StructLayout:
    """Up to 32 bytes on their way, in the low ones; with ``wrong`` they are not right. An ``end`` has none."""
    return data.StructLayout(
        {
            "data": 8 * WORD_BYTES,
            "bytes": range(WORD_BYTES + 1),
            "last": 1,
            "block_last": 1,
            "fill": 1,
            "wrong": 1,
            "end": 1,
            "error": Error,
            "conversion": conversion_layout(),
        }
    )


def word_layout(word_bytes: int) -> data.StructLayout:
    """A word that was read."""
    return data.StructLayout({"data": 8 * word_bytes, "error": 1})


def placed_layout(address_bits: int, word_bytes: int) -> data.StructLayout:
    """A word to write, the ``last`` of a target, or the ``end`` of a command."""
    return data.StructLayout(
        {"address": address_bits, "data": 8 * word_bytes, "mask": word_bytes, "last": 1, "end": 1, "error": Error}
    )


for _layout in OPERANDS.values():
    assert Shape.cast(_layout).width <= OPERAND_BITS
