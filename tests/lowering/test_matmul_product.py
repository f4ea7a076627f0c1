"""Products cut into commands of the matmul engine: each legal, all of D once."""

import random

import numpy as np
import pytest
from openppu.config import load
from openppu.formats.spec import FORMATS
from openppu_sim.lowering.matmul import Ending, Result, product
from openppu_sim.reference.matmul_engine import MatmulEngineReference

SIZES = (1, 2, 7, 33, 64, 100, 250, 512)
A, B, D = 0, 1 << 22, 1 << 23


@pytest.mark.parametrize("preset", ["tiny", "demo", "ecp5", "ppu810e"])
def test_every_piece_is_legal_and_all_of_d_is_written_once(preset):
    chip = load(preset)
    reference = MatmulEngineReference(chip, np.broadcast_to(np.uint8(0), 1 << 24))
    chance = random.Random(1)
    for _ in range(150):
        m, k, n = (chance.choice(SIZES) for _ in range(3))
        fmt = chance.choice(chip.tile.formats)
        turned = dict(transpose_a=chance.randint(0, 1), transpose_b=chance.randint(0, 1))
        kind = dict(result=chance.choice([Result.SUMS, Result.CONVERTED]), result_format=FORMATS[fmt].code)
        commands = product(m, k, n, fmt, chip, a_address=A, b_address=B, d_address=D, **turned, **kind)
        assert {reference.refusal(each) for each in commands} == {Ending.OKAY}, (m, k, n, fmt, turned)
        stride = commands[0].d_stride
        element = 4 if kind["result"] == Result.SUMS else FORMATS[fmt].bits // 8
        written = np.zeros((m, n), int)
        for each in commands:
            row, place = divmod(each.d_address - D, stride)
            written[row : row + each.m, place // element : place // element + each.n] += 1
        assert (written == 1).all()


def test_pieces_give_the_product_s_bits():
    chip = load("tiny")
    memory = np.random.default_rng(1).integers(0, 256, 1 << 15).astype(np.uint8)
    places = dict(a_address=0, b_address=1 << 13, d_address=1 << 14)
    reference = MatmulEngineReference(chip, memory)
    for command in product(37, 20, 30, "int8", chip, transpose_a=1, **places):
        assert reference.run(command) == Ending.OKAY
    a = memory[: 20 * 40].reshape(20, 40)[:, :37].view(np.int8).astype(np.int32)
    b = memory[1 << 13 :][: 20 * 32].reshape(20, 32)[:, :30].view(np.int8).astype(np.int32)
    d = memory[1 << 14 :][: 37 * 128].view(np.int32).reshape(37, 32)[:, :30]
    assert (d == a.T @ b).all()
