"""Plans for the vector unit: programs as text, and what they come to beside double precision, on the reference."""

import numpy as np
import pytest
from openppu.command.error import Error
from openppu_sim.kernels.vector.assembly import AssemblyError, image, instructions, parse, text
from openppu_sim.kernels.vector.code import Code, CodeError, stream
from openppu_sim.reference.vector import VectorReference
from vector_cases import CASES, CHIP, Op


@pytest.mark.parametrize("name", CASES)
def test_a_kernel_comes_to_what_it_should(name):
    case = CASES[name]()
    unit = VectorReference(CHIP, case.memory.copy())
    assert set(unit.do_all(case.plan.commands)) == {Error.OKAY}
    case.check(unit.memory)


@pytest.mark.parametrize("name", CASES)
def test_a_program_survives_as_text_and_as_bytes(name):
    program = CASES[name]().plan.program
    assert parse(text(program)) == program
    assert instructions(image(program)) == program


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("r1 = ADD r2, s4", "line 1: s4: input streams are s0 to s3"),
        ("stop\nr1 = FOO r2", "line 2: FOO: no operation"),
        ("s1 = COPY r2", "line 1: s1: output streams are s4 to s7"),
        ("r1 = MULTIPLY_ADD 1, 2, 3", "line 1: an instruction has two constants at most"),
        ("r1 = ADD r2^1, r3^2", "line 1: an instruction has one cross: 1 or 2"),
        ("r1 = COPY x", "line 1: x: no register, stream, parameter or constant"),
        ("go on", "line 1: go on: no instruction"),
    ],
)
def test_text_that_is_no_program_is_told_with_its_line(line, message):
    with pytest.raises(AssemblyError, match=message.replace("+", r"\+")):
        parse(line)


def test_values_live_through_the_loops_that_need_them():
    code = Code(registers=4, lanes=8)
    first = code(Op.COPY, stream(0))
    with code.loop(0):
        for _ in range(3):
            code.put(4, Op.ADD, first, code(Op.COPY, stream(1)))
    program = [each for each in code.program() if each.kind.name == "COMPUTE"]
    assert {each.a.number for each in program if each.operation == Op.ADD and each.target_kind.name == "STREAM"} == {0}
    assert all(each.target != 0 for each in program[1:] if each.target_kind.name == "REGISTER")


def test_too_few_registers_and_too_many_constants_are_refused():
    code = Code(registers=2, lanes=8)
    values = [code(Op.COPY, stream(0)) for _ in range(3)]
    code.put(4, Op.MULTIPLY_ADD, *values)
    with pytest.raises(CodeError, match="more than 2 registers"):
        code.program()
    code = Code(registers=2, lanes=8)
    code.put(4, Op.MULTIPLY_ADD, 1.0, 2.0, 3.0)
    with pytest.raises(CodeError, match="two constants"):
        code.program()


def test_constants_are_read_as_they_are_printed():
    for token, word in (("1.0", 0x3F800000), ("-inf", 0xFF800000), ("-1", 0xFFFFFFFF), ("0x7fc00000", 0x7FC00000)):
        (instruction,) = parse(f"r0 = COPY {token}")
        assert instruction.constants[0] == word
        assert text([instruction]) == f"r0 = COPY {token}\n"
    assert np.float32(0.1).view(np.uint32) == parse("r0 = COPY 0.1")[0].constants[0]
