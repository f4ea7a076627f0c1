"""The vector unit takes a product's sums from the accumulators, on the RTL as on the reference."""

import numpy as np
import pytest
from ml_dtypes import bfloat16
from openppu.config import load
from openppu.formats.spec import FORMATS
from openppu.vector.command import ACCUMULATORS
from openppu_sim.device.device import Device
from openppu_sim.kernels.vector.assembly import image, parse
from openppu_sim.kernels.vector.commands import LoadProgram, Run, SetStream, fields_of, name_of
from openppu_sim.lowering.matmul import Addend, Result
from openppu_sim.program.command import Command
from openppu_sim.reference.matmul import matmul as exact

TINY = load("tiny")
M, N, K = 11, 8, 26
WORD, COLUMNS = TINY.scratchpad.word_bytes, TINY.tile.columns
A, B, D, CODE = 0x0000, 0x2000, 0x4000, 0x6000
SUMMED, READ = 0, 1
FIRST = 5
"""Row of accumulators."""

LEAKY = """
loop 0
  r0 = COPY s0
  r1 = MULTIPLY r0, p0
  s4 = MAXIMUM r0, r1
end
stop
"""


def product(depth: range, *, last: bool, **more) -> Command:
    """Of the columns ``depth`` of A; sums are kept when all of them are in."""
    fields = {
        **{"m": M, "n": N, "k": len(depth), "format": FORMATS["bf16"].code, "accumulator": FIRST},
        **{"a_address": A + 2 * depth.start, "a_stride": 64, "b_address": B + 16 * depth.start, "b_stride": 16},
        "addend": Addend.ACCUMULATORS if depth.start else Addend.ZERO,
        "result": Result.KEPT if last else Result.NONE,
    }
    return Command(name="MATMUL", fields=fields, **more)


def run(device: Device, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of the product of two pairs of matrices, one after the other in the same accumulators, what is above 0, and an
    eighth of what is below."""
    code = parse(LEAKY)
    device.write(device.scratchpad(CODE), image(code))
    rows = M * (N // COLUMNS)
    sums = SetStream(stream=0, base=ACCUMULATORS + FIRST * WORD, counts=(rows,), strides=(WORD,))
    first, second = (SetStream(stream=4, base=D + n * rows * WORD, counts=(rows,), strides=(WORD,)) for n in (0, 1))
    do = Run(rows=M, counts=(N // COLUMNS,), parameters=(int(np.float32(0.125).view(np.uint32)),))
    padded = np.zeros((M, 32), bfloat16)
    padded[:, :K] = a
    device.write(device.scratchpad(A), padded)
    device.write(device.scratchpad(B), b)
    device.submit(
        "matmul",
        [
            product(range(16), last=False),
            product(range(16, K), last=True, signal=(SUMMED, 1)),
            product(range(8), last=True, wait=(READ, 1), signal=(SUMMED, 1)),
        ],
    )
    setting = [LoadProgram(source=CODE, count=len(code)), sums, first]
    device.submit(
        "vector",
        [
            *(Command(name=name_of(each), fields=fields_of(each)) for each in setting),
            Command(name=name_of(do), fields=fields_of(do), wait=(SUMMED, 1), signal=(READ, 1)),
            Command(name=name_of(second), fields=fields_of(second)),
            Command(name=name_of(do), fields=fields_of(do), wait=(SUMMED, 1)),
        ],
    )
    device.wait(100_000)
    found = device.read(device.scratchpad(D), (2, N // COLUMNS, M, WORD // 4), np.float32)
    assert not found[..., COLUMNS:].any(), "lanes past the columns are 0"
    return found[..., :COLUMNS].swapaxes(1, 2).reshape(2, M, N)


@pytest.mark.parametrize("backend", ["reference", "model", "rtl"])
def test_sums_are_read_where_they_were_added_up(build_root, backend):
    rng = np.random.default_rng(8)
    a, b = rng.standard_normal((M, K)).astype(bfloat16), rng.standard_normal((K, N)).astype(bfloat16)
    with Device(TINY, backend, build_root=build_root) as device:
        found = run(device, a, b)
    for got, depth in zip(found, (K, 8), strict=True):
        left, right = (np.ascontiguousarray(each).view(np.uint16) for each in (a[:, :depth], b[:depth]))
        sums = exact(left, right, None, FORMATS["bf16"]).view(np.float32)
        assert (got == np.maximum(sums, np.float32(0.125) * sums)).all()
