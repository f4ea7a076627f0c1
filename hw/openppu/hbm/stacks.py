"""The chip's HBM2e memory: stacks, their channels, and what each channel's controller is built for."""

from dataclasses import dataclass, fields

from openppu.hbm.config import ALLOWED, ChannelConfig
from openppu.hbm.device import BURST, DEVICES, Organisation, device
from openppu.section import Section, option

STACKS = tuple(range(1, 9))
CHANNELS = (1, 2, 4, 8)
USER_PORTS = tuple(ALLOWED["ports"])[:-1]
"""A controller has one more, for its self-test and its scrubber."""


@dataclass(frozen=True, kw_only=True)
class HbmConfig(Section):
    """The chip's memory: ``stacks`` of ``channels``, each with a controller of its own.

    Raises
    ------
    ConfigError
        If a value is none of those allowed.
    """

    SECTION = "hbm"

    stacks: int = option("stacks; addresses are spread over all channels of all stacks", choices=STACKS, default=1)
    channels: int = option("channels of a stack that are used", choices=CHANNELS, default=1)
    device: str = option("timing that the registers start with", choices=DEVICES, default=DEVICES[0])
    height: int = option("dies of a stack, of 2 GiB each", choices=tuple(ALLOWED["height"]), default=8)
    ports: int = option("request ports of a channel", choices=USER_PORTS, default=2)
    tags: int = option(
        "tags of a port; within one, responses keep the order", choices=tuple(ALLOWED["tags"]), default=4
    )
    reads: int = option("entries of a pseudo-channel's queue of reads", choices=tuple(ALLOWED["reads"]), default=64)
    writes: int = option("entries of a pseudo-channel's queue of writes", choices=tuple(ALLOWED["writes"]), default=64)
    slots: int = option(
        "granules of 256 bytes that a port can have on their way from a pseudo-channel",
        choices=tuple(ALLOWED["slots"]),
        default=64,
    )
    ecc: str = option("code against wrong bits", choices=tuple(ALLOWED["ecc"]), default="secded")
    hammer_entries: int = option(
        "rows of each bank whose activations are counted at a time, against row hammer; 0: no protection",
        choices=tuple(ALLOWED["hammer_entries"]),
        default=0,
    )
    retry: bool = option("commands of wrong parity are sent again", choices=tuple(ALLOWED["retry"]), default=False)

    @property
    def channel(self) -> ChannelConfig:
        """What each channel's controller is built for, as its users see it."""
        return ChannelConfig(**{f.name: getattr(self, f.name) for f in fields(ChannelConfig)})

    @property
    def organisation(self) -> Organisation:
        """The dimensions of a stack."""
        return self.channel.organisation

    @property
    def capacity(self) -> int:
        """Bytes of the whole memory."""
        of = self.organisation
        return self.stacks * self.channels * of.pseudo_channels * of.pseudo_channel_bytes

    @property
    def clock_mhz(self) -> float:
        """Of the controllers: half the memory's."""
        return float(1000 / (2 * device(self.device).clock_ns))

    @property
    def peak_gbs(self) -> float:
        """GB/s (10**9 bytes) of all data buses together."""
        of = self.organisation
        bytes_a_clock = self.stacks * self.channels * of.pseudo_channels * of.access_bytes
        return float(bytes_a_clock / (BURST * device(self.device).clock_ns))
