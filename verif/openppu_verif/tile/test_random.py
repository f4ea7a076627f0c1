"""Random commands under random stalls; `parameters`: ``cases``, how many.

The environment variable ``OPENPPU_CASE`` runs a single case, by its number.
"""

import os
from typing import Any

import cocotb
from openppu_sim.simulator.cocotb_runner import parameters

from openppu_verif.tile.bench import TileBench
from openppu_verif.tile.stimulus import random_case


@cocotb.test()
async def random_commands_under_random_stalls(dut: Any) -> None:
    """Every bit, cycle and counter; in one case of four after a reset, else right after the case before."""
    chosen = os.environ.get("OPENPPU_CASE")
    cases = range(parameters()["cases"]) if chosen is None else [int(chosen)]
    async with TileBench(dut) as bench:
        for number in cases:
            rng = bench.rng(number)
            if number % 4 == 0:
                await bench.reset()
            label = f"OPENPPU_CASE={number} OPENPPU_SEED={bench.seed}"
            await bench.run(random_case(bench.config, rng, bench.known, label))
