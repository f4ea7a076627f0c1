"""What collective engines take, on the RTL: engines joined by pipes of packet words, one beat at a time.

Each figure is a difference of two runs, or what is left of one beside the clocks of pipe and memory, so it holds
to a clock. `python -m openppu_sim.cycles.link.calibrate` puts them into the model's calibration.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.wiring import Wiring, mesh, pair, ring
from openppu.link.config import LinkConfig
from openppu_sim.cli import Parser, guarded
from openppu_sim.cycles.link.calibration import ROW_PREFIX
from openppu_sim.progress import step
from openppu_sim.report.benchmark_table import table
from openppu_sim.report.json_report import benchmark_json, make_folder
from openppu_sim.report.table import print_table

from openppu_verif.link.collective_jobs import make_case
from openppu_verif.link.collectives import Surroundings, build_engine, run

COMMAND = "python -m openppu_verif.link.engine_figures"
COLUMNS = ("means",)
ENGINE = CollectiveConfig(link=LinkConfig(ports=7, lanes=4, lane_bits=16), window=64, packet=8, reads=32)
HOP, READ, WRITE = 20, 4, 4
"""Clocks of a pipe, and of memory."""
ALL = HOP + READ + WRITE


def clocks(wiring: Wiring, operation: str, algorithm: str, beats: int, build_root: Path) -> int:
    """Link clocks of a collective with so many beats a part."""
    elements = beats * ENGINE.lanes * (wiring.ranks if operation == "all_reduce" else 1)
    case = make_case(operation, wiring, ENGINE, algorithm, elements=elements)
    about = Surroundings(delay=HOP, read_latency=READ, write_latency=WRITE)
    outcome = run(build_engine(ENGINE, build_root), ENGINE, wiring, case.programs, case.memories, about)
    case.check(outcome.memories)
    return outcome.clocks


def measure(build_root: Path) -> list[dict[str, Any]]:
    """Each figure, as a row of a benchmark."""

    def took(wiring: Wiring, operation: str, algorithm: str, beats: int = 1) -> int:
        return clocks(wiring, operation, algorithm, beats, build_root)

    with step("running the engines"):
        near, far = took(ring(3), "barrier", "tree"), took(ring(4), "barrier", "tree")
        gathers = [took(ring(ranks), "all_gather", "ring", 2) for ranks in (3, 4)]
        sums = [took(ring(ranks), "reduce_scatter", "ring", 2) for ranks in (3, 4)]
        scatters = {ranks: took(mesh(ranks), "reduce_scatter", "direct") for ranks in (2, 3, 4, 5)}
        both = took(pair(), "all_reduce", "direct")
        copy = took(pair(), "all_gather", "direct")
        meets = took(pair(), "barrier", "direct")
    token = (far - near) // 2 - HOP
    store = gathers[1] - gathers[0] - ALL
    add = sums[1] - sums[0] - ALL - store
    start = scatters[2] - ALL - store - add
    dispatch = scatters[4] - scatters[3]
    found = {
        "start_clocks": (start, "once a collective"),
        "token_start_clocks": (meets - HOP - token, "once a barrier"),
        "add_clocks": (add, "a sum of four operands or fewer"),
        "join_clocks": (scatters[5] - scatters[4] - dispatch, "a sum of more operands, besides"),
        "store_clocks": (store, "a way through memory, beside memory's own clocks"),
        "pass_clocks": (both - scatters[2] - HOP, "from a sum to a port"),
        "token_clocks": (token, "from a token to the next one"),
        "dispatch_clocks": (dispatch, "an instruction"),
        "grant_clocks": (
            copy - ALL - store - start - HOP + READ,
            "memory may be written, beside that word's hop",
        ),
    }
    return [
        {"name": ROW_PREFIX + name, "means": means, "value": value, "unit": "link clocks", "command": COMMAND}
        for name, (value, means) in found.items()
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table, and write ``bench/link_engine.json``."""
    parser = Parser(prog=COMMAND, description=__doc__)
    parser.add_argument("--build-dir", type=Path, default=Path("build"), help="folder of all that is generated")
    args = parser.parse_args(argv)
    folder = args.build_dir / "bench"
    make_folder(folder)
    rows = measure(args.build_dir)
    path = benchmark_json("link_engine", rows, folder=folder)
    print_table(*table(sys.modules[__name__], rows))
    print(f"\nWrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
