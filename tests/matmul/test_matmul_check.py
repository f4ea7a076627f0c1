"""What is refused before anything is touched, for tiles of every size: as the reference says, to the byte."""

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator
from openppu.config import ChipConfig, load
from openppu.matmul.check import Check
from openppu.matmul.sizes import Sizes
from openppu_sim.lowering.matmul import Ending, MatmulCommand
from openppu_verif.matmul.random_commands import RandomCommands

COMMANDS = 400


def cases(chip: ChipConfig, seed: int) -> list[tuple[MatmulCommand, int, Ending]]:
    """Commands, sizes of the scratchpad, and what must come of them; many end at the last byte, or just beyond it."""
    chance = random.Random(seed)
    drawn = RandomCommands(chip, seed, most=40)
    found = []
    for _ in range(COMMANDS):
        command = drawn.draw()
        if chance.random() < 0.3:
            command = replace(command, **{chance.choice("mnk"): chance.choice([1, 2, 255, 4096, 65535])})
        if chance.random() < 0.3:
            name = chance.choice("abcd")
            command = replace(command, **{f"{name}_stride": chance.choice([0, 1 << 12, 1 << 20, (1 << 24) - 1024])})
        command = replace(command, stochastic=int(chance.random() < 0.04))
        size = 1 << 24
        reference = drawn.reference
        reference.scratchpad = np.broadcast_to(np.uint8(0), size)
        if reference.refusal(command) == Ending.OKAY and chance.random() < 0.6:
            ranges = reference.ranges(command).values()
            end = max(address + (rows - 1) * stride + length for address, stride, rows, length, _ in ranges)
            size = end + chance.choice([-8, -1, 0, 0, 1])
            reference.scratchpad = np.broadcast_to(np.uint8(0), size)
        found.append((command, size, reference.refusal(command)))
        reference.scratchpad = np.zeros(1 << 15, np.uint8)
    return found


@pytest.mark.parametrize("preset", ["tiny", "demo", "ecp5", "ppu810e"])
def test_commands_are_refused_as_the_reference_says(preset):
    chip = load(preset)
    given = cases(chip, 1)
    check = Check(Sizes.of(chip))
    ended = []

    async def bench(ctx: Any) -> None:
        ctx.set(check.checked.ready, 1)
        for command, size, _ in given:
            ctx.set(check.scratchpad_bytes, size)
            ctx.set(check.commands.payload.as_value(), command.encode())
            ctx.set(check.commands.valid, 1)
            await ctx.tick().until(check.commands.ready)
            ctx.set(check.commands.valid, 0)
            error, checked = (
                await ctx.tick()
                .sample(check.checked.payload.error.as_value(), check.checked.payload.command.as_value())
                .until(check.checked.valid)
            )
            assert checked == command.encode()
            ended.append(Ending(error))

    simulator = Simulator(check)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    for (command, size, expected), error in zip(given, ended, strict=True):
        assert error == expected, (command, size)
    counts = Counter(ended)
    assert counts[Ending.OKAY] >= 40
    assert counts[Ending.BOUNDS] >= 40
    assert min(counts[each] for each in (Ending.FIELD, Ending.FORMAT, Ending.ALIGNMENT)) >= 1
