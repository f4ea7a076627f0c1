"""What a run may change in a port's training: how long it waits."""

from dataclasses import asdict, dataclass
from typing import Any

from amaranth.lib import data

from openppu.section import ConfigError

TIME_BITS = 32
PATIENCE_BITS = 16
COUNT_BITS = 8

_BITS = {"patience": PATIENCE_BITS, "bad_flits": COUNT_BITS, "attempts": COUNT_BITS}
_LEAST = {"patience": 0, "settle_least": 0, "settle_most": 1, "bad_flits": 1}


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Times are in link clocks; a timeout of 0 waits for ever.

    The defaults suit a SerDes whose lanes are locked when they report a signal. One that needs time after that to find
    the best sampling point wants ``settle_least``, ``settle_most`` and the timeouts longer.

    Raises
    ------
    ConfigError
        If a value is outside its range.
    """

    detect_timeout: int = 0
    """In `DETECT`, without a signal on any lane; then the port has failed."""
    align_timeout: int = 16384
    """In `ALIGN`."""
    width_timeout: int = 4096
    """In `WIDTH`."""
    start_timeout: int = 4096
    """In `START`."""
    retrain_timeout: int = 4096
    """In `RETRAIN`, without any block of the other port."""
    reset_timeout: int = 16384
    """In `HOT_RESET`, without the answer of the other port."""
    sleep_timeout: int = 0
    """In `SLEEP`; then the port trains again."""
    failed_timeout: int = 1 << 20
    """In `FAILED`; then the port trains again."""
    silence_timeout: int = 1 << 16
    """In `ACTIVE` and `DEGRADED`, without any flit, good or bad; then the port trains again."""
    attempts: int = 8
    """Timeouts in a row, after which the port has failed; 0: never."""
    settle_least: int = 64
    """How long lanes that are not heard yet are waited for, beside others that are, before they are left out."""
    settle_most: int = 704
    """The same for lanes with a signal: time to look for blocks at every bit."""
    patience: int = 256
    """Words that a lane waits for blocks at its last bit offset before it looks elsewhere: more than a round trip."""
    bad_flits: int = 8
    """Bad flits in a row, after which the port trains again."""
    revive_after: int = 0
    """How long more lanes must be heard than carry data, before the port trains again to use them; 0: never."""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            least, most = _LEAST.get(name, 0), (1 << _BITS.get(name, TIME_BITS)) - 1
            if not least <= value <= most:
                raise ConfigError(f"settings.{name} = {value}: give {least} to {most}")

    def values(self) -> dict[str, Any]:
        """For a member of `settings_layout`."""
        return asdict(self)


def settings_layout() -> data.StructLayout:
    """The fields of `TrainingSettings`."""
    return data.StructLayout({name: _BITS.get(name, TIME_BITS) for name in asdict(TrainingSettings())})
