"""Random commands under random stalls; `parameters`: ``cases``, how many.

The environment variable ``OPENPPU_CASE`` ends with the case of that number, and begins with the reset before it.
"""

import os
from typing import Any

import cocotb
from openppu_sim.simulator.cocotb_runner import parameters

from openppu_verif.tile.bench import TileBench
from openppu_verif.tile.stimulus import random_case

RESET_EVERY = 4
"""The cases between two resets follow each other on the tile as it is."""


@cocotb.test()
async def random_commands_under_random_stalls(dut: Any) -> None:
    """Every bit, cycle, cause and counter."""
    cases = range(parameters()["cases"])
    if "OPENPPU_CASE" in os.environ:
        last = int(os.environ["OPENPPU_CASE"])
        cases = range(last - last % RESET_EVERY, last + 1)
    async with TileBench(dut) as bench:
        for number in cases:
            rng = bench.rng(number)
            if number % RESET_EVERY == 0:
                await bench.reset()
            label = f"OPENPPU_CASE={number} OPENPPU_SEED={bench.seed}"
            await bench.run(random_case(bench.config, rng, bench.known, label))
