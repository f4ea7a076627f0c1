"""Builds a component's Verilog with Verilator for a native bench, once for each configuration (by content).

Two things make the model quick to build and to run:

- Every module stays a function of its own, compiled once for all its instances; its inputs are readable from outside,
  which keeps Verilator from mixing the surrounding logic into it.
- A wrapper takes all inputs into registers at the rising edge of their clock. Otherwise Verilator works out all that
  depends on an input a second time in each clock.
"""

import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import amaranth
import openppu
from amaranth.lib import wiring
from openppu.config import load
from openppu.verilog import emit
from openppu_sim.simulator.model_cache import content_key, file_contents, keep_only, make_once
from openppu_sim.simulator.toolchain import find_toolchain
from openppu_sim.simulator.verilator import STANDARD, build, run_logged

FOLDER = Path(__file__).parent
MAIN = FOLDER / "model_main.cpp"
HEADER = FOLDER / "model.h"
INPUTS_OUTPUTS = FOLDER / "bench_io.h"
VERILATE = ("-fno-dfg-scoped",)
SPLIT = ("--output-split-cfuncs", "5000")
"""For a flat netlist: the compiler takes minutes for a function of ten thousand lines."""

CLOCK = re.compile(r"(\w+_)?clk")
RESET = re.compile(r"(\w+_)?rst")
MODULE = re.compile(r"^module (\w+) ?\((.*?)\);\n(.*?)^endmodule", re.MULTILINE | re.DOTALL)
PORT = re.compile(r"^ +(input|output) +(?:wire|reg) +(\[\d+:\d+\])? *(\w+),?$", re.MULTILINE)
YOSYS_PORT = re.compile(r"^  (input|output) (\[\d+:\d+\])? ?(\w+);$", re.MULTILINE)
FLAGS = (STANDARD, "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC")


def sources_key(folder: Path) -> str:
    """Changes with any source of the hardware in a folder, its tables of devices and presets included."""
    return content_key(*file_contents(sorted(each for kind in ("*.py", "*.toml") for each in folder.rglob(kind))))


SOURCES = sources_key(Path(openppu.__file__).parent)
"""As they are when this is imported: what is edited later is not what is emitted here."""


@dataclass(frozen=True)
class Cells:
    """A memory within a model, whose bits a bench may turn over: names of instances with dots, and its size."""

    path: str
    words: int
    bits: int


@dataclass(frozen=True)
class Probe:
    """A signal within a model, which a bench sees as ``probe.<number>``: names of instances with dots, its bits."""

    path: str
    bits: int


@dataclass(frozen=True)
class Port:
    """A port in the text of a module; ``bits`` as it is written there, such as ``[7:0]``."""

    direction: str
    bits: str
    name: str


def cached_verilog(make: Callable[[], wiring.Component], top: str, key: str, build_root: Path) -> Path:
    """The Verilog of a component, kept for as long as neither ``key`` nor any source of the hardware changes."""
    name = f"{top}-verilog-{content_key(SOURCES, amaranth.__version__, key)}"

    def write(folder: Path) -> None:
        emit(make(), top=top, config=load("tiny")).write(folder / f"{top}.v")

    return make_once(build_root / "models", name, write) / f"{top}.v"


def build_model(
    make: Callable[[], wiring.Component],
    top: str,
    key: str,
    build_root: Path,
    *,
    clocks: Mapping[str, Sequence[str]] = {},
    waves: bool = False,
    netlist: Path | None = None,
    flat: bool = False,
    groups: int = 0,
    cells: Sequence[Cells] = (),
    probes: Sequence[Probe] = (),
) -> Path:
    """The executable for a component, from an earlier build if there is one.

    Parameters
    ----------
    make : callable
        Makes the component.
    top : str
        Name of its module.
    key : str
        Says all that the component depends on.
    build_root : Path
        Folder of all that is generated (``build``).
    clocks : mapping of str to sequence of str
        Other clocks than ``clk``, and what the names of their inputs begin with.
    waves : bool
        Build with VCD tracing.
    netlist : Path, optional
        Verilog of the component that was made in another way; it may have more inputs.
    flat : bool
        That Verilog is one large module.
    groups : int
        Files of C++; 0: one a module or more, for each of which the compiler reads all headers again.
    cells : sequence of Cells
        Memories of one width. The model has ports more: while ``flip.valid`` is high, ``flip.bits`` are turned over of
        word ``flip.address`` of the memory of number ``flip.memory``.
    probes : sequence of Probe
        Signals that the bench sees.

    Raises
    ------
    UserError
        If a tool is missing or rejects its input.
    """
    verilog = netlist or cached_verilog(make, top, key, build_root)
    with tempfile.TemporaryDirectory() as folder:
        wrapper, header = Path(folder) / f"{top}_bench.v", Path(folder) / "model_ports.h"
        modules = module_ports(verilog.read_text(encoding="ascii"))
        wrapper.write_text(_wrapper(top, modules[top], clocks, cells, probes), encoding="ascii")
        ports = [*modules[top], *_flip_ports(cells), *_probe_ports(probes)]
        header.write_text(_ports_header(ports), encoding="utf-8")
        return build(
            [verilog, wrapper],
            f"{top}_bench",
            build_root,
            cpp_main=MAIN,
            headers=[header, HEADER],
            control=control(modules, top),
            verilate=(*VERILATE, *(SPLIT if flat else ()), *(("--output-groups", str(groups)) if groups else ())),
            trace=waves,
        )


def with_header(netlist: Path, top: str) -> Path:
    """A file beside Yosys's flat netlist that makes it a module within the top, so that `control` keeps it apart."""
    inner = f"{top}_mutated"
    text = netlist.read_text(encoding="ascii").replace(f"module {top}(", f"module {inner}(", 1)
    ports = module_ports(text)[inner]
    heads = ",\n".join(f"  {port.direction} wire {port.bits} {port.name}" for port in ports)
    pins = ", ".join(f".{port.name}({port.name})" for port in ports)
    path = netlist.with_name(f"{inner}.v")
    path.write_text(f"module {top} (\n{heads}\n);\n  {inner} inner ({pins});\nendmodule\n{text}", encoding="ascii")
    return path


def build_bench(name: str, sources: Sequence[Path], headers: Sequence[Path], build_root: Path) -> Path:
    """A bench's shared library, from an earlier build of the very same sources if there is one.

    Raises
    ------
    UserError
        If there is no C++ compiler, or it rejects the sources.
    """
    tools = find_toolchain()
    found = [*headers, HEADER, INPUTS_OUTPUTS]
    key = content_key(*file_contents([*sources, *found]), tools.key, *FLAGS)
    models = build_root.absolute() / "models"

    def make(folder: Path) -> None:
        command = [str(tools.compiler.path), *FLAGS, f"-I{FOLDER}", *map(str, sources), "-o", "library.so"]
        run_logged(tools, command, folder, models / f"{name}-{key}.log", f"the C++ compiler, on {name}")
        keep_only(folder, ["library.so"])

    return make_once(models, f"{name}-{key}", make) / "library.so"


def module_ports(verilog: str) -> dict[str, list[Port]]:
    """The modules in an emitted file, or in one of Yosys's, each with its ports."""
    modules = {}
    for name, head, body in MODULE.findall(verilog):
        found = PORT.findall(head) or YOSYS_PORT.findall(body)
        modules[name] = [Port(*port) for port in found]
    return modules


def control(modules: dict[str, list[Port]], top: str) -> str:
    """Verilator's control file that keeps all modules of `module_ports` apart, but for the top."""
    lines = []
    for module in modules:
        if module == top:
            continue
        lines.append(f'no_inline -module "{module}"')
        for port in modules[module]:
            if port.direction == "input" and not CLOCK.fullmatch(port.name) and not RESET.fullmatch(port.name):
                lines.append(f'public_flat_rd -module "{module}" -var "{port.name}"')
    return "\n".join(lines)


def _flip_ports(cells: Sequence[Cells]) -> list[Port]:
    """What turns over bits of memories."""
    if not cells:
        return []
    widths = {"valid": 1, "memory": 32, "address": 32, "bits": cells[0].bits}
    return [Port("input", f"[{bits - 1}:0]", f"flip__{name}") for name, bits in widths.items()]


def _probe_ports(probes: Sequence[Probe]) -> list[Port]:
    """What shows signals within."""
    return [Port("output", f"[{each.bits - 1}:0]", f"probe__{number}") for number, each in enumerate(probes)]


def _flips(cells: Sequence[Cells]) -> list[str]:
    """Statements that turn over bits of memories."""
    lines = ["  always @(posedge clk) if (flip__valid__held[0]) case (flip__memory__held)"] if cells else []
    for number, each in enumerate(cells):
        place = f"inner.{each.path}[flip__address__held[{(each.words - 1).bit_length() - 1}:0]]"
        lines.append(f"    {number}: {place} <= {place} ^ flip__bits__held;")
    return [*lines, "    default: ;", "  endcase"] if cells else []


def _wrapper(
    top: str,
    inner: list[Port],
    clocks: Mapping[str, Sequence[str]],
    cells: Sequence[Cells] = (),
    probes: Sequence[Probe] = (),
) -> str:
    """The component behind registers; the ports are named as its own."""
    ports = [*inner, *_flip_ports(cells), *_probe_ports(probes)]
    held = {
        port.name: f"{port.name}__held"
        for port in ports
        if port.direction == "input" and not CLOCK.fullmatch(port.name)
    }

    def clock_of(name: str) -> str:
        return next((clock for clock, begins in clocks.items() if name.startswith(tuple(begins))), "clk")

    return "\n".join(
        [
            f"module {top}_bench (",
            ",\n".join(f"  {port.direction} wire {port.bits} {port.name}" for port in ports),
            ");",
            *(f"  reg {port.bits} {held[port.name]};" for port in ports if port.name in held),
            *(f"  always @(posedge {clock_of(name)}) {register} <= {name};" for name, register in held.items()),
            f"  {top} inner (",
            ",\n".join(f"    .{port.name}({held.get(port.name, port.name)})" for port in inner),
            "  );",
            *_flips(cells),
            *(f"  assign probe__{number} = inner.{each.path};" for number, each in enumerate(probes)),
            "endmodule",
            "",
        ]
    )


def _ports_header(ports: list[Port]) -> str:
    """C++ that finds every port of the model by its path, with dots."""
    lines = []
    for port in ports:
        spelt = port.name.replace("__", "___05F")  # Verilator's way with two underscores
        lines.append(f'      {{"{port.name.replace("__", ".")}", native::pin(top.{spelt})}},')
    return "\n".join(
        [
            "// Generated.",
            "#ifndef OPENPPU_MODEL_PORTS_H",
            "#define OPENPPU_MODEL_PORTS_H",
            '#include "Vtop.h"',
            '#include "model.h"',
            "inline std::map<std::string, native::Pin> ports(Vtop& top) {",
            "  return {",
            *lines,
            "  };",
            "}",
            "#endif",
            "",
        ]
    )
