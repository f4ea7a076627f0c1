"""A netlist with all its mutations as an and-inverter graph, and ABC's word on graphs."""

from collections.abc import Sequence
from pathlib import Path

from openppu_verif.formal.proof import CARRIER
from openppu_verif.mutation.aig import Graph, Literal, Netlist, read_netlist
from openppu_verif.mutation.netlist import CONTROL, run_yosys

MOST_SECONDS = 300
"""For one question to ABC, whose own limits do not cover all that it does."""

GRAPH = """\
memory_map
opt_expr
opt_clean
dffunmap
setundef -zero
simplemap
techmap
opt_clean
aigmap
write_aiger -zinit -map graph.aim graph.aig
"""
"""Yosys: a design as an and-inverter graph, all mutations in it. Registers without an initial value may have any."""


class SolverError(RuntimeError):
    """Yosys or ABC failed, ran out of memory or of time: nothing is known."""


def make_graph(read: str, folder: Path) -> Netlist:
    """The design that Yosys's commands ``read`` from files in ``folder``, flat; with assertions, they are its outputs.

    Raises
    ------
    SolverError
        If Yosys writes none.
    """
    (folder / "graph.aig").unlink(missing_ok=True)
    words = run_yosys(read + GRAPH, folder)
    if not (folder / "graph.aig").exists():
        raise SolverError(f"Yosys wrote no graph to {folder}: {words.strip()[-600:]}")
    return read_netlist(folder / "graph.aig", folder / "graph.aim")


def build_mutation(
    netlist: Netlist, graph: Graph, number: int, inputs: Sequence[Literal], registers: Sequence[Literal]
) -> tuple[list[Literal], list[Literal]]:
    """`Netlist.build` with a mutation switched on, 0 for none."""
    chosen = [
        Literal(number >> bit & 1) if name == CONTROL else value
        for value, (name, bit) in zip(inputs, netlist.inputs, strict=True)
    ]
    return netlist.build(graph, chosen, registers)


def run_abc(folder: Path, aiger: str, commands: str) -> str:
    """ABC's verdict on an AIGER file.

    Raises
    ------
    SolverError
        If there is none.
    """
    status = folder / "status"
    status.unlink(missing_ok=True)
    (folder / "carrier.il").write_text(CARRIER, encoding="ascii")
    script = ["read_aiger " + aiger, "strash", *commands.split("; "), "write_status status", ""]
    (folder / "commands.abc").write_text("\n".join(script), encoding="ascii")
    words = run_yosys("read_rtlil carrier.il\nabc -script commands.abc\n", folder, seconds=MOST_SECONDS)
    if not status.exists():
        raise SolverError(f"ABC gave no verdict on {folder / aiger}: {words.strip()[-600:]}")
    return status.read_text(encoding="ascii").split()[0]
