"""From an instruction's row to its result: registers, operands, lanes."""

from amaranth import Cat, Const, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.delayed import delayed
from openppu.common.shared import shared
from openppu.formats.spec import Format
from openppu.vector.instruction import INPUTS, OUTPUTS, Target
from openppu.vector.lane import Lane
from openppu.vector.lane_slice import OPERANDS, LaneSlice
from openppu.vector.route import Route, choice_layout


def row_layout(*, words: int, lanes: int) -> data.StructLayout:
    """A row of an instruction: the addresses that it reads and writes, its choice of operands, its operation.

    ``lane``: of a packed target, the one that is written.
    """
    return data.StructLayout(
        {
            "read": data.ArrayLayout(range(words), OPERANDS),
            "choices": data.ArrayLayout(choice_layout(lanes), OPERANDS),
            "index": 32,
            "operation": 6,
            "target_kind": Target,
            "address": range(words),
            "lane": range(lanes),
            "stream": range(OUTPUTS),
        }
    )


class Datapath(wiring.Component):
    """Does one row of an instruction a cycle.

    Latency: `VISIBLE` cycles from a row to the first one that may read what it wrote; `RESULT` cycles to a row for an
    output stream. Throughput: one row a cycle.

    Parameters
    ----------
    lanes, words : int
        Lanes, and rows of all registers.
    formats : tuple of Format

    Members
    -------
    issue : In(1)
    row : In(row_layout)
        With ``issue``.
    streams : In(array of 4 rows)
        Rows of the input streams, one cycle after ``issue``.
    put : Out(1)
    number : Out(2)
    result : Out(32 x lanes)
        A row for an output stream.
    """

    OPERAND = 2
    """Cycles from ``issue`` to the lanes."""

    RESULT = OPERAND + Lane.LATENCY
    VISIBLE = RESULT + 1

    def __init__(self, *, lanes: int, words: int, formats: tuple[Format, ...]):
        self.lanes = lanes
        self.words = words
        self.formats = formats
        super().__init__(
            {
                "issue": In(1),
                "row": In(row_layout(words=words, lanes=lanes)),
                "streams": In(data.ArrayLayout(32 * lanes, INPUTS)),
                "put": Out(1),
                "number": Out(range(OUTPUTS)),
                "result": Out(32 * lanes),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lanes = self.lanes
        row = delayed(m, self.row, 1, name="row")
        slices = [LaneSlice(words=self.words, formats=self.formats) for _ in range(lanes)]
        operands = []
        for operand in range(OPERANDS):
            route = Route(lanes=lanes)
            m.submodules[f"route_{operand}"] = shared(route, platform)
            m.d.comb += [
                route.choice.eq(row.choices[operand]),
                route.register.eq(Cat(each.found[operand] for each in slices)),
                route.streams.eq(self.streams),
                route.index.eq(row.index),
            ]
            operands.append(delayed(m, route.operand, 1, name=f"operand_{operand}"))
        operation = delayed(m, row.operation, 1, name="operation")

        # What becomes of the result waits beside the lanes.
        where = Signal(
            data.StructLayout(
                {
                    "write": lanes,
                    "address": range(self.words),
                    "put": 1,
                    "number": range(OUTPUTS),
                }
            )
        )
        packed = Signal(lanes)
        m.d.comb += [
            packed.eq(Const(1, lanes) << self.row.lane),
            where.address.eq(self.row.address),
            where.number.eq(self.row.stream),
        ]
        with m.If(self.issue):
            with m.Switch(self.row.target_kind):
                with m.Case(Target.REGISTER, Target.BOTH):
                    m.d.comb += where.write.eq(Const(-1, lanes))
                with m.Case(Target.PACKED):
                    m.d.comb += where.write.eq(packed)
            with m.Switch(self.row.target_kind):
                with m.Case(Target.STREAM, Target.BOTH):
                    m.d.comb += where.put.eq(1)
        then = delayed(m, where, self.RESULT, name="where", reset=True)
        m.d.comb += [self.put.eq(then.put), self.number.eq(then.number)]

        for lane, each in enumerate(slices):
            m.submodules[f"lane_{lane}"] = shared(each, platform)
            bits = slice(32 * lane, 32 * lane + 32)
            m.d.comb += [
                each.read.eq(self.row.read),
                each.write.eq(then.write[lane]),
                each.address.eq(then.address),
                each.operation.as_value().eq(operation),
                each.a.eq(operands[0][bits]),
                each.b.eq(operands[1][bits]),
                each.c.eq(operands[2][bits]),
                self.result[bits].eq(each.result),
            ]
        return m
