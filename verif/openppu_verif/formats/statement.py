"""Proves with Yosys that a pipelined component gives what a statement in plain Verilog says, for every input.

The statements stand in ``statements.v``, written without regard to cost; nothing is built from them.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from amaranth.lib import wiring
from openppu.config import load
from openppu.verilog import emit
from openppu_sim.errors import SimulationError
from openppu_sim.synthesis.yowasp import run_tool

STATEMENTS = Path(__file__).with_name("statements.v")

PROVE = """\
read_verilog hardware.v statements.v miter.v
hierarchy -check -top miter
proc
flatten
setattr -unset init w:*
opt -full
tee -q -o verdict.txt sat -seq {steps} -prove-skip {depth} -prove same 1 -set allowed 1 -show-inputs
write_json done.json
"""

MITER = """\
module statement ({ports});
{body}
endmodule

module miter ({free}, output same, output allowed);
  wire [{top}:0] ours, theirs_0;
  hardware hardware (.clk(clk), .rst(1'b0), {values}, .{output}(ours));
  statement statement (.clk(clk), {values}, .{output}(theirs_0));
{delay}
  assign allowed = {allowed};
  assign same = ours == theirs_{latency};
endmodule
"""
DELAY = """\
  reg [{top}:0] theirs_{after};
  always @(posedge clk) theirs_{after} <= theirs_{before};"""


def difference(
    component: wiring.Component,
    body: str,
    folder: Path,
    *,
    latency: int,
    output: str,
    constants: Mapping[str, int] | None = None,
    allowed: str = "1'b1",
    depth: int | None = None,
) -> str | None:
    """Look for inputs for which a component does not give what a statement says ``latency`` cycles earlier.

    All sequences of inputs are searched, from any state of the registers. As no value in the pipeline lives longer than
    ``depth`` cycles, that is a proof for all time.

    Parameters
    ----------
    component : wiring.Component
        Emitted as Verilog, which is what the proof is about.
    body : str
        Verilog: drives a net of the name of ``output`` from nets of the names of the inputs, and ``clk``.
    folder : Path
        An empty folder.
    latency : int
        Cycles from the inputs of the statement to the component's output.
    output : str
        The port to compare.
    constants : mapping of str to int, optional
        Inputs that keep one value.
    allowed : str
        Verilog: whether these inputs may come.
    depth : int, optional
        Cycles after which the output depends on inputs alone; ``latency`` when absent.

    Returns
    -------
    str or None
        Inputs that break the statement, as Yosys tells them; None if there are none.

    Raises
    ------
    SimulationError
        If Yosys gives no verdict.
    """
    verilog = emit(component, top="hardware", config=load("tiny"))
    constants = constants or {}
    depth = latency if depth is None else depth
    bits = {name: port["bits"] for name, port in verilog.ports.items()}
    inputs = [name for name, port in verilog.ports.items() if port["direction"] == "input"]
    ports = {name: f"input [{bits[name] - 1}:0] {name}" for name in inputs}
    values = {name: f"{bits[name]}'d{constants[name]}" if name in constants else name for name in inputs}
    top = bits[output] - 1
    miter = MITER.format(
        ports=", ".join(["input clk", *ports.values(), f"output [{top}:0] {output}"]),
        body=body,
        free=", ".join(["input clk", *(ports[name] for name in inputs if name not in constants)]),
        values=", ".join(f".{name}({value})" for name, value in values.items()),
        delay="\n".join(DELAY.format(top=top, before=place, after=place + 1) for place in range(latency)),
        top=top,
        output=output,
        latency=latency,
        allowed=allowed,
    )
    verilog.write(folder / "hardware.v")
    (folder / "statements.v").write_bytes(STATEMENTS.read_bytes())
    (folder / "miter.v").write_text(miter)
    (folder / "prove.ys").write_text(PROVE.format(steps=depth + 1, depth=depth))
    run_tool("yosys", ["-Q", "-q", "prove.ys"], folder=folder, results=["done.json"])
    verdict = (folder / "verdict.txt").read_text()
    found = re.search(r"SAT proof finished - .*(SUCCESS|FAIL)!", verdict)
    if found is None:
        raise SimulationError(f"no verdict in {folder / 'verdict.txt'}")
    return None if found[1] == "SUCCESS" else verdict
