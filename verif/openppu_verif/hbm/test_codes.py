"""The channel in cocotb with the code that it was built for, or with masks instead: wrong bits, and bytes alone."""

import random
from typing import Any

import cocotb

from openppu_verif.hbm.channel_bench import Bench

HERE = 12345
BEATS = range(4)
WRONG = {
    "none": {"read wrong": [7], "read right": []},
    "secded": {"read right": [64 * beat + 7 for beat in BEATS], "refused": [7, 40]},
    "symbol": {"read right": [64 * beat + wire for beat in BEATS for wire in (10, 11)], "refused": [1, 10, 64 + 40]},
}
"""Bits of a word, and what comes of it when they are flipped: one in a beat, a pair of wires, too many."""


@cocotb.test()
async def wrong_bits_are_corrected_or_refused(dut: Any) -> None:
    """As far as the code goes."""
    bench = Bench(dut)
    await bench.begin()
    word = random.Random(cocotb.RANDOM_SEED).getrandbits(256)
    for outcome, bits in WRONG[bench.config.ecc].items():
        await bench.write(HERE, [word])
        await bench.rest(100)  # until it is written
        for bit in bits:
            bench.memory.device.flip_bit(*bench.place(HERE), bit)
        (data, error), *_ = await bench.read(HERE, 1)
        assert error == (outcome == "refused"), outcome
        assert error or data == word ^ sum(1 << bit for bit in bits if outcome == "read wrong"), outcome


@cocotb.test()
async def bytes_are_written_alone(dut: Any) -> None:
    """By the memory's mask, or by reading, merging and writing where its wires carry check bits."""
    bench = Bench(dut)
    await bench.begin()
    chance = random.Random(cocotb.RANDOM_SEED)
    old, new, mask = chance.getrandbits(256), chance.getrandbits(256), chance.getrandbits(32)
    await bench.write(HERE, [old])
    await bench.rest(100)
    await bench.write(HERE, [new], mask)
    await bench.rest(200)
    assert bench.commands.count("RD") + bench.commands.count("RDA") == (bench.config.ecc != "none")
    bits = sum(0xFF << 8 * byte for byte in range(32) if mask >> byte & 1)
    assert await bench.read(HERE, 1) == [(old & ~bits | new & bits, False)]
