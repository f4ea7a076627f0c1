"""Both ends of streams in Amaranth's simulator, and how a test goes through the clocks."""

import random
from collections import deque
from collections.abc import Callable
from typing import Any

from amaranth import ClockDomain, Elaboratable, Module
from amaranth.sim import Simulator


class Put:
    """Offers items on a stream into the design: each, once begun, until it is taken; noise in between.

    An item is an integer, or what the payload's layout takes as a constant.
    """

    def __init__(self, stream: Any, chance: random.Random, rate: float = 1.0) -> None:
        self.stream, self.chance, self.rate = stream, chance, rate
        self.waiting: deque[Any] = deque()
        self.offered = False

    def drive(self, ctx: Any) -> None:
        """Before anything is looked at in a cycle."""
        if self.offered:
            return
        if self.waiting and self.chance.random() < self.rate:
            self.write(ctx, self.waiting[0])
            ctx.set(self.stream.valid, 1)
            self.offered = True
        else:
            ctx.set(self.stream.valid, 0)

    def write(self, ctx: Any, item: Any) -> None:
        """Put an item on the stream."""
        ctx.set(self.stream.payload, item)

    def sample(self, ctx: Any) -> Any:
        """What the design takes in this cycle, or None."""
        if self.offered and ctx.get(self.stream.ready):
            self.offered = False
            return self.waiting.popleft()
        return None


class Take:
    """Takes items from a stream of the design, and checks that what waits stays as it is."""

    def __init__(self, stream: Any, chance: random.Random, rate: float = 1.0) -> None:
        self.stream, self.chance, self.rate = stream, chance, rate
        self.waits: Any = None
        self.ready = False

    def drive(self, ctx: Any, *, allowed: bool = True) -> None:
        """Before anything is looked at in a cycle."""
        self.ready = allowed and self.chance.random() < self.rate
        ctx.set(self.stream.ready, self.ready)

    def sample(self, ctx: Any) -> Any:
        """The item that is taken in this cycle, or None."""
        item = ctx.get(self.stream.payload) if ctx.get(self.stream.valid) else None
        assert self.waits is None or item == self.waits, f"{self.waits} became {item} while it waited"
        self.waits = None if self.ready else item
        return item if self.ready else None


NOISE_CYCLES = 150


def run(
    design: Elaboratable,
    each_cycle: Callable[[Any, int], bool],
    *,
    most: int,
    noise: Callable[[Any, int], object] | None = None,
) -> int:
    """Simulate until ``each_cycle`` (context, cycle) says that it is done; the number of cycles.

    With ``noise`` that drives the design first, for `NOISE_CYCLES`, and then a reset, whenever that comes.

    Raises
    ------
    AssertionError
        If it is not done after ``most`` cycles.
    """
    count = 0

    async def bench(ctx: Any) -> None:
        nonlocal count
        if noise is not None:
            for cycle in range(NOISE_CYCLES):
                noise(ctx, cycle)
                await ctx.tick()
            ctx.set(sync.rst, 1)
            await ctx.tick()
            ctx.set(sync.rst, 0)
        for cycle in range(most):
            count = cycle
            if each_cycle(ctx, cycle):
                return
            await ctx.tick()
        raise AssertionError(f"not done after {most} cycles")

    m = Module()
    m.domains.sync = sync = ClockDomain()
    m.submodules.design = design
    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return count
