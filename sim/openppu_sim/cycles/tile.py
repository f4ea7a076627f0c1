"""The tile's cycles, counted one by one: the timing rules of ``docs/tile.md`` and nothing else.

`simulate` follows the control of the tile through every cycle, for any commands and any stall pattern of any stream. It
is one loop over local names because that runs several times faster than small parts that call each other. For streams
that never stall, ``openppu_sim.cycles.tile_fast.predict`` gives the same figures thousands of times faster.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from openppu.config import TileConfig

from openppu_sim.lowering.tile import Addend, TileCommand


class Cause(IntEnum):
    """What a cycle went to; the codes of the tile's ``cause`` port."""

    COMPUTE = 0
    WEIGHTS = 1
    ADDENDS = 2
    OUTPUT = 3
    DEPENDENCE = 4
    ACTIVATIONS = 5
    FILL = 6
    DRAIN = 7
    IDLE = 8


Pattern = Sequence[bool] | np.ndarray


@dataclass(frozen=True, kw_only=True)
class Stalls:
    """When the surroundings of the tile act, a pattern for each stream.

    A pattern is a sequence of booleans, one a cycle. Cycle 0 is the first after reset in which the surroundings may
    act; past a pattern's end, and with an empty pattern, the stream is free.

    Parameters
    ----------
    commands, activations, weights, addends : sequence of bool
        Streams into the tile. True: the source may begin to offer its next item in this cycle. What is offered stays
        until it is taken, whatever the pattern says.
    activation_requests, weight_requests, results : sequence of bool
        Streams out of the tile. True: the taker is ready in this cycle.
    """

    commands: Pattern = ()
    activation_requests: Pattern = ()
    activations: Pattern = ()
    weight_requests: Pattern = ()
    weights: Pattern = ()
    addends: Pattern = ()
    results: Pattern = ()


@dataclass(frozen=True, kw_only=True)
class CycleReport:
    """How long a command sequence takes on the tile, and why.

    Parameters
    ----------
    cycles : int
        From the cycle in which the first command is taken to that in which the last result is taken, both included.
        When nothing is emitted: ``busy_cycles``.
    busy_cycles : int
        From the cycle in which the first command is taken to the last cycle before the tile is idle for good, both
        included. More than ``cycles`` only when commands that emit nothing, or refused ones, come last.
    totals : tuple of int
        The ``busy_cycles`` by cause, in the order of `Cause`.
    commands, refused : int
        Commands taken, the refused ones included, and those among them that were refused.
    rows, results : int
        Activation rows issued, and beats of ``results``.
    timeline : ndarray of uint8, shape (busy_cycles,)
        The `Cause` of each cycle; empty when it was not recorded. Not compared by ``==``.
    """

    cycles: int
    busy_cycles: int
    totals: tuple[int, ...]
    commands: int
    refused: int
    rows: int
    results: int
    timeline: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint8), compare=False)

    def by_cause(self) -> dict[str, int]:
        """``totals`` by the causes' lower-case names."""
        return {cause.name.lower(): total for cause, total in zip(Cause, self.totals, strict=True)}


def simulate(
    commands: Iterable[TileCommand],
    config: TileConfig,
    stalls: Stalls | None = None,
    *,
    memory_latency: int = 1,
) -> CycleReport:
    """Follow the tile through every cycle of a command sequence, from reset.

    The surroundings offer commands back to back, have every addend ready, and answer operand requests in order: a
    request taken in cycle q may be answered from cycle q + ``memory_latency``. ``stalls`` holds them back.

    Parameters
    ----------
    commands : iterable of TileCommand
        In the order in which they are given.
    config : TileConfig
        The tile.
    stalls : Stalls, optional
        Free streams when absent.
    memory_latency : int, at least 1
        Cycles from request to answer.

    Raises
    ------
    ValueError
        If ``memory_latency`` is not positive.
    """
    if memory_latency < 1:
        raise ValueError(f"memory_latency = {memory_latency}: an answer takes at least 1 cycle")
    commands = list(commands)
    refused = [command.is_refused(config) for command in commands]
    accepted = [command for command, bad in zip(commands, refused, strict=True) if not bad]
    stalls = stalls or Stalls()
    may_command, may_activate, may_weigh, may_add, takes_activation_request, takes_weight_request, takes_result = (
        np.asarray(pattern, dtype=bool).tobytes()
        for pattern in (
            stalls.commands,
            stalls.activations,
            stalls.weights,
            stalls.addends,
            stalls.activation_requests,
            stalls.weight_requests,
            stalls.results,
        )
    )
    ends = [len(pattern) for pattern in (may_command, may_activate, may_weigh, may_add)]
    command_end, activation_end, weight_end, addend_end = ends
    activation_request_end, weight_request_end = len(takes_activation_request), len(takes_weight_request)
    result_end = len(takes_result)

    outstanding, accumulators = config.outstanding, config.accumulators
    until_free = config.rows * config.latency + 3
    until_read = config.rows * config.latency + config.columns + 5

    # Commands: how many were taken, whether the next is offered, and the request counts that wait in the two queues.
    taken = 0
    command_offered = False
    activation_queue: deque[int] = deque()
    weight_queue: deque[int] = deque()
    activation_counts = (command.rows for command in accepted)
    weight_counts = (command.weight_rows(config) for command in accepted)
    # Fetchers: requests that the command in them has left, requests outstanding, cycles from which answers are there.
    activations_left = weights_left = 0
    activations_out = weights_out = 0
    activation_answers: deque[int] = deque()
    weight_answers: deque[int] = deque()
    activation_offered = weight_offered = addend_offered = False
    # Loader: weight rows still to come of the block that loads.
    blocks_to_load = (rows for command in accepted for rows in _weight_rows(command, config))
    load_left = next(blocks_to_load, 0)
    full = False
    # Issue: what the next row is, and when each accumulator row is free again.
    blocks_to_issue = _blocks(accepted, accumulators)
    accumulator, rows_left, takes_addend, emits = next(blocks_to_issue, (0, 0, False, False))
    first = True
    never = 1 << 62
    free_from = [0] * accumulators
    all_free_from = 0
    # Results: emitted rows in order of issue, as (first cycle in which it may be read out, accumulator row).
    unread: deque[tuple[int, int]] = deque()
    result_offered = False
    last_result = -1
    results = 0

    timeline = bytearray()
    start = -1
    now = -1
    while True:
        now += 1
        activation_request_ready = now >= activation_request_end or takes_activation_request[now]
        weight_request_ready = now >= weight_request_end or takes_weight_request[now]

        # Results. A row read out in this cycle is busy to its end, and offered from the next.
        result_waits = result_offered
        result_held = result_offered and now < result_end and not takes_result[now]
        some_unread = bool(unread)
        if not result_held:
            if result_offered:
                last_result = now
                result_offered = False
            if some_unread and unread[0][0] <= now:
                free_from[unread.popleft()[1]] = now + 1
                all_free_from = max(all_free_from, now + 1)
                result_offered = True
                results += 1

        # Issue.
        if not addend_offered:
            addend_offered = now >= addend_end or may_add[now] != 0
        if not activation_offered and activation_answers and activation_answers[0] <= now:
            activation_offered = now >= activation_end or may_activate[now] != 0
        issued = swapped = False
        if activation_offered:
            if first and not full:
                cause = 1
            elif takes_addend and not addend_offered:
                cause = 2
            elif free_from[accumulator] > now:
                cause = 3 if result_held else 4
            else:
                cause = 0
                issued = True
                swapped = first
                activation_offered = False
                activation_answers.popleft()
                if takes_addend:
                    addend_offered = False
                if emits:
                    free_from[accumulator] = never
                    unread.append((now + until_read, accumulator))
                else:
                    free_from[accumulator] = now + until_free
                    if all_free_from < now + until_free:
                        all_free_from = now + until_free
                rows_left -= 1
                if rows_left:
                    first = False
                    accumulator = (accumulator + 1) % accumulators
                else:
                    first = True
                    accumulator, rows_left, takes_addend, emits = next(blocks_to_issue, (0, 0, False, False))
        elif activations_out or (activations_left and not activation_request_ready):
            cause = 5
        elif (
            activation_queue
            or activations_left
            or (taken < len(commands) and (command_offered or now >= command_end or may_command[now]))
        ):
            cause = 6
        elif some_unread or result_waits or all_free_from > now:
            cause = 7
        elif taken < len(commands):
            cause = 8
        else:
            break
        timeline.append(cause)

        # Weights.
        loaded = False
        if not weight_offered and weight_answers and weight_answers[0] <= now:
            weight_offered = now >= weight_end or may_weigh[now] != 0
        if swapped:
            full = False
        if weight_offered and not full:
            loaded = True
            weight_offered = False
            weight_answers.popleft()
            load_left -= 1
            if not load_left:
                full = True
                load_left = next(blocks_to_load, 0)

        # Commands. Room, and what a fetcher takes, are judged by the queues as they were when the cycle began.
        pushed = False
        if taken < len(commands):
            command_offered = command_offered or now >= command_end or may_command[now] != 0
            if command_offered and len(activation_queue) < 2 and len(weight_queue) < 2:
                if start < 0:
                    start = now
                command_offered = False
                pushed = not refused[taken]
                taken += 1

        # Requests. The outstanding counts still are those of the cycle's beginning.
        if activations_left and activation_request_ready and activations_out < outstanding:
            activation_answers.append(now + memory_latency)
            activations_left -= 1
            activations_out += 1
        if issued:
            activations_out -= 1
        if weights_left and weight_request_ready and weights_out < outstanding:
            weight_answers.append(now + memory_latency)
            weights_left -= 1
            weights_out += 1
        if loaded:
            weights_out -= 1
        if not activations_left and activation_queue:
            activations_left = activation_queue.popleft()
        if not weights_left and weight_queue:
            weights_left = weight_queue.popleft()
        if pushed:
            activation_queue.append(next(activation_counts))
            weight_queue.append(next(weight_counts))

    start = max(start, 0)
    causes = np.frombuffer(bytes(timeline[start:]), np.uint8)
    return CycleReport(
        cycles=last_result + 1 - start if results else causes.size,
        busy_cycles=causes.size,
        totals=tuple(np.bincount(causes, minlength=len(Cause)).tolist()),
        commands=len(commands),
        refused=sum(refused),
        rows=sum(command.rows for command in accepted),
        results=results,
        timeline=causes,
    )


def _weight_rows(command: TileCommand, config: TileConfig) -> Iterator[int]:
    """Weight rows of each block of a command, in order."""
    for k_block in range(command.k_blocks):
        rows = command.k_last if k_block == command.k_blocks - 1 else config.rows
        for _ in range(command.n_blocks):
            yield rows


def _blocks(commands: Iterable[TileCommand], accumulators: int) -> Iterator[tuple[int, int, bool, bool]]:
    """Each block's first accumulator row, rows, whether it takes addends, whether it emits."""
    for command in commands:
        for k_block in range(command.k_blocks):
            takes_addend = k_block == 0 and command.addend == Addend.STREAM
            emits = bool(command.emit) and k_block == command.k_blocks - 1
            for n_block in range(command.n_blocks):
                base = (command.accumulator + n_block * command.m) % accumulators
                yield base, command.m, takes_addend, emits
