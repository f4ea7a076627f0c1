"""A chip's registers: one map, the hub that leads to each part, Python access, the pages."""

import random
import subprocess
import sys

import pytest
from openppu.command.registers import MOST_QUEUES
from openppu.common.axi import Response
from openppu.config import load
from openppu.host.blocks import SLOT_BITS, blocks, header, html, page
from openppu.host.lite_hub import AxiLiteHub
from openppu_sim.device.registers import RegisterFile
from openppu_sim.errors import UserError
from openppu_verif.ends import run

QUEUES = ("load", "store")


@pytest.mark.parametrize("name", ["tiny", "demo", "ecp5", "ppu810e"])
def test_every_part_has_a_slot_and_every_register_fits(name):
    chip = load(name)
    found = blocks(chip, QUEUES)
    assert len({block.slot for block in found}) == len(found)
    for block in found:
        assert block.address_bits <= SLOT_BITS
        assert all(register.offset < 1 << block.address_bits for register in block.registers)
    names = {block.name for block in found}
    assert ("link" in names) == (chip.link.ports > 0)
    assert sum(name.startswith("hbm") for name in names) == chip.hbm.stacks * chip.hbm.channels


def test_registers_by_name():
    memory: dict[int, int] = {}
    writes: list[int] = []

    def write(address, value):
        writes.append(address)
        memory[address] = value

    file = RegisterFile(blocks(load("demo"), QUEUES), read=lambda address: memory.get(address, 0), write=write)
    file["command.store.base"] = 0x12_3456_7880
    base = 0x1_0000 + 0x280
    assert writes == [base, base + 4]
    assert file["command.store.base"] == 0x12_3456_7880
    assert file["command.store.base1"] == 0x12
    for name, value, message in (
        ("command.store.bass", 1, "there is none"),
        ("command.now", 1, "cannot be written"),
        ("command.store.log2", 32, "give at most 31"),
        ("command.store.log2", -1, "give 0 to 31"),
        ("command.store.base", 1 << 40, f"give at most {(1 << 40) - 1}"),
    ):
        with pytest.raises(UserError, match=message):
            file[name] = value
    with pytest.raises(UserError, match="cannot be read"):
        file["command.restart"]
    assert len(writes) == 2
    assert "hbm0.identity" in file.names()


def test_the_pages_are_as_described(project_root, tmp_path):
    chip = load("demo")
    assert (project_root / "docs" / "registers.md").read_text() == page(chip), "run `make docs`"
    assert "<td>0x010204</td><td>load.base1</td>" in html(chip)
    text = header(load("tiny"))
    (tmp_path / "registers.h").write_text(text)
    (tmp_path / "use.c").write_text(
        '#include "registers.h"\n'
        '_Static_assert(OPENPPU_COMMAND_BASE + OPENPPU_COMMAND_LOAD_TAIL == 0x1020c, "tail");\n'
        '_Static_assert(OPENPPU_HBM0_BASE == 0x100000, "memory");\n'
    )
    subprocess.run(["cc", "-Wall", "-Werror", "-fsyntax-only", tmp_path / "use.c"], check=True)
    shown = subprocess.run([sys.executable, "-m", "openppu.host.blocks", "--config", "tiny"], capture_output=True)
    assert shown.stdout.decode() == page(load("tiny"))


SLOTS = {0: 8, 1: 12, 5: 16}


class Part:
    """Registers behind a slot: answers after a while, and remembers."""

    def __init__(self, axi, chance, bits):
        self.axi, self.chance, self.bits = axi, chance, bits
        self.memory: dict[int, int] = {}
        self.address = self.data = None
        self.answer = None
        self.wait = 0

    def drive(self, ctx):
        for ready in (self.axi.awready, self.axi.wready, self.axi.arready):
            ctx.set(ready, self.answer is None and self.chance.random() < 0.5)
        shown = self.answer is not None and self.wait <= 0
        self.wait -= 1
        write = self.answer is not None and self.answer[0]
        ctx.set(self.axi.bvalid, bool(shown and write))
        ctx.set(self.axi.rvalid, bool(shown and not write))
        if shown:
            ctx.set(self.axi.rdata, self.answer[1])
            ctx.set(self.axi.bresp, self.answer[2])
            ctx.set(self.axi.rresp, self.answer[2])

    def sample(self, ctx):
        axi = self.axi
        if self.answer is not None:
            if (ctx.get(axi.bvalid) and ctx.get(axi.bready)) or (ctx.get(axi.rvalid) and ctx.get(axi.rready)):
                self.answer = None
            return
        if ctx.get(axi.awvalid) and ctx.get(axi.awready):
            self.address = ctx.get(axi.awaddr)
        if ctx.get(axi.wvalid) and ctx.get(axi.wready):
            self.data = ctx.get(axi.wdata)
        refuses = self.chance.random() < 0.2
        response = Response.SLVERR if refuses else Response.OKAY
        if self.address is not None and self.data is not None:
            assert self.address < 1 << self.bits
            if not refuses:
                self.memory[self.address] = self.data
            self.answer, self.address, self.data = (True, 0, response), None, None
            self.wait = self.chance.randint(0, 3)
        elif ctx.get(axi.arvalid) and ctx.get(axi.arready):
            self.answer = (False, self.memory.get(ctx.get(axi.araddr), 0), response)
            self.wait = self.chance.randint(0, 3)


@pytest.mark.parametrize("seed", range(3))
def test_the_hub_leads_to_each_part_and_to_no_other(seed):
    chance = random.Random(seed)
    hub = AxiLiteHub(address_bits=20, slot_bits=16, slots=SLOTS)
    parts = [Part(axi, chance, bits) for axi, bits in zip(hub.parts, SLOTS.values(), strict=True)]
    expected: dict[int, int] = {}
    left = [200]
    state: dict = {"access": None, "sent": set()}

    def address():
        slot = chance.choice((*SLOTS, 2))
        return slot << 16 | chance.choice((0, 4, 0xFC, 0x100, 0xFFC, 0x1000, 0xFFFC))

    def each_cycle(ctx, cycle):
        axi = hub.axi
        if state["access"] is None:
            state["access"] = (chance.random() < 0.5, address(), chance.randrange(1 << 32))
            state["sent"] = set()
        write, where, value = state["access"]
        for valid, of_write in ((axi.awvalid, True), (axi.wvalid, True), (axi.arvalid, False)):
            ctx.set(valid, of_write == write and valid.name not in state["sent"])
        ctx.set(axi.awaddr, where)
        ctx.set(axi.araddr, where)
        ctx.set(axi.wdata, value)
        ctx.set(axi.wstrb, 15)
        ctx.set(axi.bready, chance.random() < 0.5)
        ctx.set(axi.rready, chance.random() < 0.5)
        for part in parts:
            part.drive(ctx)
        for part in parts:
            part.sample(ctx)
        for valid, ready in ((axi.awvalid, axi.awready), (axi.wvalid, axi.wready), (axi.arvalid, axi.arready)):
            if ctx.get(valid) and ctx.get(ready):
                state["sent"].add(valid.name)
        done = ctx.get(axi.bvalid) and ctx.get(axi.bready) if write else ctx.get(axi.rvalid) and ctx.get(axi.rready)
        if done:
            response = ctx.get(axi.bresp if write else axi.rresp)
            slot, offset = where >> 16, where & 0xFFFF
            reached = slot in SLOTS and offset < 1 << SLOTS[slot]
            assert (response == Response.DECERR) == (not reached)
            if write and response == Response.OKAY:
                expected[where] = value
            if not write and reached:
                assert ctx.get(axi.rdata) == expected.get(where, 0), f"seed {seed}: {where:#x}"
            state["access"] = None
            left[0] -= 1
        return left[0] == 0

    run(hub, each_cycle, most=20_000)


@pytest.mark.parametrize("slots", [{}, {64: 8}, {0: 20}, {0: 1}])
def test_slots_that_do_not_fit_are_refused(slots):
    with pytest.raises(ValueError, match="slot"):
        AxiLiteHub(address_bits=20, slot_bits=16, slots=slots)


def test_more_than_32_queues_have_several_words_of_a_bit_each():
    names = [f"load{number}" for number in range(70)]
    values: dict[int, int] = {}
    file = RegisterFile(blocks(load("tiny"), names), read=lambda at: values.get(at, 0), write=values.__setitem__)
    file["command.interrupt_enable"] = 1 << 69 | 1 << 32 | 5
    assert [values[0x1_0100 + 4 * word] for word in range(3)] == [5, 1, 1 << 5]
    assert file["command.interrupt_enable"] == 1 << 69 | 1 << 32 | 5
    with pytest.raises(UserError, match=f"give at most {(1 << 70) - 1}"):
        file["command.restart"] = 1 << 70


def test_a_map_of_the_largest_processor_fits_its_slot():
    (block,) = [each for each in blocks(load("tiny"), [f"q{n}" for n in range(MOST_QUEUES)]) if each.name == "command"]
    offsets = [register.offset for register in block.registers]
    assert len(set(offsets)) == len(offsets)
    assert max(offsets) < 1 << SLOT_BITS
