"""What the outputs of a small channel did in the runs of `openppu_verif.hbm.regression`, by digest: a lock.

The other checks see broken rules and wrong words, not that another of several allowed commands came first, or a clock
later. The lock sees every clock of every output. It is no specification: it says that the channel does what it did when
the file was written, and that it was then found right by the other checks. Whoever changes on purpose when the channel
does what writes it anew, by this module's command.
"""

import sys
from pathlib import Path

from openppu_sim.cli import Parser, guarded

from openppu_verif.hbm.native import Measurement, build_channel
from openppu_verif.hbm.regression import CHANNEL, play, runs
from openppu_verif.mutation import lock
from openppu_verif.mutation.lock import Locked

COMMAND = "python -m openppu_verif.hbm.trace_lock"
FILE = Path(__file__).with_name("trace_lock.json")


def load() -> Locked:
    """The digests that were written: of each run one for each part of the outputs, as of `Measurement`."""
    return lock.read(FILE)


def difference(label: str, measured: Measurement, locked: Locked) -> str | None:
    """Which outputs of a run did something else than what was written, if any."""
    return lock.changed(label, measured.digests, locked)


def record(build_root: Path) -> Locked:
    """Do all runs on the channel as it is; their digests.

    Raises
    ------
    SimulationError
        If a run finds something wrong.
    """
    executable = build_channel(CHANNEL, build_root)
    return {each.label: play(executable, each).digests for each in runs()}


def main() -> int:
    """Write the digests of the channel as it is now, and say which runs changed."""
    parser = Parser(prog=COMMAND, description=main.__doc__)
    parser.add_argument("--build-dir", type=Path, default=Path("build"), help="default: build")
    args = parser.parse_args()
    lock.write(FILE, record(args.build_dir))
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
