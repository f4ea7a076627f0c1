"""The registers before a real channel: a timing value written changes what it does, and its counters are read."""

from typing import Any

from amaranth import Module, ResetInserter
from amaranth.sim import Simulator
from openppu.hbm.channel import Channel
from openppu.hbm.config import ChannelConfig
from openppu.hbm.phy import PSEUDO_CHANNELS
from openppu.hbm.register_block import Registers
from openppu.hbm.registers import registers
from openppu.hbm.startup import MODE_REGISTERS

CONFIG = ChannelConfig(height=4, ports=1, reads=8, writes=8, slots=8)
ADDRESS = {register.name: register.offset for register in registers(CONFIG)}
ACCESS = 3
"""Clocks of an access of the test's."""


def test_a_channel_runs_by_its_registers() -> None:
    m = Module()
    m.submodules.registers = block = Registers(CONFIG)
    channel = Channel(CONFIG, reset_clocks=2)
    m.submodules.channel = ResetInserter(~block.run)(channel)
    m.d.comb += [channel.settings.eq(block.settings), block.running.eq(channel.running)]
    for pc in range(PSEUDO_CHANNELS):
        m.d.comb += [
            block.counters[pc].eq(channel.counters[pc]),
            block.lost[pc].eq(channel.lost[pc]),
            block.stray[pc].eq(channel.stray[pc]),
        ]

    async def bench(ctx: Any) -> None:
        async def access(name: str, value: int | None = None) -> int:
            request = {"address": ADDRESS[name], "write": value is not None, "data": value or 0, "strobes": 0b1111}
            ctx.set(block.requests.payload, request)
            ctx.set(block.requests.valid, 1)
            await ctx.tick()
            ctx.set(block.requests.valid, 0)
            await ctx.tick()
            answer = ctx.get(block.responses.payload)
            assert ctx.get(block.responses.valid)
            assert not answer.error, name
            await ctx.tick()
            return int(answer.data)

        ctx.set(block.responses.ready, 1)
        ctx.set(channel.phy.init_complete, 1)
        started = []
        for mode_clocks in (4, 10):
            await access("timing.tMRD", 2 * mode_clocks)
            await access("run", 1)
            started.append(0)
            while not await access("running"):
                started[-1] += ACCESS
                assert started[-1] < 1000
            await ctx.tick().repeat(50)
            await access("freeze", 1)
            first = await access("pc0.clocks")
            assert first == await access("pc1.clocks") == await access("pc1.no_request")
            assert 0 <= first - started[-1] - 50 <= 3 * ACCESS
            await access("freeze", 1)
            assert await access("pc0.clocks") == 4 * ACCESS, "from one freeze to the next"
            await access("run", 0)
            assert await access("running") == await access("pc0.clocks") == 0
        assert abs(started[1] - started[0] - 6 * MODE_REGISTERS) <= ACCESS

    simulator = Simulator(m)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()
