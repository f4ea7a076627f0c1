"""The array's edges: operands are unpacked once and skewed like the data inside."""

from amaranth import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.delay_line import DelayLine
from openppu.common.shared import shared
from openppu.config import TileConfig
from openppu.formats.operand import formats_named, operand_layout
from openppu.formats.unpack import Unpack


class Lane(wiring.Component):
    """One lane of an edge: `Unpack`, then a `DelayLine`.

    Latency: 1 + ``delay`` cycles. Throughput: one operand a cycle.
    """

    def __init__(self, config: TileConfig, *, most: int):
        self.config = config
        self.most = most
        super().__init__(
            {
                "now": In((most - 1).bit_length()),
                "delay": In(range(most + 1)),
                "bits": In(config.operand_bits),
                "format": In(3),
                "pad": In(1),
                "operand": Out(operand_layout(formats_named(config.formats))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        unpack = Unpack(formats=formats_named(self.config.formats))
        line = DelayLine(unpack.layout, most=self.most)
        m.submodules.unpack = shared(unpack, platform)
        m.submodules.line = shared(line, platform)
        m.d.comb += [
            unpack.bits.eq(self.bits),
            unpack.format.eq(self.format),
            unpack.pad.eq(self.pad),
            line.now.eq(self.now),
            line.delay.eq(self.delay),
            line.i.eq(unpack.operand),
            self.operand.eq(line.o),
        ]
        return m


class Edge(wiring.Component):
    """Unpacks a beat of operands and skews its lanes.

    Latency: ``LATENCY + lane * step`` cycles. Throughput: one beat a cycle.

    Parameters
    ----------
    lanes : int
        Operands in a beat.
    step : int
        Cycles between neighbouring lanes.

    Members
    -------
    now : In
        A free-running counter, see `DelayLine`; as wide as its own port.
    beat : In(lanes x operand bits)
    format : In(3)
    used : In
        Lanes from this one on are pads.
    operands : Out(lanes operands)
    """

    LATENCY = Unpack.LATENCY + DelayLine.LEAST

    def __init__(self, config: TileConfig, *, lanes: int, step: int):
        self.config = config
        self.lanes = lanes
        self.step = step
        self.most = DelayLine.LEAST + (lanes - 1) * step
        super().__init__(
            {
                "now": In((self.most - 1).bit_length()),
                "beat": In(data.ArrayLayout(config.operand_bits, lanes)),
                "format": In(3),
                "used": In(range(lanes + 1)),
                "operands": Out(operand_layout(formats_named(config.formats)).size * lanes),
            }
        )

    def elaborate(self, platform):
        m = Module()
        for index in range(self.lanes):
            lane = Lane(self.config, most=self.most)
            m.submodules[f"lane_{index}"] = shared(lane, platform)
            m.d.comb += [
                lane.now.eq(self.now),
                lane.delay.eq(DelayLine.LEAST + index * self.step),
                lane.bits.eq(self.beat[index]),
                lane.format.eq(self.format),
                lane.pad.eq(index >= self.used),
                self.operands.word_select(index, lane.operand.shape().size).eq(lane.operand),
            ]
        return m
