"""What one lane receives: its bits aligned, its blocks read, its data descrambled and its skip words dropped."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.link.block import BLOCK_BITS, EPOCH_BITS, HALF_BITS, Fields, block_words
from openppu.link.block_reader import BlockReader
from openppu.link.config import SKIP_INTERVAL
from openppu.link.lane_transmit import SKIP
from openppu.link.prbs import Pattern, PrbsChecker
from openppu.link.scrambler import Scrambler
from openppu.link.settings import PATIENCE_BITS
from openppu.link.watchdog import Watchdog

HEARD_BLOCKS = 4
"""Good blocks in a row, after which a lane counts as heard."""

MISSED_BLOCKS = 4
"""Blocks in a row that are not good, after which a lane has lost its place."""

COUNT_BITS = 16
"""Of the counters of errors, which wrap."""


class LaneReceive(wiring.Component):
    """Receives one lane's words.

    In training it looks for blocks at every bit offset, one after the other, beginning with the last one that was
    right. A block that counts down to data makes it change over to data at the right word. Latency: 2 clocks from
    ``raw`` to ``word``. Throughput: a word a clock.

    Parameters
    ----------
    bits : int
        Of a word.

    Members
    -------
    raw, raw_valid, signal : In
        As of `openppu.link.serdes.SerdesSignature`.
    epoch : In(3)
        Number of the training; with another one, training begins anew.
    accept : In(1)
        Blocks may count down to data.
    patience : In
        Words in which a lane that has been heard before waits for a block, before it looks for it at another bit.
    pattern, test : In(Pattern), In(1)
        Sequence to compare with while ``test``.
    word, word_valid : Out(bits), Out(1)
        Data. All from the first data word on.
    alive : Out(1)
        There is a signal, and words that change.
    block : Out(1), with fields : Out(Fields)
        A good block; for a clock.
    locked, heard : Out(1)
        Blocks are found where they are expected; several were good, one after the other, in this training.
    started : Out(1)
        A block has counted down to data in this training; ``lane``, ``logical`` and ``width`` are of that block.
    in_data : Out(1)
        What comes now is data.
    called : Out(1)
        Blocks came instead of data: the other port has begun to train.
    lost : Out(1)
        Two skip words in a row were wrong: the lane has lost its place in the data.
    slip, inverted : Out
        Words begin one bit behind bit ``slip`` of those received; they are inverted.
    skip_errors, block_errors, test_errors : Out(16)
        Counters of wrong skip words, blocks not found where they were expected, wrong bits of the test.
    """

    def __init__(self, bits: int):
        self.bits = bits
        super().__init__(
            {
                "raw": In(bits),
                "raw_valid": In(1),
                "signal": In(1),
                "epoch": In(EPOCH_BITS),
                "accept": In(1),
                "patience": In(PATIENCE_BITS),
                "pattern": In(Pattern),
                "test": In(1),
                "word": Out(bits),
                "word_valid": Out(1),
                "alive": Out(1),
                "block": Out(1),
                "fields": Out(Fields),
                "locked": Out(1),
                "heard": Out(1),
                "started": Out(1),
                "lane": Out(4),
                "logical": Out(4),
                "width": Out(3),
                "in_data": Out(1),
                "called": Out(1),
                "lost": Out(1),
                "slip": Out(range(bits), init=bits - 1),
                "inverted": Out(1),
                "skip_errors": Out(COUNT_BITS),
                "block_errors": Out(COUNT_BITS),
                "test_errors": Out(COUNT_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.watchdog = watchdog = Watchdog(self.bits)
        m.submodules.reader = reader = BlockReader(self.bits)
        m.submodules.scrambler = scrambler = Scrambler(self.bits)
        m.submodules.prbs = prbs = PrbsChecker(self.bits)

        before, aligned, valid = Signal(self.bits), Signal(self.bits), Signal()
        m.d.sync += valid.eq(self.raw_valid)
        with m.If(self.raw_valid):
            m.d.sync += [
                before.eq(self.raw),
                aligned.eq(
                    Cat(before, self.raw).bit_select(self.slip + 1, self.bits) ^ self.inverted.replicate(self.bits)
                ),
            ]
        m.d.comb += [
            watchdog.word.eq(self.raw),
            watchdog.valid.eq(self.raw_valid),
            self.alive.eq(self.signal & watchdog.alive),
            reader.word.eq(aligned),
            reader.valid.eq(valid),
            self.block.eq(reader.good),
            self.fields.eq(reader.fields),
            prbs.word.eq(aligned),
            prbs.valid.eq(valid),
            prbs.pattern.eq(self.pattern),
            prbs.enable.eq(self.test),
        ]
        m.d.sync += self.test_errors.eq(self.test_errors + prbs.wrong)

        epoch = Signal(EPOCH_BITS)
        anew = Signal()
        m.d.comb += anew.eq(self.epoch != epoch)
        m.d.sync += epoch.eq(self.epoch)
        self._find_blocks(m, reader, valid, anew)
        self._count_down(m, reader, scrambler, valid, anew)
        self._take_data(m, scrambler, aligned, valid, anew)
        return m

    def _find_blocks(self, m, reader, valid, anew):
        """Align to the bit and to the block; count what is missed."""
        words = block_words(self.bits)
        # At another bit the pattern must come whole, then pass the stages up to here.
        dwell = words + HALF_BITS // self.bits + 3
        wait = Signal(PATIENCE_BITS)
        since, due = Signal(range(words)), Signal()
        streak, missed = Signal(range(HEARD_BLOCKS)), Signal(range(MISSED_BLOCKS))
        pushed = Signal()
        # The words on their way are still of the old polarity.
        turned = Signal(range(4))
        with m.If(valid & (turned != 0)):
            m.d.sync += turned.eq(turned - 1)
        m.d.sync += pushed.eq(valid)
        m.d.comb += due.eq(pushed & (since == words - 1))

        with m.If(pushed):
            m.d.sync += since.eq(Mux(due, 0, since + 1))
        with m.If(reader.good):
            m.d.sync += [since.eq(0), missed.eq(0), self.locked.eq(1)]
            with m.If(self.locked & due):
                m.d.sync += streak.eq(Mux(streak == HEARD_BLOCKS - 1, streak, streak + 1))
                with m.If(self.in_data):
                    m.d.sync += self.called.eq(1)
                with m.If(streak == HEARD_BLOCKS - 2):
                    m.d.sync += self.heard.eq(1)
            with m.Else():
                m.d.sync += streak.eq(0)
        with m.Elif(self.locked & due):
            m.d.sync += [missed.eq(missed + 1), streak.eq(0)]
            with m.If(~self.in_data):
                m.d.sync += self.block_errors.eq(self.block_errors + 1)
            with m.If((missed == MISSED_BLOCKS - 1) | self.in_data):
                m.d.sync += [self.locked.eq(0), self.heard.eq(0)]

        with m.If(~self.in_data & ~self.locked & ~reader.good & ~self.test):
            with m.If(reader.inverted & (turned == 0)):
                m.d.sync += [self.inverted.eq(~self.inverted), turned.eq(3)]
            with m.If(reader.sync | reader.inverted):
                m.d.sync += wait.eq(dwell)
            with m.Elif(valid & (wait == 0)):
                m.d.sync += [wait.eq(dwell), self.slip.eq(Mux(self.slip == self.bits - 1, 0, self.slip + 1))]
            with m.Elif(valid):
                m.d.sync += wait.eq(wait - 1)
        placed = Signal()
        with m.If(self.heard):
            m.d.sync += placed.eq(1)
        with m.If(anew | ~self.alive):
            m.d.sync += [
                self.locked.eq(0),
                self.heard.eq(0),
                streak.eq(0),
                self.called.eq(0),
                wait.eq(Mux(placed, self.patience, dwell)),
            ]

    def _count_down(self, m, reader, scrambler, valid, anew):
        """Know the lane at the other end, and the word at which its data begin."""
        counting, left = Signal(), Signal(range(BLOCK_BITS))
        counts = Signal()
        fields = reader.fields
        m.d.comb += [
            counts.eq(
                fields.start & fields.active & fields.countdown.any() & self.accept & (fields.echo == self.epoch)
            ),
            scrambler.lane.eq(self.lane),
            scrambler.restart.eq(reader.good & ~fields.start & ~self.in_data),
        ]
        with m.If(reader.good & ~self.in_data):
            with m.If(~fields.start):
                m.d.sync += self.lane.eq(fields.lane)
        with m.If(reader.good & ~self.in_data & counts):
            m.d.sync += [
                counting.eq(1),
                left.eq((fields.countdown << block_words(self.bits).bit_length() - 1) - valid),
                self.started.eq(1),
                self.logical.eq(fields.logical),
                self.width.eq(fields.width),
            ]
        with m.Elif(counting & valid):
            m.d.sync += left.eq(left - 1)
            with m.If(left == 1):
                m.d.sync += [counting.eq(0), self.in_data.eq(1), self.locked.eq(0)]
        with m.If(anew):
            m.d.sync += [counting.eq(0), self.started.eq(0), self.in_data.eq(0)]

    def _take_data(self, m, scrambler, aligned, valid, anew):
        """Descramble, and drop the skip words."""
        position, skip, wrong = Signal(range(SKIP_INTERVAL)), Signal(), Signal()
        m.d.comb += [
            skip.eq(position == SKIP_INTERVAL - 1),
            scrambler.advance.eq(self.in_data & valid & ~skip),
        ]
        m.d.sync += [
            self.word.eq(aligned ^ scrambler.key),
            self.word_valid.eq(scrambler.advance & ~anew),
        ]
        with m.If(~self.in_data):
            m.d.sync += position.eq(0)
        with m.Elif(valid):
            m.d.sync += position.eq(position + 1)

        # Wrong is one with half of its bytes wrong: one wrong bit in a while is no lost place.
        difference = aligned ^ Const(SKIP, HALF_BITS)[: self.bits]
        bytes_wrong = sum(difference.word_select(place, 8).any() for place in range(self.bits // 8))
        with m.If(self.in_data & valid & skip):
            m.d.sync += wrong.eq(0)
            with m.If(bytes_wrong >= max(self.bits // 16, 2)):
                m.d.sync += [wrong.eq(1), self.lost.eq(wrong), self.skip_errors.eq(self.skip_errors + 1)]
        with m.If(anew):
            m.d.sync += [wrong.eq(0), self.lost.eq(0)]
