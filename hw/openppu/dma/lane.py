"""The way of the bytes, from the words that are read to the words that are written."""

from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.dma.convert import Convert
from openppu.dma.extract import Extract
from openppu.dma.layouts import placed_layout, source_layout, target_layout, word_layout
from openppu.dma.pack import Pack
from openppu.dma.transpose import Transpose
from openppu.formats.spec import Format
from openppu.link.word_queue import WordQueue


class Lane(wiring.Component):
    """Takes words apart, and puts others together.

    Parameters
    ----------
    read_bytes, written_bytes : int
        Of words on the two sides.
    written_bits : int
        Of the number of a word that is written.
    depth : int
        Sources and targets that wait for their words.
    formats : tuple of Format
        Float formats that conversions are built for.

    Members
    -------
    sources : In(stream of source_layout())
    words : In(stream of word_layout(read_bytes))
    targets : In(stream of target_layout())
    placed : Out(stream of placed_layout(written_bits, written_bytes))
    """

    def __init__(
        self, *, read_bytes: int, written_bytes: int, written_bits: int, depth: int, formats: tuple[Format, ...]
    ):
        self.read_bytes = read_bytes
        self.written_bytes = written_bytes
        self.written_bits = written_bits
        self.depth = depth
        self.formats = formats
        super().__init__(
            {
                "sources": In(stream.Signature(source_layout())),
                "words": In(stream.Signature(word_layout(read_bytes))),
                "targets": In(stream.Signature(target_layout())),
                "placed": Out(stream.Signature(placed_layout(written_bits, written_bytes))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.sources = sources = WordQueue(source_layout(), depth=self.depth)
        m.submodules.targets = targets = WordQueue(target_layout(), depth=self.depth)
        m.submodules.extract = extract = Extract(word_bytes=self.read_bytes)
        m.submodules.transpose = transpose = Transpose()
        m.submodules.convert = convert = Convert(formats=self.formats)
        m.submodules.pack = pack = Pack(word_bytes=self.written_bytes, address_bits=self.written_bits)
        wiring.connect(m, wiring.flipped(self.sources), sources.i)
        wiring.connect(m, wiring.flipped(self.targets), targets.i)
        wiring.connect(m, wiring.flipped(self.words), extract.words)
        wiring.connect(m, sources.o, extract.sources)
        wiring.connect(m, extract.chunks, transpose.chunks)
        wiring.connect(m, transpose.turned, convert.chunks)
        wiring.connect(m, convert.converted, pack.chunks)
        wiring.connect(m, targets.o, pack.targets)
        wiring.connect(m, pack.words, wiring.flipped(self.placed))
        return m
