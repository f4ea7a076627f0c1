"""``openppu bench``: measure, print tables, and keep the figures as JSON."""

import argparse
from types import ModuleType

from openppu_sim.bench import benchmarks
from openppu_sim.report.benchmark_table import meets_goal, table
from openppu_sim.report.json_report import benchmark_json, make_folder
from openppu_sim.report.table import print_table


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add the parser of ``bench``."""
    known = benchmarks()
    parser = subparsers.add_parser(
        "bench",
        help="measure, and compare with the goals",
        description="Run benchmarks, print their tables, and write bench/NAME.json into the build folder. They choose "
        "their own tiles: --config and --set change nothing here.",
        epilog="benchmarks:\n"
        + "\n".join(f"  {name:<14}{title(module)}" for name, module in known.items())
        + "\n\nexit codes: 0 measured, goals met or not; 1 a simulation failed, 2 bad input or a missing tool",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "names", nargs="*", choices=["all", *known], default="all", metavar="NAME", help="which (default: all)"
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Run the benchmarks that were asked for, each with its table and its file."""
    known = benchmarks()
    names = known if "all" in args.names else dict.fromkeys(args.names)
    folder = args.build_dir / "bench"
    make_folder(folder)
    missed = []
    for name in names:
        rows = known[name].run(args.build_dir)
        path = benchmark_json(name, rows, folder=folder)
        print(f"\n{name}: {title(known[name])}\n")
        print_table(*table(known[name], rows))
        print(f"\nWrote {path}")
        missed += [row["name"] for row in rows if meets_goal(row) is False]
    if missed:
        print(f"\nGoals missed: {', '.join(missed)}")
    return 0


def title(module: ModuleType) -> str:
    """A module's first sentence, on one line."""
    return " ".join((module.__doc__ or "").split("\n\n")[0].split())
