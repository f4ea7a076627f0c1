"""Fetches the beats of instructions from memory."""

from amaranth import Array, Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.instruction import MOST_BEATS, PROGRESS_BITS
from openppu.link.collective.memory import ReadSignature
from openppu.link.layouts import ADDRESS_BITS
from openppu.link.word_queue import WordQueue

THREADS = 16
"""Numbers of those who write memory (`openppu.link.collective.instruction.Thread`)."""

READ_STEP = data.StructLayout(
    {
        "address": ADDRESS_BITS,
        "beats": range(MOST_BEATS + 1),
        "wait": 1,
        "thread": range(THREADS),
        "base": PROGRESS_BITS,
    }
)
"""So many beats from an address on; with ``wait`` beat i once ``thread`` has written more than ``base`` + i."""

PROGRESS = data.ArrayLayout(PROGRESS_BITS, THREADS)
"""Beats that each thread has written to memory since the program began."""


class Reader(wiring.Component):
    """Asks for beats as long as there is room for them, and hands them on in order.

    Latency: 1 cycle from a step to its first address (2 with ``wait``), 1 from memory to ``beats``. Throughput: a beat
    a cycle, also from one step to the next.

    Parameters
    ----------
    config : CollectiveConfig
        ``config.reads`` beats may be on their way or wait.

    Members
    -------
    steps : In(stream of READ_STEP)
    progress : In(PROGRESS)
    memory : Out(ReadSignature(config))
    beats : Out(stream)
    came : Out(1)
        A beat comes from memory; it is among ``beats`` in the next cycle.
    held : Out(1)
        Waits for a thread to write more.
    busy : Out(1)
        A step is not fetched yet, or a beat not handed on.
    """

    def __init__(self, config: CollectiveConfig):
        self.config = config
        super().__init__(
            {
                "steps": In(stream.Signature(READ_STEP)),
                "progress": In(PROGRESS),
                "memory": Out(ReadSignature(config)),
                "beats": Out(stream.Signature(8 * config.beat_bytes)),
                "came": Out(1),
                "held": Out(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.queue = queue = WordQueue(8 * config.beat_bytes, depth=config.reads)
        wiring.connect(m, queue.o, wiring.flipped(self.beats))

        step = Signal(READ_STEP)
        active = Signal()
        left = Signal(range(MOST_BEATS + 1))
        address = Signal(ADDRESS_BITS)
        index = Signal(PROGRESS_BITS)
        room = Signal(range(config.reads + 1), init=config.reads)
        issue, taken, last, allowed = Signal(), Signal(), Signal(), Signal()

        # What the thread has written, less what is before this step: a cycle old, which only makes it less.
        reached = Signal(signed(PROGRESS_BITS))
        known = Signal()
        written = Array(self.progress[thread] for thread in range(THREADS))[step.thread]
        m.d.sync += [
            reached.eq((written - step.base)[:PROGRESS_BITS].as_signed()),
            known.eq(active & ~self.steps.ready),
        ]
        ahead = Signal(signed(PROGRESS_BITS + 1))
        m.d.comb += [
            ahead.eq(reached - index.as_signed()),
            allowed.eq(~step.wait | (known & (ahead > 0))),
            self.held.eq(active & ~allowed),
            last.eq(left == 1),
            self.memory.address.valid.eq(active & allowed & (room != 0)),
            self.memory.address.payload.address.eq(address),
            self.memory.address.payload.last.eq(last),
            issue.eq(self.memory.address.valid & self.memory.address.ready),
            self.steps.ready.eq(~active | (issue & last)),
            taken.eq(self.beats.valid & self.beats.ready),
            queue.i.payload.eq(self.memory.beat.payload),
            queue.i.valid.eq(self.memory.beat.valid),
            self.memory.beat.ready.eq(1),
            self.came.eq(self.memory.beat.valid),
            self.busy.eq(active | (room != config.reads)),
        ]
        m.d.sync += room.eq(room + taken - issue)
        with m.If(issue):
            m.d.sync += [address.eq(address + config.beat_bytes), left.eq(left - 1), index.eq(index + 1)]
        with m.If(self.steps.ready):
            m.d.sync += [
                active.eq(self.steps.valid),
                step.eq(self.steps.payload),
                address.eq(self.steps.payload.address),
                left.eq(self.steps.payload.beats),
                index.eq(0),
            ]
        return m
