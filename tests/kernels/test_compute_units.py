"""Kernels on several compute units: every bit is that of one unit, all begin and end together."""

import random
from dataclasses import replace

import numpy as np
import pytest
from openppu.config import load
from openppu.formats.spec import FORMATS
from openppu_sim.device.device import Device
from openppu_sim.errors import UserError
from openppu_sim.kernels.compute_units import cuts
from openppu_sim.kernels.matmul import MatmulJob, Operand, matmul_programs, plan_matmul
from openppu_sim.kernels.vector import jobs
from openppu_sim.kernels.vector.memory import Array, vector_programs
from openppu_verif.chip import scaling
from openppu_verif.vector.job_cases import LARGE, SMALL, Memory, run

QUICK = scaling.chip(4)
"""Its memory is fast."""

FOUR = load("tiny", ["chip.compute_units=4", "command.semaphores=32"])
A, B, C, D = 0x10_0000, 0x20_0000, 0x30_0000, 0x40_0000
CODE = 0x1_0000
SETS = ((0,), (0, 1), (1, 2, 3), (0, 1, 2, 3))


def random_job(rng):
    """Of any format and result, as stored or transposed, with rows that begin anywhere."""
    m, k, n = rng.choice((1, rng.randint(2, 40))), rng.randint(1, 70), rng.randint(1, 60)
    name = rng.choice(sorted(FOUR.tile.formats))
    fmt, size = FORMATS[name], FORMATS[name].bits // 8
    result = rng.choice((None, name))
    turned = rng.random() < 0.3, rng.random() < 0.3
    gap = rng.choice((0, 0, 3)) * size
    return MatmulJob(
        m=m,
        n=n,
        k=k,
        format=name,
        a=Operand(address=A, stride=(m if turned[0] else k) * size + gap),
        b=Operand(address=B, stride=(k if turned[1] else n) * size + gap),
        d=Operand(address=D + rng.choice((0, 8)), stride=n * (size if result else 4) + gap),
        transpose_a=turned[0],
        transpose_b=turned[1],
        c=rng.choice((None, C)),
        result_format=result,
        relu=rng.random() < 0.3,
        seed=rng.randint(0, 1 << 32) if result and fmt.is_float and rng.random() < 0.6 else None,
    )


def put(device, programs):
    for queue, program in programs.items():
        device.submit(queue, program)
    device.wait()


def fill(device, job, seed):
    """Random operands: numbers of any size, and whatever lies around the result."""
    rng = np.random.default_rng(seed)
    for address in (A, B):
        values = rng.integers(0, 256, 0x8000, dtype=np.uint8)
        if FORMATS[job.format].is_float:
            values &= 0xBF  # no infinity and no NaN
        device.write(address, values)
    device.write(C, rng.integers(0, 1 << 20, 64, dtype=np.uint32))
    device.write(D, np.full(0x8000, 0xA5, np.uint8))


@pytest.mark.parametrize("seed", range(12))
def test_a_product_has_the_bits_of_one_unit(seed):
    rng = random.Random(seed)
    with Device(FOUR, "reference") as device:
        for number in range(6):
            job, found = random_job(rng), []
            for units in SETS:
                fill(device, job, number)
                put(device, matmul_programs(FOUR, job, units=units))
                found.append(device.read(D, 0x8000, np.uint8))
                assert not any(device.semaphore(each) for each in range(FOUR.command.semaphores))
            for units, each in zip(SETS, found, strict=True):
                assert (each == found[0]).all(), (job, units)


CASES = SMALL | {f"{name}, large": make for name, make in LARGE.items()}
NAMES = [name if name in SMALL else pytest.param(name, marks=pytest.mark.slow) for name in CASES]


@pytest.mark.parametrize("name", NAMES)
def test_a_job_of_the_vector_unit_has_the_bits_of_one_unit(name):
    found = []
    for units in SETS:
        with Device(FOUR, "reference") as device:
            memory = Memory(device)
            case = CASES[name](memory)
            run(memory, case, units)
            case.check()
            found.append([memory.bits(result) for result in case.results])
            assert not any(device.semaphore(each) for each in range(FOUR.command.semaphores))
    for each in found[1:]:
        assert all((a == b).all() for a, b in zip(each, found[0], strict=True))


ROUNDED = Array(address=D, rows=150, columns=70, format="bf16")


@pytest.mark.parametrize("units", SETS[1:])
def test_numbers_are_rounded_as_one_unit_rounds_them(units):
    job = jobs.round_stochastically(Array(address=A, rows=150, columns=70), ROUNDED, seed=7)
    found = []
    with Device(FOUR, "reference") as device:
        device.write(A, np.random.default_rng(1).normal(size=(150, 70)).astype(np.float32))
        for those in ((0,), units):
            programs = vector_programs(FOUR, job, code_at=CODE, units=those)
            assert set(programs.pieces) == set(those)
            device.write(CODE, programs.code)
            put(device, programs)
            found.append(device.read(D, (150, 70), np.uint16))
    assert (found[0] == found[1]).all()


@pytest.mark.parametrize("seed", range(4))
def test_kernels_on_any_units_follow_each_other_without_the_host(seed):
    """A chain of products and functions of their results, each on units of its own choice, each waits for the last."""
    rng = random.Random(seed)
    steps = [(rng.choice(("product", "silu")), sorted(rng.sample(range(4), rng.randint(1, 4)))) for _ in range(8)]
    found = []
    values = np.random.default_rng(seed).integers(-3, 4, (2, 24, 24)).astype(np.float32)
    wide = np.pad((values.view(np.uint32) >> 16).astype(np.uint16), ((0, 0), (0, 0), (0, 4)))
    for alone in (True, False):
        with Device(FOUR, "reference") as device:
            device.write(A, wide[0])
            device.write(B, wide[1])
            last = None
            for number, (kind, units) in enumerate(steps):
                those = [0] if alone else units
                more = {"units": those, "wait": last, "signal": (number + (4 if number < 6 else 5), 1)}
                last = more["signal"]
                target = D + 0x2000 * number
                if kind == "product" or number == 0:
                    job = MatmulJob(
                        m=24,
                        n=24,
                        k=24,
                        format="bf16",
                        a=Operand(address=A, stride=56),
                        b=Operand(address=B, stride=56),
                        d=Operand(address=target, stride=96),
                    )
                    programs = matmul_programs(FOUR, job, **more)
                else:
                    x, y = (Array(address=at, rows=24, columns=24) for at in (target - 0x2000, target))
                    programs = vector_programs(
                        FOUR, jobs.function("silu", x, y), code_at=CODE + 0x1000 * number, **more
                    )
                    device.write(programs.code_at, programs.code)
                for queue, program in programs.items():
                    device.submit(queue, program)
            device.wait()
            assert device.semaphore(last[0]) == 1
            assert sum(device.semaphore(each) for each in range(FOUR.command.semaphores)) == 1
            found.append(device.read(D, 0x2000 * len(steps), np.uint8))
    assert (found[0] == found[1]).all()
    assert found[0].any()


def product(m, k, n, fmt="int8"):
    size = FORMATS[fmt].bits // 8
    places = {"a": (A, k * size), "b": (B, n * size), "d": (D, 4 * n)}
    operands = {name: Operand(address=address, stride=stride) for name, (address, stride) in places.items()}
    return MatmulJob(m=m, n=n, k=k, format=fmt, **operands)


SIZES = [((64, 64, 64), 4), ((1, 64, 64), 3), ((64, 64, 1), 2), ((1, 64, 6), 2), ((3, 9, 4), 1), ((1, 512, 512), 4)]


@pytest.mark.parametrize(("sizes", "units"), SIZES)
def test_a_product_takes_as_many_units_as_help(sizes, units):
    job = product(*sizes)
    plan = plan_matmul(QUICK, job)
    assert [each.unit for each in plan.units] == list(range(units))
    covered = np.zeros((sizes[0], sizes[2]), int)
    for each in plan.units:
        covered[each.part.rows.start : each.part.rows.stop, each.part.columns.start : each.part.columns.stop] += 1
        assert each.part.job.k == sizes[1]
    assert (covered == 1).all()
    assert plan.cycles == max(each.cycles for each in plan.units)
    assert all(plan.cycles <= plan_matmul(QUICK, job, units=range(count)).cycles for count in range(1, 4))


def test_more_units_are_predicted_to_be_faster_as_long_as_memory_is():
    cycles = [plan_matmul(QUICK, product(64, 64, 64), units=range(count)).cycles for count in (1, 2, 4)]
    assert cycles[0] > 1.9 * cycles[1] > 3.6 * cycles[2]
    # A row times a matrix is loaded as fast as memory is, whatever the number of units.
    wide = load("demo", ["chip.compute_units=8", "hbm.ports=1"])
    cycles = [plan_matmul(wide, product(1, 512, 512), units=range(count)).cycles for count in (1, 4, 8)]
    assert cycles[0] > 3 * cycles[1]
    assert cycles[1] < 1.3 * cycles[2]


def test_a_plan_is_of_a_product_wherever_it_lies():
    found = []
    with Device(FOUR, "reference") as device:
        job = product(24, 20, 16)
        plan = plan_matmul(FOUR, job)
        for by in (0, 0x1000):
            moved = replace(
                job, **{name: replace(at, address=at.address + by) for name, at in vars(job).items() if name in "abd"}
            )
            for at in (moved.a, moved.b):
                device.write(at.address, np.random.default_rng(1).integers(0, 256, 480, dtype=np.uint8))
            put(device, matmul_programs(FOUR, moved, plan))
            found.append(device.read(moved.d.address, (24, 16), np.int32))
    assert (found[0] == found[1]).all()
    assert found[0].any()


def test_a_plan_says_what_each_unit_does(project_root):
    told = str(plan_matmul(FOUR, product(40, 64, 24)))
    assert told.startswith("4 compute units load ")
    assert [line.split(":")[0] for line in told.splitlines()[1:]] == [f"unit {unit}" for unit in range(4)]
    assert told in (project_root / "docs" / "kernels.md").read_text(encoding="utf-8")


def test_a_job_says_what_each_unit_does(project_root):
    x, y = Array(address=A, rows=100, columns=75), Array(address=D, rows=100, columns=75, format="bf16")
    told = str(vector_programs(FOUR, jobs.softmax(x, y), code_at=CODE))
    assert told.splitlines()[1].startswith("unit 0: rows 0 to 24, columns 0 to 74: ")
    assert told in (project_root / "docs" / "kernels.md").read_text(encoding="utf-8")


def test_cuts_are_even_and_at_multiples_where_that_costs_little():
    assert cuts(64, 4, 16, 1) == [range(0, 16), range(16, 32), range(32, 48), range(48, 64)]
    assert [len(each) for each in cuts(37, 4, 16, 8, 1)] == [10, 9, 9, 9]
    assert [len(each) for each in cuts(3, 8, 1)] == [1, 1, 1]
    assert [len(each) for each in cuts(5, 2, 4)] == [4, 1]


X = Array(address=A, rows=8, columns=16)


@pytest.mark.parametrize(
    ("changes", "more", "message"),
    [
        ([], {"units": [4]}, "unit 4: give 0 to 3"),
        ([], {"units": [-1]}, "unit -1: give 0 to 3"),
        ([], {"units": []}, r"units = \[\]: give one or more, each once"),
        ([], {"units": [1, 1]}, r"units = \[1, 1\]: give one or more, each once"),
        ([], {"units": 2}, r"units = 2: give numbers of compute units, such as range\(2\)"),
        ([], {"units": ["one"]}, "unit = 'one': give a whole number"),
        ([], {"signal": (27, 1)}, "semaphore 27: kernels on unit 1 use 27, 28, 29, 30, 31; give another one"),
        ([], {"wait": 4}, r"semaphore 4: give its number and a value, such as \(4, 1\)"),
        ([], {"wait": (10, 1)}, "semaphore 10: kernels on unit 0 use 0, 1, 2, 3, 10; give another one"),
        (["command.semaphores=16"], {"units": [2]}, "unit 2: command.semaphores = 16 are enough for 2 units"),
    ],
)
def test_units_and_semaphores_that_cannot_be_are_refused(changes, more, message):
    chip = load("tiny", ["chip.compute_units=4", "command.semaphores=32", *changes])
    with pytest.raises(UserError, match=message):
        matmul_programs(chip, product(8, 8, 8), **more)
    with pytest.raises(UserError, match=message):
        vector_programs(chip, jobs.softmax(X, X), code_at=CODE, **more)


def test_a_plan_has_its_units_already():
    job = product(8, 8, 8)
    with pytest.raises(UserError, match="give units to plan_matmul"):
        matmul_programs(FOUR, job, plan_matmul(FOUR, job), units=[0])


@pytest.mark.parametrize("changes", [{"k": 7}, {"m": 7}, {"n": 9}, {"c": C}, {"transpose_b": True}])
def test_a_plan_of_another_product_is_refused(changes):
    job = product(8, 8, 8)
    with pytest.raises(UserError, match="the plan is of another product"):
        matmul_programs(FOUR, replace(job, **changes), plan_matmul(FOUR, job))


def test_a_product_with_a_plan_is_looked_at_too():
    job = product(8, 8, 8)
    with pytest.raises(UserError, match="matmul d lies on matmul a"):
        matmul_programs(FOUR, replace(job, d=replace(job.d, address=A)), plan_matmul(FOUR, job))


def test_the_largest_chip_lets_as_many_units_take_part_as_it_has_semaphores_for():
    assert len(plan_matmul(load("ppu810e"), product(1600, 1024, 1024)).units) == 50


def test_a_seed_that_is_no_whole_number_is_refused():
    with pytest.raises(UserError, match="matmul seed = 'one': give a whole number"):
        replace(product(8, 8, 8, "bf16"), result_format="bf16", seed="one")
