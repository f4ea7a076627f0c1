"""Products with a function of each sum: right to the bit, whatever is cut, and what cannot be is refused."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from openppu.config import ChipConfig, load
from openppu.formats.spec import FORMATS
from openppu_sim.device.device import Device
from openppu_sim.errors import UserError
from openppu_sim.kernels.matmul import MatmulJob, Operand, matmul_programs
from openppu_sim.kernels.matmul_activation import activation_programs
from openppu_sim.kernels.vector import jobs as vector_jobs
from openppu_sim.kernels.vector.memory import Array, vector_programs
from openppu_sim.kernels.vector.parts import FUNCTIONS
from openppu_sim.reference.arithmetic import mul32
from openppu_sim.reference.formats import encode, from_binary32, int32_to_binary32
from openppu_sim.reference.functions import evaluate
from openppu_sim.reference.matmul import matmul as exact
from openppu_sim.reference.quantise import binary32_to_int8
from openppu_verif.chip import scaling

CHIP = load("tiny", ["tile.columns=8"])
TINY = load("tiny")
"""Its tile has half as many columns as the vector unit has lanes."""
TWO = scaling.chip(2)
FOUR = load("tiny", ["chip.compute_units=4", "command.semaphores=32"])

A, B, C, D, CODE, SUMS = 0x10_0000, 0x18_0000, 0x20_0000, 0x24_0000, 0x8000, 0x30_0000
FUSED, APART = 103_294, 162_202
SHAPES = {"one tile": (5, 9, 8), "ragged": (21, 37, 11), "many tiles": (40, 30, 52), "one row": (1, 64, 70)}


def size_of(name: str | None) -> int:
    return FORMATS[name].bits // 8 if name else 4


def job_of(m: int, k: int, n: int, **more) -> MatmulJob:
    given = dict(format="bf16", result_format="bf16", c=C, transpose_a=False, transpose_b=False) | more
    size = size_of(given["format"])
    a = Operand(address=A, stride=size * (m if given["transpose_a"] else k))
    b = Operand(address=B, stride=size * (k if given["transpose_b"] else n))
    return MatmulJob(
        **dict(m=m, n=n, k=k, a=a, b=b, d=Operand(address=D, stride=size_of(given["result_format"]) * n)) | given
    )


def operands(job: MatmulJob) -> list[np.ndarray]:
    """Random bits of A, B and C as numbers of a usual size."""
    rng = np.random.default_rng(job.m + job.k + job.n)
    if job.format == "int8":
        a, b = (rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((job.m, job.k), (job.k, job.n)))
        # Some sums are not numbers of binary32, and are rounded.
        return [a, b, rng.integers(-(1 << 27), 1 << 27, job.n, dtype=np.int32).view(np.uint32)]
    a, b = (
        encode(rng.standard_normal(shape, np.float32), FORMATS[job.format], saturate=False)
        for shape in ((job.m, job.k), (job.k, job.n))
    )
    return [a, b, rng.standard_normal(job.n).astype(np.float32).view(np.uint32)]


def put(device: Device, job: MatmulJob) -> None:
    a, b, bias = operands(job)
    for address, data in (
        (A, a.T if job.transpose_a else a),
        (B, b.T if job.transpose_b else b),
        (C, bias),
        (D, np.full(job.m * job.d.stride + 64, 0xA5, np.uint8)),
    ):
        device.write(address, np.ascontiguousarray(data))


def start(device: Device, *programs) -> int:
    """The clocks that they take; all semaphores are 0 in the end."""
    begin = device.cycles
    for each in programs:
        for queue, program in each.items():
            device.submit(queue, program)
    device.wait(1_000_000)
    taken = device.cycles - begin
    assert not any(device.semaphore(number) for number in range(device.config.command.semaphores))
    return taken


def fused(device: Device, job: MatmulJob, name: str, **more) -> tuple[np.ndarray, int]:
    """The bytes from D on, and the clocks."""
    put(device, job)
    programs = activation_programs(device.config, job, name, code_at=CODE, **more)
    device.write(CODE, programs.code)
    clocks = start(device, programs)
    return device.read(D, job.m * job.d.stride + 64, np.uint8), clocks


def apart(device: Device, job: MatmulJob, name: str, sum_scale: float | None = None) -> tuple[np.ndarray, int]:
    """The same of a product to 32-bit sums in memory, and the vector unit's job on these."""
    put(device, job)
    sums = Array(address=SUMS, rows=job.m, columns=job.n)
    result = Array(address=D, rows=job.m, columns=job.n, format=job.result_format or "binary32", stride=job.d.stride)
    product = replace(job, d=Operand(address=SUMS, stride=sums.pitch), result_format=None, scale=ONE, zero_point=0)
    more = dict(integer=job.format == "int8", scale=sum_scale)
    if job.result_format == "int8":
        more |= dict(result_scale=float(np.uint32(job.scale).view(np.float32)), zero_point=job.zero_point)
    follows = vector_jobs.scaled_function(name, sums, result, **more)
    follows = vector_programs(device.config, follows, code_at=CODE, wait=(4, 1))
    device.write(CODE, follows.code)
    clocks = start(device, matmul_programs(device.config, product, signal=(4, 1)), follows)
    return device.read(D, job.m * job.d.stride + 64, np.uint8), clocks


def from_numpy(job: MatmulJob, name: str, sum_scale: float | None = None) -> np.ndarray:
    """What it is by the references of each step."""
    a, b, bias = operands(job)
    start = np.broadcast_to(bias, (job.m, job.n)).copy() if job.c is not None else None
    found = exact(a, b, start, FORMATS[job.format])
    if job.format == "int8":
        found = int32_to_binary32(found)
    if sum_scale is not None:
        found = mul32(found, np.float32(sum_scale).view(np.uint32))
    found = evaluate(name, found) if name != "identity" else found
    if job.result_format == "int8":
        return binary32_to_int8(found, np.uint32(job.scale), job.zero_point)
    return from_binary32(found, FORMATS[job.result_format], saturate=False) if job.result_format else found


def check(chip: ChipConfig, job: MatmulJob, name: str, **scale) -> None:
    """All three alike, on the reference backend; nothing is written beside the result."""
    with Device(chip, "reference") as device:
        got, _ = fused(device, job, name, **scale)
    with Device(chip, "reference") as device:
        assert (got == apart(device, job, name, **scale)[0]).all()
    expected = from_numpy(job, name, **scale)
    assert (got[: job.m * job.d.stride].view(expected.dtype).reshape(expected.shape) == expected).all()


ONE = 0x3F80_0000
INT8 = dict(format="int8", result_format="int8", scale=0x4220_0000)
"""Times 40, so that results of a function within 1 or so are spread over int8."""
CHIPS = {"columns as lanes": CHIP, "fewer columns": TINY, "four units": FOUR}


@pytest.mark.parametrize("chip", CHIPS.values(), ids=CHIPS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize(
    ("changes", "name", "scale"),
    [
        ({}, "gelu", {}),
        ({"format": "int8"}, "silu", {"sum_scale": 2.0**-24}),
        (INT8, "tanh", {"sum_scale": 3e-8}),
    ],
)
def test_every_element_is_the_function_of_its_sum(chip, shape, changes, name, scale):
    check(chip, job_of(*shape, **changes), name, **scale)


@pytest.mark.parametrize("name", [each for each in FUNCTIONS if each not in ("relu", "identity")])
def test_each_function_of_sums_of_int8_and_bf16(name):
    check(TINY, job_of(9, 20, 13, c=None, result_format=None), name)
    check(TINY, job_of(9, 20, 13, **INT8 | {"zero_point": -7}), name, sum_scale=1e-8)


def test_infinite_results_are_the_ends_of_int8_whatever_the_zero_point():
    for zero_point in (-9, 9):
        check(TINY, job_of(9, 20, 13, **INT8 | {"zero_point": zero_point}), "exp", sum_scale=1.0)


@pytest.mark.parametrize("chip", [CHIP, TINY, FOUR], ids=CHIPS)
def test_results_lie_apart_in_the_scratchpad(chip):
    """Rows of as many elements as there are lanes, below the program."""
    programs = activation_programs(chip, job_of(40, 30, 52), "gelu", code_at=CODE)
    for unit in programs.plan.units:
        sizes: dict[int, int] = {}
        for store in unit.schedule.stores:
            rows = store.rows.count * -(-store.columns.count // chip.tile.columns)
            sizes[store.place] = max(sizes.get(store.place, 0), rows * 8 * 2)
        places = [*sorted(sizes), chip.scratchpad.capacity - len(programs.code)]
        assert len(places) > 2
        assert all(first + sizes[first] <= after for first, after in pairwise(places))


@pytest.mark.parametrize("fmt", ["int8", "fp8_e4m3", "fp8_e5m2", "fp16", "bf16"])
@pytest.mark.parametrize("turned", [(True, False), (False, True), (True, True)])
def test_all_formats_and_transposes(fmt, turned):
    more = dict(format=fmt, transpose_a=turned[0], transpose_b=turned[1])
    for result in (None, "int8", "fp8_e5m2", "fp16"):
        how = dict(scale=0x41A0_0000, zero_point=3) if result == "int8" else {}
        check(FOUR, job_of(14, 11, 19, result_format=result, **more, **how), "sigmoid", sum_scale=0.3)


def test_int8_to_int8_without_a_function_is_the_requantisation_of_matmul():
    """By sums that are scaled once, by 1 and then by the result's scale."""
    job = job_of(13, 30, 21, **INT8 | {"scale": 0x3B00_0000, "zero_point": 5, "c": None})
    with Device(TINY, "reference") as device:
        got, _ = fused(device, job, "identity")
        put(device, job)
        start(device, matmul_programs(TINY, job))
        assert (got == device.read(D, got.size, np.uint8)).all()
    assert len(np.unique(got)) > 50


@pytest.mark.parametrize("chip", CHIPS.values(), ids=CHIPS)
@pytest.mark.parametrize("changes", [{}, INT8], ids=["bf16", "int8"])
def test_the_cycle_model_runs_it(chip, changes):
    job, scale = job_of(*SHAPES["many tiles"], **changes), {"sum_scale": 1e-7} if changes else {}
    with Device(chip, "model") as device:
        got, _ = fused(device, job, "gelu", **scale)
    expected = from_numpy(job, "gelu", **scale)
    assert (got[: job.m * job.d.stride].view(expected.dtype).reshape(expected.shape) == expected).all()


@pytest.mark.parametrize("units", [[0], [2], [1, 3], [0, 1, 2], None])
def test_units_begin_with_one_semaphore_and_signal_once(units):
    """Twice, the second one of what the first one gives; so are a product and a vector job behind them."""
    job = job_of(40, 30, 52)
    again = job_of(40, 52, 30, a=Operand(address=D, stride=104), d=Operand(address=SUMS, stride=60))
    shifted = Array(address=SUMS, rows=40, columns=30, format="bf16")
    result = replace(shifted, address=SUMS + 0x8000)
    found = []
    for those in ([0], units):
        with Device(FOUR, "reference") as device:
            put(device, job)
            last = dict(units=those, wait=(6, 1), signal=(7, 1))
            programs = [
                activation_programs(FOUR, job, "gelu", code_at=CODE, units=those, wait=(4, 1), signal=(5, 1)),
                activation_programs(FOUR, again, "tanh", code_at=2 * CODE, units=those, wait=(5, 1), signal=(6, 1)),
                vector_programs(FOUR, vector_jobs.function("exp", shifted, result), code_at=3 * CODE, **last),
            ]
            if those is None:
                assert len(programs[0].plan.units) == 4
            for each in programs:
                device.write(each.code_at, each.code)
                for queue, program in each.items():
                    device.submit(queue, program)
            device.signal(4)
            device.wait()
            assert [number for number in range(32) if device.semaphore(number)] == [7]
            found.append(device.read(SUMS, 0x10000, np.uint8))
    assert (found[0] == found[1]).all()
    assert len(np.unique(found[0])) > 50


def test_kernels_on_different_units_run_at_the_same_time():
    first = job_of(40, 30, 52)
    second = replace(first, d=replace(first.d, address=SUMS))
    with Device(FOUR, "model") as device:
        put(device, first)
        for job, units, signal in ((first, [0, 2], (4, 1)), (second, [1, 3], (5, 1))):
            programs = activation_programs(FOUR, job, "gelu", code_at=CODE, units=units, signal=signal)
            device.write(CODE, programs.code)
            for queue, program in programs.items():
                device.submit(queue, program)
        device.wait(1_000_000)
        assert [number for number in range(32) if device.semaphore(number)] == [4, 5]
        for job in (first, second):
            assert (device.read(job.d.address, (job.m, job.n), np.uint16) == from_numpy(job, "gelu")).all()


def test_more_units_take_less_time():
    job, clocks = job_of(64, 32, 32), []
    for count in (1, 2, 4):
        with Device(FOUR, "model") as device:
            clocks.append(fused(device, job, "gelu", units=range(count))[1])
    assert clocks[0] > 1.8 * clocks[1]
    assert clocks[0] > 2.7 * clocks[2]


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, INT8], ids=["bf16", "int8"])
def test_the_rtl_gives_the_same_in_the_clocks_of_the_model(build_root, changes):
    job, scale, found = job_of(*SHAPES["many tiles"], **changes), {"sum_scale": 1e-7} if changes else {}, []
    for backend in ("rtl", "model"):
        with Device(TINY, backend, **({"build_root": build_root} if backend == "rtl" else {})) as device:
            found.append(fused(device, job, "gelu", **scale))
    assert (found[0][0] == found[1][0]).all()
    assert found[0][1] == found[1][1]


@pytest.mark.slow
def test_two_units_of_the_rtl_signal_once_in_the_clocks_of_the_model(build_root):
    job, clocks = job_of(*SHAPES["many tiles"]), []
    for backend in ("rtl", "model"):
        with Device(TWO, backend, **({"build_root": build_root} if backend == "rtl" else {})) as device:
            put(device, job)
            programs = activation_programs(TWO, job, "gelu", code_at=CODE, signal=(4, 1))
            assert len(programs.plan.units) == 2
            device.write(CODE, programs.code)
            begin = device.cycles
            for queue, program in programs.items():
                device.submit(queue, program)
            device.wait(1_000_000)
            clocks.append(device.cycles - begin)
            assert [number for number in range(32) if device.semaphore(number)] == [4]
            assert (device.read(D, (job.m, job.n), np.uint16) == from_numpy(job, "gelu")).all()
    assert clocks[0] == clocks[1]


@pytest.mark.slow
def test_it_takes_less_time_than_through_memory():
    """The clocks of docs/kernels.md."""
    job = job_of(128, 512, 64)
    with Device("demo", "model") as device:
        got, clocks = fused(device, job, "gelu")
    with Device("demo", "model") as device:
        expected, longer = apart(device, job, "gelu")
    assert (got == expected).all()
    assert (clocks, longer) == (FUSED, APART)


@pytest.mark.parametrize(
    ("chip", "changes", "name", "words"),
    [
        (CHIP, {}, "step", "'step'"),
        (CHIP, {"relu": True}, "gelu", "relu"),
        (CHIP, {"scale": 0x3F00_0000}, "gelu", "matmul scale, zero_point: of results in int8 alone; give sum_scale"),
        (CHIP, {"result_format": "int8", "zero_point": 128}, "gelu", "zero_point = 128: give -128 to 127"),
        (CHIP, {"result_format": "int8", "scale": 0.5}, "gelu", "matmul scale = 0.5: give a whole number"),
        (CHIP, {"result_format": "int8", "scale": -1}, "gelu", "matmul scale = -1: give the 32 bits of a binary32"),
        (load("demo"), {"format": "int8", "result_format": "fp16"}, "gelu", "result_format fp16: the vector unit has"),
        (load("tiny", ["command.semaphores=8"]), {}, "gelu", "command.semaphores = 8: this kernel needs 11"),
        (load("tiny", ["tile.columns=8", "tile.accumulators=8"]), {}, "gelu", "tile.accumulators = 8"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(chip, changes, name, words):
    with pytest.raises(UserError, match=words) as told:
        activation_programs(chip, replace(job_of(4, 4, 8), **changes), name, code_at=CODE)
    assert len(str(told.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"wait": (10, 1)}, "semaphore 10: kernels on unit 0 use 0, 1, 2, 3, 10; give another one"),
        ({"signal": (0, 1)}, "semaphore 0: kernels"),
        ({"signal": 8}, "semaphore 8: give its number and a value"),
        ({"units": [1]}, "unit 1: give 0 to 0"),
        ({"sum_scale": "half"}, "sum_scale = 'half': give a number"),
        ({"sum_scale": float("nan")}, "sum_scale = nan: give a number"),
        ({"sum_scale": 10**400}, "0: give a number that binary32 can hold"),
        ({"sum_scale": 1e39}, r"1e\+39: give a number that binary32 can hold"),
        ({"code_at": -1}, "code_at = -1: give at least 0"),
        ({"code_at": CHIP.hbm.capacity}, "gelu: its program: bytes 0x40000000 to "),
        ({"code_at": D}, "matmul d lies on gelu: its program, from byte 0x240000 on"),
    ],
)
def test_semaphores_and_places_that_are_taken_are_refused(more, words):
    with pytest.raises(UserError, match=words):
        activation_programs(CHIP, job_of(4, 4, 8), "gelu", **{"code_at": CODE, **more})
