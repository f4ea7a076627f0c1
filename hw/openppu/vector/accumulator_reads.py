"""Sends reads to the scratchpad or to the accumulators, by their address."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.common.delayed import delayed
from openppu.config import ChipConfig
from openppu.scratchpad.port import ScratchpadPort
from openppu.scratchpad.scratchpad import Scratchpad
from openppu.tile.accumulator_port import AccumulatorPort
from openppu.vector.command import ACCUMULATORS, ADDRESS_BITS


class AccumulatorReads(wiring.Component):
    """A port that reads words of the scratchpad and, from `ACCUMULATORS` on, rows of the accumulators.

    The first C lanes of such a word are the row's columns, the others are 0. The accumulators never wait, and have
    their results when the scratchpad has its own, `Scratchpad.LATENCY` cycles later, so results come in the order of
    the requests. Throughput: a read a cycle.

    Parameters
    ----------
    config : ChipConfig

    Members
    -------
    port : In(ScratchpadPort)
        For reads; of addresses of 24 bits in bytes.
    scratchpad : Out(ScratchpadPort)
    accumulators : Out(AccumulatorPort)
    """

    def __init__(self, config: ChipConfig):
        pad = config.scratchpad
        self.word_bytes = pad.word_bytes
        self.address_bits = ADDRESS_BITS - (pad.word_bytes - 1).bit_length()
        super().__init__(
            {
                "port": In(ScratchpadPort(address_bits=self.address_bits, word_bytes=pad.word_bytes)),
                "scratchpad": Out(ScratchpadPort(address_bits=pad.address_bits, word_bytes=pad.word_bytes)),
                "accumulators": Out(AccumulatorPort(config.tile)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        asked, asks = self.port.requests, self.scratchpad.requests
        chosen = Signal()
        m.d.comb += [
            chosen.eq(asked.payload.address >= ACCUMULATORS // self.word_bytes),
            asks.valid.eq(asked.valid & ~chosen),
            asks.payload.address.eq(asked.payload.address),
            asked.ready.eq(chosen | asks.ready),
        ]

        # Registers before the memory and behind it, the rest of the scratchpad's time before.
        early = Scratchpad.LATENCY - 2
        reads = delayed(m, asked.valid & chosen, early, name="reads", reset=True)
        there = delayed(m, reads, Scratchpad.LATENCY - early, name="there", reset=True)
        sums = delayed(m, self.accumulators.sums.as_value(), 1, name="sums")
        answers, answered = self.scratchpad.results, self.port.results
        m.d.comb += [
            self.accumulators.read.eq(reads),
            self.accumulators.row.eq(delayed(m, asked.payload.address, early, name="row")),
            answered.valid.eq(answers.valid | there),
            answered.payload.data.eq(Mux(there, sums, answers.payload.data)),
            answered.payload.error.eq(answers.payload.error & ~there),
            answered.payload.corrected.eq(answers.payload.corrected & ~there),
        ]
        return m
