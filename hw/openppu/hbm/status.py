"""What the registers of a controller show, and what they control."""

from dataclasses import dataclass, field

from amaranth.lib import data

from openppu.hbm.accounts import counters_layout
from openppu.hbm.config import GRANULE, ChannelConfig
from openppu.hbm.error_log import error_log_layout
from openppu.hbm.latency import histogram_layout
from openppu.hbm.phy import PSEUDO_CHANNELS
from openppu.hbm.power import power_layout
from openppu.hbm.scrubber import COUNT_BITS, PASS_BITS
from openppu.hbm.self_test import command_layout, record_layout
from openppu.hbm.settings import Settings


@dataclass(frozen=True, kw_only=True)
class PowerUp:
    """What a controller's registers hold after a reset.

    Parameters
    ----------
    settings : Settings
    run : bool
        Start at once, without waiting for software.
    fill : int, optional
        Accesses, from address 0, that are written with zeros before requests are taken; by default the whole capacity
        if there is a code against wrong bits, which memory that was never written breaks, and else none.
    """

    settings: Settings = field(default_factory=Settings)
    run: bool = True
    fill: int | None = None


def counted_layout() -> data.StructLayout:
    """All counters: those of each pseudo-channel, of the ports' reads by their latency, and of the power states."""
    pseudo_channels = {f"pc{pc}": counters_layout() for pc in range(PSEUDO_CHANNELS)}
    return data.StructLayout({**pseudo_channels, "latency": histogram_layout(), "power": power_layout()})


def status_layout(config: ChannelConfig) -> data.StructLayout:
    """What is shown as it is in the clock in which it is read.

    ``running``: the device takes commands; ``ready``: the ports' requests are taken; ``lost``, ``stray``: as of
    `openppu.hbm.channel.Channel`, as are ``overheated``, ``hammer_overflow`` and ``parity_failed``; ``idle``: a
    self-test can be started; ``test_stray``: as of `openppu.hbm.self_test.SelfTest`; ``found`` is its record;
    ``scrub``: as of `openppu.hbm.scrubber.Scrubber`.
    """
    of_channel = {
        "running": 1,
        "ready": 1,
        "lost": PSEUDO_CHANNELS,
        "stray": PSEUDO_CHANNELS,
        "overheated": 1,
        "hammer_overflow": PSEUDO_CHANNELS,
        "parity_failed": PSEUDO_CHANNELS,
    }
    logs = {f"errors{pc}": error_log_layout(config) for pc in range(PSEUDO_CHANNELS)}
    scrub = data.StructLayout(
        {
            "position": range(config.accesses // GRANULE),
            "passes": PASS_BITS,
            "repaired": COUNT_BITS,
            "wrong": COUNT_BITS,
        }
    )
    others = {"found": record_layout(config), "scrub": scrub}
    return data.StructLayout({**of_channel, "idle": 1, "test_stray": 1, **logs, **others})


def control_layout(config: ChannelConfig) -> data.StructLayout:
    """What the registers hold besides the settings: ``run`` is low while the channel is to be in reset."""
    return data.StructLayout({"run": 1, "fill": range(config.accesses + 1), "test": command_layout(config)})
