"""The registers behind AXI4-Lite in cocotb, driven by a manager of cocotbext-axi."""

import random
from collections.abc import Iterator
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp
from openppu.common.register_map import Register
from openppu.hbm.config import ChannelConfig
from openppu.hbm.registers import ADDRESS_BITS, registers
from openppu.hbm.status import PowerUp
from openppu_sim.simulator.cocotb_runner import parameters

PATIENCE = 500


class Model:
    """What the registers hold, and how they answer."""

    def __init__(self, config: ChannelConfig) -> None:
        self.at = {register.offset: register for register in registers(config, PowerUp(run=False))}
        self.values = {offset: register.reset for offset, register in self.at.items()}

    def write(self, address: int, data: bytes) -> AxiResp:
        """Write the bytes from ``address`` on, all within a register."""
        register = self.at.get(address)
        if register is None or not register.writable or self._held(register):
            return AxiResp.SLVERR
        whole = int.from_bytes(data + self.values[register.offset].to_bytes(4, "little")[len(data) :], "little")
        if whole not in register.allowed or (register.name == "start" and whole):
            return AxiResp.SLVERR
        if register.readable:
            self.values[register.offset] = whole
        return AxiResp.OKAY

    def read(self, address: int) -> tuple[AxiResp, bytes]:
        """Read a register."""
        register = self.at.get(address)
        if register is None or not register.readable:
            return AxiResp.SLVERR, bytes(4)
        return AxiResp.OKAY, self.values[address].to_bytes(4, "little")

    def _held(self, register: Register) -> bool:
        run = next(offset for offset, each in self.at.items() if each.name == "run")
        return register.held and bool(self.values[run])


def _pauses(chance: random.Random, rate: float) -> Iterator[bool]:
    while True:
        yield chance.random() >= rate


@cocotb.test()
async def accesses_are_answered_as_the_page_says(dut: Any) -> None:
    """Reads, and writes of one to four bytes, at random addresses, with pauses in all channels."""
    given = parameters()
    chance = random.Random(cocotb.RANDOM_SEED)
    model = Model(ChannelConfig(**given["config"]))
    master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "axi_"), dut.clk, dut.rst)
    master.write_if.log.setLevel("WARNING")
    master.read_if.log.setLevel("WARNING")
    for part in (master.write_if, master.read_if):
        for name in ("aw_channel", "w_channel", "b_channel", "ar_channel", "r_channel"):
            if hasattr(part, name):
                getattr(part, name).set_pause_generator(_pauses(chance, given["rate"]))
    dut.rst.value = 1
    Clock(dut.clk, 2, "ns").start()
    await ClockCycles(dut.clk, 3)
    dut.rst.value = 0
    await ClockCycles(dut.clk, 3)

    offsets = list(model.at)
    for turn in range(given["turns"]):
        address = chance.choice((*offsets, *offsets, chance.randrange(1 << ADDRESS_BITS) & ~3))
        where = f"seed {cocotb.RANDOM_SEED}, turn {turn}, address {address:#x}"
        if chance.random() < 0.5:
            register = model.at.get(address)
            allowed = register.allowed if register is not None and register.allowed else range(256)
            value = chance.choice((allowed[0], allowed[-1], chance.choice(allowed), chance.getrandbits(32)))
            data = value.to_bytes(4, "little")[: chance.choice((1, 2, 4, 4))]
            answer = await master.write(address, data)
            assert answer.resp == model.write(address, data), where
        else:
            response = await master.read(address, 4)
            assert (response.resp, response.data) == model.read(address), where


@cocotb.test()
async def an_access_goes_each_clock_and_all_are_answered(dut: Any) -> None:
    """Many at a time: reads in their order, writes in theirs, at a clock each."""
    master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "axi_"), dut.clk, dut.rst)
    model = Model(ChannelConfig(**parameters()["config"]))
    dut.rst.value = 1
    Clock(dut.clk, 2, "ns").start()
    await ClockCycles(dut.clk, 3)
    dut.rst.value = 0
    await ClockCycles(dut.clk, 3)
    readable = [register for register in model.at.values() if register.readable][:40]
    begin = cocotb.utils.get_sim_time("ns")
    tasks = [cocotb.start_soon(master.read(register.offset, 4)) for register in readable]
    for task, register in zip(tasks, readable, strict=True):
        response = await task
        assert int.from_bytes(response.data, "little") == register.reset, register.name
    clocks = (cocotb.utils.get_sim_time("ns") - begin) / 2
    assert clocks <= len(readable) + 12, f"{clocks} clocks for {len(readable)} reads"
