"""What a channel's controller is built for."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from openppu.hbm.device import HEIGHTS, Organisation, organisation
from openppu.section import ConfigError

GRANULE = 8
"""Accesses (of 32 bytes) of a granule: 256 aligned bytes, which every mapping keeps in one row of one bank."""

MOST_ACCESSES = 128
"""Accesses of one request: 4 KiB."""

ALLOWED: dict[str, Sequence[Any]] = {
    "height": HEIGHTS,
    "ports": range(1, 9),
    "tags": (1, 2, 4, 8, 16),
    "reads": (8, 16, 32, 64),
    "writes": (8, 16, 32, 64),
    "slots": (8, 16, 32, 64),
    "ecc": ("none", "secded", "symbol"),
    "hammer_entries": (0, 8, 32, 64, 128),
    "retry": (False, True),
}


@dataclass(frozen=True, kw_only=True)
class ChannelConfig:
    """A channel's controller, as built. What a run may change is in `openppu.hbm.settings`.

    Parameters
    ----------
    height : int
        Dies of the stack: 4, 8 or 12, which is 16, 32 or 48 banks a pseudo-channel.
    ports : int, 1 to 8
        Request ports.
    tags : int
        Tags of a port; within one, responses keep the order.
    reads, writes : int
        Entries of a pseudo-channel's two queues; an entry is up to 8 accesses within a granule.
    slots : int
        Granules that a port can have on their way from one pseudo-channel.
    ecc : str
        "secded" for 8 check bits on each 64 data bits, which correct a bit; "symbol" for 32 on the 256 of an access,
        which correct a pair of wires; or "none" for byte masks instead.
    hammer_entries : int
        Rows of each bank whose activations are counted at a time, for protection from row hammer; 0 for none. See
        `openppu.hbm.hammer_table.least_threshold`.
    retry : bool
        Send commands again that the device did not take for wrong parity.

    Raises
    ------
    ConfigError
        If a value is none of those allowed.
    """

    height: int = 8
    ports: int = 2
    tags: int = 4
    reads: int = 64
    writes: int = 64
    slots: int = 64
    ecc: str = "secded"
    hammer_entries: int = 0
    retry: bool = False

    def __post_init__(self) -> None:
        for f in fields(self):
            value, allowed = getattr(self, f.name), ALLOWED[f.name]
            if type(value) is not type(allowed[0]) or value not in allowed:
                raise ConfigError(f"hbm.{f.name} = {value!r}: give one of {', '.join(map(str, allowed))}")

    @property
    def organisation(self) -> Organisation:
        """The stack's dimensions."""
        return organisation(self.height)

    @property
    def accesses(self) -> int:
        """Capacity of the channel: accesses of 32 bytes, over both PCs."""
        of = self.organisation
        return of.pseudo_channels * of.banks * of.rows * of.columns

    @property
    def address_bits(self) -> int:
        """Width of a request's address, which counts accesses."""
        return (self.accesses - 1).bit_length()
