"""The device's rules once more, by brute force: every pair of a list of commands, as ``docs/hbm.md`` states them.

Slow, plain, and written without the constraint table, to hold the checker and its table against.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from openppu.hbm.device import Organisation, Timing

from openppu_verif.hbm.constraints import Issued

B = 2
ROW_BUS = {"ACT", "PRE", "PREA", "REFSB", "REF", "PDE", "PDX", "SRE", "SRX"}
PACE = {0: 1, 1: 2, 2: 8, 6: 16}  # of refreshes, by the temperature's code; 4 with all others

SCATTERED = Timing(
    RL=37, WL=11, tRCDRD=29, tRCDWR=26, tRP=31, tRAS=61, tRC=103, tCCDS=3, tCCDL=8, tCCDR=5, tRRDS=7, tRRDL=10, tFAW=47,
    tWTRS=13, tWTRL=19, tRTP=9, tWR=34, tRTW=41, tREFI=9000, tRFC=577, tRFCSB=211, tRREFD=230, tXP=22, tXS=601, tCKE=14,
    tMRD=24,
)  # fmt: skip
"""Timing of which no two values are alike, and no rule hides another by its nature alone."""


@dataclass(frozen=True)
class Early:
    """A command that comes too early, and all the earlier ones that say so the loudest."""

    command: Issued
    allowed_from: int
    because: frozenset[Issued]


@dataclass
class Verdict:
    """What is wrong with a list of commands: those too early, and (memory clock, rule) of broken rules of state."""

    early: list[Early] = field(default_factory=list)
    state: list[tuple[int, str]] = field(default_factory=list)


def gap(a: Issued, b: Issued, t: Timing, of: Organisation) -> int:
    """Least memory clocks from ``a`` to a later ``b``; 0 if they do not matter to each other.

    The two are as the device sees them: a ``PREA`` has become a ``PRE`` of each open bank.
    """
    needs = [0]
    if a.name == "ACT" and b.name in ROW_BUS:
        needs.append(2)
    needs.append({"MRS": t.tMRD, "PDX": t.tXP, "SRX": t.tXS}.get(a.name, 0))
    if (a.name, b.name) in {("PDE", "PDX"), ("SRE", "SRX")}:
        needs.append(t.tCKE)
    read, write = a.name in ("RD", "RDA"), a.name in ("WR", "WRA")
    written = t.WL + B + t.tWR
    # How long a bank needs after `a` before it may be refreshed.
    settled = {
        "ACT": t.tRC,
        "PRE": t.tRP,
        "RDA": t.tRTP + t.tRP,
        "WRA": written + t.tRP,
        "REFSB": t.tRFCSB,
        "REF": t.tRFC,
    }.get(a.name, 0)
    if b.name in ("SRE", "MRS"):
        needs.append(settled)
    if b.name in ("SRE", "PDE"):
        needs.append(t.RL + B if read else written if write else t.tRFC if a.name == "REF" else 0)
    if b.name in ("SRE", "MRS", "PDE", "PDX", "SRX") or a.pc != b.pc:
        return max(needs)

    size = of.bank_groups * of.banks_per_group
    same_sid = a.bank // size == b.bank // size
    same_group = a.bank // of.banks_per_group == b.bank // of.banks_per_group
    same_bank = a.bank == b.bank
    if b.name == "REF" or (a.name == "REF" and b.name in ("ACT", "REFSB")):
        needs.append(settled)
    if b.name in ("ACT", "REFSB"):
        if same_bank:
            needs.append(settled)
        elif a.name == "REFSB":
            needs.append(t.tRREFD)
        if a.name == "ACT":
            needs.append(t.tRRDL if same_group else t.tRRDS)
    if b.name == "PRE" and same_bank:
        needs.append(t.tRAS + 1 if a.name == "ACT" else t.tRTP if read else written if write else 0)
    if b.name in ("RD", "RDA", "WR", "WRA"):
        to_read = b.name in ("RD", "RDA")
        if a.name == "ACT" and same_bank:
            needs.append((t.tRCDRD if to_read else t.tRCDWR) + 1)
        if (to_read and read) or (not to_read and write):
            needs.append(t.tCCDL if same_group else t.tCCDS if same_sid else t.tCCDR)
        elif to_read and write:
            needs.append(t.WL + B + (t.tWTRL if same_group else t.tWTRS))
        elif read:
            needs.append(t.tRTW)
    return max(needs)


def judge(commands: Sequence[Issued], t: Timing, of: Organisation, *, temperature: int = 3) -> Verdict:
    """Find all that is wrong with a list of commands, from an initialised, idle channel at memory clock 0.

    Parameters
    ----------
    commands : sequence of Issued
        In order of time; in one memory clock, that of the column bus first.
    t : Timing
    of : Organisation
    temperature : int
        The device's code.
    """
    verdict = Verdict()
    seen: list[Issued] = []
    longest = max(t.tRFC, t.tXS, t.tRC, t.tFAW, t.tRFCSB, t.WL + B + t.tWR + t.tRP)
    for command in commands:
        opened = _open_banks(seen, of)
        if command.bank >= of.banks:
            verdict.state.append((command.ck, "no_such_bank"))
            continue
        asks = [command]
        if command.name == "PREA":
            asks += [Issued(command.ck, "PRE", command.pc, bank) for pc, bank in sorted(opened) if pc == command.pc]
        recent = [a for a in seen if a.ck + longest > command.ck]
        limits = [(a.ck + gap(a, b, t, of), a) for b in asks for a in recent]
        if command.name == "ACT":
            acts = [a for a in seen if (a.name, a.pc) == ("ACT", command.pc)]
            limits += [(acts[-4].ck + t.tFAW, acts[-4])] if len(acts) >= 4 else []
        latest = max((limit for limit, _ in limits), default=0)
        if latest > command.ck:
            because = frozenset(a for limit, a in limits if limit == latest)
            verdict.early.append(Early(command, latest, because))
        verdict.state += [(command.ck, rule) for rule in _state(command, seen, opened)]
        seen += asks[1:] if command.name == "PREA" else [command]
    verdict.state += _refreshes(commands, t, of, PACE.get(temperature, 4))
    return verdict


def _open_banks(seen: Sequence[Issued], of: Organisation) -> set[tuple[int, int]]:
    opened: set[tuple[int, int]] = set()
    for a in seen:
        if a.name == "ACT":
            opened.add((a.pc, a.bank))
        elif a.name in ("PRE", "RDA", "WRA"):
            opened.discard((a.pc, a.bank))
    return opened


def _state(b: Issued, seen: Sequence[Issued], opened: set[tuple[int, int]]) -> list[str]:
    broken = []
    asleep = ""
    for a in seen:
        if asleep:
            asleep = "" if a.name == {"PDE": "PDX", "SRE": "SRX"}[asleep] else asleep
        elif a.name in ("PDE", "SRE"):
            asleep = a.name
    if asleep and b.name != {"PDE": "PDX", "SRE": "SRX"}[asleep]:
        broken.append("asleep")
    if not asleep and b.name in ("PDX", "SRX"):
        broken.append("exit_awake")
    here = (b.pc, b.bank) in opened
    if b.name == "ACT" and here:
        broken.append("activate_open_bank")
    if (b.name == "REFSB" and here) or (b.name == "REF" and any(pc == b.pc for pc, _ in opened)):
        broken.append("refresh_open_bank")
    if b.name in ("RD", "RDA", "WR", "WRA") and not here:
        broken.append("column_closed_bank")
    if b.name in ("SRE", "MRS") and opened:
        broken.append("idle_open_bank")
    return broken


def _refreshes(commands: Sequence[Issued], t: Timing, of: Organisation, pace: int) -> list[tuple[int, str]]:
    """Refresh rules of each PC, memory clock by memory clock where one passes without self-refresh."""
    broken = []
    for pc in (0, 1):
        owed = 0  # in 1 / (4 tREFI) of a bank's refresh
        limit = 8 * of.banks * 4 * t.tREFI
        done: set[int] = set()
        late, sleeping, before = False, False, 0
        for c in commands:
            for ck in range(before + 1, c.ck + 1):
                owed += 0 if sleeping else pace * of.banks
                if owed > limit and not late:
                    broken.append((ck, "refresh_overdue"))
                late = owed > limit
            before = c.ck
            if c.name in ("SRE", "SRX"):
                sleeping = c.name == "SRE"
            if c.name not in ("REF", "REFSB") or c.pc != pc or c.bank >= of.banks:
                continue
            banks = set(range(of.banks)) if c.name == "REF" else {c.bank}
            if c.name == "REFSB" and c.bank in done:
                broken.append((c.ck, "refresh_round"))
                continue
            owed -= 4 * t.tREFI * len(banks - done)
            done = done | banks if len(done | banks) < of.banks else set()
            if owed < -limit:
                broken.append((c.ck, "refresh_ahead"))
            late = owed > limit
    return broken
