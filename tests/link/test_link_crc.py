"""The CRC of a flit: hardware and reference agree, and it notices every error of few bits."""

import random
from functools import reduce
from operator import xor
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator
from openppu.link.config import LinkConfig
from openppu.link.crc import BeatCrc, power, register_of
from openppu_sim.reference import link_flit
from openppu_sim.reference.link_flit import Trailer, crc

CHECKED_BITS = 8 * 248
"""Of a flit without FEC; with it, they are fewer."""


@pytest.mark.parametrize(("bits", "value"), [(16, 0xB4C8), (32, 0xE3069283), (64, 0x995DC9BBDF1939FA)])
def test_the_reference_gives_the_published_check_values(bits: int, value: int) -> None:
    assert crc(b"123456789", bits) == value


@pytest.mark.parametrize("bits", [16, 32, 64])
@pytest.mark.parametrize(("lanes", "lane_bits", "fec"), [(1, 16, False), (2, 16, True), (8, 64, True), (16, 64, False)])
def test_the_crc_of_beats_is_that_of_their_bytes(bits: int, lanes: int, lane_bits: int, fec: bool) -> None:
    config = LinkConfig(ports=1, lanes=lanes, lane_bits=lane_bits, fec=fec, crc_bits=bits)
    dut = BeatCrc(config)
    chance = random.Random(bits)
    size = config.beat_bytes

    async def bench(ctx: Any) -> None:
        for _ in range(3):
            flit = chance.randbytes(256)
            expected = crc(flit[: config.crc_place], bits)
            for index in range(config.beats):
                ctx.set(dut.beat, int.from_bytes(flit[index * size :][:size], "little"))
                ctx.set(dut.index, index)
                ctx.set(dut.step, 1)
                if (index + 1) * size >= config.crc_place:
                    assert ctx.get(dut.value) == expected
                await ctx.tick()
                ctx.set(dut.step, 0)
                # Between beats, anything.
                ctx.set(dut.beat, chance.getrandbits(8 * size))
                await ctx.tick().repeat(chance.randrange(1, 3))
            assert ctx.get(dut.before) == expected

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def columns(bits: int) -> list[int]:
    """What each wrong bit of a flit, the CRC's own last, adds to what is compared."""
    total = CHECKED_BITS + bits
    return [register_of(power(place, bits), bits) for place in range(total)]


def test_a_column_is_what_the_reference_adds_for_a_wrong_bit() -> None:
    right = crc(bytes(248), 64)
    all_columns = columns(64)
    for bit in (0, 7, 8, 1000, CHECKED_BITS - 1):
        wrong = bytearray(248)
        wrong[bit // 8] |= 1 << bit % 8
        assert crc(bytes(wrong), 64) ^ right == all_columns[CHECKED_BITS + 64 - 1 - bit]


@pytest.mark.parametrize("bits", [16, 32, 64])
def test_every_error_of_up_to_three_bits_is_noticed(bits: int) -> None:
    of_bit = np.array(columns(bits), np.uint64)
    assert np.all(of_bit != 0)
    assert len(np.unique(of_bit)) == len(of_bit)
    # Three: the sum of two is no third.
    for place, column in enumerate(of_bit[:-2]):
        assert not np.isin(of_bit[place + 1 :] ^ column, of_bit).any()


@pytest.mark.parametrize("bits", [32, 64])
def test_every_error_of_four_bits_is_noticed(bits: int) -> None:
    """No two pairs of wrong bits look the same. With 32 bits, where the next test excludes five, six is the least."""
    of_bit = np.array(columns(bits), np.uint64)
    first, second = np.triu_indices(len(of_bit), 1)
    pairs = np.sort(of_bit[first] ^ of_bit[second])
    assert len(pairs) == len(of_bit) * (len(of_bit) - 1) // 2
    assert np.all(pairs[1:] != pairs[:-1])


@pytest.mark.parametrize("bits", [16, 32])
def test_every_error_of_an_odd_number_of_bits_is_noticed(bits: int) -> None:
    """The polynomial is a multiple of x + 1, so that all columns have an odd sum under one mask."""
    all_columns = columns(bits)
    rows = range(bits)
    # Solve: which mask of rows gives every column parity 1? The first ``bits`` columns are unit vectors: all rows.
    assert sorted(all_columns[:bits]) == sorted(1 << row for row in rows)
    assert all(column.bit_count() % 2 == 1 for column in all_columns)


def test_bursts_as_long_as_the_crc_are_noticed() -> None:
    chance = random.Random(1)
    for bits in (16, 32, 64):
        all_columns = columns(bits)
        for start in range(0, CHECKED_BITS, 61):
            inside = [start, *(start + bit for bit in range(1, bits) if chance.random() < 0.5)]
            assert reduce(xor, [all_columns[bit] for bit in inside]) != 0


def test_the_numbers_high_bits_make_each_flit_of_another_turn_wrong() -> None:
    flits = {
        link_flit.assemble(b"", Trailer(), number=number, crc_bits=32, fec=False) for number in range(0, 10_000, 256)
    }
    assert len(flits) == 40
    for number in (0, 255, 256, 0xFFFFFF):
        flit = link_flit.assemble(b"x", Trailer(used=1), number=number, crc_bits=16, fec=False)
        assert link_flit.take_apart(flit, number=number, crc_bits=16, fec=False)
        assert not link_flit.take_apart(flit, number=(number + 256) % (1 << 24), crc_bits=16, fec=False)
