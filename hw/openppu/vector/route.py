"""One operand of all lanes, from where an instruction takes it."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from openppu.vector.instruction import Source


def choice_layout(lanes: int) -> data.StructLayout:
    """Where an operand comes from: ``word`` for all lanes, or the lanes' own, across or spread."""
    lane_bits = (lanes - 1).bit_length()
    return data.StructLayout({"kind": Source, "stream": 2, "word": 32, "cross": lane_bits, "lane": lane_bits})


class Route(wiring.Component):
    """Chooses an operand of all lanes. Combinational.

    Parameters
    ----------
    lanes : int, a power of two

    Members
    -------
    choice : In(choice_layout)
    register : In(32 x lanes)
        A row of a register.
    streams : In(32 x lanes x 4)
        A row of each input stream.
    index : In(32)
        Of lane 0, for `Source.INDEX`.
    operand : Out(32 x lanes)
    """

    def __init__(self, *, lanes: int):
        self.lanes = lanes
        super().__init__(
            {
                "choice": In(choice_layout(lanes)),
                "register": In(32 * lanes),
                "streams": In(data.ArrayLayout(32 * lanes, 4)),
                "index": In(32),
                "operand": Out(32 * lanes),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lanes, choice = self.lanes, self.choice
        # Lane i gets that of lane i ^ cross: for each bit of it, neighbours of that distance change places.
        crossed = self.register
        for place in range((lanes - 1).bit_length()):
            words = [crossed[32 * lane : 32 * lane + 32] for lane in range(lanes)]
            swapped = Signal(32 * lanes, name=f"swapped_{place}")
            m.d.comb += swapped.eq(
                Mux(choice.cross[place], Cat(words[lane ^ 1 << place] for lane in range(lanes)), crossed)
            )
            crossed = swapped
        spread = Signal(32)
        m.d.comb += [spread.eq(self.register.word_select(choice.lane, 32)), self.operand.eq(self.register)]
        with m.Switch(choice.kind):
            with m.Case(Source.SPREAD):
                m.d.comb += self.operand.eq(spread.replicate(lanes))
            with m.Case(Source.CROSS):
                m.d.comb += self.operand.eq(crossed)
            with m.Case(Source.CONSTANT, Source.PARAMETER):
                m.d.comb += self.operand.eq(choice.word.replicate(lanes))
            with m.Case(Source.STREAM):
                m.d.comb += self.operand.eq(self.streams[choice.stream])
            with m.Case(Source.INDEX):
                m.d.comb += self.operand.eq(Cat((self.index + lane)[:32] for lane in range(lanes)))
        return m
