"""The controller starts by itself or by its registers; what is written changes what the channel does."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from amaranth.sim import Simulator
from openppu.config import load
from openppu.hbm.config import ChannelConfig
from openppu.hbm.controller import Controller
from openppu.hbm.mode_registers import MODE_REGISTERS
from openppu.hbm.registers import registers
from openppu.hbm.status import PowerUp
from openppu.section import ConfigError
from openppu.verilog import emit
from openppu_sim.simulator.cocotb_runner import simulate as run_cocotb
from openppu_verif.native.model import control, module_ports

CONFIG = ChannelConfig(height=4, ports=1, reads=8, writes=8, slots=8)
ADDRESS = {register.name: register.offset for register in registers(CONFIG)}
ACCESS = 4
"""Clocks of an access of the test's: three to the answer."""


async def access(ctx: Any, dut: Controller, name: str, value: int | None = None) -> int:
    """Read a register, or write it, through AXI4-Lite; the data."""
    axi, write = dut.control, value is not None
    kind, answer = ("aw", "b") if write else ("ar", "r")
    for member in ("bready", "rready"):
        ctx.set(getattr(axi, member), 1)
    ctx.set(getattr(axi, f"{kind}addr"), ADDRESS[name])
    ctx.set(getattr(axi, f"{kind}valid"), 1)
    ctx.set(axi.wdata, value or 0)
    ctx.set(axi.wstrb, 0b1111)
    ctx.set(axi.wvalid, write)
    assert ctx.get(getattr(axi, f"{kind}ready"))
    await ctx.tick()
    ctx.set(getattr(axi, f"{kind}valid"), 0)
    ctx.set(axi.wvalid, 0)
    for _ in range(2):
        assert not ctx.get(getattr(axi, f"{answer}valid"))
        await ctx.tick()
    assert ctx.get(getattr(axi, f"{answer}valid")), name
    assert ctx.get(getattr(axi, f"{answer}resp")).value == 0, name
    data = ctx.get(axi.rdata)
    await ctx.tick()
    return 0 if write else data


def simulate(dut: Controller, bench: Any) -> None:
    simulator = Simulator(dut)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()


def test_a_channel_runs_by_its_registers() -> None:
    dut = Controller(CONFIG, start=PowerUp(run=False, fill=0), reset_clocks=2)

    async def bench(ctx: Any) -> None:
        ctx.set(dut.phy.init_complete, 1)
        await ctx.tick().repeat(300)
        assert not ctx.get(dut.phy.reset_n)
        started = []
        for mode_clocks in (4, 10):
            await access(ctx, dut, "timing.tMRD", 2 * mode_clocks)
            await access(ctx, dut, "run", 1)
            clock = 0
            while not ctx.get(dut.ready):
                clock += 1
                assert clock < 1000
                await ctx.tick()
            started.append(clock)
            assert await access(ctx, dut, "running")
            await ctx.tick().repeat(50)
            await access(ctx, dut, "freeze", 1)
            first = await access(ctx, dut, "pc0.clocks")
            assert first == await access(ctx, dut, "pc1.clocks") == await access(ctx, dut, "pc1.no_request")
            assert 0 <= first - started[-1] - 50 <= 3 * ACCESS
            await access(ctx, dut, "run", 0)
            assert not ctx.get(dut.ready)
            assert not ctx.get(dut.phy.reset_n)
            assert await access(ctx, dut, "running") == await access(ctx, dut, "pc0.clocks") == 0
        assert started[1] - started[0] == 6 * MODE_REGISTERS

    simulate(dut, bench)


def test_software_and_users_share_a_memory(sim: str, tmp_path: Path, build_root: Path) -> None:
    fill = 96
    path = tmp_path / "hbm.v"
    emit(Controller(CONFIG, start=PowerUp(fill=fill), reset_clocks=2), top="hbm", config=load("tiny")).write(path)
    run_cocotb(
        path,
        top="hbm",
        test_module="openppu_verif.hbm.test_controller",
        sim=sim,
        build_root=build_root,
        parameters={"config": asdict(CONFIG), "fill": fill, "build_root": str(build_root)},
        control=control(module_ports(path.read_text()), "hbm"),
    )


def test_eight_ports_are_too_many() -> None:
    with pytest.raises(ConfigError, match=r"^hbm\.ports = 8: give at most 7; the controller has one more$"):
        Controller(ChannelConfig(ports=8))
