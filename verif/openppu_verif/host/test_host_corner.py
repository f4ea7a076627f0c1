"""The host's corner of a chip in cocotb: a host's own buses, from cocotbext-axi, on registers and window."""

import random
from typing import Any

import cocotb
from cocotb.triggers import Timer
from cocotbext.axi import AxiResp
from openppu.command.error import Error
from openppu.command.instructions import instructions
from openppu.command.layouts import record_layout
from openppu.common.register_map import Register
from openppu.config import load
from openppu.host.blocks import SLOT_BITS
from openppu_sim.program.command import Command
from openppu_sim.simulator.cocotb_runner import parameters

from openppu_verif.hbm.axi_burst import BUS_BYTES, PAGE
from openppu_verif.hbm.axi_worker import Worker
from openppu_verif.host.corner import TAGS, corner_blocks
from openppu_verif.host.host import Host
from openppu_verif.host.port_memory import PortMemory

PATIENCE = 100_000
SIZE = 1 << 20
"""Bytes of the memory."""

CHIP = load("tiny")
BLOCKS = corner_blocks(CHIP)
RING, RECORDS = 0x8_0000, 0x9_0000


class Corner(Host):
    """The host at the corner alone, with a memory behind it."""

    def __init__(self, dut: Any) -> None:
        rate = parameters()["rate"]
        chance = random.Random(cocotb.RANDOM_SEED + 3)
        self.memory = PortMemory(dut, "memory", tags=TAGS, size=SIZE, chance=chance, rate=rate)
        super().__init__(dut, BLOCKS, self.memory, rate=rate, patience=PATIENCE)


@cocotb.test()
async def accesses_to_registers_are_answered_as_the_pages_say(dut: Any) -> None:
    """Of all parts behind the hub, and where none is; while the window is busy."""
    host = Corner(dut)
    await host.begin()
    worker = Worker(host.window, 1, PAGE)
    held = {address: each.reset for address, each in host.at.items()}

    def written(register: Register | None, address: int, data: bytes) -> AxiResp:
        if register is None:
            return AxiResp.DECERR if beyond(address) else AxiResp.SLVERR
        old = held[address] if register.readable else 0
        value = int.from_bytes(data + old.to_bytes(4, "little")[len(data) :], "little")
        if not register.writable or value not in register.allowed:
            return AxiResp.SLVERR
        held[address] = value
        return AxiResp.OKAY

    def beyond(address: int) -> bool:
        """Whether no part has the address."""
        return all(
            address >> SLOT_BITS != each.slot or address >= each.base + (1 << each.address_bits) for each in BLOCKS
        )

    async def accesses() -> None:
        chance = random.Random(cocotb.RANDOM_SEED + 1)
        # What starts something, or counts, is left alone.
        calm = [
            address
            for address, each in host.at.items()
            if each.source[:1] in ((), ("control",)) and not each.name.endswith(("tail", "enable"))
        ]
        for turn in range(parameters()["turns"]):
            address = chance.choice(
                (*calm, *calm, chance.choice((0x40, 0x100, 0x1_0018, 0x1_FFF0, 0x2_0000, 0x3F_FFFC)))
            )
            register = host.at.get(address)
            where = f"seed {cocotb.RANDOM_SEED}, turn {turn}, address {address:#x}"
            if chance.random() < 0.5:
                allowed = register.allowed if register is not None and register.allowed else range(256)
                value = chance.choice((allowed[0], allowed[-1], chance.choice(allowed), chance.getrandbits(32)))
                data = value.to_bytes(4, "little")[: chance.choice((1, 2, 4, 4))]
                answer = await host.registers.write(address, data)
                assert answer.resp == written(register, address, data), where
            else:
                answer = await host.registers.read(address, 4)
                if register is None:
                    expected = (written(None, address, b""), bytes(4))
                elif not register.readable:
                    expected = (AxiResp.SLVERR, bytes(4))
                else:
                    expected = (AxiResp.OKAY, held[address].to_bytes(4, "little"))
                assert (answer.resp, answer.data) == expected, where

    await host.run(accesses(), worker.run(parameters()["turns"] // 4))


@cocotb.test()
async def bursts_of_every_kind_reach_memory(dut: Any) -> None:
    """Several IDs at once, each with a page; two share a tag; one page lies beyond the memory."""
    host = Corner(dut)
    await host.begin()
    pages = [PAGE * (5 * number + 2) for number in range(5)] + [SIZE + 3 * PAGE]
    workers = [Worker(host.window, number, page) for number, page in enumerate(pages)]
    bad = {page // BUS_BYTES + 5 for page in pages[:-1]}
    host.memory.bad = {access * BUS_BYTES for access in bad}
    for worker in workers:
        worker.bad, worker.beyond = bad, worker.page >= SIZE
    await host.run(*(worker.run(parameters()["turns"]) for worker in workers))
    kinds = set().union(*(worker.kinds for worker in workers))
    assert len(kinds) == 18, f"only {sorted(kinds)} occurred"


@cocotb.test()
async def a_program_runs_when_its_bell_is_rung(dut: Any) -> None:
    """Commands through the window, the bell through the registers; the interrupt tells of the record."""
    host = Corner(dut)
    await host.begin()
    worker = Worker(host.window, 1, PAGE)
    program = [
        Command(name="SET", fields={"register": 3, "value": 0x1234}),
        Command(name="LOOP", fields={"count": 3}),
        Command(name="NOTHING", signal=(5, 2)),
        Command(name="END"),
        Command(name="NOTHING", wait=(5, 6), record=True, interrupt=True, tag=0xBEEF),
    ]
    image = b"".join(command.encode(instructions()) for command in program)

    async def driver() -> None:
        await host.put(RING, image)
        await host.set("command.records.base", RECORDS)
        await host.set("command.records.log2", 4)
        await host.set("command.records.enable", 1)
        await host.set("command.interrupt_enable", 1)
        await host.set("command.load.base", RING)
        await host.set("command.load.log2", 4)
        await host.set("command.load.enable", 1)
        assert not dut.interrupts.value
        await host.set("command.load.tail", len(program))
        while not dut.interrupts.value:
            await Timer(10, "ns")
        assert await host.get("command.interrupts") == 1
        record = record_layout().from_bits(int.from_bytes(await host.take(RECORDS, BUS_BYTES), "little"))
        assert (record.tag, record.queue, record.error, record.index) == (0xBEEF, 0, Error.OKAY, 4)
        assert 0 < record.begun < record.ended
        await host.set("command.seen", 1)
        assert await host.get("command.interrupts") == 0
        assert await host.get("command.load.ended") == 4
        assert await host.get("command.load.busy") == 0
        await Timer(4, "ns")
        assert not dut.interrupts.value

    await host.run(driver(), worker.run(parameters()["turns"] // 2))
