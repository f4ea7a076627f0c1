"""Proofs that the DMA goes nowhere but where a command says: its checks, its walk, its requests.

The checks and the walk are proved with numbers of few bits: `SMALL` takes the place of the widths.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

from amaranth import Const, Module, Mux, Signal, Value, signed
from amaranth.hdl import Assume
from amaranth.lib import data, stream
from openppu.command.error import Error
from openppu.common.memory import WORD_BYTES
from openppu.dma import decode, layouts, prepare, walker
from openppu.dma.config import DmaConfig
from openppu.dma.decode import Decode
from openppu.dma.fetch import Fetch
from openppu.dma.join import Join
from openppu.dma.layouts import Walk, placed_layout
from openppu.dma.prepare import Prepare
from openppu.dma.walker import Walker

from openppu_verif.formal.harness import Harness
from openppu_verif.formal.probe import Probe

SMALL = {
    "ADDRESS_BITS": 5,
    "SCRATCHPAD_BITS": 2,
    "COUNT_BITS": 2,
    "ROW_BITS": 2,
    "WIDE_ROW_BITS": 3,
    "MEMORY_STRIDE_BITS": 3,
    "SCRATCHPAD_STRIDE_BITS": 2,
    "ROWS_BITS": 3,
    "PLACE_BITS": 6,
    "SATURATED_BITS": 3,
    "MEMORY_SUM_BITS": 12,
}
UNITS = 2
CONFIG = DmaConfig(outstanding=8, tags=2, burst_bytes=64)
SUM_BITS = 16


@contextmanager
def few_bits(**others: int) -> Iterator[None]:
    """Widths of the layouts, and of what is built within."""
    with ExitStack() as stack:
        for module in (layouts, decode, prepare, walker):
            for name, value in {**SMALL, **others}.items():
                if hasattr(module, name):
                    stack.enter_context(patch.object(module, name, value))
        yield


def keeps(h: Harness, name: str, source: stream.Interface) -> None:
    """What is offered to the design stays until it is taken."""
    payload = Value.cast(source.payload)
    waiting, kept = Signal(name=f"{name}_waiting"), Signal(len(payload), name=f"{name}_kept")
    h.m.d.sync += [waiting.eq(source.valid & ~source.ready), kept.eq(payload)]
    h.m.d.comb += Assume(~waiting | (source.valid & (payload == kept)))


def fetches() -> Harness:
    """Each word that is asked for holds a byte of the source; requests stay as they are until they are taken."""
    h = Harness()
    m = h.m
    probe = Probe(Fetch(CONFIG))
    m.submodules.dut = probe.fragment
    dut = probe.part("")
    h.source("sources", dut.sources)
    h.source("responses", dut.responses)
    h.drive(requests_ready=dut.requests.ready, described_ready=dut.described.ready, words_ready=dut.words.ready)
    keeps(h, "sources", dut.sources)
    source, request = dut.sources.payload, dut.requests.payload
    begun, gone, words = (probe.signal("", name) for name in ("begun", "gone", "words"))
    end = Signal(range((1 << 40) + (1 << 18)))
    first_word, last_word = Signal(41), Signal(42)
    m.d.comb += [
        end.eq(source.address + source.bytes),
        Assume((source.bytes != 0) & (end <= 1 << 40)),
        first_word.eq(request.address),
        last_word.eq(request.address + (request.last << 5)),
    ]
    asks = dut.requests.valid
    h.check(
        ~request.write,
        first_word[:5] == 0,
        first_word + WORD_BYTES > source.address,
        last_word < end,
        # Within an aligned block.
        (first_word >> 6) == (last_word >> 6),
        dut.sources.valid & ~source.fill & ~source.end,
        when=asks,
    )
    # Invariants.
    h.check(dut.sources.valid & ~source.fill & ~source.end, gone < words, when=begun)
    h.check(begun == (gone != 0))
    return h


def joins() -> Harness:
    """Each byte of memory gets what it would get from the words as they came, in each command; requests stay whole."""
    h = Harness()
    m = h.m
    address = h.fixed("address", 2)
    byte = h.fixed("byte", (WORD_BYTES - 1).bit_length())
    probe = Probe(Join(address_bits=len(address)))
    m.submodules.dut = probe.fragment
    dut = probe.part("")
    h.source("words", dut.words)
    h.drive(joined_ready=dut.joined.ready)
    keeps(h, "words", dut.words)
    came_more, came_next = _rows(h, "came", dut.words)
    gone_more, gone_next = _rows(h, "gone", dut.joined)
    word, joined = dut.words.payload, dut.joined.payload
    m.d.comb += Assume(~came_more | ~dut.words.valid | (~word.end & (word.address == came_next)))
    h.check(~joined.end, joined.address == gone_next, when=gone_more & dut.joined.valid)
    h.check_waits("joined", dut.joined)

    came, wrote = _watched(h, "written", dut.words, address, byte)
    gone, gave = _watched(h, "joined", dut.joined, address, byte)
    holds = probe.signal("", "holds")
    held = data.View(placed_layout(len(address), WORD_BYTES), probe.signal("", "held"))
    has = holds & ~held.end & (held.address == address) & held.mask.bit_select(byte, 1)
    h.check(wrote == (has | gave))
    h.check(came == Mux(has, held.data.word_select(byte, 8), gone), when=wrote)
    # What rows are is in the word that is held.
    h.check(holds, when=came_more | gone_more)
    h.check(held.last == ~came_more, when=holds & ~held.end)
    h.check((held.address + 1)[: len(address)] == came_next, ~held.end, when=came_more)
    h.check(held.address == gone_next, ~held.end, when=gone_more)
    return h


def _rows(h: Harness, name: str, words: stream.Interface) -> tuple[Signal, Signal]:
    """Whether the last word was not the last of its row, and the number of the word behind it."""
    word = words.payload
    more = Signal(name=f"{name}_more")
    following = Signal(len(word.address), name=f"{name}_next")
    with h.m.If(words.valid & words.ready):
        h.m.d.sync += [more.eq(~word.end & ~word.last), following.eq(word.address + 1)]
    return more, following


def _watched(h: Harness, name: str, words: stream.Interface, address: Value, byte: Value) -> tuple[Signal, Signal]:
    """A byte of memory as these words have written it, and whether they have."""
    word = words.payload
    value = Signal(8, name=f"{name}_byte")
    written = Signal(name=f"{name}_at_all")
    here = words.valid & words.ready & ~word.end & (word.address == address) & word.mask.bit_select(byte, 1)
    with h.m.If(here):
        h.m.d.sync += [value.eq(word.data.word_select(byte, 8)), written.eq(1)]
    return value, written


def walks() -> Harness:
    """Each step's addresses are where its turns lead, and no loop goes on beyond its last turn."""
    h = Harness()
    m = h.m
    # Three loops: one is the innermost, one the outermost.
    with few_bits(LEVELS=3, ADDRESS_BITS=4, PLACE_BITS=3):
        levels = layouts.LEVELS
        probe = Probe(Walker())
    m.submodules.dut = probe.fragment
    dut = probe.part("")
    h.source("jobs", dut.jobs)
    h.drive(steps_ready=dut.steps.ready)
    keeps(h, "jobs", dut.jobs)
    job, step = dut.jobs.payload, dut.steps.payload
    walking = probe.signal("", "walking")
    turns = [probe.signal("", f"turn_{level}") for level in range(levels)]
    h.check(dut.jobs.valid, when=walking)
    for turn, level in zip(turns, job.levels, strict=True):
        h.check(turn <= level.last, when=walking)
    for name in ("memory", "scratchpad", "height", "width"):
        start = Value.cast(job[name])
        for number in reversed(range(levels)):
            begin = Signal(len(job[name]), name=f"{name}_begin_{number}")
            m.d.comb += begin.eq(start + turns[number] * job.levels[number][name])
            start = begin
            h.check(probe.signal("", f"{name}_{number}") == begin, when=walking)
        h.check(step[name] == start, when=dut.steps.valid)
    h.check(step.end, when=dut.steps.valid & (job.error != Error.OKAY))
    h.check_waits("steps", dut.steps)
    return h


def _decoded(part: Decode) -> Module:
    """In the place of the decoder: what the harness drives."""
    m = Module()
    m.d.comb += part.decoded.eq(part.command.operands[: len(Value.cast(part.decoded))])
    return m


class _Checks(Harness):
    """A check of any decoded command, in memories of any size; ``turns`` are any of its loops."""

    def __init__(self) -> None:
        super().__init__()
        m = self.m
        with few_bits():
            self.probe = Probe(Prepare(store=False, formats=(), compute_units=UNITS))
        assert self.probe.replace(Decode, _decoded) == 1
        m.submodules.dut = self.probe.fragment
        dut = self.dut = self.probe.part("")
        self.of = self.probe.part("decode").decoded
        self.source("commands", dut.commands)
        keeps(self, "commands", dut.commands)
        hbm, pad = self.fixed("hbm_bytes", SMALL["ADDRESS_BITS"]), self.fixed("pad_bytes", SMALL["SCRATCHPAD_BITS"] + 1)
        m.d.comb += [
            dut.hbm_bytes.eq(hbm),
            dut.scratchpad_bytes.eq(pad),
            Assume((hbm <= 1 << SMALL["ADDRESS_BITS"] - 1) & (pad <= 1 << SMALL["SCRATCHPAD_BITS"])),
        ]
        self.drive(jobs_ready=dut.jobs.ready)
        last = self.probe.signal("", "last")
        verdict = self.probe.signal("", "error")
        self.passes = Signal()
        m.d.comb += self.passes.eq(dut.commands.valid & last & (verdict == Error.OKAY))

    def number(self, name: str, value: Value) -> Signal:
        """A sum, wide enough to be true."""
        total = Signal(signed(SUM_BITS), name=name)
        self.m.d.comb += total.eq(value)
        return total

    def check_memory(self, offset: Value, row: Value) -> None:
        """Bytes so far behind the memory address are within what that names."""
        of, pad_bits = self.of, SMALL["SCRATCHPAD_BITS"]
        remote = of.memory[-1]
        base = Mux(remote, of.memory[:pad_bits], of.memory[:-1])
        limit = Mux(remote, self.dut.scratchpad_bytes, self.dut.hbm_bytes)
        first = self.number("first_of_memory", base + offset)
        self.check(first >= 0, first + row <= limit, when=self.passes & of.uses_memory)
        self.check(~remote | (of.memory[pad_bits:-1] < UNITS), when=self.passes & of.uses_memory)

    def check_pad(self, offset: Value, row: Value) -> None:
        """Bytes so far behind the scratchpad address are within it."""
        first = self.number("first_of_pad", self.of.scratchpad + offset)
        self.check(first >= 0, first + row <= self.dut.scratchpad_bytes, when=self.passes & self.of.uses_scratchpad)


def row_checks() -> Harness:
    """Of rows along four dimensions, none of a command that passes leaves its memories, whatever the turns."""
    h = _Checks()
    of, m = h.of, h.m
    m.d.comb += Assume((of.walk == Walk.ROW) | (of.walk == Walk.FILL))
    memory, pad = Const(0, signed(SUM_BITS)), Const(0, signed(SUM_BITS))
    for number, dimension in enumerate(of.dimensions):
        turn = h.fixed(f"turn_{number}", SMALL["COUNT_BITS"])
        m.d.comb += Assume((dimension.count != 0) & (turn < dimension.count))
        memory = memory + turn * dimension.memory_stride.as_signed()
        pad = pad + turn * dimension.scratchpad_stride.as_signed()
    h.check_memory(memory, of.read_row)
    h.check_pad(pad, of.written_row)
    return h


def picture_checks() -> Harness:
    """Of an im2col that passes, no pixel of the pictures leaves memory, and no row the scratchpad."""
    h = _Checks()
    of, m = h.of, h.m
    picture = of.picture
    m.d.comb += Assume(of.walk == Walk.PICTURE)
    counts = ("images", "height", "width", "out_height", "out_width", "kernel_height", "kernel_width")
    m.d.comb += [Assume(picture[name] != 0) for name in counts]
    # What has more bits than a count here.
    few = 1 << SMALL["COUNT_BITS"]
    for name in ("kernel_height", "kernel_width", "pad_top", "pad_left"):
        m.d.comb += Assume(picture[name] < few)
    for name in ("stride_height", "stride_width", "dilation_height", "dilation_width"):
        m.d.comb += Assume(picture[name] < few)
    most = 1 << SMALL["MEMORY_STRIDE_BITS"] - 1
    m.d.comb += Assume((picture.pixel_stride >= -most) & (picture.pixel_stride < most))
    turns = {name: h.fixed(f"turn_{name}", len(picture[name])) for name in counts}
    m.d.comb += [Assume(turns[name] < picture[name]) for name in counts]
    memory = turns["images"] * picture.image_stride + turns["height"] * picture.row_stride
    h.check_memory(memory + turns["width"] * picture.pixel_stride, of.read_row)
    place = (turns["images"] * picture.out_height + turns["out_height"]) * picture.out_width + turns["out_width"]
    kernel = turns["kernel_height"] * picture.kernel_width + turns["kernel_width"]
    h.check_pad(place * picture.scratchpad_stride + kernel * of.written_row, of.written_row)
    return h
