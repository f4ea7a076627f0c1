"""Every cycle of every engine is accounted for: counters and spans of the RTL, of the cycle model, and in registers."""

import random

import pytest
from amaranth import ClockDomain, Module
from amaranth.sim import Simulator
from openppu.chip.engine_counters import EngineCounters
from openppu.chip.engine_registers import CAUSES, counts_layout, registers
from openppu.common.axi import Response
from openppu.common.register_block import offset_of
from openppu.config import load
from openppu_sim.device.device import Device
from openppu_sim.errors import UserError
from openppu_verif.chip.model_check import programs

TINY = load("tiny")
PROGRAMS = {
    each.name: each
    for each in programs()
    if each.preset == "tiny" and not each.linked and each.config.compute_units <= 2
}
QUICK = (
    "21 x 37 x 11 int8",
    "18 x 40 x 13 bf16",
    "layer_norm",
    "load of 48 rows of 40 bytes",
    "2 units: 64 x 64 x 64 int8",
)
MOMENTS = (137, 53, 101, 307, 211)
"""Clocks from one look at the counters to the next, while a program runs."""


def looked_at(program, backend, build_root):
    """Of a program's run the counters at some moments, and what each engine's cycles went to."""
    found = []
    with Device(program.config, backend, build_root=build_root) as device:
        hardware, wait = device.backend.hardware, device.wait
        hardware.watch_causes(0, on=True)

        def look(limit):
            for clocks in MOMENTS:
                hardware.run(clocks)
                found.append(device.counters())
            wait(limit)

        device.wait = look
        program.runs(device)
        found.append(device.counters())
        clocks = device.registers["engines.clocks"]
        return found, clocks, {engine: hardware.causes(0, 0, engine) for engine in CAUSES}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in PROGRAMS]
)
def test_each_cycle_of_each_engine_has_the_cause_that_the_model_says(build_root, name):
    program = PROGRAMS[name]
    rtl, clocks, spans = looked_at(program, "rtl", build_root)
    model, *rest = looked_at(program, "model", build_root)
    assert model == rtl
    assert rest == [clocks, spans]
    for engine, causes in CAUSES.items():
        assert sum(rtl[-1][engine][cause.name.lower()] for cause in causes) == clocks
        assert all(end == begin for (_, _, end), (_, begin, _) in zip(spans[engine], spans[engine][1:], strict=False))


def test_programs_that_are_run_quickly_are_there():
    assert set(QUICK) <= set(PROGRAMS)


def test_no_unit_no_counters():
    with Device(TINY, "model") as device, pytest.raises(UserError, match="unit 1: give 0 to 0"):
        device.counters(1)
    with Device(TINY, "reference") as device, pytest.raises(UserError, match="rtl or model"):
        device.counters()


def test_units_are_counted_apart():
    with Device(load("tiny", ["chip.compute_units=2"]), "model") as device:
        device.submit("vector1", [])
        both = [device.counters(unit) for unit in (0, 1)]
    assert [each["vector"]["idle"] for each in both] == [sum(each["vector"].values()) for each in both]


async def access(ctx, axi, register, value=None):
    """Write a register, or read it; what was read, or whether it was written."""
    write = value is not None
    for port, word in ((axi.awaddr, register.offset), (axi.araddr, register.offset), (axi.wdata, value or 0)):
        ctx.set(port, word)
    for port, on in ((axi.wstrb, 15), (axi.awvalid, write), (axi.wvalid, write), (axi.arvalid, not write)):
        ctx.set(port, on)
    ctx.set(axi.bready, 1)
    ctx.set(axi.rready, 1)
    while not ctx.get(axi.bvalid if write else axi.rvalid):
        taken = ctx.get(axi.awready if write else axi.arready)
        await ctx.tick()
        if taken:
            for port in (axi.awvalid, axi.wvalid, axi.arvalid):
                ctx.set(port, 0)
    answer = ctx.get(axi.bresp) == Response.OKAY if write else ctx.get(axi.rdata)
    await ctx.tick()
    return answer


@pytest.mark.parametrize("seed", range(3))
def test_counters_are_taken_of_the_unit_that_is_chosen_and_stay_until_they_are_taken_again(seed):
    units, chance, layout = 3, random.Random(seed), counts_layout()
    dut = EngineCounters(units=units)
    by_name = {each.name: each for each in registers(units)}
    counted = [name for name in by_name if "." in name]

    async def bench(ctx):
        held, unit, clocks = 0, 0, 0
        for _ in range(50):
            values = [chance.getrandbits(layout.size) for _ in range(units)]
            for port, value in zip(dut.counts, values, strict=True):
                ctx.set(port.as_value(), value)
            wanted = chance.randrange(units + 1)
            if chance.random() < 0.5:
                assert await access(ctx, dut.axi, by_name["unit"], wanted) == (wanted < units)
                unit = wanted if wanted < units else unit
            freeze = chance.randrange(2)
            assert await access(ctx, dut.axi, by_name["freeze"], freeze)
            held = values[unit] if freeze else held
            name = chance.choice(counted)
            place = offset_of(layout, name.split("."))
            assert await access(ctx, dut.axi, by_name[name]) == held >> place & 0xFFFF_FFFF
            before, clocks = clocks, await access(ctx, dut.axi, by_name["clocks"])
            assert (clocks > before) == bool(freeze)

    m = Module()
    m.domains.sync = ClockDomain()
    m.submodules.dut = dut
    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
