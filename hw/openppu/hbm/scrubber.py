"""Reads the memory in idle time, and writes back what was corrected, before a second error joins the first."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.hbm.config import GRANULE, ChannelConfig
from openppu.hbm.layouts import acknowledge_layout, request_layout, response_layout, write_word_layout
from openppu.hbm.pick import gather, oldest
from openppu.hbm.settings import SCRUB_INTERVAL_BITS, settings_layout

COUNT_BITS = 32
PASS_BITS = 16


class Scrubber(wiring.Component):
    """Reads granule after granule through a request port, over and over, and repairs each word that came corrected.

    The repair is a write of no byte: with ECC the controller reads the old word, corrects it and writes it back, in
    order with all other accesses to it, so no write of anybody's is undone. A word with an uncorrectable error is not
    touched; if it becomes one between the scrubber's read and the controller's, it is poisoned.

    A granule is read once `scrub_interval` clocks have passed since the one before was, and the last `scrub_idle`
    clocks were idle; after a second interval, idle or not. An interval of 0 stops it, between granules.

    Throughput: one granule on its way at a time; a read of 8 accesses, and a write of one for each repair.

    Members
    -------
    settings : In(settings_layout())
    idle : In(1)
        Nobody else requests anything in this clock.
    requests : Out(stream of request_layout(config))
    words : Out(stream of write_word_layout())
    responses : In(stream of response_layout(config))
    acknowledges : In(stream of acknowledge_layout(config))
        All with tag 0; its own from when ``busy`` rises to when it falls.
    busy : Out(1)
        A granule is on its way: from the clock in which it is asked for to that of the last answer.
    position : Out(config.address_bits - 3)
        The granule that is read now or next.
    passes : Out(16)
        Times that the whole memory was read, modulo 2^16.
    repaired : Out(32)
        Words that were corrected and written back, modulo 2^32.
    wrong : Out(32)
        Words that were answered with error, modulo 2^32.
    """

    def __init__(self, config: ChannelConfig):
        self.config = config
        super().__init__(
            {
                "settings": In(settings_layout()),
                "idle": In(1),
                "requests": Out(stream.Signature(request_layout(config))),
                "words": Out(stream.Signature(write_word_layout())),
                "responses": In(stream.Signature(response_layout(config))),
                "acknowledges": In(stream.Signature(acknowledge_layout(config))),
                "busy": Out(1),
                "position": Out(range(config.accesses // GRANULE)),
                "passes": Out(PASS_BITS),
                "repaired": Out(COUNT_BITS),
                "wrong": Out(COUNT_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        settings = self.settings
        last_granule = self.config.accesses // GRANULE - 1

        # When the next granule's time has come.
        waited = Signal(SCRUB_INTERVAL_BITS + 1)
        rested = Signal(settings.scrub_idle.shape())
        due = Signal()
        forced = Signal()
        begins = Signal()
        m.d.comb += [
            due.eq((settings.scrub_interval != 0) & (waited >= settings.scrub_interval)),
            forced.eq(waited >= settings.scrub_interval << 1),
            begins.eq(due & (forced | (self.idle & (rested >= settings.scrub_idle))) & ~self.busy),
        ]
        m.d.sync += [
            waited.eq(Mux(begins | (settings.scrub_interval == 0), 1, waited + ~forced)),
            rested.eq(Mux(self.idle, rested + ~rested.all(), 0)),
        ]

        # A granule: its read, then a write for each word that was corrected.
        reading = Signal()
        writing = Signal()
        answers = Signal()
        broken = Signal(GRANULE)
        repair = Signal(GRANULE)
        word = Signal(range(GRANULE))
        request, response = self.requests.payload, self.responses.payload
        m.d.comb += [
            repair.eq(oldest(broken)),
            request.write.eq(writing),
            request.address.eq(self.position * GRANULE + Mux(writing, gather(repair, list(range(GRANULE))), 0)),
            request.last.eq(Mux(writing, 0, GRANULE - 1)),
            self.words.payload.eq(0),
            self.responses.ready.eq(1),
            self.acknowledges.ready.eq(1),
        ]
        with m.If(begins):
            m.d.sync += [self.busy.eq(1), reading.eq(1), self.requests.valid.eq(1)]
        with m.If(self.requests.valid & self.requests.ready):
            m.d.sync += self.requests.valid.eq(0)
        with m.If(self.words.valid & self.words.ready):
            m.d.sync += self.words.valid.eq(0)
        with m.If(reading & self.responses.valid):
            m.d.sync += [
                broken.eq(broken | Mux(response.corrected, 1 << word, 0)),
                word.eq(word + 1),
                self.wrong.eq(self.wrong + response.error),
                reading.eq(~response.last),
            ]
        with m.If(writing & self.acknowledges.valid):
            m.d.sync += [
                broken.eq(broken & ~repair),
                writing.eq(0),
                self.repaired.eq(self.repaired + ~self.acknowledges.payload.error),
            ]
        m.d.comb += answers.eq(self.busy & ~reading & ~writing)
        with m.If(answers & broken.any()):
            m.d.sync += [writing.eq(1), self.requests.valid.eq(1), self.words.valid.eq(1)]
        with m.If(answers & ~broken.any()):
            m.d.sync += [self.busy.eq(0), self.position.eq(self.position + 1)]
            with m.If(self.position == last_granule):
                m.d.sync += [self.position.eq(0), self.passes.eq(self.passes + 1)]
        return m
