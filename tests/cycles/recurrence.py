"""The tile's timing a second way: only events, each in the first cycle that ``docs/tile.md`` allows."""

from collections.abc import Callable

from openppu.config import TileConfig
from openppu_sim.cycles.tile import Pattern, Stalls
from openppu_sim.lowering.tile import TileCommand


def event_times(
    commands: list[TileCommand], config: TileConfig, stalls: Stalls, memory_latency: int
) -> tuple[list[int], list[int], list[int]]:
    """Cycles, counted from reset, in which commands are taken, activation rows issued and results taken."""
    allowed = {name: _next_true(pattern) for name, pattern in vars(stalls).items()}
    activations = _Fetcher(config, allowed["activation_requests"], allowed["activations"], memory_latency)
    weights = _Fetcher(config, allowed["weight_requests"], allowed["weights"], memory_latency)
    taken: list[int] = []
    issued: list[int] = []
    read: list[int] = []
    results: list[int] = []
    free: dict[int, int] = {}
    swap = addend = -1
    for command in commands:
        offered = allowed["commands"](taken[-1] + 1 if taken else 0)
        taken.append(max([offered] + [fetcher.room() for fetcher in (activations, weights)]))
        if command.is_refused(config):
            continue
        activations.enter(taken[-1])
        weights.enter(taken[-1])
        for k_block in range(command.k_blocks):
            last_k = k_block == command.k_blocks - 1
            for n_block in range(command.n_blocks):
                for row in range(command.k_last if last_k else config.rows):
                    weights.consumed.append(max(weights.offered(), swap if row == 0 else -1))
                for row in range(command.m):
                    accumulator = (command.accumulator + n_block * command.m + row) % config.accumulators
                    times = [activations.offered(), free.get(accumulator, 0)]
                    if row == 0:
                        times.append(weights.consumed[-1] + 1)
                    if takes_addend := k_block == 0 and command.addend == 2:
                        times.append(allowed["addends"](addend + 1))
                    now = max(times)
                    issued.append(now)
                    activations.consumed.append(now)
                    if row == 0:
                        swap = now
                    if takes_addend:
                        addend = now
                    free[accumulator] = now + config.rows * config.latency + 3
                    if command.emit and last_k:
                        reads_from = now + config.rows * config.latency + config.columns + 5
                        read.append(max([reads_from, *results[-1:]]))
                        results.append(allowed["results"](read[-1] + 1))
                        free[accumulator] = read[-1] + 1
    return taken, issued, results


class _Fetcher:
    def __init__(
        self, config: TileConfig, taken: Callable[[int], int], offered: Callable[[int], int], memory_latency: int
    ) -> None:
        self.outstanding, self.memory_latency = config.outstanding, memory_latency
        self.request_taken, self.answer_offered = taken, offered
        self.requests: list[int] = []
        self.consumed: list[int] = []
        self.left_queue: list[int] = []

    def room(self) -> int:
        """First cycle in which the queue of 2 has room."""
        return self.left_queue[-2] + 1 if len(self.left_queue) > 1 else 0

    def enter(self, taken: int) -> None:
        """A command was taken: it leaves the queue when the fetcher is or becomes free."""
        self.left_queue.append(max([taken + 1, *self.requests[-1:]]))

    def offered(self) -> int:
        """Cycle from which the answer to the next request is offered."""
        index = len(self.requests)
        request = max([self.left_queue[-1] + 1] + [cycle + 1 for cycle in self.requests[-1:]])
        if index >= self.outstanding:
            request = max(request, self.consumed[index - self.outstanding] + 1)
        self.requests.append(self.request_taken(request))
        answer = self.requests[-1] + self.memory_latency
        return self.answer_offered(max([answer] + [cycle + 1 for cycle in self.consumed[-1:]]))


def _next_true(pattern: Pattern) -> Callable[[int], int]:
    """The first cycle from a given one on in which a pattern is true or over."""

    def first(cycle: int) -> int:
        while cycle < len(pattern) and not pattern[cycle]:
            cycle += 1
        return cycle

    return first
