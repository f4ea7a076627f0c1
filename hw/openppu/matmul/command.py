"""The engine's command: one product of matrices in the scratchpad."""

from amaranth import signed
from amaranth.lib import data, enum

from openppu.matmul.sizes import ADDRESS_BITS, COUNT_BITS


class Addend(enum.Enum, shape=4):
    """What the products are added to."""

    ZERO = 0
    ACCUMULATORS = 1
    """What earlier commands left in the accumulators."""
    SCRATCHPAD = 2
    """The matrix C."""


class Result(enum.Enum, shape=4):
    """What becomes of the sums."""

    NONE = 0
    """They stay in the accumulators, for products; the command ends when its operands have been read."""
    SUMS = 1
    """Written as they are: 32 bits each."""
    CONVERTED = 2
    """Written in the format ``result_format``."""
    KEPT = 3
    """They stay in the accumulators, for whoever reads them there; the command ends when all of them are there."""


def command_layout() -> data.StructLayout:
    """The fields of a command, in the order of their bits; ``docs/matmul.md`` defines each. 40 bytes."""
    return data.StructLayout(
        {
            "m": COUNT_BITS,
            "n": COUNT_BITS,
            "k": COUNT_BITS,
            "accumulator": 16,
            "format": 4,
            "addend": Addend,
            "result": Result,
            "result_format": 4,
            "transpose_a": 1,
            "transpose_b": 1,
            "relu": 1,
            "saturate": 1,
            "stochastic": 1,
            "after": 1,
            "reserved": 2,
            "zero_point": signed(8),
            "scale": 32,
            "a_address": ADDRESS_BITS,
            "a_stride": ADDRESS_BITS,
            "b_address": ADDRESS_BITS,
            "b_stride": ADDRESS_BITS,
            "c_address": ADDRESS_BITS,
            "c_stride": ADDRESS_BITS,
            "d_address": ADDRESS_BITS,
            "d_stride": ADDRESS_BITS,
        }
    )
