"""``openppu cluster``: collectives and training on up to 65,536 cards, projected."""

import argparse
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from openppu.config import ChipConfig

from openppu_sim.cycles.link.calibration import Figure, load_calibration
from openppu_sim.cycles.link.cluster import Cluster
from openppu_sim.cycles.link.fabric import Fabric
from openppu_sim.cycles.link.faults import FaultRates
from openppu_sim.cycles.link.goodput import Failures
from openppu_sim.cycles.link.ports import ports_of
from openppu_sim.cycles.link.scaling import Point, card_counts, scale
from openppu_sim.cycles.link.topologies import TOPOLOGIES, topology
from openppu_sim.cycles.link.training import Job, peak_operations, tile_utilisation
from openppu_sim.cycles.link.transformer import MODELS, Transformer
from openppu_sim.errors import UserError
from openppu_sim.report import cluster as report
from openppu_sim.report.json_report import SCHEMA, commit, writable, write_json
from openppu_sim.report.link_source import basis, basis_record, basis_table
from openppu_sim.units import parse_bytes

DESCRIPTION = """\
Project collectives, and training steps of a transformer, on a cluster: nodes of chips linked by their ports, and a
rail of switches for each place in a node (docs/cluster.md).

Every figure is a projection. The last table says what it rests on: what follows from the configuration, what was
measured, what was given here, what others report of other machines, and what is assumed."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add the parser of ``cluster``."""
    parser = subparsers.add_parser(
        "cluster",
        help="project collectives and training on up to 65,536 cards",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(config="ppu810e")
    parser.add_argument("--cards", type=int, default=1024, metavar="N", help="2 to 65,536 (default: 1024)")
    parser.add_argument("--size", default="1GiB", metavar="SIZE", help="of the collectives (default: 1GiB)")
    parser.add_argument("--picture", type=Path, metavar="FILE.svg", help="where a picture of the scaling goes; or .png")
    parser.add_argument("--calibration", type=Path, metavar="FILE", help="figures in the place of the packaged ones")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go")
    _node_options(parser.add_argument_group("nodes and rails"))
    _model_options(parser.add_argument_group("model, all of it or changes to a named one"))
    _job_options(parser.add_argument_group("job"))
    _failure_options(parser.add_argument_group("failures"))
    return parser


REPLICA_BATCH = 32

GIVEN: dict[str, tuple[str, float, str, str, str]] = {
    "rail_gbs": ("--rail-gbs", 50.0, "GB/s", "assumed", "a network interface of 400 Gb/s for each card"),
    "interface_us": (
        "--interface-us",
        2.0,
        "us",
        "assumed",
        "network interfaces at both ends of a message, and software",
    ),
    "switch_us": ("--switch-us", 0.5, "us", "assumed", "a switch and its cables"),
    "radix": ("--radix", 64, "ports", "assumed", "of a switch"),
    "oversubscription": ("--oversubscription", 1.0, "times", "assumed", "down over up at the lowest switches"),
    "utilisation": ("--utilisation", 0.5, "of the peak", "assumed", "that a card reaches while it computes"),
    "tensor_overlap": ("--tensor-overlap", 0.0, "of the traffic", "assumed", "tensor sums hidden behind compute"),
    "data_overlap": (
        "--data-overlap",
        0.8,
        "of a backward pass",
        "assumed",
        "of the last micro-batch, in which gradients can be summed unseen",
    ),
    "failure_rate": (
        "--failure-rate",
        2e-5,
        "per card-hour",
        "reported",
        "419 unexpected stops of 16,384 H100 cards in 54 days (Llama 3)",
    ),
    "checkpoint_s": ("--checkpoint-s", 60.0, "s", "assumed", "that the job stands still for a checkpoint"),
    "restart_s": ("--restart-s", 600.0, "s", "assumed", "from a failure to when work goes on"),
    "dead_link_rate": (
        "--dead-link-rate",
        1.7e-6,
        "per link-hour",
        "reported",
        "8.4 % of these stops were of switches and cables; taken for each link, such as go on by a detour",
    ),
    "degraded_link_rate": (
        "--degraded-link-rate",
        1.7e-6,
        "per link-hour",
        "assumed",
        "links that lose half of their lanes",
    ),
    "mend_hours": ("--mend-hours", 4.0, "hours", "assumed", "until a link is mended"),
}
"""Options that are figures: option, value, unit, how it is known, and what it is."""


def _figure_options(group: "argparse._ArgumentGroup", names: list[str]) -> None:
    for name in names:
        option, value, unit, _, text = GIVEN[name]
        kind = int if isinstance(value, int) else float
        group.add_argument(
            option, type=kind, metavar="N", help=f"{text}, {unit} (default: {value:g})".replace("%", "%%")
        )


def _node_options(group: "argparse._ArgumentGroup") -> None:
    group.add_argument("--node", default="mesh", metavar="NAME", help=f"one of {', '.join(TOPOLOGIES)} (default: mesh)")
    group.add_argument("--node-chips", type=int, default=8, metavar="N", help="cards of a node (default: 8)")
    _figure_options(group, ["rail_gbs", "interface_us", "switch_us", "radix", "oversubscription"])


def _model_options(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--model", default="llama3-70b", metavar="NAME", help=f"{', '.join(MODELS)} (default: llama3-70b)"
    )
    for name in ("layers", "hidden", "heads", "kv-heads", "inner", "vocabulary", "sequence"):
        group.add_argument(f"--{name}", type=int, metavar="N", help=argparse.SUPPRESS if name == "kv-heads" else name)


def _job_options(group: "argparse._ArgumentGroup") -> None:
    group.add_argument("--tensor", type=int, default=8, metavar="N", help="cards of a tensor group (default: 8)")
    group.add_argument("--pipeline", type=int, default=4, metavar="N", help="stages (default: 4)")
    group.add_argument("--interleave", type=int, default=1, metavar="N", help="pieces of a stage (default: 1)")
    group.add_argument("--micro", type=int, default=1, metavar="N", help="sequences of a micro-batch (default: 1)")
    group.add_argument(
        "--replica-batch", type=int, metavar="N", help=f"sequences of a replica and step (default: {REPLICA_BATCH})"
    )
    group.add_argument(
        "--global-batch", type=int, metavar="N", help="sequences of a step, for any number of cards (strong scaling)"
    )
    group.add_argument("--recompute", action="store_true", help="do the forward pass again instead of keeping it")
    group.add_argument(
        "--utilisation",
        default=None,
        metavar="N|tile",
        help="of the peak while computing, or the bound by the tile's cycle model (default: 0.5)",
    )
    _figure_options(group, ["tensor_overlap", "data_overlap"])


def _failure_options(group: "argparse._ArgumentGroup") -> None:
    _figure_options(group, ["failure_rate", "checkpoint_s", "restart_s"])
    group.add_argument(
        "--interval-s", type=float, metavar="N", help="seconds of work between checkpoints (default: the best)"
    )
    _figure_options(group, ["dead_link_rate", "degraded_link_rate", "mend_hours"])


def run(args: argparse.Namespace) -> int:
    """Print the projections and write what was asked for."""
    chip: ChipConfig = args.chip
    size = parse_bytes(args.size, what="--size")
    values = {name: (given if (given := getattr(args, name)) is not None else GIVEN[name][1]) for name in GIVEN}
    model, job = _model(args), _job(args, values)
    calibration = load_calibration(args.calibration)
    cluster = _cluster(args, values, chip, calibration_ports := ports_of(chip, calibration))
    bound = tile_utilisation(chip, model, job)
    if args.utilisation == "tile":
        job = replace(job, utilisation=bound)
        values["utilisation"] = bound
    failures = Failures(values["failure_rate"], values["checkpoint_s"], values["restart_s"], args.interval_s)
    links = FaultRates(values["dead_link_rate"], values["degraded_link_rate"], values["mend_hours"])
    _check_files(args)
    counts = card_counts(args.cards, cluster.node.chips, job.tensor * job.pipeline)
    points = scale(cluster, counts, chip, model, job, failures, links)

    peak = peak_operations(chip) / 1e12
    print(
        f"{args.cards:,} cards of {chip.name}, {peak:.4g} TFLOP/s each, in nodes of {cluster.node.chips} ({args.node})"
    )
    estimates = {name: cluster.collective(name, 0 if name == "barrier" else size) for name in report.SHOWN}
    print(f"\nCollectives over all of them\n\n{report.collective_table(estimates, calibration_ports)}")
    title = f"{model.parameters / 1e9:.4g}e9 parameters, {model.layers} layers, sequences of {model.sequence:,}"
    print(f"\nTraining steps: {title}\n\n{report.step_table(points)}")
    for line in report.notes(points[-1], model, chip, job, bound):
        print(line)
    print(f"\nWith failures\n\n{report.failure_table(points, failures)}")
    figures = basis(chip, calibration, _figures(args, values))
    print(f"\nA projection; what it rests on:\n\n{basis_table(figures)}")
    _write(args, points, estimates, figures, model, job)
    return 0


def _model(args: argparse.Namespace) -> Transformer:
    if args.model not in MODELS:
        raise UserError(f"--model {args.model!r}: give one of {', '.join(MODELS)}")
    names = ("layers", "hidden", "heads", "kv_heads", "inner", "vocabulary", "sequence")
    changes: dict[str, Any] = {name: given for name in names if (given := getattr(args, name)) is not None}
    if "heads" in changes and "kv_heads" not in changes:
        changes["kv_heads"] = changes["heads"]
    return replace(MODELS[args.model], **changes)


def _job(args: argparse.Namespace, values: dict[str, float]) -> Job:
    utilisation = GIVEN["utilisation"][1]
    if args.utilisation not in (None, "tile"):
        try:
            utilisation = float(args.utilisation)
        except ValueError:
            raise UserError(f"--utilisation {args.utilisation[:40]!r}: give a number, or tile") from None
    values["utilisation"] = utilisation
    if args.replica_batch is not None and args.global_batch is not None:
        raise UserError("--replica-batch and --global-batch: give one of them")
    return Job(
        tensor=args.tensor,
        pipeline=args.pipeline,
        micro=args.micro,
        replica_batch=REPLICA_BATCH if args.replica_batch is None else args.replica_batch,
        global_batch=args.global_batch,
        interleave=args.interleave,
        utilisation=utilisation,
        tensor_overlap=values["tensor_overlap"],
        data_overlap=values["data_overlap"],
        recompute=args.recompute,
    )


def _cluster(args: argparse.Namespace, values: dict[str, float], chip: ChipConfig, ports: Any) -> Cluster:
    if args.node not in TOPOLOGIES:
        raise UserError(f"--node {args.node!r}: give one of {', '.join(TOPOLOGIES)}")
    node = topology(args.node, args.node_chips, ports.count)
    fabric = Fabric(
        gbs=values["rail_gbs"],
        interface_ns=1e3 * values["interface_us"],
        switch_ns=1e3 * values["switch_us"],
        radix=int(values["radix"]),
        oversubscription=values["oversubscription"],
    )
    cluster = Cluster(args.cards, node, ports, fabric)
    fabric.tiers(cluster.nodes)
    return cluster


def _check_files(args: argparse.Namespace) -> None:
    if args.picture is not None and args.picture.suffix.lower() not in (".svg", ".png"):
        raise UserError(f"--picture {args.picture}: give a name that ends in .svg or .png")
    if args.json is not None and args.picture is not None and args.json.resolve() == args.picture.resolve():
        raise UserError(f"--json {args.json}: the same file as --picture; choose another")
    for path in (args.json, args.picture):
        if path is not None:
            writable(path)


def _figures(args: argparse.Namespace, values: dict[str, float]) -> list[Figure]:
    """The options' figures, each with how it is known."""
    figures = []
    for name, (option, _, unit, kind, text) in GIVEN.items():
        given = getattr(args, name) is not None
        figures.append(Figure(option, float(values[name]), unit, "given" if given else kind, text))
    return figures


def _write(
    args: argparse.Namespace,
    points: list[Point],
    estimates: dict[str, list[Any]],
    figures: list[Figure],
    model: Transformer,
    job: Job,
) -> None:
    written = []
    if args.json is not None:
        record = {
            "schema": SCHEMA,
            "commit": commit(),
            "config": args.chip.name,
            "cards": args.cards,
            "node": args.node,
            "node_chips": args.node_chips,
            "model": asdict(model) | {"parameters": model.parameters},
            "job": asdict(job),
            "collectives": [report.collective_record(one) for found in estimates.values() for one in found],
            "steps": [report.point_record(point) for point in points],
            "basis": basis_record(figures),
        }
        written.append(write_json(args.json, record))
    if args.picture is not None:
        from openppu_sim.report.cluster_picture import draw  # here, since matplotlib takes a while to import

        written.append(draw(args.picture, points, title=f"{args.chip.name}: training {args.model}, projected"))
    if written:
        print(f"\nWrote {', '.join(map(str, written))}")
