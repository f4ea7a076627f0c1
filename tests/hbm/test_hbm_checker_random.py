"""On random sequences the checker says of each command what the brute-force rules say."""

import random
from pathlib import Path

import pytest
from openppu.hbm.device import Organisation, Timing, device, organisation
from openppu_verif.hbm.checker import Checker
from openppu_verif.hbm.constraints import CHANNEL_WIDE, Issued
from openppu_verif.hbm.oracle import SCATTERED, gap, judge

COLUMN = ("RD", "RDA", "WR", "WRA")
LENGTH = 250
WEIGHTS = {"ACT": 8, "RD": 8, "RDA": 3, "WR": 6, "WRA": 3, "PRE": 4, "PREA": 1, "REFSB": 3, "REF": 0.4,
           "PDE": 0.5, "SRE": 0.2, "MRS": 0.2}  # fmt: skip


def sequence(seed: int, timing: Timing, of: Organisation, *, early: float, lawless: float) -> list[Issued]:
    """Commands as tight as the rules allow; some a clock early, some that the banks' state forbids."""
    rng = random.Random(seed)
    banks = rng.sample(range(of.banks), 6)
    opened: set[tuple[int, int]] = set()
    asleep = ""
    commands: list[Issued] = []
    obeyed: list[Issued] = []  # with a PRE for each bank that a PREA closes
    ck = 20
    while len(commands) < LENGTH:
        name = rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        if asleep:
            name = {"PDE": "PDX", "SRE": "SRX"}[asleep]
        pc, bank = rng.randrange(2), rng.choice(banks)
        lawful = {
            "ACT": (pc, bank) not in opened,
            "REFSB": (pc, bank) not in opened,
            "REF": not any(each == pc for each, _ in opened),
            "SRE": not opened,
            "MRS": not opened,
        }.get(name, name not in COLUMN or (pc, bank) in opened)
        if not lawful and rng.random() > lawless:
            continue
        wide = name in CHANNEL_WIDE
        b = Issued(ck, name, 0 if wide else pc, 0 if wide or name in ("REF", "PREA") else bank)
        closed = sorted(place for place in opened if name == "PREA" and place[0] == pc)
        asks = [b] + [Issued(ck, "PRE", *each) for each in closed]
        limit = max((a.ck + gap(a, ask, timing, of) for a in obeyed[-60:] for ask in asks), default=0)
        acts = [a.ck for a in commands if (a.name, a.pc) == ("ACT", b.pc)]
        if name == "ACT" and len(acts) >= 4:
            limit = max(limit, acts[-4] + timing.tFAW)
        if rng.random() < early and limit > ck:
            limit -= rng.choice((1, 1, 2, 5))
        bus = [a.ck for a in commands if (a.name in COLUMN or a.name == "MRS") == (name in COLUMN or name == "MRS")]
        ck = max(ck, limit + rng.choice((0, 0, 0, 1, 4)), bus[-1] + 1 if bus else 0)
        commands.append(Issued(ck, b.name, b.pc, b.bank))
        obeyed += [Issued(ck, ask.name, ask.pc, ask.bank) for ask in asks]
        opened |= {(b.pc, b.bank)} if name == "ACT" else set()
        opened -= {(b.pc, b.bank)} if name in ("PRE", "RDA", "WRA") else set()
        opened -= set(closed)
        asleep = name if name in ("PDE", "SRE") else ""
    return sorted(commands, key=lambda c: (c.ck, c.name not in (*COLUMN, "MRS")))


@pytest.mark.parametrize("early", [0.0, 0.15])
@pytest.mark.parametrize("height", [4, 8, 12])
@pytest.mark.parametrize("name", ["HBM2E_3200", "HBM2_2000", "scattered"])
def test_random_sequences_are_judged_as_by_brute_force(name: str, height: int, early: float, build_root: Path) -> None:
    timing = SCATTERED if name == "scattered" else device(name).timing
    of = organisation(height)
    for seed in range(2):
        commands = sequence(seed, timing, of, early=early, lawless=early / 3)
        checker = Checker(timing, of, build_root)
        checker.run(commands)
        verdict = judge(commands, timing, of)
        where = f"{name}, {height} high, seed {seed}, early {early}"
        expected = [(e.command, e.allowed_from) for e in verdict.early]
        pairs = [v for v in checker.violations if v.earlier]
        got = [(Issued(v.command.ck, v.command.name, v.command.pc), v.allowed_from) for v in pairs]
        expected = [(Issued(c.ck, c.name, c.pc), limit) for c, limit in expected]
        assert got == expected[: len(got)], where
        for v, e in zip(pairs, verdict.early, strict=False):
            assert v.earlier in e.because, (where, v)
        assert checker.total == len(verdict.early) + len(verdict.state), where
        if early:
            assert len(expected) > 10, f"{where}: the sequence is too tame to tell"
        else:
            assert not expected, where
