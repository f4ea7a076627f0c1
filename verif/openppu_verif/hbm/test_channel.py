"""The channel in cocotb, with the device model and the checker at its PHY."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from amaranth.lib import data
from cocotb.handle import Immediate
from cocotb.triggers import Timer
from openppu.hbm.config import ChannelConfig
from openppu.hbm.layouts import acknowledge_layout, request_layout, response_layout, write_word_layout
from openppu.hbm.power import power_layout
from openppu.hbm.settings import Settings
from openppu_sim.cycles.hbm.address import split
from openppu_sim.reference.secded import encode
from openppu_sim.simulator.cocotb_runner import parameters

from openppu_verif.hbm.channel_memory import ChannelMemory
from openppu_verif.hbm.memory_file import settings_value
from openppu_verif.streams import Sink, Source

PATIENCE = 20_000
ALL = (1 << 32) - 1


class Bench:
    """A channel of one port, its memory, and what the port's requests were answered."""

    def __init__(self, dut: Any, **settings: Any) -> None:
        given = parameters()
        self.dut, self.config = dut, ChannelConfig(**given["config"])
        self.settings = replace(Settings(write_high=self.config.writes, write_low=1), **settings)
        self.memory = ChannelMemory(dut, self.config, self.settings, Path(given["build_root"]))
        noise = random.Random(cocotb.RANDOM_SEED)
        self.requests, self.words = Source(dut, "requests__0", noise), Source(dut, "words__0", noise)
        self.responses, self.acknowledges = Sink(dut, "responses__0"), Sink(dut, "acknowledges__0")
        self.clock = 0
        self.beats: list[tuple[int, bool]] = []  # data, error
        self.acknowledged = 0

    async def begin(self) -> None:
        """Reset, and wait for the device."""
        await Timer(1, "ns")
        self.dut.settings.set(Immediate(settings_value(self.settings, self.config)))
        for end in (self.requests, self.words, self.responses, self.acknowledges):
            end.begin()
        self.dut.rst.set(Immediate(1))
        for level in (0, 1, 0, 1):
            self.dut.clk.set(Immediate(level))
            await Timer(1, "ns")
        self.dut.rst.set(Immediate(0))
        while not int(self.dut.running.value):
            await self.step()

    async def step(self) -> None:
        """One clock."""
        half = Timer(1, "ns")
        self.dut.clk.set(Immediate(0))
        self.memory.drive()
        for end in (self.requests, self.words, self.responses, self.acknowledges):
            end.drive(self.clock)
        await half
        self.memory.sample()
        self.requests.sample()
        self.words.sample()
        response, acknowledge = self.responses.sample(self.clock), self.acknowledges.sample(self.clock)
        if response is not None:
            layout = response_layout(self.config)
            self.beats.append((_field(layout, "data", response), bool(_field(layout, "error", response))))
        if acknowledge is not None:
            assert not _field(acknowledge_layout(self.config), "error", acknowledge)
            self.acknowledged += 1
        self.dut.clk.set(Immediate(1))
        await half
        self.clock += 1
        assert self.clock < PATIENCE, f"not done after {PATIENCE} clocks, seed {cocotb.RANDOM_SEED}"

    async def write(self, address: int, words: list[int], mask: int = ALL) -> None:
        """Write words, and wait for the acknowledge."""
        self.ask_write(address, words, mask)
        wanted = self.acknowledged + 1
        while self.acknowledged < wanted:
            await self.step()

    async def read(self, address: int, count: int) -> list[tuple[int, bool]]:
        """Read words: data, and whether it is known to be wrong."""
        self.ask_read(address, count)
        self.beats = []
        while len(self.beats) < count:
            await self.step()
        return self.beats

    def ask_write(self, address: int, words: list[int], mask: int = ALL) -> None:
        """Offer a write from now on."""
        self._request(write=1, address=address, last=len(words) - 1)
        for word in words:
            self.words.put(_packed(write_word_layout(), data=word, mask=mask))

    def ask_read(self, address: int, count: int) -> None:
        """Offer a read from now on."""
        self._request(write=0, address=address, last=count - 1)

    def _request(self, **values: int) -> None:
        self.requests.put(_packed(request_layout(self.config), **values, tag=0))


def _packed(layout: data.StructLayout, **values: int) -> int:
    return sum(value << layout[name].offset for name, value in values.items())


def _field(layout: data.StructLayout, name: str, value: int) -> int:
    return value >> layout[name].offset & ((1 << layout[name].width) - 1)


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
    places = split(np.array(list(held)), bench.config, bench.settings)
    for number, word in enumerate(held.values()):
        pc, bank, row, column = (int(each[number]) for each in (places.pc, places.bank, places.row, places.column))
        stored, _ = bench.memory.device.dump(pc, bank, row, column, 1)
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
        assert _field(power_layout(), state, int(dut.power.value)) >= 1
        assert await bench.read(77, 1) == [(word, False)]
        assert int(dut.phy__cke.value)
    bench.memory.device.signals(catastrophic=True)
    for _ in range(500):
        await bench.step()
    assert int(dut.overheated.value)
    assert not int(dut.phy__cke.value)
    assert await bench.read(77, 2) == [(0, True)] * 2
    assert not int(dut.phy__cke.value)
