"""Scenes of the command timing in cocotb: what stands at the PHY is kept for `openppu_verif.hbm.timing_pictures`."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cocotb
from openppu.hbm.config import GRANULE
from openppu.hbm.settings import Page
from openppu_sim.simulator.cocotb_runner import parameters

from openppu_verif.hbm.channel_bench import Bench
from openppu_verif.hbm.channel_memory import Busy, ChannelMemory

ROW = 1 << 10
"""Accesses from a row of a bank to its next: 4-high, interleaved."""
UPPER_COLUMN = 1 << 8
"""Accesses to the next granule of the same row."""
LAST_BANKS = (14, 15)
"""Of a round of refreshes."""


class Memory(ChannelMemory):
    """A memory that notes what stands at the PHY."""

    clocks: list[Busy]

    def sample(self) -> Busy:
        """As its base."""
        self.clocks.append(super().sample())
        return self.clocks[-1]


class Scene(Bench):
    """A channel that notes what stands at the PHY from `begin_scene` on, and writes it at the end."""

    def __init__(self, dut: Any, **settings: Any) -> None:
        super().__init__(dut)
        self.settings = replace(self.settings, **settings)
        self.memory: Memory = Memory(dut, self.config, self.settings, Path(parameters()["build_root"]))
        self.memory.clocks = []

    async def pause(self, clocks: int) -> None:
        """Let the bus come to rest."""
        for _ in range(clocks):
            await self.step()

    async def until(self, name: str, *, bank: int) -> None:
        """Wait until PC 0 has sent a command."""
        while not any(command[1:] == (name, 0, bank) for each in self.memory.clocks[-1:] for command in each.commands):
            await self.step()

    def begin_scene(self) -> None:
        """Forget what was noted so far."""
        self.memory.clocks.clear()

    async def end_scene(self, name: str, clocks: int) -> None:
        """Go on for so many clocks, and write the scene."""
        await self.pause(clocks)
        path = Path(parameters()["scenes"]) / f"{name}.json"
        path.write_text(json.dumps([asdict(each) for each in self.memory.clocks]), encoding="utf-8")


@cocotb.test()
async def read_hit(dut: Any) -> None:
    """Two reads of an open row."""
    scene = Scene(dut, page=Page(0), refresh_enable=False)
    await scene.begin()
    await scene.read(0, 1)
    scene.begin_scene()
    scene.ask_read(UPPER_COLUMN, 2)
    await scene.end_scene("read-hit", 60)


@cocotb.test()
async def page_miss(dut: Any) -> None:
    """A read of another row than the open one."""
    scene = Scene(dut, page=Page(0), refresh_enable=False)
    await scene.begin()
    await scene.read(0, 1)
    scene.begin_scene()
    scene.ask_read(ROW, 1)
    await scene.end_scene("page-miss", 90)


@cocotb.test()
async def turnarounds(dut: Any) -> None:
    """A write, a read of what it wrote, and a write there again, in an open row."""
    scene = Scene(dut, page=Page(0), refresh_enable=False)
    await scene.begin()
    await scene.read(0, 1)
    scene.begin_scene()
    scene.ask_write(UPPER_COLUMN, [1])
    scene.ask_read(UPPER_COLUMN, 1)
    scene.ask_write(UPPER_COLUMN, [2])
    await scene.end_scene("turnarounds", 100)


@cocotb.test()
async def activates(dut: Any) -> None:
    """Reads of five banks of one pseudo-channel, and of two of the other."""
    scene = Scene(dut, page=Page(0), refresh_enable=False)
    await scene.begin()
    scene.begin_scene()
    for granule in (0, 1, 2, 3, 4, 6, 8):
        scene.ask_read(granule * GRANULE, 1)
    await scene.end_scene("activates", 80)


@cocotb.test()
async def refresh(dut: Any) -> None:
    """Reads of the two banks that this round has left to refresh: each is, as soon as its read has left it."""
    scene = Scene(dut, page=Page(1))
    await scene.begin()
    await scene.until("REFSB", bank=LAST_BANKS[0] - 1)
    await scene.pause(scene.settings.timing.tRFCSB // 2 - 16)
    scene.begin_scene()
    for bank in LAST_BANKS:
        scene.ask_read(_address(bank), 1)
    await scene.until("REFSB", bank=LAST_BANKS[0])
    scene.ask_read(_address(LAST_BANKS[0]), 1)
    await scene.end_scene("refresh", 170)


def _address(bank: int) -> int:
    """An access of a bank of PC 0: 4-high, interleaved."""
    group, bank = divmod(bank, 4)
    return 2 * GRANULE * (group + 4 * bank)


@cocotb.test()
async def words(dut: Any) -> None:
    """A write of a word to each pseudo-channel, and their read."""
    scene = Scene(dut, page=Page(0), refresh_enable=False)
    await scene.begin()
    await scene.read(GRANULE - 1, 2)
    scene.begin_scene()
    scene.ask_write(GRANULE - 1, [1, 2])
    scene.ask_read(GRANULE - 1, 2)
    await scene.end_scene("words", 100)
