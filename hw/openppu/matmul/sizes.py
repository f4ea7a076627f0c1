"""Widths that follow from a chip's description."""

from dataclasses import dataclass, replace
from typing import Self

from openppu.config import ChipConfig, ConfigError, TileConfig
from openppu.formats.operand import formats_named
from openppu.formats.spec import Format

ADDRESS_BITS = 24
"""Of a byte in a scratchpad."""

COUNT_BITS = 16
"""Of m, n and k."""

GRAIN = 8
"""Bytes: every address and stride is a multiple of it."""


def result_grain(columns: int, element: int) -> int:
    """Bytes that a row of D takes a multiple of, for elements of so many bytes."""
    return min(GRAIN, columns * element)


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What the parts of an engine are cut to.

    Parameters
    ----------
    tile : TileConfig
        The tile inside; its own addresses are not used.
    word_bytes : int
        A word of the scratchpad.
    port_address_bits : int
        Width of a word's number.
    commands : int
        Commands that are worked on at a time.
    stochastic : bool
        Stochastic rounding is built in.
    """

    tile: TileConfig
    word_bytes: int
    port_address_bits: int
    commands: int
    stochastic: bool

    @classmethod
    def of(cls, chip: ChipConfig) -> Self:
        """The sizes for a chip.

        Raises
        ------
        ConfigError
            If the tile is not made of powers of two.
        """
        tile = chip.tile
        for key, lanes in (("rows", tile.rows), ("columns", tile.columns)):
            if lanes.bit_count() != 1:
                raise ConfigError(f"tile.{key} = {lanes}: the matmul engine needs a power of two")
        count_bits = max(4, COUNT_BITS + 1 - (tile.rows.bit_length() - 1))
        inside = replace(tile, address_bits=4, count_bits=count_bits)
        return cls(
            tile=inside,
            word_bytes=chip.scratchpad.word_bytes,
            port_address_bits=chip.scratchpad.address_bits,
            commands=chip.matmul.commands,
            stochastic=chip.matmul.stochastic and tile.has_float,
        )

    @property
    def row_bits(self) -> int:
        """Logarithm of the tile's rows."""
        return self.tile.rows.bit_length() - 1

    @property
    def column_bits(self) -> int:
        """Logarithm of the tile's columns."""
        return self.tile.columns.bit_length() - 1

    @property
    def word_bits(self) -> int:
        """Width of a byte's number in a word."""
        return self.word_bytes.bit_length() - 1

    @property
    def block_bits(self) -> int:
        """Width of a number of blocks along n or k, or of rows."""
        return max(self.tile.count_bits, self.tile.accumulator_bits + 1)

    @property
    def floats(self) -> tuple[Format, ...]:
        """The float formats."""
        return formats_named(self.tile.float_formats)
