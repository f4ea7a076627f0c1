"""Cuts requests into granules."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.hbm.address import LOWER, AddressMap
from openppu.hbm.config import GRANULE, MOST_ACCESSES, ChannelConfig
from openppu.hbm.layouts import place_layout, request_layout
from openppu.hbm.settings import settings_layout


def granule_layout(config: ChannelConfig) -> data.StructLayout:
    """A piece of a request: ``last + 1`` accesses from ``place`` on, in PC ``pc``.

    ``end`` marks the request's last piece, ``end_of_pc`` its last one in this PC, ``first`` its first one. ``refused``:
    the request reaches beyond the capacity, or came when none is taken.
    """
    return data.StructLayout(
        {
            "write": 1,
            "pc": 1,
            "place": place_layout(config),
            "last": range(GRANULE),
            "tag": range(config.tags),
            "first": 1,
            "end": 1,
            "end_of_pc": 1,
            "refused": 1,
        }
    )


class Splitter(wiring.Component):
    """Cuts requests into pieces that lie in one granule (256 aligned bytes) each, in ascending order.

    A request stays on its stream until its last piece is taken. Latency: 0 cycles. Throughput: one piece a cycle.

    Members
    -------
    settings : In(settings_layout())
    refuse : In(1)
        Refuse the requests that come from the next cycle on.
    requests : In(stream of request_layout(config))
    granules : Out(stream of granule_layout(config))
    """

    def __init__(self, config: ChannelConfig):
        self.config = config
        super().__init__(
            {
                "settings": In(settings_layout()),
                "refuse": In(1),
                "requests": In(stream.Signature(request_layout(config))),
                "granules": Out(stream.Signature(granule_layout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        request, granule = self.requests.payload, self.granules.payload
        m.submodules.map = address_map = AddressMap(config)
        m.submodules.ending = ending = AddressMap(config)

        # A request on its way stays what it is.
        refused = Signal()
        with m.If(~self.requests.valid | self.requests.ready):
            m.d.sync += refused.eq(self.refuse)

        # The first piece may begin anywhere in its granule, the others begin at its start.
        index = Signal(range(MOST_ACCESSES // GRANULE + 1))
        offset = request.address[:LOWER]
        start = Signal(LOWER)
        last_granule = Signal.like(index)
        final = Signal(range(MOST_ACCESSES + GRANULE))
        last_address = Signal(config.address_bits + 1)
        m.d.comb += [
            final.eq(offset + request.last),
            last_granule.eq(final[LOWER:]),
            last_address.eq(request.address + request.last),
            start.eq(Mux(index == 0, offset, 0)),
        ]

        m.d.comb += [
            address_map.settings.eq(self.settings),
            address_map.address[:LOWER].eq(start),
            address_map.address[LOWER:].eq(request.address[LOWER:] + index),
            ending.address.eq(last_address),
        ]
        m.d.comb += [
            granule.write.eq(request.write),
            granule.pc.eq(address_map.pc),
            granule.place.eq(address_map.place),
            granule.last.eq(Mux(granule.end, final[:LOWER], GRANULE - 1) - start),
            granule.tag.eq(request.tag),
            granule.first.eq(index == 0),
            granule.end.eq(index == last_granule),
            granule.end_of_pc.eq((index == last_granule) | (index + 1 == last_granule)),
            granule.refused.eq(refused | last_address[-1] | ending.beyond),
            self.granules.valid.eq(self.requests.valid),
            self.requests.ready.eq(self.granules.ready & granule.end),
        ]
        with m.If(self.granules.valid & self.granules.ready):
            m.d.sync += index.eq(Mux(granule.end, 0, index + 1))
        return m
