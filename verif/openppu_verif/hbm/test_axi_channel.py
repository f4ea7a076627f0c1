"""AXI4 managers before a channel, or the whole controller of one, the device model and the checker behind it."""

from pathlib import Path
from typing import Any

import cocotb
from cocotb.handle import Immediate
from cocotb.triggers import Timer
from openppu.hbm.config import ChannelConfig
from openppu.hbm.settings import Settings
from openppu_sim.simulator.cocotb_runner import parameters

from openppu_verif.hbm.axi_burst import PAGE
from openppu_verif.hbm.axi_manager import Manager
from openppu_verif.hbm.axi_worker import Worker
from openppu_verif.hbm.channel_memory import ChannelMemory
from openppu_verif.hbm.memory_file import settings_value

PATIENCE = 60_000


@cocotb.test()
async def random_bursts_reach_the_memory_and_come_back(dut: Any) -> None:
    """Two managers of three IDs each; every command at the PHY keeps the device's rules."""
    given = parameters()
    config = ChannelConfig(**given["config"])
    settings = Settings(write_high=config.writes - 2, write_low=1)
    memory = ChannelMemory(dut, config, settings, Path(given["build_root"]))
    half = Timer(1, "ns")
    await half
    if hasattr(dut, "settings"):
        dut.settings.set(Immediate(settings_value(settings, config)))
    else:  # no software
        for name in ("awaddr", "awvalid", "wdata", "wstrb", "wvalid", "bready", "araddr", "arvalid", "rready"):
            getattr(dut, f"control__{name}").set(Immediate(0))
    managers = [Manager(dut, prefix=f"axi__{port}_") for port in range(config.ports)]
    dut.rst.set(Immediate(1))
    for level in (0, 1, 0, 1):
        dut.clk.set(Immediate(level))
        await half
    dut.rst.set(Immediate(0))

    workers = [
        Worker(managers[number % 2], number, PAGE * place) for number, place in enumerate((0, 1, 5, 64, 4096, 9999))
    ]

    async def work(worker: Worker) -> None:
        await worker.fill()
        await worker.run(given["turns"])

    tasks = [cocotb.start_soon(work(worker)) for worker in workers]
    for _ in range(PATIENCE):
        dut.clk.set(Immediate(0))
        memory.drive()
        await half
        memory.sample()
        dut.clk.set(Immediate(1))
        await half
        for manager in managers:
            manager.collect()
        if all(task.done() for task in tasks):
            break
    for task in tasks:
        assert task.done(), f"not done after {PATIENCE} clocks, seed {cocotb.RANDOM_SEED}"
        task.result()
