"""Reset in the middle of anything; `parameters`: ``resets``, how many."""

import os
from dataclasses import replace
from typing import Any

import cocotb
import numpy as np
from openppu_sim.cycles.tile import simulate
from openppu_sim.simulator.cocotb_runner import parameters

from openppu_verif.tile.bench import TileBench
from openppu_verif.tile.stimulus import random_case


@cocotb.test()
async def a_tile_that_is_reset_in_the_middle_of_anything_works(dut: Any) -> None:
    """Random cases are cut off, each half of the time in a cycle of a cause chosen first; then one runs to its end."""
    chosen = os.environ.get("OPENPPU_CASE")
    cases = range(parameters()["resets"]) if chosen is None else [int(chosen)]
    async with TileBench(dut) as bench:
        for number in cases:
            rng = bench.rng(number)
            label = f"OPENPPU_CASE={number} OPENPPU_SEED={bench.seed}"
            for _ in range(int(rng.integers(1, 3))):
                case = random_case(bench.config, rng, bench.known, label)
                case = replace(case, stalls=replace(case.stalls, commands=()))
                timeline = simulate(
                    case.workload.commands, bench.config, case.stalls, memory_latency=case.memory_latency
                ).timeline
                cycle = int(rng.integers(timeline.size))
                if rng.random() < 0.5:
                    cycle = int(rng.choice(np.flatnonzero(timeline == rng.choice(np.unique(timeline)))))
                await bench.interrupt(case, cycle + 1)
            await bench.run(random_case(bench.config, rng, bench.known, label + ", after the reset"))
