"""Turns the steps of a walk into what is read and what is written."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.command.error import Error
from openppu.common.memory import ADDRESS_BITS, WORD_BYTES
from openppu.dma.layouts import (
    Walk,
    element_bytes_log2,
    job_layout,
    source_layout,
    step_layout,
    target_layout,
)

BLOCK_ROWS = WORD_BYTES
"""Of a block, at most: those of 8-bit elements."""


def offset_layout() -> data.StructLayout:
    """What an index adds to a memory address; or what is wrong with it."""
    return data.StructLayout({"offset": ADDRESS_BITS, "error": Error})


class Expand(wiring.Component):
    """A source and a target of each step; of a block, a source of each row and a target of each column.

    From an index that is wrong on, a job reads and writes nothing more. Throughput: one source and one target a cycle;
    of a block, as many cycles as it has rows or columns, whichever are more. Combinational.

    Parameters
    ----------
    store : bool

    Members
    -------
    job : In(job_layout())
        Of the steps.
    steps : In(stream of step_layout())
    offsets : In(stream of offset_layout())
        One of each step of an indexed job.
    sources : Out(stream of source_layout())
    targets : Out(stream of target_layout())
        Of a step, taken in the same cycle; those of a block are not.
    """

    def __init__(self, *, store: bool):
        self.store = store
        super().__init__(
            {
                "job": In(job_layout()),
                "steps": In(stream.Signature(step_layout())),
                "offsets": In(stream.Signature(offset_layout())),
                "sources": Out(stream.Signature(source_layout())),
                "targets": Out(stream.Signature(target_layout())),
            }
        )

    def elaborate(self, platform):
        m = Module()
        job, step = self.job, self.steps.payload
        source, target = self.sources.payload, self.targets.payload
        is_block = ~step.end & (job.walk == Walk.BLOCK)
        indexed = ~step.end & (job.walk == Walk.INDEXED)

        # An index may have become wrong since the list was checked.
        offset = self.offsets.payload
        failure = Signal(Error)
        failing = Signal()
        skips = Signal()
        m.d.comb += [
            failing.eq(indexed & self.offsets.valid & (offset.error != Error.OKAY)),
            skips.eq(failing | (indexed & (failure != Error.OKAY))),
        ]

        memory = Signal(ADDRESS_BITS)
        read, written = (step.scratchpad, memory) if self.store else (memory, step.scratchpad)
        outside = (step.height >= job.inside_height) | (step.width >= job.inside_width)
        fills = (job.walk == Walk.FILL) | ((job.walk == Walk.PICTURE) & outside)
        m.d.comb += [
            memory.eq(step.memory + Mux(indexed, offset.offset, 0)),
            source.address.eq(read),
            source.bytes.eq(Mux(fills, job.written_row, job.read_row)),
            source.fill.eq(fills & ~step.end),
            source.end.eq(step.end),
            source.error.eq(Mux(job.error == Error.OKAY, failure, job.error)),
            source.value.eq(job.value),
            source.conversion.eq(job.conversion),
            target.address.eq(written),
            target.bytes.eq(job.written_row),
            target.end.eq(step.end),
        ]

        # Of a block: what is left of the matrix, up to a square of elements.
        block = self._block(m, step, job, read, written, is_block)

        ready = Signal()
        there = Signal()
        m.d.comb += there.eq(self.steps.valid & (~indexed | self.offsets.valid))
        with m.If(is_block):
            m.d.comb += [
                self.sources.valid.eq(there & ~block.rows_done),
                self.targets.valid.eq(there & ~block.columns_done),
                ready.eq(
                    (block.rows_done | (block.last_row & self.sources.ready))
                    & (block.columns_done | (block.last_column & self.targets.ready))
                ),
            ]
        with m.Else():
            m.d.comb += [
                self.sources.valid.eq(there & ~skips),
                self.targets.valid.eq(there & ~skips),
                ready.eq(skips | (self.sources.ready & self.targets.ready)),
            ]
        m.d.comb += [
            self.steps.ready.eq(there & ready),
            self.offsets.ready.eq(there & ready & indexed),
        ]
        with m.If(self.steps.ready & self.steps.valid):
            with m.If(step.end):
                m.d.sync += failure.eq(Error.OKAY)
            with m.Elif(failing & (failure == Error.OKAY)):
                m.d.sync += failure.eq(offset.error)
        return m

    def _block(self, m, step, job, read, written, is_block):
        source, target = self.sources.payload, self.targets.payload
        read_log2 = element_bytes_log2(job.conversion.source)
        written_log2 = element_bytes_log2(job.conversion.target)
        block = Signal(
            data.StructLayout({"rows_done": 1, "columns_done": 1, "last_row": 1, "last_column": 1}), name="block"
        )
        most, rows, columns = (Signal(range(BLOCK_ROWS + 1), name=f"block_{name}") for name in ("most", "rows", "cols"))
        rows_left = Signal(16)
        columns_left = Signal(16)
        row, column = (Signal(range(BLOCK_ROWS + 1), name=name) for name in ("row", "column"))
        read_offset, written_offset = (Signal(ADDRESS_BITS, name=name) for name in ("read_offset", "written_offset"))
        m.d.comb += [
            most.eq(BLOCK_ROWS >> read_log2),
            rows_left.eq(job.inside_height - step.height),
            columns_left.eq(job.inside_width - step.width),
            rows.eq(Mux(rows_left > most, most, rows_left)),
            columns.eq(Mux(columns_left > most, most, columns_left)),
            block.rows_done.eq(row == rows),
            block.columns_done.eq(column == columns),
            block.last_row.eq(row + 1 == rows),
            block.last_column.eq(column + 1 == columns),
        ]
        with m.If(is_block):
            m.d.comb += [
                source.address.eq(read + read_offset),
                source.bytes.eq(columns << read_log2),
                source.block_last.eq(block.last_row),
                target.address.eq(written + written_offset),
                target.bytes.eq(rows << written_log2),
            ]
            with m.If(self.sources.valid & self.sources.ready):
                m.d.sync += [row.eq(row + 1), read_offset.eq(read_offset + job.read_stride)]
            with m.If(self.targets.valid & self.targets.ready):
                m.d.sync += [column.eq(column + 1), written_offset.eq(written_offset + job.written_stride)]
            with m.If(self.steps.ready & self.steps.valid):
                m.d.sync += [row.eq(0), column.eq(0), read_offset.eq(0), written_offset.eq(0)]
        return block
