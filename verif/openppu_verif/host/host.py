"""What drives a chip from a host's buses in cocotb: both with pauses, from cocotbext-axi."""

import random
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import cocotb
from cocotb.handle import Immediate
from cocotb.triggers import Timer
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp
from openppu.host.blocks import Block

from openppu_verif.hbm.axi_burst import BUS_BYTES, INCR, PAGE, Burst
from openppu_verif.hbm.axi_manager import OKAY, Manager

ALL = (1 << BUS_BYTES) - 1
ID = 9
"""Of the host's own bursts."""


class Beside(Protocol):
    """What else is at the design: told to begin, to drive and to sample in each cycle."""

    def begin(self) -> None: ...
    def drive(self, cycle: int) -> None: ...
    def sample(self, cycle: int) -> None: ...


class Host:
    """Clock, registers and window.

    Parameters
    ----------
    dut : cocotb handle
        With ports ``registers`` and ``window``.
    blocks : iterable of Block
        What registers there are.
    beside : Beside
    rate : float
        How likely each channel of the buses goes on in a cycle.
    patience : int
        Cycles after which `run` has failed.
    """

    def __init__(self, dut: Any, blocks: Iterable[Block], beside: Beside, *, rate: float, patience: int) -> None:
        self.dut, self.beside, self.rate, self.patience = dut, beside, rate, patience
        self.chance = random.Random(cocotb.RANDOM_SEED)
        self.at = {block.base + each.offset: each for block in blocks for each in block.registers}
        self.named = {
            f"{block.name}.{each.name}": block.base + each.offset for block in blocks for each in block.registers
        }

    async def begin(self) -> None:
        """Reset; then the buses."""
        half = Timer(1, "ns")
        await half
        self.beside.begin()
        self.dut.rst.set(Immediate(1))
        for level in (0, 1, 0, 1, 0, 1):
            self.dut.clk.set(Immediate(level))
            await half
        self.dut.rst.set(Immediate(0))
        self.window = Manager(self.dut, self.pauses, prefix="window_")
        self.registers = AxiLiteMaster(AxiLiteBus.from_prefix(self.dut, "registers_"), self.dut.clk, self.dut.rst)
        for part in (self.registers.write_if, self.registers.read_if):
            part.log.setLevel("WARNING")
            for name in ("aw_channel", "w_channel", "b_channel", "ar_channel", "r_channel"):
                if hasattr(part, name):
                    getattr(part, name).set_pause_generator(self.pauses())

    def pauses(self) -> Iterator[bool]:
        """When a channel pauses."""
        while True:
            yield self.chance.random() >= self.rate

    async def run(self, *tasks: Any) -> None:
        """Go on until all tasks have ended; what they raise, raise."""
        half = Timer(1, "ns")
        started = [cocotb.start_soon(task) for task in tasks]
        for cycle in range(self.patience):
            self.dut.clk.set(Immediate(0))
            self.beside.drive(cycle)
            await half
            self.beside.sample(cycle)
            self.dut.clk.set(Immediate(1))
            await half
            self.window.collect()
            if all(task.done() for task in started):
                break
        else:
            raise AssertionError(f"not done after {self.patience} cycles")
        for task in started:
            task.result()

    async def set(self, name: str, value: int) -> None:
        """Write a register, of two words the low one first."""
        names = [name] if name in self.named else [f"{name}{word}" for word in range(2)]
        for word, each in enumerate(names):
            part = (value >> 32 * word & 0xFFFF_FFFF).to_bytes(4, "little")
            answer = await self.registers.write(self.named[each], part)
            assert answer.resp == AxiResp.OKAY, each

    async def get(self, name: str) -> int:
        """Read a register."""
        answer = await self.registers.read(self.named[name], 4)
        assert answer.resp == AxiResp.OKAY, name
        return int.from_bytes(answer.data, "little")

    async def put(self, address: int, content: bytes) -> None:
        """Write whole beats through the window, in bursts that stay within 4 KiB."""
        for place in range(0, len(content), PAGE):
            piece = content[place : place + PAGE]
            beats = [(int.from_bytes(piece[n : n + BUS_BYTES], "little"), ALL) for n in range(0, len(piece), BUS_BYTES)]
            assert (
                await self.window.write(Burst(address + place, len(beats), BUS_BYTES, INCR), beats, number=ID) == OKAY
            )

    async def take(self, address: int, count: int) -> bytes:
        """Read whole beats, at most 4 KiB, through the window."""
        beats = await self.window.read(Burst(address, -(-count // BUS_BYTES), BUS_BYTES, INCR), number=ID)
        assert all(response == OKAY for _, response in beats)
        return b"".join(word.to_bytes(BUS_BYTES, "little") for word, _ in beats)[:count]
