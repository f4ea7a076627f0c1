"""The registers' AXI4-Lite port against a manager of cocotbext-axi, on both simulators."""

from pathlib import Path

import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from openppu.common.axi import AxiLiteSignature
from openppu.common.axi_lite import AxiLitePort
from openppu.config import load
from openppu.hbm.config import ChannelConfig
from openppu.hbm.register_block import Registers
from openppu.hbm.registers import ADDRESS_BITS
from openppu.hbm.status import PowerUp
from openppu.verilog import emit
from openppu_sim.simulator.cocotb_runner import simulate

CONFIG = {"height": 4, "ports": 1, "reads": 8}


class AxiRegisters(wiring.Component):
    """The registers of a channel that there is not."""

    def __init__(self):
        super().__init__({"axi": In(AxiLiteSignature(address_bits=ADDRESS_BITS, data_bits=32))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.port = port = AxiLitePort(address_bits=ADDRESS_BITS)
        m.submodules.registers = registers = Registers(ChannelConfig(**CONFIG), PowerUp(run=False))
        wiring.connect(m, wiring.flipped(self.axi), port.axi)
        wiring.connect(m, port.requests, registers.requests)
        wiring.connect(m, registers.responses, port.responses)
        return m


@pytest.fixture(scope="module")
def verilog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("axi_lite") / "axi_registers.v"
    emit(AxiRegisters(), top="axi_registers", config=load("tiny")).write(path)
    return path


@pytest.mark.parametrize(("rate", "turns"), [(1.0, 150), (0.5, 300)])
def test_registers_answer_as_the_page_says(sim: str, verilog: Path, build_root: Path, rate: float, turns: int) -> None:
    simulate(
        verilog,
        top="axi_registers",
        test_module="openppu_verif.hbm.test_axi_lite",
        build_root=build_root,
        sim=sim,
        parameters={"config": CONFIG, "rate": rate, "turns": turns},
    )


def test_widths_that_axi_lite_does_not_know_are_refused() -> None:
    with pytest.raises(ValueError, match="AXI4-Lite data_bits = 256: give 32 or 64"):
        AxiLiteSignature(address_bits=12, data_bits=256)
