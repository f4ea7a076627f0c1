"""Cuts the memories out of a netlist, for proofs that two netlists do the same: those are then about the logic alone.

What a memory is told becomes an output, what it gives an input. So nothing is proved that is not so: memories that are
told the same give the same.
"""

import re
from pathlib import Path

CELL = re.compile(r"^  cell \$(memrd|memwr|meminit)(?:_v2)? \S+\n(.*?)^  end\n", re.MULTILINE | re.DOTALL)
MEMORY = re.compile(r"^  memory .*\n", re.MULTILINE)
FIRST_PORT = 100_000
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

    def instead(found: re.Match[str]) -> str:
        nonlocal count
        count += 1
        kind, body = found.groups()
        numbers = {name: int(value) for name, value in re.findall(r"parameter \\(\w+) (\d+)$", body, re.MULTILINE)}
        pins = dict(re.findall(r"connect \\(\w+) (.*)$", body, re.MULTILINE))
        if kind == "meminit":
            return ""

        def port(pin: str, width: int, direction: str) -> tuple[str, str]:
            name = f"cut_{count}_{pin}"
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
