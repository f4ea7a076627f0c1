"""Builds the channel's Verilog with Verilator for the native bench, once for each configuration (by content).

Two things make the model quick to build and to run:

- Every module stays a function of its own, compiled once for all its instances; its inputs are readable from outside,
  which keeps Verilator from mixing the surrounding logic into it.
- A wrapper takes all inputs into registers at the rising edge. Otherwise Verilator works out all that depends on an
  input a second time in each clock, and on ``settings`` nearly everything does.
"""

import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import amaranth
import openppu
from openppu.config import load
from openppu.hbm.channel import Channel
from openppu.hbm.config import ChannelConfig
from openppu.verilog import emit
from openppu_sim.simulator.model_cache import content_key, file_contents, make_once
from openppu_sim.simulator.verilator import build

TOP = "channel"
WRAPPER = "channel_bench"
CLOCKS = ("clk", "rst")
MAIN = Path(__file__).with_name("model_main.cpp")
HEADER = Path(__file__).with_name("model.h")
VERILATE = ("-fno-dfg-scoped",)
SPLIT = ("--output-split-cfuncs", "5000")
"""For a flat netlist: the compiler takes minutes for a function of ten thousand lines."""


@dataclass(frozen=True)
class Port:
    """A port in the text of a module; ``bits`` as it is written there, such as ``[7:0]``."""

    direction: str
    bits: str
    name: str


def emit_channel(config: ChannelConfig, folder: Path) -> Path:
    """Write a channel's Verilog to a folder; the file."""
    verilog = folder / f"{TOP}.v"
    emit(Channel(config), top=TOP, config=load("tiny")).write(verilog)
    return verilog


def cached_verilog(
    config: ChannelConfig,
    build_root: Path,
    *,
    name: str = TOP,
    write: Callable[[ChannelConfig, Path], Path] = emit_channel,
) -> Path:
    """The Verilog that ``write`` emits, kept while neither configuration nor any source of the hardware changes.

    Parameters
    ----------
    name : str
        Of what is written.
    write : function
        As `emit_channel`.
    """
    sources = sorted(Path(openppu.__file__).parent.rglob("*.py"))
    key = content_key(*file_contents(sources), amaranth.__version__, repr(config))

    def make(folder: Path) -> None:
        write(config, folder)

    return make_once(build_root / "models", f"{name}-verilog-{key}", make) / f"{TOP}.v"


def build_channel(
    config: ChannelConfig,
    build_root: Path,
    *,
    waves: bool = False,
    netlist: Path | None = None,
    flat: bool = False,
) -> Path:
    """The executable for a channel, from an earlier build if there is one.

    Parameters
    ----------
    config : ChannelConfig
    build_root : Path
        Folder of all that is generated (``build``).
    waves : bool
        For `openppu_verif.hbm.native.run` with ``waves``.
    netlist : Path, optional
        Verilog of the channel that was made in another way; it may have more inputs, which the run sets as ``pins``.
    flat : bool
        That Verilog is one large module.

    Raises
    ------
    UserError
        If a tool is missing or rejects its input.
    """
    verilog = netlist or cached_verilog(config, build_root)
    with tempfile.TemporaryDirectory() as folder:
        wrapper, header = Path(folder) / f"{WRAPPER}.v", Path(folder) / "channel_ports.h"
        modules = module_ports(verilog.read_text(encoding="ascii"))
        wrapper.write_text(_wrapper(modules[TOP]), encoding="ascii")
        header.write_text(_ports_header(modules[TOP]), encoding="utf-8")
        return build(
            [verilog, wrapper],
            WRAPPER,
            build_root,
            cpp_main=MAIN,
            headers=[header, HEADER],
            control=control(modules),
            verilate=VERILATE + (SPLIT if flat else ()),
            trace=waves,
        )


def module_ports(verilog: str) -> dict[str, list[Port]]:
    """The modules in an emitted file, each with its ports."""
    modules = {}
    for name, ports in re.findall(r"^module (\w+) \(\n(.*?)^\);", verilog, re.MULTILINE | re.DOTALL):
        found = re.findall(r"^ +(input|output) +(?:wire|reg) +(\[\d+:\d+\])? *(\w+),?$", ports, re.MULTILINE)
        modules[name] = [Port(*port) for port in found]
    return modules


def control(modules: dict[str, list[Port]]) -> str:
    """Verilator's control file that keeps all modules of `module_ports` apart, but for the first, which is the top."""
    lines = []
    for module in list(modules)[1:]:
        lines.append(f'no_inline -module "{module}"')
        inputs = (port.name for port in modules[module] if port.direction == "input" and port.name not in CLOCKS)
        lines += [f'public_flat_rd -module "{module}" -var "{name}"' for name in inputs]
    return "\n".join(lines)


def _wrapper(ports: list[Port]) -> str:
    """The channel behind registers; the ports are named as its own."""
    held = {port.name: f"{port.name}__held" for port in ports if port.direction == "input" and port.name != "clk"}
    return "\n".join(
        [
            f"module {WRAPPER} (",
            ",\n".join(f"  {port.direction} wire {port.bits} {port.name}" for port in ports),
            ");",
            *(f"  reg {port.bits} {held[port.name]};" for port in ports if port.name in held),
            "  always @(posedge clk) begin",
            *(f"    {register} <= {name};" for name, register in held.items()),
            "  end",
            f"  {TOP} channel (",
            ",\n".join(f"    .{port.name}({held.get(port.name, port.name)})" for port in ports),
            "  );",
            "endmodule",
            "",
        ]
    )


def _ports_header(ports: list[Port]) -> str:
    """C++ that finds every port of the model by its path, with dots."""
    lines = []
    for port in ports:
        spelt = port.name.replace("__", "___05F")  # Verilator's way with two underscores
        lines.append(f'      {{"{port.name.replace("__", ".")}", hbm::pin(top.{spelt})}},')
    return "\n".join(
        [
            '#include "model.h"',
            "template <class Top>",
            "std::map<std::string, hbm::Pin> ports(Top& top) {",
            "  return {",
            *lines,
            "  };",
            "}",
            "",
        ]
    )
