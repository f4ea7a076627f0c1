"""A tiny design and its cocotb testbench, for the tests of the runners."""

from pathlib import Path

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from openppu.config import load
from openppu.verilog import emit


class Counter(wiring.Component):
    """Counts enabled cycles; ``constant`` is 7 until ``select``, out of a register that need never change."""

    enable: In(1)
    select: In(1)
    count: Out(8)
    constant: Out(3)

    def elaborate(self, platform):
        m = Module()
        with m.If(self.enable):
            m.d.sync += self.count.eq(self.count + 1)
        selected = Signal()
        with m.If(self.select):
            m.d.sync += selected.eq(1)
        with m.If(selected):
            m.d.comb += self.constant.eq(2)
        with m.Else():
            m.d.comb += self.constant.eq(7)
        return m


def write_counter(folder: Path) -> Path:
    """Emit the design as plain Verilog."""
    path = folder / "counter.v"
    emit(Counter(), top="counter", config=load("tiny")).write(path)
    return path
