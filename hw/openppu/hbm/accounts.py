"""What a pseudo-channel's clocks and commands went to."""

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

IDLE_CAUSES = ("no_request", "hold", "refresh", "turnaround", "bank_group", "row")
"""Why the data bus had nothing in a clock: nothing waits; all that waits has to wait for data; for a refresh; the bus
turns round, or has to; tCCD; or the banks are not ready."""

EVENTS = (
    "reads",
    "writes",
    "row_hits",
    "row_misses",
    "row_conflicts",
    "activates",
    "precharges",
    "refreshes",
    "turnarounds",
    "victims",
    "retries",
)
"""Accesses; those to a row that an access was made to before, to one opened in a closed bank, to one that another had
been closed for; and commands: ACT, PRE (or PREA), REFSB (or REF), changes of direction,
ACTs that refresh the neighbours of a hammered row; and retries after wrong parity."""

QUEUES = ("queued_reads", "queued_writes")
"""Entries in each queue, summed over the clocks."""

COUNTER_BITS = 32
LEVEL_BITS = 8


def counters_layout() -> data.StructLayout:
    """The counters of a pseudo-channel. ``reads``, ``writes`` and the idle causes add up to ``clocks``."""
    return data.StructLayout({name: COUNTER_BITS for name in ("clocks", *EVENTS, *IDLE_CAUSES, *QUEUES)})


class Accounts(wiring.Component):
    """Counts; each counter wraps round.

    Members
    -------
    events : In(a bit for each of `EVENTS`)
    causes : In(a bit for each of `IDLE_CAUSES`)
        Those that apply; in a clock without an access the first of them counts, and the last if none does.
    arrives, leaves : In(a bit for each of `QUEUES`)
        An entry joins the queue; one has made its last access.
    counters : Out(counters_layout)
    """

    def __init__(self):
        super().__init__(
            {
                "events": In(data.StructLayout({name: 1 for name in EVENTS})),
                "causes": In(data.StructLayout({name: 1 for name in IDLE_CAUSES})),
                **{name: In(data.StructLayout({queue: 1 for queue in QUEUES})) for name in ("arrives", "leaves")},
                "counters": Out(counters_layout()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        counters = self.counters
        m.d.sync += counters.clocks.eq(counters.clocks + 1)
        for name in EVENTS:
            m.d.sync += counters[name].eq(counters[name] + self.events[name])
        for name in QUEUES:
            level = Signal(LEVEL_BITS, name=f"{name}_level")
            m.d.sync += [
                level.eq(level + self.arrives[name] - self.leaves[name]),
                counters[name].eq(counters[name] + level),
            ]
        busy = Signal()
        m.d.comb += busy.eq(self.events.reads | self.events.writes)
        earlier = busy
        for name in IDLE_CAUSES:
            last = name == IDLE_CAUSES[-1]
            applies = Signal(name=f"is_{name}")
            m.d.comb += applies.eq(~earlier & (1 if last else self.causes[name]))
            with m.If(applies):
                m.d.sync += counters[name].eq(counters[name] + 1)
            earlier = earlier | self.causes[name]
        return m
