"""The tile's command: one loop nest of weight blocks."""

from amaranth.lib import data, enum

from openppu.config import TileConfig


class Addend(enum.Enum, shape=2):
    """What the first K block of a command adds its products to."""

    ZERO = 0
    ACCUMULATOR = 1
    STREAM = 2


class Cause(enum.Enum, shape=4):
    """What a cycle went to; the first that holds wins. ``docs/tile.md`` defines each."""

    COMPUTE = 0
    WEIGHTS = 1
    ADDENDS = 2
    OUTPUT = 3
    DEPENDENCE = 4
    ACTIVATIONS = 5
    FILL = 6
    DRAIN = 7
    IDLE = 8


def command_layout(config: TileConfig) -> data.StructLayout:
    """The fields of a command, in the order of their bits; ``docs/tile.md`` defines each."""
    row_count = config.accumulator_bits + 1
    address = config.address_bits
    return data.StructLayout(
        {
            "format": 3,
            "addend": Addend,
            "emit": 1,
            "m": row_count,
            "n_blocks": row_count,
            "k_blocks": config.count_bits,
            "k_last": range(config.rows + 1),
            "accumulator": config.accumulator_bits,
            "a_base": address,
            "a_k_stride": address,
            "a_row_stride": address,
            "b_base": address,
            "b_k_stride": address,
            "b_n_stride": address,
            "b_row_stride": address,
        }
    )
