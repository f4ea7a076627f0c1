"""What a pseudo-channel's clocks went to."""

from dataclasses import dataclass, field, fields

from openppu.hbm.accounts import EVENTS

IDLE_CAUSES = ("no_request", "hold", "refresh", "turnaround", "bank_group", "activation", "bank")
"""Why the data bus had nothing in a clock: nothing waits; all that waits has to wait for data; for a refresh; the bus
turns round; tCCDL; no further ACT may come by tRRD and tFAW; the banks are not ready, for any other reason."""


@dataclass
class Accounts:
    """Counters of a pseudo-channel: ``reads``, ``writes`` and the idle causes add up to ``clocks``.

    The hardware counts `activation` and `bank` together, as ``row``.
    """

    clocks: int = 0
    events: dict[str, int] = field(default_factory=lambda: dict.fromkeys(EVENTS, 0))
    idle: dict[str, int] = field(default_factory=lambda: dict.fromkeys(IDLE_CAUSES, 0))

    def copy(self) -> "Accounts":
        """As it is now."""
        return Accounts(self.clocks, dict(self.events), dict(self.idle))

    def since(self, earlier: "Accounts") -> "Accounts":
        """What came after an earlier copy."""
        return Accounts(
            self.clocks - earlier.clocks,
            {name: count - earlier.events[name] for name, count in self.events.items()},
            {name: count - earlier.idle[name] for name, count in self.idle.items()},
        )

    def __add__(self, other: "Accounts") -> "Accounts":
        return Accounts(
            self.clocks + other.clocks,
            {name: count + other.events[name] for name, count in self.events.items()},
            {name: count + other.idle[name] for name, count in self.idle.items()},
        )

    @property
    def accesses(self) -> int:
        """Reads and writes."""
        return self.events["reads"] + self.events["writes"]

    def record(self) -> dict[str, object]:
        """For a JSON file."""
        return {item.name: getattr(self, item.name) for item in fields(self)}
