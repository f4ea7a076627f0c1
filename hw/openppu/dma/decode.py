"""What a command says, whatever its layout, and what of it is wrong at first sight."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from openppu.command.error import Error
from openppu.common.memory import ADDRESS_BITS
from openppu.dma.layouts import (
    BINARY32,
    COUNT_BITS,
    DIMENSIONS,
    ELEMENTS,
    INT32,
    MEMORY_STRIDE_BITS,
    OPERANDS,
    ROW_BITS,
    ROWS_BITS,
    SCRATCHPAD_BITS,
    WIDE_ROW_BITS,
    Opcode,
    Walk,
    command_layout,
    conversion_layout,
    element_bytes_log2,
    im2col_layout,
    operands_as,
)
from openppu.formats.spec import INT8, Format

LOADS = (Opcode.LOAD, Opcode.GATHER, Opcode.IM2COL, Opcode.FILL_SCRATCHPAD)
STORES = (Opcode.STORE, Opcode.SCATTER, Opcode.FILL_MEMORY)


def decoded_layout() -> data.StructLayout:
    """A command's meaning; ``error`` is what is wrong with its fields, formats and alignments.

    ``uses_memory``, ``uses_scratchpad``: whether the walk goes there. ``read_log2``, ``written_log2``: of an element's
    bytes. ``picture`` holds the fields of an im2col.
    """
    dimension = data.StructLayout(
        {"count": COUNT_BITS, "memory_stride": MEMORY_STRIDE_BITS, "scratchpad_stride": SCRATCHPAD_BITS}
    )
    return data.StructLayout(
        {
            "error": Error,
            "walk": Walk,
            "memory": ADDRESS_BITS,
            "scratchpad": ADDRESS_BITS,
            "indices": ADDRESS_BITS,
            "rows": ROWS_BITS,
            "value": 32,
            "read_row": ROW_BITS,
            "written_row": WIDE_ROW_BITS,
            "read_log2": 2,
            "written_log2": 2,
            "uses_memory": 1,
            "uses_scratchpad": 1,
            "conversion": conversion_layout(),
            "dimensions": data.ArrayLayout(dimension, DIMENSIONS),
            "picture": im2col_layout(),
        }
    )


class Decode(wiring.Component):
    """Reads a command. Combinational.

    Parameters
    ----------
    store : bool
        Of the engine that stores, not of the one that loads.
    formats : tuple of Format
        Float formats that conversions are built for, beside int8, int32 and binary32.

    Members
    -------
    command : In(command_layout())
    decoded : Out(decoded_layout())
    """

    def __init__(self, *, store: bool, formats: tuple[Format, ...]):
        self.store = store
        self.formats = formats
        super().__init__({"command": In(command_layout()), "decoded": Out(decoded_layout())})

    def elaborate(self, platform):
        m = Module()
        out = self.decoded
        known = Signal()
        zero = Signal()
        with m.Switch(self.command.opcode):
            for opcode in STORES if self.store else LOADS:
                with m.Case(opcode.value):
                    m.d.comb += known.eq(1)
                    view = operands_as(OPERANDS[opcode], self.command.operands)
                    if opcode in (Opcode.LOAD, Opcode.STORE):
                        self._copy(m, view, zero)
                    elif opcode in (Opcode.GATHER, Opcode.SCATTER):
                        self._indexed(m, view, zero)
                    elif opcode is Opcode.IM2COL:
                        self._picture(m, view, zero)
                    else:
                        self._fill(m, view, zero)

        source, target = out.conversion.source, out.conversion.target
        row = out.read_row
        m.d.comb += [
            out.read_log2.eq(element_bytes_log2(source)),
            out.written_log2.eq(element_bytes_log2(target)),
            out.written_row.eq((row << out.written_log2) >> out.read_log2),
        ]

        converts = source != target
        elements = converts | out.conversion.transpose
        built = {INT8.code, INT32.code, BINARY32.code, *(fmt.code for fmt in self.formats)}
        there = Signal(8)
        right = Signal()
        m.d.comb += [
            there.eq(Mux(converts, sum(1 << code for code in built), sum(1 << code for code in ELEMENTS))),
            right.eq(there.bit_select(source, 1) & there.bit_select(target, 1)),
        ]
        misaligned = Signal()
        memory_log2 = out.written_log2 if self.store else out.read_log2
        scratchpad_log2 = out.read_log2 if self.store else out.written_log2
        memory_values = [out.memory, *(each.memory_stride for each in out.dimensions)]
        scratchpad_values = [out.scratchpad, *(each.scratchpad_stride for each in out.dimensions)]
        picture = out.walk == Walk.PICTURE
        pitches = [out.picture.image_stride, out.picture.row_stride, out.picture.pixel_stride]
        m.d.comb += misaligned.eq(
            (out.indices[:2].any())
            | ((elements | picture | (out.walk == Walk.FILL)) & _odd(row, out.read_log2))
            | (elements & _odd(_low_bits(memory_values), memory_log2))
            | (elements & _odd(_low_bits(scratchpad_values), scratchpad_log2))
            | (elements & picture & _odd(_low_bits(pitches), memory_log2))
            | (elements & picture & _odd(out.picture.scratchpad_stride, scratchpad_log2))
        )
        with m.If(~known):
            m.d.comb += out.error.eq(Error.OPCODE)
        with m.Elif(zero | (row == 0)):
            m.d.comb += out.error.eq(Error.FIELD)
        with m.Elif(~right):
            m.d.comb += out.error.eq(Error.FORMAT)
        with m.Elif(misaligned):
            m.d.comb += out.error.eq(Error.ALIGNMENT)
        return m

    def _common(self, m, view):
        out = self.decoded
        m.d.comb += [
            out.memory.eq(view.memory),
            out.scratchpad.eq(view.scratchpad),
            out.read_row.eq(view.row),
            out.uses_memory.eq(1),
            out.uses_scratchpad.eq(1),
            out.conversion.source.eq(view.source),
            out.conversion.target.eq(view.target),
            out.conversion.saturate.eq(view.saturate),
        ]
        for dimension in out.dimensions:
            m.d.comb += dimension.count.eq(1)

    def _copy(self, m, view, zero):
        self._common(m, view)
        out = self.decoded
        m.d.comb += [
            out.walk.eq(Mux(view.transpose, Walk.BLOCK, Walk.ROW)),
            out.conversion.transpose.eq(view.transpose),
            zero.eq(Cat(view[f"count_{number}"] == 0 for number in range(DIMENSIONS)).any()),
        ]
        for number in range(DIMENSIONS):
            for name in ("count", "memory_stride", "scratchpad_stride"):
                m.d.comb += out.dimensions[number][name].eq(view[f"{name}_{number}"])

    def _fill(self, m, view, zero):
        out = self.decoded
        m.d.comb += [
            out.walk.eq(Walk.FILL),
            (out.memory if self.store else out.scratchpad).eq(view.address),
            (out.uses_memory if self.store else out.uses_scratchpad).eq(1),
            out.read_row.eq(view.row),
            out.conversion.source.eq(view.format),
            out.conversion.target.eq(view.format),
            self._value(view.value, view.format),
            zero.eq(Cat(view[f"count_{number}"] == 0 for number in range(DIMENSIONS)).any()),
        ]
        for number, dimension in enumerate(out.dimensions):
            stride = dimension.memory_stride if self.store else dimension.scratchpad_stride
            m.d.comb += [dimension.count.eq(view[f"count_{number}"]), stride.eq(view[f"stride_{number}"])]
            if not self.store:
                # A stride that a scratchpad has no room for.
                high = view[f"stride_{number}"][SCRATCHPAD_BITS - 1 :]
                with m.If(high.any() & ~high.all()):
                    m.d.comb += zero.eq(1)

    def _indexed(self, m, view, zero):
        self._common(m, view)
        out = self.decoded
        m.d.comb += [
            out.walk.eq(Walk.INDEXED),
            out.indices.eq(view.indices),
            out.rows.eq(view.rows),
            out.dimensions[0].count.eq(view.count),
            out.dimensions[0].memory_stride.eq(view.memory_stride),
            out.dimensions[0].scratchpad_stride.eq(view.scratchpad_stride),
            zero.eq((view.count == 0) | (view.rows == 0)),
        ]

    def _picture(self, m, view, zero):
        self._common(m, view)
        out = self.decoded
        m.d.comb += [out.walk.eq(Walk.PICTURE), out.picture.eq(view), self._value(view.value, view.target)]
        positive = (
            *("images", "height", "width", "out_height", "out_width", "kernel_height", "kernel_width"),
            *("stride_height", "stride_width", "dilation_height", "dilation_width"),
        )
        m.d.comb += zero.eq(Cat(view[name] == 0 for name in positive).any())

    def _value(self, value, code):
        """An element's bits, as often as 32 bits hold them."""
        log2 = element_bytes_log2(code)
        once, twice = value[:8].replicate(4), value[:16].replicate(2)
        return self.decoded.value.eq(Mux(log2 == 0, once, Mux(log2 == 1, twice, value)))


def _low_bits(values):
    return Cat(
        Cat(value[0] for value in values).any(),
        Cat(value[1] for value in values).any(),
    )


def _odd(value, log2):
    """Whether a value is no multiple of an element's bytes."""
    return ((log2 != 0) & value[0]) | (log2[1] & value[1])
