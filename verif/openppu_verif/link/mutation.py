"""What `openppu_verif.mutation` needs to know of a port of the link.

The mutated netlist is port a's; port b is the same with no mutation, so that what one of them does wrong is not done
wrong by the other, too.
"""

from pathlib import Path

from amaranth.back import rtlil
from openppu.config import load
from openppu.link.config import LinkConfig
from openppu.link.port import Port

from openppu_verif.link.native import TOP, build_port
from openppu_verif.link.trial import play
from openppu_verif.link.trials import trials
from openppu_verif.mutation.netlist import CONTROL, Area
from openppu_verif.mutation.score import Notice, Subject
from openppu_verif.native.model import with_header

CONFIG: LinkConfig = load("tiny").link

PARTS = {
    "lanes sent": "c:*transmit_side.*lane_*",
    "sending side": "c:*transmit_side.$*",
    "lanes received": "c:*receive_side.*lane_*",
    "receiving side": "c:*receive_side.$* c:*deskew.* c:*gather.* c:*choice.* %u %u %u",
    "training": "c:*training.$* c:*physical.$* %u",
    "framer": "c:*transmit.$* c:*sender.$* %u",
    "CRC": "c:*crc.*",
    "replay buffer": "c:*replay.*",
    "retry": "c:*retry.*",
    "credits": "c:*sender.*credits.* c:*receiver.*credits.* %u",
    "flit receiver": "c:*flits.$* c:*receiver.$* %u",
    "receive window": "c:*receiver.*window.*",
    "receive buffer": "c:*receiver.*buffer.*",
    "counters": "c:*link.*counters.*",
    "packer": "c:*packer.* c:*unpacker.* %d",
    "unpacker": "c:*unpacker.*",
}
AREAS = tuple(Area(name, f"{cells} t:$memrd* %d", 1 / len(PARTS)) for name, cells in PARTS.items())
"""All parts of a port but its tunnel, which takes a third port; a memory's read port Yosys cannot write."""


def port_subject() -> Subject:
    """A narrow port."""

    def write(folder: Path) -> Path:
        path = folder / f"{TOP}.il"
        path.write_text(rtlil.convert(Port(CONFIG), name=TOP, emit_src=False), encoding="utf-8")
        return path

    return Subject(top=TOP, areas=AREAS, emit=write, tests=port_tests, cut=True)


def port_tests(netlist: Path, build_root: Path) -> Notice:
    """The runs, on a model of the netlist."""
    executable = build_port(CONFIG, build_root, netlist=with_header(netlist, TOP))
    work = trials(CONFIG)

    def notice(number: int) -> str | None:
        for place, each in enumerate(work):
            if problem := play(executable, CONFIG, each, pins=[("a", CONTROL, number)]):
                work.insert(0, work.pop(place))  # what noticed one is likely to notice the next
                return f"{each.label}: {problem}"
        return None

    return notice
