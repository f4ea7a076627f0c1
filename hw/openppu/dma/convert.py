"""Elements on their way, in another format."""

from itertools import pairwise

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.memory import WORD_BYTES
from openppu.common.shared import shared
from openppu.dma.convert_element import ConvertElement
from openppu.dma.layouts import chunk_layout, element_bytes_log2
from openppu.formats.spec import Format
from openppu.link.word_queue import WordQueue

ELEMENTS = WORD_BYTES // 4
"""Converted a cycle."""


class Convert(wiring.Component):
    """Converts eight elements a cycle; what is not to be converted goes past once all before it is out.

    Latency: `LATENCY` cycles from a chunk to its first part. Throughput: eight elements a cycle: a word a cycle of the
    side whose elements have 32 bits.

    Parameters
    ----------
    formats : tuple of Format

    Members
    -------
    chunks : In(stream of chunk_layout())
    converted : Out(stream of chunk_layout())
    """

    LATENCY = ConvertElement.LATENCY + 1
    DEPTH = LATENCY + 2

    def __init__(self, *, formats: tuple[Format, ...]):
        self.formats = formats
        shape = stream.Signature(chunk_layout())
        super().__init__({"chunks": In(shape), "converted": Out(shape)})

    def elaborate(self, platform):
        m = Module()
        chunk = self.chunks.payload
        of = chunk.conversion
        read_log2, written_log2 = element_bytes_log2(of.source), element_bytes_log2(of.target)
        m.submodules.queue = queue = WordQueue(chunk_layout(), depth=self.DEPTH)

        # One part after the other.
        part = Signal(range(WORD_BYTES // ELEMENTS))
        count = Signal(range(WORD_BYTES + 1))
        left = Signal(range(WORD_BYTES + 1))
        size = Signal(range(ELEMENTS + 1))
        last = Signal()
        converts = Signal()
        inside = Signal(range(self.DEPTH + 1))
        enters = Signal()
        leaves = Signal()
        m.d.comb += [
            converts.eq(~chunk.end & ~chunk.fill & (of.source != of.target)),
            count.eq(chunk.bytes >> read_log2),
            left.eq(count - part * ELEMENTS),
            last.eq(left <= ELEMENTS),
            size.eq(Mux(last, left, ELEMENTS)),
            enters.eq(self.chunks.valid & converts & (inside != self.DEPTH)),
            leaves.eq(queue.o.valid & queue.o.ready),
        ]
        m.d.sync += inside.eq(inside + enters - leaves)
        with m.If(enters):
            m.d.sync += part.eq(Mux(last, 0, part + 1))

        # What comes along.
        shape = data.StructLayout({"valid": 1, "bytes": range(WORD_BYTES + 1), "log2": 2, "wrong": 1})
        along = [Signal(shape, name=f"along_{cycle}") for cycle in range(ConvertElement.LATENCY + 1)]
        m.d.comb += [
            along[0].valid.eq(enters),
            along[0].bytes.eq(size << written_log2),
            along[0].log2.eq(written_log2),
            along[0].wrong.eq(chunk.wrong),
        ]
        for earlier, later in pairwise(along):
            m.d.sync += later.eq(earlier)
        # The part of the chunk, by the size of its elements.
        of_bytes = Signal(8 * ELEMENTS)
        of_halves = Signal(16 * ELEMENTS)
        m.d.comb += [
            of_bytes.eq(chunk.data.word_select(part, len(of_bytes))),
            of_halves.eq(chunk.data.word_select(part[:1], len(of_halves))),
        ]
        results = []
        for number in range(ELEMENTS):
            element = ConvertElement(formats=self.formats)
            m.submodules[f"element_{number}"] = shared(element, platform)
            by_size = (
                of_bytes.word_select(number, 8),
                of_halves.word_select(number, 16),
                chunk.data.word_select(number, 32),
            )
            # Still while there is nothing to do.
            bits = Mux(read_log2 == 0, by_size[0], Mux(read_log2 == 1, by_size[1], by_size[2]))
            m.d.comb += [
                element.bits.eq(Mux(converts, bits, 0)),
                element.source.eq(Mux(converts, of.source, 0)),
                element.target.eq(Mux(converts, of.target, 0)),
                element.saturate.eq(converts & of.saturate),
            ]
            results.append(element.result)
        done = along[-1]
        item = queue.i.payload
        m.d.comb += [
            item.data.eq(
                Mux(
                    done.log2 == 0,
                    Cat(result[:8] for result in results),
                    Mux(done.log2 == 1, Cat(result[:16] for result in results), Cat(results)),
                )
            ),
            item.bytes.eq(done.bytes),
            item.wrong.eq(done.wrong),
            queue.i.valid.eq(done.valid),
        ]

        passes = Signal()
        m.d.comb += [
            passes.eq(self.chunks.valid & ~converts & (inside == 0)),
            self.converted.valid.eq(queue.o.valid | passes),
            self.converted.payload.eq(Mux(inside == 0, chunk, queue.o.payload)),
            queue.o.ready.eq(self.converted.ready),
            self.chunks.ready.eq(Mux(converts, enters & last, passes & self.converted.ready)),
        ]
        return m
