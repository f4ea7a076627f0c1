"""The physical layer as Verilog: it lints, holds each kind of lane once, and has the clocks that it says."""

from pathlib import Path

import pytest
from openppu.config import load
from openppu.link.config import LinkConfig
from openppu.link.gearbox import Gearbox
from openppu.link.physical import PhysicalLayer
from openppu.verilog import emit
from openppu_sim.simulator.lint import lint


@pytest.mark.parametrize(
    ("lanes", "bits", "recovered"),
    [(1, 64, False), (2, 16, True), (8, 32, False), pytest.param(16, 16, False, marks=pytest.mark.slow)],
)
def test_it_lints(lanes: int, bits: int, recovered: bool, tmp_path: Path) -> None:
    config = LinkConfig(ports=1, lanes=lanes, lane_bits=bits, recovered_clock=recovered)
    verilog = emit(PhysicalLayer(config), top="physical", config=load("tiny"))
    verilog.write(tmp_path / "physical.v")
    assert lint(tmp_path / "physical.v", "physical") == []
    assert verilog.modules == ("physical", "physical_lane_transmit", "physical_lane_receive", "physical_lane_buffer")
    assert ("rx_clk" in verilog.text) == recovered


@pytest.mark.parametrize(("lanes", "bits", "serdes_bits", "recovered"), [(2, 32, 40, False), (1, 16, 80, True)])
def test_the_gearbox_lints(lanes: int, bits: int, serdes_bits: int, recovered: bool, tmp_path: Path) -> None:
    config = LinkConfig(
        ports=1, lanes=lanes, lane_bits=bits, serdes_bits=serdes_bits, recovered_clock=recovered, skew_words=16
    )
    verilog = emit(Gearbox(config), top="gearbox", config=load("tiny"))
    verilog.write(tmp_path / "gearbox.v")
    assert lint(tmp_path / "gearbox.v", "gearbox") == []
    clocks = {"clk", "serdes_clk"} | ({"rx_clk", "serdes_rx_clk"} if recovered else set())
    assert {word for word in verilog.text.replace(",", " ").split() if word.endswith("clk")} >= clocks
