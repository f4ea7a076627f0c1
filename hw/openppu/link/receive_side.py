"""All lanes of a port, received: aligned words out, and a report for the training."""

from amaranth import Array, Cat, Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.choose import lowest
from openppu.common.shared import shared
from openppu.link.block import EPOCH_BITS, Fields
from openppu.link.config import LinkConfig
from openppu.link.deskew import Deskew
from openppu.link.lane_receive import COUNT_BITS, LaneReceive
from openppu.link.prbs import Pattern
from openppu.link.settings import PATIENCE_BITS


def receive_control_layout(config: LinkConfig) -> data.StructLayout:
    """What the training asks of the receiving side; ``forbidden`` lanes are never heard."""
    return data.StructLayout(
        {
            "epoch": EPOCH_BITS,
            "accept": 1,
            "patience": PATIENCE_BITS,
            "forbidden": config.lanes,
            "test": 1,
            "pattern": Pattern,
        }
    )


def lane_report_layout(config: LinkConfig) -> data.StructLayout:
    """What is known of a lane received; all as of `openppu.link.lane_receive.LaneReceive`."""
    return data.StructLayout(
        {
            "alive": 1,
            "locked": 1,
            "heard": 1,
            "in_data": 1,
            "lost": 1,
            "inverted": 1,
            "slip": range(config.lane_bits),
            "lane": 4,
            "skip_errors": COUNT_BITS,
            "block_errors": COUNT_BITS,
            "test_errors": COUNT_BITS,
        }
    )


def receive_report_layout(config: LinkConfig) -> data.StructLayout:
    """What the receiving side tells the training.

    ``epoch``: the training that it is of. ``far``, if ``far_valid``: fields of the last good block of the lowest lane
    that is locked. ``heard``: the lanes of the other port that are heard, by their numbers there. ``called``: its
    training blocks came instead of data. ``running``, ``overflow``, ``active_width``, ``source``: as of
    `openppu.link.deskew.Deskew`.
    """
    return data.StructLayout(
        {
            "epoch": EPOCH_BITS,
            "far": Fields,
            "far_valid": 1,
            "heard": 16,
            "called": 1,
            "running": 1,
            "overflow": 1,
            "active_width": 3,
            "source": data.ArrayLayout(range(max(config.lanes, 2)), config.lanes),
            "lanes": data.ArrayLayout(lane_report_layout(config), config.lanes),
        }
    )


class ReceiveSide(wiring.Component):
    """The lanes received and their deskew, all in one clock domain: that of the lanes.

    Latency: 3 clocks from ``raw`` to ``words``, without skew; 2 more to ``report``. Throughput: a word of each lane a
    clock.

    Parameters
    ----------
    config : LinkConfig

    Members
    -------
    raw, raw_valid, signal : In, of each lane
        As of `openppu.link.serdes.SerdesSignature`.
    control : In(receive_control_layout)
    report : Out(receive_report_layout)
    words, valid, begin, active_width : Out
        As of `openppu.link.deskew.Deskew`.
    """

    def __init__(self, config: LinkConfig):
        self.config = config
        words = data.ArrayLayout(config.lane_bits, config.lanes)
        super().__init__(
            {
                "raw": In(words),
                "raw_valid": In(config.lanes),
                "signal": In(config.lanes),
                "control": In(receive_control_layout(config)),
                "report": Out(receive_report_layout(config)),
                "words": Out(words),
                "valid": Out(1),
                "begin": Out(1),
                "active_width": Out(3),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, control, report = self.config, self.control, self.report
        m.submodules.deskew = deskew = Deskew(config)
        lanes = [LaneReceive(config.lane_bits) for _ in range(config.lanes)]
        for place, lane in enumerate(lanes):
            m.submodules[f"lane_{place}"] = shared(lane, platform)
            m.d.comb += [
                lane.raw.eq(self.raw[place]),
                lane.raw_valid.eq(self.raw_valid[place]),
                lane.signal.eq(self.signal[place] & ~control.forbidden[place]),
                lane.epoch.eq(control.epoch),
                lane.accept.eq(control.accept),
                lane.patience.eq(control.patience),
                lane.pattern.eq(control.pattern),
                lane.test.eq(control.test),
                deskew.word[place].eq(lane.word),
                deskew.word_valid[place].eq(lane.word_valid),
                deskew.started[place].eq(lane.started),
                deskew.logical[place].eq(lane.logical),
                deskew.width[place].eq(lane.width),
            ]
            told = report.lanes[place]
            m.d.sync += [
                getattr(told, str(name)).eq(getattr(lane, str(name)))
                for name in lane_report_layout(config).members
                if name != "lost"
            ]
            m.d.sync += told.lost.eq(lane.lost | lane.in_data & ~lane.alive)
        m.d.comb += [
            self.words.eq(deskew.words),
            self.valid.eq(deskew.valid),
            self.begin.eq(deskew.begin),
            self.active_width.eq(deskew.active_width),
        ]

        epoch = Signal(EPOCH_BITS)
        m.d.sync += [
            epoch.eq(control.epoch),
            report.epoch.eq(epoch),
            report.called.eq(Cat(lane.called for lane in lanes).any()),
            report.running.eq(deskew.running),
            report.overflow.eq(deskew.overflow),
            report.active_width.eq(deskew.active_width),
            report.source.eq(deskew.source),
            *(
                report.heard[number].eq(Cat(lane.heard & (lane.lane == number) for lane in lanes).any())
                for number in range(len(report.heard))
            ),
        ]

        # Fields come from one lane, so that lanes with other delays do not tell older ones in between.
        training = Signal(config.lanes)
        m.d.comb += training.eq(Cat(lane.locked & ~lane.in_data for lane in lanes))
        chosen = lowest(m, training, name="chosen")
        block = Signal()
        far = Signal(Fields)
        m.d.comb += [
            block.eq(training.any() & Array(lane.block for lane in lanes)[chosen]),
            Value.cast(far).eq(Array(Value.cast(lane.fields) for lane in lanes)[chosen]),
        ]
        far_valid = Signal()
        latest = Signal(Fields)
        with m.If(block):
            m.d.sync += [latest.eq(far), far_valid.eq(1)]
        with m.If(control.epoch != epoch):
            m.d.sync += far_valid.eq(0)
        m.d.sync += [report.far.eq(latest), report.far_valid.eq(far_valid)]
        return m
