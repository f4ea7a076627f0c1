"""Asks whether what is proved of a design still holds with a mutation."""

from pathlib import Path

from amaranth import ClockSignal, Instance, ResetSignal
from amaranth.back import rtlil
from amaranth.lib import wiring

from openppu_verif.formal.harness import Harness
from openppu_verif.formal.proof import PROVED
from openppu_verif.mutation.aig import Graph
from openppu_verif.mutation.cut import without_memories
from openppu_verif.mutation.netlist import CONTROL, CONTROL_BITS
from openppu_verif.mutation.solver import build_mutation, make_graph, run_abc

READ = """\
read_rtlil claim.il
read_rtlil {source}
hierarchy -check -top top
proc
flatten
chformal -lower
"""
STEP = "ind -F 3"
"""ABC: from any state, after up to three cycles in which no assertion broke, does none in the next?"""


def mutated(h: Harness, component: wiring.Component, top: str) -> Instance:
    """The mutated netlist, joined to the ports of a component, which itself is not elaborated."""
    component._MustUse__used = True
    ports = {}
    for path, member, value in component.signature.flatten(component):
        ports[("i_" if member.flow is wiring.In else "o_") + "__".join(map(str, path))] = value
    ports[f"i_{CONTROL}"] = h.free(CONTROL, CONTROL_BITS)
    return Instance(top, i_clk=ClockSignal(), i_rst=ResetSignal(), **ports)


class Claim:
    """Assertions about the ports of a mutated netlist, which hold from any state.

    Parameters
    ----------
    harness : Harness
        Holds what `mutated` gives. Without assumptions.
    folder : Path
        Where ``mutated.il`` is, and all files of the proofs go.
    cut : bool
        Leave the memories out, by `openppu_verif.mutation.cut`. They read as zeros: a claim that breaks then breaks
        with them, too, in some state.
    """

    def __init__(self, harness: Harness, folder: Path, *, cut: bool = False) -> None:
        self._folder = folder
        text = rtlil.convert(harness.m, name="top", ports=harness.ports, emit_src=False)
        (folder / "claim.il").write_text(text, encoding="utf-8")
        source = without_memories(folder) if cut else "mutated.il"
        self._netlist = make_graph(READ.format(source=source), folder)
        self._graph = graph = Graph()
        self._inputs = [graph.variable() for _ in self._netlist.inputs]
        self._registers = [graph.variable() for _ in self._netlist.registers]

    def holds(self, number: int) -> bool:
        """Whether the assertions are proved with a mutation; 0 is none."""
        nexts, broken = build_mutation(self._netlist, self._graph, number, self._inputs, self._registers)
        registers = list(zip(self._registers, nexts, strict=True))
        self._graph.write(self._folder / "claim.aig", self._graph.any(broken), registers)
        return run_abc(self._folder, "claim.aig", STEP) == PROVED
