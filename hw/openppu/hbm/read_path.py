"""What the memory returns, on its way to those who asked."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.delay_line import DelayLine
from openppu.common.symbol_code import SYMBOLS
from openppu.hbm import phy
from openppu.hbm.config import GRANULE, ChannelConfig
from openppu.hbm.device import BURST
from openppu.hbm.error_code import Correct, syndrome
from openppu.hbm.layouts import place_layout, returned_layout, source_layout
from openppu.hbm.retry import DEPTH
from openppu.hbm.settings import limits, settings_layout
from openppu.hbm.write_buffer import merge_layout

MOST_DELAY = (limits()["RL"][-1] + phy.PSEUDO_CHANNELS + BURST) // 2 + limits()["read_delay"][-1]
"""Clocks from a read's command to its word, at most."""


def read_issue_layout(config: ChannelConfig) -> data.StructLayout:
    """A read command, in its clock: for whom, and which word of the granule; ``last`` of its entry."""
    return data.StructLayout(
        {
            "valid": 1,
            "source": source_layout(config),
            "place": place_layout(config),
            "word": range(GRANULE),
            "last": 1,
        }
    )


def error_layout(config: ChannelConfig) -> data.StructLayout:
    """A record of a word with an error, if ``valid``.

    ``place`` is the word's. ``syndromes``: the check bits that came XOR those of the data that came; eight bits a beat,
    the first lowest. ``corrected``: the word was, with SECDED a beat of it; ``symbol``: which symbol, with symbols;
    ``uncorrectable``: the word, or with SECDED a beat, could not be; ``lost``: the word did not come.
    """
    return data.StructLayout(
        {
            "valid": 1,
            "place": place_layout(config),
            "syndromes": phy.CHECK_BITS,
            "corrected": 1,
            "symbol": range(SYMBOLS),
            "uncorrectable": 1,
            "lost": 1,
        }
    )


class ReadPath(wiring.Component):
    """Knows which read each word answers, checks and corrects it, and hands it on.

    A word is due ceil((pc + RL + burst) / 2) + ``read_delay`` clocks after its command, neither sooner nor later. One
    that does not come then is answered with ``error``.

    Latency: 1 cycle from the PHY to ``returned`` and ``merge``. Throughput: one word a cycle.

    Members
    -------
    settings : In(settings_layout())
    pc : In(1)
        The pseudo-channel, a constant.
    issue : In(read_issue_layout(config))
        In the clock in which the command is on the column bus.
    read, read_valid : In
        From the PHY.
    cancel : In
        The words of the reads of the last so many clocks are not wanted: whether they come or not.
    distrust : In(1)
        All words are wrong.
    returned : Out(returned_layout(config)), array of one a port
    merge : Out(merge_layout(config))
    record : Out(error_layout(config))
    lost : Out(1)
        Sticky: a word did not come.
    stray : Out(1)
        Sticky: a word came that was not due.
    """

    LATENCY = 1
    """Cycles from the PHY to a port."""

    def __init__(self, config: ChannelConfig):
        self.config = config
        super().__init__(
            {
                "settings": In(settings_layout()),
                "pc": In(1),
                "issue": In(read_issue_layout(config)),
                "read": In(phy.word_layout()),
                "read_valid": In(1),
                "cancel": In(range(DEPTH + 1)),
                "distrust": In(1),
                "returned": Out(returned_layout(config)).array(config.ports),
                "merge": Out(merge_layout(config)),
                "record": Out(error_layout(config)),
                "lost": Out(1),
                "stray": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config

        # The reads on their way: all but their valid bits in a memory.
        m.submodules.line = line = DelayLine(self.issue.shape(), most=MOST_DELAY + 1)
        now = Signal(line.time_bits)
        delay = Signal(range(MOST_DELAY + 1))
        on_their_way, unwanted, cancelled = (
            Signal(MOST_DELAY + 1, name=name) for name in ("on_their_way", "unwanted", "cancelled")
        )
        m.d.sync += [
            now.eq(now + 1),
            on_their_way.eq(Cat(self.issue.valid, on_their_way & ~cancelled)),
            unwanted.eq(Cat(0, unwanted | cancelled)),
        ]
        m.d.comb += cancelled.eq(on_their_way & ((Const(1, DEPTH + 1) << self.cancel) - 1))
        m.d.comb += [
            delay.eq(((self.settings.timing.RL + self.pc + BURST + 1) >> 1) + self.settings.read_delay),
            line.now.eq(now),
            line.delay.eq(delay),
            line.i.eq(self.issue),
        ]
        due, unasked = (Signal(name=name) for name in ("due", "unasked"))
        m.d.comb += [
            due.eq(on_their_way.bit_select((delay - 1)[: len(delay)], 1)),
            unasked.eq(unwanted.bit_select((delay - 1)[: len(delay)], 1)),
        ]

        # What came, with its syndromes.
        answers = Signal()
        asked = Signal(self.issue.shape(), reset_less=True)
        word = Signal(phy.DATA_BITS, reset_less=True)
        syndromes = Signal(phy.CHECK_BITS, reset_less=True)
        lost = Signal()
        m.d.sync += [
            answers.eq(due),
            asked.eq(line.o),
            word.eq(self.read.data),
            syndromes.eq(syndrome(config, self.read.data, self.read.check)),
            lost.eq(due & ~self.read_valid),
            self.lost.eq(self.lost | (due & ~self.read_valid)),
            self.stray.eq(self.stray | (self.read_valid & ~due & ~unasked)),
        ]
        m.submodules.correct = correct = Correct(config)
        m.d.comb += [correct.i.eq(word), correct.syndrome.eq(syndromes)]

        error = Signal()
        source = asked.source
        m.d.comb += error.eq(lost | correct.uncorrectable | self.distrust)
        for port, returned in enumerate(self.returned):
            m.d.comb += [
                returned.valid.eq(answers & ~source.merge & (source.port == port)),
                returned.slot.eq(source.slot),
                returned.word.eq(asked.word),
                returned.last.eq(asked.last),
                returned.error.eq(error),
                returned.corrected.eq(correct.corrected & ~error),
                returned.data.eq(correct.o),
            ]
        m.d.comb += [
            self.merge.valid.eq(answers & source.merge),
            self.merge.slot.eq(source.slot),
            self.merge.word.eq(asked.word),
            self.merge.last.eq(asked.last),
            self.merge.error.eq(error),
            self.merge.data.eq(correct.o),
            self.record.valid.eq(answers & (error | correct.corrected)),
            self.record.place.eq(asked.place),
            self.record.place.column[: len(asked.word)].eq(asked.word),
            self.record.syndromes.eq(Mux(lost, 0, syndromes)),
            self.record.corrected.eq(~lost & correct.corrected),
            self.record.symbol.eq(Mux(lost, 0, correct.symbol)),
            self.record.uncorrectable.eq(~lost & correct.uncorrectable),
            self.record.lost.eq(lost),
        ]
        return m
