"""The data of writes, on its way to the memory."""

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from openppu.hbm import phy
from openppu.hbm.config import GRANULE, ChannelConfig
from openppu.hbm.error_code import POISON, check_bits
from openppu.hbm.mode_registers import mode_fields
from openppu.hbm.settings import settings_layout
from openppu.hbm.write_buffer import MASK_BITS, slot_layout

FETCH = 2
"""Clocks from naming a word to having it at the PHY, and so from its command at least."""

MOST_DELAY = mode_fields()["WL"].values[-1] // 2
"""Clocks from a write's command to its word, at most: ``WL // 2``."""


def write_issue_layout(config: ChannelConfig) -> data.StructLayout:
    """A write command, in its clock: the word in the write buffer; ``last`` of its entry."""
    return data.StructLayout({"valid": 1, "word": range(GRANULE), "slot": range(config.writes), "last": 1})


class WritePath(wiring.Component):
    """Brings the word of each write command to the PHY in time, with its check bits.

    Those of a poisoned word are inverted by `POISON`.

    Latency: ``WL // 2`` clocks from ``issue`` to ``write``, 2 to 8. Throughput: one word a cycle.

    Members
    -------
    settings : In(settings_layout())
    issue : In(write_issue_layout(config))
        In the clock in which the command is on the column bus.
    read : Out(struct word, slot)
        To the write buffer, whose ``data``, ``mask`` and ``poisoned`` come a cycle later.
    data, mask, poisoned : In
    released : Out(slot_layout(config))
        The last word of the entry is being fetched: its slot is free.
    write, write_mask, write_valid : Out
        To the PHY.
    """

    def __init__(self, config: ChannelConfig):
        self.config = config
        super().__init__(
            {
                "settings": In(settings_layout()),
                "issue": In(write_issue_layout(config)),
                "read": Out(data.StructLayout({"word": range(GRANULE), "slot": range(config.writes)})),
                "data": In(phy.DATA_BITS),
                "mask": In(MASK_BITS),
                "poisoned": In(1),
                "released": Out(slot_layout(config)),
                "write": Out(phy.word_layout()),
                "write_mask": Out(MASK_BITS),
                "write_valid": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # It is the small command that waits, not the word.
        ages = [self.issue]
        for age in range(1, MOST_DELAY - FETCH + 1):
            older = Signal(self.issue.shape(), name=f"issue_{age}")
            m.d.sync += older.eq(ages[-1])
            ages.append(older)
        fetch = Signal(self.issue.shape())
        wait = Signal(range(len(ages)))
        m.d.comb += [
            wait.eq((self.settings.timing.WL >> 1) - FETCH),
            fetch.eq(Array(age.as_value() for age in ages)[wait]),
            self.read.word.eq(fetch.word),
            self.read.slot.eq(fetch.slot),
            self.released.valid.eq(fetch.valid & fetch.last),
            self.released.slot.eq(fetch.slot),
        ]

        fetched = Signal()
        word = Signal(phy.word_layout(), reset_less=True)
        mask = Signal(MASK_BITS, reset_less=True)
        m.d.sync += [fetched.eq(fetch.valid), self.write_valid.eq(fetched), word.data.eq(self.data)]
        if self.config.ecc == "none":
            m.d.sync += mask.eq(self.mask)
        else:
            poison = Mux(self.poisoned, POISON, 0)
            m.d.sync += [word.check.eq(check_bits(self.config, self.data) ^ poison), mask.eq(-1)]
        m.d.comb += [self.write.eq(word), self.write_mask.eq(mask)]
        return m
