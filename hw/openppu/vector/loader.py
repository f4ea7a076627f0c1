"""Instructions on their way from the scratchpad to the program memory."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.scratchpad.port import ScratchpadPort
from openppu.vector.command import ADDRESS_BITS, program_layout
from openppu.vector.instruction import INSTRUCTION_BYTES, instruction_layout


class Loader(wiring.Component):
    """Reads instructions one after the other.

    Throughput: one instruction a cycle. From the first word that is known to be wrong on, nothing is written.

    Parameters
    ----------
    lanes, words : int
        Lanes, and words of the program memory.

    Members
    -------
    port : Out(ScratchpadPort)
    what : In(program_layout)
        Steady from ``go`` to the end.
    go : In(1)
    busy : Out(1)
        From the cycle after ``go`` until the last instruction is written.
    error : Out(1)
        A word was known to be wrong.
    write, place, word : Out
        An instruction.
    """

    def __init__(self, *, lanes: int, words: int):
        self.lanes = lanes
        self.words = words
        offset_bits = (4 * lanes - 1).bit_length()
        super().__init__(
            {
                "port": Out(ScratchpadPort(address_bits=ADDRESS_BITS - offset_bits, word_bytes=4 * lanes)),
                "what": In(program_layout()),
                "go": In(1),
                "busy": Out(1),
                "error": Out(1),
                "write": Out(1),
                "place": Out(range(words)),
                "word": Out(instruction_layout()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        offset_bits = (4 * self.lanes - 1).bit_length()
        requests, results = self.port.requests, self.port.results
        asked, got = Signal(range(self.words + 1)), Signal(range(self.words + 1))
        address = Signal(ADDRESS_BITS)
        found = Signal(ADDRESS_BITS)
        m.d.comb += [
            requests.valid.eq(self.busy & (asked != self.what.count)),
            requests.payload.address.eq(address[offset_bits:]),
            self.word.as_value().eq(results.payload.data.word_select(found[4:offset_bits], 8 * INSTRUCTION_BYTES)),
            self.place.eq(self.what.start + got),
            self.write.eq(self.busy & results.valid & ~results.payload.error & ~self.error),
        ]
        with m.If(requests.valid & requests.ready):
            m.d.sync += [asked.eq(asked + 1), address.eq(address + INSTRUCTION_BYTES)]
        with m.If(self.busy & results.valid):
            m.d.sync += [got.eq(got + 1), found.eq(found + INSTRUCTION_BYTES)]
            with m.If(results.payload.error):
                m.d.sync += self.error.eq(1)
            with m.If(got + 1 == self.what.count):
                m.d.sync += self.busy.eq(0)
        with m.If(self.go):
            m.d.sync += [
                self.busy.eq(1),
                self.error.eq(0),
                asked.eq(0),
                got.eq(0),
                address.eq(self.what.source),
                found.eq(self.what.source),
            ]
        return m
