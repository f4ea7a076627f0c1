"""The whole controller in cocotb: software on AXI4-Lite, a user on a port, the device model and the checker behind."""

import random
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.handle import Immediate
from cocotb.triggers import Timer
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp
from openppu.hbm.accounts import IDLE_CAUSES
from openppu.hbm.config import ChannelConfig
from openppu.hbm.latency import histogram_layout
from openppu.hbm.layouts import request_layout, response_layout
from openppu.hbm.registers import registers
from openppu.hbm.self_test import Operation
from openppu.hbm.settings import Settings
from openppu_sim.cycles.hbm.address import split
from openppu_sim.simulator.cocotb_runner import parameters

from openppu_verif.hbm.channel_memory import ChannelMemory
from openppu_verif.streams import Sink, Source

PATIENCE = 30_000
OPERATIONS = {name: value.value for name, value in Operation.__members__.items()}


class Bench:
    """The controller's clock, memory and user; what software does goes on beside it."""

    def __init__(self, dut: Any) -> None:
        given = parameters()
        self.dut, self.config = dut, ChannelConfig(**given["config"])
        self.settings = Settings()
        self.memory = ChannelMemory(dut, self.config, self.settings, Path(given["build_root"]))
        self.device = self.memory.device
        self.requests = Source(dut, "requests__0", random.Random(cocotb.RANDOM_SEED))
        self.responses = Sink(dut, "responses__0")
        self.at = {register.name: register.offset for register in registers(self.config)}
        self.beats: list[tuple[int, bool]] = []
        self.clock = 0

    async def run(self, software: Awaitable[None]) -> None:
        """Reset, and go on until the software has done its work."""
        half = Timer(1, "ns")
        await half
        for end in (self.requests, self.responses):
            end.begin()
        # There are no writes of users.
        self.dut.words__0__valid.set(Immediate(0))
        self.dut.acknowledges__0__ready.set(Immediate(1))
        self.master = AxiLiteMaster(AxiLiteBus.from_prefix(self.dut, "control_"), self.dut.clk, self.dut.rst)
        for part in (self.master.write_if, self.master.read_if):
            part.log.setLevel("WARNING")
        self.dut.rst.set(Immediate(1))
        for level in (0, 1, 0, 1):
            self.dut.clk.set(Immediate(level))
            await half
        self.dut.rst.set(Immediate(0))
        task = cocotb.start_soon(software)
        layout = response_layout(self.config)
        while not task.done():
            self.dut.clk.set(Immediate(0))
            self.memory.drive()
            self.requests.drive(self.clock)
            self.responses.drive(self.clock)
            await half
            self.memory.sample()
            self.requests.sample()
            if (beat := self.responses.sample(self.clock)) is not None:
                data, error = (
                    beat >> layout[name].offset & (1 << layout[name].width) - 1 for name in ("data", "error")
                )
                self.beats.append((data, bool(error)))
            self.dut.clk.set(Immediate(1))
            await half
            self.clock += 1
            assert self.clock < PATIENCE, f"not done after {PATIENCE} clocks, seed {cocotb.RANDOM_SEED}"
        task.result()

    async def clocks(self, count: int) -> None:
        """Let so many pass."""
        await Timer(2 * count, "ns")

    async def write(self, name: str, value: int) -> None:
        """Write a register."""
        answer = await self.master.write(self.at[name], value.to_bytes(4, "little"))
        assert answer.resp == AxiResp.OKAY, name

    async def read(self, name: str) -> int:
        """Read a register."""
        response = await self.master.read(self.at[name], 4)
        assert response.resp == AxiResp.OKAY, name
        return int.from_bytes(response.data, "little")

    async def until(self, name: str) -> None:
        """Wait for a bit."""
        while not await self.read(name):
            pass

    async def test(self, operation: str, accesses: int) -> dict[str, int]:
        """Run a self-test over the first accesses with the random pattern; its record."""
        values = {"operation": OPERATIONS[operation], "pattern": 2, "accesses": accesses, "last": 7, "stride": 8}
        for name, value in values.items():
            await self.write(f"test.{name}", value)
        await self.write("start", 1)
        await self.until("idle")
        return {name: await self.read(f"found.{name}") for name in ("words", "wrong", "errors", "refused", "address")}

    def ask(self, address: int, count: int) -> None:
        """Let the user read."""
        layout = request_layout(self.config)
        values = {"address": address, "last": count - 1}
        self.requests.put(sum(value << layout[name].offset for name, value in values.items()))

    def place(self, access: int) -> tuple[int, int, int, int]:
        """Pseudo-channel, bank, row and column."""
        at = split(np.array([access]), self.config, self.settings)
        return int(at.pc[0]), int(at.bank[0]), int(at.row[0]), int(at.column[0])


@cocotb.test()
async def memory_is_filled_tested_and_its_errors_are_told(dut: Any) -> None:
    """Zeros at the start, then patterns, a wrong bit, two wrong bits; the user's requests wait for the fill."""
    bench = Bench(dut)
    fill = parameters()["fill"]
    old = np.full((1, 32), 0xA5, np.uint8)
    for access in range(fill + 8):
        bench.device.load(*bench.place(access), old, np.zeros((1, 4), np.uint8))

    async def software() -> None:
        for address in (0, fill - 8):
            bench.ask(address, 8)
        await bench.until("running")
        assert not await bench.read("ready")
        assert bench.requests.waiting, "a request was taken before the memory was filled"
        await bench.until("ready")
        while len(bench.beats) < 16:
            await bench.clocks(10)
        assert bench.beats == [(0, False)] * 16
        assert [await bench.read(f"errors{pc}.record_valid") for pc in range(2)] == [0, 0]

        await bench.clocks(400)  # until all is written
        held = [bool(bench.device.dump(*bench.place(access), 1)[0].any()) for access in range(fill + 8)]
        assert held == [False] * fill + [True] * 8, "another range was filled"

        filled = await bench.test("FILL", 96)
        assert (filled["words"], filled["refused"]) == (0, 0)
        checked = await bench.test("CHECK", 96)
        assert (checked["words"], checked["wrong"], checked["errors"]) == (96, 0, 0)
        await bench.clocks(400)  # until all is written
        for access, bits in ((21, (7,)), (42, (3, 40)), (43, (100,))):
            for bit in bits:
                bench.device.flip_bit(*bench.place(access), bit)
        checked = await bench.test("CHECK", 96)
        assert (checked["words"], checked["wrong"], checked["errors"]) == (96, 0, 1)
        expected = {f"errors{pc}.{name}": 0 for pc in range(2) for name in ("corrected", "uncorrectable", "lost")}
        for access, name in ((21, "corrected"), (42, "uncorrectable"), (43, "corrected")):
            expected[f"errors{bench.place(access)[0]}.{name}"] += 1
        assert {name: await bench.read(name) for name in expected} == expected
        pc, *place = bench.place(42)
        parts = [await bench.read(f"errors{pc}.record_place_{name}") for name in ("bank", "row", "column")]
        assert (parts, await bench.read(f"errors{pc}.record_uncorrectable")) == (place, 1)
        await bench.write("clear", 1)
        assert await bench.read(f"errors{pc}.uncorrectable") == await bench.read(f"errors{pc}.record_valid") == 0
        assert await bench.read("test_stray") == await bench.read("lost") == await bench.read("stray") == 0

    await bench.run(software())


@cocotb.test()
async def clocks_words_and_reads_are_all_accounted_for(dut: Any) -> None:
    """The counters of a time with a user's reads, beside a self-test."""
    bench = Bench(dut)

    async def software() -> None:
        await bench.until("ready")
        await bench.clocks(400)  # until the zeros are written
        await bench.write("freeze", 1)
        for number in range(20):
            bench.ask(8 * number % parameters()["fill"], 1 + number % 8)
        expected = sum(1 + number % 8 for number in range(20))
        await bench.test("TRAFFIC", 200)
        while len(bench.beats) < expected:
            await bench.clocks(10)
        await bench.clocks(200)
        await bench.write("freeze", 1)
        words = 0
        for pc in range(2):
            names = ("clocks", "reads", "writes", *IDLE_CAUSES, "queued_reads", "queued_writes")
            counts = {name: await bench.read(f"pc{pc}.{name}") for name in names}
            busy = counts["reads"] + counts["writes"]
            assert busy + sum(counts[name] for name in IDLE_CAUSES) == counts["clocks"], counts
            assert counts["queued_reads"] >= counts["reads"] / 8, counts
            words += busy
        assert words == expected + 200
        reads = [await bench.read(f"latency.{name}") for name in histogram_layout().members]
        assert sum(reads) == 20, reads

    await bench.run(software())


@cocotb.test()
async def the_scrubber_repairs_what_software_lets_it(dut: Any) -> None:
    """At rest it is switched on; a wrong bit is written back right, with no request of anybody's."""
    bench = Bench(dut)

    async def software() -> None:
        await bench.until("ready")
        await bench.write("run", 0)
        for name, value in (("scrub_interval", 30), ("scrub_idle", 4)):
            await bench.write(name, value)
        await bench.write("run", 1)
        await bench.until("ready")
        await bench.clocks(400)
        place = bench.place(8 * (await bench.read("scrub.position") + 3) + 5)
        bench.device.flip_bit(*place, 11)
        assert bench.device.dump(*place, 1)[0].any()
        await bench.until("scrub.repaired")
        await bench.clocks(400)
        assert not bench.device.dump(*place, 1)[0].any()
        assert await bench.read("scrub.repaired") == await bench.read(f"errors{place[0]}.corrected") - 1 == 1
        assert await bench.read("scrub.wrong") == 0
        record = await bench.test("FILL", 64)
        assert record["refused"] == 0
        record = await bench.test("CHECK", 64)
        assert (record["words"], record["wrong"], record["errors"]) == (64, 0, 0)

    await bench.run(software())


@cocotb.test()
async def software_sets_the_memory_s_mode_registers(dut: Any) -> None:
    """After a reset they are what the settings need; at rest others are written, and the next start sets them."""
    bench = Bench(dut)

    async def software() -> None:
        await bench.until("ready")
        held = [bench.device.mode_register(number) for number in range(16)]
        assert held == list(bench.settings.mode_registers(bench.config))
        assert held == [await bench.read(f"modes.MR{number}") for number in range(16)]
        await bench.write("run", 0)
        stronger = held[1] | 4 << 5
        await bench.write("modes.MR1", stronger)
        await bench.write("run", 1)
        await bench.until("ready")
        assert [bench.device.mode_register(number) for number in range(16)] == [held[0], stronger, *held[2:]]

    await bench.run(software())


@cocotb.test()
async def software_stops_the_memory_at_any_moment(dut: Any) -> None:
    """Amid a user's reads and a self-test; started again, it is filled again and nothing is left of what was."""
    bench = Bench(dut)
    chance = random.Random(cocotb.RANDOM_SEED)

    async def software() -> None:
        for _ in range(3):
            await bench.until("ready")
            for number in range(6):
                bench.ask(8 * number, 8)
            for name, value in (("operation", OPERATIONS["TRAFFIC"]), ("accesses", 500), ("last", 3), ("stride", 4)):
                await bench.write(f"test.{name}", value)
            await bench.write("start", 1)
            await bench.clocks(chance.randrange(120))
            await bench.write("run", 0)
            assert [await bench.read(name) for name in ("running", "ready", "idle")] == [0, 0, 0]
            await bench.write("run", 1)
        await bench.until("ready")
        while bench.requests.waiting:
            await bench.clocks(10)
        await bench.clocks(200)
        bench.beats.clear()
        bench.ask(0, 64)
        while len(bench.beats) < 64:
            await bench.clocks(10)
        await bench.clocks(50)
        assert bench.beats == [(0, False)] * 64, f"seed {cocotb.RANDOM_SEED}"
        await bench.test("FILL", 96)
        record = await bench.test("CHECK", 96)
        assert (record["words"], record["wrong"], record["errors"]) == (96, 0, 0)
        assert await bench.read("test_stray") == await bench.read("lost") == await bench.read("stray") == 0

    await bench.run(software())
