"""Proves of a mutation that nothing outside can ever tell it from the design as it was."""

from collections.abc import Collection, Mapping
from pathlib import Path

from openppu_verif.formal.proof import BROKEN, PROVED
from openppu_verif.mutation.aig import FALSE, TRUE, Graph, Literal, inverse
from openppu_verif.mutation.cut import comes_of, without_memories
from openppu_verif.mutation.scopes import without_others
from openppu_verif.mutation.solver import build_mutation, make_graph, run_abc

STEP = "ind -F {depth} -C 50000"
"""ABC: from any state, after ``depth`` cycles without a difference, is there none in the next?"""
SEARCH = "bmc3 -F 30 -T {seconds}"
"""ABC: look for a run from reset that shows a difference."""
REACH = "pdr -T {seconds}"
"""ABC: none in any state that can be reached; finds the invariants by itself."""

MOST_CYCLES = 6
"""Registers that a difference may pass through before it must be gone."""

MOST_UNDECIDED = 1
"""Of these cycles, those of which neither search came to an end."""


class Equivalence:
    """A design and all its mutations, for `prove`.

    Parameters
    ----------
    top : str
        The design's module in ``mutated.il``, which `openppu_verif.mutation.netlist.mutate` wrote to ``folder``.
    folder : Path
        Where all files of the proofs go.
    reset : str
        The input that is set in the first cycle; after that it is as free as all others.
    cut : bool
        Leave the memories out, by `openppu_verif.mutation.cut`: for designs whose memories are large.
    alone : bool
        Leave out the modules that ``top`` uses, too, by `openppu_verif.mutation.hierarchy.module_alone`.
    kept : collection of str
        With ``alone``: those of them that stay in.
    """

    def __init__(
        self,
        *,
        top: str,
        folder: Path,
        reset: str = "rst",
        cut: bool = False,
        alone: bool = False,
        kept: Collection[str] = (),
    ) -> None:
        self._folder = folder
        source = without_others(folder, top, kept) if alone else "mutated.il"
        source = without_memories(folder, source) if cut else source
        self._netlist = make_graph(f"read_rtlil {source}\nhierarchy -top {top}\n", folder)
        self._graph = graph = Graph()
        self._started = graph.variable()
        self._inputs = [graph.variable() for _ in self._netlist.inputs]
        for index, (name, _) in enumerate(self._netlist.inputs):
            if name == reset:
                self._inputs[index] = graph.any((self._inputs[index], inverse(self._started)))
        self._registers = [graph.variable() for _ in self._netlist.registers]
        self._others = [graph.variable() for _ in self._netlist.registers]
        self._other_inputs = [graph.variable() for _ in self._netlist.inputs]
        self._comes_of = comes_of(self._netlist.seen, self._netlist.inputs)
        self._nexts, self._outputs = self._build(0, self._inputs, self._registers)

    def prove(self, number: int, *, seconds: int = 10) -> str | None:
        """How it is known that a mutation changes nothing; None if it is not.

        The design runs beside the mutated one, on the same inputs. At first they share all registers, and none may
        ever be given different values. If some may, the mutated design has those for itself, and only what follows
        from them a cycle later must not differ; and so on, for a few cycles.

        What memories that were cut out are told may not differ either; or, if that is no proof, it may, but then what
        comes of them may be anything in the mutated design.

        Parameters
        ----------
        number : int
            Of the mutation.
        seconds : int
            When to give up, for each search.
        """
        how = self._prove(number, seconds, {})
        if how is None and self._comes_of:
            how = self._prove(number, seconds, self._comes_of)
        return how

    def _prove(self, number: int, seconds: int, comes_of: Mapping[int, Collection[int]]) -> str | None:
        """``comes_of``: outputs that may differ, and the inputs, by their places, that may then."""
        graph = self._graph
        own: set[int] = set()
        told: set[int] = set()
        undecided = 0
        for cycles in range(MOST_CYCLES + 1):
            registers = [self._others[i] if i in own else node for i, node in enumerate(self._registers)]
            strange = {place for each in told for place in comes_of[each]}
            inputs = [self._other_inputs[i] if i in strange else node for i, node in enumerate(self._inputs)]
            nexts, outputs = self._build(number, inputs, registers)
            fresh = {i for i, (a, b) in enumerate(zip(self._nexts, nexts, strict=True)) if a != b and i not in own}
            seen = list(zip(self._outputs, outputs, strict=True))
            others = {i for i, (a, b) in enumerate(seen) if a != b and i not in told}
            pairs = [(self._nexts[i], nexts[i]) for i in sorted(fresh)] + [seen[i] for i in sorted(others)]
            bad = graph.both(self._started, graph.any(graph.differ(a, b) for a, b in pairs))
            if bad == FALSE:
                return "the same gates"
            becomes = [(self._started, TRUE), *zip(self._registers, self._nexts, strict=True)]
            becomes += [(self._others[i], nexts[i]) for i in sorted(own)]
            graph.write(self._folder / "difference.aig", bad, becomes)
            if run_abc(self._folder, "difference.aig", STEP.format(depth=cycles + 1)) == PROVED:
                return f"induction, {cycles + 1} cycles"
            if run_abc(self._folder, "difference.aig", SEARCH.format(seconds=seconds)) != BROKEN:
                reached = run_abc(self._folder, "difference.aig", REACH.format(seconds=seconds))
                if reached == PROVED:
                    return "reachability"
                # There may be a difference many cycles after the reset, which is no reason to end.
                undecided += reached != BROKEN
                if undecided > MOST_UNDECIDED:
                    return None
            if not fresh and not others & comes_of.keys():
                return None
            own |= fresh
            told |= others & comes_of.keys()
        return None

    def _build(
        self, number: int, inputs: list[Literal], registers: list[Literal]
    ) -> tuple[list[Literal], list[Literal]]:
        return build_mutation(self._netlist, self._graph, number, inputs, registers)
