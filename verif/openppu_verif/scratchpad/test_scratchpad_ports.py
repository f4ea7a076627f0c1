"""A scratchpad's Verilog in cocotb: every port at random, beside the cycle model and the reference."""

import random
from collections import deque
from typing import Any

import cocotb
import numpy as np
from amaranth.lib import data
from cocotb.handle import Immediate
from cocotb.triggers import Timer
from openppu.scratchpad.config import ScratchpadConfig
from openppu.scratchpad.port import request_layout, result_layout
from openppu_sim.cycles.scratchpad import LATENCY, Access
from openppu_sim.cycles.scratchpad import Scratchpad as Cycles
from openppu_sim.reference.scratchpad import Scratchpad as Reference
from openppu_sim.simulator.cocotb_runner import parameters

from openppu_verif.streams import Source

CYCLES = 400


def packed(layout: data.StructLayout, **values: int) -> int:
    """A payload."""
    return sum(value << layout[name].offset for name, value in values.items())


def unpacked(layout: data.StructLayout, payload: int) -> dict[str, int]:
    """The fields of one."""
    return {str(name): payload >> field.offset & (1 << field.width) - 1 for name, field in layout}


@cocotb.test()
async def every_port_is_served_in_its_cycle_and_finds_what_was_written(dut: Any) -> None:
    """With pauses, also of all ports at once."""
    given = parameters()
    config, ports = ScratchpadConfig(**given["config"]), given["ports"]
    chance = random.Random(cocotb.RANDOM_SEED)
    size, asks = config.word_bytes, request_layout(address_bits=config.address_bits, word_bytes=config.word_bytes)
    reference = Reference(words=config.words, word_bytes=size)
    cycles = Cycles(banks=config.banks, ports=ports)
    sources = [Source(dut, f"port__{port}__requests", chance) for port in range(ports)]
    valids: list[Any] = [getattr(dut, f"port__{port}__results__valid") for port in range(ports)]
    results: list[Any] = [getattr(dut, f"port__{port}__results__payload") for port in range(ports)]
    due: list[deque[tuple[int, bytes]]] = [deque() for _ in range(ports)]
    count = 0

    await Timer(1, "ns")
    for name, value in {"clear": 0, "clear_log": 0, "scrub_interval": 5, "rst": 1}.items():
        getattr(dut, name).set(Immediate(value))
    for source in sources:
        source.begin()
    for level in (0, 1, 0, 1):
        dut.clk.set(Immediate(level))
        await Timer(1, "ns")
    dut.rst.set(Immediate(0))
    for cycle in range(CYCLES):
        dut.clk.set(Immediate(0))
        for source in sources:
            if not source.waiting and chance.random() < (0.8 if cycle % 100 < 70 else 0.1):
                merges = chance.choice([0, 0xF0, (1 << size) - 1, (1 << size) - 1])
                fields = dict(
                    write=chance.getrandbits(1),
                    address=chance.randrange(config.words),
                    data=chance.getrandbits(8 * size),
                    mask=merges,
                )
                source.put(packed(asks, **fields))
            source.drive(cycle)
        await Timer(1, "ns")
        requests = [unpacked(asks, source.waiting[0][1]) if source.waiting else None for source in sources]
        offers = [
            Access(request["address"] // config.bank_words, bool(request["write"]) and request["mask"] == 0xF0)
            if request
            else None
            for request in requests
        ]
        expected = cycles.step([None] * ports if int(dut.filling.value) else offers)
        for port, (source, request) in enumerate(zip(sources, requests, strict=True)):
            taken = source.sample()
            assert taken == expected[port], f"port {port} in cycle {cycle}"
            if taken and request and request["write"]:
                mask = np.array([request["mask"] >> byte & 1 for byte in range(size)])
                word = np.frombuffer(request["data"].to_bytes(size, "little"), np.uint8)
                reference.write(request["address"], word, mask)
            elif taken and request:
                due[port].append((cycle + LATENCY, reference.read(request["address"])[0].tobytes()))
            is_due = bool(due[port] and due[port][0][0] == cycle)
            assert int(valids[port].value) == is_due
            if is_due:
                result = unpacked(result_layout(word_bytes=size), int(results[port].value))
                word_due = int.from_bytes(due[port].popleft()[1], "little")
                assert result == {"data": word_due, "error": 0, "corrected": 0}
                count += 1
        dut.clk.set(Immediate(1))
        await Timer(1, "ns")
    assert count > 50 * ports
