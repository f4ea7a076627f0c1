"""Netlists of many modules, each of which is broken as it is: a module that is used often is wrong wherever it is used.

A large design need not be made flat, then, which would take its tools many times as long; and a proof that a mutation
changes nothing is about one module alone.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping

from openppu_verif.mutation.netlist import CONTROL, CONTROL_BITS

MODULE = re.compile(r"^(?:attribute [^\n]*\n)*module \\(\S+)\n(.*?)^end\n", re.MULTILINE | re.DOTALL)
INSTANCE = re.compile(r"^  cell \\(\S+) (\S+)\n(.*?)^  end\n", re.MULTILINE | re.DOTALL)
WIRE = re.compile(r"^  wire (?:width (\d+) )?(input|output) \d+ +(?:signed )?\\(\S+)$", re.MULTILINE)
LAST_PORT = 9_999_999
CLOCK = "clk"
JOINED = {name: f"    connect \\{name} \\{name}\n" for name in (CLOCK, CONTROL)}

Ports = dict[str, tuple[str, int]]
"""Of a module: direction and width of each port, by its name."""


def module_ports(rtlil: str) -> dict[str, Ports]:
    """The ports of each module."""
    return {
        module: {name: (direction, int(width or 1)) for width, direction, name in WIRE.findall(body)}
        for module, body in MODULE.findall(rtlil)
    }


def instances_of(rtlil: str) -> dict[str, set[str]]:
    """The modules that each module uses."""
    return {module: {kind for kind, _, _ in INSTANCE.findall(body)} for module, body in MODULE.findall(rtlil)}


def all_below(module: str, below: Mapping[str, Collection[str]]) -> Iterator[str]:
    """A module, and all that it is made of.

    Raises
    ------
    ValueError
        If there is an instance of no module.
    """
    yield module
    for each in below[module]:
        if each not in below:
            raise ValueError(f"module {module}: no module {each}")
        yield from all_below(each, below)


def with_control(rtlil: str, area_of: Callable[[str], str | None], *, top: str, boxes: Collection[str] = ()) -> str:
    """The same netlist, with a clock and the input that chooses a mutation at every module.

    Parameters
    ----------
    rtlil : str
    area_of : callable
        Given a module: None if Yosys may make it a part of those that use it, else what its attribute ``area`` is.
    top : str
        What it does not use is left out.
    boxes : collection of str
        Modules of which only the ports stay, without that input.

    Raises
    ------
    ValueError
        If there is an instance of no module.
    """
    ports = module_ports(rtlil)
    below = {name: set() if name in boxes else kinds for name, kinds in instances_of(rtlil).items()}
    used = set(all_below(top, below))

    def instance(found: re.Match[str]) -> str:
        kind, name, body = found.groups()
        # An instance names both clock and reset, whether there are registers or not.
        lines = [
            line
            for line in body.splitlines(keepends=True)
            if (pin := re.match(r"    connect \\(\S+) ", line)) is None
            or pin[1] in ports[kind]
            or (pin[1] == CLOCK and kind not in boxes)
        ]
        if kind not in boxes:
            lines.append(f"    connect \\{CONTROL} \\{CONTROL}\n")
        return f"  cell \\{kind} {name}\n{''.join(lines)}  end\n"

    def module(found: re.Match[str]) -> str:
        name, body = found.groups()
        if name not in used:
            return ""
        if name in boxes:
            wires = "".join(f"{wire[0]}\n" for wire in WIRE.finditer(body))
            return f"attribute \\blackbox 1\nmodule \\{name}\n{wires}end\n"
        area = area_of(name)
        marks = "" if area is None else f'attribute \\keep_hierarchy 1\nattribute \\area "{area}"\n'
        wire = f"  wire width {CONTROL_BITS} input {LAST_PORT} \\{CONTROL}\n"
        if CLOCK not in ports[name]:
            wire += f"  wire input {LAST_PORT + 1} \\{CLOCK}\n"
        return f"{marks}module \\{name}\n{wire}{INSTANCE.sub(instance, body)}end\n"

    return MODULE.sub(module, rtlil)


def joined_again(rtlil: str) -> str:
    """The same netlist, with the clock and the input that chooses joined to every module that has one.

    Yosys takes away what a module makes no use of, which it does when it is broken.
    """
    ports = module_ports(rtlil)

    def instance(found: re.Match[str]) -> str:
        kind, name, body = found.groups()
        if CONTROL not in ports[kind]:
            return found[0]
        others = re.sub(rf"    connect \\({'|'.join(JOINED)}) .*\n", "", body)
        return f"  cell \\{kind} {name}\n{others}{''.join(JOINED.values())}  end\n"

    return INSTANCE.sub(instance, rtlil)


def module_alone(rtlil: str, name: str) -> str:
    """A module of a netlist, without those that it uses: what they are told is an output, what they give an input."""
    ports = module_ports(rtlil)
    body = next(text for module, text in MODULE.findall(rtlil) if module == name)
    count = 0

    def wires(kind: str, pins: dict[str, str]) -> Iterator[str]:
        for pin, (direction, width) in ports[kind].items():
            if pin == CONTROL or pin not in pins:
                continue
            wire = f"cut_{count}_{pin}"
            made.append(wire)
            number = LAST_PORT + len(made)
            if direction == "input":
                yield f"  wire width {width} output {number} \\{wire}\n  connect \\{wire} {pins[pin]}\n"
            else:
                yield f"  wire width {width} input {number} \\{wire}\n  connect {pins[pin]} \\{wire}\n"

    made: list[str] = []

    def instead(found: re.Match[str]) -> str:
        nonlocal count
        count += 1
        kind, _, given = found.groups()
        return "".join(wires(kind, dict(re.findall(r"^    connect \\(\S+) (.*)$", given, re.MULTILINE))))

    return f"autoidx 100000000\nmodule \\{name}\n{INSTANCE.sub(instead, body)}end\n"
