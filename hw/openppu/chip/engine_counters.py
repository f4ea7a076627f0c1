"""What the engines of all compute units do, in registers."""

from amaranth import Array, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from openppu.chip import engine_registers as described
from openppu.common.axi import AxiLiteSignature
from openppu.common.axi_lite import AxiLitePort
from openppu.common.counters import COUNTER_BITS
from openppu.common.register_block import RegisterBlock
from openppu.common.shared import shared
from openppu.common.unit_registers import unit_control_layout


class EngineCounters(wiring.Component):
    """Takes the counters of a compute unit in one clock, when software says so, and shows them until it does again.

    Latency and throughput of accesses: those of `openppu.common.axi_lite.AxiLitePort` and
    `openppu.common.register_block.RegisterBlock`.

    Parameters
    ----------
    units : int

    Members
    -------
    axi : In(AxiLiteSignature)
    counts : In(counts_layout()), array of one a compute unit
    """

    def __init__(self, *, units: int):
        self.units = units
        axi = AxiLiteSignature(address_bits=described.ADDRESS_BITS, data_bits=32)
        super().__init__({"axi": In(axi), "counts": In(described.counts_layout()).array(units)})

    def elaborate(self, platform):
        m = Module()
        port = AxiLitePort(address_bits=described.ADDRESS_BITS)
        m.submodules.port = shared(port, platform)
        m.submodules.registers = block = RegisterBlock(
            described.registers(self.units),
            address_bits=described.ADDRESS_BITS,
            control=unit_control_layout(),
            status=described.status_layout(),
            strobes=described.strobes_layout(),
        )
        wiring.connect(m, wiring.flipped(self.axi), port.axi)
        wiring.connect(m, port.requests, block.requests)
        wiring.connect(m, block.responses, port.responses)

        # Clocks are counted as late as the engines' cycles are.
        runs, clocks = Signal(), Signal(COUNTER_BITS)
        held = Signal(described.status_layout())
        m.d.sync += [runs.eq(1), clocks.eq(clocks + runs)]
        with m.If(block.strobes.freeze):
            chosen = Array(counts.as_value() for counts in self.counts)[block.control.unit]
            m.d.sync += [held.clocks.eq(clocks), held.counts.eq(chosen)]
        m.d.comb += block.status.eq(held)
        return m
