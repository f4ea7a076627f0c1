"""Devices on the reference backend: products of matrices by plans, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from ml_dtypes import bfloat16
from openppu.config import load
from openppu.formats.spec import FORMATS
from openppu_sim.device.backend import CommandError, open_backend
from openppu_sim.device.device import Cluster, Device
from openppu_sim.errors import SimulationError, UserError
from openppu_sim.kernels.matmul import MatmulJob, Operand, matmul_programs, plan_matmul
from openppu_sim.program.command import Command
from openppu_sim.reference.matmul import matmul as exact

TINY = load("tiny")
A, B, C, D = 0, 1 << 20, 3 << 19, 1 << 21
ROWS = {f"count_{dimension}": 1 for dimension in range(4)}


def multiply(device: Device, a, b, *, fmt: str, bias=None, transpose_a=False, transpose_b=False):
    """The 32-bit sums of a product on a device; a matrix may lie in memory as its transpose."""
    (m, k), n = a.shape, b.shape[1]
    a, b = a.T if transpose_a else a, b.T if transpose_b else b
    job = MatmulJob(
        m=m,
        n=n,
        k=k,
        format=fmt,
        a=Operand(address=A, stride=a.shape[1] * a.dtype.itemsize),
        b=Operand(address=B, stride=b.shape[1] * b.dtype.itemsize),
        d=Operand(address=D, stride=4 * n),
        transpose_a=transpose_a,
        transpose_b=transpose_b,
        c=C if bias is not None else None,
    )
    device.write(A, a)
    device.write(B, b)
    if bias is not None:
        device.write(C, bias)
    for queue, program in matmul_programs(device.config, job).items():
        device.submit(queue, program)
    device.wait(2_000_000)
    return device.read(D, (m, n), np.uint32)


@pytest.mark.parametrize(("m", "k", "n"), [(1, 1, 1), (16, 16, 16), (50, 37, 29), (3, 200, 7), (130, 5, 66)])
@pytest.mark.parametrize("fmt", ["int8", "bf16"])
def test_products_of_any_shape(m, k, n, fmt):
    rng = np.random.default_rng(m * k * n)
    with Device(TINY, "reference") as device:
        if fmt == "int8":
            a, b = (rng.integers(-128, 128, shape).astype(np.int8) for shape in ((m, k), (k, n)))
            bias = rng.integers(-1000, 1000, n).astype(np.int32)
            expected = (a.astype(np.int32) @ b.astype(np.int32) + bias).view(np.uint32)
        else:
            a, b = (rng.standard_normal(shape).astype(bfloat16) for shape in ((m, k), (k, n)))
            bias = rng.standard_normal(n).astype(np.float32)
            start = np.tile(bias.view(np.uint32), (m, 1))
            expected = exact(a.view(np.uint16), b.view(np.uint16), start, FORMATS["bf16"])
        assert (multiply(device, a, b, fmt=fmt, bias=bias) == expected).all()


@pytest.mark.parametrize(("m", "k", "n"), [(1, 1, 1), (50, 37, 29), (5, 200, 20)])
@pytest.mark.parametrize(("transpose_a", "transpose_b"), [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize("fmt", ["int8", "bf16"])
def test_products_of_transposes(m, k, n, transpose_a, transpose_b, fmt):
    rng = np.random.default_rng(m + k + n)
    with Device(TINY, "reference") as device:
        if fmt == "int8":
            a, b = (rng.integers(-128, 128, shape).astype(np.int8) for shape in ((m, k), (k, n)))
            expected = (a.astype(np.int32) @ b.astype(np.int32)).view(np.uint32)
        else:
            a, b = (rng.standard_normal(shape).astype(bfloat16) for shape in ((m, k), (k, n)))
            expected = exact(a.view(np.uint16), b.view(np.uint16), None, FORMATS["bf16"])
        found = multiply(device, a, b, fmt=fmt, transpose_a=transpose_a, transpose_b=transpose_b)
        assert (found == expected).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"m": 0}, "matmul m = 0: give at least 1"), ({"format": "fp16"}, "matmul format fp16: this chip has int8, bf16")],
)
def test_a_product_that_cannot_be_is_refused(changes, message):
    place = Operand(address=0, stride=8)
    given = {"m": 8, "n": 8, "k": 8, "format": "int8", "a": place, "b": place, "d": place} | changes
    with pytest.raises(UserError, match=f"^{message}"):
        plan_matmul(load("demo"), MatmulJob(**given))


def test_a_refused_command_is_named():
    with Device(TINY, "reference") as device:
        device.submit("load", [Command(name="LOAD", fields={"row": 8, "memory": TINY.hbm.capacity, **ROWS}, tag=4)])
        with pytest.raises(
            CommandError,
            match=r"^chip 0, queue load, command 0 \(4: LOAD .*\): BOUNDS, a range .* beyond its memory$",
        ):
            device.wait()


def test_programs_that_wait_for_ever_are_told():
    with Device(TINY, "reference") as device:
        device.submit("store", [Command(name="NOTHING", wait=(3, 1))])
        with pytest.raises(SimulationError, match="still work in: chip 0 store"):
            device.wait()


def test_two_chips_send_and_signal():
    rng = np.random.default_rng(1)
    data = rng.integers(0, 256, 4096, dtype=np.uint8)
    with Cluster(TINY, backend="reference") as cluster:
        cluster[0].write(0x1000, data)
        send = {"source": 0x1000, "target": 0x8000, "bytes": 4096, "chip": 1}
        cluster[0].submit("link", [Command(name="SEND", fields=send, signal=(5, 1), chip=1)])
        load_ = {"memory": 0x8000, "scratchpad": 64, "row": 4096, **ROWS}
        cluster[1].submit("load", [Command(name="LOAD", fields=load_, wait=(5, 1))])
        cluster.wait()
        assert (cluster[1].read(cluster[1].scratchpad(64), 4096, np.uint8) == data).all()


@pytest.mark.parametrize(
    ("address", "count", "message"),
    [
        (TINY.hbm.capacity - 4, 8, "8 bytes at"),
        (1 << 39 | TINY.scratchpad.capacity, 1, "1 bytes at"),
        (1 << 39 | 1 << 24, 1, "there is no compute unit 1"),
    ],
)
def test_memory_that_is_not_there_is_refused(address, count, message):
    with Device(TINY, "reference") as device, pytest.raises(UserError, match=message):
        device.read(address, count, np.uint8)


def test_backends_and_queues_that_do_not_exist_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"^backend 'fpga': give one of model, reference, rtl$"):
        open_backend("fpga", TINY, None, tmp_path)
    with Device(TINY, "reference") as device, pytest.raises(UserError, match="queue 'sing': give one of load, store"):
        device.submit("sing", [])


def test_results_may_be_rounded_stochastically():
    """Up or down to a neighbour, with the chances that make the mean right; another seed gives other results."""
    rng = np.random.default_rng(8)
    a, b = (rng.standard_normal((40, 40)).astype(bfloat16) for _ in range(2))
    expected = exact(a.view(np.uint16), b.view(np.uint16), None, FORMATS["bf16"])
    found = []
    with Device(TINY, "reference") as device:
        device.write(A, a)
        device.write(B, b)
        for seed in (1, 2):
            place = Operand(address=A, stride=80)
            job = MatmulJob(
                **{"m": 40, "n": 40, "k": 40, "format": "bf16", "a": place, "b": replace(place, address=B)},
                d=replace(place, address=D),
                result_format="bf16",
                seed=seed,
            )
            for queue, program in matmul_programs(TINY, job).items():
                device.submit(queue, program)
            device.wait()
            found.append(device.read(D, (40, 40), np.uint16).astype(np.uint32))
    for each in found:
        up = each != expected >> 16
        assert (each[up] == (expected[up] >> 16) + 1).all()
        assert abs(up.mean() - ((expected & 0xFFFF) / 65536).mean()) < 0.05
    assert 0.1 < (found[0] != found[1]).mean() < 0.6
    with pytest.raises(UserError, match="matmul seed = 1: only results of a float format"):
        replace(job, result_format=None, seed=1)
