"""Random programs on a whole chip's RTL do what the references say, and what is wrong is refused, and does nothing."""

import numpy as np
import pytest
from openppu.command.instructions import instructions
from openppu.config import load
from openppu_sim.errors import SimulationError, UserError
from openppu_sim.program.encode import encode_program
from openppu_verif.chip import model_check
from openppu_verif.chip.broken_commands import BrokenCommands
from openppu_verif.chip.coverage import all_points
from openppu_verif.chip.program_source import QUEUES, ProgramSource
from openppu_verif.chip.random_programs import Session, check, main
from openppu_verif.matmul.random_commands import RandomCommands

TINY = load("tiny")


def test_random_programs_do_what_the_references_say(build_root):
    found = check(TINY, 10, 12, build_root, steps=6)
    assert sum(found[f"step {kind}"] for kind in ("loop", "loop in a loop", "relay", "semaphore")) > 0
    assert sum(count for name, count in found.items() if "refuses" in name) > 0


@pytest.mark.slow
def test_many_random_programs_reach_every_point(build_root):
    found = check(TINY, 3000, 1000, build_root, steps=8)
    assert [name for name in all_points(TINY) if not found[name]] == []


@pytest.mark.parametrize("queue", QUEUES)
def test_what_is_wrong_reaches_the_chip(queue):
    """It is for the chip to refuse it, and not for the driver."""
    source = BrokenCommands(ProgramSource(TINY, 3))
    for _ in range(100):
        encode_program(source.draw(queue), instructions(), chips=1, semaphores=TINY.command.semaphores)


def test_a_byte_that_differs_is_told_with_the_way_to_repeat_it(build_root, monkeypatch):
    """A product that is one too large in one place, in the twin alone."""
    draw = ProgramSource.draw

    def spoilt(self, steps, *, fresh=True):
        program = draw(self, steps, fresh=fresh)
        program.pad[9] ^= 4
        self.twin.pad[9] ^= 4
        return program

    monkeypatch.setattr(ProgramSource, "draw", spoilt)
    prepare = Session._prepare

    def other(self, program):
        program.pad[9] ^= 4
        prepare(self, program)

    monkeypatch.setattr(Session, "_prepare", other)
    with pytest.raises(
        SimulationError,
        match=r"1 bytes of the scratchpad differ.* --config my.toml --count 1 --seed 3 --steps 1 --show$",
    ):
        check(TINY, 1, 3, build_root, steps=1, config="my.toml")


def test_the_same_seed_draws_the_same_programs():
    one, two = (ProgramSource(TINY, 5) for _ in range(2))
    for _ in range(3):
        first, second = one.draw(6), two.draw(6)
        assert first.queues == second.queues
        assert (first.pad == second.pad).all()
        assert np.array_equal(one.twin.pad, two.twin.pad)
    assert set(first.queues) == set(QUEUES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("chip.compute_units=2", "chip.compute_units = 2: random programs are for a chip with one"),
        ("link.ports=0", "link.ports = 0: random programs need 1 or more"),
        ("command.semaphores=8", "command.semaphores = 8: random programs need 16 or more"),
        ("command.loops=1", "command.loops = 1: random programs need 2 or more"),
        ("scratchpad.banks=2", "scratchpad.banks x bank_words: bytes = 16384: random programs need 32768 or more"),
    ],
)
def test_chips_that_have_not_what_programs_use_are_refused(change, message):
    with pytest.raises(UserError, match=f"^{message}$"):
        ProgramSource(load("tiny", [change]), 1)


@pytest.mark.parametrize(
    "given",
    [["--count", "0"], ["--steps", "0"], ["--seed", "-1"], ["--cover", "101"], ["--config", "nothing"]],
    ids=" ".join,
)
def test_wrong_arguments_are_one_line(given, capsys):
    assert main(given) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_no_program_of_that_name_is_one_line(capsys):
    assert model_check.main(["--only", "nothing"]) == 2
    told = capsys.readouterr()
    assert not told.out
    assert told.err.strip() == "openppu: error: --only nothing: no preset and name of a program have this in them"


def test_products_are_drawn_for_the_smallest_tile():
    chip = load("tiny", ["tile.rows=1", "tile.columns=1", "tile.accumulators=8"])
    products = RandomCommands(chip, 1)
    assert max(products._legal().n for _ in range(200)) == chip.tile.accumulators
