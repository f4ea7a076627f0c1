"""Random tiles, command sequences and stall patterns; everything follows from the seed."""

import random

import numpy as np
from openppu.config import TileConfig
from openppu_sim.cycles.tile import Stalls
from openppu_sim.lowering.tile import TileCommand

INT8, BF16 = 0, 4
ADDRESSES = dict.fromkeys(
    ("a_base", "a_k_stride", "a_row_stride", "b_base", "b_k_stride", "b_n_stride", "b_row_stride"), 0
)


def command(**fields: int) -> TileCommand:
    """A command of one row, one block and one weight row that emits from accumulator 0, but for the given fields."""
    counts = {"m": 1, "n_blocks": 1, "k_blocks": 1, "k_last": 1}
    return TileCommand(**({"format": INT8, "addend": 0, "emit": 1, "accumulator": 0} | counts | ADDRESSES | fields))


def random_case(seed: int) -> tuple[list[TileCommand], TileConfig]:
    """A small tile, a middling one in one case of eight, and up to 12 commands, some refused in one case of four."""
    rng = random.Random(seed)
    middling, refusing = seed % 8 == 7, seed % 4 == 0
    has_float = rng.random() < 0.7
    config = TileConfig(
        rows=rng.randint(1, 20 if middling else 4),
        columns=rng.randint(1, 40 if middling else 4),
        formats=("int8", "bf16") if has_float else ("int8",),
        latency=rng.randint(2, 5) if has_float else 1,
        accumulators=rng.choice((8, 32, 64) if middling else (8, 8, 16, 32)),
        outstanding=rng.randint(2, 8),
    )
    m_most = rng.choice((1, 2, 4, 20, 70) if middling else (1, 2, 4, 8, 20))
    formats = [INT8] + [BF16] * (has_float or refusing)
    commands = [
        command(
            format=rng.choice(formats),
            addend=rng.choice((0, 1, 2, 3) if refusing else (0, 1, 2)),
            emit=rng.randint(0, 1),
            m=rng.randint(0 if refusing and rng.random() < 0.1 else 1, m_most),
            n_blocks=rng.choice((1, 1, 2, 3, 4)),
            k_blocks=rng.choice((1, 1, 1, 2, 3, 4, 9, 20)),
            k_last=rng.randint(1, config.rows + (refusing and rng.random() < 0.1)),
            accumulator=rng.randrange(config.accumulators),
        )
        for _ in range(rng.randint(1, 12))
    ]
    return commands, config


def random_stalls(seed: int, cycles: int) -> Stalls:
    """Patterns of up to ``cycles`` cycles; some streams are free, some are stalled in bursts, some at random."""
    rng = np.random.default_rng(seed)

    def pattern() -> np.ndarray:
        length = int(rng.integers(1, cycles + 1))
        share = rng.choice((0.1, 0.5, 0.9))
        match rng.integers(3):
            case 0:
                return np.zeros(0, bool)
            case 1:
                return rng.random(length) < share
            case _:
                burst = int(rng.integers(2, 40))
                return np.repeat(rng.random(-(-length // burst)) < share, burst)

    names = ("commands", "activation_requests", "activations", "weight_requests", "weights", "addends", "results")
    return Stalls(**{name: pattern() for name in names})
