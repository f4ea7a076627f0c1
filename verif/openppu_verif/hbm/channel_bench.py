"""A channel of one port in cocotb, with the device model and the checker at its PHY."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from amaranth.lib import data
from cocotb.handle import Immediate
from cocotb.triggers import Timer
from openppu.hbm.accounts import counters_layout
from openppu.hbm.config import ChannelConfig
from openppu.hbm.layouts import acknowledge_layout, request_layout, response_layout, write_word_layout
from openppu.hbm.settings import Settings
from openppu_sim.cycles.hbm.address import split
from openppu_sim.simulator.cocotb_runner import parameters

from openppu_verif.hbm.channel_memory import ChannelMemory
from openppu_verif.hbm.memory_file import settings_value
from openppu_verif.streams import Sink, Source

PATIENCE = 20_000
ALL = (1 << 32) - 1


class Bench:
    """A channel of one port, its memory, what the port's requests were answered, and what the memory was told.

    Parameters
    ----------
    dut : cocotb handle
    settings
        Of `openppu.hbm.settings.Settings`, where they are not the bench's.
    """

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
        self.commands: list[str] = []  # names, in their order
        self.activations: list[tuple[int, int, int]] = []  # PC, bank, row
        self.alarms = 0  # clocks with an error of commands

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
        seen = self.memory.sample()
        self.commands += [name for _, name, _, _ in seen.commands]
        self.activations += seen.activations
        self.alarms += int(self.dut.phy__address_error.value) != 0
        self.requests.sample()
        self.words.sample()
        response, acknowledge = self.responses.sample(self.clock), self.acknowledges.sample(self.clock)
        if response is not None:
            layout = response_layout(self.config)
            self.beats.append((field(layout, "data", response), bool(field(layout, "error", response))))
        if acknowledge is not None:
            assert not field(acknowledge_layout(self.config), "error", acknowledge)
            self.acknowledged += 1
        self.dut.clk.set(Immediate(1))
        await half
        self.clock += 1
        assert self.clock < PATIENCE, f"not done after {PATIENCE} clocks, seed {cocotb.RANDOM_SEED}"

    async def rest(self, clocks: int) -> None:
        """Let so many pass, and forget the commands before them."""
        self.commands, self.activations = [], []
        for _ in range(clocks):
            await self.step()

    def place(self, address: int) -> tuple[int, int, int, int]:
        """Pseudo-channel, bank, row and column of an access."""
        at = split(np.array([address]), self.config, self.settings)
        return int(at.pc[0]), int(at.bank[0]), int(at.row[0]), int(at.column[0])

    def counter(self, pc: int, name: str) -> int:
        """One of a pseudo-channel's counters."""
        return field(counters_layout(), name, int(getattr(self.dut, f"counters__{pc}").value))

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


def field(layout: data.StructLayout, name: str, value: int) -> int:
    """A field of a port's value."""
    return value >> layout[name].offset & ((1 << layout[name].width) - 1)
