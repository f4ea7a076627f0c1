"""Proofs of the memory controller's counters, from any state: their upper bits move after hours of simulation."""

from amaranth import Cat, Const, Value
from amaranth.hdl import Assume
from amaranth.lib import data
from openppu.hbm.accounts import COUNTER_BITS, EVENTS, IDLE_CAUSES, LEVEL_BITS, QUEUES, Accounts
from openppu.hbm.power import POWER_COUNTERS

from openppu_verif.formal.harness import Harness, ones

USES = ("reads", "writes", *IDLE_CAUSES)
"""Of these, one counts in each clock."""


def accounts() -> Harness:
    """Each counter counts its event; a clock without an access has its first cause, or the last of all."""
    h = Harness()
    h.m.submodules.dut = dut = Accounts()
    h.drive(events=dut.events, causes=dut.causes, arrives=dut.arrives, leaves=dut.leaves)
    h.m.d.comb += Assume(~(dut.events.reads & dut.events.writes))
    steps = check_counts(h, dut.counters, name="counters")
    for name in EVENTS:
        h.check(steps[name][0] == h.history(dut.events[name], 1, f"event_{name}")[1])
    earlier: Value = dut.events.reads | dut.events.writes
    for name in IDLE_CAUSES:
        counts = ~earlier & (dut.causes[name] if name != IDLE_CAUSES[-1] else Const(1))
        h.check(steps[name][0] == h.history(counts, 1, f"cause_{name}")[1])
        earlier = earlier | dut.causes[name]
    return h


def check_counts(h: Harness, counters: data.View, *, name: str) -> dict[str, Value]:
    """Assert what holds of a pseudo-channel's counters whatever happens; how far each went in the last clock.

    ``clocks`` counts every clock, an access or one idle cause each clock, an event once a clock at most; a queue's sum
    grows by less than its level can be. In a clock of reset nothing counts.
    """
    counted = h.history(Const(1), 1, f"{name}_counted")[1]
    steps = {key: _step(h, counters[key], f"{name}_{key}") for key in ("clocks", *EVENTS, *IDLE_CAUSES, *QUEUES)}
    h.check(*(~step[1:].any() for key, step in steps.items() if key not in QUEUES))
    h.check(*(~steps[key][LEVEL_BITS:].any() for key in QUEUES))
    h.check(steps["clocks"][0] == counted, ones(Cat(steps[key][0] for key in USES)) == counted)
    return steps


def check_power_counts(h: Harness, counters: data.View) -> None:
    """Assert that each of a channel's counters of rest goes by one at most in a clock."""
    h.check(*(~_step(h, counters[key], f"power_{key}")[1:].any() for key in POWER_COUNTERS))


def _step(h: Harness, counter: Value, name: str) -> Value:
    now, before = h.history(counter, 1, name)
    return (now - before)[:COUNTER_BITS]
