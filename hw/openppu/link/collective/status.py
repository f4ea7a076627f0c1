"""What an engine tells of itself."""

from amaranth.lib import data

from openppu.link.collective.config import CollectiveConfig


class Error(data.Struct):
    """The first thing that was wrong since the reset."""

    fault: 4
    """`openppu.link.collective.packets.Fault`; zero: nothing was."""
    port: 3
    """Where it came from, if it is a packet's."""
    in_unit: 1
    """``port`` is the unit that found another label."""
    opcode: 3
    """Of the instruction, if it is one's."""


def status_layout(config: CollectiveConfig) -> data.StructLayout:
    """Whether it works, and what it waits for."""
    ports, units = config.ports, len(config.units)
    return data.StructLayout(
        {
            "busy": 1,
            "stalled": 1,
            # The instruction that is to be begun next; zero: none.
            "opcode": 3,
            "error": Error,
            # Peers that something must come from: data, room, a grant or a token.
            "waiting_for": ports,
            "tokens": ports,
            # STOREs that are not finished.
            "stores": ports,
            # Ports that a reduction lacks an operand of.
            "operands": ports,
            # What each port's sender waits for: `openppu.link.collective.sender.Held`.
            "senders": data.ArrayLayout(3, ports),
            # Units that wait for an operand in memory, and the ports that each one's sums wait for.
            "memory": units,
            "outlets": data.ArrayLayout(ports, units),
        }
    )
