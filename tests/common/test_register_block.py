"""Registers made from a description: what is set is held, what is shown is read, all else is refused."""

import random

import pytest
from amaranth.lib import data, enum
from openppu.common.register_block import RegisterBlock
from openppu.common.register_map import Register, c_header, field_registers, leaves, markdown_row
from openppu_verif.ends import Put, Take, run


class Mode(enum.Enum, shape=2):
    OFF = 0
    SLOW = 1
    FAST = 2


CONTROL = data.StructLayout(
    {"mode": Mode, "mask": data.ArrayLayout(5, 3), "lanes": data.ArrayLayout(20, 2), "limit": 40}
)
STATUS = data.StructLayout({"state": 4, "count": 64})
STROBES = data.StructLayout({"clear": 1})


def described() -> list[Register]:
    return [
        Register(name="identity", offset=0, bits=32, reset=0x1234, meaning="a fixed word"),
        *field_registers(CONTROL, ("control",), 0x10, str, writable=True, reset={"mode": 1, "limit": 5 << 32 | 7}),
        *field_registers(STATUS, ("status",), 0x40, str, prefix="now."),
        Register(
            name="clear",
            offset=0x80,
            bits=1,
            source=("strobes", "clear"),
            readable=False,
            writable=True,
            allowed=range(2),
            meaning="forget",
        ),
    ]


def block() -> RegisterBlock:
    return RegisterBlock(described(), address_bits=8, control=CONTROL, status=STATUS, strobes=STROBES)


def play(accesses, *, status=0, rate=1.0, seed=1):
    """Answers to accesses (address, data or None, strobes), the control at the end, and strobes seen."""
    design = block()
    chance = random.Random(seed)
    put, take = Put(design.requests, chance, rate), Take(design.responses, chance, rate)
    for address, value, strobes in accesses:
        put.waiting.append({"address": address, "write": value is not None, "data": value or 0, "strobes": strobes})
    answers, cleared, control = [], [], []

    def each_cycle(ctx, cycle):
        ctx.set(design.status, STATUS.from_bits(status))
        put.drive(ctx)
        take.drive(ctx)
        put.sample(ctx)
        answer = take.sample(ctx)
        cleared.append(ctx.get(design.strobes.clear))
        if answer is not None:
            answers.append((answer.data, answer.error))
        control[:] = [ctx.get(design.control)]
        return len(answers) == len(accesses) and cycle > len(accesses)

    run(design, each_cycle, most=50 * len(accesses) + 20)
    return answers, control[0], sum(cleared)


def test_what_is_written_is_held_and_only_the_bytes_whose_strobe_is_high():
    by_name = {register.name: register.offset for register in described()}
    accesses = [
        (by_name["limit0"], 0x11223344, 0b1111),
        (by_name["limit0"], 0xAABBCCDD, 0b0101),
        (by_name["limit1"], 0xFF, 1),
        (by_name["mask"], 31 << 10, 0b1111),
        (by_name["lanes_1"], 0xABCDE, 0b1111),
        (by_name["mode"], 2, 0b1111),
        (by_name["limit0"], None, 0),
        (by_name["limit1"], None, 0),
    ]
    for rate in (1.0, 0.4):
        answers, control, _ = play(accesses, rate=rate)
        assert answers == [(0, 0)] * 6 + [(0x11BB33DD, 0), (0xFF, 0)]
        assert control.limit == 0xFF << 32 | 0x11BB33DD
        assert (control.mask[0], control.mask[2], control.mode) == (0, 31, Mode.FAST)
        assert list(control.lanes) == [0, 0xABCDE]


def test_resets_are_read_and_status_is_shown():
    by_name = {register.name: register.offset for register in described()}
    names = ["identity", "mode", "limit0", "limit1", "now.state", "now.count0", "now.count1"]
    answers, *_ = play([(by_name[name], None, 0) for name in names], status=9 | 0x123456789ABCDEF0 << 4)
    assert answers == [(value, 0) for value in (0x1234, 1, 7, 5, 9, 0x9ABCDEF0, 0x12345678)]


def test_what_cannot_be_is_refused_and_changes_nothing():
    by_name = {register.name: register.offset for register in described()}
    accesses = [
        (0x04, None, 0),
        (0x11, None, 0),
        (by_name["identity"], 1, 15),
        (by_name["mode"], 3, 15),
        (by_name["mask"], 1 << 15, 15),
        (by_name["clear"], None, 0),
        (by_name["now.state"], 1, 15),
        (by_name["mode"], None, 0),
    ]
    answers, control, cleared = play(accesses)
    assert answers == [(0, 1)] * 7 + [(1, 0)]
    assert (control.mode, control.mask[0], cleared) == (Mode.SLOW, 0, 0)


def test_a_strobe_is_high_for_one_clock():
    assert play([(0x80, 1, 1), (0x80, 0, 1), (0x80, 1, 1)])[2] == 2


def test_an_access_a_clock_passes_two_clocks_after_it_was_asked_for():
    design = block()
    put, take = Put(design.requests, random.Random(1)), Take(design.responses, random.Random(2))
    put.waiting += [{"address": 0, "write": 0, "data": 0, "strobes": 0}] * 20
    asked, answered = [], []

    def each_cycle(ctx, cycle):
        put.drive(ctx)
        take.drive(ctx)
        if put.sample(ctx) is not None:
            asked.append(cycle)
        if take.sample(ctx) is not None:
            answered.append(cycle)
        return len(answered) == 20

    run(design, each_cycle, most=60)
    assert asked == list(range(asked[0], asked[0] + 20))
    assert answered == [cycle + 2 for cycle in asked]


def test_descriptions_that_cannot_be_are_refused():
    one = Register(name="one", offset=0, bits=1, meaning="")
    layouts = dict(address_bits=8, control=CONTROL, status=STATUS, strobes=STROBES)
    with pytest.raises(ValueError, match="two registers have one offset"):
        RegisterBlock([one, one], **layouts)
    with pytest.raises(ValueError, match=r"register two: source elsewhere\.x: no such member"):
        RegisterBlock([Register(name="two", offset=4, bits=1, source=("elsewhere", "x"), meaning="")], **layouts)


def test_pages_and_headers_come_from_the_same_description():
    mode = next(register for register in described() if register.name == "mode")
    assert markdown_row(mode) == "| 0x010 | `mode` | 2 | read, write | 1 | 0 to 2 | mode |"
    assert "0 off, 1 slow, 2 fast" in markdown_row(mode, choices={"OFF": 0, "SLOW": 1, "FAST": 2})
    text = c_header("X_", described())
    assert "#define X_LIMIT1 0x024u\n#define X_LIMIT1_RESET 0x5u\n" in text
    assert "#define X_CLEAR_MOST 1u" in text
    assert [path for path, _ in leaves(CONTROL)] == [("mode",), ("mask",), ("lanes", "0"), ("lanes", "1"), ("limit",)]
