"""Writes the beats of instructions to memory."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.instruction import LENGTH_BITS, PROGRESS_BITS
from openppu.link.collective.memory import WriteSignature
from openppu.link.layouts import ADDRESS_BITS

WRITE_STEP = data.StructLayout({"address": ADDRESS_BITS, "length": LENGTH_BITS})
"""So many bytes from an address on."""


class Writer(wiring.Component):
    """Gives each beat its place, and counts those that are in memory.

    Latency: 1 cycle from a step to its first beat, 0 for a beat. Throughput: a beat a cycle, also from one step to the
    next.

    Members
    -------
    steps : In(stream of WRITE_STEP)
    beats : In(stream)
    active : Out(1)
        There is a step to take beats.
    last : Out(1)
        The next beat is the step's last.
    memory : Out(WriteSignature(config))
    progress : Out(PROGRESS_BITS)
        Beats in memory since the last ``clear``.
    clear : In(1)
    busy : Out(1)
        A step waits for beats, or a beat is not in memory yet.
    """

    def __init__(self, config: CollectiveConfig):
        self.config = config
        super().__init__(
            {
                "steps": In(stream.Signature(WRITE_STEP)),
                "beats": In(stream.Signature(8 * config.beat_bytes)),
                "active": Out(1),
                "last": Out(1),
                "memory": Out(WriteSignature(config)),
                "progress": Out(PROGRESS_BITS),
                "clear": In(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        beat_bytes = self.config.beat_bytes
        address = Signal(ADDRESS_BITS)
        left = Signal(LENGTH_BITS)
        under_way = Signal(PROGRESS_BITS)
        put = Signal()
        m.d.comb += [
            self.last.eq(left <= beat_bytes),
            self.memory.beat.valid.eq(self.active & self.beats.valid),
            self.beats.ready.eq(self.active & self.memory.beat.ready),
            self.memory.beat.payload.address.eq(address),
            self.memory.beat.payload.data.eq(self.beats.payload),
            self.memory.beat.payload.count.eq(Mux(self.last, left - 1, beat_bytes - 1)),
            self.memory.beat.payload.last.eq(self.last),
            put.eq(self.memory.beat.valid & self.memory.beat.ready),
            self.steps.ready.eq(~self.active | (put & self.last)),
            self.busy.eq(self.active | (under_way != 0)),
        ]
        m.d.sync += under_way.eq(under_way + put - self.memory.written)
        with m.If(put):
            m.d.sync += [address.eq(address + beat_bytes), left.eq(left - beat_bytes)]
        with m.If(self.steps.ready):
            m.d.sync += [
                self.active.eq(self.steps.valid),
                address.eq(self.steps.payload.address),
                left.eq(self.steps.payload.length),
            ]
        with m.If(self.clear):
            m.d.sync += self.progress.eq(0)
        with m.Elif(self.memory.written):
            m.d.sync += self.progress.eq(self.progress + 1)
        return m
