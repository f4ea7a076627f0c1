"""Where an address lies in a channel."""

from amaranth import Cat, Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.hbm.config import ChannelConfig
from openppu.hbm.layouts import place_layout
from openppu.hbm.settings import Mapping, settings_layout

LOWER = 3
"""Bits of the column within a granule; the bit above them is the pseudo-channel's."""


class AddressMap(wiring.Component):
    """Splits an address by the mapping that is set; `docs/hbm.md` defines the mappings.

    Every address within the capacity has a place of its own. Combinational.

    Members
    -------
    settings : In(settings_layout())
    address : In(config.address_bits)
    pc : Out(1)
    place : Out(place_layout(config))
    beyond : Out(1)
        There is no such address; ``pc`` and ``place`` are meaningless.
    """

    def __init__(self, config: ChannelConfig):
        self.config = config
        super().__init__(
            {
                "settings": In(settings_layout()),
                "address": In(config.address_bits),
                "pc": Out(1),
                "place": Out(place_layout(config)),
                "beyond": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        of = self.config.organisation
        row_bits = (of.rows - 1).bit_length()
        stack_bits = (of.sids - 1).bit_length()
        power_of_two = of.sids & (of.sids - 1) == 0
        above = self.address[LOWER + 1 :]

        def split(value, *widths):
            """Fields of a value, the lowest first."""
            fields = []
            for width in widths:
                fields.append(value[:width])
                value = value[width:]
            return fields

        low = stack_bits if power_of_two else 0
        group_a, bank_a, stack_a, column_a, row_a = split(above, 2, 2, low, 2, row_bits)
        column_b, bank_b, group_b, stack_b, row_b = split(above, 2, 2, 2, low, row_bits)
        if not power_of_two:
            stack_a = stack_b = self.address[-stack_bits:]
        lowest = self.settings.mapping == Mapping.COLUMN_LOWEST
        row = Mux(lowest, row_b, row_a)
        column = Mux(lowest, column_b, column_a)
        group = Mux(lowest, group_b, group_a)
        bank = Mux(lowest, bank_b, bank_a)
        stack = Mux(lowest, stack_b, stack_a)

        hash_banks = self.settings.hash_banks.replicate(2)
        hashed = [
            (bank ^ (row[2:4] & hash_banks))[:2],
            (group ^ ((row[0:2] ^ column) & hash_banks))[:2],
            (stack ^ (row[4] & hash_banks[0])) if stack_bits == 1 else stack,
        ]
        m.d.comb += [
            self.pc.eq(self.address[LOWER]),
            self.place.column.eq(Cat(self.address[:LOWER], column)),
            self.place.bank.eq(Cat(*hashed)),
            self.place.row.eq(row),
        ]
        if not power_of_two:
            m.d.comb += self.beyond.eq(self.address[-stack_bits:] >= of.sids)
        return m
