"""Runs that measure each limit of time of the training, to a few clocks."""

import itertools
from collections.abc import Sequence
from functools import partial
from typing import Any

from openppu.link.config import LinkConfig
from openppu.link.settings import TrainingSettings
from openppu.link.training import State

from openppu_verif.link.native import ALIVE, DARK, NOISE, Run, straight
from openppu_verif.link.trial import SILENT, Trial, control

LONG = {16: 0xA6D5, 17: 0x1_5A6D, 18: 0x2_5A6D}
"""Limits of so many bits. Those that are set in one are clear in the other run's."""
SLACK = 3
FOUND = (16, 63)
"""Clocks from a lane's first word until its blocks are heard."""
TRAINED, NEVER = 2_000, 1 << 20
WIDTH_AT, START_AT = 132, 148
"""Clocks in which ports whose lanes take a word are in these states."""

Event = tuple[int, str, Sequence[object]]


def trials_of_time(config: LinkConfig) -> list[Trial]:
    """Two runs a limit, each of whose bits is set in one of them."""
    both_deaf = [*_life(config, 0, "a", DARK), *_life(config, 0, "b", DARK)]
    noisy = [*_life(config, 0, "a", NOISE), *_life(config, 0, "b", NOISE)]
    die = [*_life(config, TRAINED, "a", DARK), *_life(config, TRAINED, "b", DARK)]
    found = []
    for flip in (False, True):

        def limit_of(bits: int, *, flip: bool = flip) -> int:
            return LONG[bits] ^ ((1 << bits) - 1 if flip else 0)

        def trial(
            name: str, state: Any, events: Sequence[Event], limit: int, slack: tuple[int, int] = (0, SLACK),
            also: tuple[Any, int] | None = None, start: int | None = None, **settings: int,
        ) -> None:  # fmt: skip
            lasts = [(state, limit, start), *([(*also, None)] if also else [])]
            arguments: dict[str, Any] = dict(
                traffic=SILENT, events=events, settings=TrainingSettings(**settings), warmup=0, drain=10,
                clocks=TRAINED + 2_000 + sum(each[1] for each in lasts), note=["physical.state"],
                lanes=[straight(config)] * 2,
            )  # fmt: skip
            label = f"{name} of {limit:,} clocks"
            found.append(
                Trial(
                    label=label, slow=True, may_stay=True, may_lose=True, arguments=arguments,
                    expect=partial(_lasts, lasts=lasts, slack=slack),
                )
            )  # fmt: skip

        limit, wide, longest = limit_of(16), limit_of(17), limit_of(18)
        other = wide ^ 0x1_FFFF
        trial(
            "no signal, and rest,", State.DETECT, both_deaf, wide, also=(State.FAILED, other),
            detect_timeout=wide, failed_timeout=other, attempts=1,
        )  # fmt: skip
        trial("no blocks", State.ALIGN, noisy, limit, align_timeout=limit, attempts=1)
        trial("no answer", State.WIDTH, _life(config, WIDTH_AT, "b", NOISE), limit, width_timeout=limit, attempts=1)
        trial("no data", State.START, _life(config, START_AT, "b", NOISE), limit, start_timeout=limit, attempts=1)
        trial("no blocks any more", State.RETRAIN, die, limit, retrain_timeout=limit, attempts=1)
        trial(
            "no answer to a reset", State.HOT_RESET, [*die, *_asks(config, TRAINED, "a", 1, hot_reset=1)], limit,
            reset_timeout=limit, attempts=1,
        )  # fmt: skip
        trial("sleep", State.SLEEP, _asks(config, TRAINED, "b", NEVER, sleep=1), limit, sleep_timeout=limit)
        trial(
            "a dark lane", State.ALIGN, [(0, "life", ["b", 0, DARK])], limit, slack=FOUND,
            settle_least=limit, settle_most=NEVER, align_timeout=0, width_timeout=0, start_timeout=0,
        )  # fmt: skip
        trial(
            "a lane of noise", State.ALIGN, [(0, "life", ["b", 0, NOISE])], longest, slack=FOUND,
            settle_most=longest, align_timeout=0, width_timeout=0, start_timeout=0,
        )  # fmt: skip
        trial(
            "a lane that is back", State.DEGRADED,
            [(TRAINED, "life", ["b", 0, DARK]), (TRAINED + 1_000, "life", ["b", 0, ALIVE])], limit, slack=FOUND,
            start=TRAINED + 1_000, revive_after=limit,
        )  # fmt: skip
    return found


def _life(config: LinkConfig, clock: int, side: str, what: int) -> list[Event]:
    return [(clock, "life", [side, lane, what]) for lane in range(config.lanes)]


def _asks(config: LinkConfig, clock: int, side: str, lasts: int, **fields: Any) -> list[Event]:
    value = control(config, **fields)
    return [
        (clock, "pin", [side, "control", *value.to_bytes(2, "little")]),
        (clock + lasts, "pin", [side, "control", 0, 0]),
    ]


def _lasts(done: Run, lasts: Sequence[tuple[Any, int, int | None]], slack: tuple[int, int]) -> str | None:
    """Port a was in a state for so long, the longest time that it was; or left it so long after a clock."""
    entered = [(clock, State(value)) for clock, name, value in done.notes if name == "a.physical.state"]
    for state, limit, start in lasts:
        spans = [
            left - (clock if start is None else start)
            for (clock, each), (left, _) in itertools.pairwise(entered)
            if each is state
        ]
        if not spans or not slack[0] <= max(spans) - limit <= slack[1]:
            return f"{state.name} for {spans} clocks, not {limit}"
    return None
