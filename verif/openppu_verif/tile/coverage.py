"""Functional coverage of the tile: which kinds of commands ran under which circumstances.

Each run of a testbench writes what it hit to a file of its own; `merge` adds the files up, `report` tells what is
missing. A bin is a tuple of words, the first of them the name of its group.
"""

import json
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path

import numpy as np
from openppu.config import TileConfig
from openppu.formats.spec import FORMATS
from openppu_sim.cycles.tile import Cause
from openppu_sim.lowering.tile import Addend, TileCommand

from openppu_verif.tile.environment import STREAMS, Observation
from openppu_verif.tile.scoreboard import FORMAT_OF_CODE
from openppu_verif.tile.stimulus import REFUSALS, Case

Bin = tuple[str, ...]

M_CLASSES = ("m=1", "1<m<R", "m=R", "m>R")
K_CLASSES = ("k<R", "k=R", "k>R ragged", "k>R whole")
N_CLASSES = ("n<C", "n=C", "n>C ragged", "n>C whole")
ADDENDS = tuple(f"{addend.name.lower()}" for addend in Addend)
EMITS = ("keep", "emit")
SIDES = (*STREAMS, "none")
ISSUE_CAUSES = tuple(cause.name.lower() for cause in Cause if cause <= Cause.FILL)

GROUPS: dict[str, tuple[Sequence[str], ...]] = {
    "shape": (tuple(FORMATS), M_CLASSES, K_CLASSES, N_CLASSES),
    "addend": (tuple(FORMATS), ADDENDS, EMITS, K_CLASSES),
    "stall": (tuple(FORMATS), M_CLASSES, SIDES),
    "stalled addend": (tuple(FORMATS), ADDENDS, EMITS, SIDES),
    "stalled shape": (M_CLASSES, K_CLASSES, N_CLASSES, SIDES),
    "cause": (tuple(FORMATS), ISSUE_CAUSES),
    "no bubble": (tuple(FORMATS), tuple(FORMATS)),
    "refused": (REFUSALS,),
    "reset": (tuple(cause.name.lower() for cause in Cause if cause < Cause.IDLE),),
}
"""Each group is the product of its axes. The stalled side is the stream that was held back while the command issued its
rows; the cause is one of a cycle in that time; without a bubble, a command's first row follows the last of another."""


class Coverage:
    """Counts what was hit."""

    def __init__(self) -> None:
        self.hits: Counter[Bin] = Counter()

    def sample(self, case: Case, observation: Observation, config: TileConfig) -> None:
        """Count what a finished run has shown."""
        commands = [command for command in case.workload.commands if not command.is_refused(config)]
        self.hits.update(("refused", why) for command in case.workload.commands for why in refusals(command, config))
        if not commands:
            return
        n_last = [
            columns
            for command, columns in zip(case.workload.commands, case.n_last, strict=True)
            if not command.is_refused(config)
        ]
        computes = observation.timeline == Cause.COMPUTE
        ends = np.cumsum([command.rows for command in commands])
        # The command that issues, or waits to issue, in each cycle; at the end the last one.
        issued_before = np.cumsum(computes) - computes
        at_issue = np.minimum(np.searchsorted(ends, issued_before, side="right"), len(commands) - 1)
        stalled: list[set[str]] = [set() for _ in commands]
        for name, held in observation.held.items():
            for index in np.unique(at_issue[held[(held >= 0) & (held < at_issue.size)]]):
                stalled[index].add(name)
        for cause in [cause for cause in Cause if cause <= Cause.FILL]:
            for index in np.unique(at_issue[observation.timeline == cause]):
                self.hits["cause", _format(commands[index]), cause.name.lower()] += 1
        for index, command in enumerate(commands):
            name, m, k = _format(command), m_class(command, config), k_class(command, config)
            addend, emit = Addend(command.addend).name.lower(), EMITS[command.emit]
            n = n_class(command, config, n_last[index])
            self.hits["shape", name, m, k, n] += 1
            self.hits["addend", name, addend, emit, k] += 1
            for side in stalled[index] or ("none",):
                self.hits["stall", name, m, side] += 1
                self.hits["stalled addend", name, addend, emit, side] += 1
                self.hits["stalled shape", m, k, n, side] += 1
        first, after = np.flatnonzero(computes)[ends[:-1] - 1], np.flatnonzero(computes)[ends[:-1]]
        for index in np.flatnonzero(after == first + 1):
            self.hits["no bubble", _format(commands[index]), _format(commands[index + 1])] += 1

    def sample_reset(self, observation: Observation) -> None:
        """Count a run that was stopped by reset."""
        if observation.timeline.size:
            self.hits["reset", Cause(observation.timeline[-1]).name.lower()] += 1

    def write(self, folder: Path) -> None:
        """Write a file of what was hit, with a name that no other has."""
        folder.mkdir(parents=True, exist_ok=True)
        hits = {"/".join(key): count for key, count in sorted(self.hits.items())}
        (folder / f"{uuid.uuid4().hex}.json").write_text(json.dumps({"schema": 1, "hits": hits}), encoding="ascii")


def m_class(command: TileCommand, config: TileConfig) -> str:
    """The command's rows against the rows of the array."""
    return M_CLASSES[0 if command.m == 1 else 2 + int(np.sign(command.m - config.rows))]


def k_class(command: TileCommand, config: TileConfig) -> str:
    """The command's depth against the rows of the array."""
    return K_CLASSES[2 * (command.k_blocks > 1) + (command.k_last == config.rows)]


def n_class(command: TileCommand, config: TileConfig, n_last: int) -> str:
    """The command's columns against the columns of the array."""
    return N_CLASSES[2 * (command.n_blocks > 1) + (n_last == config.columns)]


def refusals(command: TileCommand, config: TileConfig) -> list[str]:
    """All that is wrong with a command."""
    built = {FORMATS[name].code for name in config.formats}
    wrong = [name for name in ("m", "n_blocks", "k_blocks", "k_last") if getattr(command, name) == 0]
    wrong += ["k_last_over"] * (command.k_last > config.rows)
    wrong += ["addend"] * (command.addend not in tuple(Addend)) + ["format"] * (command.format not in built)
    return wrong


def all_bins() -> list[Bin]:
    """Every bin that can be hit."""
    return [(group, *words) for group, axes in GROUPS.items() for words in product(*axes)]


def merge(files: Iterable[Path]) -> Counter[Bin]:
    """Add up what `Coverage.write` wrote."""
    total: Counter[Bin] = Counter()
    for path in files:
        hits = json.loads(path.read_text(encoding="ascii"))["hits"]
        total.update({tuple(key.split("/")): count for key, count in hits.items()})
    return total


def report(hits: Counter[Bin]) -> tuple[float, list[Bin], list[list[str | int | float]]]:
    """What is covered.

    Returns
    -------
    share : float
        Of all bins, 0 to 1.
    missing : list of Bin
    rows : list of [group, hit, bins, percent]
        For a table.
    """
    bins = all_bins()
    missing = [key for key in bins if not hits[key]]
    rows: list[list[str | int | float]] = []
    for group in GROUPS:
        size = sum(key[0] == group for key in bins)
        hit = size - sum(key[0] == group for key in missing)
        rows.append([group, hit, size, 100 * hit / size])
    return 1 - len(missing) / len(bins), missing, rows


def _format(command: TileCommand) -> str:
    return FORMAT_OF_CODE[command.format].name
