"""Functional coverage of the memory controller: what random runs have tried, and what came of it.

A bin is a tuple of words, the first of them the name of its group; each group is the product of its axes.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import product

from openppu.hbm.accounts import IDLE_CAUSES
from openppu.hbm.config import MOST_ACCESSES, ChannelConfig
from openppu.hbm.device import DEVICES
from openppu.hbm.settings import Mapping, Page, Refresh

from openppu_verif.hbm.native import Measurement, Pattern
from openppu_verif.hbm.random_faults import KINDS, SPOIL
from openppu_verif.hbm.scenarios import Scenario

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

BANK_COMMANDS = ("ACT", "PRE", "REFSB", "RD", "RDA", "WR", "WRA")
RELATIONS = ("other bank", "other group", "other SID", "other PC")
"""How far the bank of a command is from that of the latest one before it: of ``command_pairs.h``."""

_OPENS, _CLOSES = ("ACT", "RD", "WR"), ("PRE", "REFSB", "RDA", "WRA")
SAME_BANK = (*product(_OPENS, ("RD", "RDA", "WR", "WRA", "PRE")), *product(_CLOSES, ("ACT", "REFSB")))
"""What may follow what in a bank: with an open row, and with none."""

_NEXT = {
    "PREA": ("ACT", "PRE", "RD", "WR", "RDA", "WRA", "REFSB", "PREA"),
    "REF": ("PREA", "RDA", "WRA", "REF", "PDX"),
    "PDE": ("PREA", "RDA", "WRA", "REFSB", "REF", "PDX", "MRS"),
    "SRE": ("PREA", "RDA", "WRA", "REFSB", "REF", "PDX"),
    "PDX": ("PDE",),
    "SRX": ("SRE",),
    "MRS": ("MRS",),
    "ACT": ("PREA", "REF", "PDX", "SRX", "MRS"),
    "REFSB": ("PREA", "PDX", "SRX", "MRS"),
}
"""What follows in a pseudo-channel, and upon what, where one of the two concerns all its banks."""

_ACROSS = {
    "PREA": ("ACT", "PRE", "RD", "RDA", "REFSB", "WR", "WRA", "PREA"),
    "REF": ("ACT", "RD", "RDA", "WR", "WRA", "PREA", "REF"),
    **dict.fromkeys(("ACT", "PRE", "RD", "RDA", "WR", "WRA"), ("PREA", "REF")),
    "REFSB": ("PREA",),
}
"""Likewise, upon a command of the other pseudo-channel. REF and REFSB are never used in one run."""

SOFTWARE = ("scrub", "fill", "self-test", "traffic of the self-test", "register access", "restart", "freeze")
"""What comes in runs of whole controllers."""

NEVER: frozenset[Bin] = frozenset({("refreshes owed", "all_bank", "ahead")})
"""A REF waits until a tREFI is owed."""

GOAL = 0.98
"""Share of the bins that a soak of the usual length reaches."""


class HbmCoverage:
    """Counts what was hit.

    Parameters
    ----------
    config : ChannelConfig
        Of the channel, by which some bins cannot be hit.
    whole : bool
        It is within a whole controller, with software.
    """

    def __init__(self, config: ChannelConfig, *, whole: bool = False) -> None:
        self.config = config
        self.whole = whole
        self.hits: Counter[Bin] = Counter()

    def sample(self, chosen: Scenario, measured: Measurement) -> None:
        """Count what a finished run has tried, and what it measured."""
        config, settings, cases = self.config, chosen.settings, chosen.cases
        page, mapping = settings.page.name.lower(), settings.mapping.name.lower()
        refresh = settings.refresh.name.lower()
        found: list[Bin] = [("rule at its limit", rule) for rule, count in measured.at_limit.items() if count]
        found.append(("settings", mapping, "hashed" if settings.hash_banks else "plain", page, refresh))
        found += [("device", name, mapping) for name in DEVICES if f"device {name}" in cases]
        for pattern in chosen.patterns:
            found += _of_pattern(pattern, config)
        counters = {name: sum(each[name] for each in measured.counters) for name in measured.counters[0]}
        found += [("row", name, page, mapping) for name in ("hits", "misses", "conflicts") if counters[f"row_{name}"]]
        found += [("idle", cause, page) for cause in IDLE_CAUSES if counters[cause]]
        found += [("turnaround", page, mapping)] if counters["turnarounds"] else []
        if measured.commands["REFSB"] + measured.commands["REF"]:
            # A device is at the ordinary temperature until an event says otherwise.
            codes = {values[0] for _, name, values in chosen.events if name == "temperature"} | {3}
            found += [("refresh", refresh, str(code)) for code in codes]
            found += [("refreshes owed", refresh, _owed(owed, config)) for owed in measured.owed]
        found += [("rest", name, page) for name, entry in (("power_down", "PDE"), ("self_refresh", "SRE"))
                  if measured.commands[entry]]  # fmt: skip
        found += [("refused", "beyond the capacity")] if measured.refused else []
        found += [("refused", "too hot")] if measured.turned_away else []
        found += [("event", name, page) for name in GROUPS["event"][0] if name in cases]
        found += [("command pair", *pair.split(", ")) for pair in measured.pairs]
        found += [("lost command", name) for name in measured.lost_commands]
        found += _of_faults(cases, measured)
        found += [("software", name, page) for name in SOFTWARE if name in cases]
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
        bins = all_bins(self.config, whole=self.whole)
        missing = [key for key in bins if not self.hits[key]]
        rows: list[list[str | int | float | None]] = []
        for group, size in Counter(key[0] for key in bins).items():
            hit = size - sum(key[0] == group for key in missing)
            rows.append([group, hit, size, 100 * hit / size])
        return 1 - len(missing) / len(bins), missing, rows


def all_bins(config: ChannelConfig, *, whole: bool = False) -> list[Bin]:
    """Every bin that can be hit; arguments as of `HbmCoverage`."""
    bins: list[Bin] = [(group, *words) for group, axes in GROUPS.items() for words in product(*axes)]
    relations = [name for name in RELATIONS if name != "other SID" or config.organisation.sids > 1]
    bins += [("command pair", *pair, name) for name in relations for pair in product(BANK_COMMANDS, BANK_COMMANDS)]
    bins += [("command pair", *pair, "same bank") for pair in SAME_BANK]
    for name, followers in (("next", _NEXT), ("other PC", _ACROSS)):
        bins += [("command pair", before, after, name) for after, those in followers.items() for before in those]
    bins += [("fault", kind, where) for kind in KINDS[config.ecc] for where in _outcomes(kind, config)]
    if config.retry:
        bins += [("lost command", name) for name in (*BANK_COMMANDS, "PREA", "REF", "MRS")]
    if whole:
        bins += [("software", name, page) for name, page in product(SOFTWARE, PAGES)]
    return [each for each in bins if each not in NEVER]


def _outcomes(kind: str, config: ChannelConfig) -> tuple[str, ...]:
    """What can come of a kind of wrong word."""
    if kind not in SPOIL:
        return ("corrected",)
    return ("answered with error",) if config.ecc == "none" else ("answered with error", "poisoned")


def _of_faults(cases: Sequence[str], measured: Measurement) -> Iterator[Bin]:
    """What came of the wrong words of a run, which are all of one kind."""
    for kind in dict.fromkeys(kind for kinds in KINDS.values() for kind in kinds if kind in cases):
        if measured.corrected_beats:
            yield "fault", kind, "corrected"
        if measured.error_beats:
            yield "fault", kind, "answered with error"
        # What is wrong on the wires is wrong in memory only if it was merged with a masked write.
        if kind in SPOIL and measured.unclean:
            yield "fault", kind, "poisoned"


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
