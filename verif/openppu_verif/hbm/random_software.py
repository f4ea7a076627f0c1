"""What the software of a controller does in a random run: self-tests, register accesses right and wrong, restarts."""

import random
from dataclasses import dataclass

from openppu.hbm.config import ChannelConfig
from openppu.hbm.settings import Settings

from openppu_verif.hbm.native import Event
from openppu_verif.hbm.software import Software

REGION = 4096
"""Accesses, aligned, of the part of the memory that the self-tests have for themselves."""

MOST_ACCESSES = 1200
NOWHERE = (0xFFC, 0xFF8, 0x06, 0x81)
"""Addresses of no register."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """Events of a run, and the cases that they are."""

    events: list[Event]
    cases: list[str]


def random_software(
    rng: random.Random,
    config: ChannelConfig,
    settings: Settings,
    region: int,
    clocks: int,
    spoils: bool,
    hot: bool,
) -> Work:
    """Make the work of a run.

    Parameters
    ----------
    region : int
        First access of the self-tests' part of the memory.
    spoils : bool
        Words may come that are wrong beyond correction.
    hot : bool
        The memory may become too hot, and requests may be refused.
    """
    software = Software(config)
    events: list[Event] = []
    cases: list[str] = []

    def add(at: int, lines: list[str]) -> None:
        events.extend((at, "access", [line]) for line in lines)

    for _ in range(rng.choice((0, 1, 2))):
        at = rng.randrange(clocks)
        values = _region_test(rng, region)
        written = {"words": 0, "wrong": 0} | ({} if hot else {"refused": 0})
        read = {"words": values["accesses"], "wrong": 0} | ({} if hot or spoils else {"errors": 0})
        add(at, software.self_test("FILL_ZEROS" if values["pattern"] == 0 else "FILL", written, **values))
        if rng.random() < 0.5:
            scattered = _scattered(rng, values)
            add(at, software.self_test("TRAFFIC", {"wrong": 0}, **scattered))
            cases.append("traffic of the self-test")
        add(at, software.self_test("CHECK", read, **values))
        cases.append("self-test")
    freezes = rng.random() < 0.3
    cases += ["freeze"] if freezes else []
    for _ in range(rng.choice((0, 5, 40))):
        add(rng.randrange(clocks), [_access(rng, software, settings, freezes=freezes)])
        cases.append("register access")
    if rng.random() < 0.25:
        for _ in range(rng.choice((1, 1, 3))):
            events.append((rng.randrange(clocks), "restart", []))
        cases.append("restart")
    return Work(events=events, cases=cases)


def _region_test(rng: random.Random, region: int) -> dict[str, int]:
    """A sequential self-test of the region's beginning."""
    length = rng.choice((1, 3, 8, 16, 100, 128))
    return {
        "pattern": rng.randrange(3),
        "pattern_seed": rng.getrandbits(32),
        "address": region + rng.randrange(64),
        "accesses": rng.randint(1, MOST_ACCESSES),
        "last": length - 1,
        "stride": length,
        "scattered": 0,
        "mask": 0,
        "seed": rng.getrandbits(32),
        "writes": 0,
    }


def _scattered(rng: random.Random, filled: dict[str, int]) -> dict[str, int]:
    """Traffic within what was filled, to random places."""
    length = 1 << rng.randrange(5)
    within = 1 << (max(1, filled["accesses"]).bit_length() - 1)
    length = min(length, within)
    return filled | {
        "accesses": rng.randint(1, 300),
        "last": length - 1,
        "scattered": 1,
        "mask": within - length,
        "writes": rng.choice((0, 100, 256)),
    }


def _access(rng: random.Random, software: Software, settings: Settings, *, freezes: bool) -> str:
    """One access, and what must come of it while the channel runs."""
    held = [register for register in software.table if register.held]
    shown = [register for register in software.table if register.readable]
    choice = rng.randrange(7 if freezes else 6)
    if choice == 0:
        name, value = rng.choice(list(software.values(settings).items()))
        return software.check(name, value)
    if choice == 1:
        constant = rng.choice([register for register in software.table if not register.source])
        return software.check(constant.name, constant.reset)
    if choice == 2:
        register = rng.choice(held)
        return software.refuse(register.offset, rng.choice((register.allowed[0], register.allowed[-1])))
    if choice == 3:
        offset = rng.choice(NOWHERE)
        return software.refuse(offset) if rng.random() < 0.5 else software.refuse(offset, rng.getrandbits(32))
    if choice == 4:
        register = rng.choice([register for register in shown if not register.writable])
        return software.refuse(register.offset, 0)
    if choice == 5:
        register = rng.choice(shown)
        # Bits above its width read zero.
        return f"check {register.offset} 0 {((1 << 32) - 1) >> register.bits << register.bits}"
    return software.write("freeze", 1)
