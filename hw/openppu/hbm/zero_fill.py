"""Writes zeros to a channel's memory before anybody uses it, as fast as the memory takes them."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.hbm.address import LOWER
from openppu.hbm.config import GRANULE, ChannelConfig
from openppu.hbm.layouts import request_layout, write_word_layout
from openppu.hbm.phy import PSEUDO_CHANNELS

LANES = PSEUDO_CHANNELS
"""Request ports that are used: each writes the granules of one pseudo-channel, so that none waits for another."""


class ZeroFill(wiring.Component):
    """Fills the first accesses of a channel with zeros, through two request ports at once.

    A request is a granule, so it goes whole to the port's pseudo-channel. It begins when ``start`` rises, and ends when
    all its writes are acknowledged: every read that is taken from then on sees zeros.

    Latency: 1 cycle from ``start`` to the first requests; 1 from the last acknowledge to ``done``. Throughput: a word
    a cycle on each port, which is all that a channel takes.

    Members
    -------
    start : In(1)
        The port takes requests; stays high.
    accesses : In(range)
        Accesses, from address 0, to fill. Constant.
    requests : Out(stream of request_layout(config)), array of 2
        All with tag 0.
    words : Out(stream of write_word_layout()), array of 2
        A word may be offered before its request.
    acknowledged : In(1), array of 2
        An acknowledge comes in this cycle.
    done : Out(1)
        Stays high.
    """

    LATENCY = 1
    """Cycles from ``start`` to the first requests."""

    def __init__(self, config: ChannelConfig):
        self.config = config
        super().__init__(
            {
                "start": In(1),
                "accesses": In(range(config.accesses + 1)),
                "requests": Out(stream.Signature(request_layout(config))).array(LANES),
                "words": Out(stream.Signature(write_word_layout())).array(LANES),
                "acknowledged": In(1).array(LANES),
                "done": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # Counts of a lane's granules and words, up to those of the capacity.
        word_bits = self.config.address_bits
        granule_bits = word_bits - LOWER
        finished = Signal(LANES)
        for lane in range(LANES):

            def number(name, bits, lane=lane):
                return Signal(bits, name=f"{name}_{lane}")

            requests, words = self.requests[lane], self.words[lane]
            asked, asked_next, answered = (number(name, granule_bits) for name in ("asked", "asked_next", "answered"))
            brought, brought_next = (number(name, word_bits) for name in ("brought", "brought_next"))
            begin, begin_next, word_next, left = (
                number(name, word_bits + 1) for name in ("begin", "begin_next", "word_next", "left")
            )
            m.d.comb += [
                asked_next.eq(asked + (requests.valid & requests.ready)),
                brought_next.eq(brought + (words.valid & words.ready)),
                begin.eq((asked * LANES + lane) * GRANULE),
                begin_next.eq((asked_next * LANES + lane) * GRANULE),
                word_next.eq(Cat(brought_next[:LOWER], Const(lane, 1), brought_next[LOWER:])),
                left.eq(self.accesses - begin),
                requests.payload.write.eq(1),
                requests.payload.address.eq(begin),
                requests.payload.last.eq(Mux(left >= GRANULE, GRANULE - 1, left - 1)),
                words.payload.mask.eq(~0),
                finished[lane].eq((begin >= self.accesses) & (asked == answered)),
            ]
            m.d.sync += [
                asked.eq(asked_next),
                brought.eq(brought_next),
                answered.eq(answered + self.acknowledged[lane]),
                requests.valid.eq(self.start & (begin_next < self.accesses)),
                words.valid.eq(self.start & (word_next < self.accesses)),
            ]
        m.d.sync += self.done.eq(self.start & finished.all())
        return m
