"""The registers of a chip's scratchpads: what was wrong with their words."""

from collections.abc import Iterator

from amaranth.lib import data

from openppu.common.register_map import Register, field_registers
from openppu.common.unit_registers import unit_registers
from openppu.scratchpad.config import ScratchpadConfig
from openppu.scratchpad.error_log import error_log_layout

ADDRESS_BITS = 8
"""Of an address in bytes."""

_STATUS = 0x040
_MEANING = {
    "corrected": "words that were read with one wrong bit, and corrected",
    "uncorrectable": "words that were read wrong beyond correction",
    "repaired": "words that were written back right",
    "scrubbed": "words that were read for wrong bits while nobody wanted their bank",
    "record_valid": "there is a record: the first since `clear`, or the first that is worse",
    "record_uncorrectable": "of that word: it was wrong beyond correction",
    "record_address": "of the eight bytes, in eights",
    "record_syndrome": "of them",
    "filling": "its words are not all zero yet after a reset",
}


def strobes_layout() -> data.StructLayout:
    """What software starts."""
    return data.StructLayout({"clear": 1})


def status_layout(config: ScratchpadConfig) -> data.StructLayout:
    """What software sees, of one compute unit."""
    return data.StructLayout({"log": error_log_layout(config), "filling": 1})


def registers(config: ScratchpadConfig, units: int) -> tuple[Register, ...]:
    """All of them, for as many compute units."""
    return tuple(_registers(config, units))


def _registers(config: ScratchpadConfig, units: int) -> Iterator[Register]:
    yield from unit_registers(
        identity="PAD1",
        units=units,
        chosen="the one that all else is of",
        strobe="clear",
        starts="1: its counts become 0, and its record is forgotten",
    )
    yield from field_registers(
        status_layout(config), ("status",), _STATUS, lambda name: _MEANING[name.removeprefix("log_")]
    )
