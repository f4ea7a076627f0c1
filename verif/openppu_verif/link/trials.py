"""Short runs of two ports, each with what it must come to: for `openppu_verif.link.mutation`, where port a is broken.

`openppu_verif.link.soak` asks of any run that each packet arrives once, in order and whole. These ask for more: rates,
latency, what is counted, widths, states, and what is told of each lane.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from openppu.link.config import CHANNELS, LinkConfig
from openppu.link.layouts import Operation
from openppu.link.prbs import Pattern
from openppu.link.settings import TrainingSettings
from openppu.link.training import Cause, State

from openppu_verif.link import soak
from openppu_verif.link.native import ALIVE, DARK, NOISE, STUCK, Faults, Lane, Run, Traffic
from openppu_verif.link.trial import EVERY, NOTED, QUIET, SILENT, STREAM, Trial, both, control, healthy, status
from openppu_verif.link.trials_of_flits import trials_of_flits
from openppu_verif.link.trials_of_time import trials_of_time

RANDOM_RUNS = 10
HEARS = 9_000
"""The clock in which a port that was deaf begins to hear."""
_PATTERNS: tuple[Any, ...] = (Pattern.PRBS7, Pattern.PRBS15, Pattern.PRBS23, Pattern.PRBS31)


def trials(config: LinkConfig) -> list[Trial]:
    """Directed runs, then random ones as in `openppu_verif.link.soak`."""
    return [
        *_of_packets(config),
        *_of_errors(config),
        *_of_lanes(config),
        *_of_states(config),
        *_of_tests(config),
        *trials_of_flits(config),
        *trials_of_time(config),
        *(_random(config, seed) for seed in range(1, RANDOM_RUNS + 1)),
    ]


def _of_packets(config: LinkConfig) -> list[Trial]:
    """On lanes without faults."""
    far = [[Lane(delay=1_600 * config.lane_bits, arrives_as=lane) for lane in range(config.lanes)]] * 2
    busy = Traffic(sizes=(64, 64), operations=(Operation.WRITE,))
    one_held = [[Traffic(sizes=(64, 64), hold=0.99)] + [busy] * (CHANNELS - 1)] * 2
    return [
        Trial(label="stream", arguments=dict(traffic=STREAM, clocks=9_000), expect=_full_rate),
        Trial(label="latency", arguments=dict(traffic=QUIET, clocks=12_000), expect=_latency),
        Trial(label="channels", arguments=dict(traffic=EVERY, clocks=6_000), expect=_fair),
        Trial(label="long stream", arguments=dict(traffic=STREAM, clocks=40_000), expect=_full_rate),
        Trial(
            label="held",
            arguments=dict(traffic=[[Traffic(sizes=(1, 4096), hold=0.9, stall=0.2)] * CHANNELS] * 2, clocks=8_000),
        ),
        Trial(
            label="small",
            arguments=dict(traffic=[[Traffic(sizes=(1, 3), pause=0.9)] * CHANNELS] * 2, clocks=8_000),
            expect=_latency_under_load,
        ),
        Trial(label="one is held", arguments=dict(traffic=one_held, clocks=12_000), expect=_others_go_on),
        Trial(
            label="far away",
            arguments=dict(traffic=[[busy] * CHANNELS] * 2, lanes=far, warmup=12_000, clocks=20_000),
            expect=_window,
        ),
        Trial(
            label="far away, one channel",
            arguments=dict(traffic=STREAM, lanes=far, warmup=12_000, clocks=20_000),
            expect=lambda done: _share(done, done.config.credits),
        ),
    ]


def _of_errors(config: LinkConfig) -> list[Trial]:
    """With wrong bits and words."""
    few = 3e-5 if not config.fec else 1e-4
    worst = Faults(bit_errors=0.02)
    struck: list[tuple[int, str, list[object]]] = []
    for clock in range(3_000, 30_000, 1_500):
        struck += [(clock, "faults", ["a", worst.words()]), (clock + 150, "faults", ["a", Faults().words()])]
        struck += [(clock + 700, "faults", ["b", worst.words()]), (clock + 850, "faults", ["b", Faults().words()])]
    words = Faults(dropped=2e-5, doubled=2e-5, swapped=2e-5)
    unheard = [(3_000, "faults", worst.words()), (14_000, "faults", Faults().words())]
    return [
        Trial(
            label="wrong bits",
            arguments=dict(traffic=STREAM, faults=(Faults(bit_errors=few),) * 2, clocks=25_000),
            expect=_counted,
        ),
        Trial(
            label="wrong bits on all channels",
            arguments=dict(traffic=EVERY, faults=(Faults(bit_errors=few),) * 2, clocks=40_000),
        ),
        Trial(
            label="quiet, with wrong bits",
            arguments=dict(traffic=QUIET, faults=(Faults(bit_errors=4 * few),) * 2, clocks=40_000),
            expect=_soon_again,
        ),
        Trial(label="struck", arguments=dict(traffic=STREAM, events=struck, clocks=32_000), expect=_recovers),
        Trial(
            label="struck in silence", arguments=dict(traffic=QUIET, events=struck, clocks=32_000), expect=_soon_again
        ),
        *(
            Trial(
                label=f"{side} is not heard",
                arguments=dict(
                    traffic=STREAM,
                    events=[(clock, kind, [side, rates]) for clock, kind, rates in unheard],
                    settings=TrainingSettings(bad_flits=255),
                    clocks=18_000,
                ),
                expect=partial(_repeated, silent=side),
            )
            for side in "ab"
        ),
        Trial(label="wrong words", arguments=dict(traffic=EVERY, faults=(words,) * 2, clocks=25_000)),
    ]


def _of_lanes(config: LinkConfig) -> list[Trial]:
    """Lanes of any order, polarity and skew; those that die and come back."""
    crossed = [
        Lane(delay=5 * config.lane_bits + 40 * lane + 3, arrives_as=1 - lane, inverted=lane == 0) for lane in (0, 1)
    ]
    skewed = [Lane(delay=config.lane_bits * (1 + 6 * lane) + 7, arrives_as=lane, inverted=True) for lane in (1, 0)]
    revive = TrainingSettings(revive_after=300)
    back: list[tuple[int, str, list[object]]] = [(3_000, "life", ["b", 0, DARK]), (5_000, "life", ["b", 0, ALIVE])]
    other: list[tuple[int, str, list[object]]] = [(3_000, "life", ["a", 1, DARK]), (5_000, "life", ["a", 1, ALIVE])]
    return [
        Trial(
            label="crossed",
            arguments=dict(traffic=EVERY, lanes=(crossed, crossed), clocks=4_000),
            expect=lambda done: _crossed(done, (1, 0)),
        ),
        Trial(
            label="skewed",
            arguments=dict(traffic=STREAM, lanes=(skewed[::-1], skewed[::-1]), clocks=6_000),
            expect=lambda done: _crossed(done, (0, 1)),
        ),
        *(
            Trial(
                label=f"lane {lane} of {side} {what}",
                arguments=dict(traffic=STREAM, events=[(3_000, "life", [side, lane, life])], clocks=7_000),
                expect=partial(_degraded, side=side, dead=lane),
            )
            for side, lane, life, what in (
                ("b", 0, DARK, "dies"),
                ("b", 1, STUCK, "sticks"),
                ("a", 1, NOISE, "makes noise"),
                ("a", 0, DARK, "dies"),
            )
        ),
        Trial(
            label="lane comes back",
            arguments=dict(traffic=STREAM, events=back, settings=revive, clocks=9_000),
            expect=lambda done: _states(done, (Cause.REVIVED, Cause.CALLED), width=1),
        ),
        Trial(
            label="other lane comes back",
            arguments=dict(traffic=STREAM, events=other, settings=revive, clocks=9_000),
            expect=lambda done: _states(done, (Cause.CALLED, Cause.REVIVED), width=1),
        ),
    ]


def _of_states(config: LinkConfig) -> list[Trial]:
    """All that software asks of a training."""

    def asked(side: str, lasts: int, **fields: Any) -> list[tuple[int, str, list[object]]]:
        value = control(config, **fields)
        return [
            (3_000, "pin", [side, "control", *value.to_bytes(2, "little")]),
            (3_000 + lasts, "pin", [side, "control", 0, 0]),
        ]

    def trial(label: str, side: str, lasts: int, expect: Callable[[Run], str | None], **fields: Any) -> Trial:
        return Trial(
            label=f"{label} of {side}",
            may_lose=label == "hot reset",
            arguments=dict(traffic=STREAM, events=asked(side, lasts, **fields), clocks=7_000, note=NOTED),
            expect=expect,
        )

    own, called = (Cause.ASKED, Cause.CALLED), (Cause.CALLED, Cause.ASKED)
    darkness = [(0, "life", [side, lane, DARK]) for side in "ab" for lane in range(config.lanes)]
    light = [(2_000, "life", [side, lane, ALIVE]) for side in "ab" for lane in range(config.lanes)]
    deaf = {side: [(0, "life", [side, lane, DARK]) for lane in range(config.lanes)] for side in "ab"}
    hears = {side: [(HEARS, "life", [side, lane, ALIVE]) for lane in range(config.lanes)] for side in "ab"}
    tired = TrainingSettings(detect_timeout=200, attempts=3, failed_timeout=3_000)
    hasty = TrainingSettings(align_timeout=1_000, attempts=0)
    return [
        trial("retrain", "a", 1, lambda done: _states(done, own, width=1, trained=1), retrain=1),
        trial("retrain", "b", 1, lambda done: _states(done, called, width=1, trained=1), retrain=1),
        trial("hot reset", "a", 1, lambda done: _was_reset(done, (Cause.RESET, Cause.RESET)), hot_reset=1),
        trial("hot reset", "b", 1, lambda done: _was_reset(done, (Cause.RESET, Cause.RESET)), hot_reset=1),
        trial("sleep", "a", 2_000, lambda done: _slept(done, "a"), sleep=1),
        trial("sleep", "b", 2_000, lambda done: _slept(done, "b"), sleep=1),
        trial("disable", "a", 2_000, lambda done: _states(done, (Cause.ASKED, Cause.LANE), width=1), disable=1),
        trial("disable", "b", 2_000, lambda done: _states(done, None, width=1), disable=1),
        *(
            Trial(
                label=f"lane {lane} of {side} is forbidden",
                arguments=dict(
                    traffic=STREAM, pins=[(side, "control", control(config, forbidden=1 << lane))], clocks=4_000
                ),
                expect=partial(_without, lane=lane),
            )
            for side, lane in (("a", 0), ("a", 1), ("b", 0), ("b", 1))
        ),
        Trial(
            label="no signal",
            may_stay=True,
            arguments=dict(
                traffic=SILENT, events=darkness, settings=tired, warmup=0, clocks=2_500, drain=10, note=NOTED
            ),
            expect=_failed,
        ),
        Trial(
            label="late signal",
            arguments=dict(traffic=STREAM, events=darkness + light, settings=tired, clocks=9_000, note=NOTED),
            expect=lambda done: _states(done, None, width=1),
        ),
        *(
            Trial(
                label=f"{name} is deaf at first",
                arguments=dict(
                    traffic=STREAM, events=deaf[far] + hears[far], settings=hasty, clocks=HEARS + 7_000, note=NOTED
                ),
                expect=_waits,
            )
            for name, far in (("a", "b"), ("b", "a"))
        ),
        *(
            Trial(
                label=f"{name} side is reset{', all channels' if every else ''}",
                may_lose=True,
                arguments=dict(traffic=EVERY if every else STREAM, events=[(3_000, "reset", [side, 20])], clocks=6_000),
                expect=_comes_back if every else _reset,
            )
            for name, side in (("far", "b"), ("near", "a"))
            for every in (False, True)
        ),
    ]


def _of_tests(config: LinkConfig) -> list[Trial]:
    """Test sequences and loopbacks."""
    crossed = [Lane(delay=3 * config.lane_bits + 5 * lane, arrives_as=1 - lane, inverted=lane == 0) for lane in (0, 1)]

    def quiet(label: str, expect: Callable[[Run], str | None], clocks: int = 4_000, **others: Any) -> Trial:
        arguments = dict(traffic=SILENT, clocks=clocks, warmup=0, drain=10) | others
        return Trial(label=label, arguments=arguments, expect=expect)

    return [
        *(
            quiet(
                f"test sequence {pattern.name}{', wrong bits' if rate else ''}",
                partial(_test_errors, clean=not rate),
                pins=[(side, "control", control(config, test=1, pattern=pattern)) for side in "ab"],
                lanes=(crossed, crossed[::-1]),
                faults=(Faults(bit_errors=rate),) * 2,
            )
            for pattern in _PATTERNS
            for rate in (0.0, 1e-3)
        ),
        *(
            # Zeros are no test sequence, so what follows them is not wrong.
            quiet(
                f"test sequence, lane {lane} of {side} is dark at first",
                partial(_test_errors, clean=True),
                pins=[(each, "control", control(config, test=1)) for each in "ab"],
                events=[(0, "life", [side, lane, DARK]), (2_000, "life", [side, lane, ALIVE])],
            )
            for side in "ab"
            for lane in (0, 1)
        ),
        *(
            quiet(
                f"{name.replace('_', ' ')} of {side}",
                partial(_up, side=up),
                pins=[(side, "control", control(config, **{name: 1}))],
            )
            for side, name, up in (("a", "near_loopback", "a"), ("b", "far_loopback", "a"), ("a", "far_loopback", "b"))
        ),
    ]


def _random(config: LinkConfig, seed: int) -> Trial:
    drawn = soak.scenario(config, seed, 8_000)
    names = ("traffic", "lanes", "faults", "events", "settings")
    return Trial(
        label=f"random {seed}",
        may_lose=drawn.resets,
        arguments={name: getattr(drawn, name) for name in names} | {"clocks": 8_000},
    )


def _full_rate(done: Run) -> str | None:
    a, b = both(done)
    least = 0.999 * done.config.payload_bytes / 256 * 4095 / 4096 - 64 / done.clocks
    if min(done.share(side) for side in "ab") < least:
        return f"payload {done.share('a'):.4f} from a, {done.share('b'):.4f} from b"
    counts = {
        name: (a.link.counts[name], b.link.counts[name])
        for name in ("bad", "timeouts", "duplicates", "early", "corrected", "replayed")
    }
    if any(sum(each) for each in counts.values()):
        return f"clean lanes: {counts}"
    for near, far, side in ((a, b, 0), (b, a, 1)):
        sent, right = near.link.counts.sent, far.link.counts.right
        if not 0 <= sent - right <= 6:
            return f"{sent} flits sent, {right} received"
        bytes_sent = done.flows[side * CHANNELS].packets_out * 106
        if abs(near.link.counts.new - bytes_sent / done.config.payload_bytes) > 3:
            return f"{near.link.counts.new} new flits for {bytes_sent} bytes"
        if near.link.outstanding > 8 or near.link.held > 3 or not 1 <= near.link.round_trip <= 6:
            return f"{near.link.outstanding} outstanding, {near.link.held} held, round trip {near.link.round_trip}"
        if near.link.counts.stalls > 300:
            return f"{near.link.counts.stalls} stalls"
    return healthy(done) or _clean_lanes(done)


def _clean_lanes(done: Run, *, inverted: Sequence[int] = (0, 0)) -> str | None:
    for side, each in zip("ab", both(done), strict=True):
        for number, lane in enumerate(each.physical.lanes):
            if not (lane.alive and lane.in_data) or lane.lost or lane.inverted != inverted[number]:
                return f"{side}: lane {number} is not as it should be"
            if lane.skip_errors or lane.block_errors > 1 or lane.test_errors:
                return f"{side}: lane {number} counts errors"
    return None


def _latency(done: Run) -> str | None:
    times = [clocks for flow in done.flows for clocks, _ in flow.latencies]
    config, fec = done.config, int(done.config.fec)
    if min(times) > 1 + 12 + fec + config.beats + 2 or max(times) > 1 + 12 + fec + 2 * config.beats + 2:
        return f"latency {min(times)} to {max(times)}"
    return healthy(done) or _clean_lanes(done)


def _latency_under_load(done: Run) -> str | None:
    """Each packet of a few bytes goes with the next flit of its channel, and all channels take turns."""
    for flow in done.flows:
        longest = max(clocks for clocks, _ in flow.latencies)
        if longest > (CHANNELS + 4) * done.config.beats:
            return f"latency of up to {longest}"
    return healthy(done)


def _fair(done: Run) -> str | None:
    """All channels get their share, and together all there is."""
    for side in (0, 1):
        moved = [flow.window_bytes for flow in done.flows[side * CHANNELS : (side + 1) * CHANNELS]]
        if min(moved) < 0.8 * max(moved) or sum(moved) < 0.9 * done.clocks * done.config.beat_bytes:
            return f"bytes by channel {moved}"
    return healthy(done)


def _others_go_on(done: Run) -> str | None:
    for side in (0, 1):
        held, *others = (flow.window_bytes for flow in done.flows[side * CHANNELS : (side + 1) * CHANNELS])
        if held > 0.1 * done.clocks * done.config.beat_bytes / CHANNELS:
            return f"{held} bytes on the channel that is held"
        if sum(others) < 0.85 * done.clocks * done.config.beat_bytes or min(others) < 0.8 * max(others):
            return f"{others} bytes on the others"
    return None


def _window(done: Run) -> str | None:
    """As many flits as the window holds in each round trip, and none more than once."""
    a, b = both(done)
    for near in (a, b):
        if near.link.counts.replayed or near.link.counts.timeouts or not near.link.counts.stalls:
            return f"{near.link.counts.replayed} flits sent again, {near.link.counts.stalls} stalls"
        if not 45 <= near.link.round_trip <= 60:
            return f"a round trip of {near.link.round_trip} flits"
    return _share(done, done.config.window)


def _share(done: Run, flits: int) -> str | None:
    """So many flits in each round trip of 52."""
    share = flits / 52 * done.config.payload_bytes / 256
    if not all(0.9 * share < done.share(side) < 1.1 * share for side in "ab"):
        return f"payload {done.share('a'):.4f} from a, {done.share('b'):.4f} from b"
    return healthy(done)


def _counted(done: Run) -> str | None:
    a, b = both(done)
    bad = a.link.counts.bad + b.link.counts.bad + a.link.counts.corrected + b.link.counts.corrected
    if not 0.8 * done.wrong_bits - 3 <= bad <= done.wrong_bits:
        return f"{done.wrong_bits} wrong bits, {bad} bad flits"
    for near, far in ((a, b), (b, a)):
        sent, came = near.link.counts.sent, far.link.counts.right + far.link.counts.bad
        if not 0 <= sent - came <= 6:
            return f"{sent} flits sent, {came} came"
        if not 0.5 * far.link.counts.bad - 3 <= near.link.counts.replayed <= 1.5 * far.link.counts.bad + 3:
            return f"{near.link.counts.replayed} flits sent again for {far.link.counts.bad} bad ones"
        if near.link.counts.timeouts > 2 or far.link.counts.duplicates > 2 + far.link.counts.bad / 5:
            return f"{near.link.counts.timeouts} timeouts, {far.link.counts.duplicates} duplicates"
        if far.link.counts.early > 8 * far.link.counts.bad or bool(far.link.counts.early) != bool(far.link.counts.bad):
            return f"{far.link.counts.early} early flits"
    if min(done.share(side) for side in "ab") < 0.85:
        return f"goodput {done.share('a'):.4f} and {done.share('b'):.4f}"
    return healthy(done)


def _repeated(done: Run, *, silent: str) -> str | None:
    """What came well, but was never acknowledged, was sent once more, and known to be a duplicate."""
    told, other = (both(done)["ab".index(side)].link.counts for side in (silent, "ba"["ab".index(silent)]))
    if not told.duplicates or not other.timeouts:
        return f"{told.duplicates} duplicates, {other.timeouts} timeouts"
    return healthy(done)


def _soon_again(done: Run) -> str | None:
    """A flit that was lost comes within a few round trips."""
    longest = max(clocks for flow in done.flows for clocks, _ in flow.latencies)
    if longest > 24 * done.config.beats:
        return f"latency of up to {longest}"
    return healthy(done)


def _recovers(done: Run) -> str | None:
    a, b = both(done)
    for near, far in ((a, b), (b, a)):
        if near.link.counts.replayed > 3 * far.link.counts.bad + 4:
            return f"{near.link.counts.replayed} flits sent again for {far.link.counts.bad} bad ones"
    if min(done.share(side) for side in "ab") < 0.7:
        return f"goodput {done.share('a'):.4f} and {done.share('b'):.4f}"
    return healthy(done)


def _crossed(done: Run, order: Sequence[int]) -> str | None:
    for side, each in zip("ab", both(done), strict=True):
        found = [each.physical.source[lane] for lane in (0, 1)]
        if found != list(order) or [lane.lane for lane in each.physical.lanes] != list(order):
            return f"{side}: lanes {found}, {[lane.lane for lane in each.physical.lanes]}"
    return healthy(done)


def _degraded(done: Run, side: str, dead: int) -> str | None:
    a, b = both(done)
    near, far = (a, b) if side == "a" else (b, a)
    widths = [each for port in (near, far) for each in (port.physical.send_width, port.physical.receive_width)]
    if widths != [0, 1, 1, 0] or near.physical.send_lanes != 3 & ~(1 << dead) or far.physical.source[0] != 1 - dead:
        return f"widths {widths}, lanes {near.physical.send_lanes:#b}, source {far.physical.source[0]}"
    if a.physical.state != State.DEGRADED or b.physical.state != State.DEGRADED:
        return f"{a.physical.state} and {b.physical.state}"
    if max(flow.longest_gap for flow in done.flows) > 2_000:
        return f"{max(flow.longest_gap for flow in done.flows)} clocks without a word"
    causes = (near.physical.cause, far.physical.cause)
    if causes[1] not in (Cause.LANE, Cause.FLITS) or causes[0] != Cause.CALLED:
        return f"causes {causes}"
    if near.physical.retrains != 1 or far.physical.retrains != 1:
        return f"{near.physical.retrains} and {far.physical.retrains} trainings"
    if min(done.share(each) for each in "ab") < 0.3:
        return f"payload {done.share('a'):.4f} from a, {done.share('b'):.4f} from b"
    return None


def _states(done: Run, causes: Sequence[Any] | None, *, width: int, trained: int | None = None) -> str | None:
    ports = both(done)
    for side, each in zip("ab", ports, strict=True):
        physical = each.physical
        if physical.state != (State.ACTIVE if width else State.DEGRADED) or physical.send_width != width:
            return f"{side}: {physical.state}, width {physical.send_width}"
        if trained is not None and physical.retrains != trained:
            return f"{side}: {physical.retrains} trainings"
        if each.resets:
            return f"{side}: {each.resets} resets"
    found = tuple(each.physical.cause for each in ports)
    if causes is not None and found != tuple(causes):
        return f"causes {found}"
    return _gap(done)


def _gap(done: Run, most: int = 4_000) -> str | None:
    longest = max(flow.longest_gap for flow in done.flows)
    return f"{longest} clocks without a word" if longest > most else None


def _waits(done: Run) -> str | None:
    """No port goes on before each hears the other."""
    for clock, name, value in done.notes:
        if name.endswith("state") and clock < HEARS and State(value) not in (State.DISABLED, State.DETECT, State.ALIGN):
            return f"{name} {State(value).name} in clock {clock}"
    return _states(done, None, width=1)


def _entered(done: Run, side: str) -> list[State]:
    return [State(value) for _, name, value in done.notes if name == f"{side}.physical.state"]


def _slept(done: Run, asking: str) -> str | None:
    for side in "ab":
        if State.SLEEP not in _entered(done, side):
            return f"{side} did not sleep"
    return _states(done, None, width=1)


def _failed(done: Run) -> str | None:
    for side, each in zip("ab", both(done), strict=True):
        if each.physical.state != State.FAILED or not each.physical.failed or each.physical.cause != Cause.TIMEOUT:
            return f"{side}: {each.physical.state}, {each.physical.cause}"
    return None


def _was_reset(done: Run, causes: Sequence[Any]) -> str | None:
    for side, each in zip("ab", both(done), strict=True):
        if (
            each.resets != 1
            or each.physical.state != State.ACTIVE
            or State.HOT_RESET not in _entered(done, "a") + _entered(done, "b")
        ):
            return f"{side}: {each.resets} resets, {each.physical.state}"
    found = tuple(each.physical.cause for each in both(done))
    if found != tuple(causes) or State.HOT_RESET not in [*_entered(done, "a"), *_entered(done, "b")]:
        return f"causes {found}"
    return _reset(done)


def _reset(done: Run) -> str | None:
    late = [flow.packets_out for flow in (done.flows[0], done.flows[CHANNELS])]
    return f"{late} packets" if min(late) < 90 else None


def _comes_back(done: Run) -> str | None:
    few = [flow.packets_out for flow in done.flows if flow.packets_out < 8]
    return f"{few} packets" if few else None


def _without(done: Run, lane: int) -> str | None:
    for side, each in zip("ab", both(done), strict=True):
        physical = each.physical
        if physical.state != State.DEGRADED or physical.send_lanes != 3 & ~(1 << lane) or physical.receive_width:
            return f"{side}: {physical.state}, lanes {physical.send_lanes:#b}"
    return None


def _test_errors(done: Run, *, clean: bool) -> str | None:
    """Each wrong bit counts once, from the lock on."""
    found = [[lane.test_errors for lane in each.physical.lanes] for each in both(done)]
    total = sum(map(sum, found))
    if clean and total:
        return f"{found} errors on clean lanes"
    if not clean and (not 0.9 * done.wrong_bits <= total <= done.wrong_bits or min(map(min, found)) < total / 8):
        return f"{found} errors of {done.wrong_bits}"
    return None


def _up(done: Run, side: str) -> str | None:
    physical = status(done, side).physical
    widths = (physical.send_width, physical.receive_width)
    if physical.state != State.ACTIVE or widths != (1, 1):
        return f"{side}: {physical.state}, widths {widths}"
    return None
