"""The engine's cycle model for a shared scratchpad: alone, it comes to the cycles of the quick one."""

import random

import pytest
from openppu.config import ChipConfig, load
from openppu_sim.cycles.matmul_engine import predict
from openppu_sim.cycles.matmul_ports import MatmulPorts
from openppu_sim.cycles.turns import NEVER
from openppu_sim.lowering.matmul import Ending, MatmulCommand
from openppu_sim.reference.matmul_engine import MatmulEngineReference
from openppu_verif.matmul.random_commands import RandomCommands, random_memory

TINY = load("tiny")


def alone(commands: list[tuple[MatmulCommand, bool]], chip: ChipConfig, latency: int) -> list[list[int]]:
    """The cycles in which commands are taken and finished, if each request is taken at once."""
    engine = MatmulPorts(chip, latency)
    now = -1
    taken = []

    def until(line, number: int) -> None:
        nonlocal now
        while line.count <= number:
            now = max(now + 1, min(ask.at for ask in engine.asks))
            assert now < NEVER
            for ask in engine.asks:
                if ask.at <= now:
                    ask.at = NEVER
                    ask.given(now)
            engine.settle()

    for number, (command, refused) in enumerate(commands):
        taken.append(engine.dispatched[number - 1] if number else 0)
        engine.take(command, refused, taken[-1])
        until(engine.dispatched, number)
    until(engine.finished, len(commands) - 1)
    return [taken, [engine.finished[number] for number in range(len(commands))]]


@pytest.mark.parametrize("seed", range(12))
def test_alone_on_the_scratchpad_it_takes_the_cycles_of_the_quick_model(seed):
    chance = random.Random(seed)
    drawn = RandomCommands(TINY, seed, most=chance.choice([4, 14, 24]))
    reference = MatmulEngineReference(TINY, random_memory(1))
    drawn_commands = [drawn.draw() for _ in range(40)]
    commands = [(each, reference.run(each) is not Ending.OKAY) for each in drawn_commands]
    latency = chance.choice([1, 4, 9])
    report = predict(commands, TINY, scratchpad_latency=latency)
    assert alone(commands, TINY, latency) == [list(report.taken), list(report.finished)]
