"""The registers of the link: described for every chip; through AXI4-Lite they do and show what the ports do."""

from pathlib import Path
from typing import Any

import pytest
from amaranth import ClockDomain, Module
from amaranth.sim import Simulator
from openppu.config import load
from openppu.link.controller import LinkController
from openppu.link.layouts import Status
from openppu.link.registers import IDENTITY, header, page, registers
from openppu.link.settings import TrainingSettings
from openppu.link.training import State

TINY = load("tiny").link
BY_NAME = {register.name: register for register in registers(TINY)}


def test_every_register_has_a_place_a_name_and_a_meaning():
    for name in ("tiny", "demo", "ppu810e"):
        found = registers(load(name).link)
        assert len({register.offset for register in found}) == len({register.name for register in found}) == len(found)
        assert all(register.meaning and register.offset % 4 == 0 and register.offset < 1 << 16 for register in found)
        ports = {
            register.name.split(".")[0]
            for register in found
            if register.name.startswith("port") and "." in register.name
        }
        assert ports == {f"port{number}" for number in range(load(name).link.ports)}


def test_the_page_is_as_generated(project_root: Path):
    text = (project_root / "docs" / "link-registers.md").read_text()
    assert text == page(load("ppu810e").link), "run `make docs`"
    assert "5 active, 6 degraded" in text


def test_the_header_names_states():
    assert "#define OPENPPU_LINK_PORT0_PHYSICAL_STATE_DEGRADED 6u" in header(TINY)


class Axi:
    """One access at a time, in Amaranth's simulator."""

    def __init__(self, ctx: Any, axi: Any):
        self.ctx, self.axi = ctx, axi

    async def write(self, name: str, value: int) -> int:
        ctx, axi = self.ctx, self.axi
        for port, word in ((axi.awaddr, BY_NAME[name].offset), (axi.wdata, value), (axi.wstrb, 15)):
            ctx.set(port, word)
        for port in (axi.awvalid, axi.wvalid, axi.bready):
            ctx.set(port, 1)
        taken = False
        for _ in range(20):
            if not taken and ctx.get(axi.awready):
                taken = True
                await ctx.tick()
                ctx.set(axi.awvalid, 0)
                ctx.set(axi.wvalid, 0)
                continue
            if ctx.get(axi.bvalid):
                response = ctx.get(axi.bresp)
                await ctx.tick()
                ctx.set(axi.bready, 0)
                return int(response.value)
            await ctx.tick()
        raise AssertionError("no answer")

    async def read(self, name: str) -> int:
        ctx, axi = self.ctx, self.axi
        ctx.set(axi.araddr, BY_NAME[name].offset)
        ctx.set(axi.arvalid, 1)
        ctx.set(axi.rready, 1)
        for _ in range(20):
            taken, valid = ctx.get(axi.arvalid & axi.arready), ctx.get(axi.rvalid)
            data = int(ctx.get(axi.rdata))
            await ctx.tick()
            if taken:
                ctx.set(axi.arvalid, 0)
            if valid:
                ctx.set(axi.rready, 0)
                return data
        raise AssertionError("no answer")


def simulate(work: Any) -> None:
    design = LinkController(TINY)
    m = Module()
    m.domains.sync = ClockDomain()
    m.submodules.design = design

    async def bench(ctx: Any) -> None:
        ctx.set(design.answers.ready, 1)
        await work(ctx, design, Axi(ctx, design.axi))

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_a_port_that_hears_itself_trains_and_says_so_and_routes_are_refused_until_written():
    async def work(ctx: Any, design: Any, axi: Axi) -> None:
        assert await axi.read("identity") == IDENTITY
        assert await axi.read("ports") == TINY.ports
        for name, value in TrainingSettings().values().items():
            assert await axi.read(f"settings.{name}") == value
        assert await axi.write("chip", 5) == 0
        assert await axi.read("chip") == 5
        assert await axi.write("chip", 64) != 0
        assert await axi.write("port0.near_loopback", 1) == 0
        states = set()
        for _ in range(200):
            states.add(State(await axi.read("port0.physical_state")))
            if State.ACTIVE in states:
                break
        assert State.ACTIVE in states
        assert State.ALIGN in states
        assert await axi.read("port0.physical_send_lanes") == 3
        before = await axi.read("port0.link_counts_sent")
        assert before < await axi.read("port0.link_counts_sent") + 1
        assert await axi.write("port0.retrain", 1) == 0
        for _ in range(100):
            if await axi.read("port0.physical_retrains") > 1:
                break
        assert await axi.read("port0.physical_cause") in (1, 2)
        # A packet to a chip without a route is thrown away, and its sender told.
        assert await axi.write("timeout", 500) == 0
        word = {"first": 1, "last": 1, "header": {"operation": 2, "destination": 7, "tag": 9, "length": 3}}
        ctx.set(design.requests.payload, word)
        ctx.set(design.requests.valid, 1)
        while not ctx.get(design.requests.ready):
            await ctx.tick()
        await ctx.tick()
        ctx.set(design.requests.valid, 0)
        for _ in range(2000):
            if ctx.get(design.answers.valid):
                break
            await ctx.tick()
        answer = ctx.get(design.answers.payload).header
        assert (answer.tag, answer.status) == (9, Status.UNREACHABLE)
        assert await axi.read("router.dropped") == 1
        assert await axi.read("initiator.timeouts") == 1

    simulate(work)


@pytest.mark.parametrize("missing", ["port1.disable"])
def test_ports_that_are_not_there_have_no_registers(missing: str):
    assert missing not in BY_NAME
