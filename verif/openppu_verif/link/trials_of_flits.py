"""Runs whose flits are looked at one by one (`openppu_verif.link.flit_rules`), and such as fill buffers and windows."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from openppu.link.block import block_words
from openppu.link.config import CHANNELS, LinkConfig
from openppu.link.training import State
from openppu_sim.errors import SimulationError

from openppu_verif.link.flit_rules import Rules
from openppu_verif.link.native import DARK, Faults, Run, Traffic, straight
from openppu_verif.link.trial import EVERY, QUIET, STREAM, Trial, both, healthy, status

BIT_ERRORS = 1e-4
TRAINED = 1_200
"""Clocks, after which lanes of no more than a few words carry data."""
PHASES_IN_SHORT = 9
"""Of the places where a flit may end beside those that are sent, each that many is tried in `make test`."""


def trials_of_flits(config: LinkConfig) -> list[Trial]:
    """Wrong bits from the first flit on; every place of what is received beside what is sent; full buffers."""
    full = [[Traffic(sizes=(1, 600), hold=0.985)] * CHANNELS] * 2
    slowly = [[Traffic(sizes=(1, 600), hold=0.9)] * CHANNELS] * 2
    words = block_words(config.lane_bits)
    return [
        _trial(config, "one by one, stream", STREAM, words=(9, 1), clocks=6_000),
        _trial(config, "one by one, all channels", EVERY, words=(1, 20), clocks=20_000),
        _trial(config, "one by one, few packets", QUIET, words=(100, 77), clocks=9_000),
        _trial(config, "one by one, far away", EVERY, words=(700, 700), clocks=20_000),
        *(
            _trial(
                config, f"one by one, lane {lane} of {side} is dark", EVERY, words=(400, 400), clocks=20_000,
                dark=(side, lane), slow=(side, lane) != ("a", 1),
            )
            for side in "ab"
            for lane in range(config.lanes)
        ),
        _trial(config, "all are held", full, words=(3, 3), clocks=6_000, holds=True, rate=0.0),
        _trial(
            config, "all are held a little, for long", slowly, words=(5, 11), clocks=100_000, holds=True, rate=1e-5,
            slow=True,
        ),
        _trial(config, "all are held, wrong bits", full, words=(3, 30), clocks=6_000, holds=True),
        *(
            # What is received moves beside what is sent by a block with the one way, by a word with the other.
            _trial(
                config, f"a flit ends in place {place}", (STREAM, EVERY)[place % 2],
                words=(1 + place - place % words, 1 + place % words), clocks=3_000, slow=place % PHASES_IN_SHORT != 0,
            )
            for place in range(config.beats)
        ),
    ]  # fmt: skip


def _trial(
    config: LinkConfig,
    label: str,
    traffic: Sequence[Sequence[Traffic]],
    *,
    words: tuple[int, int],
    clocks: int,
    rate: float = BIT_ERRORS,
    dark: tuple[str, int] | None = None,
    holds: bool = False,
    slow: bool = False,
) -> Trial:
    """With lanes of so many words from a and from b."""
    begins = TRAINED + 2 * sum(words) + (5_000 if dark else 0)
    events: list[tuple[int, str, list[object]]] = [
        (begins, "faults", [side, Faults(bit_errors=rate).words()]) for side in "ab"
    ]
    if dark:
        events.append((0, "life", [*dark, DARK]))
    arguments: dict[str, Any] = dict(
        traffic=traffic,
        lanes=[straight(config, words=each) for each in words],
        warmup=begins,
        clocks=clocks,
        events=events,
        note=["link.round_trip"],
        record=True,
    )
    expect = partial(_by_the_rules, holds=holds, width=None if dark else config.lanes.bit_length() - 1)
    return Trial(label=label, slow=slow, arguments=arguments, expect=expect)


def _by_the_rules(done: Run, *, holds: bool, width: int | None) -> str | None:
    if width is not None:
        if problem := healthy(done):
            return problem
    elif any(port.physical.retrains or port.physical.state != State.DEGRADED for port in both(done)):
        return "the ports trained again"
    if held := [port.link.held for port in both(done) if port.link.held > 1]:
        return f"{held} flits are held when all have been taken"
    try:
        for side in "ab":
            rules = Rules(done, side, timeouts=int(status(done, side).link.counts.timeouts), taken_at_once=not holds)
            if problem := next(rules.broken(), None):
                return f"{side}: {problem}"
    except SimulationError as error:
        return str(error)
    return None
