"""Whole matrix products on the tile, held against the reference's product of the whole matrices."""

import numpy as np
from openppu.formats.spec import FORMATS
from openppu_sim.lowering.tile import Addend, plan
from openppu_sim.reference.formats import Bits, Bits32
from openppu_sim.reference.matmul import matmul

from openppu_verif.tile.bench import TileBench
from openppu_verif.tile.stimulus import plan_case


async def multiply(bench: TileBench, fmt: str, a: Bits, b: Bits, c: Bits32 | None) -> Bits32:
    """A x B + C as a plan runs it; the same bits as the reference has for the whole matrices, whatever the tiling."""
    (m, k), n = a.shape, b.shape[1]
    product_plan = plan(m, k, n, fmt, bench.config, addend=Addend.ZERO if c is None else Addend.STREAM)
    label = f"{fmt} {m}x{k}x{n}"
    d = product_plan.assemble((await bench.run(plan_case(product_plan, a, b, c, label))).results)
    wanted = matmul(a, b, c, FORMATS[fmt])
    assert np.array_equal(d, wanted), f"{label}: {np.count_nonzero(d != wanted)} elements are not the reference's"
    return d
