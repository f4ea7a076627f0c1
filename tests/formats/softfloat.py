"""Berkeley SoftFloat over whole arrays.

``softfloatpy`` calls SoftFloat once a Python call (2 us). Its extension module also exports SoftFloat's own functions,
so a few lines of C call them in a loop (10 ns). ``test_reference_softfloat.py`` holds the two against each other.
"""

import ctypes
import functools
import os
import shlex
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from softfloatpy import _core

# A SoftFloat number is a struct of one integer, which is passed as that integer in the usual ABIs.
_LOOPS = """
#include <stddef.h>
#include <stdint.h>
typedef struct { uint32_t v; } f32;
typedef struct { uint16_t v; } f16;
#define LOOP(NAME, TYPE, OUT, CALL, ...) \\
    void NAME(TYPE, size_t n, OUT *out, __VA_ARGS__) { for (size_t i = 0; i < n; i++) out[i] = CALL; }
LOOP(three, f32 (*f)(f32, f32, f32), f32, f(a[i], b[i], c[i]), const f32 *a, const f32 *b, const f32 *c)
LOOP(two, f32 (*f)(f32, f32), f32, f(a[i], b[i]), const f32 *a, const f32 *b)
LOOP(narrow, f16 (*f)(f32), f16, f(a[i]), const f32 *a)
LOOP(widen, f32 (*f)(f16), f32, f(a[i]), const f16 *a)
LOOP(from_integer, f32 (*f)(int32_t), f32, f(a[i]), const int32_t *a)
LOOP(to_whole, f32 (*f)(f32, uint8_t, _Bool), f32, f(a[i], 0, 0), const f32 *a)
"""


@functools.cache
def _loops() -> ctypes.CDLL:
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "loops.c"), Path(folder, "loops.so")
        source.write_text(_LOOPS)
        compiler = shlex.split(os.environ.get("CXX", "c++"))
        subprocess.run([*compiler, "-x", "c", "-O2", "-shared", "-fPIC", "-o", library, source], check=True)
        return ctypes.CDLL(str(library))


def _call(loop: str, function: str, result: type, *operands: np.ndarray) -> np.ndarray:
    arrays = [np.ascontiguousarray(x) for x in np.broadcast_arrays(*operands)]
    out = np.empty(arrays[0].shape, result)
    address = ctypes.cast(getattr(ctypes.CDLL(_core.__file__), function), ctypes.c_void_p)
    pointers = [ctypes.c_void_p(x.ctypes.data) for x in (out, *arrays)]
    _loops()[loop](address, ctypes.c_size_t(out.size), *pointers)
    return out


def mul_add(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """f32_mulAdd on arrays of uint32 patterns; NaNs as SoftFloat leaves them."""
    return _call("three", "f32_mulAdd", np.uint32, a, b, c)


def add(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """f32_add on arrays of uint32 patterns."""
    return _call("two", "f32_add", np.uint32, a, b)


def mul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """f32_mul on arrays of uint32 patterns."""
    return _call("two", "f32_mul", np.uint32, a, b)


def widen(a: np.ndarray, format_name: str) -> np.ndarray:
    """f16_to_f32 or bf16_to_f32 on an array of uint16 patterns."""
    return _call("widen", {"fp16": "f16_to_f32", "bf16": "bf16_to_f32"}[format_name], np.uint32, a)


def narrow(a: np.ndarray, format_name: str) -> np.ndarray:
    """f32_to_f16 or f32_to_bf16 on an array of uint32 patterns."""
    return _call("narrow", {"fp16": "f32_to_f16", "bf16": "f32_to_bf16"}[format_name], np.uint16, a)


def from_int32(a: np.ndarray) -> np.ndarray:
    """i32_to_f32 on an array of int32, to uint32 patterns."""
    return _call("from_integer", "i32_to_f32", np.uint32, a)


def round_to_whole(a: np.ndarray) -> np.ndarray:
    """f32_roundToInt, nearest even, on an array of uint32 patterns."""
    return _call("to_whole", "f32_roundToInt", np.uint32, a)
