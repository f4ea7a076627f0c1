"""The boundary to the PHY, in the manner of DFI at a ratio of 1:2: two memory clocks (CK) a controller clock."""

from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from openppu.hbm.commands import column_slot_layout, row_slot_layout
from openppu.hbm.device import Organisation

PSEUDO_CHANNELS = 2
DATA_BITS = 256
CHECK_BITS = 32


def word_layout() -> data.StructLayout:
    """One access of a PC: four beats of 64 data bits, the first lowest, each with its 8 check bits."""
    return data.StructLayout({"data": DATA_BITS, "check": CHECK_BITS})


class PhySignature(wiring.Signature):
    """A channel's boundary, seen from the controller. ``docs/hbm.md`` defines the timing.

    Members
    -------
    row : Out, two slots
        Slot ``f`` is the row bus in CK ``f`` of this controller clock. An ``ACT`` occupies its slot and the next one,
        which is ``NOP``; in slot 1 that is slot 0 of the next clock.
    column : Out, two slots
        Slot ``p`` is the column bus in CK ``p``; it belongs to PC ``p``. (``MRS`` may stand in either.)
    write : Out, a word for each PC, with ``write_mask`` (bit set: byte is written) and ``write_valid``
        The word of a ``WR`` comes ``WL // 2`` controller clocks after the command. Without ECC the mask counts; with
        ECC the mask's pins carry the check bits, and ``write_mask`` is all ones.
    read : In, a word for each PC, with ``read_valid``
        In order of the ``RD``, ``read_delay`` clocks (a setting, the same for all) after the earliest possible; a read
        without its ``read_valid`` is lost, and answered as an error.
    cke, reset_n : Out(1)
        ``cke`` falls in the slot of the entry to power-down or self-refresh, and rises in that of the exit.
    temperature : In(3)
        The device's code for how long tREFI may be: 0 four times, 1 twice, 3 as in the table, 2 half, 6 a quarter;
        4, 5 and 7 are reserved, and taken as 6.
    catastrophic : In(1)
        CATTRIP: too hot to go on. A clock is enough.
    address_error : In(2)
        AERR, a bit a slot (CK) of the clock that was ``parity_latency`` clocks ago: the device saw wrong parity on the
        commands of that slot, row and column, and took neither. An ACT carries its parity in its first slot.
    init_start, init_complete : Out(1), In(1)
        Training, run by the PHY between reset and the first command.
    update_request, update_acknowledge : In(1), Out(1)
        The PHY asks for a quiet bus (retraining); the controller grants it with all banks closed until the request
        falls.
    """

    def __init__(self, organisation: Organisation):
        self.organisation = organisation
        word = word_layout()
        super().__init__(
            {
                "row": Out(data.ArrayLayout(row_slot_layout(organisation), 2)),
                "column": Out(data.ArrayLayout(column_slot_layout(organisation), PSEUDO_CHANNELS)),
                "write": Out(data.ArrayLayout(word, PSEUDO_CHANNELS)),
                "write_mask": Out(data.ArrayLayout(DATA_BITS // 8, PSEUDO_CHANNELS)),
                "write_valid": Out(PSEUDO_CHANNELS),
                "read": In(data.ArrayLayout(word, PSEUDO_CHANNELS)),
                "read_valid": In(PSEUDO_CHANNELS),
                "cke": Out(1, init=0),
                "reset_n": Out(1, init=0),
                "temperature": In(3),
                "catastrophic": In(1),
                "address_error": In(2),
                "init_start": Out(1),
                "init_complete": In(1),
                "update_request": In(1),
                "update_acknowledge": Out(1),
            }
        )
