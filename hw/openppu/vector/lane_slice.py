"""A lane with its part of the strip registers."""

from amaranth import Module
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.shared import shared
from openppu.formats.spec import Format
from openppu.vector.lane import Lane
from openppu.vector.operation import Operation

OPERANDS = 3


class LaneSlice(wiring.Component):
    """A `Lane`, and its column of all strip registers: three copies, one for each operand.

    Latency: a word is there a cycle after its ``read`` address; a word that is written can be read by an address of the
    next cycle. The registers are not reset. Throughput: three reads, a write and an operation a cycle.

    Parameters
    ----------
    words : int
        Rows of all registers.
    formats : tuple of Format
        Of the lane.

    Members
    -------
    read : In(array of 3 addresses)
    found : Out(array of 3 words)
    write : In(1)
    address : In
        Where the lane's result is written.
    operation, a, b, c, result
        The lane's.
    """

    def __init__(self, *, words: int, formats: tuple[Format, ...]):
        self.words = words
        self.formats = formats
        super().__init__(
            {
                "read": In(data.ArrayLayout(range(words), OPERANDS)),
                "found": Out(data.ArrayLayout(32, OPERANDS)),
                "write": In(1),
                "address": In(range(words)),
                "operation": In(Operation),
                "a": In(32),
                "b": In(32),
                "c": In(32),
                "result": Out(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lane = Lane(formats=self.formats)
        m.submodules.lane = shared(lane, platform)
        m.d.comb += [
            lane.operation.eq(self.operation),
            lane.a.eq(self.a),
            lane.b.eq(self.b),
            lane.c.eq(self.c),
            self.result.eq(lane.result),
        ]
        for operand in range(OPERANDS):
            store = memory.Memory(shape=32, depth=self.words, init=[])
            m.submodules[f"registers_{operand}"] = store
            write, read = store.write_port(), store.read_port()
            m.d.comb += [
                write.addr.eq(self.address),
                write.data.eq(lane.result),
                write.en.eq(self.write),
                read.addr.eq(self.read[operand]),
                self.found[operand].eq(read.data),
            ]
        return m
