"""Reset in the middle of anything; `parameters`: ``resets``, how many.

The environment variable ``OPENPPU_CASE`` runs the case of that number alone.
"""

import os
from dataclasses import replace
from typing import Any

import cocotb
import numpy as np
from openppu_sim.cycles.tile import Cause, simulate
from openppu_sim.lowering.tile import Addend
from openppu_sim.simulator.cocotb_runner import parameters

from openppu_verif.tile.bench import TileBench
from openppu_verif.tile.stimulus import block_command, filled_case, random_case


@cocotb.test()
async def a_tile_that_is_reset_in_the_middle_of_anything_works(dut: Any) -> None:
    """Random cases are cut off, each half of the time in a cycle of a cause chosen first; then one runs to its end."""
    chosen = os.environ.get("OPENPPU_CASE")
    cases = range(parameters()["resets"]) if chosen is None else [int(chosen)]
    async with TileBench(dut) as bench:
        for number in cases:
            await bench.reset()
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


@cocotb.test()
async def rows_in_flight_at_a_reset_are_forgotten(dut: Any) -> None:
    """Neither sum nor result of a row comes back after a reset, wherever in the array the row was then."""
    async with TileBench(dut) as bench:
        config = bench.config
        for emit in (0, 1):
            last = block_command(config, config.formats[0], m=1, k_last=1, emit=emit, accumulator=3)
            again = replace(last, emit=0)
            then = replace(last, addend=int(Addend.ACCUMULATOR), emit=1)
            before, after = (
                filled_case(config, bench.rng(), commands, f"emit={emit}")
                for commands in ([last], [again, then, again, then])
            )
            timeline = simulate([last], config).timeline
            for cycle in range(int(np.argmax(timeline == Cause.COMPUTE)), timeline.size):
                await bench.interrupt(before, cycle + 1)
                await bench.run(replace(after, label=f"emit={emit}, after a reset in cycle {cycle + 1}"))
