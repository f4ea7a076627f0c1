"""The device's mode registers as data, read from ``devices/mode_registers.toml``, and the values that a controller's
timing and features ask for.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache

from openppu.hbm.config import ChannelConfig
from openppu.hbm.device import FOLDER, Timing

MODE_REGISTERS = 16
MODE_BITS = 8
MODE_NAMES = tuple(f"MR{number}" for number in range(MODE_REGISTERS))


@dataclass(frozen=True, kw_only=True)
class ModeField:
    """A field of the mode registers.

    Parameters
    ----------
    name : str
    bits : tuple of (int, int)
        Register and bit of each, from the lowest up.
    where : str
        The same in words.
    first : int
        The value of code 0.
    least : int
        The least value that is not reserved.
    value : int or str
        What it holds after the initialisation: a number, or the name of what it follows.
    meaning, source : str
    verified : bool
        More than one public source says so.
    """

    name: str
    bits: tuple[tuple[int, int], ...]
    where: str
    first: int
    least: int
    value: int | str
    meaning: str
    source: str
    verified: bool

    @property
    def values(self) -> range:
        """What it can hold."""
        return range(max(self.first, self.least), self.first + (1 << len(self.bits)))


@cache
def mode_fields() -> dict[str, ModeField]:
    """All fields, by name."""
    table = tomllib.loads((FOLDER / "mode_registers.toml").read_text(encoding="utf-8"))
    return {
        name: ModeField(
            name=name,
            bits=tuple(bit for part in reversed(row["bits"]) for bit in _bits(part)),
            where=", ".join(row["bits"]),
            first=row.get("first", 0),
            least=row.get("least", 0),
            value=row["value"],
            meaning=row["meaning"],
            source=row["source"],
            verified=row.get("verified", True),
        )
        for name, row in table.items()
    }


def _bits(part: str) -> list[tuple[int, int]]:
    """Of ``MR4[5]`` or ``MR2[7:3]``, from the lowest up."""
    found = re.fullmatch(r"MR(\d+)\[(\d)(?::(\d))?\]", part)
    assert found, part
    number, top, low = (int(each) for each in found.groups(found[2]))
    return [(number, bit) for bit in range(low, top + 1)]


def encoded(values: Mapping[str, int]) -> tuple[int, ...]:
    """The sixteen registers that hold these values of fields; what is not named is zero.

    Raises
    ------
    ValueError
        If a field cannot hold its value.
    """
    registers = [0] * MODE_REGISTERS
    for name, value in values.items():
        field = mode_fields()[name]
        if value not in field.values:
            raise ValueError(f"mode register field {name} = {value}: it holds {field.values[0]} to {field.values[-1]}")
        for place, (number, bit) in enumerate(field.bits):
            registers[number] |= (value - field.first >> place & 1) << bit
    return tuple(registers)


def first_values(config: ChannelConfig, timing: Timing, *, parity: bool) -> dict[str, int]:
    """What each field holds after the initialisation; ``parity``: commands of wrong parity are told."""
    follows = asdict(timing) | {"ecc": int(config.ecc != "none"), "parity": int(parity)}
    return {
        name: field.value if isinstance(field.value, int) else min(follows[field.value], field.values[-1])
        for name, field in mode_fields().items()
    }
