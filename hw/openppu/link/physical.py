"""The physical layer of a port: between the SerDes' words and beats of flits."""

from amaranth import DomainRenamer, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.link.config import LinkConfig
from openppu.link.crossing import ElasticBuffer, Snapshot
from openppu.link.gather import Gather
from openppu.link.layouts import beat_layout
from openppu.link.prbs import Pattern
from openppu.link.receive_side import (
    ReceiveSide,
    lane_report_layout,
    receive_control_layout,
    receive_report_layout,
)
from openppu.link.serdes import SerdesSignature
from openppu.link.settings import TrainingSettings, settings_layout
from openppu.link.training import (
    RETRAIN_BITS,
    Cause,
    State,
    Training,
    elsewhere_layout,
    training_control_layout,
)
from openppu.link.transmit_side import TransmitSide

_ALIGNED = ("words", "valid", "begin", "active_width")


def physical_control_layout(config: LinkConfig) -> data.StructLayout:
    """What is asked of a physical layer.

    ``disable``, ``retrain``, ``hot_reset``, ``sleep``, ``forbidden``: as of
    `openppu.link.training.training_control_layout`. ``near_loopback``: the words sent are received, too, instead of the
    SerDes'. ``far_loopback``: the SerDes' words are sent back. With ``recovered_clock`` neither does anything.
    ``test``: send the sequence ``pattern`` on all lanes, and compare what comes with it; there are no flits meanwhile.
    """
    members = training_control_layout(config).members
    others = {"near_loopback": 1, "far_loopback": 1, "test": 1, "pattern": Pattern}
    return data.StructLayout(members | others)


def physical_status_layout(config: LinkConfig) -> data.StructLayout:
    """What a physical layer tells of itself.

    ``send_width``, ``receive_width``: base 2 logarithm of the lanes that carry data. ``send_lanes``: which these are.
    ``source``: the lane received as each logical one. ``retrains`` counts trainings, and wraps; ``cause``: why the last
    one. ``missing``: a beat was not there in time. ``lanes``: of each lane received,
    `openppu.link.receive_side.lane_report_layout`.
    """
    return data.StructLayout(
        {
            "state": State,
            "failed": 1,
            "send_width": 3,
            "receive_width": 3,
            "send_lanes": config.lanes,
            "source": data.ArrayLayout(range(max(config.lanes, 2)), config.lanes),
            "retrains": RETRAIN_BITS,
            "cause": Cause,
            "missing": 1,
            "lanes": data.ArrayLayout(lane_report_layout(config), config.lanes),
        }
    )


class PhysicalLayer(wiring.Component):
    """Carries beats of flits over the lanes, and trains them.

    Latency, at full width: 2 clocks from a beat taken to its word on ``serdes.send``, and without ``recovered_clock``
    4 clocks from the last lane's word to its beat. Throughput: a beat a clock at full width, but for a skip word in
    `openppu.link.config.SKIP_INTERVAL`; at less, in as many clocks as all lanes are of the active ones.

    Parameters
    ----------
    config : LinkConfig

    Members
    -------
    serdes : Out(SerdesSignature)
    transmit : In(stream of beat_layout)
        Must have a beat whenever it can be taken.
    sending : Out(1)
        Beats are taken. When it has fallen, a flit that was not taken to its end is lost, and the next beat must be a
        ``first`` one.
    receive, receive_valid : Out(beat_layout), Out(1)
        They cannot wait. ``first`` and ``last`` are counted from the begin of ``receiving`` on.
    receiving : Out(1)
        When it falls, the rest of a flit will not come.
    between : In(1)
        The link layer is between flits, as it must be when ``sending`` rises; high if not connected.
    flit_good, flit_bad : In(1)
        Whether a flit received was right; for a clock.
    elsewhere : In(elsewhere_layout()), fresh, dirty : Out(1)
        As of `openppu.link.training.Training`.
    fresh_far : Out(1)
        The other port's link layer is new, and this one's is not: reset it; for a clock.
    link_reset : Out(1)
        Reset the link layer, because of ``hot_reset`` of one of the ports; for a clock.
    settings : In(settings_layout)
        `openppu.link.settings.TrainingSettings` if not connected.
    control : In(physical_control_layout)
    status : Out(physical_status_layout)
    """

    def __init__(self, config: LinkConfig):
        self.config = config
        super().__init__(
            {
                "serdes": Out(SerdesSignature(config)),
                "transmit": In(stream.Signature(beat_layout(config))),
                "sending": Out(1),
                "receive": Out(beat_layout(config)),
                "receive_valid": Out(1),
                "receiving": Out(1),
                "between": In(1, init=1),
                "flit_good": In(1),
                "flit_bad": In(1),
                "elsewhere": In(elsewhere_layout()),
                "fresh": Out(1),
                "dirty": Out(1),
                "fresh_far": Out(1),
                "link_reset": Out(1),
                "settings": In(settings_layout(), init=TrainingSettings().values()),
                "control": In(physical_control_layout(config)),
                "status": Out(physical_status_layout(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, control, status = self.config, self.control, self.status
        m.submodules.training = training = Training(config)
        m.submodules.transmit_side = sender = TransmitSide(config)
        receiver = ReceiveSide(config)
        m.submodules.gather = gather = Gather(config)

        m.d.comb += [
            training.settings.eq(self.settings),
            *(
                getattr(training.control, str(name)).eq(getattr(control, str(name)))
                for name in training_control_layout(config).members
                if name != "disable"
            ),
            training.control.disable.eq(control.disable | control.test),
            training.sending.eq(sender.sending),
            training.between.eq(self.between),
            training.flit_good.eq(self.flit_good),
            training.flit_bad.eq(self.flit_bad),
            training.elsewhere.eq(self.elsewhere),
            self.fresh.eq(training.fresh),
            self.dirty.eq(training.dirty),
            self.fresh_far.eq(training.fresh_far),
            self.link_reset.eq(training.link_reset),
        ]

        m.d.comb += [
            sender.control.go.eq(training.go),
            sender.control.fields.eq(training.fields),
            sender.control.active.eq(training.active),
            sender.control.logical.eq(training.logical),
            sender.control.width.eq(training.width),
            sender.control.test.eq(control.test),
            sender.control.pattern.eq(control.pattern),
            sender.beats.payload.eq(self.transmit.payload),
            sender.beats.valid.eq(self.transmit.valid),
            self.transmit.ready.eq(sender.beats.ready),
            self.sending.eq(sender.sending),
        ]

        idle = Signal(config.lanes)
        m.d.sync += idle.eq((training.idle & ~control.test).replicate(config.lanes) | control.forbidden)
        returned = Signal.like(self.serdes.receive)
        m.d.sync += returned.eq(self.serdes.receive)
        m.d.comb += [
            self.serdes.send.eq(sender.send),
            self.serdes.send_idle.eq(idle),
            receiver.raw.eq(self.serdes.receive),
            receiver.raw_valid.eq(self.serdes.receive_valid),
            receiver.signal.eq(self.serdes.signal),
        ]
        if not config.recovered_clock:
            with m.If(control.far_loopback):
                m.d.comb += [self.serdes.send.eq(returned), self.serdes.send_idle.eq(0)]
            with m.If(control.near_loopback):
                m.d.comb += [receiver.raw.eq(sender.send), receiver.raw_valid.eq(-1), receiver.signal.eq(~idle)]

        asked, report = Signal(receive_control_layout(config)), Signal(receive_report_layout(config))
        m.d.comb += [
            asked.epoch.eq(training.epoch),
            asked.accept.eq(training.accept),
            asked.patience.eq(self.settings.patience),
            asked.forbidden.eq(control.forbidden),
            asked.test.eq(control.test),
            asked.pattern.eq(control.pattern),
            training.report.eq(report),
        ]
        if config.recovered_clock:
            self._cross(m, receiver, gather, asked, report)
        else:
            m.submodules.receive_side = receiver
            m.d.comb += [
                receiver.control.eq(asked),
                report.eq(receiver.report),
                *(getattr(gather, name).eq(getattr(receiver, name)) for name in _ALIGNED),
            ]
        m.d.comb += [
            gather.allow.eq(training.accept),
            self.receive.eq(gather.beat),
            self.receive_valid.eq(gather.beat_valid),
            self.receiving.eq(gather.running),
        ]

        m.d.comb += [
            status.state.eq(training.state),
            status.failed.eq(training.state == State.FAILED),
            status.send_width.eq(training.width),
            status.receive_width.eq(report.active_width),
            status.send_lanes.eq(training.active),
            status.source.eq(report.source),
            status.retrains.eq(training.retrains),
            status.cause.eq(training.cause),
            status.lanes.eq(report.lanes),
        ]
        with m.If(sender.missing):
            m.d.sync += status.missing.eq(1)
        return m

    def _cross(self, m, receiver, gather, asked, report):
        """Put the receiving side into the clock of the lanes."""
        aligned = data.StructLayout({name: getattr(receiver, name).shape() for name in _ALIGNED if name != "valid"})
        m.submodules.receive_side = DomainRenamer("rx")(receiver)
        m.submodules.elastic = elastic = ElasticBuffer(aligned)
        m.submodules.control_crossing = down = Snapshot(asked.shape(), source="sync", target="rx")
        m.submodules.report_crossing = up = Snapshot(report.shape(), source="rx", target="sync")
        overflow = Signal()
        with m.If(elastic.overflow):
            m.d.rx += overflow.eq(1)
        with m.Elif(~receiver.report.running):
            m.d.rx += overflow.eq(0)
        m.d.comb += [
            down.value.eq(asked),
            receiver.control.eq(down.seen),
            up.value.eq(receiver.report),
            up.value.overflow.eq(receiver.report.overflow | overflow),
            report.eq(up.seen),
            *(elastic.put[name].eq(getattr(receiver, name)) for name in _ALIGNED if name != "valid"),
            elastic.put_valid.eq(receiver.valid),
            *(getattr(gather, name).eq(elastic.get[name]) for name in _ALIGNED if name != "valid"),
            gather.valid.eq(elastic.get_valid),
        ]
        with m.If(up.stale):
            for lane in report.lanes:
                m.d.comb += [lane.alive.eq(0), lane.lost.eq(lane.in_data), lane.heard.eq(0)]
