"""cocotb tests of the counter; `parameters` say how long, and whether one shall fail."""

import os
import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, Timer
from openppu_sim.simulator.cocotb_runner import parameters


@cocotb.test()
async def counts_enabled_cycles(dut):
    dut.select.value = 0
    dut.enable.value = 0
    dut.rst.value = 1
    Clock(dut.clk, 10, unit="ns").start()
    await FallingEdge(dut.clk)
    await FallingEdge(dut.clk)
    dut.rst.value = 0
    expected = 0
    for _ in range(parameters()["cycles"]):
        enable = random.getrandbits(1)
        dut.enable.value = enable
        await FallingEdge(dut.clk)
        expected += enable
        assert dut.count.value == expected


@cocotb.test()
async def logic_without_events_settles(dut):
    dut.select.value = 0
    await Timer(1, "ns")
    assert dut.constant.value == 7


@cocotb.test()
async def fails_when_told(dut):
    await Timer(1, "ns")
    assert dut.constant.value == parameters().get("constant", 7), os.environ.get("SAY", "")


@cocotb.test(skip=True)
async def is_skipped(dut):
    raise AssertionError("never run")
