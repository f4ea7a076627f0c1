"""The channel in cocotb: words, their codes, and rest."""

import random
from typing import Any

import cocotb
import numpy as np
from openppu.hbm.power import power_layout
from openppu_sim.reference.secded import encode

from openppu_verif.hbm.channel_bench import Bench, field


@cocotb.test()
async def words_come_back_and_lie_where_the_mapping_says(dut: Any) -> None:
    """Through the bus, and in the device's memory."""
    bench = Bench(dut)
    await bench.begin()
    chance = random.Random(cocotb.RANDOM_SEED)
    held = {}
    for address, count in ((5, 3), (1 << 18, 20), (8 * 1000 + 7, 2), (0, 1)):
        words = [chance.getrandbits(256) for _ in range(count)]
        await bench.write(address, words)
        held.update({address + number: word for number, word in enumerate(words)})
        assert await bench.read(address, count) == [(word, False) for word in words]
    mask = 0x0000FF0F
    new = chance.getrandbits(256)
    await bench.write(5, [new], mask)
    bits = sum(0xFF << 8 * byte for byte in range(32) if mask >> byte & 1)
    held[5] = (held[5] & ~bits) | (new & bits)
    assert await bench.read(5, 1) == [(held[5], False)]
    for _ in range(400):  # until all is written
        await bench.step()
    for address, word in held.items():
        stored, _ = bench.memory.device.dump(*bench.place(address), 1)
        assert stored.tobytes() == word.to_bytes(32, "little")


@cocotb.test()
async def loaded_memory_is_read_corrected_or_refused(dut: Any) -> None:
    """What is put into the memory without the bus: right, with a wrong bit, with two."""
    bench = Bench(dut)
    await bench.begin()
    device = bench.memory.device
    loaded = np.random.default_rng(cocotb.RANDOM_SEED).integers(0, 256, (8, 32), dtype=np.uint8)
    device.load(0, 0, 0, 0, loaded, encode(loaded.view(np.uint64)))
    words = [int.from_bytes(row.tobytes(), "little") for row in loaded]
    assert await bench.read(0, 8) == [(word, False) for word in words]
    device.flip_bit(0, 0, 0, 2, 131)
    device.flip_bit(0, 0, 0, 4, 3)
    device.flip_bit(0, 0, 0, 4, 40)
    got = await bench.read(0, 8)
    assert [error for _, error in got] == [number == 4 for number in range(8)]
    assert [word for word, error in got if not error] == [word for number, word in enumerate(words) if number != 4]


@cocotb.test()
async def a_rest_in_power_down_and_self_refresh_loses_nothing(dut: Any) -> None:
    """CKE low, a read that wakes, and at last a memory too hot, which answers no more."""
    bench = Bench(dut, power_down_after=20, self_refresh_after=400)
    await bench.begin()
    word = random.Random(cocotb.RANDOM_SEED).getrandbits(256)
    await bench.write(77, [word])
    for rest, state in ((200, "power_downs"), (800, "self_refreshes")):
        for _ in range(rest):
            await bench.step()
        assert not int(dut.phy__cke.value), f"awake after {rest} clocks"
        assert field(power_layout(), state, int(dut.power.value)) >= 1
        assert await bench.read(77, 1) == [(word, False)]
        assert int(dut.phy__cke.value)
    bench.memory.device.signals(catastrophic=True)
    for _ in range(500):
        await bench.step()
    assert int(dut.overheated.value)
    assert not int(dut.phy__cke.value)
    assert await bench.read(77, 2) == [(0, True)] * 2
    assert not int(dut.phy__cke.value)
