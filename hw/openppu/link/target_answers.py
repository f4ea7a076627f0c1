"""What a target answers."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.link.config import LinkConfig
from openppu.link.grains import moved_down
from openppu.link.layouts import CHIP_BITS, LENGTH_BITS, Operation, Status, packet_layout
from openppu.link.memory_port import result_layout
from openppu.link.target_requests import SUM_BITS


class TargetAnswers(wiring.Component):
    """Gives the answers that are owed, one after the other, with what the memory found: part of
    `openppu.link.target.Target`.

    Latency: 1 cycle from a result to a word of the answer; 2 where the word needs the next result, too. Throughput: a
    word a cycle.

    Parameters
    ----------
    config : LinkConfig
    owed : data.StructLayout
        `openppu.link.target.owed_layout`.

    Members
    -------
    chip : In(CHIP_BITS)
    owed : In(stream of owed)
    results : In(stream of result_layout)
    answers : Out(stream of packet_layout)
    found : Out(32), found_valid, found_wrong : Out(1)
        What was read for an addition, or that it was wrong; in one cycle.
    """

    def __init__(self, config: LinkConfig, *, owed: data.StructLayout):
        self.config = config
        self.owed_shape = owed
        super().__init__(
            {
                "chip": In(CHIP_BITS),
                "owed": In(stream.Signature(owed)),
                "results": In(stream.Signature(result_layout(config))),
                "answers": Out(stream.Signature(packet_layout(config))),
                "found": Out(SUM_BITS),
                "found_valid": Out(1),
                "found_wrong": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        width = self.config.beat_bytes
        low = (width - 1).bit_length()

        # The answer that is given, and what is left of it: results and words less one.
        item = Signal(self.owed_shape)
        busy = Signal()
        ends = Signal()
        results_left = Signal(LENGTH_BITS + 1)
        words_left = Signal(LENGTH_BITS)
        all_found = Signal()
        begun = Signal()
        wrong = Signal()
        has_before = Signal()
        owed = self.owed.payload
        m.d.comb += self.owed.ready.eq(~busy | ends)

        # The word in the middle of two results, or of the last one and nothing.
        before = Signal(8 * width)
        result = self.results.payload
        window = Signal(16 * width)
        m.d.comb += window.eq(Mux(has_before, Cat(before, Mux(all_found, 0, result.data)), result.data))
        moved = moved_down(m, window, item.offset[:low], unit=8, name="moved")

        word = Signal(packet_layout(self.config))
        out = Signal()
        free = Signal()
        m.d.comb += free.eq(~self.answers.valid | self.answers.ready)
        with m.If(free):
            m.d.sync += [self.answers.valid.eq(out), self.answers.payload.eq(word)]
        m.d.comb += [
            word.header.operation.eq(Mux(item.reads & ~wrong, Operation.DATA, Operation.DONE)),
            word.header.status.eq(Mux(wrong, Status.MEMORY, item.status)),
            word.header.destination.eq(item.chip),
            word.header.source.eq(self.chip),
            word.header.tag.eq(item.tag),
            word.header.length.eq(Mux(item.reads & ~wrong, item.length, 0)),
            word.data.eq(moved),
            word.count.eq(Mux(words_left == 0, item.length, width - 1)),
        ]

        takes = Signal()
        gives = Signal()
        m.d.comb += [
            takes.eq(self.results.valid & self.results.ready),
            ends.eq(out & free & word.last & ~word.cut),
        ]
        with m.If(busy & (~item.reads | (wrong & all_found))):
            m.d.comb += [word.first.eq(1), word.last.eq(1), out.eq(1)]
        with m.Elif(busy & wrong):
            m.d.comb += self.results.ready.eq(1)
        with m.Elif(busy):
            with m.If(all_found):
                m.d.comb += gives.eq(1)
            with m.Else():
                m.d.comb += [
                    self.results.ready.eq(free),
                    gives.eq(takes & ((item.offset == 0) | has_before | (results_left == 0))),
                ]
            with m.If(takes & result.error):
                # What has begun is cut off; when all results are in, the status follows.
                m.d.comb += [out.eq(begun), word.last.eq(1), word.cut.eq(1)]
            with m.Else():
                m.d.comb += [
                    out.eq(gives),
                    word.filled.eq(1),
                    word.first.eq(~begun),
                    word.last.eq(words_left == 0),
                ]
        with m.If(takes):
            m.d.sync += [
                before.eq(result.data),
                has_before.eq(item.offset != 0),
                results_left.eq(results_left - 1),
                all_found.eq(results_left == 0),
                wrong.eq(wrong | result.error),
            ]
        with m.If(out & free & word.filled):
            m.d.sync += [begun.eq(1), words_left.eq(words_left - 1)]

        # The next one.
        with m.If(self.owed.ready):
            m.d.sync += [
                busy.eq(self.owed.valid),
                item.eq(owed),
                results_left.eq((owed.offset + owed.length) >> low),
                words_left.eq(owed.length >> low),
                all_found.eq(0),
                begun.eq(0),
                wrong.eq(0),
                has_before.eq(0),
            ]

        # What an addition waits for.
        with m.If(out & free & word.filled):
            m.d.sync += self.found.eq(Cat(self.found, moved[: 8 * width])[-SUM_BITS:] if width < 4 else moved)
        m.d.sync += [
            self.found_valid.eq(ends & item.adds & ~wrong),
            self.found_wrong.eq(ends & item.adds & wrong),
        ]
        return m
