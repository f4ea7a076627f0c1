"""What `openppu_verif.mutation` needs to know of a whole chip.

The tile, the memory controller and the link's ports stay as they are: they have checks of their own. All else is
broken, a module at a time (`openppu_verif.mutation.hierarchy`); of two chips, the first one alone.
"""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import amaranth
import openppu
from amaranth.lib import wiring
from openppu.hbm.controller import Controller
from openppu.link.port import Port
from openppu.tile.tile import Tile
from openppu.verilog import Emission
from openppu_sim.simulator.model_cache import content_key, file_contents, make_once

from openppu_verif.chip import trace_lock
from openppu_verif.chip.native import TOP, build_chip, simulated
from openppu_verif.chip.regression import CHIP, Case, Played, cases, play
from openppu_verif.mutation.hierarchy import MODULE, all_below, joined_again, with_control
from openppu_verif.mutation.netlist import CONTROL, Area, run_yosys
from openppu_verif.mutation.reach import WATCH, mutations_of, told, watched
from openppu_verif.mutation.score import Changed, Notice, Subject
from openppu_verif.native.model import MODULE as VERILOG_MODULE
from openppu_verif.native.model import cached_verilog
from openppu_verif.native.model import module_ports as verilog_ports

SHARES = {
    "command": 0.16,
    "dma": 0.17,
    "vector": 0.14,
    "matmul": 0.13,
    "scratchpad": 0.09,
    "noc": 0.08,
    "host": 0.05,
    "link": 0.06,
    "collective": 0.06,
    "shared": 0.06,
}
"""Of each folder of ``hw/openppu``, but what is in the parts that are left alone."""

PATIENCE = 2
"""How many times the clocks of the chip as it was a case may take."""

AREAS = tuple(Area(name, f"A:area={name} t:$memrd* %d", share) for name, share in SHARES.items())
"""But a memory's read port, which Yosys cannot write with another enable."""

FOLDERS = {"chip": "host", "common": "shared", "formats": "shared", "hbm": "host"}
"""Of parts that are not in the folder of what they are used for. Of ``hbm``, that is the window's port."""

LEFT_ALONE = (Tile, Controller, Port)
"""With all below them: Yosys sees their ports alone, and the model has them as they are always emitted."""

SETTLE = """\
read_rtlil raw.il
hierarchy -check -top {top}
proc
flatten
opt_clean
{rounds}
opt_clean -purge
write_rtlil {top}.il
"""
"""What Yosys does before anything is broken."""

ROUND = """\
opt_hier
opt_clean
setundef -undriven -zero
opt_expr
opt_clean
opt_merge
opt_clean
opt_muxtree
opt_reduce
opt_dff -nodffe -nosdff
opt_clean
wreduce
opt_clean
"""
"""What is always the same, or never used, goes, also if it is so by the modules around it: breaking it would change
nothing. Between the steps, what is unused must go, lest Yosys stumble over it."""

ROUNDS = 3

USE = re.compile(r"^(module |  )(\w+)(?= (?:\S+ +)?\()", re.MULTILINE)
"""Where Verilog says the name of a module."""

AREA = re.compile(r'^attribute \\area "(\w+)"\n(?:attribute [^\n]*\n)*module \\(\S+)$', re.MULTILINE)
"""An area and a module of it, in RTLIL."""

PREPARE = "memory_share -nosat"
"""One write port for all bytes of a word."""


def chip_subject() -> Subject:
    """A small chip, or two that are linked."""
    return Subject(
        top=TOP, areas=AREAS, emit=emit_chip, tests=chip_tests, prepare=PREPARE, cut=True, alone=True
    )  # fmt: skip


def emit_chip(folder: Path) -> Path:
    """The netlist of `CHIP` in RTLIL, each kind of part a module; from an earlier call, if the hardware is the same."""
    sources = sorted(Path(openppu.__file__).parent.rglob("*.py"))
    here = Path(__file__).parents[1] / "mutation" / "hierarchy.py"
    given = (amaranth.__version__, CHIP.fingerprint(), SETTLE, ROUND * ROUNDS, str(FOLDERS), str(LEFT_ALONE))
    key = content_key(*file_contents([*sources, here]), *given)

    def write(made: Path) -> None:
        parts = {MODULE.search(text)[1]: (part, text) for part, text in Emission(TOP).rtlil(simulated(CHIP))}  # type: ignore[index]
        areas = {name: area_of(part) for name, (part, _) in parts.items()}
        boxes = [name for name, (part, _) in parts.items() if isinstance(part, LEFT_ALONE)]
        whole = "\n".join(text for _, text in parts.values())
        (made / "raw.il").write_text(with_control(whole, areas.get, top=TOP, boxes=boxes), encoding="utf-8")
        words = run_yosys(SETTLE.format(top=TOP, rounds=ROUND * ROUNDS), made)
        if not (made / f"{TOP}.il").exists():
            raise RuntimeError(f"Yosys wrote no netlist: {words.strip()[-600:]}")
        settled = (made / f"{TOP}.il").read_text(encoding="utf-8")
        (made / f"{TOP}.il").write_text(joined_again(settled), encoding="utf-8")

    path = folder / f"{TOP}.il"
    made = make_once(folder.absolute(), f"netlist-{key}", write)
    path.write_bytes((made / path.name).read_bytes())
    return path


def area_of(part: wiring.Component) -> str:
    """The name of a part's area in `SHARES`."""
    _, folder, *rest = type(part).__module__.split(".")
    if rest[:1] == ["collective"]:
        return "collective"
    return FOLDERS.get(folder, folder)


def with_the_rest(netlist: Path, whole: Path) -> Path:
    """A file beside Yosys's netlist, to which the modules that it lacks are added, of the whole chip's Verilog.

    What those are made of gets other names, for some of it is in the netlist, too, broken.
    """
    broken = netlist.read_text(encoding="ascii")
    modules = {found[1]: found[0] for found in VERILOG_MODULE.finditer(whole.read_text(encoding="ascii"))}
    below = {name: {kind for _, kind in USE.findall(text)} & set(modules) - {name} for name, text in modules.items()}
    missing = {kind for _, kind in USE.findall(broken)} & set(modules) - set(verilog_ports(broken))
    parts = {each for name in missing for each in all_below(name, below)}
    added = "\n".join(modules[name] for name in modules if name in parts)
    renamed = USE.sub(lambda use: use[1] + ("own_" if use[2] in parts - missing else "") + use[2], added)
    path = netlist.with_name(f"{TOP}_mutated.v")
    path.write_text(f"{broken}\n{renamed}\n", encoding="ascii")
    return path


def chip_tests(netlist: Path, build_root: Path) -> Notice:
    """The cases, on a model of the netlist, and `openppu_verif.chip.trace_lock`."""
    whole = cached_verilog(lambda: simulated(CHIP), TOP, CHIP.fingerprint(), build_root)
    executable = build_chip(CHIP, build_root, netlist=with_the_rest(watched(netlist.parent), whole))
    found = netlist.with_name(f"{executable.parent.name}.json")
    return Tests(executable, build_root, areas_of(netlist.with_suffix(".il")), found).notice


class Tests:
    """The cases on a model whose pin `CONTROL` breaks it.

    Parameters
    ----------
    executable : Path
        The model, which tells what would make a difference (`openppu_verif.mutation.reach`).
    build_root : Path
    areas : mapping of int to str
        Of each mutation.
    found : Path
        A file of what came of each case with each mutation, so that what is broken off goes on where it was. It holds
        for this model alone, and for a case as long as that does the same with the chip as it was.
    """

    def __init__(self, executable: Path, build_root: Path, areas: Mapping[int, str], found: Path) -> None:
        self._executable, self._build_root, self._areas, self._file = executable, build_root, areas, found
        self._found: dict[str, dict[str, list[str]]] = json.loads(found.read_text()) if found.exists() else {}
        self._keys: dict[str, str] = {}
        self._locked = trace_lock.load()
        self._cases = cases()
        self.reached: dict[str, set[int]] = {}
        """Of each case, by its label, the mutations that make any difference in it."""

    def notice(self, number: int) -> str | None:
        """As `openppu_verif.mutation.score.Notice`; 0 comes first."""
        return self._break(number) if number else self._watch()

    def _watch(self) -> str | None:
        """Let all cases pass, see what they reach, and how long they take: the short ones come first from now on."""
        took = {}
        for place, case in enumerate(self._cases):
            start = time.monotonic()
            played = self._play(case, WATCH)
            difference = trace_lock.difference(case, played, self._locked)
            if played.problem or difference:
                return f"{case.label}: {played.problem or difference}"
            took[case.label] = time.monotonic() - start
            self.reached[case.label] = told(played.said)
            self._keys[case.label] = key_of(case, played)
            self._cases[place] = replace(case, clocks=min(case.clocks, PATIENCE * played.clocks))
        self._cases.sort(key=lambda case: took[case.label])
        return None

    def _break(self, number: int) -> str | None:
        changed = None
        found = self._found.setdefault(str(number), {})
        reaching = [case for case in self._cases if number in self.reached[case.label]]
        for case in [each for each in reaching if is_about(each, self._areas[number])] or reaching:
            key = self._keys[case.label]
            if key not in found:
                played = self._play(case, number)
                difference = trace_lock.difference(case, played, self._locked)
                found[key] = [played.problem or "", difference or ""]
                self._file.write_text(json.dumps(self._found, indent=1), encoding="utf-8")
            problem, difference = found[key]
            if problem:
                return f"{case.label}: {problem}"
            changed = changed or (difference and Changed(f"{case.label}: {difference}"))
        return changed or None

    def _play(self, case: Case, number: int) -> Played:
        return play(case, self._build_root, executable=self._executable, pins=[(0, CONTROL, number)])


def is_about(case: Case, area: str) -> bool:
    """Whether mutations of an area meet a case."""
    return not case.about or area in case.about


def key_of(case: Case, played: Played) -> str:
    """What tells a case from all others, and from itself when it did something else."""
    return " ".join([case.label, str(played.clocks), *played.digests.values()])


def areas_of(netlist: Path) -> dict[int, str]:
    """The area of each mutation in a netlist."""
    text = netlist.read_text(encoding="ascii")
    areas = {found[2]: found[1] for found in AREA.finditer(text)}
    return {number: areas[module] for module, numbers in mutations_of(text).items() for number in numbers}
