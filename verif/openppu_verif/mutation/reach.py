"""Says of a run of a netlist as it was which of its mutations would have made a difference to anything.

With the others switched on, the run would be the same: it need not be tried. Each mutation is a choice between a bit as
it was and a changed one; both are there all the time, and are compared at every edge of the clock.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from openppu_verif.mutation.hierarchy import CLOCK, MODULE
from openppu_verif.mutation.netlist import CONTROL, CONTROL_BITS, run_yosys

WATCH = (1 << CONTROL_BITS) - 1
"""Value of the control input, no mutation's number, for a run in which this is told."""

SAYS = "differs "
"""What each line begins with that the model writes to its standard error; then the number comes."""

CELL = re.compile(r"^  cell \$(eq|mux) \S*mutate_ctrl(?:_mux)?\S*\n(.*?)^  end\n", re.MULTILINE | re.DOTALL)
CONNECT = re.compile(r"^    connect \\(\w+) (.*)$", re.MULTILINE)
DIFFERENCE = """\
  wire \\differs_{number}
  cell $xor \\compare_{number}
    parameter \\A_SIGNED 0
    parameter \\B_SIGNED 0
    parameter \\A_WIDTH 1
    parameter \\B_WIDTH 1
    parameter \\Y_WIDTH 1
    connect \\A {a}
    connect \\B {b}
    connect \\Y \\differs_{number}
  end
"""
TELL = """\
  reg told_{number} = 0;
  always @(posedge {clock}) if (differs_{number} && {control} == {watch} && !told_{number}) begin
    told_{number} <= 1;
    $fdisplay(32'h80000002, "{says}{number}");
  end
"""
VERILOG_MODULE = re.compile(r"^module .*?^endmodule", re.MULTILINE | re.DOTALL)


def watched(folder: Path) -> Path:
    """Write ``watched.v`` beside ``mutated.il``, all of whose modules have a clock: the same, telling at `WATCH`.

    Raises
    ------
    RuntimeError
        If Yosys does not write it.
    """
    whole = (folder / "mutated.il").read_text(encoding="ascii")
    compared = MODULE.sub(lambda found: found[0].removesuffix("end\n") + "".join(_compare(found[2])) + "end\n", whole)
    (folder / "watched.il").write_text(compared, encoding="ascii")
    path = folder / "watched.v"
    path.unlink(missing_ok=True)
    words = run_yosys("read_rtlil watched.il\nwrite_verilog -noattr watched.v\n", folder)
    if not path.exists():
        raise RuntimeError(f"Yosys wrote no {path}: {words.strip()[-600:]}")
    # Two choices at a time, which a mutation may make, are no reason for the simulator to stop.
    text = path.read_text(encoding="ascii").replace("(* parallel_case *)", "")
    path.write_text(VERILOG_MODULE.sub(_tell, text), encoding="ascii")
    return path


def told(words: str) -> set[int]:
    """The mutations that a run has told of."""
    return {int(line.removeprefix(SAYS)) for line in words.splitlines() if line.startswith(SAYS)}


def mutations_of(rtlil: str) -> dict[str, list[int]]:
    """Of each module its mutations, by their numbers."""
    return {
        name: [int(pins["B"].split("'")[1], 2) for kind, pins in _cells(body) if kind == "eq"]
        for name, body in MODULE.findall(rtlil)
    }


def _cells(module: str) -> list[tuple[str, dict[str, str]]]:
    """What chooses in a module: kind and pins of each."""
    return [(kind, dict(CONNECT.findall(body))) for kind, body in CELL.findall(module)]


def _compare(module: str) -> Iterator[str]:
    """Comparisons of all choices in a module."""
    cells = _cells(module)
    numbers = {pins["Y"]: int(pins["B"].split("'")[1], 2) for kind, pins in cells if kind == "eq"}
    for kind, pins in cells:
        if kind == "mux":
            yield DIFFERENCE.format(number=numbers[pins["S"]], a=pins["A"], b=pins["B"])


def _tell(module: re.Match[str]) -> str:
    numbers = re.findall(r"^  wire differs_(\d+);$", module[0], re.MULTILINE)
    watch = f"{CONTROL_BITS}'d{WATCH}"
    lines = [TELL.format(number=each, clock=CLOCK, control=CONTROL, watch=watch, says=SAYS) for each in numbers]
    return module[0].removesuffix("endmodule") + "".join(lines) + "endmodule"
