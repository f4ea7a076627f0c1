"""Jobs of the vector unit on matrices in a device's memory, with what they should come to in double precision."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from openppu.formats.spec import BINARY32, FORMATS
from openppu.vector.operation import Operation as Op
from openppu_sim.device.device import Device
from openppu_sim.kernels.vector import jobs
from openppu_sim.kernels.vector.memory import Array, VectorJob, vector_programs
from openppu_sim.reference.arithmetic import mul32
from openppu_sim.reference.formats import bits_dtype, decode, encode, int32_to_binary32
from openppu_sim.reference.functions import evaluate
from openppu_sim.reference.quantise import binary32_to_int8, int32_to_int8

CODE, DATA = 0x1_0000, 0x4_0000
"""Addresses."""

LIMIT = 400_000


@dataclass
class Memory:
    """A device's memory, in which matrices are laid out one after the other, with random numbers."""

    device: Device
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(5))
    end: int = DATA

    def array(self, rows: int, columns: int, values: NDArray[Any] | None = None, fmt: str = "binary32") -> Array:
        """A matrix; floats are rounded to the format, integers stand as they are; without values it holds rubbish."""
        dtype = np.dtype(bits_dtype(BINARY32 if fmt == BINARY32.name else FORMATS[fmt]))
        # Rows end at any byte of a word, and there is something between them.
        stride = (columns + 1) * dtype.itemsize
        made = Array(address=self.end, rows=rows, columns=columns, format=fmt, stride=stride)
        whole = self.rng.integers(0, 255, (rows, columns + 1), dtype=np.uint8).astype(dtype)
        if values is not None:
            whole[:, :columns] = _bits(values, fmt)
        self.device.write(self.end, whole)
        self.end += whole.nbytes + 3 * dtype.itemsize
        self.end += -self.end % 4
        return made

    def normal(self, rows: int, columns: int, fmt: str = "binary32", scale: float = 1.0) -> Array:
        """A matrix of normally distributed numbers."""
        return self.array(rows, columns, self.rng.normal(size=(rows, columns)) * scale, fmt)

    def bits(self, array: Array) -> NDArray[Any]:
        """A matrix as patterns."""
        dtype = np.dtype(bits_dtype(BINARY32 if array.format == BINARY32.name else FORMATS[array.format]))
        count = array.pitch // dtype.itemsize
        flat = self.device.read(array.address, array.rows * count, dtype)
        return flat.reshape(array.rows, count)[:, : array.columns]

    def floats(self, array: Array) -> NDArray[np.float64]:
        """A matrix's values."""
        bits = np.ascontiguousarray(self.bits(array))
        fmt = array.format
        return (bits.view(np.float32) if fmt == BINARY32.name else decode(bits, FORMATS[fmt])).astype(np.float64)


def _bits(values: NDArray[Any], fmt: str) -> NDArray[Any]:
    if values.dtype.kind != "f":
        return values.view(f"u{values.itemsize}")
    single = values.astype(np.float32)
    return single.view(np.uint32) if fmt == BINARY32.name else encode(single, FORMATS[fmt])


Check = Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A job, the matrices that it writes, and a check of them against numpy."""

    job: VectorJob
    results: tuple[Array, ...]
    check: Check


def run(memory: Memory, case: Case, units: Iterable[int] | None = None) -> None:
    """Run a job on a device to its end."""
    device = memory.device
    programs = vector_programs(device.config, case.job, code_at=CODE, units=units)
    device.write(CODE, programs.code)
    for queue, program in programs.items():
        device.submit(queue, program)
    device.wait(LIMIT)


def near(memory: Memory, result: Array, true: Any, relative: float = 1e-5, absolute: float = 1e-6) -> None:
    """Raise AssertionError unless each value is within a relative or an absolute distance."""
    np.testing.assert_allclose(memory.floats(result), true, rtol=relative, atol=absolute)


def true_function(name: str, d: Any) -> Any:
    """Of positive numbers, in binary64."""
    inner = np.sqrt(2 / np.pi) * (d + 0.044715 * d**3)
    return {
        "identity": d,
        "relu": np.maximum(d, 0),
        "exp": np.exp(d),
        "log": np.log(d),
        "reciprocal": 1 / d,
        "sqrt": np.sqrt(d),
        "rsqrt": 1 / np.sqrt(d),
        "sigmoid": 1 / (1 + np.exp(-d)),
        "tanh": np.tanh(d),
        "silu": d / (1 + np.exp(-d)),
        "gelu": d * 0.5 * (1 + np.tanh(inner)),
        "sin": np.sin(d),
        "cos": np.cos(d),
    }[name]


def function(memory: Memory, name: str, rows: int, columns: int, fmt: str = "binary32") -> Case:
    x = memory.array(rows, columns, np.abs(memory.rng.normal(size=(rows, columns))) + 0.1, fmt)
    result = memory.array(rows, columns, fmt=fmt)
    true = true_function(name, memory.floats(x))
    relative = 1e-6 if fmt == "binary32" else 2**-8
    return Case(
        job=jobs.function(name, x, result), results=(result,), check=lambda: near(memory, result, true, relative)
    )


def binary(memory: Memory, operation: Any, shape: tuple[int, int], second: tuple[int, int]) -> Case:
    x, y = memory.normal(*shape, "bf16"), memory.normal(*second)
    result = memory.array(*shape)
    a, b = memory.floats(x), memory.floats(y)
    true = {Op.ADD: a + b, Op.MULTIPLY: a * b, Op.MAXIMUM: np.maximum(a, b)}[operation]
    return Case(job=jobs.binary(operation, x, y, result), results=(result,), check=lambda: near(memory, result, true))


def bias_gelu(memory: Memory, rows: int, columns: int) -> Case:
    x, bias = memory.normal(rows, columns), memory.normal(1, columns)
    result = memory.array(rows, columns, fmt="bf16")
    d = memory.floats(x) + memory.floats(bias)
    true = d * 0.5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (d + 0.044715 * d**3)))
    job = jobs.bias_activation("gelu", x, bias, result)
    return Case(job=job, results=(result,), check=lambda: near(memory, result, true, 2**-8))


def swiglu(memory: Memory, rows: int, columns: int) -> Case:
    gate, x = memory.normal(rows, columns, "bf16"), memory.normal(rows, columns, "bf16")
    result = memory.array(rows, columns)
    d = memory.floats(gate)
    true = d / (1 + np.exp(-d)) * memory.floats(x)
    return Case(job=jobs.swiglu(gate, x, result), results=(result,), check=lambda: near(memory, result, true))


def requantise(memory: Memory, rows: int, columns: int, *, channels: bool) -> Case:
    values = memory.rng.integers(-(2**20), 2**20, (rows, columns)).astype(np.int32)
    x, result = memory.array(rows, columns, values), memory.array(rows, columns, fmt="int8")
    scales = (memory.rng.random((1, columns)) / 3000).astype(np.float32)
    scale = memory.array(1, columns, scales) if channels else float(scales[0, 0])
    of_each = np.broadcast_to(scales if channels else scales[:, :1], values.shape).copy().view(np.uint32)
    true = int32_to_int8(values.view(np.uint32), of_each, 3)

    def check() -> None:
        np.testing.assert_array_equal(memory.bits(result), true)

    job = jobs.requantise(x, result, scale=scale, zero_point=3, integer=True)
    return Case(job=job, results=(result,), check=check)


def scaled_silu(memory: Memory, rows: int, columns: int) -> Case:
    """Of int32, to int8."""
    values = memory.rng.integers(-(2**30), 2**30, (rows, columns)).astype(np.int32)
    x, result = memory.array(rows, columns, values), memory.array(rows, columns, fmt="int8")
    scale, result_scale = (np.float32(each).view(np.uint32) for each in (1e-8, 20.5))
    found = evaluate("silu", mul32(int32_to_binary32(values.view(np.uint32)), scale))
    true = binary32_to_int8(found, result_scale, -7)

    def check() -> None:
        np.testing.assert_array_equal(memory.bits(result), true)

    job = jobs.scaled_function("silu", x, result, integer=True, scale=1e-8, result_scale=20.5, zero_point=-7)
    return Case(job=job, results=(result,), check=check)


def rope(memory: Memory, rows: int, half: int) -> Case:
    x, result = memory.normal(rows, 2 * half, "bf16"), memory.array(rows, 2 * half)
    angles = memory.rng.normal(size=(rows, half))
    cosines, sines = memory.array(rows, half, np.cos(angles)), memory.array(rows, half, np.sin(angles))
    a, b = np.split(memory.floats(x), 2, axis=1)
    c, s = memory.floats(cosines), memory.floats(sines)
    true = np.concatenate([a * c - b * s, b * c + a * s], 1)
    job = jobs.rope(x, cosines, sines, result)
    return Case(job=job, results=(result,), check=lambda: near(memory, result, true))


def relu_gradient(memory: Memory, rows: int, columns: int) -> Case:
    hidden = memory.array(rows, columns, np.maximum(memory.rng.normal(size=(rows, columns)), 0), "bf16")
    gradient, result = memory.normal(rows, columns), memory.array(rows, columns, fmt="bf16")
    true = memory.floats(gradient) * (memory.floats(hidden) > 0)
    job = jobs.relu_gradient(hidden, gradient, result)
    return Case(job=job, results=(result,), check=lambda: near(memory, result, true, 2**-8))


def sgd(memory: Memory, rows: int, columns: int, *, decay: float = 0.01) -> Case:
    weights, gradient, velocity = (memory.normal(rows, columns) for _ in range(3))
    moved, copy = memory.array(rows, columns), memory.array(rows, columns, fmt="bf16")
    w, g, v = (memory.floats(each) for each in (weights, gradient, velocity))
    new = 0.9 * v + g + decay * w

    def check() -> None:
        near(memory, velocity, new)
        near(memory, moved, w - 0.1 * new)
        near(memory, copy, w - 0.1 * new, 2**-8)
        np.testing.assert_array_equal(memory.floats(weights), w)

    job = jobs.sgd(weights, gradient, velocity, rate=0.1, momentum=0.9, decay=decay, to=(moved, velocity), copy=copy)
    return Case(job=job, results=(moved, velocity, copy), check=check)


def adamw(memory: Memory, rows: int, columns: int) -> Case:
    weights, gradient, first = (memory.normal(rows, columns) for _ in range(3))
    second = memory.array(rows, columns, memory.rng.random((rows, columns)))
    w, g, m1, m2 = (memory.floats(each) for each in (weights, gradient, first, second))
    n1, n2 = 0.9 * m1 + 0.1 * g, 0.999 * m2 + 0.001 * g * g
    move = n1 / (1 - 0.9**3) / (np.sqrt(n2 / (1 - 0.999**3)) + 1e-8)

    def check() -> None:
        near(memory, first, n1)
        near(memory, second, n2)
        near(memory, weights, w * (1 - 0.0001) - 0.01 * move)

    job = jobs.adamw(weights, gradient, first, second, step=3, rate=0.01)
    return Case(job=job, results=(weights, first, second), check=check)


def stochastic(memory: Memory, rows: int, columns: int) -> Case:
    """Every result is a neighbour; and the share that goes up is that which the mean asks for."""
    x, result = memory.normal(rows, columns), memory.array(rows, columns, fmt="bf16")

    def check() -> None:
        bits, got = memory.bits(x), memory.bits(result).astype(np.uint32)
        up = got != bits >> 16
        assert (got[up] == (bits[up] >> 16) + 1).all()
        assert abs(up.mean() - ((bits & 0xFFFF) / 65536).mean()) < 0.05

    return Case(job=jobs.round_stochastically(x, result, seed=7), results=(result,), check=check)


def row_sum(memory: Memory, rows: int, columns: int) -> Case:
    x, result = memory.normal(rows, columns, "fp16"), memory.array(1, rows)
    true = memory.floats(x).sum(1)
    return Case(
        job=jobs.row_sum(x, result), results=(result,), check=lambda: near(memory, result, true[None], 1e-5, 1e-5)
    )


def column_sum(memory: Memory, rows: int, columns: int) -> Case:
    x, result = memory.normal(rows, columns, "bf16"), memory.array(1, columns)
    true = memory.floats(x).sum(0)
    job = jobs.column_sum(x, result)
    return Case(job=job, results=(result,), check=lambda: near(memory, result, true[None], 1e-5, 1e-4))


def row_max(memory: Memory, rows: int, columns: int) -> Case:
    x = memory.array(rows, columns, memory.rng.integers(-6, 7, (rows, columns)).astype(float), "fp8_e4m3")
    result, indices = memory.array(1, rows), memory.array(1, rows)
    values = memory.floats(x)

    def check() -> None:
        np.testing.assert_array_equal(memory.floats(result)[0], values.max(1))
        np.testing.assert_array_equal(memory.bits(indices)[0], values.argmax(1))

    return Case(job=jobs.row_max(x, result, indices), results=(result, indices), check=check)


def softmax(memory: Memory, rows: int, columns: int, fmt: str = "binary32") -> Case:
    x, result = memory.normal(rows, columns, fmt, 4), memory.array(rows, columns, fmt=fmt)
    values = memory.floats(x)
    power = np.exp(values - values.max(1, keepdims=True))
    true = power / power.sum(1, keepdims=True)
    relative = 4e-6 if fmt == "binary32" else 2**-8
    return Case(
        job=jobs.softmax(x, result), results=(result,), check=lambda: near(memory, result, true, relative, 1e-30)
    )


def rms_norm(memory: Memory, rows: int, columns: int) -> Case:
    x, gain = memory.normal(rows, columns, "bf16", 4), memory.normal(1, columns)
    result = memory.array(rows, columns)
    values = memory.floats(x)
    true = values / np.sqrt((values**2).mean(1, keepdims=True) + 1e-6) * memory.floats(gain)
    return Case(job=jobs.rms_norm(x, gain, result), results=(result,), check=lambda: near(memory, result, true))


def layer_norm(memory: Memory, rows: int, columns: int) -> Case:
    x, gain, bias = memory.normal(rows, columns), memory.normal(1, columns), memory.normal(1, columns)
    result = memory.array(rows, columns)
    values = memory.floats(x)
    apart = values - values.mean(1, keepdims=True)
    true = apart / np.sqrt((apart**2).mean(1, keepdims=True) + 1e-5) * memory.floats(gain) + memory.floats(bias)
    job = jobs.layer_norm(x, gain, bias, result)
    return Case(job=job, results=(result,), check=lambda: near(memory, result, true, 1e-4, 1e-5))


def cross_entropy(memory: Memory, rows: int, columns: int) -> Case:
    x = memory.normal(rows, columns, scale=3)
    label = memory.rng.integers(0, columns, rows).astype(np.int32)
    labels, losses = memory.array(1, rows, label[None]), memory.array(1, rows)
    gradient = memory.array(rows, columns, fmt="bf16")
    values = memory.floats(x)
    apart = values - values.max(1, keepdims=True)
    total = np.exp(apart).sum(1)
    loss = np.log(total) - apart[np.arange(rows), label]
    slope = (np.exp(apart) / total[:, None] - np.eye(columns)[label]) / rows

    def check() -> None:
        near(memory, losses, loss[None], 3e-6, 3e-6)
        near(memory, gradient, slope, 2**-8, 1e-8)

    job = jobs.cross_entropy(x, labels, losses, gradient, scale=1 / rows)
    return Case(job=job, results=(losses, gradient), check=check)


Maker = Callable[[Memory], Case]

SMALL: dict[str, Maker] = {
    "exp_bf16": lambda memory: function(memory, "exp", 5, 20, "bf16"),
    "add": lambda memory: binary(memory, Op.ADD, (11, 19), (11, 19)),
    "multiply_row": lambda memory: binary(memory, Op.MULTIPLY, (18, 19), (1, 19)),
    "maximum_column": lambda memory: binary(memory, Op.MAXIMUM, (18, 19), (18, 1)),
    "bias_gelu": lambda memory: bias_gelu(memory, 12, 18),
    "swiglu": lambda memory: swiglu(memory, 8, 24),
    "requantise": lambda memory: requantise(memory, 17, 21, channels=False),
    "requantise_channels": lambda memory: requantise(memory, 5, 21, channels=True),
    "scaled_silu": lambda memory: scaled_silu(memory, 17, 21),
    "rope": lambda memory: rope(memory, 9, 16),
    "relu_gradient": lambda memory: relu_gradient(memory, 18, 13),
    "sgd": lambda memory: sgd(memory, 7, 30),
    "adamw": lambda memory: adamw(memory, 3, 30),
    "stochastic": lambda memory: stochastic(memory, 33, 37),
    "row_sum": lambda memory: row_sum(memory, 19, 29),
    "column_sum": lambda memory: column_sum(memory, 13, 45),
    "row_max": lambda memory: row_max(memory, 21, 27),
    "softmax": lambda memory: softmax(memory, 18, 21),
    "rms_norm": lambda memory: rms_norm(memory, 17, 37),
    "layer_norm": lambda memory: layer_norm(memory, 10, 37),
    "cross_entropy": lambda memory: cross_entropy(memory, 19, 10),
}
"""Of each kind, in one piece; all need but some thousand clocks."""

LARGE: dict[str, Maker] = {
    "exp": lambda memory: function(memory, "exp", 2, 2_100),
    "add": lambda memory: binary(memory, Op.ADD, (203, 41), (203, 41)),
    "add_wide": lambda memory: binary(memory, Op.ADD, (18, 1_100), (18, 1_100)),
    "multiply_row": lambda memory: binary(memory, Op.MULTIPLY, (40, 801), (1, 801)),
    "maximum_column": lambda memory: binary(memory, Op.MAXIMUM, (70, 425), (70, 1)),
    "column_sum": lambda memory: column_sum(memory, 211, 60),
    "column_sum_wide": lambda memory: column_sum(memory, 37, 1_003),
    "row_sum": lambda memory: row_sum(memory, 530, 29),
    "row_max": lambda memory: row_max(memory, 700, 27),
    "softmax": lambda memory: softmax(memory, 100, 75),
    "softmax_wide": lambda memory: softmax(memory, 3, 900, "bf16"),
    "rms_norm": lambda memory: rms_norm(memory, 50, 257),
    "layer_norm": lambda memory: layer_norm(memory, 20, 251),
    "cross_entropy": lambda memory: cross_entropy(memory, 333, 10),
    "sgd": lambda memory: sgd(memory, 76, 64, decay=0.0),
    "adamw": lambda memory: adamw(memory, 40, 64),
    "stochastic": lambda memory: stochastic(memory, 200, 37),
}
"""In several pieces, of rows, of columns, or of both, on a scratchpad of 32 KiB."""
