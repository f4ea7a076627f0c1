"""The data of a pseudo-channel's writes, until the memory takes them."""

from amaranth import Cat, Module, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.hbm.config import GRANULE, ChannelConfig
from openppu.hbm.phy import DATA_BITS

MASK_BITS = DATA_BITS // 8


def fill_layout(config: ChannelConfig) -> data.StructLayout:
    """A word of a write, for its place in the buffer."""
    return data.StructLayout(
        {"data": DATA_BITS, "mask": MASK_BITS, "slot": range(config.writes), "word": range(GRANULE)}
    )


def merge_layout(config: ChannelConfig) -> data.StructLayout:
    """The word that the memory held before a masked write; ``error``: it is known to be wrong."""
    return data.StructLayout(
        {
            "valid": 1,
            "data": DATA_BITS,
            "slot": range(config.writes),
            "word": range(GRANULE),
            "last": 1,
            "error": 1,
        }
    )


def slot_layout(config: ChannelConfig) -> data.StructLayout:
    """A slot that something happened to, if ``valid``."""
    return data.StructLayout({"valid": 1, "slot": range(config.writes)})


class WriteBuffer(wiring.Component):
    """Holds the words of write entries: a slot of a granule's words for each.

    The old bytes of a masked word go in behind its new ones. If they are known to be wrong, and any of them is kept,
    the word is poisoned.

    Latency: a word can be read from the cycle after it was filled, or from the second after its old bytes came.
    Throughput: one word filled or merged, and one read, a cycle.

    Members
    -------
    fill : In(stream of fill_layout(config))
        Waits for a cycle after each ``merge``.
    merge : In(merge_layout(config))
        Only of words that are filled.
    merged : Out(slot_layout(config))
        In the cycle in which the old bytes that came with ``last`` are stored.
    read : In(struct slot, word)
    data, mask, poisoned : Out
        Of the word that was named in the cycle before.
    """

    def __init__(self, config: ChannelConfig):
        self.config = config
        super().__init__(
            {
                "fill": In(stream.Signature(fill_layout(config))),
                "merge": In(merge_layout(config)),
                "merged": Out(slot_layout(config)),
                "read": In(data.StructLayout({"word": range(GRANULE), "slot": range(config.writes)})),
                "data": Out(DATA_BITS),
                "mask": Out(MASK_BITS),
                "poisoned": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        words = self.config.writes * GRANULE
        m.submodules.store = store = memory.Memory(shape=DATA_BITS, depth=words, init=[])
        m.submodules.masks = masks = memory.Memory(shape=MASK_BITS, depth=words, init=[])
        m.submodules.poison = poison = memory.Memory(shape=1, depth=words, init=[])
        write, read = store.write_port(granularity=8), store.read_port()
        mask_write, mask_read, mask_merge = masks.write_port(), masks.read_port(), masks.read_port()
        poison_write, poison_read = poison.write_port(), poison.read_port()

        # First look for the bytes that are kept, then store them.
        storing = Signal()
        old = Signal(merge_layout(self.config), reset_less=True)
        m.d.sync += [storing.eq(self.merge.valid), old.eq(self.merge)]
        fill = self.fill.payload
        m.d.comb += [
            mask_merge.addr.eq(Cat(self.merge.word, self.merge.slot)),
            self.fill.ready.eq(~storing),
            mask_write.addr.eq(Cat(fill.word, fill.slot)),
            mask_write.data.eq(fill.mask),
            mask_write.en.eq(self.fill.valid & self.fill.ready),
        ]
        with m.If(storing):
            m.d.comb += [
                write.addr.eq(Cat(old.word, old.slot)),
                write.data.eq(old.data),
                write.en.eq(~mask_merge.data),
                poison_write.data.eq(old.error & ~mask_merge.data.all()),
                poison_write.en.eq(1),
            ]
        with m.Else():
            m.d.comb += [
                write.addr.eq(Cat(fill.word, fill.slot)),
                write.data.eq(fill.data),
                write.en.eq(self.fill.valid.replicate(MASK_BITS)),
                poison_write.en.eq(self.fill.valid),
            ]
        m.d.comb += [
            poison_write.addr.eq(write.addr),
            self.merged.valid.eq(storing & old.last),
            self.merged.slot.eq(old.slot),
        ]

        for port, value in ((read, self.data), (mask_read, self.mask), (poison_read, self.poisoned)):
            m.d.comb += [port.addr.eq(Cat(self.read.word, self.read.slot)), value.eq(port.data)]
        return m
