"""A scratchpad's Verilog on both simulators, with the SRAM that comes with it and with one that a user gives."""

from dataclasses import asdict
from pathlib import Path

import pytest
from openppu.config import load
from openppu.scratchpad.config import ScratchpadConfig
from openppu.scratchpad.scratchpad import Scratchpad
from openppu.verilog import emit
from openppu_sim.simulator.cocotb_runner import simulate
from openppu_sim.simulator.lint import lint
from openppu_sim.simulator.toolchain import find_icarus

CONFIG = ScratchpadConfig(banks=2, bank_words=16, word_bytes=32)
PORTS = 3

MACRO = """
// A macro of 72 bits with a single port; what it gives while it is not read is noise, and so is its content at first.
module my_macro (input wire clk, input wire ce, input wire we, input wire [3:0] a, input wire [71:0] d,
                 output reg [71:0] q);
  reg [71:0] m [0:15];
  integer i;
  initial for (i = 0; i < 16; i = i + 1) m[i] = {9{8'hA5}};
  always @(posedge clk) begin
    q <= (ce & ~we) ? m[a] : {9{8'h5A}};
    if (ce & we) m[a] <= d;
  end
endmodule

module openppu_sram_16x288 (input wire clk, input wire enable, input wire write, input wire [3:0] address,
                            input wire [3:0] groups_written, input wire [287:0] write_data,
                            output wire [287:0] read_data);
  genvar g;
  generate
    for (g = 0; g < 4; g = g + 1) begin : groups
      my_macro macro (.clk(clk), .ce(enable & (~write | groups_written[g])), .we(write), .a(address),
                      .d(write_data[72*g +: 72]), .q(read_data[72*g +: 72]));
    end
  endgenerate
endmodule
"""


@pytest.fixture(scope="module")
def emitted() -> str:
    return emit(Scratchpad(CONFIG, ports=PORTS), top="scratchpad", config=load("tiny")).text


CASES = [
    ("icarus", "its own"),
    ("icarus", "a macro"),
    pytest.param("verilator", "its own", marks=pytest.mark.slow),  # models to build
    pytest.param("verilator", "a macro", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("sim", "sram"), CASES)
def test_every_port_in_cocotb(emitted: str, sim: str, sram: str, tmp_path: Path, build_root: Path) -> None:
    if sim == "icarus" and find_icarus() is None:
        pytest.skip("Icarus Verilog is not installed")
    path = tmp_path / "scratchpad.v"
    path.write_text(emitted if sram == "its own" else f"`define OPENPPU_SRAM_MACROS\n{emitted}{MACRO}")
    (result,) = simulate(
        path,
        top="scratchpad",
        test_module="openppu_verif.scratchpad.test_scratchpad_ports",
        build_root=build_root,
        sim=sim,
        parameters={"config": asdict(CONFIG), "ports": PORTS},
    )
    assert result.status == "passed"


def test_without_a_macro_of_that_name_nothing_is_built(emitted: str, tmp_path: Path) -> None:
    path = tmp_path / "scratchpad.v"
    path.write_text(f"`define OPENPPU_SRAM_MACROS\n{emitted}")
    assert any("openppu_sram_16x288" in line for line in lint(path, "scratchpad"))


def test_the_sram_bears_its_name_in_every_part(emitted: str) -> None:
    other = emit(Scratchpad(CONFIG, ports=1), top="another", config=load("tiny")).text
    own = [text.partition("`ifndef OPENPPU_SRAM_MACROS\n")[2].partition("`endif\n")[0] for text in (emitted, other)]
    assert own[0] == own[1]
    assert "\nmodule openppu_sram_16x288 (\n" in own[0]
    assert "  reg [287:0] cells [0:15];\n" in own[0]
