"""The training of a port: which state it is in, and what it sends and accepts in it."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.ones import ones
from openppu.link.block import EPOCH_BITS, Fields
from openppu.link.config import LinkConfig
from openppu.link.receive_side import receive_report_layout
from openppu.link.settings import TIME_BITS, settings_layout
from openppu.link.width import WidthChoice

RETRAIN_BITS = 16


class State(enum.Enum, shape=4):
    """Of a port."""

    DISABLED = 0
    """Nothing is sent."""
    DETECT = 1
    """Waits for a signal."""
    ALIGN = 2
    """Looks for the blocks of each lane, until enough lanes are heard and the other port knows of this training."""
    WIDTH = 3
    """Waits until the other port has settled which lanes it hears."""
    START = 4
    """Counts down, sends flits, and waits for those of the other port."""
    ACTIVE = 5
    """Flits go both ways, on all lanes."""
    DEGRADED = 6
    """The same, but a direction has fewer lanes."""
    RETRAIN = 7
    """Waits for the other port's blocks."""
    HOT_RESET = 8
    """Waits for the other port to reset its link layer, too."""
    SLEEP = 9
    """The lanes rest."""
    FAILED = 10
    """Too many trainings came to nothing."""


class Cause(enum.Enum, shape=4):
    """Why a port trained last."""

    POWER_UP = 0
    ASKED = 1
    """By the input ``retrain``, ``disable`` or ``sleep``."""
    CALLED = 2
    """By the other port."""
    LANE = 3
    """An active lane was lost: its signal, or its place in the data."""
    FLITS = 4
    """Too many bad flits, or none at all."""
    SKEW = 5
    """The lanes' words came further apart than they can be brought together."""
    RESET = 6
    """By the input ``hot_reset``, or the other port's."""
    TIMEOUT = 7
    """A state lasted too long."""
    REVIVED = 8
    """More lanes are heard than carry data."""


def training_control_layout(config: LinkConfig) -> data.StructLayout:
    """What is asked of a port. ``retrain`` and ``hot_reset`` for a clock, the others as long as they are to last.

    ``disable``: send nothing. ``sleep``: let the lanes rest, both ways; the other port agrees and wakes with this one.
    ``forbidden``: lanes that are not to be used, neither way.
    """
    return data.StructLayout({"disable": 1, "retrain": 1, "hot_reset": 1, "sleep": 1, "forbidden": config.lanes})


def elsewhere_layout() -> data.StructLayout:
    """What the link layers have come to without these lanes (`openppu.link.tunnel`); each for a clock.

    ``good``: a flit has come. ``told``: the other port knows now that this one's link layer is new, if it is.
    ``reset``: this one's was reset, because the other one's is new.
    """
    return data.StructLayout({"good": 1, "told": 1, "reset": 1})


class Training(wiring.Component):
    """Brings a port up, keeps it up, and brings it up again, with whichever lanes are healthy.

    Parameters
    ----------
    config : LinkConfig

    Members
    -------
    settings : In(settings_layout)
    control : In(training_control_layout)
    report : In(receive_report_layout)
    sending : In(1)
        As of `openppu.link.transmit_side.TransmitSide`.
    between : In(1)
        The link layer is between flits: it counts down to data only then. High if not connected.
    flit_good, flit_bad : In(1)
        One has come; for a clock.
    elsewhere : In(elsewhere_layout())
    state : Out(State)
    epoch, accept : Out
        To the receiving side: its report counts once it is of this epoch; what it receives is to be used.
    go, fields, active, logical, width : Out
        To the sending side.
    idle : Out(1)
        Send nothing.
    fresh_far : Out(1)
        The other port's link layer is new, and this one's is not: reset it; for a clock.
    link_reset : Out(1)
        Reset the link layer, for a hot reset; for a clock.
    fresh : Out(1)
        This port's link layer is new, and the other one may not know it.
    dirty : Out(1)
        It is not: it has got a flit.
    retrains, cause : Out
        How often a training began, which wraps; why the last one.
    """

    def __init__(self, config: LinkConfig):
        self.config = config
        super().__init__(
            {
                "settings": In(settings_layout()),
                "control": In(training_control_layout(config)),
                "report": In(receive_report_layout(config)),
                "sending": In(1),
                "between": In(1, init=1),
                "flit_good": In(1),
                "flit_bad": In(1),
                "elsewhere": In(elsewhere_layout()),
                "state": Out(State),
                "epoch": Out(EPOCH_BITS),
                "accept": Out(1),
                "go": Out(1),
                "fields": Out(Fields),
                "active": Out(config.lanes),
                "logical": Out(data.ArrayLayout(4, config.lanes)),
                "width": Out(3),
                "idle": Out(1),
                "fresh_far": Out(1),
                "link_reset": Out(1),
                "fresh": Out(1),
                "dirty": Out(1),
                "retrains": Out(RETRAIN_BITS),
                "cause": Out(Cause),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, control, report, settings = self.config, self.control, self.report, self.settings
        lanes, far = config.lanes, self.report.far
        m.submodules.choice = choice = WidthChoice(lanes)

        alive = Cat(lane.alive for lane in report.lanes)
        heard = Cat(lane.heard for lane in report.lanes)
        in_data = Cat(lane.in_data for lane in report.lanes)
        current, known, known_me, other = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            current.eq(report.epoch == self.epoch),
            known.eq(current & report.far_valid),
            # The other port has heard of this training.
            known_me.eq(known & (far.echo == self.epoch) & far.heard.any()),
        ]

        # What the blocks say.
        fresh, answering, settled, echo = Signal(init=1), Signal(), Signal(len(report.heard)), Signal(EPOCH_BITS)
        agreed, dirty, was_fresh = Signal(), Signal(), Signal()
        m.d.comb += [
            self.fields.heard.eq(Mux(self.accept, settled, Mux(current, report.heard, 0))),
            self.fields.ready.eq(self.accept),
            self.fields.epoch.eq(self.epoch),
            self.fields.echo.eq(echo),
            self.fields.fresh.eq(fresh),
            self.fields.reset.eq(self.state == State.HOT_RESET),
            self.fields.reset_done.eq(answering),
            self.fields.sleep.eq(control.sleep),
            self.fields.sleep_agreed.eq(agreed),
            self.fields.word.eq((config.lane_bits // 16).bit_length() - 1),
            self.accept.eq(
                (self.state == State.WIDTH)
                | (self.state == State.START)
                | (self.state == State.ACTIVE)
                | (self.state == State.DEGRADED)
            ),
            self.go.eq(self.accept & (self.state != State.WIDTH)),
            self.idle.eq((self.state == State.DISABLED) | (self.state == State.SLEEP) | (self.state == State.FAILED)),
            self.active.eq(choice.active),
            self.logical.eq(choice.logical),
            self.width.eq(choice.width),
            self.fresh.eq(fresh),
            self.dirty.eq(dirty),
        ]

        # The other port trains anew; it may even have been reset, and by chance have the same epoch.
        m.d.comb += other.eq(known & ((far.epoch != echo) | far.fresh & ~was_fresh))
        # Once a flit may have been sent, the link layer is not new any more.
        with m.If(self.sending | self.elsewhere.told):
            m.d.sync += fresh.eq(0)

        # How long the state has lasted, and how long beside the first lane that is heard.
        time, settling = Signal(TIME_BITS), Signal(TIME_BITS)
        limit, late = Signal(TIME_BITS), Signal()
        limits = {
            State.DETECT: settings.detect_timeout,
            State.ALIGN: settings.align_timeout,
            State.WIDTH: settings.width_timeout,
            State.START: settings.start_timeout,
            State.RETRAIN: settings.retrain_timeout,
            State.HOT_RESET: settings.reset_timeout,
            State.SLEEP: settings.sleep_timeout,
            State.FAILED: settings.failed_timeout,
        }
        with m.Switch(self.state):
            for state, value in limits.items():
                with m.Case(state):
                    m.d.comb += limit.eq(value)
        m.d.comb += late.eq(limit.any() & (time >= limit))
        m.d.sync += [time.eq(time + 1), settling.eq(Mux(report.heard.any() & current, settling + 1, 0))]

        # Bad flits in a row; none at all; lanes that wait to be used.
        bad, silence, waiting = Signal(len(settings.bad_flits)), Signal(TIME_BITS), Signal(TIME_BITS)
        up = Signal()
        m.d.comb += up.eq((self.state == State.ACTIVE) | (self.state == State.DEGRADED))
        m.d.sync += silence.eq(silence + 1)
        with m.If(~up | self.flit_good | self.flit_bad):
            m.d.sync += silence.eq(0)
        with m.If(~self.accept | self.flit_good):
            m.d.sync += bad.eq(0)
        with m.Elif(self.flit_bad):
            m.d.sync += bad.eq(bad + 1)
        with m.If(self.elsewhere.reset):
            m.d.sync += dirty.eq(0)
        with m.Elif(self.flit_good | self.elsewhere.good):
            m.d.sync += dirty.eq(1)
        usable = Signal(range(lanes + 1))
        m.d.sync += [
            usable.eq(ones(heard | in_data)),
            waiting.eq(Mux(up & (usable >= 2 << report.active_width), waiting + 1, 0)),
        ]

        failures = Signal(len(settings.attempts))
        healthy, chosen = Signal(lanes), Signal(range(4))
        asked, quiet = Signal(), Signal()
        m.d.comb += choice.healthy.eq(healthy)

        def enter(state):
            return [self.state.eq(state), time.eq(0)]

        def again(cause, state=State.RETRAIN):
            """A new training."""
            return [
                *enter(state),
                self.epoch.eq(self.epoch + 1),
                self.cause.eq(cause),
                self.retrains.eq(self.retrains + 1),
            ]

        def give_up(state):
            """A state has lasted too long: try again, unless this has been too often."""
            tired = settings.attempts.any() & (failures + 1 >= settings.attempts)
            return [
                *again(Cause.TIMEOUT),
                self.state.eq(Mux(tired, State.FAILED, state)),
                failures.eq(Mux(tired, 0, failures + 1)),
            ]

        def reset():
            """The link layer, as new."""
            return [self.link_reset.eq(1), fresh.eq(1), dirty.eq(0)]

        enough = Signal()
        candidates = Signal(lanes)
        m.d.comb += [
            candidates.eq(alive & ~control.forbidden),
            enough.eq(
                current
                & (
                    heard.all()
                    | ((settling >= settings.settle_least) & heard.any() & ((heard & candidates) == candidates))
                    | (settling >= settings.settle_most)
                )
            ),
        ]
        m.d.sync += [self.fresh_far.eq(0), self.link_reset.eq(0)]

        with m.Switch(self.state):
            with m.Case(State.DISABLED):
                with m.If(~control.disable):
                    m.d.sync += enter(State.DETECT)

            with m.Case(State.DETECT):
                with m.If(current & alive.any()):
                    m.d.sync += enter(State.ALIGN)
                with m.Elif(late):
                    m.d.sync += give_up(State.DETECT)

            with m.Case(State.ALIGN):
                m.d.sync += [echo.eq(Mux(known, far.epoch, echo)), agreed.eq(known & far.sleep)]
                with m.If(known & far.fresh & dirty & ~far.reset):
                    m.d.sync += [self.fresh_far.eq(1), dirty.eq(0)]
                with m.If(known & far.reset & ~answering):
                    m.d.sync += [answering.eq(1), *reset(), self.cause.eq(Cause.RESET)]
                with m.If(known & ~far.reset):
                    m.d.sync += answering.eq(0)
                with m.If(control.sleep & known_me & far.sleep_agreed):
                    m.d.sync += [*enter(State.SLEEP), quiet.eq(0), asked.eq(1)]
                with m.Elif((control.sleep | agreed) & current & ~alive.any()):
                    m.d.sync += [*enter(State.SLEEP), quiet.eq(0), asked.eq(control.sleep)]
                with m.Elif(enough & known_me & (far.epoch == echo) & ~far.reset & ~far.sleep & ~control.sleep):
                    m.d.sync += [*enter(State.WIDTH), settled.eq(report.heard), was_fresh.eq(far.fresh), chosen.eq(0)]
                with m.Elif(late):
                    m.d.sync += give_up(State.DETECT)

            with m.Case(State.WIDTH):
                with m.If(other):
                    m.d.sync += again(Cause.CALLED)
                with m.Elif(late):
                    m.d.sync += give_up(State.RETRAIN)
                with m.Elif(chosen.all() & choice.any & self.between):
                    m.d.sync += enter(State.START)
                with m.Elif(chosen.any()):
                    m.d.sync += chosen.eq(Mux(chosen.all(), chosen, chosen + 1))
                with m.Elif(known_me & far.ready):
                    m.d.sync += [chosen.eq(1), healthy.eq(far.heard & ~control.forbidden)]

            with m.Case(State.START):
                with m.If(report.called | other):
                    m.d.sync += again(Cause.CALLED)
                with m.Elif(late):
                    m.d.sync += give_up(State.RETRAIN)
                with m.Elif(current & report.running & self.sending):
                    whole = (report.active_width == lanes.bit_length() - 1) & (self.width == lanes.bit_length() - 1)
                    m.d.sync += [
                        *enter(State.ACTIVE),
                        self.state.eq(Mux(whole, State.ACTIVE, State.DEGRADED)),
                        failures.eq(0),
                    ]

            with m.Case(State.ACTIVE, State.DEGRADED):
                with m.If(report.called):
                    m.d.sync += again(Cause.CALLED)
                with m.Elif(Cat(lane.lost for lane in report.lanes).any()):
                    m.d.sync += again(Cause.LANE)
                with m.Elif(report.overflow):
                    m.d.sync += again(Cause.SKEW)
                with m.Elif(
                    (bad >= settings.bad_flits) | settings.silence_timeout.any() & (silence >= settings.silence_timeout)
                ):
                    m.d.sync += again(Cause.FLITS)
                with m.Elif(settings.revive_after.any() & (waiting >= settings.revive_after)):
                    m.d.sync += again(Cause.REVIVED)
                with m.Elif(control.sleep):
                    m.d.sync += again(Cause.ASKED)

            with m.Case(State.RETRAIN):
                with m.If(known):
                    m.d.sync += enter(State.ALIGN)
                with m.Elif(late):
                    m.d.sync += give_up(State.DETECT)

            with m.Case(State.HOT_RESET):
                m.d.sync += [echo.eq(Mux(known, far.epoch, echo)), answering.eq(known & far.reset)]
                with m.If(known_me & far.reset_done):
                    m.d.sync += enter(State.ALIGN)
                with m.Elif(late):
                    m.d.sync += give_up(State.DETECT)

            with m.Case(State.SLEEP):
                with m.If(~alive.any()):
                    m.d.sync += quiet.eq(1)
                with m.If(~control.sleep & (asked | quiet & alive.any() | control.retrain | late)):
                    m.d.sync += again(Cause.ASKED, State.DETECT)

            with m.Case(State.FAILED):
                with m.If(late):
                    m.d.sync += again(Cause.TIMEOUT, State.DETECT)

        with m.If(control.disable):
            with m.If(self.state != State.DISABLED):
                m.d.sync += again(Cause.ASKED, State.DISABLED)
        with m.Elif(control.hot_reset & (self.state != State.DISABLED)):
            m.d.sync += [*again(Cause.RESET, State.HOT_RESET), *reset(), answering.eq(0)]
        with m.Elif(control.retrain & (self.accept | (self.state == State.FAILED))):
            m.d.sync += again(Cause.ASKED, State.DETECT)
        return m
