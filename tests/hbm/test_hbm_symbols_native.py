"""A channel with symbols over the burst and a scrubber, under faults: nothing wrong is returned, all is made clean."""

import random
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from openppu.hbm.config import ChannelConfig
from openppu.hbm.settings import Settings
from openppu_verif.hbm.native import Measurement, Pattern, build_channel, run
from openppu_verif.hbm.scrubbed import emit_scrubbed

CONFIG = ChannelConfig(height=4, reads=8, writes=8, slots=8, ecc="symbol")
SETTINGS = Settings(write_high=6, write_low=1)
STREAM = Pattern(tags=4)
BUSY = Pattern(order="random", lengths=(1, 40), reads=0.5, size=4096, masked=0.2, stall=0.1, hold=0.1, tags=4)
ALWAYS = 1 << 40


@pytest.fixture(scope="module")
def executable(build_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    netlist = emit_scrubbed(CONFIG, tmp_path_factory.mktemp("scrubbed"))
    return build_channel(CONFIG, build_root, netlist=netlist)


def measure(executable: Path, pattern: Pattern, settings: Settings = SETTINGS, **options) -> Measurement:
    options = {"warmup": 1000, "clocks": 6000} | options
    return run(executable, CONFIG, [pattern] * CONFIG.ports, settings=settings, **options)


def wire_bits(wires: Iterable[int]) -> list[int]:
    """What wires carry in a burst: 0 to 63 of the data, 64 to 71 of the check bits."""
    return [64 * beat + wire if wire < 64 else 256 + 8 * beat + wire - 64 for beat in range(4) for wire in wires]


def some_of(bits: list[int], chance: random.Random) -> list[int]:
    """At least one."""
    return chance.sample(bits, chance.randint(1, len(bits)))


@pytest.mark.parametrize("pattern", [STREAM, BUSY], ids=["stream", "busy"])
def test_wrong_symbols_in_flight_are_corrected(pattern: Pattern, executable: Path) -> None:
    chance = random.Random(1)
    pairs = [wire_bits([2 * symbol, 2 * symbol + 1]) for symbol in range(36)]
    events = [(1500 + 20 * n, "flip_reads", [n % 2, 0, 1, *some_of(chance.choice(pairs), chance)]) for n in range(200)]
    measured = measure(executable, pattern, events=events, seed=3)
    measured.check()
    assert measured.unclean == 0


@pytest.mark.parametrize("wires", [[17], [40, 41], [71]], ids=["wire", "pair", "check wire"])
def test_a_broken_wire_or_pair_is_corrected_for_ever(wires: list[int], executable: Path) -> None:
    events = [(1200, "flip_reads", [pc, 0, ALWAYS, *wire_bits(wires)]) for pc in range(2)]
    measure(executable, BUSY, events=events, seed=4).check()


@pytest.mark.parametrize("lane", [0, 3, 8])
def test_a_spoiled_byte_lane_is_reported(lane: int, executable: Path) -> None:
    chance = random.Random(lane)
    pairs = [wire_bits([8 * lane + 2 * n, 8 * lane + 2 * n + 1]) for n in range(4)]
    spoiled = [[bit for pair in pairs for bit in some_of(pair, chance)] for _ in range(100)]
    events = [(1500 + 20 * n, "flip_reads", [n % 2, 0, 1, *bits]) for n, bits in enumerate(spoiled)]
    measured = measure(executable, STREAM, events=events)
    measured.check(errors=True)
    assert measured.error_beats == len(spoiled)
    # Masked writes read, too: their words are poisoned, and nobody is given them as good.
    measured = measure(executable, BUSY, events=events, seed=5)
    measured.check(errors=True)
    assert measured.error_beats > 10
    assert measured.unclean > 0


GRANULES = 48
SCRUB = replace(SETTINGS, scrub_interval=40, scrub_idle=8)


def stored(chance: random.Random, symbols: int, granules: Iterable[int]) -> list[tuple[int, str, list[int]]]:
    """A word of each granule with so many wrong symbols in the memory, from the start on."""
    events = []
    for granule in granules:
        address = 8 * granule + chance.randrange(8)
        for symbol in chance.sample(range(36), symbols):
            bits = some_of(wire_bits([2 * symbol, 2 * symbol + 1]), chance)
            events += [(0, "flip_stored", [address, bit]) for bit in bits]
    return events


def test_the_scrubber_cleans_the_memory_but_for_what_cannot_be_corrected(executable: Path) -> None:
    chance = random.Random(7)
    elsewhere = Pattern(order="random", base=1 << 20, size=4096, lengths=(1, 8), reads=0.5, gap=150, outstanding=4)
    events = stored(chance, 1, range(GRANULES)) + stored(chance, 2, [GRANULES + 2, GRANULES + 9])
    options = {"events": events, "clocks": 8000, "seed": 8}
    before = measure(executable, elsewhere, **options)
    before.check()
    assert before.unclean == GRANULES + 2
    after = measure(executable, elsewhere, SCRUB, **options)
    after.check()
    assert after.unclean == 2


def test_the_scrubber_undoes_nobodys_write(executable: Path) -> None:
    chance = random.Random(9)
    here = replace(BUSY, size=8 * GRANULES, lengths=(1, 8), masked=0.4, gap=100)
    options = {"events": stored(chance, 1, range(GRANULES)), "seed": 10}
    before = measure(executable, here, **options)
    before.check()
    assert before.unclean > 5, "the traffic itself cleans what it writes"
    after = measure(executable, here, SCRUB, **options)
    after.check()
    assert after.unclean == 0
