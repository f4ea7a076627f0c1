"""A whole chip in cocotb: a host writes a program through the window, rings the bell, and reads the result."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.handle import Immediate
from cocotb.triggers import Timer
from openppu.chip.chip import queues_of
from openppu.command.instructions import instructions
from openppu.config import load
from openppu.hbm.settings import first_settings
from openppu.host.blocks import blocks
from openppu_sim.kernels.matmul import MatmulJob, Operand, matmul_programs
from openppu_sim.simulator.cocotb_runner import parameters

from openppu_verif.hbm.channel_memory import ChannelMemory
from openppu_verif.host.host import Host

CHIP = load("tiny")
QUEUES = [name for name, _ in queues_of(CHIP)]
M, N, K = 9, 13, 24
A, B, PRODUCT, RINGS = 0x1000, 0x2000, 0x3000, 0x10_0000
RING_BYTES, LOG2 = 0x4000, 8


class Devices:
    """The memory devices of the chip's channels; nothing is at its lanes."""

    def __init__(self, dut: Any) -> None:
        settings = first_settings(CHIP.hbm)
        root = Path(parameters()["build_root"])
        self.memories = [
            ChannelMemory(dut, CHIP.hbm.channel, settings, root, phy=f"phy__{number}")
            for number in range(CHIP.hbm.stacks * CHIP.hbm.channels)
        ]
        self.lanes = [
            getattr(dut, f"serdes__{port}__{name}")
            for port in range(CHIP.link.ports)
            for name in ("receive", "receive_valid", "signal")
        ]

    def begin(self) -> None:
        """Before the reset."""
        for lane in self.lanes:
            lane.set(Immediate(0))

    def drive(self, cycle: int) -> None:
        """The first half of a cycle."""
        for memory in self.memories:
            memory.drive()

    def sample(self, cycle: int) -> None:
        """The second half."""
        for memory in self.memories:
            memory.sample()


@cocotb.test()
async def a_product_is_asked_for_and_read_over_the_hosts_buses(dut: Any) -> None:
    """Tiles of a product from memory to memory; the store queue interrupts when the last is there."""
    host = Host(dut, blocks(CHIP, QUEUES), Devices(dut), rate=parameters()["rate"], patience=100_000)
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    a, b = (rng.integers(-128, 128, shape).astype(np.int8) for shape in ((M, K), (K, N)))
    job = MatmulJob(
        m=M,
        n=N,
        k=K,
        format="int8",
        a=Operand(address=A, stride=K),
        b=Operand(address=B, stride=N),
        d=Operand(address=PRODUCT, stride=4 * N),
    )
    programs = {queue: list(program) for queue, program in matmul_programs(CHIP, job).items()}
    programs["store"][-1] = replace(programs["store"][-1], interrupt=True)

    def padded(content: bytes) -> bytes:
        return content + bytes(-len(content) % 32)

    async def driver() -> None:
        assert await host.get("chip.identity") == 0x50505531
        await host.put(A, padded(a.tobytes()))
        await host.put(B, padded(b.tobytes()))
        await host.set("command.interrupt_enable", 1 << QUEUES.index("store"))
        for queue, program in programs.items():
            ring = RINGS + RING_BYTES * QUEUES.index(queue)
            await host.put(ring, b"".join(command.encode(instructions()) for command in program))
            await host.set(f"command.{queue}.base", ring)
            await host.set(f"command.{queue}.log2", LOG2)
            await host.set(f"command.{queue}.enable", 1)
            await host.set(f"command.{queue}.tail", len(program))
        while not dut.interrupts.value:
            await Timer(10, "ns")
        assert await host.get("command.interrupts") == 1 << QUEUES.index("store")
        found = np.frombuffer(await host.take(PRODUCT, 4 * M * N), np.int32).reshape(M, N)
        assert (found == a.astype(np.int32) @ b.astype(np.int32)).all()
        for queue in programs:
            assert await host.get(f"command.{queue}.stopped") == 0

    await host.begin()
    await host.run(driver())
