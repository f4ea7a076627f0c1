"""Tiles that are wider than they are high, and the other way round: the same rules, bits and cycles."""

import pytest
from openppu.config import load
from openppu_sim.cycles.matmul_engine import predict
from openppu_sim.lowering.matmul import Ending
from openppu_sim.reference.matmul_engine import MatmulEngineReference
from openppu_verif.matmul.native import Surroundings
from openppu_verif.matmul.random_commands import RandomCommands, named_words, random_memory
from openppu_verif.matmul.simulated import simulate

COMMANDS = 5


@pytest.mark.parametrize(("rows", "columns"), [(2, 4), (4, 2)])
def test_tiles_that_are_not_square_do_as_the_reference_and_the_cycle_model(rows, columns):
    changes = [f"tile.rows={rows}", f"tile.columns={columns}", "tile.formats=int8", "tile.latency=1"]
    chip = load("tiny", changes)
    drawn = RandomCommands(chip, 10 * rows + columns, most=7)
    commands = [drawn.draw() for _ in range(COMMANDS)]
    memory = random_memory(1)
    reference = MatmulEngineReference(chip, memory.copy())
    expected = [reference.run(each) for each in commands]
    run = simulate(chip, commands, memory, Surroundings(most=3000))
    assert list(run.errors) == expected
    assert (run.memory == reference.scratchpad).all()
    assert not (run.touched & ~named_words(commands, chip, expected)).any()
    refused = [ending != Ending.OKAY for ending in expected]
    report = predict(zip(commands, refused, strict=True), chip)
    assert tuple(cycle - run.taken[0] for cycle in run.finished) == report.finished
