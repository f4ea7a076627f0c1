"""All lanes of a port, sent: training blocks, or beats spread over the active lanes."""

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.shared import shared
from openppu.link.block import HALF_BITS, START_BLOCKS, Fields, block_words, second_half
from openppu.link.config import SKIP_INTERVAL, LinkConfig
from openppu.link.lane_transmit import LaneTransmit, Sends
from openppu.link.layouts import beat_layout
from openppu.link.prbs import Pattern


def transmit_control_layout(config: LinkConfig) -> data.StructLayout:
    """What the training asks of the sending side.

    ``go``: count down, then send data, until it falls. ``fields``: of the training blocks; those of a lane, and
    ``start``, ``countdown`` and ``width``, are put in here. ``active``, ``logical``, ``width``: which lanes carry data,
    as of `openppu.link.width.WidthChoice`; they must not change while ``go`` is high.
    """
    return data.StructLayout(
        {
            "go": 1,
            "fields": Fields,
            "active": config.lanes,
            "logical": data.ArrayLayout(4, config.lanes),
            "width": 3,
            "test": 1,
            "pattern": Pattern,
        }
    )


class TransmitSide(wiring.Component):
    """Sends beats on the active lanes, training blocks on the others, and on all of them without ``go``.

    Latency: 2 clocks from a beat taken to its first words on ``send``. Throughput: a beat in as many clocks as all
    lanes are of the active ones, less a skip word in `openppu.link.config.SKIP_INTERVAL` words.

    Parameters
    ----------
    config : LinkConfig

    Members
    -------
    control : In(transmit_control_layout)
    beats : In(stream)
        Must have a beat whenever it can be taken: the lanes cannot wait.
    sending : Out(1)
        Beats are taken; the first when the last training block begins. A beat not sent when it falls is lost.
    missing : Out(1)
        There was no beat to send, and zeros were sent; for a clock.
    send : Out, a word for each lane
    """

    def __init__(self, config: LinkConfig):
        self.config = config
        super().__init__(
            {
                "control": In(transmit_control_layout(config)),
                "beats": In(stream.Signature(beat_layout(config))),
                "sending": Out(1),
                "missing": Out(1),
                "send": Out(data.ArrayLayout(config.lane_bits, config.lanes)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, control = self.config, self.control
        words = block_words(config.lane_bits)
        place, half = Signal(range(words)), Signal(HALF_BITS)
        counting, countdown = Signal(), Signal(range(START_BLOCKS))
        in_data, position = Signal(), Signal(range(SKIP_INTERVAL))
        skip, advance, last, stop = Signal(), Signal(), Signal(), Signal()

        # Blocks. The fields of the next one are taken with the last word of this one.
        following = Signal(Fields)
        m.d.comb += [
            following.eq(control.fields),
            following.width.eq(control.width),
            following.start.eq(control.go & ~in_data & ~(counting & (countdown == 0))),
            following.countdown.eq(Mux(counting, countdown - 1, START_BLOCKS - 1)),
        ]
        m.d.comb += stop.eq(~control.go & (in_data | counting))
        m.d.sync += place.eq(place + 1)
        with m.If((place == words - 1) | stop):
            m.d.sync += [half.eq(second_half(following)), counting.eq(following.start)]
            with m.If(following.start):
                m.d.sync += countdown.eq(following.countdown)
            with m.If(counting & (countdown == 0)):
                m.d.sync += in_data.eq(1)

        # A beat stays until all its words are sent.
        held, full = Signal(8 * config.beat_bytes), Signal()
        step = Signal(range(max(config.lanes, 2)))
        index = Signal(data.ArrayLayout(4, config.lanes))
        widths = range(config.lanes.bit_length())
        m.d.comb += [
            self.sending.eq(control.go & (in_data | counting & (countdown == 0))),
            skip.eq(position == SKIP_INTERVAL - 1),
            advance.eq(in_data & ~skip),
            last.eq(step == Array((config.lanes >> width) - 1 for width in widths)[control.width]),
            self.beats.ready.eq(self.sending & (~full | advance & last)),
            self.missing.eq(advance & ~full),
        ]
        with m.If(self.beats.valid & self.beats.ready):
            m.d.sync += [held.eq(self.beats.payload.data), full.eq(1)]
        with m.Elif(advance & last):
            m.d.sync += [held.eq(0), full.eq(0)]
        with m.If(in_data):
            m.d.sync += position.eq(position + 1)
        with m.If(advance):
            m.d.sync += step.eq(Mux(last, 0, step + 1))
            for lane in range(config.lanes):
                m.d.sync += index[lane].eq(Mux(last, control.logical[lane], index[lane] + (1 << control.width)))
        with m.Elif(~in_data):
            m.d.sync += index.eq(control.logical)

        # A training that begins anew need not wait for the end of a block.
        with m.If(stop):
            m.d.sync += [in_data.eq(0), place.eq(0), position.eq(0), step.eq(0), held.eq(0), full.eq(0)]

        for number in range(config.lanes):
            lane = LaneTransmit(config.lane_bits)
            m.submodules[f"lane_{number}"] = shared(lane, platform)
            m.d.comb += [
                lane.lane.eq(number),
                lane.logical.eq(control.logical[number]),
                lane.active.eq(control.active[number]),
                lane.half.eq(half),
                lane.place.eq(place),
                lane.word.eq(held.word_select(index[number][: (config.lanes - 1).bit_length()], config.lane_bits)),
                lane.pattern.eq(control.pattern),
                self.send[number].eq(lane.send),
            ]
            with m.If(control.test):
                m.d.comb += lane.what.eq(Sends.TEST)
            with m.Elif(in_data & control.active[number]):
                m.d.comb += lane.what.eq(Mux(skip, Sends.SKIP, Sends.DATA))
            with m.Else():
                m.d.comb += lane.what.eq(Sends.BLOCK)
        return m
