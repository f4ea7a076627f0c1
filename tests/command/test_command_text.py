"""Programs as text and bytes: there and back, and what is refused."""

import random

import pytest
from amaranth.lib import data
from engines import INSTRUCTIONS
from openppu.command import instructions as listed
from openppu.command import registers
from openppu.command.instruction import Instruction, InstructionSet
from openppu_sim.errors import UserError
from openppu_sim.program.command import Command
from openppu_sim.program.text import parse_program, print_program


def random_command(chance):
    instruction = chance.choice(INSTRUCTIONS.instructions)
    fields = {
        each.name: chance.randrange(each.least, each.most + 1) or 1
        for each in instruction.operands
        if chance.random() < 0.7
    }
    return Command(
        name=instruction.name,
        fields=fields,
        registers={name: chance.randint(1, 15) for name in instruction.addresses if chance.random() < 0.5},
        wait=(chance.randrange(256), chance.randrange(1 << 16)) if chance.random() < 0.5 else None,
        signal=(signal := (chance.randrange(256), chance.randrange(1 << 16)) if chance.random() < 0.5 else None),
        chip=chance.randrange(64) if signal and chance.random() < 0.5 else None,
        record=chance.random() < 0.5,
        interrupt=chance.random() < 0.5,
        fence=chance.random() < 0.5,
        tag=chance.randrange(1 << 16),
    )


def test_text_and_bytes_give_the_same_program_back():
    chance = random.Random(4)
    program = tuple(random_command(chance) for _ in range(300))
    assert parse_program(print_program(program, INSTRUCTIONS), INSTRUCTIONS) == program
    for command in program:
        raw = command.encode(INSTRUCTIONS)
        assert len(raw) == 64
        assert Command.decode(raw, INSTRUCTIONS) == command


def test_loops_are_indented_and_comments_are_not_kept():
    text = "LOOP count=2\n    COPY source=0x20+r1 rows=3 mode=1\nEND\n"
    program = parse_program("LOOP count=2 # twice\n\n COPY source=32+r1 rows=0x3 mode=1\nEND", INSTRUCTIONS)
    assert print_program(program, INSTRUCTIONS) == text


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("COPI rows=1", "COPI: no such command; give one of NOTHING, SET, ADD, LOOP, END, COPY, SUM"),
        ("COPY row=1", "COPY row: no such field; it has source, target, rows, mode"),
        ("COPY rows=4096", "COPY rows = 4096: give 0 to 4095"),
        ("COPY rows=x", "COPY rows = x: give a number"),
        ("COPY rows=1+r2", "COPY rows: no register can be added to it; it can to source, target"),
        ("COPY source=1+r16", "COPY source: register 16: give 1 to 15"),
        ("COPY rows", "rows: give field=value, wait, signal, record, interrupt or fence"),
        ("COPY wait 1", "wait 1 : give a semaphore's number and a value"),
        ("COPY wait chip1.2 1", "wait chip1.2 1: give a semaphore's number and a value"),
        ("COPY signal 256 1", "COPY: signal semaphore = 256: give 0 to 255"),
        ("70000: COPY", "COPY: tag = 70000: give 0 to 65535"),
        ("COPY rows=1 rows=2", "rows=2: COPY has rows already; give it once"),
        ("COPY wait 1 1 wait 2 1", "wait: COPY has wait already; give it once"),
        ("COPY record record", "record: COPY has record already; give it once"),
        ("7:", "a tag without a command"),
    ],
)
def test_a_wrong_line_is_told_in_one(line, message):
    with pytest.raises(UserError) as error:
        parse_program(f"NOTHING\n{line}\n", INSTRUCTIONS)
    assert str(error.value) == f"line 2: {' '.join(message.split())}"


def test_bytes_that_are_no_command_are_refused():
    raw = bytearray(parse_program("COPY rows=1", INSTRUCTIONS)[0].encode(INSTRUCTIONS))
    raw[63] = 1
    with pytest.raises(UserError, match=r"^COPY: bits are set that have no meaning$"):
        Command.decode(bytes(raw), INSTRUCTIONS)
    with pytest.raises(UserError, match=r"^opcode 99: no such command$"):
        Command.decode(bytes([99]) + bytes(63), INSTRUCTIONS)
    with pytest.raises(UserError, match=r"^a command of 3 bytes: it has 64$"):
        Command.decode(bytes(3), INSTRUCTIONS)


def test_descriptions_that_cannot_be_are_refused():
    def described(layout, addresses=(), **meanings):
        return Instruction(
            name="X",
            opcode=30,
            engine="x",
            layout=data.StructLayout(layout),
            addresses=addresses,
            meaning="",
            meanings=meanings,
        )

    with pytest.raises(ValueError, match="fields without a meaning"):
        described({"a": 3})
    with pytest.raises(ValueError, match="400 bits of operands: there are 384"):
        described({"a": 400}, a="too long")
    with pytest.raises(ValueError, match="an address has at most 40"):
        described({"a": 41}, ("a",), a="too long")
    one = described({"a": 4}, a="one")
    with pytest.raises(ValueError, match="one name or one opcode"):
        InstructionSet((one, one))
    assert one.pack({"a": 5}) == 5


def test_the_pages_are_as_generated(project_root):
    for name, text in (("commands", listed.page()), ("command-registers", registers.page())):
        assert (project_root / "docs" / f"{name}.md").read_text() == text, "run `make docs`"
