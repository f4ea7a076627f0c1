"""What a run may change in a controller: timing and policies, held by its registers."""

from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from typing import Any

from amaranth.lib import data, enum

from openppu.config import ConfigError
from openppu.hbm.config import ChannelConfig
from openppu.hbm.device import BURST, TIMING_BITS, Timing, device
from openppu.hbm.hammer_table import least_threshold
from openppu.hbm.mode_registers import MODE_BITS, MODE_NAMES, encoded, first_values, mode_fields
from openppu.hbm.stacks import HbmConfig


class Mapping(enum.Enum, shape=1):
    """How an address splits, from its top bits down; every one keeps a granule (256 bytes) together."""

    INTERLEAVED = 0
    """row, upper column, SID, bank, bank group, PC, lower column: neighbouring granules lie in other bank groups."""
    COLUMN_LOWEST = 1
    """row, SID, bank group, bank, column, PC, lower column: a row is read to its end before the next bank."""


class Page(enum.Enum, shape=2):
    """When a row is closed."""

    OPEN = 0
    CLOSED = 1
    ADAPTIVE = 2


class Refresh(enum.Enum, shape=1):
    """Which command refreshes."""

    SINGLE_BANK = 0
    ALL_BANK = 1


MOST_PARITY_LATENCY = 7

_LONG = (1 << TIMING_BITS) - 1
_MOST = {"RL": 63, "WL": mode_fields()["WL"].values[-1], "tRC": 1000, "tRFCSB": 1000}
_MOST |= dict.fromkeys(("tREFI", "tRFC", "tXS", "tMRD"), _LONG)
_MOST_OTHER = 240
"""The rest are summed, up to four of them, into counters of ten bits."""

_LEAST = {name: mode_fields()[name].values[0] for name in ("RL", "tWR", "tRAS", "tRP")}
_LEAST |= {"WL": 4, "tCCDS": BURST, "tCCDL": BURST, "tCCDR": BURST}
"""What a mode register holds at least. `openppu.hbm.write_path` takes two clocks to fetch a word. The rest: 1."""

SCRUB_INTERVAL_BITS = 24

GROUPS = ("timing", "modes")
"""Settings that are many."""

_ALLOWED = {
    "write_high": range(1, 128),
    "write_low": range(128),
    "age_limit": range(2, 1 << 16),
    "read_delay": range(16),
    "power_down_after": range(1 << 16),
    "self_refresh_after": range(1 << 24),
    "scrub_interval": range(1 << SCRUB_INTERVAL_BITS),
    "scrub_idle": range(1 << 16),
    "hammer_threshold": range(8, 1 << 15),
    "hammer_window": range(1, 1 << 14),
    "hammer_reach": range(1, 3),
    "parity_latency": range(MOST_PARITY_LATENCY + 1),
}

_KINDS = {"mapping": Mapping, "hash_banks": bool, "page": Page, "refresh": Refresh, "refresh_enable": bool}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Values for a controller's registers.

    Parameters
    ----------
    timing : Timing
    mapping : Mapping
    hash_banks : bool
        XOR the bank's bits with bits of the row, so that rows of a regular pattern do not meet in one bank.
    page : Page
    refresh : Refresh
    refresh_enable : bool
    write_high, write_low : int
        Write entries at which a batch of writes begins, and down to which it goes on while reads wait.
    age_limit : int
        Controller clocks that a read or write may wait before its direction and its bank are served first.
    read_delay : int, 0 to 15
        Controller clocks that the PHY adds between a read's command and its word, as its training found.
    power_down_after, self_refresh_after : int
        Controller clocks without a request after which the memory goes to power-down, to self-refresh; 0: never.
    scrub_interval : int
        Controller clocks from granule to granule that the scrubber reads; 0: none is read.
    scrub_idle : int
        Controller clocks that must have been idle before one; it waits for that no longer than another interval.
    hammer_threshold : int
        Activations of a row in a window after which its neighbours are refreshed.
    hammer_window : int
        tREFI after which the count begins again: tREFW, in which the device refreshes every row, or less.
    hammer_reach : int, 1 or 2
        How far away rows are still neighbours.
    parity_latency : int, 0 to 7
        Controller clocks from a command on the bus to the PHY's ``address_error`` for it; 0: such errors are ignored.
    modes : tuple of 16 int, optional
        The device's mode registers; by default what the others and the channel's features ask for.

    Raises
    ------
    ConfigError
        If a value is beyond what the controller's counters hold, WL is less than its write path takes, or the errors of
        commands come too late.
    """

    timing: Timing = field(default_factory=lambda: device("HBM2E_3200").timing)
    mapping: Mapping = field(default=Mapping(0))
    hash_banks: bool = False
    page: Page = field(default=Page(2))
    refresh: Refresh = field(default=Refresh(0))
    refresh_enable: bool = True
    write_high: int = 48
    write_low: int = 8
    age_limit: int = 2000
    read_delay: int = 0
    power_down_after: int = 0
    self_refresh_after: int = 0
    scrub_interval: int = 0
    scrub_idle: int = 64
    hammer_threshold: int = 5300
    hammer_window: int = 8192
    hammer_reach: int = 1
    parity_latency: int = 0
    modes: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        for name, value in asdict(self.timing).items():
            most = _MOST.get(name, _MOST_OTHER)
            if value > most:
                raise ConfigError(f"timing.{name} = {value}: the controller counts at most {most} memory clocks of it")
            if value < (least := _LEAST.get(name, 1)):
                raise ConfigError(f"timing.{name} = {value}: the controller takes at least {least} memory clocks")
        for name, allowed in _ALLOWED.items():
            value = getattr(self, name)
            if type(value) is not int or value not in allowed:
                raise ConfigError(f"settings.{name} = {value}: give {allowed[0]} to {allowed[-1]}")
        for name, kind in _KINDS.items():
            if not isinstance(value := getattr(self, name), kind):
                raise ConfigError(f"settings.{name} = {value!r}: give a {kind.__name__}")
        if self.modes is not None and (
            len(self.modes) != len(MODE_NAMES) or not all(0 <= each < 1 << MODE_BITS for each in self.modes)
        ):
            raise ConfigError(f"settings.modes = {self.modes}: give {len(MODE_NAMES)} numbers from 0 to 255")
        t, late = self.timing, self.parity_latency
        known = min(t.tRCDRD + 1, t.tRCDWR + 1, t.tRP, t.RL + BURST + 2 * self.read_delay - 2) // 2 - 2
        if late and late > known:
            raise ConfigError(
                f"settings.parity_latency = {late}: give 0 to {max(0, known)}, for the timing lets a command follow "
                "that depends on a lost one"
            )

    def mode_registers(self, config: ChannelConfig) -> tuple[int, ...]:
        """What the device's mode registers hold behind such a channel."""
        parity = config.retry and self.parity_latency > 0
        return encoded(first_values(config, self.timing, parity=parity)) if self.modes is None else self.modes

    def values(self, config: ChannelConfig | None = None) -> dict[str, Any]:
        """As a constant of `settings_layout`, for such a channel."""
        registers = self.mode_registers(config or ChannelConfig())
        flat = asdict(self) | {"modes": dict(zip(MODE_NAMES, registers, strict=True))}
        return {name: value.value if isinstance(value, Enum) else value for name, value in flat.items()}


def first_settings(memory: HbmConfig) -> Settings:
    """What a chip's controllers start with: the timing of its device, and where they count activations, a threshold for
    which their tables are large enough."""
    settings = Settings(timing=device(memory.device).timing)
    if not memory.hammer_entries:
        return settings
    window = settings.hammer_window
    while (least := least_threshold(memory.hammer_entries, window, settings.timing)) > _ALLOWED["hammer_threshold"][-1]:
        window //= 2
    return replace(settings, hammer_window=window, hammer_threshold=max(settings.hammer_threshold, least))


def settings_layout() -> data.StructLayout:
    """The settings as the controller's parts see them."""
    return data.StructLayout(
        {
            "timing": data.StructLayout({name: TIMING_BITS for name in Timing.__dataclass_fields__}),
            "modes": data.StructLayout(dict.fromkeys(MODE_NAMES, MODE_BITS)),
            "mapping": Mapping,
            "hash_banks": 1,
            "page": Page,
            "refresh": Refresh,
            "refresh_enable": 1,
            "write_high": 7,
            "write_low": 7,
            "age_limit": 16,
            "read_delay": 4,
            "power_down_after": 16,
            "self_refresh_after": 24,
            "scrub_interval": SCRUB_INTERVAL_BITS,
            "scrub_idle": 16,
            "hammer_threshold": 15,
            "hammer_window": 14,
            "hammer_reach": 2,
            "parity_latency": 3,
        }
    )


def limits() -> dict[str, range]:
    """The values that a controller takes, by the setting's name, in the order of `settings_layout`."""
    allowed = {
        name: range(_LEAST.get(name, 1), _MOST.get(name, _MOST_OTHER) + 1) for name in Timing.__dataclass_fields__
    }
    allowed |= dict.fromkeys(MODE_NAMES, range(1 << MODE_BITS))
    for name, shape in settings_layout().members.items():
        if name not in GROUPS:
            allowed[name] = _ALLOWED.get(name, range(2 if isinstance(shape, int) else len(shape)))
    return allowed
