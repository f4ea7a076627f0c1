"""Fields of layouts, taken from words and put into them as plain numbers: many thousands a second."""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Shape
from amaranth.lib import data


class Bits:
    """Where the fields of a layout are; those of a layout inside are named with a dot, places of an array by number.

    Parameters
    ----------
    layout : StructLayout
        Its fields are not signed.
    """

    def __init__(self, layout: data.StructLayout) -> None:
        self.places = dict(_places(layout))
        """Of each field its lowest bit, and a mask of its width."""

    def unpack(self, word: int) -> dict[str, int]:
        """All fields of a word."""
        return {name: word >> low & mask for name, (low, mask) in self.places.items()}

    def pack(self, values: Mapping[str, int]) -> int:
        """A word of fields; those that are left out are 0."""
        word = 0
        for name, value in values.items():
            low, mask = self.places[name]
            word |= (value & mask) << low
        return word


def _places(layout: Any, prefix: str = "", low: int = 0) -> Any:
    for name, field in layout:
        if isinstance(field.shape, data.Layout):
            yield from _places(field.shape, f"{prefix}{name}.", low + field.offset)
        else:
            yield f"{prefix}{name}", (low + field.offset, (1 << Shape.cast(field.shape).width) - 1)
