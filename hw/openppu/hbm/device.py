"""The memory device as data: timing and organisation, read from the tables in ``devices/``.

Nothing else in the project holds a timing number. Times are in memory clocks (CK); a minimum in nanoseconds is rounded
up, ``ceil(ns / tCK)``, and never less.
"""

import math
import tomllib
from dataclasses import dataclass, fields
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

from openppu.section import ConfigError

FOLDER = Path(__file__).parent / "devices"
DEVICES = ("HBM2E_3200", "HBM2E_3600", "HBM2_2000", "HBM2_2400")
HEIGHTS = (4, 8, 12)

BURST = 2
"""Memory clocks of the data bus that one access takes: burst length 4, two transfers a clock."""

ACTIVATE_SLOTS = 2
"""Memory clocks of the row bus that an ACT takes; every other command takes one."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """A device's timing, in memory clocks; ``docs/hbm.md`` says between which commands each stands.

    Raises
    ------
    ConfigError
        If values contradict each other, such as ``tRC`` below ``tRAS + tRP``.
    """

    RL: int
    WL: int
    tRCDRD: int
    tRCDWR: int
    tRP: int
    tRAS: int
    tRC: int
    tCCDS: int
    tCCDL: int
    tCCDR: int
    tRRDS: int
    tRRDL: int
    tFAW: int
    tWTRS: int
    tWTRL: int
    tRTP: int
    tWR: int
    tRTW: int
    tREFI: int
    tRFC: int
    tRFCSB: int
    tRREFD: int
    tXP: int
    tXS: int
    tCKE: int
    tMRD: int

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if type(value) is not int or not 1 <= value < 1 << TIMING_BITS:
                raise ConfigError(
                    f"timing.{f.name} = {value!r}: give clocks, an integer from 1 to {2**TIMING_BITS - 1}"
                )
        for name, least, why in (
            # Each is rounded up on its own, so the sum may exceed the whole by one.
            ("tRC", self.tRAS + self.tRP - 1, "tRAS + tRP"),
            ("tCCDS", BURST, "the burst"),
            ("tCCDL", self.tCCDS, "tCCDS"),
            ("tCCDR", BURST, "the burst"),
            ("tRRDL", self.tRRDS, "tRRDS"),
            ("tWTRL", self.tWTRS, "tWTRS"),
            ("tRTW", max(1, self.RL + BURST - self.WL), "RL + burst - WL"),
            ("tRAS", self.tRCDRD, "tRCDRD"),
            ("tREFI", self.tRFC + 1, "tRFC + 1"),
            ("tXS", self.tRFC, "tRFC"),
        ):
            if getattr(self, name) < least:
                raise ConfigError(f"timing.{name} = {getattr(self, name)}: impossible; at least {why}, {least} clocks")


TIMING_BITS = 16


@dataclass(frozen=True, kw_only=True)
class Device:
    """A timing table.

    Parameters
    ----------
    name : str
    pin_rate_gbps : float
        Transfers of one data pin, Gb/s.
    clock_ns : Fraction
        Period of the memory clock, ns: two transfers.
    timing : Timing
    sources : dict of str to str
        Where each timing value is from.
    unverified : tuple of str
        Values that no data sheet at hand confirms.
    """

    name: str
    pin_rate_gbps: float
    clock_ns: Fraction
    timing: Timing
    sources: dict[str, str]
    unverified: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Organisation:
    """A stack's dimensions; a bank's number is SID, bank group, bank, from the top bit down."""

    height: int
    channels: int
    pseudo_channels: int
    sids: int
    bank_groups: int
    banks_per_group: int
    rows: int
    columns: int
    access_bytes: int

    @property
    def banks(self) -> int:
        """Banks of a pseudo-channel, over all SIDs."""
        return self.sids * self.bank_groups * self.banks_per_group

    @property
    def pseudo_channel_bytes(self) -> int:
        """Capacity of a pseudo-channel."""
        return self.banks * self.rows * self.columns * self.access_bytes

    @property
    def stack_bytes(self) -> int:
        """Capacity of a stack."""
        return self.channels * self.pseudo_channels * self.pseudo_channel_bytes


@cache
def device(name: str) -> Device:
    """The timing table of a device in ``DEVICES``.

    Raises
    ------
    ConfigError
        If there is no such device.
    """
    if name not in DEVICES:
        raise ConfigError(f"hbm.device = {name!r}: unknown device; give one of {', '.join(DEVICES)}")
    table = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    clock = 2 / Fraction(str(table["pin_rate_gbps"]))
    rows: dict[str, dict[str, Any]] = table["timing"]
    return Device(
        name=name,
        pin_rate_gbps=table["pin_rate_gbps"],
        clock_ns=clock,
        timing=Timing(**{key: _clocks(row, clock) for key, row in rows.items()}),
        sources={key: row["source"] for key, row in rows.items()},
        unverified=tuple(key for key, row in rows.items() if not row.get("verified", True)),
    )


def _clocks(row: dict[str, Any], clock: Fraction) -> int:
    return row["ck"] if "ck" in row else math.ceil(Fraction(str(row["ns"])) / clock)


@cache
def organisation(height: int) -> Organisation:
    """The dimensions of a stack of so many dies.

    Raises
    ------
    ConfigError
        If they are none of ``HEIGHTS``.
    """
    if height not in HEIGHTS:
        raise ConfigError(f"hbm.height = {height!r}: give one of {', '.join(map(str, HEIGHTS))}")
    table = tomllib.loads((FOLDER / "organisation.toml").read_text(encoding="utf-8"))
    return Organisation(height=height, **table["common"], **table[str(height)])
