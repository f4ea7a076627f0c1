"""The AXI4 port in cocotb, between a manager of cocotbext-axi and a memory behind its requests."""

import random
from collections.abc import Iterator
from typing import Any

import cocotb
from cocotb.handle import Immediate
from cocotb.triggers import Timer
from cocotbext.axi import AxiBus, AxiLockType, AxiMaster
from openppu.hbm.config import ChannelConfig
from openppu_sim.simulator.cocotb_runner import parameters

from openppu_verif.hbm.axi_burst import BUS_BYTES, INCR, PAGE, Burst
from openppu_verif.hbm.axi_manager import OKAY, Manager
from openppu_verif.hbm.axi_memory import PortMemory
from openppu_verif.hbm.axi_worker import Worker

PATIENCE = 200_000
"""Cycles after which a test has failed."""


class Bench:
    """Clock, memory, and what else happens once a cycle."""

    def __init__(self, dut: Any, *, rate: float = 1.0, bad: set[int] | None = None) -> None:
        self.dut = dut
        self.config = ChannelConfig(**parameters()["config"])
        self.chance = random.Random(cocotb.RANDOM_SEED)
        self.memory = PortMemory(dut, self.config, self.chance, rate, bad or set())
        self.rate = rate
        self.cycle = 0

    def pauses(self) -> Iterator[bool]:
        """A channel that goes on as often as the memory's streams do."""
        while True:
            yield self.chance.random() >= self.rate

    async def begin(self) -> None:
        """Reset."""
        half = Timer(1, "ns")
        await half
        self.memory.begin()
        self.dut.rst.set(Immediate(1))
        for level in (0, 1, 0, 1):
            self.dut.clk.set(Immediate(level))
            await half
        self.dut.rst.set(Immediate(0))

    async def run(self, tasks: list[Any], manager: Manager | None = None) -> None:
        """Go on until all tasks have ended; what they raise, raise."""
        half = Timer(1, "ns")
        started = [cocotb.start_soon(task) for task in tasks]
        while not all(task.done() for task in started):
            self.dut.clk.set(Immediate(0))
            self.memory.drive(self.cycle)
            await half
            self.memory.sample(self.cycle)
            self.dut.clk.set(Immediate(1))
            await half
            if manager is not None:
                manager.collect()
            self.cycle += 1
            assert self.cycle < PATIENCE, f"not done after {PATIENCE} cycles"
        for task in started:
            task.result()


@cocotb.test()
async def random_bursts_of_every_kind(dut: Any) -> None:
    """Six IDs at once, each with a page of its own; two IDs share a tag; one page lies beyond the capacity."""
    given = parameters()
    bench = Bench(dut, rate=given["rate"])
    pages = [PAGE * (7 * number + 1) for number in range(5)] + [bench.memory.capacity * BUS_BYTES]
    bench.memory.bad.update(page // BUS_BYTES + 3 for page in pages)
    await bench.begin()
    manager = Manager(dut, bench.pauses if bench.rate < 1 else None)
    workers = [Worker(manager, number, page) for number, page in enumerate(pages)]
    for worker in workers:
        worker.bad = bench.memory.bad
        worker.beyond = worker.page >= bench.memory.capacity * BUS_BYTES
    await bench.run([worker.run(given["turns"]) for worker in workers], manager)
    kinds = set().union(*(worker.kinds for worker in workers))
    assert len(kinds) == 18, f"only {sorted(kinds)} occurred"


@cocotb.test()
async def another_manager_reads_what_it_wrote(dut: Any) -> None:
    """cocotbext-axi's own manager, which cuts unaligned and narrow transfers itself."""
    bench = Bench(dut, rate=parameters()["rate"])
    await bench.begin()
    manager = AxiMaster(AxiBus.from_prefix(dut, "axi_"), dut.clk, dut.rst)
    for part in (manager.write_if, manager.read_if):
        part.log.setLevel("WARNING")
        for name in ("aw_channel", "w_channel", "b_channel", "ar_channel", "r_channel"):
            if hasattr(part, name):
                getattr(part, name).log.setLevel("WARNING")

    async def worker(number: int) -> None:
        chance = random.Random(number + cocotb.RANDOM_SEED)
        base = 3 * PAGE * number
        held = bytearray(3 * PAGE)
        for turn in range(parameters()["turns"] // 2):
            start, size = chance.randrange(2 * PAGE), chance.randrange(6)
            length = chance.choice([1, 31, 33, chance.randrange(1, 600)])
            content = chance.randbytes(length)
            lock = AxiLockType.EXCLUSIVE if chance.random() < 0.2 else AxiLockType.NORMAL
            answer = await manager.write(base + start, content, awid=number, size=size, lock=lock)
            assert answer.resp == OKAY, f"exclusive {lock}: {answer.resp}"
            held[start : start + length] = content
            start, size = max(0, start - chance.randrange(70)), chance.randrange(6)
            got = await manager.read(base + start, length, arid=number, size=size, lock=lock)
            assert (got.resp, got.data) == (OKAY, bytes(held[start : start + length])), f"ID {number}, turn {turn}"

    await bench.run([worker(number) for number in range(4)])


@cocotb.test()
async def a_beat_a_clock_goes_through(dut: Any) -> None:
    """The longest bursts, and the shortest: each way, 1,024 beats in hardly more cycles."""
    bench = Bench(dut)
    await bench.begin()
    manager = Manager(dut)
    zeros = (0, (1 << BUS_BYTES) - 1)
    for length in (128, 1):
        bursts = [Burst(number * length * BUS_BYTES, length, BUS_BYTES, INCR) for number in range(1024 // length)]
        start = bench.cycle
        await bench.run(
            [manager.write(burst, [zeros] * length, number=place % 4) for place, burst in enumerate(bursts)], manager
        )
        writing, start = bench.cycle - start, bench.cycle
        await bench.run([manager.read(burst, number=place % 4) for place, burst in enumerate(bursts)], manager)
        reading = bench.cycle - start
        assert max(writing, reading) <= 1024 + 24, f"bursts of {length}: {writing} cycles to write, {reading} to read"


@cocotb.test()
async def reads_pass_a_write_whose_data_does_not_come(dut: Any) -> None:
    """A manager may wait for a read before it gives a write's data."""
    bench = Bench(dut)
    await bench.begin()
    manager = Manager(dut)
    burst = Burst(0, 16, BUS_BYTES, INCR)
    beat = (5, (1 << BUS_BYTES) - 1)

    async def late() -> None:
        manager.w.pause = True
        writing = cocotb.start_soon(manager.write(burst, [beat] * 16, number=0))
        for turn in range(20):
            await manager.read(Burst(PAGE * turn, 4, BUS_BYTES, INCR), number=1)
        assert not writing.done()
        manager.w.pause = False
        assert await writing == OKAY

    await bench.run([late()], manager)
    assert all(bench.memory.words_held[address] == 5 for address in range(16))


@cocotb.test()
async def answers_that_nobody_takes_for_long_are_all_there(dut: Any) -> None:
    """As many short writes, then reads, as may be, while the manager takes no answer."""
    bench = Bench(dut)
    await bench.begin()
    manager = Manager(dut)
    count = 80
    bursts = [Burst(BUS_BYTES * number, 1, BUS_BYTES, INCR) for number in range(count)]
    beats = [(number + 1, (1 << BUS_BYTES) - 1) for number in range(count)]
    got = {}

    async def hold(channel: Any) -> None:
        channel.pause = True
        await Timer(2 * 4 * count, "ns")
        channel.pause = False

    async def read(number: int) -> None:
        got[number] = await manager.read(bursts[number], number=number * 7 % 16)

    writes = [manager.write(burst, [beat], number=beat[0] % 5) for burst, beat in zip(bursts, beats, strict=True)]
    await bench.run([hold(manager.b), *writes], manager)
    await bench.run([hold(manager.r), *(read(number) for number in range(count))], manager)
    assert got == {number: [(number + 1, OKAY)] for number in range(count)}


@cocotb.test()
async def data_that_the_memory_takes_late_are_all_there(dut: Any) -> None:
    """A memory that is much slower than the manager."""
    bench = Bench(dut)
    await bench.begin()
    manager = Manager(dut)
    bench.memory.rate = 0.2
    beats = [(number + 1, (1 << BUS_BYTES) - 1) for number in range(128)]
    await bench.run([manager.write(Burst(0, 128, BUS_BYTES, INCR), beats, number=0)], manager)
    assert [bench.memory.words_held[address] for address in range(128)] == list(range(1, 129))
