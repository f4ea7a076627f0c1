"""A design with few pins around a part with wide ports, for place and route."""

from amaranth import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from openppu.common.shared import shared

FOLD = 15
"""Outputs that go into one bit of the register that folds them."""


class Harness(wiring.Component):
    """Feeds all inputs of a part from a shift register, and folds all its outputs into another.

    Every path into and out of the part starts or ends in a register beside it, as it would in a chip, and no part of it
    is without effect on ``serial_out``, so that nothing is optimised away. The part alone is reset.

    Members
    -------
    serial_in : In(1)
        One more input bit a cycle.
    serial_out : Out(1)
        The parity of outputs of former cycles.
    """

    def __init__(self, part: wiring.Component):
        self.part = part
        super().__init__({"serial_in": In(1), "serial_out": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.part = shared(self.part, platform)
        ports = [(member.flow, Value.cast(value)) for _, member, value in self.part.signature.flatten(self.part)]
        inputs = [port for flow, port in ports if flow is In]
        outputs = Cat(port for flow, port in ports if flow is Out)

        given = Signal(sum(map(len, inputs)), reset_less=True)
        m.d.sync += given.eq(Cat(self.serial_in, given))
        start = 0
        for port in inputs:
            m.d.comb += port.eq(given[start : start + len(port)])
            start += len(port)

        taken = Signal(len(outputs), reset_less=True)
        parities = Cat(taken[low : low + FOLD].xor() for low in range(0, len(outputs), FOLD))
        folded = Signal(len(parities), reset_less=True)
        m.d.sync += [taken.eq(outputs), folded.eq(parities ^ Cat(self.serial_in, folded))]
        m.d.comb += self.serial_out.eq(folded[-1])
        return m
