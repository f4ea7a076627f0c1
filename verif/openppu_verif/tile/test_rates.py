"""The rates and latencies that ``docs/tile.md`` promises, from its formulas alone.

The cycle model is held against the tile in every run; here the tile is held against the words.
"""

from typing import Any

import cocotb
import numpy as np
from openppu_sim.cycles.tile import Cause, Stalls
from openppu_sim.lowering.tile import TileCommand

from openppu_verif.tile.bench import TileBench
from openppu_verif.tile.environment import Observation
from openppu_verif.tile.stimulus import block_command, filled_case


async def run(bench: TileBench, commands: list[TileCommand], label: str) -> Observation:
    """Run commands with free streams."""
    return await bench.run(filled_case(bench.config, bench.rng(), commands, label))


def round_trip(bench: TileBench) -> int:
    """Cycles from a row's issue until its accumulator is free, if it is not emitted."""
    return bench.config.rows * bench.config.latency + 3


@cocotb.test()
async def one_block_takes_the_documented_cycles(dut: Any) -> None:
    """R' + M + R*L + C + 9."""
    async with TileBench(dut) as bench:
        config = bench.config
        for fmt in config.formats:
            for m in {1, max(1, config.rows - 1), config.rows, config.rows + 3}:
                for k in {1, max(1, config.rows - 1), config.rows}:
                    command = block_command(config, fmt, m=m, k_last=k)
                    cycles = (await run(bench, [command], f"{fmt} m={m} k={k}")).cycles
                    wanted = k + m + config.rows * config.latency + config.columns + 9
                    assert cycles == wanted, f"{fmt} m={m} k={k}: {cycles} cycles, not {wanted}"


@cocotb.test()
async def a_block_takes_max_of_its_rows_and_the_arrays(dut: Any) -> None:
    """In steady state; with one row a block, weights load a row a cycle."""
    async with TileBench(dut) as bench:
        config = bench.config
        for m in {1, max(1, config.rows - 1), config.rows, config.rows + 1, 2 * config.rows + 1}:
            pace = max(m, config.rows)
            n_blocks = -(-round_trip(bench) // pace)
            assert m * n_blocks <= config.accumulators, "the tile has too few accumulators for this test"
            fmt = config.formats[m % len(config.formats)]
            cycles = []
            for k_blocks in (3, 13):
                command = block_command(config, fmt, m=m, n_blocks=n_blocks, k_blocks=k_blocks, a_k_stride=m)
                cycles.append((await run(bench, [command], f"{fmt} m={m} k_blocks={k_blocks}")).cycles)
            taken, wanted = cycles[1] - cycles[0], 10 * n_blocks * pace
            assert taken == wanted, f"{fmt} m={m}: {10 * n_blocks} blocks took {taken} cycles, not {wanted}"


@cocotb.test()
async def commands_of_any_formats_follow_without_a_bubble(dut: Any) -> None:
    """Rows enter the array in every cycle from the first to the last."""
    async with TileBench(dut) as bench:
        config = bench.config
        for m in (config.rows, config.rows + 1):
            order = [first for second in config.formats for first in config.formats for first in (first, second)]
            commands = [
                block_command(config, fmt, m=m, accumulator=place * m % config.accumulators, a_base=place)
                for place, fmt in enumerate(order)
            ]
            need = round_trip(bench) + config.columns + 3 + 2 * m
            assert need <= config.accumulators, "the tile has too few accumulators for this test"
            computes = (await run(bench, commands, f"m={m}")).timeline == Cause.COMPUTE
            rows = np.flatnonzero(computes)
            assert rows.size == m * len(commands)
            assert rows[-1] - rows[0] + 1 == rows.size, f"m={m}: {rows[-1] - rows[0] + 1 - rows.size} bubbles"


@cocotb.test()
async def one_row_commands_take_the_time_of_their_weights(dut: Any) -> None:
    """Ragged or not: k_last cycles a command, or what its accumulators take once all have been used."""
    async with TileBench(dut) as bench:
        config = bench.config
        # A command a cycle takes three requests in flight.
        for k in range(1 if config.outstanding > 2 else 2, config.rows + 1):
            commands = [
                block_command(config, config.formats[-1], m=1, k_last=k, accumulator=place % config.accumulators)
                for place in range(24)
            ]
            rows = np.flatnonzero((await run(bench, commands, f"k={k}")).timeline == Cause.COMPUTE)
            lap = max(k * config.accumulators, round_trip(bench) + config.columns + 3)
            laps, steps = rows[config.accumulators :] - rows[: -config.accumulators], np.diff(rows)
            assert rows.size == 24, f"k={k}: {rows.size} rows"
            assert laps.size or lap == k * config.accumulators, f"k={k}: too few commands for the accumulators"
            assert (laps == lap).all(), f"k={k}: accumulators were used again after {laps.tolist()} cycles, not {lap}"
            if lap == k * config.accumulators:
                assert (steps == k).all(), f"k={k}: rows came after {steps.tolist()} cycles"


@cocotb.test()
async def a_row_waits_for_its_accumulator_and_no_longer(dut: Any) -> None:
    """R*L + 3 cycles, or until it is read out R*L + C + 5 cycles after its issue."""
    async with TileBench(dut) as bench:
        config = bench.config
        fmt = config.formats[0]
        for emit, wanted in ((0, round_trip(bench)), (1, round_trip(bench) + config.columns + 3)):
            command = block_command(config, fmt, m=1, k_last=1, emit=emit)
            observation = await run(bench, [command, command, command], f"emit={emit}")
            steps = np.diff(np.flatnonzero(observation.timeline == Cause.COMPUTE))
            assert (steps == wanted).all(), f"emit={emit}: rows came after {steps.tolist()} cycles, not {wanted}"
            assert (observation.timeline == Cause.DEPENDENCE).any()


@cocotb.test()
async def offers_come_when_promised_whether_or_not_anyone_is_ready(dut: Any) -> None:
    """Requests 2 cycles after the command; results R*L + C + 6 cycles after the row."""
    async with TileBench(dut) as bench:
        config = bench.config
        commands = [block_command(config, config.formats[0], m=2)]
        stalls = Stalls(activation_requests=[False] * 9, weight_requests=[False] * 9)
        held = (await bench.run(filled_case(config, bench.rng(), commands, "held requests", stalls))).held
        assert held["activation_requests"].tolist() == held["weight_requests"].tolist() == list(range(2, 9))

        row = int(np.argmax((await run(bench, commands, "free")).timeline == Cause.COMPUTE))
        offer = row + config.rows * config.latency + config.columns + 6
        stalls = Stalls(results=[False] * (offer + 20))
        observation = await bench.run(filled_case(config, bench.rng(), commands, "held results", stalls))
        assert observation.held["results"].tolist() == list(range(offer, offer + 20))
        assert observation.cycles == offer + 20 + 2
