"""The output streams, on their port of the scratchpad."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import fifo, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.delayed import delayed
from openppu.common.shared import shared
from openppu.formats.narrow import Narrow
from openppu.formats.spec import INT8, Format
from openppu.scratchpad.port import ScratchpadPort, request_layout
from openppu.vector.command import ADDRESS_BITS, pattern_layout
from openppu.vector.instruction import OUTPUTS
from openppu.vector.pattern import Pattern


class OutputPort(wiring.Component):
    """Rounds rows to their stream's format and writes them where its pattern says, in the order in which they come.

    Latency: `LATENCY` cycles from a row to its request. Throughput: one row a cycle.

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
        All patterns begin again.
    reserve : In(1)
        A row will come; not while ``room`` is low.
    room : Out(1)
    put : In(1)
        The row is here, for stream ``number``. Of each that was reserved, some time later, in order.
    number : In(2)
    row : In(32 x lanes)
    idle : Out(1)
        All rows that were reserved have been written.
    """

    DEPTH = 16
    """Rows on their way from the reservation to the scratchpad."""

    LATENCY = Narrow.LATENCY + 2

    def __init__(self, *, lanes: int, formats: tuple[Format, ...]):
        self.lanes = lanes
        self.formats = formats
        self.word_bytes = 4 * lanes
        offset_bits = (self.word_bytes - 1).bit_length()
        port = ScratchpadPort(address_bits=ADDRESS_BITS - offset_bits, word_bytes=self.word_bytes)
        super().__init__(
            {
                "port": Out(port),
                "settings": In(pattern_layout()),
                "set": In(OUTPUTS),
                "restart": In(1),
                "reserve": In(1),
                "room": Out(1),
                "put": In(1),
                "number": In(range(OUTPUTS)),
                "row": In(32 * lanes),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lanes = self.lanes
        offset_bits = (self.word_bytes - 1).bit_length()
        put = delayed(m, self.put, Narrow.LATENCY, name="put", reset=True)
        number = delayed(m, self.number, Narrow.LATENCY, name="number")
        now = Signal(pattern_layout())
        later = Signal(pattern_layout())
        address = Signal(ADDRESS_BITS)
        tail = Signal()
        for s in range(OUTPUTS):
            pattern = Pattern()
            m.submodules[f"pattern_{s}"] = shared(pattern, platform)
            m.d.comb += [
                pattern.settings.eq(self.settings),
                pattern.set.eq(self.set[s]),
                pattern.restart.eq(self.restart),
                pattern.step.eq(put & (number == s)),
            ]
            with m.If(self.number == s):
                m.d.comb += now.eq(pattern.kept)
            with m.If(number == s):
                m.d.comb += [later.eq(pattern.kept), address.eq(pattern.address), tail.eq(pattern.tail)]

        # Rounded, then as many times side by side as fill the word: the mask picks where it belongs.
        whole, halves, quarters = (Signal(bits * lanes, name=f"rows_{bits}") for bits in (32, 16, 8))
        m.d.comb += whole.eq(delayed(m, self.row, Narrow.LATENCY, name="row"))
        for lane in range(lanes):
            narrow = Narrow(formats=self.formats)
            m.submodules[f"narrow_{lane}"] = shared(narrow, platform)
            bits = whole[32 * lane : 32 * lane + 32]
            value = bits.as_signed()
            fits = Signal(name=f"fits_{lane}")
            m.d.comb += [
                narrow.bits.eq(self.row[32 * lane : 32 * lane + 32]),
                narrow.format.eq(now.format),
                narrow.saturate.eq(now.saturate),
                fits.eq((value >= -128) & (value <= 127)),
                halves[16 * lane : 16 * lane + 16].eq(narrow.result),
                quarters[8 * lane : 8 * lane + 8].eq(
                    Mux(
                        later.format == INT8.code,
                        Mux(later.saturate & ~fits, Mux(value < 0, 0x80, 0x7F), bits[:8]),
                        narrow.result[:8],
                    )
                ),
            ]
        is_8, is_16 = Signal(), Signal()
        m.d.comb += [
            is_8.eq(Cat(later.format == fmt.code for fmt in (INT8, *self.formats) if fmt.bits == 8).any()),
            is_16.eq(Cat(later.format == fmt.code for fmt in self.formats if fmt.bits == 16).any()),
        ]
        counted = Signal(lanes)
        m.d.comb += counted.eq(Cat(~tail | (later.tail > lane) for lane in range(lanes)))
        request = Signal(request_layout(address_bits=ADDRESS_BITS - offset_bits, word_bytes=self.word_bytes))
        offset = Signal(offset_bits)
        m.d.comb += [
            offset.eq(address[:offset_bits]),
            request.write.eq(1),
            request.address.eq(address[offset_bits:]),
        ]
        spread = {32: whole, 16: halves.replicate(2), 8: quarters.replicate(4)}
        for bits, chosen in ((32, ~is_8 & ~is_16), (16, is_16), (8, is_8)):
            size = bits // 8
            mask = Cat(bit.replicate(size) for bit in counted)
            part = 4 // size
            # Rows are aligned to their size.
            places = Cat(
                Mux(offset[offset_bits - (part.bit_length() - 1) :] == place, mask, 0) for place in range(part)
            )
            single = Const((1 << size) - 1, size) << offset
            row = spread[bits]
            with m.If(chosen):
                m.d.comb += [
                    request.data.eq(Mux(later.single, row[:bits].replicate(self.word_bytes // size), row)),
                    request.mask.eq(Mux(later.single, single, places)),
                ]

        m.submodules.queue = queue = fifo.SyncFIFOBuffered(width=len(request.as_value()), depth=self.DEPTH + 1)
        waiting = Signal(range(self.DEPTH + 1))
        done = Signal()
        m.d.comb += [
            queue.w_data.eq(request),
            queue.w_en.eq(put),
            self.port.requests.payload.eq(queue.r_data),
            self.port.requests.valid.eq(queue.r_rdy),
            queue.r_en.eq(self.port.requests.ready),
            done.eq(queue.r_rdy & self.port.requests.ready),
            self.room.eq(waiting != self.DEPTH),
            self.idle.eq(waiting == 0),
        ]
        with m.If(self.reserve & ~done):
            m.d.sync += waiting.eq(waiting + 1)
        with m.Elif(done & ~self.reserve):
            m.d.sync += waiting.eq(waiting - 1)
        return m
