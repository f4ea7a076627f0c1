"""Two input streams on one port of the scratchpad."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.delayed import delayed
from openppu.common.shared import shared
from openppu.formats.spec import BINARY32, INT8, Format
from openppu.formats.widen import Widen
from openppu.scratchpad.port import ScratchpadPort
from openppu.tile.tag_queue import TagQueue
from openppu.vector.command import ADDRESS_BITS, pattern_layout
from openppu.vector.pattern import Pattern

PLACES = 2
"""Streams of a port."""


class InputPort(wiring.Component):
    """Reads two streams ahead, as far as their queues go, and turns their elements into words of the lanes.

    Both streams may have requests on their way; if both could request a word, they take turns. Latency: 3 cycles from a
    restart to the first request; `ARRIVAL` cycles from a result to its row in the queue. Throughput: one row a cycle.

    Parameters
    ----------
    lanes : int
    formats : tuple of Format
        Float formats that are built in.

    Members
    -------
    port : Out(ScratchpadPort)
    settings, set : In
        A pattern, and which stream is to keep it.
    restart : In(1)
        Forget what is queued and begin again. Not while a request is on its way: see ``idle``.
    enable : In(2)
        Streams that may request.
    free : In(2)
        Streams that may begin one more block.
    idle : Out(1)
        No request waits or is on its way.
    valid : Out(2)
        A stream's next row is there.
    error : Out(2)
        It is known to be wrong.
    starved : Out(2)
        A stream has nothing and gets nothing: it is held.
    pop : In(2)
        Take it.
    rows : Out(array of 2 rows)
        What was taken, one cycle later.
    """

    DEPTH = 16
    """Rows that a queue holds, those that were requested included."""

    ARRIVAL = Widen.LATENCY + 1

    def __init__(self, *, lanes: int, formats: tuple[Format, ...]):
        self.lanes = lanes
        self.formats = formats
        self.word_bytes = 4 * lanes
        word_bits = (self.word_bytes - 1).bit_length()
        port = ScratchpadPort(address_bits=ADDRESS_BITS - word_bits, word_bytes=self.word_bytes)
        super().__init__(
            {
                "port": Out(port),
                "settings": In(pattern_layout()),
                "set": In(PLACES),
                "restart": In(1),
                "enable": In(PLACES),
                "free": In(PLACES),
                "idle": Out(1),
                "valid": Out(PLACES),
                "error": Out(PLACES),
                "starved": Out(PLACES),
                "pop": In(PLACES),
                "rows": Out(data.ArrayLayout(32 * lanes, PLACES)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        offset_bits = (self.word_bytes - 1).bit_length()
        patterns = [Pattern() for _ in range(PLACES)]
        reserved = [Signal(range(self.DEPTH + 1), name=f"reserved_{s}") for s in range(PLACES)]
        wants = Signal(PLACES)
        loads = Signal(PLACES)
        for s, pattern in enumerate(patterns):
            m.submodules[f"pattern_{s}"] = shared(pattern, platform)
            m.d.comb += [
                pattern.settings.eq(self.settings),
                pattern.set.eq(self.set[s]),
                pattern.restart.eq(self.restart),
                pattern.free.eq(self.free[s]),
                pattern.step.eq(loads[s]),
                wants[s].eq(self.enable[s] & pattern.available & (reserved[s] != self.DEPTH)),
            ]
            with m.If(loads[s] & ~self.pop[s]):
                m.d.sync += reserved[s].eq(reserved[s] + 1)
            with m.Elif(self.pop[s] & ~loads[s]):
                m.d.sync += reserved[s].eq(reserved[s] - 1)
            with m.If(self.restart):
                m.d.sync += reserved[s].eq(0)

        # A request stands in a register until it is taken; its tag says what to make of the answer.
        turn = Signal()
        room = Signal()
        chosen = Signal()
        tag_layout = data.StructLayout({"stream": 1, "offset": offset_bits, "tail": 1})
        tags = TagQueue(tag_layout, depth=2 * self.DEPTH)
        m.submodules.tags = tags
        requests = self.port.requests
        address = Mux(chosen, patterns[1].address, patterns[0].address)
        m.d.comb += [
            room.eq(~requests.valid | requests.ready),
            chosen.eq(Mux(wants.all(), turn, wants[1])),
            loads.eq(Mux(room, Cat(wants[0] & ~chosen, wants[1] & chosen), 0)),
            tags.i.valid.eq(loads.any()),
            tags.i.payload.stream.eq(chosen),
            tags.i.payload.offset.eq(address[:offset_bits]),
            tags.i.payload.tail.eq(Mux(chosen, patterns[1].tail, patterns[0].tail)),
            tags.o.ready.eq(self.port.results.valid),
            self.idle.eq(~requests.valid & ~tags.o.valid),
        ]
        with m.If(room):
            m.d.sync += requests.valid.eq(loads.any())
        with m.If(loads.any()):
            m.d.sync += [requests.payload.address.eq(address[offset_bits:]), turn.eq(~chosen)]

        arrived = Signal()
        m.d.comb += arrived.eq(self.port.results.valid & tags.o.valid)
        row, stream_number, wrong, there = self._widened(m, platform, patterns, tags.o.payload, arrived)
        for s in range(PLACES):
            self._queue(m, s, there & (stream_number == s), row, wrong)
            m.d.comb += self.starved[s].eq(self.enable[s] & patterns[s].stalled & (reserved[s] == 0))
        return m

    def _widened(self, m, platform, patterns, tag, arrived):
        """The row of lanes that an answer holds, `ARRIVAL` - 1 cycles later; its stream, and whether it is wrong."""
        lanes = self.lanes
        word = self.port.results.payload.data
        code = Signal(3)
        single = Signal()
        m.d.comb += [
            code.eq(Mux(tag.stream, patterns[1].kept.format, patterns[0].kept.format)),
            single.eq(Mux(tag.stream, patterns[1].kept.single, patterns[0].kept.single)),
        ]
        # A row of 8 or 16 bits a lane is a part of the word; a single element one of its elements, for all lanes.
        eights = word.word_select(tag.offset[-2:], 8 * lanes)
        sixteens = word.word_select(tag.offset[-1:], 16 * lanes)
        elements = Signal(32 * lanes)
        one = Signal(32)
        is_8 = Signal()
        is_16 = Signal()
        m.d.comb += [
            is_8.eq(Cat(code == fmt.code for fmt in (INT8, *self.formats) if fmt.bits == 8).any()),
            is_16.eq(Cat(code == fmt.code for fmt in self.formats if fmt.bits == 16).any()),
            elements.eq(word),
            one.eq(word.word_select(tag.offset[2:], 32)),
        ]
        with m.If(is_8):
            m.d.comb += [
                elements.eq(Cat(Cat(eights[8 * n : 8 * n + 8], Const(0, 24)) for n in range(lanes))),
                one.eq(word.word_select(tag.offset, 8)),
            ]
        with m.If(is_16):
            m.d.comb += [
                elements.eq(Cat(Cat(sixteens[16 * n : 16 * n + 16], Const(0, 16)) for n in range(lanes))),
                one.eq(word.word_select(tag.offset[1:], 16)),
            ]
        taken = Signal(32 * lanes, reset_less=True)
        m.d.sync += taken.eq(Mux(single, one.replicate(lanes), elements))

        notes = Signal(
            data.StructLayout({"stream": 1, "format": 3, "cut": 1, "error": 1, "there": 1}),
        )
        m.d.comb += [
            notes.stream.eq(tag.stream),
            notes.format.eq(code),
            notes.cut.eq(tag.tail),
            notes.error.eq(self.port.results.payload.error),
            notes.there.eq(arrived),
        ]
        first = delayed(m, notes, 1, name="first", reset=True)
        second = delayed(m, first, Widen.LATENCY, name="second", reset=True)
        plain = delayed(m, taken, Widen.LATENCY, name="plain")
        limit, fill = Signal(8), Signal(32)
        m.d.comb += [
            limit.eq(Mux(second.stream, patterns[1].kept.tail, patterns[0].kept.tail)),
            fill.eq(Mux(second.stream, patterns[1].kept.fill, patterns[0].kept.fill)),
        ]
        row = Signal(32 * lanes)
        for lane in range(lanes):
            widen = Widen(formats=self.formats)
            m.submodules[f"widen_{lane}"] = shared(widen, platform)
            bits = plain[32 * lane : 32 * lane + 32]
            m.d.comb += [widen.bits.eq(taken[32 * lane : 32 * lane + 32]), widen.format.eq(first.format)]
            value = Mux(
                second.format == BINARY32.code,
                bits,
                Mux(second.format == INT8.code, Cat(bits[:8], bits[7].replicate(24)), widen.result),
            )
            m.d.comb += row[32 * lane : 32 * lane + 32].eq(Mux(second.cut & (limit <= lane), fill, value))
        return row, second.stream, second.error, second.there

    def _queue(self, m, s, put, row, wrong):
        """A stream's queue: a memory, whose row comes a cycle after it was popped."""
        store = memory.Memory(shape=32 * self.lanes, depth=self.DEPTH, init=[])
        m.submodules[f"queue_{s}"] = store
        write, read = store.write_port(), store.read_port()
        head, tail = (Signal(range(self.DEPTH), name=f"{n}_{s}") for n in ("head", "tail"))
        level = Signal(range(self.DEPTH + 1), name=f"level_{s}")
        wrongs = Signal(self.DEPTH, name=f"wrongs_{s}")
        pop = self.pop[s]
        m.d.comb += [
            write.addr.eq(tail),
            write.data.eq(row),
            write.en.eq(put),
            read.addr.eq(head),
            self.rows[s].eq(read.data),
            self.valid[s].eq(level != 0),
            self.error[s].eq(wrongs.bit_select(head, 1)),
        ]
        with m.If(put):
            m.d.sync += [tail.eq(tail + 1), wrongs.bit_select(tail, 1).eq(wrong)]
        with m.If(pop):
            m.d.sync += head.eq(head + 1)
        with m.If(put & ~pop):
            m.d.sync += level.eq(level + 1)
        with m.Elif(pop & ~put):
            m.d.sync += level.eq(level - 1)
        with m.If(self.restart):
            m.d.sync += [head.eq(0), tail.eq(0), level.eq(0)]
