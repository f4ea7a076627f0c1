"""The memory of the flits that have been sent and may be sent again."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from openppu.link.config import CHANNELS, LinkConfig
from openppu.link.flit_transmit import again_layout, store_layout
from openppu.link.numbers import NUMBER_BITS


class Replay(wiring.Component):
    """Holds the payload of ``window`` flits in a RAM, at the place of their number modulo ``window``.

    Latency: 1 cycle from ``due`` to ``again``. Throughput: a beat stored and a beat read in each cycle.

    Members
    -------
    store : In(store_layout)
        Beats of a new flit.
    due : In(1), number : In(NUMBER_BITS)
        This flit is to be sent again. Its number changes only after ``due`` has been low.
    index : In(range(beats))
        The beat that is needed in the next cycle.
    begins : In(1)
        It begins in this cycle.
    again : Out(again_layout)
        ``valid``: it can begin; ``data`` is the beat that ``index`` was in the cycle before.
    """

    def __init__(self, config: LinkConfig):
        self.config = config
        super().__init__(
            {
                "store": In(store_layout(config)),
                "due": In(1),
                "number": In(NUMBER_BITS),
                "index": In(range(config.beats)),
                "begins": In(1),
                "again": Out(again_layout(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        place_bits = (config.window - 1).bit_length()
        m.submodules.payload = payload = memory.Memory(
            shape=8 * config.beat_bytes, depth=config.window * config.beats, init=[]
        )
        m.submodules.notes = notes = memory.Memory(
            shape=data.StructLayout({"channel": range(CHANNELS), "used": 7, "cut": 1}), depth=config.window, init=[]
        )
        write, note_write = payload.write_port(), notes.write_port()
        place = self.store.number[:place_bits]
        m.d.comb += [
            write.addr.eq(Cat(self.store.index, place)),
            write.data.eq(self.store.data),
            write.en.eq(self.store.valid),
            note_write.addr.eq(place),
            note_write.data.channel.eq(self.store.channel),
            note_write.data.used.eq(self.store.used),
            note_write.data.cut.eq(self.store.cut),
            note_write.en.eq(self.store.valid & self.store.last),
        ]

        read, note_read = payload.read_port(), notes.read_port()
        current = Signal(place_bits)
        at = Signal(place_bits)
        address = Signal(range(config.window * config.beats))
        sends = Signal()
        loaded = Signal()
        at_start = self.index == 0
        due_place = self.number[:place_bits]
        m.d.comb += [
            at.eq(Mux(sends & ~at_start, current, due_place)),
            address.eq(Cat(self.index, at)),
            read.addr.eq(address),
            note_read.addr.eq(due_place),
            self.again.valid.eq(loaded & self.due),
            self.again.number.eq(self.number),
            self.again.channel.eq(note_read.data.channel),
            self.again.used.eq(note_read.data.used),
            self.again.cut.eq(note_read.data.cut),
            self.again.data.eq(read.data),
        ]
        m.d.sync += loaded.eq(self.due & at_start & ~self.begins)
        with m.If(self.begins):
            m.d.sync += [sends.eq(1), current.eq(due_place)]
        with m.Elif(at_start):
            m.d.sync += sends.eq(0)
        return m
