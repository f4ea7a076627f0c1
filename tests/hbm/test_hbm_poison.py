"""A poisoned word is answered with error, whatever single bit of each beat, or single symbol, is wrong besides."""

import random

import pytest
from amaranth import Module
from openppu.hbm.config import ChannelConfig
from openppu.hbm.read_path import ReadPath
from openppu.hbm.settings import Settings
from openppu.hbm.write_path import WritePath
from openppu_verif.ends import run


def suffered(ecc: str, chance: random.Random) -> int:
    """Wrong bits, of 256 of the data and 32 check bits, that would be corrected in any other word."""
    if ecc == "secded":
        places = [(beat, chance.randrange(72)) for beat in range(4) if chance.random() < 0.8]
    else:
        symbol, value = chance.randrange(36), chance.randrange(256)
        places = [(bit // 2, 2 * symbol + bit % 2) for bit in range(8) if value >> bit & 1]
    return sum(1 << (64 * beat + bit if bit < 64 else 256 + 8 * beat + bit - 64) for beat, bit in places)


@pytest.mark.parametrize("ecc", ["secded", "symbol"])
def test_poison_is_never_lost(ecc: str) -> None:
    config = ChannelConfig(ports=1, slots=8, writes=8, ecc=ecc)
    m = Module()
    m.submodules.write_path = writing = WritePath(config)
    m.submodules.read_path = reading = ReadPath(config)
    settings = Settings()
    write_delay, read_delay = settings.timing.WL // 2, (settings.timing.RL + 3) // 2
    chance = random.Random(11)
    at_phy: dict[int, int] = {}
    errors: dict[int, bool] = {}
    counts = {False: 0, True: 0}

    def step(ctx, cycle):  # type: ignore[no-untyped-def]
        for dut in (writing, reading):
            ctx.set(dut.settings, settings.values())
        # Words on end, fetched two clocks before they are at the PHY; every other one is poisoned.
        ctx.set(writing.issue.valid, 1)
        ctx.set(writing.data, chance.getrandbits(256))
        poisoned = bool(cycle % 2)
        ctx.set(writing.poisoned, poisoned)
        ctx.set(reading.issue, {"valid": 1, "source": {"port": 0}})
        ctx.set(reading.read_valid, cycle >= read_delay)
        if ctx.get(writing.write_valid):
            wrong = suffered(ecc, chance)
            word = ctx.get(writing.write.data) | ctx.get(writing.write.check) << 256
            at_phy[cycle] = word ^ wrong
            counts[not poisoned] += wrong != 0
        ctx.set(reading.read, {"data": at_phy.get(cycle, 0) & (1 << 256) - 1, "check": at_phy.get(cycle, 0) >> 256})
        errors[cycle + 1] = not poisoned
        if cycle > read_delay + write_delay + 2:
            assert ctx.get(reading.returned[0].valid)
            assert ctx.get(reading.returned[0].error) == errors[cycle], f"cycle {cycle}"
            assert ctx.get(reading.record.uncorrectable) == errors[cycle], f"cycle {cycle}"
        return cycle == 300

    run(m, step, most=301)
    assert min(counts.values()) > 80, counts
