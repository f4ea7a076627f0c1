"""Break the netlist of a part, and count what the tests miss: ``make mutation``."""

import sys
from pathlib import Path

from openppu_sim.cli import Parser
from openppu_sim.errors import UserError
from openppu_sim.report.json_report import write_json
from openppu_sim.report.table import print_table

from openppu_verif.chip.mutation import chip_subject
from openppu_verif.hbm.mutation import channel_subject
from openppu_verif.link.mutation import port_subject
from openppu_verif.mutation.reach import WATCH
from openppu_verif.mutation.score import Verdict, measure
from openppu_verif.tile.mutation import tile_subject

COUNT, SEED, GOAL = 300, 1, 95.0
MOST = WATCH - 1
BUILD = Path("build")
SUBJECTS = {"tile": tile_subject, "hbm": channel_subject, "link": port_subject, "chip": chip_subject}


def main() -> int:
    """Measure, print, write ``build/mutation/report.json``; 1 if the score is under the goal."""
    parser = Parser(prog="python -m openppu_verif.mutation", description=__doc__)
    parser.add_argument("--part", choices=SUBJECTS, default="tile", help="default: tile")
    parser.add_argument("--count", type=int, default=COUNT, help=f"mutations, 20 to {MOST} (default {COUNT})")
    parser.add_argument("--seed", type=int, default=SEED, help=f"which mutations, 0 or more (default {SEED})")
    arguments = parser.parse_args()
    count, seed = arguments.count, arguments.seed
    if not 20 <= count <= MOST:
        parser.error(f"--count {count}: it must be 20 to {MOST}")
    if seed < 0:
        parser.error(f"--seed {seed}: it must be 0 or more")
    try:
        folder = BUILD / "mutation" / ("" if arguments.part == "tile" else arguments.part)
        score = measure(SUBJECTS[arguments.part](), count=count, seed=seed, folder=folder, build_root=BUILD)
        report = {"count": len(score.outcomes), "seed": seed, "score": score.percent, "mutations": score.as_json()}
        path = write_json(folder / "report.json", report)
    except UserError as error:
        print(f"mutation: {error}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        print(f"mutation: {error}", file=sys.stderr)
        return 1
    print_table(score.headers(), score.rows())
    for outcome in score.outcomes:
        if outcome.verdict is Verdict.SURVIVED:
            mutation, why = outcome.mutation, outcome.why.partition("\n")[0]
            place = f"{mutation.area}, {mutation.module}"
            print(f"survived: {mutation.number}, {place}: {mutation.what}{why and f' ({why})'}")
    if score.count(Verdict.LOCKED):
        print(f"{score.percent_without_lock:.1f} % without what only the lock noticed")
    good = score.percent >= GOAL
    print(f"{score.percent:.1f} % of those that are not equivalent were killed; the goal is {GOAL:.0f} %. {path}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
