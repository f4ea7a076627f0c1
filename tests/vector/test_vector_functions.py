"""The programs of the functions give the reference's bits, and those are within an ulp of the true values."""

import numpy as np
import pytest
from openppu.formats.spec import BINARY32
from openppu.vector.functions import PROGRAMS
from openppu.vector.lane import Lane
from openppu.vector.program import Constant, Program
from openppu_sim.reference.corners import corner_operands
from openppu_sim.reference.functions import FUNCTIONS, evaluate
from openppu_sim.reference.lane import run_lane
from openppu_verif.formats.pipeline_bench import PipelineBench

LIMIT = 131072
LARGEST = float(np.finfo(np.float32).max)
MOST_REGISTERS = 11
WORST = {
    "exp": 0.8,
    "log": 0.63,
    "reciprocal": 0.76,
    "sqrt": 0.51,
    "rsqrt": 0.51,
    "sigmoid": 0.81,
    "silu": 0.81,
    "gelu": 0.81,
    "tanh": 0.75,
    "sin": 0.75,
    "cos": 0.75,
}
"""Ulps from the true value, at most; a little over what docs/vector.md measured on more arguments."""


def every_bf16() -> np.ndarray:
    return np.arange(1 << 16, dtype=np.uint32) << 16


def sample(rng: np.random.Generator, n: int) -> np.ndarray:
    """binary32 patterns of all sizes, numbers of usual size, and corners."""
    usual = (rng.normal(size=n) * rng.choice([1e-3, 1, 10, 60], n)).astype(np.float32)
    return np.concatenate(
        [rng.integers(0, 1 << 32, n, dtype=np.uint32), usual.view(np.uint32), corner_operands(BINARY32)]
    )


def true_value(name: str, x: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # NaNs that signal
        d = x.astype(np.longdouble)
    root = np.sqrt(2 / np.longdouble("3.14159265358979323846264338327950288"))
    meanings = {
        "reciprocal": lambda: 1 / d,
        "rsqrt": lambda: 1 / np.sqrt(d),
        "sigmoid": lambda: 1 / (1 + np.exp(-d)),
        "silu": lambda: np.where(d == -np.inf, -0.0, d / (1 + np.exp(-d))),
        "gelu": lambda: np.where(
            d == -np.inf, -0.0, d / (1 + np.exp(-2 * root * (d + np.longdouble("0.044715") * d**3)))
        ),
        "sin": lambda: np.where(np.abs(d) <= LIMIT, np.sin(d), np.nan),
        "cos": lambda: np.where(np.abs(d) <= LIMIT, np.cos(d), np.nan),
    }
    with np.errstate(all="ignore"):
        value = meanings[name]() if name in meanings else getattr(np, name)(d)
        return np.asarray(value, dtype=np.float64)


def ulps(result: np.ndarray, true: np.ndarray) -> np.ndarray:
    size = np.maximum(np.abs(true), 2.0**-126)
    return np.abs(result.astype(np.float64) - true) / 2.0 ** (np.floor(np.log2(size)) - 23)


def play(program: Program, bits: np.ndarray) -> np.ndarray:
    registers: list[np.ndarray] = [bits] + [np.zeros_like(bits)] * (program.registers - 1)
    for step in program.steps:
        words = [each.bits if isinstance(each, Constant) else registers[each] for each in step.sources]
        registers[step.target] = np.broadcast_to(run_lane(step.operation, *words), bits.shape)
    return registers[program.result]


def test_reference_and_programs_have_the_same_functions():
    assert PROGRAMS.keys() == FUNCTIONS.keys() == WORST.keys()
    assert max(program.registers for program in PROGRAMS.values()) == MOST_REGISTERS


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_gives_the_bits_of_the_reference(name):
    bits = np.concatenate([every_bf16(), sample(np.random.default_rng(11), 40_000)])
    got, expected = play(PROGRAMS[name], bits), evaluate(name, bits)
    wrong = np.flatnonzero(got != expected)
    assert wrong.size == 0, f"{wrong.size} differ; {bits[wrong[0]]:#x}: {got[wrong[0]]:#x}, not {expected[wrong[0]]:#x}"


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_function_is_within_an_ulp_of_its_true_value_on_every_bf16_and_a_sample_of_binary32(name):
    bits = np.concatenate([every_bf16(), sample(np.random.default_rng(12), 150_000)])
    x = bits.view(np.float32)
    result, true = evaluate(name, bits), true_value(name, x)
    value = result.view(np.float32)
    assert (result[np.isnan(value)] == BINARY32.nan_bits).all()
    assert (np.isnan(value) == np.isnan(true)).all()
    # Too large for binary32 is infinity, where rounding to nearest says so.
    overflows = np.abs(true) >= LARGEST * (1 + 2.0**-25)
    assert (np.isinf(value) == overflows)[np.abs(true) != np.inf].all()
    assert (value[np.isinf(true)] == true[np.isinf(true)]).all()
    zeros = true == 0
    assert (np.signbit(value[zeros]) == np.signbit(true[zeros])).all()
    finite = np.isfinite(true) & ~overflows
    assert ulps(value[finite], true[finite]).max() <= WORST[name]


def test_steps_run_on_the_rtl_as_in_the_reference(build_root):
    """Each step of each program, with the words that it meets, on the emitted Verilog."""
    rng = np.random.default_rng(13)
    bits = rng.choice(np.concatenate([every_bf16(), sample(rng, 5_000)]), 2_000)
    rows: list[list[np.ndarray]] = []
    expected = []
    for program in PROGRAMS.values():
        registers = [bits] + [np.zeros_like(bits)] * (program.registers - 1)
        for step in program.steps:
            words = [np.full_like(bits, s.bits) if isinstance(s, Constant) else registers[s] for s in step.sources]
            words += [np.zeros_like(bits)] * (3 - len(words))
            rows.append([np.full_like(bits, step.operation.value), *words])
            registers[step.target] = run_lane(step.operation, *words)
            expected.append(registers[step.target])
    names = ("lane.operation", "lane.a", "lane.b", "lane.c")
    inputs = {name: np.concatenate([row[place] for row in rows]) for place, name in enumerate(names)}
    bench = PipelineBench("vector_function_lane", {"lane": (Lane(), Lane.LATENCY)}, build_root)
    assert (bench.run(inputs)["lane.result"] == np.concatenate(expected)).all()
