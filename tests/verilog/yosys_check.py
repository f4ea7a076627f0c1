"""What Yosys says of an emitted file: its ports, and whether it is Amaranth's netlist."""

import re
from pathlib import Path

from amaranth.lib import wiring
from openppu.config import load
from openppu.verilog import Emission, Verilog, emit
from openppu_sim.synthesis.yowasp import read_result, run_tool

CHIP = load("tiny")

READ_BACK = """\
read_verilog {top}.v
hierarchy -check -top {top}
proc
check -assert
write_json {top}.read.json
"""

GOLD = """\
read_rtlil {top}.il
hierarchy -top {top}
proc
setattr -mod -set keep_hierarchy 1 {modules}
flatten -separator _
memory_map
opt_clean
design -stash gold
read_verilog {top}.v
hierarchy -check -top {top}
proc
memory_map
opt_clean
design -stash gate
"""

ALONE = """\
design -load {side}
{others}
expose -evert {module}/c:*
delete {module}/o:*.clk {module}/o:*.rst {unused}
design -stash {side}_{module}
"""

PROVE = """\
design -reset
design -copy-from gold_{module} -as gold {module}
design -copy-from gate_{module} -as gate {module}
equiv_make gold gate equiv
hierarchy -top equiv
clean
equiv_struct
equiv_simple -short
equiv_simple -seq 2
equiv_induct -seq 2
tee -q -o {module}.txt equiv_status
"""


def read_back(verilog: Verilog, folder: Path) -> dict[str, dict[str, tuple[str, int]]]:
    """Each module's ports, with direction and width, as Yosys reads them from the file.

    Raises
    ------
    SimulationError
        If Yosys cannot read the file, or finds undriven, doubly driven or looping wires in it.
    """
    verilog.write(folder / f"{verilog.top}.v")
    (folder / "read.ys").write_text(READ_BACK.format(top=verilog.top))
    result = f"{verilog.top}.read.json"
    run_tool("yosys", ["-Q", "-q", "read.ys"], folder=folder, results=[result])
    modules = read_result(folder / result, blame="run again")["modules"]
    return {
        name: {port: (value["direction"], len(value["bits"])) for port, value in module["ports"].items()}
        for name, module in modules.items()
    }


def unproven(component: wiring.Component, verilog: Verilog, folder: Path) -> dict[str, list[str]]:
    """Compare an emitted file with Amaranth's own netlist of the same component, module by module.

    Yosys proves by induction that registers, memories, outputs and the inputs of instances take the same values for
    ever, if they do at first. Both are given their names by the same rules, so that it knows what to compare.

    Parameters
    ----------
    component : wiring.Component
        What was emitted, or a new one like it.
    verilog : Verilog
        Its Verilog, perhaps changed.
    folder : Path
        An empty folder.

    Returns
    -------
    dict
        For each module the signals that could not be proved equal; an empty list means that it is proved.
    """
    texts = [text for _, text in Emission(verilog.top).rtlil(component)]
    (folder / f"{verilog.top}.il").write_text(re.sub(r"(?m)^attribute \\top 1\n", "", "\n".join(texts)))
    verilog.write(folder / f"{verilog.top}.v")
    ours = re.findall(r"(?m)^  (\w+) (\w+) \($", verilog.text)
    theirs = re.findall(r"(?m)^  cell \\(\w+) \\(\w+)$", "\n".join(texts))
    assert sorted(ours) == sorted(use for use in theirs if use[0] in verilog.modules), "other instances"
    script = GOLD.format(top=verilog.top, modules=" ".join(verilog.modules))
    for module in verilog.modules:
        rest = " ".join(other for other in verilog.modules if other != module)
        ports = re.search(rf"(?s)module {module} \((.*?)\);", verilog.text)
        assert ports, module
        unused = [f"{module}/i:{port}" for port in ("clk", "rst") if not re.search(rf" {port}\b", ports[1])]
        values = {"module": module, "others": f"blackbox {rest}" if rest else "", "unused": " ".join(unused)}
        script += "".join(ALONE.format(side=side, **values) for side in ("gold", "gate")) + PROVE.format(**values)
    (folder / "prove.ys").write_text(script + "write_json done.json\n")
    run_tool("yosys", ["-Q", "-q", "prove.ys"], folder=folder, results=["done.json"])
    return {module: _unproven_signals((folder / f"{module}.txt").read_text()) for module in verilog.modules}


def _unproven_signals(status: str) -> list[str]:
    counts = re.search(r"Of those cells (\d+) are proven and (\d+) are unproven", status)
    assert counts, status
    assert int(counts[1]) + int(counts[2]) > 0, "nothing was compared"
    signals = re.findall(r"Unproven \$equiv \S+: (.*)", status)
    assert len(signals) == int(counts[2]), status
    return signals


def emitted(component: wiring.Component, top: str = "part") -> Verilog:
    """The Verilog of any component."""
    return emit(component, top=top, config=CHIP)
