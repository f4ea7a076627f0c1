"""Cuts the memories out of a netlist, for proofs that two netlists do the same: those are then about the logic alone.

What a memory is told becomes an output, what it gives an input. So nothing is proved that is not so: memories that are
told the same give the same. `comes_of` says of each such output what may be other when it is other.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

CELL = re.compile(r"^  cell \$(memrd|memwr|meminit)(?:_v2)? \S+\n(.*?)^  end\n", re.MULTILINE | re.DOTALL)
MEMORY = re.compile(r"^  memory .*\n", re.MULTILINE)
FIRST_PORT = 100_000
PORT = re.compile(r"cut_mem(rd|wr)_(\d+)_(\d+)_(ADDR|EN|DATA)")
"""The name of what was a memory's pin: whether it reads or writes, which memory, which of the ports, which pin."""
AND = """\
  cell $and \\{name}_and
    parameter \\A_SIGNED 0
    parameter \\B_SIGNED 0
    parameter \\A_WIDTH {width}
    parameter \\B_WIDTH {width}
    parameter \\Y_WIDTH {width}
    connect \\A {a}
    connect \\B {b}
    connect \\Y \\{name}
  end
"""


def cut_memories(rtlil: str) -> str:
    """A flat netlist's RTLIL, without its memories. Of a word to write, only the bits that are enabled count."""
    count = 0
    memories: dict[str, int] = {}

    def instead(found: re.Match[str]) -> str:
        nonlocal count
        count += 1
        kind, body = found.groups()
        numbers = {name: int(value) for name, value in re.findall(r"parameter \\(\w+) (\d+)$", body, re.MULTILINE)}
        pins = dict(re.findall(r"connect \\(\w+) (.*)$", body, re.MULTILINE))
        if kind == "meminit":
            return ""
        memory = memories.setdefault(re.search(r"parameter \\MEMID (.*)", body)[1], len(memories))  # type: ignore[index]

        def port(pin: str, width: int, direction: str) -> tuple[str, str]:
            name = f"cut_{kind}_{memory}_{count}_{pin}"
            number = FIRST_PORT + 3 * count + ("ADDR", "EN", "DATA").index(pin)
            return name, f"  wire width {width} {direction} {number} \\{name}\n"

        address, text = port("ADDR", numbers["ABITS"], "output")
        text += f"  connect \\{address} {pins['ADDR']}\n"
        if kind == "memrd":
            enable, wire = port("EN", 1, "output")
            text += wire + f"  connect \\{enable} {pins['EN']}\n"
            word, wire = port("DATA", numbers["WIDTH"], "input")
            return text + wire + f"  connect {pins['DATA']} \\{word}\n"
        enable, wire = port("EN", numbers["WIDTH"], "output")
        text += wire + f"  connect \\{enable} {pins['EN']}\n"
        word, wire = port("DATA", numbers["WIDTH"], "output")
        return text + wire + AND.format(name=word, width=numbers["WIDTH"], a=pins["EN"], b=pins["DATA"])

    return MEMORY.sub("", CELL.sub(instead, rtlil))


def without_memories(folder: Path, source: str = "mutated.il") -> str:
    """Write ``cut.il`` beside a netlist: the same without memories; its name."""
    whole = (folder / source).read_text(encoding="ascii")
    (folder / "cut.il").write_text(cut_memories(whole), encoding="ascii")
    return "cut.il"


def comes_of(outputs: Sequence[tuple[str, int]], inputs: Sequence[tuple[str, int]]) -> dict[int, frozenset[int]]:
    """Of each output that tells a memory something, by its place, the inputs that may be other if it is other.

    Those are all that come of a port, if the port reads; else all of the memory, or, of a bit to write, the same bit.
    """
    reads: dict[tuple[str, str | int], set[int]] = defaultdict(set)
    for place, (name, bit) in enumerate(inputs):
        if found := PORT.fullmatch(name):
            _, memory, port, _ = found.groups()
            for key in (("port", port), ("memory", memory), (memory, bit)):
                reads[key].add(place)
    result = {}
    for place, (name, bit) in enumerate(outputs):
        if found := PORT.fullmatch(name):
            kind, memory, port, pin = found.groups()
            key = ("port", port) if kind == "rd" else ("memory", memory) if pin == "ADDR" else (memory, bit)
            result[place] = frozenset(reads[key])
    return result
