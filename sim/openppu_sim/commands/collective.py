"""``openppu collective``: what a collective takes on the chips of a node, by each algorithm."""

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from openppu.config import ChipConfig
from openppu.link.collective.plan import FORMATS, HOPS

from openppu_sim.cycles.link.algorithms import OPERATIONS
from openppu_sim.cycles.link.calibration import load_calibration
from openppu_sim.cycles.link.collective import ALGORITHMS, Estimate, algorithms_for, estimates
from openppu_sim.cycles.link.faults import Fault, faulty_estimates
from openppu_sim.cycles.link.ports import Ports, link_of, ports_of
from openppu_sim.cycles.link.rtl import OPERATIONS as PLANNED
from openppu_sim.cycles.link.rtl import Request, measure, predicted_clocks, runs_on_engine
from openppu_sim.cycles.link.topologies import TOPOLOGIES, Topology, topology
from openppu_sim.errors import UserError, require
from openppu_sim.report.json_report import SCHEMA, commit, writable, write_json
from openppu_sim.report.link_source import basis, basis_record, basis_table
from openppu_sim.report.table import Cell, format_table
from openppu_sim.units import parse_bytes, show_bytes

DESCRIPTION = """\
Predict a collective on the chips of a node, by every algorithm that does it there, with the model of the
link (docs/cluster.md).

With --rtl, chips run it on the RTL of their links and collective engines, all results are compared with the reference,
bit for bit, and the clocks stand beside the model's.

Sizes and busbw are as nccl-tests defines them. "of ports %" is busbw beside the flit payload that all ports of a chip
send. A closed form gives the time where no two messages share a link; where they do, each is followed on its own."""

SIZES = "1KiB,64KiB,1MiB,64MiB"
RTL_SIZES = "32B,4KiB,64KiB"
MOST_ERRORS = 1e-4
RTL_NOTE = """\
The engines use one link to each neighbour, in groups two; so does the model here. It is of elements of 32 bits: bf16 is
added at half the bytes a clock. Wrong bits on the lanes cost time that it leaves out."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add the parser of ``collective``."""
    parser = subparsers.add_parser(
        "collective",
        help="predict a collective on the chips of a node",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(config="ppu810e")
    parser.add_argument("--chips", type=int, default=8, metavar="N", help="(default: 8)")
    parser.add_argument(
        "--topology", default="mesh", metavar="NAME", help=f"one of {', '.join(TOPOLOGIES)} (default: mesh)"
    )
    parser.add_argument(
        "--op", default="allreduce", metavar="NAME", help=f"one of {', '.join(OPERATIONS)} (default: allreduce)"
    )
    parser.add_argument("--size", metavar="SIZES", help=f"bytes, such as 64MiB or 1GB, or several (default: {SIZES})")
    parser.add_argument("--algorithm", metavar="NAME", help=f"only one of {', '.join(ALGORITHMS)} (default: all)")
    parser.add_argument("--dead", metavar="A-B", help="the link between two chips is dead")
    parser.add_argument("--degraded", metavar="A-B", help="the link between two chips has half of its lanes")
    parser.add_argument("--calibration", type=Path, metavar="FILE", help="figures in the place of the packaged ones")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go")
    rtl_options(parser)
    return parser


def rtl_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--rtl`` and what goes with it."""
    group = parser.add_argument_group("on the RTL")
    group.add_argument("--rtl", action="store_true", help="run it on the RTL (default sizes: 32B,4KiB,64KiB)")
    group.add_argument("--format", metavar="NAME", help=f"one of {', '.join(FORMATS)} (default: binary32)")
    group.add_argument(
        "--hops", metavar="NAME", help="of unfinished sums of bf16: binary32 or bf16 (default: binary32)"
    )
    group.add_argument("--errors", type=float, metavar="RATE", help="bit error rate of the lanes (default: 0)")


def run(args: argparse.Namespace) -> int:
    """Print the predictions and what they rest on."""
    chip: ChipConfig = args.chip
    _check_names(args)
    if args.rtl:
        return run_rtl(args)
    for option, given in (("--format", args.format), ("--hops", args.hops), ("--errors", args.errors)):
        if given is not None:
            raise UserError(f"{option} {given}: only with --rtl; the model is of elements of 32 bits and clean lanes")
    sizes = _sizes(args, SIZES)
    calibration = load_calibration(args.calibration)
    ports = ports_of(chip, calibration)
    if args.chips < 2:
        raise UserError(f"--chips {args.chips}: a collective needs at least 2")
    place = topology(args.topology, args.chips, ports.count)
    fault = _fault(args)
    if args.json is not None:
        writable(args.json)
    found = [one for size in sizes for one in _chosen(args, place, ports, size, fault)]
    engine = {one.algorithm: runs_on_engine(args.op, one.algorithm, place) for one in found}
    print(f"{args.op} on {title(chip, place, ports)}{_fault_text(args)}\n")
    print(estimate_table(found, ports, engine))
    if args.op == "barrier":
        print(f"\nFastest: {found[0].algorithm}")
    for size in sizes if args.op != "barrier" else []:
        best = next(one for one in found if one.size == size)
        formula = f": {best.formula}" if best.formula else ""
        print(f"\nFastest for {show_bytes(size)}: {best.algorithm}{formula}")
    print(f"\n{terms(place, ports)}")
    figures = basis(chip, calibration)
    print(f"\nA prediction; what it rests on:\n\n{basis_table(figures)}")
    if args.json is not None:
        record = {"schema": SCHEMA, "commit": commit(), "config": chip.name, "topology": place.name}
        rows = [estimate_record(one, ports) | {"engine": engine[one.algorithm]} for one in found]
        more = {"dead": args.dead, "degraded": args.degraded, "rows": rows, "basis": basis_record(figures)}
        print(f"\nWrote {write_json(args.json, record | more)}")
    return 0


def title(chip: ChipConfig, place: Topology, ports: Ports) -> str:
    """The chips and their ports, in a line."""
    used = place.ports_used()
    return (
        f"{place.name} of {place.chips} chips of {chip.name}: {used} of {ports.count} ports a chip, each of "
        f"{ports.gbs:.4g} GB/s of flit payload one way"
    )


def terms(place: Topology, ports: Ports) -> str:
    """What stands for what in the formulas."""
    endpoint, lead = ports.endpoint, show_bytes(ports.endpoint.lead_bytes)
    hop = ports.hop_ns + endpoint.step_ns
    sums = endpoint.after_ns(operands=len(place.groups[0]), stored=True, token=False) - endpoint.step_ns
    return (
        f"s = {endpoint.start_ns:.4g} ns at least; h = {hop:.4g} ns, and {endpoint.store_ns:.4g} ns through memory or "
        f"up to {sums:.4g} ns with a sum; b = {ports.gbs:.4g} GB/s a link, P = {lead}.\n"
        "T(k, M), k steps of M bytes: (k-1) max(m(M)/b, h + m(P)/b) + m(M)/b + h; m(M): with headers.\n"
        "engine: yes, the collective engine does it so; no, only the model."
    )


def _sizes(args: argparse.Namespace, default: str) -> list[int]:
    if args.op != "barrier":
        return parse_sizes(default if args.size is None else args.size)
    if args.size is not None:
        raise UserError(f"--size {args.size[:40]}: a barrier has no data; leave it out")
    return [0]


def parse_sizes(text: str) -> list[int]:
    """Sizes apart by commas, each once, in their order."""
    return list(dict.fromkeys(parse_bytes(part, what="--size") for part in text.split(",")))


def estimate_table(found: list[Estimate], ports: Ports, engine: Mapping[str, bool]) -> str:
    """A line for each estimate."""
    headers = ["size", "algorithm", "steps", "us", "algbw GB/s", "busbw GB/s", "of ports %", "by", "engine"]
    rows: list[list[Cell]] = []
    for one in found:
        rates: list[Cell] = [one.algbw_gbs, one.busbw_gbs, of_ports(one, ports)] if one.size else [None, None, None]
        size = show_bytes(one.size) if one.size else "-"
        rows.append(
            [
                size,
                one.algorithm,
                one.steps,
                one.time_ns / 1e3,
                *rates,
                one.how,
                "yes" if engine[one.algorithm] else "no",
            ]
        )
    return format_table(headers, rows)


def of_ports(one: Estimate, ports: Ports) -> float:
    """busbw in percent of what all ports of a chip send."""
    return 100 * one.busbw_gbs / (ports.count * ports.gbs)


def estimate_record(one: Estimate, ports: Ports) -> dict[str, Any]:
    """An estimate for JSON."""
    return {
        "operation": one.operation,
        "algorithm": one.algorithm,
        "chips": one.chips,
        "bytes": one.size,
        "microseconds": one.time_ns / 1e3,
        "steps": one.steps,
        "busbw_gbs": one.busbw_gbs,
        "of_ports_percent": of_ports(one, ports),
        "by": one.how,
        "formula": one.formula,
    }


def run_rtl(args: argparse.Namespace) -> int:
    """Run on the RTL, and print the clocks beside the model's."""
    if args.dead is not None or args.degraded is not None:
        raise UserError("--rtl: all links work; leave out --dead and --degraded")
    fmt, hops, errors = args.format or "binary32", args.hops or "binary32", args.errors or 0.0
    for option, value, known in (("--format", fmt, FORMATS), ("--hops", hops, HOPS)):
        if value not in known:
            raise UserError(f"{option} {value!r}: give one of {', '.join(known)}")
    require("--errors", errors, 0, MOST_ERRORS)
    if args.chips < 2:
        raise UserError(f"--chips {args.chips}: a collective needs at least 2")
    chip: ChipConfig = args.chip
    link_of(chip)
    calibration = load_calibration(args.calibration)
    request = Request(
        chip=chip,
        place=args.topology,
        chips=args.chips,
        operation=PLANNED[args.op],
        algorithm="auto" if args.algorithm is None else args.algorithm.replace("-", "_"),
        format=fmt,
        hops=hops,
        sizes=_sizes(args, RTL_SIZES),
        bit_errors=errors,
        build_root=args.build_dir,
    )
    if args.json is not None:
        writable(args.json)
    headers = ["size", "algorithm", "RTL clocks", "RTL us", "model clocks", "difference %", "wrong bits", "replayed"]
    rows: list[list[Cell]] = []
    records = []
    for one in measure(request):
        name = one.algorithm.replace("_", "-")
        clocks = predicted_clocks(chip, calibration, args.op, name, args.topology, args.chips, one.size)
        apart, microseconds = 100 * (clocks / one.clocks - 1), one.clocks / chip.link.clock_mhz
        size = show_bytes(one.size) if one.size else "-"
        rows.append([size, name, one.clocks, microseconds, clocks, apart, one.wrong_bits, one.replayed])
        records.append(
            asdict(one) | {"microseconds": microseconds, "model_clocks": clocks, "difference_percent": apart}
        )
    print(
        f"{args.op} of {fmt} on {args.topology} of {args.chips} chips of {chip.name}, on the RTL: engines, "
        f"routers, ports, a channel of a clock between chips;\nevery chip's memory is the reference's, bit for bit\n"
    )
    print(format_table(headers, rows))
    print(f"\n{RTL_NOTE}")
    if args.json is not None:
        record = {"schema": SCHEMA, "commit": commit(), "config": chip.name, "topology": args.topology}
        print(f"\nWrote {write_json(args.json, record | {'rtl': True, 'chips': args.chips, 'rows': records})}")
    return 0


def _check_names(args: argparse.Namespace) -> None:
    for option, value, known in (("--op", args.op, OPERATIONS), ("--topology", args.topology, TOPOLOGIES)):
        if value not in known:
            raise UserError(f"{option} {value!r}: give one of {', '.join(known)}")
    if args.algorithm is not None and args.algorithm not in ALGORITHMS:
        raise UserError(f"--algorithm {args.algorithm!r}: give one of {', '.join(ALGORITHMS)}")


def _chosen(args: argparse.Namespace, place: Topology, ports: Ports, size: int, fault: Fault | None) -> list[Estimate]:
    known = algorithms_for(args.op, place)
    if args.algorithm is not None and args.algorithm not in known:
        raise UserError(
            f"--algorithm {args.algorithm}: does no {args.op} on {place.name}; give one of {', '.join(known)}"
        )
    if fault is None:
        found = estimates(args.op, place, ports, size)
    else:
        found = faulty_estimates(args.op, place, ports, size, fault)
    return [one for one in found if args.algorithm in (None, one.algorithm)]


def _fault(args: argparse.Namespace) -> Fault | None:
    if args.dead is not None and args.degraded is not None:
        raise UserError("--dead and --degraded: give one of them")
    text = args.dead if args.dead is not None else args.degraded
    if text is None:
        return None
    ends = text.split("-")
    option = "--dead" if args.dead is not None else "--degraded"
    if len(ends) != 2 or not all(end.isascii() and end.isdigit() and len(end) < 6 for end in ends):
        raise UserError(f"{option} {text[:40]!r}: give two chips, such as 0-1")
    return Fault(int(ends[0]), int(ends[1]), 0.0 if args.dead is not None else 0.5)


def _fault_text(args: argparse.Namespace) -> str:
    if args.dead is not None:
        return f"; link {args.dead} is dead"
    return f"; link {args.degraded} has half of its lanes" if args.degraded is not None else ""
