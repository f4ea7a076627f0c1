"""What the outputs of a small chip did in each of the cases of `openppu_verif.chip.regression`, by digest: a lock.

The other checks see wrong results, not that they come a clock later. The lock sees every clock of what the first chip
tells its memory and its lanes. It is no specification: it says that the chip does what it did when the file was
written, and that it was then found right by the other checks. Whoever changes on purpose when the chip does what writes
it anew, by this module's command.
"""

from pathlib import Path
from typing import Any

from openppu_sim.cli import Parser

from openppu_verif.chip.regression import Case, Played, cases, play
from openppu_verif.mutation import lock
from openppu_verif.mutation.lock import Locked

COMMAND = "python -m openppu_verif.chip.trace_lock"
FILE = Path(__file__).with_name("trace_lock.json")


def load() -> Locked:
    """What was written."""
    return lock.read(FILE)


def difference(case: Case, played: Played, locked: Locked) -> str | None:
    """Which outputs did something else than what was written, if any did."""
    return lock.changed(case.label, entry(played), locked)


def entry(played: Played) -> dict[str, Any]:
    """What the file has of a case: clocks, and the digests of `openppu_verif.chip.native.Session.digest`."""
    return {"clocks": played.clocks, **played.digests}


def main() -> None:
    """Write what the chip does now, and say which cases changed."""
    parser = Parser(prog=COMMAND, description=main.__doc__)
    parser.add_argument("--build-dir", type=Path, default=Path("build"), help="default: build")
    args = parser.parse_args()
    found: Locked = {}
    for case in cases():
        played = play(case, args.build_dir)
        if played.problem:
            raise SystemExit(f"nothing written: {case.label}: {played.problem}")
        found[case.label] = entry(played)
    lock.write(FILE, found)


if __name__ == "__main__":
    main()
