"""Prove the properties of the control: ``make formal``, ``python -m openppu_verif.formal [NAME ...]``."""

import sys
import tempfile
from pathlib import Path

from openppu_sim.cli import Parser, guarded
from openppu_sim.progress import step
from openppu_sim.report.table import print_table

from openppu_verif.formal.proof import Proof, Verdict, prove
from openppu_verif.formal.proofs import PROOFS


def main() -> int:
    """Prove all, or those named; 1 if one does not hold, or a fault goes unnoticed."""
    parser = Parser(prog="python -m openppu_verif.formal", description=__doc__)
    names = [proof.name for proof in PROOFS]
    parser.add_argument("proofs", nargs="*", metavar="NAME", help=f"of {', '.join(names)}; all if there is none")
    chosen: list[str] = parser.parse_args().proofs or names
    if unknown := set(chosen) - set(names):
        parser.error(f"no proof {', '.join(sorted(unknown))}: there are {', '.join(names)}")
    return guarded(lambda: _run(chosen))


def _run(chosen: list[str]) -> int:
    rows: list[list[str | int | float | None]] = []
    good = True
    for proof in PROOFS:
        if proof.name in chosen:
            with step(proof.name):
                held, caught, seconds = _attempt(proof)
            good = good and held and caught == len(proof.faults)
            verdict = proof.method.value if held else "nothing"
            rows.append([proof.name, proof.claim, verdict, f"{caught} of {len(proof.faults)}", round(seconds, 1)])
    print_table(["proof", "claim", "proved by", "faults found", "s"], rows)
    return 0 if good else 1


def _attempt(proof: Proof) -> tuple[bool, int, float]:
    """Whether it holds, how many of its faults break it, and the seconds all that took."""
    held, caught, seconds = False, 0, 0.0
    for fault in (None, *proof.faults):
        with tempfile.TemporaryDirectory() as folder:
            outcome = prove(proof, Path(folder), fault=fault)
        seconds += outcome.seconds
        if fault is None:
            held = outcome.verdict is Verdict.HOLDS
            if not held:
                print(f"{proof.name}: {outcome.verdict.value}\n{outcome.trace}", file=sys.stderr)
        else:
            caught += outcome.verdict is Verdict.BROKEN
    return held, caught, seconds


if __name__ == "__main__":
    sys.exit(main())
