"""How registers that are of one compute unit at a time begin: which one, and what is done to it."""

from collections.abc import Iterator

from amaranth.lib import data

from openppu.common.register_map import Register

UNIT_BITS = 8
"""Of a compute unit's number, and of how many there are."""


def unit_control_layout() -> data.StructLayout:
    """What software sets."""
    return data.StructLayout({"unit": UNIT_BITS})


def unit_registers(*, identity: str, units: int, chosen: str, strobe: str, starts: str) -> Iterator[Register]:
    """The first four registers of such a block.

    Parameters
    ----------
    identity : str
        Four characters, which register ``identity`` reads as ASCII.
    units : int
        Compute units of the chip.
    chosen : str
        The meaning of register ``unit``.
    strobe : str
        What writing 1 starts, a member of the block's strobes.
    starts : str
        Its meaning.
    """
    number = int.from_bytes(identity.encode("ascii"), "big")
    yield Register(name="identity", offset=0x000, bits=32, reset=number, meaning=f'"{identity}"')
    yield Register(name="units", offset=0x004, bits=UNIT_BITS, reset=units, meaning="compute units")
    yield Register(
        name="unit",
        offset=0x008,
        bits=UNIT_BITS,
        source=("control", "unit"),
        writable=True,
        allowed=range(units),
        meaning=chosen,
    )
    yield Register(
        name=strobe,
        offset=0x00C,
        bits=1,
        source=("strobes", strobe),
        readable=False,
        writable=True,
        allowed=range(2),
        meaning=starts,
    )
