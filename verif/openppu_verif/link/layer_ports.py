"""A link layer with a port for each field, for the native bench."""

from amaranth import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from openppu.link.config import CHANNELS, LinkConfig
from openppu.link.link_counters import COUNTS
from openppu.link.link_layer import LinkLayer
from openppu.link.round_trip import TIME_BITS


class LayerPorts(wiring.Component):
    """The members of `openppu.link.link_layer.LinkLayer`, without nesting; all counters in one port."""

    def __init__(self, config: LinkConfig) -> None:
        self.config = config
        bits = 8 * config.beat_bytes
        inputs = {
            "send_valid": 1,
            "send_data": bits,
            "send_channel": range(CHANNELS),
            "send_used": 7,
            "send_cut": 1,
            "send_first": 1,
            "send_last": 1,
            "receive_ready": 1,
            "wanted": CHANNELS,
            "transmit_ready": 1,
            "sending": 1,
            "in_valid": 1,
            "in_data": bits,
            "in_first": 1,
            "in_last": 1,
            "receiving": 1,
            "reset_link": 1,
        }
        outputs = {
            "send_ready": 1,
            "may_send": CHANNELS,
            "receive_valid": 1,
            "receive_data": bits,
            "receive_channel": range(CHANNELS),
            "receive_used": 7,
            "receive_cut": 1,
            "receive_first": 1,
            "receive_last": 1,
            "transmit_valid": 1,
            "transmit_data": bits,
            "transmit_first": 1,
            "transmit_last": 1,
            "counts": 32 * len(COUNTS),
            "round_trip": TIME_BITS,
        }
        super().__init__(
            {name: In(shape) for name, shape in inputs.items()} | {name: Out(shape) for name, shape in outputs.items()}
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.layer = layer = LinkLayer(self.config)
        for name in ("data", "channel", "used", "cut", "first", "last"):
            m.d.comb += [
                layer.send.payload[name].eq(getattr(self, f"send_{name}")),
                getattr(self, f"receive_{name}").eq(layer.receive.payload[name]),
            ]
        for name in ("data", "first", "last"):
            m.d.comb += [
                layer.receive_beats[name].eq(getattr(self, f"in_{name}")),
                getattr(self, f"transmit_{name}").eq(layer.transmit.payload[name]),
            ]
        m.d.comb += [
            layer.send.valid.eq(self.send_valid),
            self.send_ready.eq(layer.send.ready),
            self.may_send.eq(layer.may_send),
            self.receive_valid.eq(layer.receive.valid),
            layer.receive.ready.eq(self.receive_ready),
            layer.wanted.eq(self.wanted),
            self.transmit_valid.eq(layer.transmit.valid),
            layer.transmit.ready.eq(self.transmit_ready),
            layer.sending.eq(self.sending),
            layer.receive_valid.eq(self.in_valid),
            layer.receiving.eq(self.receiving),
            layer.reset_link.eq(self.reset_link),
            self.counts.eq(Cat(layer.status.counts[name] for name in COUNTS)),
            self.round_trip.eq(layer.status.round_trip),
        ]
        return m
