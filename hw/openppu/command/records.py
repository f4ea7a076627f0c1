"""Writes records of ended commands to a ring in memory."""

from amaranth import Array, Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.command.layouts import record_layout
from openppu.common.choose import RoundRobin
from openppu.common.memory import (
    ADDRESS_BITS,
    WORD_BYTES,
    acknowledge_layout,
    request_layout,
    write_word_layout,
)
from openppu.common.shared import shared


def records_control_layout() -> data.StructLayout:
    """The ring: address of its first byte, a multiple of 32, and 2 ** ``log2`` records."""
    return data.StructLayout({"base": ADDRESS_BITS, "log2": 5, "enable": 1})


class RecordWriter(wiring.Component):
    """Takes records from all queues in turns, numbers them, and writes each to its place; the oldest is overwritten.

    While it is not enabled, records are thrown away.

    Latency: 1 cycle from a record to its request. Throughput: a record in 2 cycles.

    Parameters
    ----------
    queues : int, at least 1

    Members
    -------
    control : In(records_control_layout())
    records : In(stream of record_layout), array
    requests : Out(stream of request_layout(1)), words : Out(stream of write_word_layout)
    acknowledges : In(stream of acknowledge_layout(1))
    count : Out(32)
        Records written.
    failed : Out(1)
        The memory refused one.
    idle : Out(1)
        All records that were taken are in memory.
    """

    def __init__(self, *, queues: int):
        if queues < 1:
            raise ValueError(f"RecordWriter queues = {queues}: give at least 1")
        self.queues = queues
        super().__init__(
            {
                "control": In(records_control_layout()),
                "records": In(stream.Signature(record_layout())).array(queues),
                "requests": Out(stream.Signature(request_layout(1))),
                "words": Out(stream.Signature(write_word_layout())),
                "acknowledges": In(stream.Signature(acknowledge_layout(1))),
                "count": Out(32),
                "failed": Out(1),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        control = self.control
        turns = RoundRobin(self.queues)
        m.submodules.turns = shared(turns, platform)
        free = Signal()
        takes = Signal()
        record = Signal(record_layout())
        on_way = Signal(8)
        taken = Array(each.payload.as_value() for each in self.records)[turns.pick]
        m.d.comb += [
            free.eq(~self.requests.valid & ~self.words.valid & ~on_way[-1]),
            turns.requests.eq(Cat(each.valid for each in self.records)),
            takes.eq(turns.valid & (free | ~control.enable)),
            turns.served.eq(takes),
            *(each.ready.eq(takes & (turns.pick == number)) for number, each in enumerate(self.records)),
            record.eq(taken),
            record.number.eq(self.count),
            self.words.payload.mask.eq((1 << WORD_BYTES) - 1),
            self.acknowledges.ready.eq(1),
            self.idle.eq(~self.requests.valid & ~self.words.valid & (on_way == 0)),
        ]
        with m.If(self.requests.ready):
            m.d.sync += self.requests.valid.eq(0)
        with m.If(self.words.ready):
            m.d.sync += self.words.valid.eq(0)
        starts = takes & control.enable
        with m.If(starts):
            place = self.count & ((1 << control.log2) - 1)
            m.d.sync += [
                self.requests.valid.eq(1),
                self.requests.payload.write.eq(1),
                self.requests.payload.address.eq(((control.base >> 5) + place)[: ADDRESS_BITS - 5] << 5),
                self.words.valid.eq(1),
                self.words.payload.data.eq(record),
                self.count.eq(self.count + 1),
            ]
        m.d.sync += on_way.eq(on_way + starts - self.acknowledges.valid)
        with m.If(self.acknowledges.valid & self.acknowledges.payload.error):
            m.d.sync += self.failed.eq(1)
        return m
