"""What the mode registers of the device must hold, so that it does as the controller takes it to do; for the checker.

It is written from the description of the registers alone (``docs/hbm.md``): neither the controller nor its table of
them is used.
"""

from collections.abc import Callable
from dataclasses import dataclass

from openppu.hbm.config import ChannelConfig
from openppu.hbm.device import Timing
from openppu.hbm.settings import Settings

REGISTERS = 16


@dataclass(frozen=True, kw_only=True)
class Driven:
    """How a controller drives the device, as far as the mode registers say the same.

    Parameters
    ----------
    timing : Timing
    ecc : bool
        The wires of the mask carry check bits.
    parity : bool
        Commands have parity.
    """

    timing: Timing
    ecc: bool = True
    parity: bool = True

    @classmethod
    def of(cls, config: ChannelConfig, settings: Settings, timing: Timing | None = None) -> "Driven":
        """As a channel does; with another device's timing, if given."""
        parity = config.retry and settings.parity_latency > 0
        return cls(timing=timing or settings.timing, ecc=config.ecc != "none", parity=parity)


@dataclass(frozen=True)
class ModeRule:
    """A field, and its value.

    Parameters
    ----------
    name : str
        What a violation is called.
    bits : tuple of (int, int, int)
        Register, top bit and low bit of each part, from the top down.
    wanted : callable
        The value that it must hold.
    first : int
        The value of code 0.
    """

    name: str
    bits: tuple[tuple[int, int, int], ...]
    wanted: Callable[[Driven], int]
    first: int = 0

    @property
    def places(self) -> list[int]:
        """Eight times the register and the bit, of each bit from the lowest up."""
        return [8 * number + bit for number, top, low in reversed(self.bits) for bit in range(low, top + 1)]

    def code(self, driven: Driven) -> int:
        """What its bits hold: the largest for a time that is longer."""
        return min(self.wanted(driven) - self.first, (1 << len(self.places)) - 1)


MODE_RULES = (
    ModeRule("mode_test", ((0, 7, 7),), lambda d: 0),
    ModeRule("mode_command_parity", ((0, 6, 6),), lambda d: d.parity),
    ModeRule("mode_data_parity", ((0, 5, 4),), lambda d: 0),
    ModeRule("mode_tWR", ((1, 4, 0),), lambda d: d.timing.tWR),
    ModeRule("mode_WL", ((4, 4, 4), (2, 2, 0)), lambda d: d.timing.WL, first=1),
    ModeRule("mode_RL", ((4, 5, 5), (2, 7, 3)), lambda d: d.timing.RL, first=2),
    ModeRule("mode_tRAS", ((3, 5, 0),), lambda d: d.timing.tRAS),
    ModeRule("mode_bank_groups", ((3, 6, 6),), lambda d: 1),
    ModeRule("mode_burst", ((3, 7, 7),), lambda d: 1),
    ModeRule("mode_ecc", ((4, 0, 0),), lambda d: d.ecc),
    ModeRule("mode_no_mask", ((4, 1, 1),), lambda d: d.ecc),
    ModeRule("mode_parity_latency", ((4, 3, 2),), lambda d: 0),
    ModeRule("mode_target_row", ((5, 7, 7),), lambda d: 0),
    ModeRule("mode_tRP", ((6, 7, 3),), lambda d: d.timing.tRP, first=2),
    ModeRule("mode_loopback", ((7, 0, 0),), lambda d: 0),
    ModeRule("mode_catastrophic", ((7, 7, 7),), lambda d: 0),
)
"""What the PHY or the board decides (inversion, drivers, reference, self-refresh by temperature) has no rule."""


def mode_lines(driven: Driven) -> list[str]:
    """What the C++ checker reads: a line a field: name, the value of code 0, the code, the bits' places."""
    return [
        f"mode {rule.name} {rule.first} {rule.code(driven)} {' '.join(map(str, rule.places))}" for rule in MODE_RULES
    ]


def obeyed(driven: Driven) -> bytes:
    """Registers that break no rule."""
    registers = bytearray(REGISTERS)
    for rule in MODE_RULES:
        for number, place in enumerate(rule.places):
            registers[place // 8] |= (rule.code(driven) >> number & 1) << place % 8
    return bytes(registers)
