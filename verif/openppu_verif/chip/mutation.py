"""What `openppu_verif.mutation` needs to know of a whole chip.

The tile, the memory controller and the link's ports stay as they are: they have checks of their own. All else is
broken, a module at a time (`openppu_verif.mutation.hierarchy`); of two chips, the first one alone.
"""

import re
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
from openppu_verif.chip.regression import CHIP, cases, play
from openppu_verif.mutation.hierarchy import MODULE, all_below, with_control
from openppu_verif.mutation.netlist import CONTROL, Area, run_yosys
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
opt_expr
opt_clean
opt_merge
opt_clean
wreduce
opt_clean -purge
write_rtlil {top}.il
"""
"""What Yosys does before anything is broken. Between its steps, what is unused must go, lest it stumble over it."""

USE = re.compile(r"^(module |  )(\w+)(?= (?:\S+ +)?\()", re.MULTILINE)
"""Where Verilog says the name of a module."""

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
    given = (amaranth.__version__, CHIP.fingerprint(), SETTLE, str(FOLDERS), str(LEFT_ALONE))
    key = content_key(*file_contents([*sources, here]), *given)

    def write(made: Path) -> None:
        parts = {MODULE.search(text)[1]: (part, text) for part, text in Emission(TOP).rtlil(simulated(CHIP))}  # type: ignore[index]
        areas = {name: area_of(part) for name, (part, _) in parts.items()}
        boxes = [name for name, (part, _) in parts.items() if isinstance(part, LEFT_ALONE)]
        whole = "\n".join(text for _, text in parts.values())
        (made / "raw.il").write_text(with_control(whole, areas.get, top=TOP, boxes=boxes), encoding="utf-8")
        words = run_yosys(SETTLE.format(top=TOP), made)
        if not (made / f"{TOP}.il").exists():
            raise RuntimeError(f"Yosys wrote no netlist: {words.strip()[-600:]}")

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
    executable = build_chip(CHIP, build_root, netlist=with_the_rest(netlist, whole))
    work = cases()
    locked = trace_lock.load()

    def notice(number: int) -> str | None:
        changed = None
        for place, each in enumerate(work):
            played = play(each, build_root, executable=executable, pins=[(0, CONTROL, number)])
            if played.problem:
                work.insert(0, work.pop(place))  # what noticed one is likely to notice the next
                return f"{each.label}: {played.problem}"
            difference = trace_lock.difference(each, played, locked)
            changed = changed or (difference and Changed(f"{each.label}: {difference}"))
        return changed

    return notice
