"""Lets jobs begin; reads the lists of those that have indices."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.command.error import Error
from openppu.dma.expand import offset_layout
from openppu.dma.layouts import COUNT_BITS, Walk, job_layout, word_layout
from openppu.dma.read import Read
from openppu.link.word_queue import WordQueue

INDEX_BYTES = 4


class Admit(wiring.Component):
    """Gives jobs on. One with indices first has its whole list read and checked, then read again, index by index.

    Latency of others: 0 cycles. Throughput: a word of the list a cycle while it is checked, then an index a cycle.

    Parameters
    ----------
    word_bytes, address_bits : int
        Of the scratchpad.
    store : bool
        Of the engine that stores. In the other one, a job with indices begins once no earlier one is under way: those
        may load its list.
    waits_block : bool
        A job with blocks, and the one behind it, begin once no earlier one is under way.

    Members
    -------
    given : In(stream of job_layout())
    jobs : Out(stream of job_layout())
    offsets : Out(stream of offset_layout())
    idle : In(1)
        No earlier job is under way.
    reads : Out(stream), results : In(stream)
        As in `openppu.dma.read`.
    """

    def __init__(self, *, word_bytes: int, address_bits: int, store: bool, waits_block: bool):
        self.word_bytes = word_bytes
        self.address_bits = address_bits
        self.store = store
        self.waits_block = waits_block
        super().__init__(
            {
                "given": In(stream.Signature(job_layout())),
                "jobs": Out(stream.Signature(job_layout())),
                "offsets": Out(stream.Signature(offset_layout())),
                "idle": In(1),
                "reads": Out(stream.Signature(address_bits)),
                "results": In(stream.Signature(word_layout(word_bytes), always_ready=True)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        job = self.given.payload
        m.submodules.read = read = Read(word_bytes=self.word_bytes, address_bits=self.address_bits)
        m.submodules.queue = queue = WordQueue(offset_layout(), depth=2)
        wiring.connect(m, read.reads, wiring.flipped(self.reads))
        wiring.connect(m, wiring.flipped(self.results), read.results)
        wiring.connect(m, queue.o, wiring.flipped(self.offsets))

        # How many indices are left, and where in a word the next one is.
        indices = self.word_bytes // INDEX_BYTES
        left = Signal(COUNT_BITS + 1)
        place = Signal(range(indices))
        asked = Signal()
        error = Signal(Error)
        words = read.words
        last_word = Signal()
        here = Cat((place <= lane) & (place + left > lane) for lane in range(indices))
        beyond = Cat(words.payload.data.word_select(lane, 32) >= job.rows for lane in range(indices))
        count = job.levels[0].last + 1
        source = read.sources.payload
        m.d.comb += [
            last_word.eq(left + place <= indices),
            source.address.eq(job.indices),
            source.bytes.eq(count * INDEX_BYTES),
            read.described.ready.eq(1),
            self.jobs.payload.eq(job),
        ]
        with m.If(read.sources.valid & read.sources.ready):
            m.d.sync += asked.eq(1)

        def begin():
            return [left.eq(count), place.eq(job.indices[2 : 2 + len(place)]), asked.eq(0)]

        indexed = (job.walk == Walk.INDEXED) & (job.error == Error.OKAY)
        blocks = Signal()
        may_begin = Signal()
        m.d.comb += may_begin.eq(1)
        if self.waits_block:
            now = (job.walk == Walk.BLOCK) & (job.error == Error.OKAY)
            before = Signal()
            entered = Signal()
            m.d.comb += [blocks.eq(now | before), may_begin.eq(~blocks | self.idle | entered)]
            with m.If(self.given.valid & self.given.ready):
                m.d.sync += [before.eq(now), entered.eq(0)]
            with m.Elif(self.jobs.valid):
                m.d.sync += entered.eq(1)

        with m.FSM():
            with m.State("OTHERS"):
                with m.If(~indexed):
                    m.d.comb += [
                        self.jobs.valid.eq(self.given.valid & may_begin),
                        self.given.ready.eq(self.jobs.ready & may_begin),
                    ]
                with m.Elif(self.given.valid & may_begin & (1 if self.store else self.idle)):
                    m.d.sync += [*begin(), error.eq(Error.OKAY)]
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.d.comb += [read.sources.valid.eq(~asked), words.ready.eq(1)]
                with m.If(words.valid):
                    m.d.sync += [left.eq(left + place - indices), place.eq(0)]
                    with m.If(error == Error.OKAY):
                        with m.If(words.payload.error):
                            m.d.sync += error.eq(Error.MEMORY)
                        with m.Elif((here & beyond).any()):
                            m.d.sync += error.eq(Error.BOUNDS)
                    with m.If(last_word):
                        m.d.sync += begin()
                        m.next = "GIVE"
            with m.State("GIVE"):
                with m.If(error != Error.OKAY):
                    m.d.comb += self.jobs.payload.error.eq(error)
                with m.Else():
                    self._serve(m, job, read, queue, left, place, asked)
                m.d.comb += [self.jobs.valid.eq(1), self.given.ready.eq(self.jobs.ready)]
                with m.If(self.jobs.ready):
                    m.next = "OTHERS"
        return m

    def _serve(self, m, job, read, queue, left, place, asked):
        """An index a cycle, multiplied in the next; an index is checked again, whoever has changed it."""
        words = read.words
        stride = job.written_stride if self.store else job.read_stride
        index = Signal(32)
        product = Signal(len(queue.i.payload.offset), reset_less=True)
        error = Signal(Error, name="index_error")
        there = Signal()
        takes = Signal()
        m.d.comb += [
            read.sources.valid.eq(~asked),
            index.eq(words.payload.data.word_select(place, 32)),
            takes.eq(words.valid & (left != 0) & (~there | queue.i.ready)),
            words.ready.eq(takes & ((left == 1) | place.all())),
            queue.i.payload.offset.eq(product),
            queue.i.payload.error.eq(error),
            queue.i.valid.eq(there),
        ]
        with m.If(~there | queue.i.ready):
            m.d.sync += there.eq(takes)
        with m.If(takes):
            m.d.sync += [
                left.eq(left - 1),
                place.eq(place + 1),
                product.eq(index[: len(job.rows)] * stride.as_signed()),
                error.eq(Mux(words.payload.error, Error.MEMORY, Mux(index >= job.rows, Error.BOUNDS, Error.OKAY))),
            ]
