"""What the outputs of a small chip did in some of the cases of `openppu_verif.chip.regression`, by digest: a lock.

The other checks see wrong results, not that they come a clock later. The lock sees every clock of what the first chip
tells its memory and its lanes. It is no specification: it says that the chip does what it did when the file was
written, and that it was then found right by the other checks. Whoever changes on purpose when the chip does what writes
it anew, by this module's command.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from openppu_verif.chip.regression import Case, Played, cases, play

COMMAND = "python -m openppu_verif.chip.trace_lock"
FILE = Path(__file__).with_name("trace_lock.json")

Locked = dict[str, dict[str, Any]]
"""Of each case, by its label: clocks, and the digests of `openppu_verif.chip.native.Session.digest`."""


def load() -> Locked:
    """What was written."""
    locked: Locked = json.loads(FILE.read_text(encoding="ascii"))
    return locked


def difference(case: Case, played: Played, locked: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Which outputs did something else than what was written, if the case is locked and any did."""
    if not case.locked:
        return None
    if case.label not in locked:
        return "this case is not in the file"
    found = entry(played)
    names = [name for name, value in found.items() if locked[case.label].get(name) != value]
    return f"not the same {', '.join(names)}" if names else None


def entry(played: Played) -> dict[str, Any]:
    """What the file has of a case."""
    return {"clocks": played.clocks, **played.digests}


def main() -> None:
    """Write what the chip does now, and say which cases changed."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=main.__doc__)
    parser.add_argument("--build-dir", type=Path, default=Path("build"), help="default: build")
    args = parser.parse_args()
    before = load() if FILE.exists() else {}
    found: Locked = {}
    for case in cases():
        if case.locked:
            played = play(case, args.build_dir)
            if played.problem:
                raise SystemExit(f"nothing written: {case.label}: {played.problem}")
            found[case.label] = entry(played)
    FILE.write_text(json.dumps(found, indent=1) + "\n", encoding="ascii")
    changed = [label for label in {**before, **found} if before.get(label) != found.get(label)]
    print(f"{FILE}: {len(found)} cases, {len(changed)} changed{': ' if changed else ''}{', '.join(changed)}")


if __name__ == "__main__":
    main()
