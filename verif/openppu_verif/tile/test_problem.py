"""Fixed matrix products, whose bits must not depend on the tile's size and latency.

`parameters`: ``problems``, a list of (format, m, k, n); ``results``, the file for each D, by the problem's place.
"""

from typing import Any

import cocotb
import numpy as np
from openppu.formats.spec import FORMATS
from openppu_sim.simulator.cocotb_runner import parameters

from openppu_verif.tile.bench import TileBench
from openppu_verif.tile.product import multiply
from openppu_verif.tile.stimulus import random_accumulators, random_operands


@cocotb.test()
async def problems_give_the_reference_bits(dut: Any) -> None:
    """A x B + C, with operands that follow from the seed and the problem alone."""
    given = parameters()
    results: dict[str, Any] = {}
    async with TileBench(dut) as bench:
        for place, (fmt, m, k, n) in enumerate(given["problems"]):
            rng = bench.rng(FORMATS[fmt].code, m, k, n)
            a, b = (random_operands(FORMATS[fmt], shape, rng) for shape in ((m, k), (k, n)))
            c = random_accumulators(FORMATS[fmt], (m, n), rng)
            results[str(place)] = await multiply(bench, fmt, a, b, c)
    np.savez(given["results"], **results)
