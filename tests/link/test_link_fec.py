"""The FEC of a flit: hardware and reference agree; each wrong byte, and each three neighbours, are made right."""

import random
from typing import Any

import pytest
from amaranth import Module, Signal
from amaranth.sim import Simulator
from openppu.link.config import LinkConfig
from openppu.link.fec import BeatSyndromes, Locate, check_bytes
from openppu_sim.reference import link_flit


def wrong_flits(flit: bytes) -> list[bytes]:
    """All with one wrong byte (one change a place, all changes at some places), all with three neighbours wrong."""
    chance = random.Random(2)
    found = []
    for place in range(256):
        changes = range(1, 256) if place % 51 == 0 else [chance.randrange(1, 256)]
        found += [[(place, change)] for change in changes]
        if place < 254:
            found.append([(place + next_to, chance.randrange(1, 256)) for next_to in range(3)])
    result = []
    for errors in found:
        changed = bytearray(flit)
        for place, change in errors:
            changed[place] ^= change
        result.append(bytes(changed))
    return result


def syndromes_of(flit: bytes) -> tuple[list[int], list[int]]:
    """By the reference: each code word at 1 and at 2."""
    words = [flit[code::3] for code in range(3)]
    return [link_flit.evaluate(word, 1) for word in words], [link_flit.evaluate(word, 2) for word in words]


def test_the_reference_makes_code_words_and_mends_them() -> None:
    flit = link_flit.with_fec(random.Random(1).randbytes(250))
    assert syndromes_of(flit) == ([0, 0, 0], [0, 0, 0])
    for wrong in wrong_flits(flit)[::17]:
        assert link_flit.corrected(wrong)[0] == flit


@pytest.mark.parametrize(("lanes", "lane_bits"), [(1, 16), (2, 16), (1, 64), (8, 16), (4, 64), (8, 64), (16, 64)])
def test_check_bytes_are_the_references(lanes: int, lane_bits: int) -> None:
    config = LinkConfig(ports=1, lanes=lanes, lane_bits=lane_bits, fec=True)
    size = config.beat_bytes
    last = 249 // size
    m = Module()
    m.submodules.dut = dut = BeatSyndromes(config, last=last)
    found = Signal(48)
    m.d.comb += found.eq(check_bytes(m, dut.value))
    chance = random.Random(1)

    async def bench(ctx: Any) -> None:
        for _ in range(3):
            first = chance.randbytes(250)
            expected = link_flit.with_fec(first)
            for index in range(config.beats):
                ctx.set(dut.beat, int.from_bytes((first + bytes(6))[index * size :][:size], "little"))
                ctx.set(dut.index, index)
                ctx.set(dut.step, 1)
                if index >= last:
                    assert ctx.get(found).to_bytes(6, "little") == expected[250:]
                await ctx.tick()
                ctx.set(dut.step, 0)
                await ctx.tick().repeat(chance.randrange(1, 3))

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_every_wrong_byte_is_found() -> None:
    dut = Locate()
    right = link_flit.with_fec(random.Random(3).randbytes(250))

    chance = random.Random(4)

    async def bench(ctx: Any) -> None:
        # One byte wrong: all places, and all changes at some.
        for place in range(256):
            for change in range(1, 256) if place in (0, 130, 254) else (1, 0x80, chance.randrange(1, 256)):
                code = place % 3
                sums, weighted_sums = syndromes_of(bytes(place) + bytes([change]) + bytes(255 - place))
                await find(ctx, {code: (sums[code], weighted_sums[code])}, {code: (place, change)})
        # Three neighbours, and whatever else the reference mends or leaves.
        for wrong in wrong_flits(right)[::13]:
            sums, weighted_sums = syndromes_of(wrong)
            mended = link_flit.corrected(wrong)[0]
            changes = [(place, wrong[place] ^ mended[place]) for place in range(256) if wrong[place] != mended[place]]
            expected = {place % 3: (place, change) for place, change in changes}
            await find(ctx, dict(enumerate(zip(sums, weighted_sums, strict=True))), expected)
        # Two wrong bytes of a code word: no fix, or the one that the reference finds as well.
        unmendable = 0
        for _ in range(100):
            wrong = bytearray(right)
            first, second = chance.sample(range(86), 2)
            for place in (3 * first, 3 * second):
                wrong[place] ^= chance.randrange(1, 256)
            sums, weighted_sums = syndromes_of(bytes(wrong))
            mended, count = link_flit.corrected(bytes(wrong))
            unmendable += count == 0
            changes = [(place, wrong[place] ^ mended[place]) for place in range(256) if wrong[place] != mended[place]]
            expected = {place % 3: (place, change) for place, change in changes}
            await find(ctx, dict(enumerate(zip(sums, weighted_sums, strict=True))), expected)
        assert unmendable > 20

    async def find(ctx: Any, syndromes: dict[int, tuple[int, int]], expected: dict[int, tuple[int, int]]) -> None:
        for code in range(3):
            total, weighted = syndromes.get(code, (0, 0))
            ctx.set(dut.syndromes.sum[code], total)
            ctx.set(dut.syndromes.weighted[code], weighted)
        await ctx.tick()
        for code in range(3):
            place, change = ctx.get(dut.fixes[code].byte), ctx.get(dut.fixes[code].change)
            if code in expected:
                assert (place, change) == expected[code]
            else:
                assert change == 0

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.slow
def test_every_wrong_byte_is_found_whatever_it_became() -> None:
    """All 255 changes at all 86 places, of the three code words at once."""
    dut = Locate()

    async def bench(ctx: Any) -> None:
        weights = [1]
        for _ in range(85):
            weights.append(link_flit.multiply(weights[-1], 2))
        for power, weight in enumerate(weights):
            for change in range(1, 256):
                for code in range(3):
                    ctx.set(dut.syndromes.sum[code], change)
                    ctx.set(dut.syndromes.weighted[code], link_flit.multiply(change, weight))
                await ctx.tick()
                for code, highest in enumerate((255, 253, 254)):
                    if 3 * power <= highest:
                        assert ctx.get(dut.fixes[code].byte) == highest - 3 * power
                        assert ctx.get(dut.fixes[code].change) == change
                    else:
                        assert ctx.get(dut.fixes[code].change) == 0

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
