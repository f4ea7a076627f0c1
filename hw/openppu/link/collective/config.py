"""What a chip's collective engine is built with."""

from dataclasses import dataclass, field

from openppu.link.config import MOST_DATA_BYTES, LinkConfig
from openppu.section import ConfigError

LANE_BYTES = 4
"""A lane of a reduction adds a binary32 or an int32 a clock; two bf16 in two clocks."""


@dataclass(frozen=True, kw_only=True)
class CollectiveConfig:
    """The engine of a chip with such a link.

    Parameters
    ----------
    link : LinkConfig
        The ports, and B, the bytes of a beat: what a port, a memory stream and a reduction take in a clock.
    window : int, a power of two from 8 to 4,096
        Beats of data to be reduced that a port's receiver has room for. For full rate it must hold what comes during
        a round trip and two packets.
    packet : int, a power of two
        Beats of a packet, at most; a quarter of ``window`` or less, 4 KiB or less.
    reads : int, a power of two from 8 to 256
        Beats that a reader of memory may have on their way or waiting; for full rate at least the memory's latency
        (of HBM, behind a chip's network, some 100 clocks, under load 250) and ``packet``.
    queue : int, from 2 to 16
        Instructions that wait before each part of the engine.

    Raises
    ------
    ConfigError
        If a value is outside its range, there is no port, or a beat is narrower than a lane.
    """

    link: LinkConfig
    window: int = 256
    packet: int = 32
    reads: int = 256
    queue: int = 4
    ports: int = field(init=False)
    beat_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ports", self.link.ports)
        object.__setattr__(self, "beat_bytes", self.link.beat_bytes)
        if self.ports < 1:
            raise ConfigError("link.ports = 0: a collective engine needs a port")
        if self.beat_bytes < LANE_BYTES:
            raise ConfigError(
                f"link.lanes = {self.link.lanes} with link.lane_bits = {self.link.lane_bits}: a beat of "
                f"{self.beat_bytes} bytes; a collective engine needs {LANE_BYTES} or more"
            )
        _require_power("collective.window", self.window, 8, 4096)
        _require_power("collective.packet", self.packet, 1, min(self.window // 4, MOST_DATA_BYTES // self.beat_bytes))
        _require_power("collective.reads", self.reads, 8, 256)
        if not 2 <= self.queue <= 16:
            raise ConfigError(f"collective.queue = {self.queue}: give an integer from 2 to 16")

    @property
    def lanes(self) -> int:
        """Elements that a reduction adds in a clock."""
        return self.beat_bytes // LANE_BYTES

    @property
    def units(self) -> tuple[int, ...]:
        """Operands of each reduction unit. With four ports or more, the third also adds what the first two give; with
        two or three, two units serve the two ways round a ring at once.
        """
        return (2,) if self.ports == 1 else (4, 2) if self.ports <= 3 else (4, 4, 2)

    @property
    def joining(self) -> int | None:
        """The unit that takes what units 0 and 1 give; None where there is but one."""
        return 2 if len(self.units) == 3 else None


def _require_power(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most or value.bit_count() != 1:
        raise ConfigError(f"{name} = {value}: give a power of two from {least} to {most}")
