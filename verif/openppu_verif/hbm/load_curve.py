"""How a read's latency grows with the load: random 256-byte requests, a share of them reads, at ever shorter pauses.

Two ports ask, each pausing so many clocks between a request taken and the next one offered; without a pause they offer
more than the channel can do. HBM2E_3200, 8-high, refresh and ECC on, queues of 64 reads and 64 writes a pseudo-channel,
as in ``efficiency``; the device model, the golden memory and the checker watch every run.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from openppu.hbm.config import ChannelConfig
from openppu_sim.cli import Parser, guarded
from openppu_sim.progress import step
from openppu_sim.report.benchmark_table import table
from openppu_sim.report.json_report import benchmark_json, make_folder
from openppu_sim.report.table import print_table

from openppu_verif.hbm.native import Measurement, Pattern, build_channel
from openppu_verif.hbm.native import run as run_channel

COLUMNS = ("reads", "pause", "reached", "latency_p50", "latency_p99")
COMMAND = "python -m openppu_verif.hbm.load_curve"
READS = (1.0, 0.9, 0.8, 0.67, 0.5)
PAUSES = (400, 150, 70, 40, 28, 20, 15, 12, 10, 8, 7, 6, 5, 4, 3, 2, 0)
"""Clocks. Seven between reads of eight accesses on two ports ask for all that the data bus can carry."""
WARMUP, CLOCKS = 6_000, 40_000
"""Controller clocks: 40,000 are 13 tREFI."""
SEED = 1


def run(
    build_root: Path,
    *,
    config: ChannelConfig | None = None,
    reads: Sequence[float] = READS,
    pauses: Sequence[int] = PAUSES,
    clocks: int = CLOCKS,
) -> list[dict[str, Any]]:
    """Run each share of reads at each pause, and give a row for each: the mean latency, and what the ports got.

    Raises
    ------
    SimulationError
        If a rule of the device is broken, or an answer is wrong.
    """
    config = config or ChannelConfig()
    executable = build_channel(config, build_root)
    rows = []
    for share in reads:
        with step(f"running {100 * share:g} % reads under rising load"):
            for pause in pauses:
                pattern = Pattern(order="random", reads=share, gap=pause, tags=config.tags)
                measured = run_channel(
                    executable, config, [pattern] * config.ports, warmup=WARMUP, clocks=clocks, seed=SEED
                )
                measured.check()
                rows.append(_row(share, pause, measured))
    return rows


def _row(share: float, pause: int, measured: Measurement) -> dict[str, Any]:
    clocks = sum(clocks * count for clocks, count in measured.latencies)
    return {
        "name": f"{100 * share:g} % reads, pause {pause}",
        "value": round(clocks / measured.reads_done, 1),
        "unit": "clocks",
        "better": "lower",
        "command": COMMAND,
        "reads": share,
        "pause": pause,
        "reached": round(100 * measured.efficiency, 2),
        "latency_p50": measured.latency(0.5),
        "latency_p99": measured.latency(0.99),
        "clocks": measured.clocks,
    }


def main() -> int:
    """Print the latency of reads under rising load, and keep the figures as ``bench/hbm_load.json``."""
    parser = Parser(prog=COMMAND, description=main.__doc__)
    parser.add_argument("--build-dir", type=Path, default=Path("build"), help="default: build")
    args = parser.parse_args()
    folder = args.build_dir / "bench"
    make_folder(folder)
    rows = run(args.build_dir)
    print_table(*table(sys.modules[__name__], rows))
    print(f"\nWrote {benchmark_json('hbm_load', rows, folder=folder)}")
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
