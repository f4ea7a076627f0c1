"""Addresses split as `docs/hbm.md` says, and no two of them meet in one place."""

import random
from itertools import pairwise

import pytest
from amaranth.sim import Simulator
from openppu.hbm.address import AddressMap
from openppu.hbm.config import ChannelConfig
from openppu.hbm.settings import Mapping, Settings
from places import split


def places(height: int, settings: Settings, addresses: list[int]) -> list[tuple[int, dict[str, int]] | None]:
    """What the hardware makes of addresses; None for one beyond the capacity."""
    dut = AddressMap(ChannelConfig(height=height))
    found: list[tuple[int, dict[str, int]] | None] = []

    async def bench(ctx):  # type: ignore[no-untyped-def]
        ctx.set(dut.settings, settings.values())
        for address in addresses:
            ctx.set(dut.address, address)
            place = {name: ctx.get(getattr(dut.place, name)) for name in ("row", "bank", "column")}
            found.append(None if ctx.get(dut.beyond) else (ctx.get(dut.pc), place))
            await ctx.delay(1e-9)

    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulator.run()
    return found


@pytest.mark.parametrize("hash_banks", [False, True])
@pytest.mark.parametrize("mapping", Mapping)
@pytest.mark.parametrize("height", [4, 8, 12])
def test_addresses_lie_where_the_page_says(height: int, mapping: Mapping, hash_banks: bool) -> None:
    config = ChannelConfig(height=height)
    of = config.organisation
    capacity = 2 * of.banks * of.rows * of.columns
    chance = random.Random(height)
    addresses = [1 << bit for bit in range(config.address_bits)] + [chance.randrange(capacity) for _ in range(300)]
    addresses += [capacity - 1, 0]
    expected = [split(a, height, mapping, hash_banks) if a < capacity else None for a in addresses]
    settings = Settings(mapping=mapping, hash_banks=hash_banks)
    assert places(height, settings, addresses) == expected


@pytest.mark.parametrize("mapping", Mapping)
@pytest.mark.parametrize("height", [4, 8, 12])
def test_no_two_addresses_meet(height: int, mapping: Mapping) -> None:
    # All addresses of some rows that differ in the bits that are hashed: what is hashed stays one to one.
    granules = 2 * 4 * 16 * (2 if height == 8 else 1)
    addresses = [8 * granule for granule in range(granules * 8)]
    found = places(height, Settings(mapping=mapping, hash_banks=True), addresses)
    assert len({(pc, *place.values()) for pc, place in found}) == len(addresses)  # type: ignore[misc]


@pytest.mark.parametrize("mapping", Mapping)
def test_neighbouring_granules_hardly_ever_share_a_bank_group_when_hashed(mapping: Mapping) -> None:
    found = places(8, Settings(mapping=mapping, hash_banks=True), [16 * granule for granule in range(256)])
    groups = [place["bank"] // 4 % 4 for _, place in found]  # type: ignore[misc]
    assert sum(a == b for a, b in pairwise(groups)) <= 8


def test_a_stride_of_whole_rows_visits_every_bank_when_hashed() -> None:
    row = 2 * 32 * 32
    found = places(8, Settings(hash_banks=True), [row * number for number in range(32)])
    assert len({place["bank"] for _, place in found}) == 32  # type: ignore[misc]


def test_what_lies_beyond_a_stack_of_twelve_is_told() -> None:
    edge = 3 << 25
    assert [place is None for place in places(12, Settings(), [edge - 1, edge, (1 << 27) - 1])] == [False, True, True]
