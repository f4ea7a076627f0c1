"""The loops over SoftFloat's own functions give what its Python interface gives."""

import numpy as np
import pytest
import softfloat
import softfloatpy
from compare import assert_same_bits
from openppu.formats.spec import BINARY32
from openppu_sim.reference.corners import random_triples

SEED = 20
WIDE = random_triples(BINARY32, 3000, np.random.default_rng(SEED))
NARROW = WIDE[1].astype(np.uint16)
INTEGERS = WIDE[2].view(np.int32)


def f32(bits):
    return softfloatpy.Float32.from_bytes(int(bits).to_bytes(4, "big"))


def pattern(number):
    return int.from_bytes(number.to_bytes(), "big")


@pytest.mark.parametrize(
    ("name", "loop", "scalar", "operands"),
    [
        ("f32_mulAdd", softfloat.mul_add, lambda a, b, c: softfloatpy.f32_mul_add(f32(a), f32(b), f32(c)), WIDE),
        ("f32_add", softfloat.add, lambda a, b: softfloatpy.f32_add(f32(a), f32(b)), WIDE[:2]),
        ("f32_mul", softfloat.mul, lambda a, b: softfloatpy.f32_mul(f32(a), f32(b)), WIDE[:2]),
        ("f32_to_f16", lambda a: softfloat.narrow(a, "fp16"), lambda a: f32(a).to_f16(), WIDE[:1]),
        ("f32_to_bf16", lambda a: softfloat.narrow(a, "bf16"), lambda a: f32(a).to_bf16(), WIDE[:1]),
        (
            "f16_to_f32",
            lambda a: softfloat.widen(a, "fp16"),
            lambda a: softfloatpy.Float16.from_bytes(int(a).to_bytes(2, "big")).to_f32(),
            [NARROW],
        ),
        (
            "bf16_to_f32",
            lambda a: softfloat.widen(a, "bf16"),
            lambda a: softfloatpy.BFloat16.from_bytes(int(a).to_bytes(2, "big")).to_f32(),
            [NARROW],
        ),
        (
            "i32_to_f32",
            softfloat.from_int32,
            lambda a: softfloatpy.i32_to_f32(softfloatpy.Int32.from_int(int(a))),
            [INTEGERS],
        ),
        ("f32_roundToInt", softfloat.round_to_whole, lambda a: f32(a).round_to_int(), WIDE[:1]),
    ],
)
def test_loop_equals_python_interface(name, loop, scalar, operands):
    actual = loop(*operands)
    expected = np.array([pattern(scalar(*each)) for each in zip(*operands, strict=True)], actual.dtype)
    assert_same_bits(actual, expected, f"{name}, seed {SEED}")
