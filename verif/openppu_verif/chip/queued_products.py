"""Products that wait behind each other in all of the matmul engine's queues, each with rows that are added."""

import random

import numpy as np
from openppu.formats.spec import INT8
from openppu_sim.device.device import Device
from openppu_sim.device.driver import Driver
from openppu_sim.errors import SimulationError
from openppu_sim.lowering.matmul import Addend, MatmulCommand, Result
from openppu_sim.program.command import Command

from openppu_verif.chip.twin import Twin, matmul_fields

PRODUCTS = 64
ROWS, COLUMNS, DEPTH = 20, 9, 16
"""Of a product, at most: with more rows to add than the engine reads ahead."""

FACTORS, ADDENDS, RESULTS = 0, 0x2000, 0x4000
"""In the scratchpad: each begins there or up to its size later."""

SIZE, PITCH, PLACES = 0x1000, 960, 16
"""Bytes in which matrices begin, and that a product's results take at most; of those some places."""

SCALES = 0x3E80_0000, 0x3F00_0000, 0x3F80_0000
"""A quarter, a half, 1: many sums become middles between two numbers, where each bit of the scale matters."""

LIMIT = 20_000


def multiply_in_a_row(backend: Driver) -> None:
    """Give the engine products of any sizes, of matrices anywhere, as fast as it takes them.

    Raises
    ------
    SimulationError
        If a result is not the reference's.
    """
    device, twin, chance = Device(backend.chip, backend), Twin(backend.chip), random.Random(103)
    rng = np.random.default_rng(103)
    factors = rng.integers(-3, 4, ADDENDS).astype(np.int8)
    addends = rng.integers(-100, 101, (RESULTS - ADDENDS) // 4, np.int32)
    data = np.concatenate([factors.view(np.uint8), addends.view(np.uint8)])
    device.write(device.scratchpad(), data)
    twin.pad[: data.size] = data
    products = [_product(chance, RESULTS + PITCH * (number % PLACES)) for number in range(PRODUCTS)]
    for each in products:
        if error := twin.run("matmul", "MATMUL", matmul_fields(each)):
            raise SimulationError(f"the reference refuses {each}: {error}")
    device.submit("matmul", [Command(name="MATMUL", fields=matmul_fields(each)) for each in products])
    device.wait(LIMIT)
    found = device.read(device.scratchpad(RESULTS), PITCH * PLACES, np.uint8)
    if (found != twin.pad[RESULTS:][: found.size]).any():
        raise SimulationError("results of products differ from the reference's")


def _product(chance: random.Random, place: int) -> MatmulCommand:
    def within(begin: int, step: int) -> int:
        return begin + chance.randrange(SIZE // step) * step

    m, n, k = (chance.randint(1, most) for most in (ROWS, COLUMNS, DEPTH))
    return MatmulCommand(
        m=m, n=n, k=k, format=INT8.code, addend=Addend.SCRATCHPAD, accumulator=chance.randrange(64),
        transpose_a=chance.randint(0, 1), a_address=within(FACTORS, 8), a_stride=8 * chance.randint(2, 9),
        transpose_b=chance.randint(0, 1), b_address=within(FACTORS, 8), b_stride=8 * chance.randint(2, 9),
        c_address=within(ADDENDS, 32), c_stride=32 * chance.randint(2, 9),
        d_address=place, d_stride=16 * -(-n // 4), scale=chance.choice(SCALES),
        result=chance.choice((Result.SUMS, Result.CONVERTED)), result_format=INT8.code,
    )  # fmt: skip
