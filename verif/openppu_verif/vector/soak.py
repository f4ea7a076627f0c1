"""Random commands on the vector unit's RTL: ``python -m openppu_verif.vector.soak``.

Each run draws a program, streams and runs of it; words that are known to be wrong, stalls, and now and then something
that must be refused. Ends and scratchpad must be the reference's.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from openppu.config import ChipConfig, load
from openppu.scratchpad.scratchpad import Scratchpad
from openppu_sim.cli import Parser, guarded
from openppu_sim.errors import SimulationError, UserError
from openppu_sim.reference.vector import VectorReference
from openppu_sim.simulator.vector import Stalls, build_vector, run

from openppu_verif.vector.random_programs import MEMORY_BYTES, RandomPrograms

COMMAND = "python -m openppu_verif.vector.soak"
OF_RATES = (6_000, 30_000, 65_536)


def one(chip: ChipConfig, executable: Path, seed: int) -> Counter[str]:
    """One run; how often each way to end occurred.

    Raises
    ------
    SimulationError
        If anything differs from the reference.
    """
    latency = (1, 9, *[Scratchpad.LATENCY] * 3)[seed % 5]
    # The accumulators have their results when the chip's scratchpad has its own.
    source = RandomPrograms(chip, seed, accumulators=latency == Scratchpad.LATENCY)
    chance = source.chance
    memory, sums = source.memory(), source.sums()
    commands = source.commands(memory, spoil=chance.random() < 0.4)
    words = MEMORY_BYTES // chip.scratchpad.word_bytes
    wrong = {chance.randrange(words) for _ in range(chance.choice((0, 0, 0, 2, 20)))}
    stalls = Stalls(
        offers=chance.choice(OF_RATES),
        accepts=chance.choice(OF_RATES),
        reads=chance.choice(OF_RATES),
        writes=chance.choice(OF_RATES),
        seed=seed,
    )
    outcome = run(executable, chip, commands, memory, stalls=stalls, wrong=wrong, accumulators=sums, latency=latency)
    unit = VectorReference(chip, memory.copy(), wrong, sums)
    expected = unit.do_all(commands)
    got = [end.error for end in outcome.ends]
    if got != expected:
        raise SimulationError(f"seed {seed}: the commands end with {_names(got)}, not {_names(expected)}")
    if (bad := np.flatnonzero(outcome.memory != unit.memory)).size:
        raise SimulationError(f"seed {seed}: {bad.size} bytes of the scratchpad differ, first {bad[0]:#x}")
    return Counter(_names(got))


def _names(ends: Sequence[object]) -> list[str]:
    return [getattr(end, "name", "") for end in ends]


def soak(chip: ChipConfig, executable: Path, seeds: Sequence[int]) -> Counter[str]:
    """Many runs; how often each way to end occurred."""
    total: Counter[str] = Counter()
    for seed in seeds:
        total += one(chip, executable, seed)
    return total


def main(argv: Sequence[str] | None = None) -> int:
    """Run as many as asked for."""
    parser = Parser(prog=COMMAND, description="random commands on the vector unit's RTL, against the reference")
    parser.add_argument("--config", default="tiny", help="a preset or TOML file")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a value of it")
    parser.add_argument("--runs", type=int, default=1000, help="how many")
    parser.add_argument("--seed", type=int, default=1, help="of the first")
    parser.add_argument("--build-dir", type=Path, default=Path("build"), help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    chip = load(options.config, options.set)
    if options.runs < 1:
        raise UserError(f"--runs {options.runs}: give a number of at least 1")
    executable = build_vector(chip, options.build_dir)
    total = soak(chip, executable, range(options.seed, options.seed + options.runs))
    print(f"{options.runs} runs equal the reference; ends: " + ", ".join(f"{n} {name}" for name, n in total.items()))
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
