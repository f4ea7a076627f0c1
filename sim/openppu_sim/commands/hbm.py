"""``openppu hbm``: a trace of requests on the modelled HBM2e memory, and why it is as slow as it is."""

import argparse
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
from openppu.config import ChipConfig
from openppu.hbm.bounds import single_bank_keeps_up
from openppu.hbm.config import ALLOWED
from openppu.hbm.device import DEVICES, HEIGHTS, Timing, device
from openppu.hbm.hammer_table import least_threshold
from openppu.hbm.settings import Mapping, Page, Refresh, Settings, limits

from openppu_sim.cycles.hbm.address import Interleave
from openppu_sim.cycles.hbm.memory import Memory, Outcome, unloaded_ns
from openppu_sim.cycles.hbm.memory import run as run_memory
from openppu_sim.cycles.hbm.requests import Requests
from openppu_sim.cycles.hbm.traces import FORMATS, read_trace
from openppu_sim.errors import UserError
from openppu_sim.report import hbm as report
from openppu_sim.report.hbm_explain import WORTH, changes, reasons
from openppu_sim.report.json_report import SCHEMA, commit, writable, write_json
from openppu_sim.report.table import Cell, format_table

DESCRIPTION = """\
Run a trace of memory requests on the model of the HBM2e controller (docs/hbm-model.md).

A trace has a request a line, in one of three formats, told by the first line:
  plain     read|write ADDRESS BYTES [NANOSECONDS]    such as: read 0x1000 256
  ramulator LD|ST ADDRESS, or R|W ADDRESS             such as: LD 0x12345680
  dramsim3  ADDRESS READ|WRITE CYCLE                  such as: 0x12345680 READ 120
Without times, each request is made as soon as the one before it is taken."""


MAPPINGS, PAGES = report.choices(Mapping), report.choices(Page)
REFRESHES = {"single-bank": Refresh(0), "all-bank": Refresh(1), "off": Refresh(0)}

PARITY_LATENCY = 4
"""Clocks from a command to its error, which every device's timing allows."""

MOST_ERRORS = 10_000
"""Per million clocks: with more, a channel hardly does anything else."""

EXPLAINED = 20_000
"""Requests that ``explain`` takes of a longer trace, since it runs it several times."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add the parser of ``hbm`` and those of its own commands."""
    parser = subparsers.add_parser(
        "hbm",
        help="model a trace on HBM2e memory",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "action",
        choices=("run", "explain"),
        metavar="run|explain",
        help="run: print bandwidth, latency and where the clocks went; explain: say in words why it is not faster, and "
        "what a change would gain",
    )
    parser.add_argument("trace", type=Path, metavar="TRACE", help="the file of requests; may be gzipped")
    trace = parser.add_argument_group("trace")
    trace.add_argument("--format", choices=FORMATS, help="its format (default: told by the first line)")
    trace.add_argument(
        "--bytes", type=int, default=64, metavar="N", help="size of a request of the other formats (default: 64)"
    )
    trace.add_argument("--wrap", action="store_true", help="take addresses modulo the capacity")
    trace.add_argument(
        "--requests",
        type=int,
        metavar="N",
        help=f"take the first N requests (default: all; explain: {EXPLAINED:,})",
    )
    memory = parser.add_argument_group("memory", "where nothing is given, as in the chip's section [hbm]")
    memory.add_argument("--device", metavar="NAME", help=f"timing: {', '.join(DEVICES)}")
    memory.add_argument("--height", type=int, choices=HEIGHTS, help="dies of a stack")
    memory.add_argument("--channels", type=int, metavar="N", help="channels of all stacks; a stack has up to 8")
    memory.add_argument(
        "--timing",
        action="append",
        default=[],
        metavar="NAME=CLOCKS",
        help="change one timing value, in memory clocks, such as tRC=80; may be repeated",
    )
    memory.add_argument("--ecc", choices=ALLOWED["ecc"], help="code against wrong bits")
    memory.add_argument("--ports", type=int, metavar="N", help="request ports of a channel")
    policy = parser.add_argument_group("policy")
    policy.add_argument(
        "--mapping", choices=MAPPINGS, default="interleaved", help="of addresses (default: interleaved)"
    )
    policy.add_argument("--hash", action=argparse.BooleanOptionalAction, default=False, help="XOR row bits onto banks")
    policy.add_argument("--page", choices=PAGES, default="adaptive", help="when rows close (default: adaptive)")
    policy.add_argument("--refresh", choices=REFRESHES, default="single-bank", help="(default: single-bank)")
    policy.add_argument("--write-high", type=int, default=48, metavar="N", help="writes that begin a batch")
    policy.add_argument("--write-low", type=int, default=8, metavar="N", help="writes left when it ends")
    for name in ("power-down", "self-refresh"):
        text = f"clocks without a request until {name} (default: 0, never)"
        policy.add_argument(f"--{name}-after", type=int, default=0, metavar="N", help=text)
    guards = parser.add_argument_group("guards")
    guards.add_argument("--hammer-entries", type=int, metavar="N", help="rows of a bank that are counted (row hammer)")
    for name, text in (
        ("threshold", "activations after which a row's neighbours are refreshed"),
        ("window", "tREFI after which the count begins anew"),
    ):
        default = getattr(Settings(), f"hammer_{name}")
        guards.add_argument(
            f"--hammer-{name}", type=int, default=default, metavar="N", help=f"{text} (default: {default:,})"
        )
    guards.add_argument(
        "--command-errors",
        type=float,
        default=0.0,
        metavar="N",
        help="accesses of wrong parity, which are sent again, per million clocks of a channel (default: 0)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go")
    return parser


def run(args: argparse.Namespace) -> int:
    """Run the trace and print what was asked for."""
    memory = _memory(args)
    if args.bytes < 1:
        raise UserError(f"--bytes {args.bytes}: give at least 1")
    if args.requests is not None and args.requests < 1:
        raise UserError(f"--requests {args.requests}: give at least 1")
    if args.json is not None:
        if args.json.resolve() == args.trace.resolve():
            raise UserError(f"--json {args.json}: the same file as the trace; choose another")
        writable(args.json)
    requests = read_trace(
        args.trace,
        form=args.format,
        line_bytes=args.bytes,
        clock_ns=float(memory.device.clock_ns),
        capacity=memory.capacity,
        wrap=args.wrap,
    )
    whole = len(requests)
    most = EXPLAINED if args.requests is None and args.action == "explain" else args.requests
    if most is not None and most < whole:
        requests = requests.take(np.arange(most))
    print(f"{args.trace}: {report.title(memory)}")
    if len(requests) < whole:
        print(f"(the first {len(requests):,} of {whole:,} requests)")
    outcome = run_memory(requests, memory)
    unloaded = unloaded_ns(memory)
    record = {"schema": SCHEMA, "commit": commit(), "trace": str(args.trace), **report.record(outcome, unloaded)}
    print(f"\n{report.figure_table(outcome)}")
    if args.action == "explain":
        record["changes"] = _explain(requests, memory, outcome)
    else:
        print(f"\nLatency\n\n{report.latency_table(outcome, unloaded)}")
        print(f"\nWhere the clocks went\n\n{report.clock_table(outcome)}")
        print(f"\nRows and commands\n\n{report.command_table(outcome)}")
    if args.json is not None:
        print(f"\nWrote {write_json(args.json, record)}")
    return 0


def _memory(args: argparse.Namespace) -> Memory:
    """The memory that the options describe."""
    chip: ChipConfig = args.chip
    hbm = chip.hbm
    table = device(hbm.device if args.device is None else args.device)
    channels = hbm.stacks * hbm.channels if args.channels is None else args.channels
    Interleave(channels)
    timing = table.timing
    names = {item.name for item in fields(Timing)}
    for text in args.timing:
        name, _, value = text.partition("=")
        if name not in names or not (value.isascii() and value.isdigit()):
            raise UserError(f"--timing {text}: give NAME=CLOCKS, NAME one of {', '.join(sorted(names))}")
        timing = replace(timing, **{name: int(value)})
    if args.write_low >= args.write_high:
        raise UserError(f"--write-low {args.write_low}: give less than --write-high, {args.write_high}")
    settings = Settings(
        timing=timing,
        mapping=MAPPINGS[args.mapping],
        hash_banks=args.hash,
        page=PAGES[args.page],
        refresh=REFRESHES[args.refresh],
        refresh_enable=args.refresh != "off",
        write_high=args.write_high,
        write_low=args.write_low,
        power_down_after=args.power_down_after,
        self_refresh_after=args.self_refresh_after,
        hammer_threshold=args.hammer_threshold,
        hammer_window=args.hammer_window,
        parity_latency=PARITY_LATENCY if args.command_errors else 0,
    )
    if not 0 <= args.command_errors <= MOST_ERRORS:
        raise UserError(f"--command-errors {args.command_errors:g}: give 0 to {MOST_ERRORS:,}")
    asked = ("height", "ports", "ecc", "hammer_entries")
    given = {name: value for name in asked if (value := getattr(args, name)) is not None}
    config = replace(hbm.channel, **given, retry=hbm.channel.retry or args.command_errors > 0)
    if config.hammer_entries:
        least = least_threshold(config.hammer_entries, settings.hammer_window, timing)
        if settings.hammer_threshold < least:
            most = limits()["hammer_threshold"][-1]
            enough = f"at least {least}, or more entries"
            if least > most:
                enough = "more entries, or a shorter --hammer-window"
            raise UserError(
                f"--hammer-threshold {settings.hammer_threshold}: too low for {config.hammer_entries} entries; give "
                f"{enough}"
            )
    if args.refresh == "single-bank" and not single_bank_keeps_up(timing, banks=config.organisation.banks):
        print(
            f"note: with {config.height}-high stacks and this timing, refreshes of one bank may fall back by more than "
            "eight tREFI under some loads; with --refresh all-bank they do not",
            file=sys.stderr,
        )
    return Memory(device=table, config=config, settings=settings, channels=channels, command_errors=args.command_errors)


def _explain(requests: Requests, memory: Memory, outcome: Outcome) -> list[dict[str, object]]:
    """Print the reasons, and what changes would give; return the latter."""
    print("\nWhy it is not faster\n")
    for text in reasons(outcome):
        print(f"- {text}")
    rows: list[list[Cell]] = []
    for change in changes(requests, memory):
        tried = run_memory(change.requests, change.memory)
        rows.append([change.text, tried.gbs, 100 * tried.efficiency, 100 * (tried.gbs / outcome.gbs - 1)])
    rows.sort(key=lambda row: -float(row[1] or 0))
    print(f"\nWhat a change would give\n\n{format_table(['change', 'GB/s', 'of peak %', 'gain %'], rows)}")
    best = rows[0]
    gain = float(best[3] or 0) / 100
    if gain < WORTH:
        print(f"\nNone of these changes gains {100 * WORTH:g} % or more.")
    else:
        print(f"\nMost is gained by this change: {best[0]}.")
    return [dict(zip(("change", "gbs", "of_peak_percent", "gain_percent"), row, strict=True)) for row in rows]
