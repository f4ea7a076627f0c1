"""Emission: from a component to one self-contained Verilog-2005 file."""

import gc
import inspect
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from amaranth import Value
from amaranth.back import rtlil
from amaranth.hdl._ir import PortDirection  # what `rtlil.convert` takes for ports that it is given
from amaranth.lib import data, wiring

import openppu
from openppu.common.shared import ports_of
from openppu.config import ChipConfig
from openppu.emission.build import build
from openppu.emission.flatten import flatten
from openppu.emission.module_text import module_text
from openppu.emission.names import KEYWORDS
from openppu.emission.netlist import Netlist
from openppu.emission.rtlil import Module, read, width_of
from openppu.emission.simplify import simplify
from openppu.whole_files import whole_files

MUCH_TEXT = 4_000_000
"""Characters of RTLIL, after which it is worth while to free the objects that Amaranth made it of."""


class Emission:
    """The platform of an elaboration for emission: each kind of shared component becomes one module.

    Parameters
    ----------
    top : str
        Prefix of all module names.

    Raises
    ------
    ValueError
        If the name is a word of Verilog.
    """

    def __init__(self, top: str):
        if top in KEYWORDS:
            raise ValueError(f"module {top}: a word of Verilog; choose another name")
        self.top = top
        self._names: dict[str, str] = {}
        self._waiting: list[tuple[str, wiring.Component]] = []
        self._written = 0

    def module_name(self, component: wiring.Component) -> str:
        """The module that `openppu.common.shared.shared` instantiates for ``component``.

        Two components are the same if their class and their public parameters are. A component that has a
        ``module_name`` of its own bears it in every part.
        """
        kind = f"{type(component).__qualname__}({parameters(component)!r})"
        if kind not in self._names and hasattr(component, "module_name"):
            self._names[kind] = component.module_name
            self._waiting.append((component.module_name, component))
        if kind not in self._names:
            base = f"{self.top}_{re.sub('(?<!^)(?=[A-Z])', '_', type(component).__name__).lower()}"
            variant = 1 + sum(re.fullmatch(rf"{base}(_\d+)?", name) is not None for name in self._names.values())
            self._names[kind] = base if variant == 1 else f"{base}_{variant}"
            self._waiting.append((self._names[kind], component))
        return self._names[kind]

    def rtlil(self, component: wiring.Component) -> list[tuple[wiring.Component, str]]:
        """The component and every shared one below it, each with its netlist in RTLIL."""
        texts = [(component, self._rtlil(component, self.top))]
        while self._waiting:
            name, shared = self._waiting.pop(0)
            texts.append((shared, self._rtlil(shared, name)))
        return texts

    def _rtlil(self, component: wiring.Component, name: str) -> str:
        ports = {}
        for port, member, value in ports_of(component):
            direction = PortDirection.Input if member.flow is wiring.In else PortDirection.Output
            ports[port] = (Value.cast(value), direction)
        text = rtlil.convert(component, name=name, platform=self, ports=ports, emit_src=False)
        self._written += len(text)
        if self._written > MUCH_TEXT:
            self._written = 0
            gc.collect()
        return text


def parameters(component: wiring.Component) -> dict[str, object]:
    """The public attributes of a component that are not its ports."""
    members = component.signature.members
    return {key: value for key, value in vars(component).items() if key[0] != "_" and key not in members}


@dataclass(frozen=True)
class Verilog:
    """An emitted part.

    Parameters
    ----------
    top : str
        Name of the top module.
    text : str
        The file.
    config : ChipConfig
        What it was made from.
    modules : tuple of str
        Names of its modules, the top first.
    ports : dict
        For each port but ``clk`` and ``rst`` its direction, its width, and the fields of its payload with their lowest
        bit and width.
    instances : int
        Uses of modules that are written in the file.
    wiring : int
        Bits at the ports of those instances.
    """

    top: str
    text: str
    config: ChipConfig
    modules: tuple[str, ...]
    ports: dict[str, dict[str, Any]]
    instances: int
    wiring: int

    def write(self, path: Path) -> None:
        """Write the file, and the description of its ports as JSON beside it: both, or neither.

        Raises
        ------
        OSError
            If one of them cannot be written; both are as they were.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        sidecar = {
            "schema": 1,
            "top": self.top,
            "config": self.config.name,
            "fingerprint": self.config.fingerprint(),
            "modules": self.modules,
            "ports": self.ports,
        }
        with whole_files(path, path.with_suffix(".json")) as (verilog, ports):
            verilog.write_text(self.text, encoding="ascii")
            ports.write_text(json.dumps(sidecar, indent=1) + "\n", encoding="ascii")


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
    ValueError
        If the hardware holds something that no Verilog is known for.
    """
    parts = []
    with _no_collection():
        for part, text in Emission(top).rtlil(component):
            first, *others = read(text)
            _sort_clocks(part, first)
            parts.append((part, flatten(first, {module.name: module for module in others})))
    outputs = {module.name: _outputs(module) for _, module in parts}
    netlists = [build(module, outputs) for _, module in parts]
    for netlist in netlists:
        simplify(netlist)
    _drop_unused_clocks(netlists)
    texts = {netlist.name: _module(part, netlist) for (part, _), netlist in zip(parts, netlists, strict=True)}
    while _merge_one(texts):
        pass
    instances = [instance for netlist in netlists if netlist.name in texts for instance in netlist.instances]
    return Verilog(
        top=top,
        text="\n".join([_header(top, config), *texts.values()]),
        config=config,
        modules=tuple(texts),
        ports=port_table(component),
        instances=len(instances),
        wiring=sum(width_of(bits) for instance in instances for bits in instance.ports().values()),
    )


@contextmanager
def _no_collection() -> Iterator[None]:
    """Pause the search for garbage, which takes half the time of an elaboration: its millions of objects stay."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _sort_clocks(component: wiring.Component, module: Module) -> None:
    """Sort the ports that Amaranth adds for clock domains by their names: its own order differs from run to run."""
    own = {name for name, _, _ in ports_of(component)}
    added = [name for name, wire in module.wires.items() if wire.port and name.lstrip("\\") not in own]
    following = iter(sorted(added))
    order = [next(following) if name in added else name for name in module.wires]
    module.wires = {name: module.wires[name] for name in order}


def _outputs(module: Module) -> list[str]:
    return [name.lstrip("\\") for name, wire in module.wires.items() if wire.port == "output"]


def _drop_unused_clocks(netlists: list[Netlist]) -> None:
    """Take ``clk`` and ``rst`` from modules below the top that do not look at them."""
    modules = {netlist.name: netlist for netlist in netlists}
    unused: dict[str, list[str]] = {}

    def visit(netlist: Netlist) -> list[str]:
        if netlist.name not in unused:
            for instance in netlist.instances:
                for port in visit(modules[instance.module]):
                    instance.inputs.pop(port, None)
            used = {chunk[0] for bits in netlist.uses() for chunk in bits}
            unused[netlist.name] = [port for port in ("clk", "rst") if f"\\{port}" not in used]
            if netlist is not netlists[0]:
                for port in unused[netlist.name]:
                    netlist.wires.pop(f"\\{port}", None)
        return unused[netlist.name]

    visit(netlists[0])


def _merge_one(texts: dict[str, str]) -> bool:
    """Drop one module that differs from another in its name alone; whether there was one.

    Parameters may differ without an effect: two longest delays may need the same memory.
    """
    first: dict[str, str] = {}
    for name, text in texts.items():
        twin = first.setdefault(text.partition(f"\nmodule {name} ")[2], name)
        if twin != name:
            del texts[name]
            for user in texts:
                texts[user] = re.sub(rf"(?m)^  {name} (?=\w+ \($)", f"  {twin} ", texts[user])
            return True
    return False


def _module(component: wiring.Component, netlist: Netlist) -> str:
    values = {key: value for key, value in parameters(component).items() if isinstance(value, int | str) and value}
    given = ", ".join(key if value is True else f"{key} {value}" for key, value in values.items())
    first = (inspect.getdoc(component) or "").partition("\n\n")[0].replace("\n", " ")
    comment = f"{type(component).__name__}{f' ({given})' if given else ''}: {first}"
    text = module_text(netlist, comment.replace("`", ""), _field_notes(component))
    if hasattr(component, "REPLACED_BY"):
        # Whoever has a macro for it defines this name, and gives a module of the same name and ports.
        text = f"`ifndef {component.REPLACED_BY}\n{text}`endif\n"
    return text


def _field_notes(component: wiring.Component) -> dict[str, str]:
    """For each port with fields, where they are."""
    notes = {}
    for name, port in port_table(component).items():
        places = []
        for field, place in port.get("fields", {}).items():
            low, high = place["offset"], place["offset"] + place["bits"] - 1
            places.append(f"{field} {low}" if low == high else f"{field} {high}:{low}")
        if places:
            notes[name] = ", ".join(places)
    return notes


def _header(top: str, config: ChipConfig) -> str:
    values = asdict(config)
    sections = {name: values.pop(name) for name in ("tile", "hbm")}
    lines = [f"{top}, from the configuration {config.name} ({config.fingerprint()})", f"OpenPPU {openppu.__version__}"]
    lines += [f"  chip.{key} = {values[key]}" for key in ("compute_units", "clock_mhz")]
    for name, section in sections.items():
        lines += [f"  {name}.{key} = {' '.join(v) if isinstance(v, tuple) else v}" for key, v in section.items()]
    lines += ["Clock: clk, rising edge. Reset: rst, synchronous, active high. SPDX-License-Identifier: Apache-2.0"]
    return "".join(f"// {line}\n" for line in lines)


def port_table(component: wiring.Component) -> dict[str, dict]:
    """Each port of a component's module, but ``clk`` and ``rst``: direction, width, and fields of a payload."""
    ports: dict[str, dict] = {}
    for name, member, value in ports_of(component):
        shape = value.shape()
        port: dict[str, Any] = {
            "direction": "input" if member.flow is wiring.In else "output",
            "bits": len(Value.cast(value)),
        }
        if isinstance(shape, data.StructLayout):
            port["fields"] = {str(name): {"offset": field.offset, "bits": field.width} for name, field in shape}
        ports[name] = port
    return ports
