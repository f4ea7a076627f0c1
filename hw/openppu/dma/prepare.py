"""Checks a command as a whole before its first access, and works out the walk through it."""

from dataclasses import dataclass

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.command.error import Error
from openppu.common.memory import ADDRESS_BITS, WORD_BYTES
from openppu.dma.decode import Decode
from openppu.dma.layouts import (
    COUNT_BITS,
    DIMENSIONS,
    LEVELS,
    MEMORY_STRIDE_BITS,
    ROWS_BITS,
    SCRATCHPAD_BITS,
    WIDE_ROW_BITS,
    Walk,
    command_layout,
    job_layout,
)
from openppu.formats.spec import Format

UNIT_BITS = ADDRESS_BITS - 1 - SCRATCHPAD_BITS
BLOCK_LOG2 = (WORD_BYTES - 1).bit_length()
SATURATED_BITS = SCRATCHPAD_BITS + 1
"""Of a stride that was computed; one that is larger than any scratchpad becomes 2**25 - 1, which is, too."""

MEMORY_SUM_BITS = 60
SCRATCHPAD_SUM_BITS = 48


@dataclass(frozen=True)
class Multiplication:
    """One of a list: ``count`` x ``stride``, and what becomes of the product.

    ``goal`` is a register; without one the product widens the range that the command names.
    """

    count: object
    stride: object
    goal: object = None
    saturate: bool = False


class Prepare(wiring.Component):
    """Refuses a command that is wrong or names a byte outside of its memory, or tells how to walk through it.

    One product a cycle of each side. Latency: `PLAIN` cycles from a command to its job, `PICTURE` for an im2col, 1 for
    one that is refused at first sight. A command is checked while the job before it waits, or is walked through.

    Parameters
    ----------
    store : bool
    formats : tuple of Format
    compute_units : int
        Of the chip: whose scratchpads memory addresses may name.

    Members
    -------
    commands : In(stream of command_layout())
    jobs : Out(stream of job_layout())
    hbm_bytes : In(40)
    scratchpad_bytes : In(25)
    """

    PLAIN = 6
    PICTURE = 11

    def __init__(self, *, store: bool, formats: tuple[Format, ...], compute_units: int):
        self.store = store
        self.formats = formats
        self.compute_units = compute_units
        super().__init__(
            {
                "commands": In(stream.Signature(command_layout())),
                "jobs": Out(stream.Signature(job_layout())),
                "hbm_bytes": In(ADDRESS_BITS),
                "scratchpad_bytes": In(SCRATCHPAD_BITS + 1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.decode = decode = Decode(store=self.store, formats=self.formats)
        m.d.comb += decode.command.eq(self.commands.payload)
        of = decode.decoded
        picture = of.picture
        is_picture = of.walk == Walk.PICTURE
        is_block = of.walk == Walk.BLOCK

        # On the side that is written, a matrix' columns become its rows.
        columns = Signal(COUNT_BITS)
        block_row = Signal(WIDE_ROW_BITS)
        read_count = of.dimensions[0].count
        written_count = Signal(COUNT_BITS)
        written_row = Signal(WIDE_ROW_BITS)
        m.d.comb += [
            columns.eq(of.read_row >> of.read_log2),
            block_row.eq(read_count << of.written_log2),
            written_count.eq(Mux(is_block, columns, read_count)),
            written_row.eq(Mux(is_block, block_row, of.written_row)),
        ]
        memory_count, scratchpad_count = (written_count, read_count) if self.store else (read_count, written_count)
        memory_row, scratchpad_row = (written_row, of.read_row) if self.store else (of.read_row, written_row)

        # Products of the two sides, one a cycle.
        strides = {name: Signal(ADDRESS_BITS, name=name) for name in ("kernel_down", "kernel_right", "down", "right")}
        back = {name: Signal(ADDRESS_BITS, name=name) for name in ("back_down", "back_right")}
        kernel_row, row_stride, image_stride = (
            Signal(SATURATED_BITS, name=name) for name in ("kernel_row", "out_row_stride", "out_image_stride")
        )
        plain_memory = [
            Multiplication(
                Mux(of.walk == Walk.INDEXED, of.rows, memory_count) - 1, of.dimensions[0].memory_stride.as_signed()
            )
        ]
        plain_scratchpad = [Multiplication(scratchpad_count - 1, of.dimensions[0].scratchpad_stride.as_signed())]
        for dimension in list(of.dimensions)[1:]:
            plain_memory.append(Multiplication(dimension.count - 1, dimension.memory_stride.as_signed()))
            plain_scratchpad.append(Multiplication(dimension.count - 1, dimension.scratchpad_stride.as_signed()))
        picture_memory = [
            Multiplication(picture.images - 1, picture.image_stride),
            Multiplication(picture.height - 1, picture.row_stride),
            Multiplication(picture.width - 1, picture.pixel_stride),
            Multiplication(picture.dilation_height, picture.row_stride, strides["kernel_down"]),
            Multiplication(picture.dilation_width, picture.pixel_stride, strides["kernel_right"]),
            Multiplication(picture.stride_height, picture.row_stride, strides["down"]),
            Multiplication(picture.stride_width, picture.pixel_stride, strides["right"]),
            Multiplication(picture.pad_top, picture.row_stride, back["back_down"]),
            Multiplication(picture.pad_left, picture.pixel_stride, back["back_right"]),
        ]
        # A product is in its register two cycles later.
        picture_scratchpad = [
            Multiplication(picture.kernel_width, of.written_row, kernel_row, saturate=True),
            Multiplication(picture.out_width, picture.scratchpad_stride, row_stride, saturate=True),
            Multiplication(picture.out_width - 1, picture.scratchpad_stride),
            Multiplication(picture.kernel_height, kernel_row),
            Multiplication(picture.out_height, row_stride, image_stride, saturate=True),
            Multiplication(picture.out_height - 1, row_stride),
            Multiplication(picture.images - 1, image_stride),
        ]
        step = Signal(range(self.PICTURE + 1))
        memory_range = self._products(
            m, "memory", step, is_picture, plain_memory, picture_memory, MEMORY_STRIDE_BITS, MEMORY_SUM_BITS
        )
        scratchpad_range = self._products(
            m, "scratchpad", step, is_picture, plain_scratchpad, picture_scratchpad, SATURATED_BITS + 1, 48
        )

        # The verdict, once all products are in.
        last = Signal()
        finishes = Signal()
        m.d.comb += [
            last.eq((of.error != Error.OKAY) | (step == Mux(is_picture, self.PICTURE - 1, self.PLAIN - 1))),
            finishes.eq(self.commands.valid & last & (~self.jobs.valid | self.jobs.ready)),
            self.commands.ready.eq(finishes),
        ]
        with m.If(self.commands.valid):
            m.d.sync += step.eq(Mux(finishes, 0, step + ~last))
        error = Signal(Error)
        outside = self._memory_outside(m, of.memory, memory_range, memory_row) & of.uses_memory
        beyond = self._scratchpad_outside(m, of, scratchpad_range, Mux(is_picture, 0, scratchpad_row))
        m.d.comb += error.eq(Mux((of.error == Error.OKAY) & (outside | beyond), Error.BOUNDS, of.error))

        job = self.jobs.payload
        with m.If(self.jobs.ready):
            m.d.sync += self.jobs.valid.eq(0)
        with m.If(finishes):
            m.d.sync += [
                self.jobs.valid.eq(1),
                job.error.eq(error),
                job.walk.eq(of.walk),
                job.memory.eq(of.memory - Mux(is_picture, back["back_down"] + back["back_right"], 0)),
                job.scratchpad.eq(of.scratchpad),
                job.read_row.eq(of.read_row),
                job.written_row.eq(of.written_row),
                job.height.eq(Mux(is_picture, -picture.pad_top, 0)),
                job.width.eq(Mux(is_picture, -picture.pad_left, 0)),
                job.inside_height.eq(Mux(is_picture, picture.height, read_count)),
                job.inside_width.eq(Mux(is_picture, picture.width, columns)),
                job.indices.eq(of.indices),
                job.rows.eq(of.rows),
                job.value.eq(of.value),
                job.conversion.eq(of.conversion),
            ]
            memory_stride = of.dimensions[0].memory_stride.as_signed()
            scratchpad_stride = of.dimensions[0].scratchpad_stride.as_signed()
            read, written = (scratchpad_stride, memory_stride) if self.store else (memory_stride, scratchpad_stride)
            m.d.sync += [job.read_stride.eq(read), job.written_stride.eq(written)]
            self._levels(m, job, of, strides, kernel_row, row_stride, image_stride)
        return m

    def _products(self, m, name, step, is_picture, plain, of_picture, stride_bits, sum_bits):
        """One multiplication a cycle, its product used in the next; how far the range goes down and up."""
        count = Signal(ROWS_BITS, name=f"{name}_count")
        stride = Signal(signed(stride_bits), name=f"{name}_stride")
        product = Signal(signed(ROWS_BITS + stride_bits), name=f"{name}_product", reset_less=True)
        low, high = (Signal(signed(sum_bits), name=f"{name}_{end}", reset_less=True) for end in ("low", "high"))
        widens = Signal(name=f"{name}_widens")
        with m.If(is_picture):
            with m.Switch(step):
                for number, each in enumerate(of_picture):
                    with m.Case(number):
                        m.d.comb += [count.eq(each.count), stride.eq(each.stride)]
        with m.Else():
            with m.Switch(step):
                for number, each in enumerate(plain):
                    with m.Case(number):
                        m.d.comb += [count.eq(each.count), stride.eq(each.stride)]
        m.d.sync += product.eq(count * stride)

        m.d.comb += widens.eq((step > 0) & (step <= len(plain)))
        with m.If(is_picture):
            m.d.comb += widens.eq(Cat((step == n + 1) & (each.goal is None) for n, each in enumerate(of_picture)).any())
            for number, each in enumerate(of_picture):
                if each.goal is not None:
                    value = product[: len(each.goal)]
                    if each.saturate:
                        value = Mux(product > (1 << SCRATCHPAD_BITS), (1 << SATURATED_BITS) - 1, value)
                    with m.If(step == number + 1):
                        m.d.sync += each.goal.eq(value)
        with m.If(step == 0):
            m.d.sync += [low.eq(0), high.eq(0)]
        with m.Elif(widens):
            with m.If(product < 0):
                m.d.sync += low.eq(low + product)
            with m.Else():
                m.d.sync += high.eq(high + product)
        return low, high

    def _memory_outside(self, m, address, reach, row):
        """Whether a range goes out of the HBM, or out of the scratchpad in which it begins."""
        low, high = reach
        remote = address[-1]
        unit = address[SCRATCHPAD_BITS:-1]
        base = Signal(signed(ADDRESS_BITS + 1), name="memory_base")
        limit = Signal(ADDRESS_BITS, name="memory_limit")
        outside = Signal(name="memory_outside")
        m.d.comb += [
            base.eq(Mux(remote, address[:SCRATCHPAD_BITS], address[:-1])),
            limit.eq(Mux(remote, self.scratchpad_bytes, self.hbm_bytes)),
            outside.eq((base + low < 0) | (base + high + row > limit) | (remote & (unit >= self.compute_units))),
        ]
        return outside

    def _scratchpad_outside(self, m, of, reach, row):
        low, high = reach
        base = of.scratchpad
        outside = Signal(name="scratchpad_outside")
        beyond = Signal(name="scratchpad_beyond")
        m.d.comb += [
            outside.eq((base + low < 0) | (base + high + row > self.scratchpad_bytes)),
            beyond.eq(
                (of.uses_scratchpad & outside)
                | ((of.walk == Walk.INDEXED) & (of.indices + (of.dimensions[0].count << 2) > self.scratchpad_bytes))
            ),
        ]
        return beyond

    def _levels(self, m, job, of, strides, kernel_row, row_stride, image_stride):
        """The loops of the walk, the innermost first."""
        levels = job.levels
        picture = of.picture
        dimensions = of.dimensions
        for number in range(LEVELS):
            m.d.sync += levels[number].eq(0)
        with m.Switch(of.walk):
            with m.Case(Walk.PICTURE):
                for level, last, memory, scratchpad, height, width in (
                    (0, picture.kernel_width, strides["kernel_right"], of.written_row, 0, picture.dilation_width),
                    (1, picture.kernel_height, strides["kernel_down"], kernel_row, picture.dilation_height, 0),
                    (2, picture.out_width, strides["right"], picture.scratchpad_stride, 0, picture.stride_width),
                    (3, picture.out_height, strides["down"], row_stride, picture.stride_height, 0),
                    (4, picture.images, picture.image_stride, image_stride, 0, 0),
                ):
                    m.d.sync += [
                        levels[level].last.eq(last - 1),
                        levels[level].memory.eq(memory),
                        levels[level].scratchpad.eq(scratchpad),
                        levels[level].height.eq(height),
                        levels[level].width.eq(width),
                    ]
            with m.Case(Walk.BLOCK):
                # Blocks of as many rows as elements of a row's 32 bytes.
                size_log2 = Signal(range(BLOCK_LOG2 + 1), name="block_size_log2")
                size = Signal(BLOCK_LOG2 + 1, name="block_size")
                m.d.comb += [size_log2.eq(BLOCK_LOG2 - of.read_log2), size.eq(1 << size_log2)]
                across, down = (levels[0], levels[1])
                memory_stride = dimensions[0].memory_stride.as_signed()
                scratchpad_stride = dimensions[0].scratchpad_stride.as_signed()
                m.d.sync += [
                    across.last.eq((of.read_row - 1)[:16] >> BLOCK_LOG2),
                    across.width.eq(size),
                    down.last.eq((dimensions[0].count - 1)[:16] >> size_log2),
                    down.height.eq(size),
                ]
                written = size << of.written_log2
                if self.store:
                    m.d.sync += [
                        across.scratchpad.eq(WORD_BYTES),
                        across.memory.eq(memory_stride << size_log2),
                        down.scratchpad.eq(scratchpad_stride << size_log2),
                        down.memory.eq(written),
                    ]
                else:
                    m.d.sync += [
                        across.memory.eq(WORD_BYTES),
                        across.scratchpad.eq(scratchpad_stride << size_log2),
                        down.memory.eq(memory_stride << size_log2),
                        down.scratchpad.eq(written),
                    ]
                for number in range(1, DIMENSIONS):
                    self._level(m, levels[number + 1], dimensions[number])
            with m.Default():
                for number in range(DIMENSIONS):
                    self._level(m, levels[number], dimensions[number])
                with m.If(of.walk == Walk.INDEXED):
                    m.d.sync += levels[0].memory.eq(0)

    def _level(self, m, level, dimension):
        m.d.sync += [
            level.last.eq(dimension.count - 1),
            level.memory.eq(dimension.memory_stride.as_signed()),
            level.scratchpad.eq(dimension.scratchpad_stride.as_signed()),
        ]
