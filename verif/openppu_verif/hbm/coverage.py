"""Functional coverage of the memory controller: what random runs have tried, and what came of it.

A bin is a tuple of words, the first of them the name of its group; each group is the product of its axes.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import product

from openppu.hbm.accounts import IDLE_CAUSES
from openppu.hbm.config import MOST_ACCESSES, ChannelConfig
from openppu.hbm.device import DEVICES
from openppu.hbm.settings import Mapping, Page, Refresh, Settings

from openppu_verif.hbm.native import Measurement, Pattern

Bin = tuple[str, ...]

RULES = (
    *("tRC", "tRCDRD", "tRCDWR", "tRAS", "tRP", "tRTP", "tWR", "tRTP+tRP", "tWR+tRP", "tRFCSB", "tRREFD"),
    *("tRRDS", "tRRDL", "tFAW", "row_bus", "tRP_all", "tRFC"),
    *("last_read", "last_write", "tCKE_down", "tCKE_self", "tXP", "tXS", "tRFCSB_idle"),
    *("tCCDS_read", "tCCDS_write", "tCCDL_read", "tCCDL_write", "tWTRS", "tWTRL", "tRTW"),
)
"""Rules of the device that the commands of a full-speed controller must meet in the very clock that allows them."""

LENGTHS = ("1 access", "up to a granule", "several granules", "the longest")
DIRECTIONS = ("reads", "writes", "both")
ORDERS = ("sequential", "random")
PAGES = tuple(Page(code).name.lower() for code in range(3))
MAPPINGS = tuple(Mapping(code).name.lower() for code in range(2))
REFRESHES = tuple(Refresh(code).name.lower() for code in range(2))
TEMPERATURES = ("0", "1", "3", "2", "6")

GROUPS: dict[str, tuple[Sequence[str], ...]] = {
    "rule at its limit": (RULES,),
    "settings": (MAPPINGS, ("plain", "hashed"), PAGES, REFRESHES),
    "device": (DEVICES, MAPPINGS),
    "requests": (LENGTHS, ORDERS, DIRECTIONS),
    "masks": (LENGTHS, ("whole words", "some bytes masked")),
    "held back": (("requests and words", "answers", "both", "nothing"), DIRECTIONS),
    "tags": (("one", "some", "all"), ("one request", "a few", "any number")),
    "row": (("hits", "misses", "conflicts"), PAGES, MAPPINGS),
    "idle": (IDLE_CAUSES, PAGES),
    "turnaround": (PAGES, MAPPINGS),
    "refresh": (REFRESHES, TEMPERATURES),
    "refreshes owed": (REFRESHES, ("ahead", "less than tREFI", "postponed")),
    "rest": (("power_down", "self_refresh"), PAGES),
    "refused": (("beyond the capacity", "too hot"),),
    "event": (("reset", "update", "pause", "too hot", "temperature"), PAGES),
}
"""``held back`` is what the user's side does: requests that come slowly, answers that are not taken at once. A rule at
its limit is a command in the very clock that allows it; the idle cause is one of a clock without an access."""

NEVER: frozenset[Bin] = frozenset({("refreshes owed", "all_bank", "ahead")})
"""A REF waits until a tREFI is owed."""

GOAL = 0.98
"""Share of the bins that a soak of the usual length reaches."""


class HbmCoverage:
    """Counts what was hit."""

    def __init__(self) -> None:
        self.hits: Counter[Bin] = Counter()

    def sample(
        self,
        config: ChannelConfig,
        settings: Settings,
        patterns: Sequence[Pattern],
        events: Sequence[tuple[int, str, Sequence[int]]],
        cases: Sequence[str],
        measured: Measurement,
    ) -> None:
        """Count what a finished run has tried: its settings, patterns, events and cases, and what it measured."""
        page, mapping = settings.page.name.lower(), settings.mapping.name.lower()
        refresh = settings.refresh.name.lower()
        found: list[Bin] = [("rule at its limit", rule) for rule, count in measured.at_limit.items() if count]
        found.append(("settings", mapping, "hashed" if settings.hash_banks else "plain", page, refresh))
        found += [("device", name, mapping) for name in DEVICES if f"device {name}" in cases]
        for pattern in patterns:
            found += _of_pattern(pattern, config)
        counters = {name: sum(each[name] for each in measured.counters) for name in measured.counters[0]}
        found += [("row", name, page, mapping) for name in ("hits", "misses", "conflicts") if counters[f"row_{name}"]]
        found += [("idle", cause, page) for cause in IDLE_CAUSES if counters[cause]]
        found += [("turnaround", page, mapping)] if counters["turnarounds"] else []
        if measured.commands["REFSB"] + measured.commands["REF"]:
            # A device is at the ordinary temperature until an event says otherwise.
            codes = {values[0] for _, name, values in events if name == "temperature"} | {3}
            found += [("refresh", refresh, str(code)) for code in codes]
            found += [("refreshes owed", refresh, _owed(owed, config)) for owed in measured.owed]
        found += [("rest", name, page) for name, entry in (("power_down", "PDE"), ("self_refresh", "SRE"))
                  if measured.commands[entry]]  # fmt: skip
        found += [("refused", "beyond the capacity")] if measured.refused else []
        found += [("refused", "too hot")] if measured.turned_away else []
        found += [("event", name, page) for name in GROUPS["event"][0] if name in cases]
        self.hits.update(found)

    def report(self) -> tuple[float, list[Bin], list[list[str | int | float | None]]]:
        """What is covered.

        Returns
        -------
        share : float
            Of all bins, 0 to 1.
        missing : list of Bin
        rows : list of [group, hit, bins, percent]
            For a table.
        """
        bins = all_bins()
        missing = [key for key in bins if not self.hits[key]]
        rows: list[list[str | int | float | None]] = []
        for group in GROUPS:
            size = sum(key[0] == group for key in bins)
            hit = size - sum(key[0] == group for key in missing)
            rows.append([group, hit, size, 100 * hit / size])
        return 1 - len(missing) / len(bins), missing, rows


def all_bins() -> list[Bin]:
    """Every bin that can be hit."""
    bins = [(group, *words) for group, axes in GROUPS.items() for words in product(*axes)]
    return [each for each in bins if each not in NEVER]


def _of_pattern(pattern: Pattern, config: ChannelConfig) -> Iterator[Bin]:
    """The bins of what a port asks for."""
    if pattern.outstanding == 0:
        return
    direction = {0.0: "writes", 1.0: "reads"}.get(pattern.reads, "both")
    for accesses in pattern.lengths:
        length = LENGTHS[(accesses > 1) + (accesses > 8) + (accesses == MOST_ACCESSES)]
        yield "requests", length, pattern.order, direction
        if direction != "reads":
            yield "masks", length, "some bytes masked" if pattern.masked else "whole words"
    slow, hold = pattern.stall > 0 or pattern.gap > 0, pattern.hold > 0
    side = "both" if slow and hold else "requests and words" if slow else "answers" if hold else "nothing"
    yield "held back", side, direction
    tags = "one" if pattern.tags == 1 else "all" if pattern.tags == config.tags else "some"
    yield (
        "tags",
        tags,
        "one request" if pattern.outstanding == 1 else "a few" if pattern.outstanding < 100 else ("any number"),
    )


def _owed(owed: float, config: ChannelConfig) -> str:
    """The class of so many refreshes of single banks."""
    if owed < 0:
        return "ahead"
    return "less than tREFI" if owed < config.organisation.banks else "postponed"
