"""Where packets go from here: what a chip's software writes, and what is decided for a packet."""

from typing import Any

from amaranth.lib import data

from openppu.link.layouts import CHIP_BITS, HOP_BITS, Role
from openppu.link.topology import Topology


def route_layout() -> data.StructLayout:
    """A line of a routing table: if ``valid``, packets go out by ``port``, and change to class 1 if it ``raises``."""
    return data.StructLayout({"valid": 1, "port": HOP_BITS, "raises": 1})


def table_write_layout() -> data.StructLayout:
    """With ``write``, the line for packets of a role to a chip is set. After a reset, no line is valid."""
    return data.StructLayout({"write": 1, "role": Role, "destination": CHIP_BITS, "route": route_layout()})


def way_layout() -> data.StructLayout:
    """What becomes of a packet.

    It is for this chip if ``local``: for engine ``port``, where there are several, or for the tunnel of ``port`` if
    ``tunnel``; or it is to be thrown away if ``drop``; or it goes out by ``port``, in class ``raised``.
    """
    return data.StructLayout({"local": 1, "tunnel": 1, "drop": 1, "port": HOP_BITS, "raised": 1})


def table_of(topology: Topology, chip: int) -> list[dict[str, Any]]:
    """What to write into the table of a chip, a line a cycle; constants of `table_write_layout`."""
    lines = []
    for role in Role:
        for destination in range(topology.chips):
            if (route := topology.route(chip, destination, role)) is not None:
                line = {"valid": 1, "port": route.port, "raises": route.raises}
                lines.append({"write": 1, "role": role, "destination": destination, "route": line})
    return lines
