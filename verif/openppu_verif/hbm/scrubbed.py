"""A channel with a scrubber on a port of its own, for the native bench."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from amaranth import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out
from openppu.common.shared import shared
from openppu.config import load
from openppu.hbm.channel import Channel
from openppu.hbm.config import ChannelConfig
from openppu.hbm.scrubber import Scrubber
from openppu.verilog import emit

from openppu_verif.hbm.native import TOP

STREAMS = ("requests", "words", "responses", "acknowledges")


class ScrubbedChannel(wiring.Component):
    """Looks like a channel; the one inside has a port more, which the scrubber has.

    Parameters
    ----------
    config : ChannelConfig
        Of what is seen.
    """

    def __init__(self, config: ChannelConfig):
        self.channel = Channel(replace(config, ports=config.ports + 1))
        members = dict(self.channel.signature.members)
        for name in STREAMS:
            members[name] = Out(members[name].signature).array(config.ports)
        super().__init__(members)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.channel = channel = self.channel
        scrubber = Scrubber(channel.config)
        m.submodules.scrubber = shared(scrubber, platform)
        for user in (channel, scrubber):
            m.d.comb += user.settings.eq(self.settings)
        m.d.comb += scrubber.idle.eq(~Cat(requests.valid for requests in self.requests).any())
        for name in STREAMS:
            *ports, last = getattr(channel, name)
            for inner, outer in zip(ports, getattr(self, name), strict=True):
                wiring.connect(m, inner, wiring.flipped(outer))
            wiring.connect(m, last, getattr(scrubber, name))
        wiring.connect(m, channel.phy, wiring.flipped(self.phy))
        for name, member in self.signature.members.items():
            if name not in ("settings", "phy", *STREAMS):
                inner, outer = getattr(channel, name), getattr(self, name)
                pairs = zip(inner, outer, strict=True) if member.dimensions else [(inner, outer)]
                m.d.comb += [shown.eq(given) for given, shown in pairs]
        return m


def emit_scrubbed(config: ChannelConfig, folder: Path) -> Path:
    """Write its Verilog to a folder, for `openppu_verif.hbm.native.build_channel`; the file."""
    verilog = folder / f"{TOP}.v"
    emit(ScrubbedChannel(config), top=TOP, config=load("tiny")).write(verilog)
    return verilog
