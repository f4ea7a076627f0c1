"""The engine on a real scratchpad: ports that fit, the bits of the reference, the cycles of the model."""

from typing import Any

import numpy as np
from amaranth import Module
from amaranth.lib import wiring
from amaranth.sim import Simulator
from openppu.config import load
from openppu.formats.spec import FORMATS
from openppu.matmul.engine import MatmulEngine
from openppu.scratchpad.scratchpad import Scratchpad
from openppu_sim.cycles.matmul_engine import predict
from openppu_sim.lowering.matmul import Ending, MatmulCommand, Result
from openppu_sim.reference.matmul_engine import MatmulEngineReference

CHIP = load(
    "tiny",
    [
        *("tile.rows=2", "tile.columns=2", "tile.formats=int8", "tile.latency=1", "tile.accumulators=32"),
        *("scratchpad.banks=4", "scratchpad.bank_words=16"),
    ],
)
BANK = 16 * CHIP.scratchpad.word_bytes
SIZE = 4 * BANK


INT8 = FORMATS["int8"].code
PLACES = dict(a_address=0, a_stride=8, b_address=BANK, b_stride=8, c_address=2 * BANK, c_stride=8, d_address=3 * BANK)


def check(commands: list[MatmulCommand]) -> None:
    """Ends, cycles, scratchpad, and the last row of sums, read as soon as its command's end is told."""
    memory = np.random.default_rng(1).integers(0, 256, SIZE).astype(np.uint8)
    reference = MatmulEngineReference(CHIP, memory.copy())
    last_rows, sums = [], []
    for each in commands:
        assert reference.run(each) == Ending.OKAY
        blocks = -(-each.n // CHIP.tile.columns)
        last_rows.append((each.accumulator + blocks * each.m - 1) % CHIP.tile.accumulators)
        used = each.n - (blocks - 1) * CHIP.tile.columns
        sums.append(reference.accumulators[last_rows[-1], :used].tolist())

    m = Module()
    m.submodules.engine = engine = MatmulEngine(CHIP)
    m.submodules.scratchpad = scratchpad = Scratchpad(CHIP.scratchpad, ports=5)
    for place, name in enumerate(("activations", "weights", "addends", "results")):
        wiring.connect(m, getattr(engine, name), scratchpad.port[place])
    host = scratchpad.port[4]
    taken, finished = [], []

    async def access(ctx: Any, word: int, data: int | None) -> int:
        ctx.set(host.requests.payload.write, data is not None)
        ctx.set(host.requests.payload.address, word)
        ctx.set(host.requests.payload.data, data or 0)
        ctx.set(host.requests.payload.mask, -1)
        ctx.set(host.requests.valid, 1)
        await ctx.tick().until(host.requests.ready)
        ctx.set(host.requests.valid, 0)
        if data is not None:
            return 0
        (found,) = await ctx.tick().sample(host.results.payload.data).until(host.results.valid)
        return int(found)

    async def bench(ctx: Any) -> None:
        ctx.set(engine.scratchpad_bytes, SIZE)
        width = CHIP.scratchpad.word_bytes
        for word in range(SIZE // width):
            await access(ctx, word, int.from_bytes(memory[word * width : (word + 1) * width].tobytes(), "little"))
        ctx.set(engine.finished.ready, 1)
        ctx.set(engine.commands.valid, 1)
        for now in range(1000):
            if len(taken) < len(commands):
                ctx.set(engine.commands.payload.as_value(), commands[len(taken)].encode())
            else:
                ctx.set(engine.commands.valid, 0)
            if ctx.get(engine.commands.valid) and ctx.get(engine.commands.ready):
                taken.append(now)
            ends = ctx.get(engine.finished.valid)
            ctx.set(engine.accumulators.read, ends)
            if ends:
                assert ctx.get(engine.finished.payload.as_value()) == Ending.OKAY
                ctx.set(engine.accumulators.row, last_rows[len(finished)])
                finished.append(now)
            await ctx.tick()
            if ends and commands[len(finished) - 1].result != Result.NONE:
                expected = sums[len(finished) - 1]
                assert [ctx.get(engine.accumulators.sums[n]) for n in range(len(expected))] == expected
            if len(finished) == len(commands):
                break
        for word in range(SIZE // width):
            found = (await access(ctx, word, None)).to_bytes(width, "little")
            assert found == reference.scratchpad[word * width : (word + 1) * width].tobytes(), f"word {word}"

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()

    report = predict([(each, False) for each in commands], CHIP, scratchpad_latency=Scratchpad.LATENCY)
    assert tuple(cycle - taken[0] for cycle in taken) == report.taken
    assert tuple(cycle - taken[0] for cycle in finished) == report.finished


def test_products_in_banks_of_their_own_take_the_cycles_that_are_predicted():
    common = dict(format=INT8, **PLACES)
    check(
        [
            MatmulCommand(m=6, n=4, k=5, d_stride=16, addend=2, **common),
            MatmulCommand(m=4, n=6, k=8, d_stride=32, transpose_a=1, transpose_b=1, accumulator=12, **common),
            MatmulCommand(m=1, n=2, k=7, d_stride=8, accumulator=24, **common),
        ]
    )


WRITTEN = {"result": Result.SUMS, "d_address": 3 * BANK + 64}


def test_kept_sums_can_be_read_when_their_command_ends():
    common = dict(format=INT8, result=Result.KEPT, **PLACES)
    check(
        [
            MatmulCommand(m=3, n=4, k=5, **common),
            MatmulCommand(m=1, n=1, k=1, accumulator=6, **common),
            MatmulCommand(m=2, n=4, k=4, accumulator=8, addend=2, **common | {"result": Result.NONE}),
            MatmulCommand(m=2, n=4, k=4, accumulator=8, addend=1, **common),
            MatmulCommand(m=5, n=3, k=2, accumulator=30, transpose_b=1, after=1, **common),
            MatmulCommand(m=2, n=4, k=3, accumulator=12, d_stride=16, **common | WRITTEN),
        ]
    )
