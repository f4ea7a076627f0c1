"""Where an address lies: channel, pseudo-channel, bank and row. ``docs/hbm.md`` defines the mappings."""

from dataclasses import dataclass

import numpy as np
from openppu.hbm.config import ChannelConfig
from openppu.hbm.settings import Mapping, Settings

from openppu_sim.errors import UserError

LOWER = 3
"""Bits of an access's address below that of the pseudo-channel: an access's place in its granule."""

ODD = (7, 5, 3, 1)
"""Odd factors of numbers of channels."""

UNIT = 256
"""Bytes that neighbour in one channel before the next channel's turn comes: a granule."""


@dataclass(frozen=True)
class Places:
    """Places of accesses in a channel; arrays of one shape. A bank's number is SID, bank group, bank."""

    pc: np.ndarray
    bank: np.ndarray
    row: np.ndarray
    column: np.ndarray


def split(access: np.ndarray, config: ChannelConfig, settings: Settings) -> Places:
    """Where accesses lie, as `openppu.hbm.address.AddressMap` has it.

    Parameters
    ----------
    access : array of int64
        Numbers of accesses (32 bytes) of the channel, within its capacity.
    config : ChannelConfig
    settings : Settings
        ``mapping`` and ``hash_banks`` count.
    """
    of = config.organisation
    rest = access >> (LOWER + 1)

    def field(count: int) -> np.ndarray:
        nonlocal rest
        value = rest % count
        rest = rest // count
        return value

    low_sids = of.sids if of.sids & (of.sids - 1) == 0 else 1
    upper_columns = of.columns >> LOWER
    if settings.mapping == Mapping.COLUMN_LOWEST:
        column, bank, group, sid = (field(n) for n in (upper_columns, of.banks_per_group, of.bank_groups, low_sids))
    else:
        group, bank, sid, column = (field(n) for n in (of.bank_groups, of.banks_per_group, low_sids, upper_columns))
    row = field(of.rows)
    if low_sids != of.sids:
        sid = rest
    if settings.hash_banks:
        group = group ^ (row & 3) ^ column
        bank = bank ^ (row >> 2 & 3)
        if of.sids == 2:
            sid = sid ^ (row >> 4 & 1)
    number = (sid * of.bank_groups + group) * of.banks_per_group + bank
    return Places(access >> LOWER & 1, number, row, column << LOWER | (access & ((1 << LOWER) - 1)))


@dataclass(frozen=True)
class Interleave:
    """How addresses are spread over channels: `UNIT` bytes to each, in an order that is hashed.

    A unit's number, u, is cut into ``low``, its lowest bits, a value for each power of two in ``channels``, and the
    rest, v. With three times a power of two, v is divided by three: q is the quotient, and ``third`` the remainder plus
    q, modulo three; five and seven likewise; otherwise q = v. All groups of bits of q, each as wide as ``low``, are
    XORed onto ``low``. The channel is ``third`` and ``low``, ``third`` above. The unit's number in its channel is q,
    onto whose lowest bit, which chooses the pseudo-channel, each fifth bit above it is XORed.

    So every run of as many units as there are channels, if aligned, visits each of them once, and strides of powers of
    two, and three times one, do not stay in a few of them. Of six stacks of eight channels, the stack is channel // 8.

    Parameters
    ----------
    channels : int
        A power of two, or three, five or seven times one, up to 96.

    Raises
    ------
    UserError
        If it is none of these.
    """

    channels: int

    def __post_init__(self) -> None:
        odd = self.channels
        while odd > 1 and odd % 2 == 0:
            odd //= 2
        if odd not in ODD or not 1 <= self.channels <= 96:
            raise UserError(
                f"{self.channels} channels: give a power of two, or 3, 5 or 7 times one, from 1 to 96 (a stack has 8)"
            )

    def locate(self, address: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The channel of each address (bytes, int64), and its address in that channel."""
        thirds = next(odd for odd in ODD if self.channels % odd == 0)
        lows = self.channels // thirds
        bits = lows.bit_length() - 1
        unit, offset = address // UNIT, address % UNIT
        low, upper = unit % lows, unit // lows
        local = upper // thirds
        third = (upper + local) % thirds
        channel = third * lows + (low ^ _folded(local, bits) if bits else low)
        pc = _folded(local >> 5, 5) & 1 if self.channels > 1 else 0
        return channel, (local ^ pc) * UNIT + offset


def _folded(value: np.ndarray, bits: int) -> np.ndarray:
    """The XOR of all groups of so many bits."""
    folded = value & ((1 << bits) - 1)
    while (value := value >> bits).any():
        folded = folded ^ (value & ((1 << bits) - 1))
    return folded
