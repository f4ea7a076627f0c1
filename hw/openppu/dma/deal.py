"""Gives the bytes of rows to the channels that their memory belongs to."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.dma.layouts import WIDE_ROW_BITS, element_bytes_log2, source_layout, target_layout


class Deal(wiring.Component):
    """Cuts rows at multiples of ``burst_bytes`` of memory; each piece goes to the channel whose turn its block is.

    With one channel nothing is cut. Blocks that are to be transposed all go to channel 0; ends go to all. A fill of the
    scratchpad is cut by its address there. Combinational. Throughput: one piece a cycle.

    Parameters
    ----------
    store : bool
    channels : int, a power of two
    burst_bytes : int, a power of two

    Members
    -------
    sources : In(stream of source_layout())
    targets : In(stream of target_layout())
        Taken together, but for those of blocks.
    channel_sources : Out(stream of source_layout()), array of one a channel
    channel_targets : Out(stream of target_layout()), array of one a channel
    """

    def __init__(self, *, store: bool, channels: int, burst_bytes: int):
        self.store = store
        self.channels = channels
        self.burst_bytes = burst_bytes
        super().__init__(
            {
                "sources": In(stream.Signature(source_layout())),
                "targets": In(stream.Signature(target_layout())),
                "channel_sources": Out(stream.Signature(source_layout())).array(channels),
                "channel_targets": Out(stream.Signature(target_layout())).array(channels),
            }
        )

    def elaborate(self, platform):
        m = Module()
        source, target = self.sources.payload, self.targets.payload
        transposes = source.conversion.transpose & ~source.end
        # A block's sources and targets come by themselves; which of them a target is of, only its source says, and the
        # front lets no other command in between.
        burst_bits = (self.burst_bytes - 1).bit_length()
        channel_bits = (self.channels - 1).bit_length()
        by_target = self.store | (source.fill & ~source.end)
        read_done, written_done = (Signal(WIDE_ROW_BITS, name=name) for name in ("read_done", "written_done"))
        address = Signal.like(source.address)
        reach = Signal(range(self.burst_bytes + 1))
        left = Signal(WIDE_ROW_BITS)
        last = Signal()
        counted = Signal(WIDE_ROW_BITS)
        read_size, written_size = (Signal(WIDE_ROW_BITS, name=name) for name in ("read_size", "written_size"))
        read_log2 = element_bytes_log2(source.conversion.source)
        written_log2 = element_bytes_log2(source.conversion.target)
        m.d.comb += [
            address.eq(Mux(by_target, target.address + written_done, source.address + read_done)),
            reach.eq(self.burst_bytes - address[:burst_bits]),
            left.eq(Mux(by_target, target.bytes - written_done, source.bytes - read_done)),
            last.eq(1 if self.channels == 1 else source.end | (left <= reach)),
            counted.eq(Mux(last, left, reach)),
            read_size.eq(Mux(source.fill, counted, Mux(by_target, (counted << read_log2) >> written_log2, counted))),
            written_size.eq(Mux(by_target, counted, (counted << written_log2) >> read_log2)),
        ]
        chosen = Signal(self.channels)
        room = Signal()
        both = Signal()
        goes = Signal()
        m.d.comb += [
            chosen.eq(Mux(source.end, -1, 1 << address[burst_bits:][:channel_bits])),
            room.eq(
                Cat(
                    ~chosen[channel] | (self.channel_sources[channel].ready & self.channel_targets[channel].ready)
                    for channel in range(self.channels)
                ).all()
            ),
            both.eq(self.sources.valid & self.targets.valid & ~transposes),
            goes.eq(both & room),
            self.sources.ready.eq(room & last),
            self.targets.ready.eq(room & last),
        ]
        for channel in range(self.channels):
            to_source, to_target = self.channel_sources[channel], self.channel_targets[channel]
            m.d.comb += [
                to_source.payload.eq(source),
                to_source.valid.eq(goes & chosen[channel]),
                to_target.payload.eq(target),
                to_target.valid.eq(goes & chosen[channel]),
            ]
            with m.If(~transposes & ~source.end):
                m.d.comb += [
                    to_source.payload.address.eq(source.address + read_done),
                    to_source.payload.bytes.eq(read_size),
                    # The pattern of a fill goes on where the last piece ended.
                    to_source.payload.value.eq(Cat(source.value, source.value) >> (written_done[:2] << 3)),
                    to_target.payload.address.eq(target.address + written_done),
                    to_target.payload.bytes.eq(written_size),
                ]
        with m.If(goes):
            m.d.sync += [
                read_done.eq(Mux(last, 0, read_done + read_size)),
                written_done.eq(Mux(last, 0, written_done + written_size)),
            ]
        with m.If(transposes):
            m.d.comb += [
                self.channel_sources[0].valid.eq(self.sources.valid),
                self.channel_targets[0].valid.eq(self.targets.valid),
                self.sources.ready.eq(self.channel_sources[0].ready),
                self.targets.ready.eq(self.channel_targets[0].ready),
            ]
        return m
