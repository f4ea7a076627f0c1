"""The registers of a chip's collective engine: who is behind each port, and how it is doing."""

from collections.abc import Iterator

from amaranth.lib import data

from openppu.common.register_map import Register, field_registers
from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.engine import PATIENCE_BITS
from openppu.link.collective.status import status_layout as engine_status_layout
from openppu.link.layouts import CHIP_BITS
from openppu.link.router import engine_layout

ADDRESS_BITS = 10
"""Of an address in bytes."""

IDENTITY = 0x434F4C31
"""What register ``identity`` reads: "COL1" in ASCII."""

_CONTROL, _STROBES, _STATUS = 0x010, 0x100, 0x200
_MEANING = {
    "patience": "cycles without any progress, with work to do, after which it counts as stalled; 0: never",
    "peers": "chips behind the ports, 6 bits a port",
    "valid": "its packets go out by that port; else as the routes say",
    "port": "a port",
    "peer": "the stream of the engine at the other end",
    "lost": "a signal did not reach its chip, or the memory refused a write of another chip",
    "busy": "there is work",
    "stalled": "nothing has moved for `patience` cycles",
    "opcode": "of the instruction that is to be begun next",
    "fault": "the first thing that was wrong: `openppu.link.collective.packets.Fault`",
    "unit": "`port` is the reduction unit that found another label",
    "for": "a bit a port: something must come from there",
    "tokens": "a bit a port: a token must come",
    "stores": "a bit a port: a STORE is not finished",
    "operands": "a bit a port: a reduction lacks what comes from there",
    "senders": "3 bits a port: what its sender waits for",
    "memory": "a bit a unit: it waits for memory",
    "outlets": "a bit a port and unit: its sums wait for the port",
}


def control_layout(config: CollectiveConfig) -> data.StructLayout:
    """What software sets."""
    return data.StructLayout(
        {
            "patience": PATIENCE_BITS,
            "peers": data.ArrayLayout(CHIP_BITS, config.ports),
            **{f"stream{port}": engine_layout() for port in range(config.ports)},
        }
    )


def status_layout(config: CollectiveConfig) -> data.StructLayout:
    """What software sees."""
    return data.StructLayout({"lost": 1, "engine": engine_status_layout(config)})


def strobes_layout() -> data.StructLayout:
    """What software starts."""
    return data.StructLayout({"reset": 1})


def registers(config: CollectiveConfig) -> tuple[Register, ...]:
    """All registers of the engine."""
    return tuple(_registers(config))


def _registers(config: CollectiveConfig) -> Iterator[Register]:
    yield Register(name="identity", offset=0, bits=32, reset=IDENTITY, meaning='"COL1"')
    yield from field_registers(control_layout(config), ("control",), _CONTROL, _meaning, writable=True)
    yield Register(
        name="reset",
        offset=_STROBES,
        bits=1,
        source=("strobes", "reset"),
        readable=False,
        writable=True,
        allowed=range(2),
        meaning="1: forget all; its peers must, too",
    )
    yield from field_registers(status_layout(config), ("status",), _STATUS, _meaning)


def _meaning(name: str) -> str:
    last = name.rstrip("0123456789_").split("_")[-1]
    return _MEANING[last]
