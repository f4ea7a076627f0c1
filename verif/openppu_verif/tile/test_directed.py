"""Each feature of the tile by itself, and the values that go wrong first."""

from dataclasses import replace
from itertools import product
from typing import Any

import cocotb
import numpy as np
from openppu.formats.spec import FORMATS
from openppu_sim.cycles.tile import Cause, Stalls
from openppu_sim.lowering.tile import Addend
from openppu_sim.reference.corners import corner_operands
from openppu_sim.reference.formats import encode

from openppu_verif.tile.bench import TileBench
from openppu_verif.tile.environment import STREAMS, Observation
from openppu_verif.tile.product import multiply
from openppu_verif.tile.stimulus import (
    REFUSALS,
    block_command,
    filled_case,
    garbage,
    random_accumulators,
    random_operands,
    refused,
    unknown_formats,
)

COMMANDS_WAITING = 3
"""Commands that a tile takes before it has issued a row: one in a fetcher, two in its queue."""


@cocotb.test()
async def products_of_every_small_shape(dut: Any) -> None:
    """M, K and N about the sizes of the array and of two arrays, the formats in turn."""
    async with TileBench(dut) as bench:
        rows, columns, rng = bench.config.rows, bench.config.columns, bench.rng()
        ms = sorted({1, rows, rows + 1, 2 * rows + 3})
        ks = sorted({1, max(1, rows - 1), rows, rows + 1, 2 * rows, 3 * rows - 1})
        ns = sorted({1, max(1, columns - 1), columns, columns + 1, 2 * columns})
        for number, (m, k, n) in enumerate(product(ms, ks, ns)):
            fmt = bench.config.formats[number % len(bench.config.formats)]
            a, b = (random_operands(FORMATS[fmt], shape, rng) for shape in ((m, k), (k, n)))
            c = random_accumulators(FORMATS[fmt], (m, n), rng) if number % 3 else None
            await multiply(bench, fmt, a, b, c)


@cocotb.test()
async def corner_values_against_each_other(dut: Any) -> None:
    """NaN, infinity, zeros, subnormals, the largest: every pair, to random addends and on top of each other."""
    async with TileBench(dut) as bench:
        rng = bench.rng()
        for fmt in bench.config.formats:
            corners = corner_operands(FORMATS[fmt])
            corners = rng.choice(corners, min(48, corners.size), replace=False)
            c = random_accumulators(FORMATS[fmt], (corners.size, corners.size), rng)
            await multiply(bench, fmt, corners[:, None], corners[None, :], c)
            await multiply(bench, fmt, rng.permutation(corners)[:, None], corners[None, :], None)
            a = rng.choice(corners, (9, bench.config.rows + 2))
            await multiply(bench, fmt, a, rng.choice(corners, (a.shape[1], 7)), None)


@cocotb.test()
async def padding_keeps_minus_zero_and_hides_garbage(dut: Any) -> None:
    """A short block after a full one of NaN weights; its own activations hold garbage past k_last."""
    async with TileBench(dut) as bench:
        config, rng = bench.config, bench.rng()
        for fmt, k_last in product(config.formats, range(1, config.rows + 1)):
            full = block_command(config, fmt, emit=0)
            short = replace(full, addend=int(Addend.STREAM), emit=1, k_last=k_last, a_base=config.rows,
                            b_base=config.rows)  # fmt: skip
            case = filled_case(config, rng, [full, short], f"{fmt} k_last={k_last}")
            work, spec = case.workload, FORMATS[fmt]
            one, minus_zero = encode(np.array([1, -0.0], np.float32), spec)
            work.weights[: config.rows] = garbage(spec, (config.rows, config.columns), rng)
            work.activations[config.rows : 2 * config.rows] = garbage(spec, (config.rows, config.rows), rng)
            work.activations[config.rows : 2 * config.rows, :k_last] = minus_zero
            work.weights[config.rows : config.rows + k_last] = one
            work.addends[:] = 0x80000000
            results = (await bench.run(case)).results
            assert (results == 0x80000000).all(), f"{case.label}: {results[results != 0x80000000][0]:#x}, not -0"


@cocotb.test()
async def accumulators_carry_sums_from_command_to_command(dut: Any) -> None:
    """Start from the stream, add twice without a result, emit; start from zero, emit at last."""
    async with TileBench(dut) as bench:
        config, rng = bench.config, bench.rng()
        stride = config.rows
        for fmt in config.formats:
            steps = [(Addend.STREAM, 0), (Addend.ACCUMULATOR, 0), (Addend.ACCUMULATOR, 0), (Addend.ACCUMULATOR, 1),
                     (Addend.ACCUMULATOR, 1), (Addend.ZERO, 0), (Addend.ACCUMULATOR, 1), (Addend.ZERO, 1),
                     (Addend.STREAM, 1)]  # fmt: skip
            commands = [
                block_command(config, fmt, addend=int(addend), emit=emit, n_blocks=2, k_blocks=2, accumulator=5,
                              a_base=5 * place, b_base=7 * place, a_k_stride=stride)
                for place, (addend, emit) in enumerate(steps)
            ]  # fmt: skip
            await bench.run(filled_case(config, rng, commands, fmt))


@cocotb.test()
async def commands_that_share_accumulators_run_in_order(dut: Any) -> None:
    """Overlapping ranges, blocks of one command that wrap onto each other, formats that read each other's sums."""
    async with TileBench(dut) as bench:
        config, rng = bench.config, bench.rng()
        last = config.accumulators - 1
        for fmt, other in zip(config.formats, config.formats[::-1], strict=True):
            commands = [
                block_command(config, fmt, m=config.accumulators, emit=0),
                block_command(config, fmt, m=3, accumulator=last),
                block_command(config, other, m=3, accumulator=0, addend=int(Addend.ACCUMULATOR), b_base=9),
                block_command(config, fmt, m=2, accumulator=last, addend=int(Addend.ACCUMULATOR), a_base=7),
                block_command(config, other, m=config.accumulators - 1, n_blocks=2, emit=0),
                block_command(config, fmt, m=3, n_blocks=3, accumulator=1, addend=int(Addend.ACCUMULATOR)),
            ]
            observation = await bench.run(filled_case(config, rng, commands, f"{fmt} and {other}"))
            assert (observation.timeline == Cause.DEPENDENCE).any()


@cocotb.test()
async def refused_commands_do_nothing_else(dut: Any) -> None:
    """Each kind alone, each between two good commands, and all in a row."""
    async with TileBench(dut) as bench:
        config, rng = bench.config, bench.rng()
        good = block_command(config, config.formats[0], n_blocks=2)
        bad = [refused(good, config, why) for why in REFUSALS]
        bad += [replace(good, format=code) for code in unknown_formats(config)]
        cases = [[command] for command in bad] + [[good, command, good] for command in bad]
        cases += [[*bad, good], [good, *bad, *bad]]
        for commands in cases:
            observation = await bench.run(filled_case(config, rng, commands, f"{commands}"))
            assert observation.counters["refused"] == sum(command in bad for command in commands)


@cocotb.test()
async def a_starved_tile_names_what_it_lacks(dut: Any) -> None:
    """Each stream in turn is held for 60 cycles."""
    async with TileBench(dut) as bench:
        config, rng = bench.config, bench.rng()
        command = block_command(config, config.formats[-1], addend=int(Addend.STREAM))
        causes = {
            "activations": Cause.ACTIVATIONS,
            "activation_requests": Cause.ACTIVATIONS,
            "weights": Cause.WEIGHTS,
            "weight_requests": Cause.WEIGHTS,
            "addends": Cause.ADDENDS,
            "results": Cause.OUTPUT,
        }
        for name in STREAMS:
            commands = [replace(command, m=min(8, config.accumulators))] * 4
            case = filled_case(config, rng, commands, f"{name} held", Stalls(**{name: [False] * 60}))
            timeline = (await bench.run(case)).timeline
            free = (await bench.run(replace(case, stalls=Stalls()))).timeline
            if name in causes:
                longer = int((timeline == causes[name]).sum() - (free == causes[name]).sum())
                assert longer > 20, f"{name} held for 60 cycles, {longer} more cycles of {causes[name].name.lower()}"
            else:
                assert timeline.size == free.size


@cocotb.test()
async def a_tile_asks_for_no_more_than_it_may(dut: Any) -> None:
    """``outstanding`` requests and three commands, as long as nothing is answered."""
    async with TileBench(dut) as bench:
        config, rng = bench.config, bench.rng()
        command = block_command(config, config.formats[0], m=config.accumulators, n_blocks=8, k_blocks=8)
        stalls = Stalls(activations=[False] * 300, weights=[False] * 300)
        case = filled_case(config, rng, [command] * 6, "no answers", stalls)
        observation: Observation = await bench.interrupt(case, 200)
        wanted = min(config.outstanding, command.rows)
        assert len(observation.activation_requests) == wanted
        assert len(observation.weight_requests) == config.outstanding
        assert observation.counters["commands"] == COMMANDS_WAITING


@cocotb.test()
async def nothing_is_taken_that_was_not_asked_for(dut: Any) -> None:
    """Operands and addends that are offered to an idle tile wait."""
    async with TileBench(dut) as bench:
        environment = bench.environment
        offered = (environment.activations, environment.weights, environment.addends)
        for source in offered:
            source.allow(())
            source.put(0)
        for cycle in range(20):
            await environment.drive(cycle)
            taken = [source.name for source in offered if source.sample()]
            assert not taken, f"cycle {cycle}: {', '.join(taken)} taken from an idle tile's surroundings"
            await environment.rise()
        await bench.reset()
        await bench.run(filled_case(bench.config, bench.rng(), [block_command(bench.config, bench.config.formats[0])],
                                    "after the reset"))  # fmt: skip
