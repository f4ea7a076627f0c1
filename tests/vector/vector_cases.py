"""Computations on the vector unit, with what they should come to."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from openppu.config import load
from openppu.formats.spec import BINARY32, FORMATS
from openppu.vector.operation import Operation as Op
from openppu_sim.kernels.vector import elementwise, rowwise
from openppu_sim.kernels.vector.matrix import Matrix
from openppu_sim.kernels.vector.parts import FUNCTIONS
from openppu_sim.kernels.vector.plan import Plan, Unit
from openppu_sim.kernels.vector.stochastic import round_stochastically
from openppu_sim.reference.formats import decode, encode
from openppu_sim.reference.quantise import binary32_to_int8, int32_to_int8
from openppu_verif.vector.job_cases import true_function

CHIP = load(
    "demo", ["vector.formats=fp8_e4m3,fp8_e5m2,fp16,bf16", "scratchpad.banks=16", "scratchpad.bank_words=16384"]
)
"""8 MiB of scratchpad: what the vector unit is built for depends on it by the width of its addresses alone."""

WORD = CHIP.scratchpad.word_bytes
LANES = WORD // 4
PROGRAM_BYTES = 8192


@dataclass
class Scratchpad:
    """Memory in which matrices are laid out one after the other, behind the program."""

    memory: np.ndarray = field(default_factory=lambda: np.zeros(PROGRAM_BYTES, np.uint8))

    def matrix(self, rows: int, columns: int, values: np.ndarray | None = None, fmt: str = "binary32") -> Matrix:
        """Room for a matrix, with values if some are given: encoded as they are, or floats that are rounded."""
        size = {"binary32": 4}.get(fmt) or FORMATS[fmt].bits // 8
        chunk = LANES * size
        pitch = -(-columns * size // chunk) * chunk
        base = -(-self.memory.size // WORD) * WORD
        end = base + -(-rows * pitch // WORD) * WORD
        self.memory = np.concatenate([self.memory, np.full(end - self.memory.size, 0xA5, np.uint8)])
        matrix = Matrix(base=base, rows=rows, columns=columns, pitch=pitch, format=fmt)
        if values is not None:
            matrix.write(self.memory, bits_of(values, fmt))
        return matrix


def bits_of(values: np.ndarray, fmt: str) -> np.ndarray:
    """Floats as patterns of a format; patterns and integers as they are."""
    if values.dtype.kind == "f":
        single = values.astype(np.float32)
        return single.view(np.uint32) if fmt == BINARY32.name else encode(single, FORMATS[fmt])
    return values.view(f"u{values.itemsize}")


def floats(matrix: Matrix, memory: np.ndarray) -> np.ndarray:
    """A matrix's values in double precision."""
    bits = matrix.read(memory)
    single = bits.view(np.float32) if matrix.format == BINARY32.name else decode(bits, FORMATS[matrix.format])
    return np.asarray(single, np.float64)


@dataclass
class Case:
    """A plan, its scratchpad, and a check of what the scratchpad holds afterwards."""

    plan: Plan
    memory: np.ndarray
    check: Callable[[np.ndarray], None]


def _case(pad: Scratchpad, plan: Plan, check: Callable[[np.ndarray], None]) -> Case:
    plan.load(pad.memory)
    return Case(plan, pad.memory, check)


def unit() -> Unit:
    """The unit that all cases are planned for."""
    return Unit(chip=CHIP)


def near(got: np.ndarray, true: np.ndarray, relative: float, absolute: float = 0.0) -> None:
    """Each value within a relative or an absolute distance."""
    np.testing.assert_allclose(got, true, rtol=relative, atol=absolute)


def softmax(rows: int = 70, columns: int = 21, fmt: str = "binary32") -> Case:
    rng = np.random.default_rng(rows * columns)
    pad = Scratchpad()
    x = pad.matrix(rows, columns, rng.normal(size=(rows, columns)) * 4, fmt)
    powers = pad.matrix(CHIP.vector.strip_rows, columns)
    result = pad.matrix(rows, columns, fmt=fmt)
    values = floats(x, pad.memory)
    power = np.exp(values - values.max(1, keepdims=True))
    true = power / power.sum(1, keepdims=True)

    def check(memory: np.ndarray) -> None:
        near(floats(result, memory), true, 2e-6 if fmt == "binary32" else 2**-8, 1e-30)

    return _case(pad, rowwise.softmax(unit(), x, powers, result), check)


def rms_norm(rows: int = 66, columns: int = 37, fmt: str = "binary32") -> Case:
    rng = np.random.default_rng(rows * columns)
    pad = Scratchpad()
    x = pad.matrix(rows, columns, rng.normal(size=(rows, columns)) * 4, fmt)
    gain = pad.matrix(1, columns, rng.normal(size=(1, columns)))
    result = pad.matrix(rows, columns, fmt=fmt)
    values = floats(x, pad.memory)
    true = values / np.sqrt((values**2).mean(1, keepdims=True) + 1e-6) * floats(gain, pad.memory)

    def check(memory: np.ndarray) -> None:
        near(floats(result, memory), true, 2e-6 if fmt == "binary32" else 2**-8)

    return _case(pad, rowwise.rms_norm(unit(), x, gain, result), check)


def layer_norm(rows: int = 10, columns: int = 37) -> Case:
    rng = np.random.default_rng(columns)
    pad = Scratchpad()
    x = pad.matrix(rows, columns, rng.normal(size=(rows, columns)) + 3)
    gain = pad.matrix(1, columns, rng.normal(size=(1, columns)))
    bias = pad.matrix(1, columns, rng.normal(size=(1, columns)))
    result = pad.matrix(rows, columns)
    values = floats(x, pad.memory)
    apart = values - values.mean(1, keepdims=True)
    true = apart / np.sqrt((apart**2).mean(1, keepdims=True) + 1e-5)
    true = true * floats(gain, pad.memory) + floats(bias, pad.memory)
    return _case(
        pad, rowwise.layer_norm(unit(), x, gain, bias, result), lambda m: near(floats(result, m), true, 1e-5, 1e-6)
    )


def cross_entropy(rows: int = 35, columns: int = 10) -> Case:
    rng = np.random.default_rng(rows)
    pad = Scratchpad()
    x = pad.matrix(rows, columns, rng.normal(size=(rows, columns)) * 3)
    label = rng.integers(0, columns, rows).astype(np.int32)
    labels = pad.matrix(1, rows, label[None])
    powers = pad.matrix(CHIP.vector.strip_rows, columns)
    losses, gradient = pad.matrix(1, rows), pad.matrix(rows, columns, fmt="bf16")
    values = floats(x, pad.memory)
    apart = values - values.max(1, keepdims=True)
    total = np.exp(apart).sum(1)
    true_loss = np.log(total) - apart[np.arange(rows), label]
    slope = (np.exp(apart) / total[:, None] - np.eye(columns)[label]) / rows

    def check(memory: np.ndarray) -> None:
        near(floats(losses, memory)[0], true_loss, 3e-6, 3e-6)
        near(floats(gradient, memory), slope, 2**-8, 1e-8)

    return _case(pad, rowwise.cross_entropy(unit(), x, labels, powers, losses, gradient, scale=1 / rows), check)


def row_sum(rows: int = 19, columns: int = 29) -> Case:
    rng = np.random.default_rng(rows)
    pad = Scratchpad()
    x = pad.matrix(rows, columns, rng.normal(size=(rows, columns)), "fp16")
    result = pad.matrix(1, rows)
    true = floats(x, pad.memory).sum(1)
    return _case(pad, rowwise.row_sum(unit(), x, result), lambda m: near(floats(result, m)[0], true, 1e-5, 1e-5))


def column_sum(rows: int = 13, columns: int = 45) -> Case:
    rng = np.random.default_rng(rows)
    pad = Scratchpad()
    x = pad.matrix(rows, columns, rng.normal(size=(rows, columns)), "bf16")
    result = pad.matrix(1, columns)
    true = floats(x, pad.memory).sum(0)
    return _case(pad, rowwise.column_sum(unit(), x, result), lambda m: near(floats(result, m)[0], true, 1e-5, 1e-5))


def row_max(rows: int = 21, columns: int = 27) -> Case:
    rng = np.random.default_rng(rows)
    pad = Scratchpad()
    x = pad.matrix(rows, columns, rng.integers(-6, 7, (rows, columns)).astype(float), "fp8_e4m3")
    result, indices = pad.matrix(1, rows), pad.matrix(1, rows)
    values = floats(x, pad.memory)

    def check(memory: np.ndarray) -> None:
        assert (floats(result, memory)[0] == values.max(1)).all()
        assert (indices.read(memory)[0] == values.argmax(1)).all()

    return _case(pad, rowwise.row_max(unit(), x, result, indices), check)


def function(name: str, rows: int = 9, columns: int = 20) -> Case:
    rng = np.random.default_rng(len(name))
    pad = Scratchpad()
    x = pad.matrix(rows, columns, np.abs(rng.normal(size=(rows, columns))) + 0.1)
    result = pad.matrix(rows, columns)
    true = true_function(name, floats(x, pad.memory))
    return _case(
        pad, elementwise.function(unit(), name, x, result), lambda m: near(floats(result, m), true, 2e-7, 1e-9)
    )


def binary(operation: Op, shape: tuple[int, int] = (11, 19), second: tuple[int, int] | None = None) -> Case:
    rng = np.random.default_rng(3)
    pad = Scratchpad()
    x = pad.matrix(*shape, rng.normal(size=shape), "bf16")
    y = pad.matrix(*(second or shape), rng.normal(size=second or shape))
    result = pad.matrix(*shape)
    a, b = floats(x, pad.memory), floats(y, pad.memory)
    true = {Op.ADD: a + b, Op.MULTIPLY: a * b, Op.MAXIMUM: np.maximum(a, b)}[operation]
    return _case(
        pad, elementwise.binary(unit(), operation, x, y, result), lambda m: near(floats(result, m), true, 1e-6)
    )


def bias_gelu(rows: int = 12, columns: int = 18) -> Case:
    rng = np.random.default_rng(5)
    pad = Scratchpad()
    x = pad.matrix(rows, columns, rng.normal(size=(rows, columns)))
    bias = pad.matrix(1, columns, rng.normal(size=(1, columns)))
    result = pad.matrix(rows, columns, fmt="bf16")
    d = floats(x, pad.memory) + floats(bias, pad.memory)
    true = d * 0.5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (d + 0.044715 * d**3)))
    plan = elementwise.bias_activation(unit(), "gelu", x, bias, result)
    return _case(pad, plan, lambda m: near(floats(result, m), true, 2**-8, 1e-6))


def swiglu(rows: int = 8, columns: int = 24) -> Case:
    rng = np.random.default_rng(6)
    pad = Scratchpad()
    gate = pad.matrix(rows, columns, rng.normal(size=(rows, columns)), "bf16")
    x = pad.matrix(rows, columns, rng.normal(size=(rows, columns)), "bf16")
    result = pad.matrix(rows, columns)
    d = floats(gate, pad.memory)
    true = d / (1 + np.exp(-d)) * floats(x, pad.memory)
    return _case(pad, elementwise.swiglu(unit(), gate, x, result), lambda m: near(floats(result, m), true, 3e-7))


def requantise(integer: bool, channels: bool, zero_point: int, rows: int = 17, columns: int = 21) -> Case:
    rng = np.random.default_rng(7)
    pad = Scratchpad()
    if integer:
        values = rng.integers(-(2**31), 2**31, (rows, columns)).astype(np.int32) >> rng.integers(0, 30, (rows, columns))
        values = values.astype(np.int32)
    else:
        values = (rng.normal(size=(rows, columns)) * 1e4).astype(np.float32)
    x = pad.matrix(rows, columns, values)
    scales = (rng.random((1, columns)) / 100).astype(np.float32)
    scale = pad.matrix(1, columns, scales) if channels else float(scales[0, 0])
    result = pad.matrix(rows, columns, fmt="int8")
    bits = values.view(np.uint32)
    of_each = np.broadcast_to(scales if channels else scales[:, :1], values.shape).copy().view(np.uint32)
    true = (int32_to_int8 if integer else binary32_to_int8)(bits, of_each, zero_point)
    plan = elementwise.requantise(unit(), x, result, scale=scale, zero_point=zero_point, integer=integer)

    def check(memory: np.ndarray) -> None:
        assert (result.read(memory) == true).all()

    return _case(pad, plan, check)


def rope(rows: int = 9, half: int = 16) -> Case:
    rng = np.random.default_rng(8)
    pad = Scratchpad()
    whole = pad.matrix(rows, 2 * half, rng.normal(size=(rows, 2 * half)), "bf16")
    angles = rng.normal(size=(rows, half))
    cosines, sines = pad.matrix(rows, half, np.cos(angles)), pad.matrix(rows, half, np.sin(angles))
    out = pad.matrix(rows, 2 * half)

    def halves(matrix: Matrix) -> tuple[Matrix, Matrix]:
        size = matrix.element_bytes
        parts = [
            Matrix(
                base=matrix.base + n * half * size, rows=rows, columns=half, pitch=matrix.pitch, format=matrix.format
            )
            for n in range(2)
        ]
        return parts[0], parts[1]

    a, b = (floats(part, pad.memory) for part in halves(whole))
    c, s = floats(cosines, pad.memory), floats(sines, pad.memory)
    true = np.concatenate([a * c - b * s, b * c + a * s], 1)
    plan = elementwise.rope(unit(), halves(whole), cosines, sines, halves(out))
    return _case(pad, plan, lambda m: near(floats(out, m), true, 1e-6, 1e-6))


def sgd(rows: int = 7, columns: int = 30) -> Case:
    rng = np.random.default_rng(9)
    pad = Scratchpad()
    shape = (rows, columns)
    weights, velocity = pad.matrix(*shape, rng.normal(size=shape)), pad.matrix(*shape, rng.normal(size=shape))
    gradient = pad.matrix(*shape, rng.normal(size=shape), "bf16")
    w, v, g = (floats(each, pad.memory) for each in (weights, velocity, gradient))
    new = 0.9 * v + g + 0.01 * w
    plan = elementwise.sgd(unit(), weights, gradient, velocity, rate=0.1, momentum=0.9, decay=0.01)

    def check(memory: np.ndarray) -> None:
        near(floats(velocity, memory), new, 1e-5, 1e-6)
        near(floats(weights, memory), w - 0.1 * new, 1e-5, 1e-6)

    return _case(pad, plan, check)


def adamw(rows: int = 7, columns: int = 30) -> Case:
    rng = np.random.default_rng(10)
    pad = Scratchpad()
    shape = (rows, columns)
    weights, gradient = pad.matrix(*shape, rng.normal(size=shape)), pad.matrix(*shape, rng.normal(size=shape))
    first, second = pad.matrix(*shape, rng.normal(size=shape)), pad.matrix(*shape, rng.random(shape))
    w, g, m1, m2 = (floats(each, pad.memory) for each in (weights, gradient, first, second))
    n1, n2 = 0.9 * m1 + 0.1 * g, 0.999 * m2 + 0.001 * g * g
    move = n1 / (1 - 0.9**3) / (np.sqrt(n2 / (1 - 0.999**3)) + 1e-8)
    plan = elementwise.adamw(unit(), weights, gradient, first, second, step=3, rate=0.01)

    def check(memory: np.ndarray) -> None:
        near(floats(first, memory), n1, 1e-5, 1e-6)
        near(floats(second, memory), n2, 1e-5, 1e-6)
        near(floats(weights, memory), w * (1 - 0.0001) - 0.01 * move, 1e-5, 1e-6)

    return _case(pad, plan, check)


def stochastic(rows: int = 70, columns: int = 37) -> Case:
    """Against the generators in plain numpy; and the mean of many roundings is the number."""
    rng = np.random.default_rng(11)
    pad = Scratchpad()
    x = pad.matrix(rows, columns, rng.normal(size=(rows, columns)))
    result = pad.matrix(rows, columns, fmt="bf16")
    bits = x.read(pad.memory)
    strip = CHIP.vector.strip_rows
    width = -(-columns // LANES)
    true = np.zeros((rows, width * LANES), np.uint32)
    padded = np.zeros((rows, width * LANES), np.uint32)
    padded[:, :columns] = bits
    for number, first in enumerate(range(0, rows, strip)):
        state = np.arange(strip * LANES, dtype=np.uint32) * np.uint32(0x9E3779B9)
        state ^= np.uint32((1234 ^ number * 0x9E3779B9) & 0xFFFFFFFF)
        state = (state ^ state >> 16) * np.uint32(0x85EBCA6B)
        state = (state ^ state >> 13) * np.uint32(0xC2B2AE35)
        state = ((state ^ state >> 16) | 1).reshape(strip, LANES)
        for chunk in range(width):
            state = state ^ state << 13
            state = state ^ state >> 17
            state = state ^ state << 5
            here = padded[first : first + strip, LANES * chunk : LANES * (chunk + 1)]
            true[first : first + strip, LANES * chunk : LANES * (chunk + 1)] = here + (state[: len(here)] >> 16) >> 16

    def check(memory: np.ndarray) -> None:
        got = result.read(memory)
        assert (got == true[:, :columns]).all()
        up = got != bits >> 16
        assert abs(up.mean() - ((bits & 0xFFFF) / 65536).mean()) < 0.02

    return _case(pad, round_stochastically(unit(), x, result, seed=1234), check)


CASES: dict[str, Callable[[], Case]] = {
    "softmax": softmax,
    "softmax_bf16": lambda: softmax(9, 40, "bf16"),
    "rms_norm": rms_norm,
    "rms_norm_bf16": lambda: rms_norm(20, 64, "bf16"),
    "layer_norm": layer_norm,
    "layer_norm_whole": lambda: layer_norm(12, 32),
    "cross_entropy": cross_entropy,
    "row_sum": row_sum,
    "column_sum": column_sum,
    "row_max": row_max,
    "add": lambda: binary(Op.ADD),
    "multiply_row": lambda: binary(Op.MULTIPLY, (70, 19), (1, 19)),
    "maximum_column": lambda: binary(Op.MAXIMUM, (70, 19), (70, 1)),
    "bias_gelu": bias_gelu,
    "swiglu": swiglu,
    "requantise": lambda: requantise(False, False, 0),
    "requantise_channels": lambda: requantise(True, True, -5),
    "requantise_integers": lambda: requantise(True, False, 100),
    "rope": rope,
    "sgd": sgd,
    "adamw": adamw,
    "stochastic": stochastic,
    **{f"function_{name}": lambda name=name: function(name) for name in FUNCTIONS},
}
