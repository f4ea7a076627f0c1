"""The device's commands, and the buses they take.

The controller and the models speak of commands by these names; a PHY puts them on the pins. HBM2E's pin encoding is in
JESD235D, which is not at hand, so no code here is a pin's.
"""

from amaranth.lib import data, enum

from openppu.hbm.device import Organisation
from openppu.hbm.mode_registers import MODE_BITS


class RowCommand(enum.Enum, shape=4):
    """A command of the row bus. ``ACT`` takes two slots, every other one; one command a slot for both PCs.

    ``PRE``, ``ACT`` and ``REFSB`` name a bank of a PC, ``PREA`` and ``REF`` a PC; the rest concern the whole channel,
    since its two PCs share CKE.
    """

    NOP = 0
    ACT = 1
    PRE = 2
    PREA = 3
    REFSB = 4
    REF = 5
    PDE = 6
    PDX = 7
    SRE = 8
    SRX = 9


class ColumnCommand(enum.Enum, shape=3):
    """A command of the column bus. ``RDA`` and ``WRA`` precharge the bank afterwards; ``MRS`` is the channel's."""

    NOP = 0
    RD = 1
    RDA = 2
    WR = 3
    WRA = 4
    MRS = 5


def row_slot_layout(organisation: Organisation) -> data.StructLayout:
    """One slot (one memory clock) of the row bus."""
    return data.StructLayout(
        {
            "command": RowCommand,
            "pc": 1,
            "bank": range(organisation.banks),
            "row": range(organisation.rows),
        }
    )


def column_slot_layout(organisation: Organisation) -> data.StructLayout:
    """One slot of the column bus; for ``MRS``, ``bank`` is the register and ``operand`` its value."""
    return data.StructLayout(
        {
            "command": ColumnCommand,
            "bank": range(organisation.banks),
            "column": range(organisation.columns),
            "operand": MODE_BITS,
        }
    )
