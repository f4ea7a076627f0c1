"""The device's timing rules as one table, from ``docs/hbm.md``; the checker reads nothing else.

It is written from the description of the device alone: neither the controller nor the device model uses it.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from openppu.hbm.device import ACTIVATE_SLOTS, BURST, Organisation, Timing

from openppu_verif.hbm.mode_rules import Driven, mode_lines

ROW = ("ACT", "PRE", "PREA", "REFSB", "REF", "PDE", "PDX", "SRE", "SRX")
READ = ("RD", "RDA")
WRITE = ("WR", "WRA")
COMMANDS = ("NOP", *ROW, *READ, *WRITE, "MRS")
"""Commands of both buses; the checker and the device model count them in this order."""

CHANNEL_WIDE = ("PDE", "PDX", "SRE", "SRX", "MRS")
"""Commands that name no pseudo-channel."""

LEVELS = ("bank", "group", "sid", "other_sid", "other_bank", "pc", "channel")
IDLE = ("SRE", "MRS")
ANY = COMMANDS[1:]


@dataclass(frozen=True)
class Constraint:
    """No ``following`` sooner than ``latency`` memory clocks after a ``preceding``.

    Parameters
    ----------
    name : str
        What a violation is called.
    level : str
        What the two have in common, one of ``LEVELS``: the bank; SID and bank group; SID; the pseudo-channel but not
        the SID; the pseudo-channel but not the bank; the pseudo-channel; the channel.
    preceding, following : tuple of str
        Commands.
    latency : str
        Sum of timing names and numbers; ``B`` is the burst.
    window : int
        Counts from the so-many-th last ``preceding``.
    """

    name: str
    level: str
    preceding: tuple[str, ...]
    following: tuple[str, ...]
    latency: str
    window: int = 1

    def clocks(self, timing: Timing) -> int:
        """The latency in memory clocks."""
        values = asdict(timing) | {"B": BURST}
        return sum(int(term) if term.isdigit() else values[term] for term in self.latency.split(" + "))


CONSTRAINTS = (
    Constraint("tRC", "bank", ("ACT",), ("ACT", "REFSB"), "tRC"),
    Constraint("tRCDRD", "bank", ("ACT",), READ, "tRCDRD + 1"),
    Constraint("tRCDWR", "bank", ("ACT",), WRITE, "tRCDWR + 1"),
    Constraint("tRAS", "bank", ("ACT",), ("PRE",), "tRAS + 1"),
    Constraint("tRP", "bank", ("PRE",), ("ACT", "REFSB"), "tRP"),
    Constraint("tRTP", "bank", READ, ("PRE",), "tRTP"),
    Constraint("tWR", "bank", WRITE, ("PRE",), "WL + B + tWR"),
    Constraint("tRTP+tRP", "bank", ("RDA",), ("ACT", "REFSB"), "tRTP + tRP"),
    Constraint("tWR+tRP", "bank", ("WRA",), ("ACT", "REFSB"), "WL + B + tWR + tRP"),
    Constraint("tRFCSB", "bank", ("REFSB",), ("ACT", "REFSB"), "tRFCSB"),
    Constraint("tCCDL_read", "group", READ, READ, "tCCDL"),
    Constraint("tCCDL_write", "group", WRITE, WRITE, "tCCDL"),
    Constraint("tWTRL", "group", WRITE, READ, "WL + B + tWTRL"),
    Constraint("tRRDL", "group", ("ACT",), ("ACT", "REFSB"), "tRRDL"),
    Constraint("tCCDS_read", "sid", READ, READ, "tCCDS"),
    Constraint("tCCDS_write", "sid", WRITE, WRITE, "tCCDS"),
    Constraint("tCCDR_read", "other_sid", READ, READ, "tCCDR"),
    Constraint("tCCDR_write", "other_sid", WRITE, WRITE, "tCCDR"),
    Constraint("tWTRS", "pc", WRITE, READ, "WL + B + tWTRS"),
    Constraint("tRTW", "pc", READ, WRITE, "tRTW"),
    Constraint("tRRDS", "pc", ("ACT",), ("ACT", "REFSB"), "tRRDS"),
    Constraint("tFAW", "pc", ("ACT",), ("ACT",), "tFAW", window=4),
    Constraint("tRREFD", "other_bank", ("REFSB",), ("ACT", "REFSB"), "tRREFD"),
    # An all-bank refresh finds every bank as a refresh of that bank would; so do self-refresh and MRS, on both PCs.
    Constraint("tRC_all", "pc", ("ACT",), ("REF",), "tRC"),
    Constraint("tRP_all", "pc", ("PRE",), ("REF",), "tRP"),
    Constraint("tRTP+tRP_all", "pc", ("RDA",), ("REF",), "tRTP + tRP"),
    Constraint("tWR+tRP_all", "pc", ("WRA",), ("REF",), "WL + B + tWR + tRP"),
    Constraint("tRFCSB_all", "pc", ("REFSB",), ("REF",), "tRFCSB"),
    Constraint("tRFC", "pc", ("REF",), ("ACT", "REFSB", "REF"), "tRFC"),
    Constraint("tRC_idle", "channel", ("ACT",), IDLE, "tRC"),
    Constraint("tRP_idle", "channel", ("PRE",), IDLE, "tRP"),
    Constraint("tRTP+tRP_idle", "channel", ("RDA",), IDLE, "tRTP + tRP"),
    Constraint("tWR+tRP_idle", "channel", ("WRA",), IDLE, "WL + B + tWR + tRP"),
    Constraint("tRFCSB_idle", "channel", ("REFSB",), IDLE, "tRFCSB"),
    Constraint("tRFC_idle", "channel", ("REF",), (*IDLE, "PDE"), "tRFC"),
    Constraint("last_read", "channel", READ, ("PDE", "SRE"), "RL + B"),
    Constraint("last_write", "channel", WRITE, ("PDE", "SRE"), "WL + B + tWR"),
    Constraint("tCKE_down", "channel", ("PDE",), ("PDX",), "tCKE"),
    Constraint("tCKE_self", "channel", ("SRE",), ("SRX",), "tCKE"),
    Constraint("tXP", "channel", ("PDX",), ANY, "tXP"),
    Constraint("tXS", "channel", ("SRX",), ANY, "tXS"),
    Constraint("tMRD", "channel", ("MRS",), ANY, "tMRD"),
    Constraint("row_bus", "channel", ("ACT",), ROW, str(ACTIVATE_SLOTS)),
)
"""Of rules that a command breaks at once, the one that it breaks by most is reported: the first, when equal."""

STATE_RULES = (
    "activate_open_bank",
    "refresh_open_bank",
    "column_closed_bank",
    "idle_open_bank",
    "asleep",
    "exit_awake",
    "in_reset",
    "cke_low",
    "uninitialised",
    "no_such_bank",
    "refresh_round",
    "refresh_ahead",
    "refresh_overdue",
)
"""Rules of state: of the banks, of power, of initialisation and of refresh."""


@dataclass(frozen=True, order=True)
class Issued:
    """A command of a list: memory clock, name, pseudo-channel and bank (0 where the command names none).

    Of ``MRS``, the bank is the register, and the operand its value.
    """

    ck: int
    name: str
    pc: int = 0
    bank: int = 0
    operand: int = 0


@dataclass(frozen=True)
class Place:
    """Where a command goes: pseudo-channel and bank, numbered as in `Organisation`."""

    pc: int
    bank: int


def related(level: str, a: Place, b: Place, of: Organisation) -> bool:
    """Whether two places have the level in common."""
    if level == "channel":
        return True
    if a.pc != b.pc:
        return False
    group_a, group_b = a.bank // of.banks_per_group, b.bank // of.banks_per_group
    sid_a, sid_b = group_a // of.bank_groups, group_b // of.bank_groups
    return {
        "bank": a.bank == b.bank,
        "group": group_a == group_b,
        "sid": sid_a == sid_b,
        "other_sid": sid_a != sid_b,
        "other_bank": a.bank != b.bank,
        "pc": True,
    }[level]


def between(first: str, a: Place, second: str, b: Place, of: Organisation) -> Iterator[Constraint]:
    """The constraints from one command to another. A ``PREA`` is a ``PRE`` of each open bank: ask for that."""
    for row in CONSTRAINTS:
        if first in row.preceding and second in row.following and related(row.level, a, b, of):
            yield row


def earliest(first: str, a: Place, second: str, b: Place, timing: Timing, of: Organisation) -> int:
    """Least memory clocks from ``first`` to ``second``; 0 if nothing holds them apart. Windows are left out."""
    rows = between(first, a, second, b, of)
    return max((row.clocks(timing) for row in rows if row.window == 1), default=0)


def checker_table(timing: Timing, of: Organisation, driven: Driven | None = None) -> str:
    """What the C++ checker reads at its start: a line a fact, names and whole numbers between spaces."""
    lines = [
        f"organisation {of.sids} {of.bank_groups} {of.banks_per_group}",
        f"refresh {timing.tREFI}",
    ]
    for row in CONSTRAINTS:
        masks = [sum(1 << COMMANDS.index(name) for name in names) for names in (row.preceding, row.following)]
        lines.append(
            f"rule {row.name} {LEVELS.index(row.level)} {row.clocks(timing)} {row.window} {masks[0]} {masks[1]}"
        )
    return "\n".join([*lines, *(mode_lines(driven) if driven else [])]) + "\n"
