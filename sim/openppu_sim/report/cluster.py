"""Tables and records of a cluster's projection."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from openppu.config import ChipConfig

from openppu_sim.cycles.link.cluster import ClusterEstimate
from openppu_sim.cycles.link.goodput import Failures
from openppu_sim.cycles.link.ports import Ports
from openppu_sim.cycles.link.scaling import Point
from openppu_sim.cycles.link.training import Job, peak_operations
from openppu_sim.cycles.link.transformer import Transformer
from openppu_sim.report.table import Cell, format_table
from openppu_sim.units import show_bytes, show_ns

SHOWN = ("allreduce", "reducescatter", "allgather", "alltoall", "barrier")


def collective_table(found: Mapping[str, Sequence[ClusterEstimate]], ports: Ports) -> str:
    """A line for each operation and algorithm."""
    headers = ["operation", "size", "between nodes", "pieces", "us", "busbw GB/s"]
    rows: list[list[Cell]] = []
    for estimates in found.values():
        for one in estimates:
            size = show_bytes(one.size) if one.size else "-"
            busbw = one.busbw_gbs if one.size else None
            rows.append([one.operation, size, one.algorithm, one.pieces, one.time_ns / 1e3, busbw])
    return format_table(headers, rows)


def step_table(points: Sequence[Point]) -> str:
    """A line for each number of cards: where the step's time goes, and the efficiency."""
    headers = ["cards", "used", "replicas", "step s", "compute %", "tensor %", "bubble %", "data %", "optimiser %"]
    headers += ["tokens/s", "efficiency %"]
    rows: list[list[Cell]] = []
    for point in points:
        step = point.step
        parts = (step.compute_s, step.tensor_s, step.bubble_s, step.data_s, step.optimiser_s)
        shares = [100 * part / step.seconds for part in parts]
        rate = step.tokens / step.seconds
        rows.append([step.cards, step.used, step.replicas, step.seconds, *shares, round(rate), 100 * point.efficiency])
    return format_table(headers, rows)


def failure_table(points: Sequence[Point], failures: Failures) -> str:
    """A line for each number of cards: how often it stops, and what is left."""
    headers = ["cards", "between failures", "checkpoint every", "goodput %", "slow link %", "dead link %", "links %"]
    headers += ["efficiency with all %"]
    rows: list[list[Cell]] = []
    for point in points:
        cards = point.step.cards
        every = failures.best_interval_s(cards) if failures.interval_s is None else failures.interval_s
        factors = (point.goodput, point.slow_factor, point.dead_factor, point.link_factor, point.effective)
        rows.append([cards, _span(point.between_s), _span(every), *(100 * factor for factor in factors)])
    return format_table(headers, rows)


def _span(seconds: float) -> str:
    if seconds == math.inf:
        return "never"
    return f"{seconds / 3600:,.3g} h" if seconds >= 3600 else show_ns(seconds * 1e9)


def notes(point: Point, model: Transformer, chip: ChipConfig, job: Job, bound: float) -> list[str]:
    """Lines below the table of steps, on the largest number of cards."""
    step = point.step
    done = model.training_operations() * step.tokens / step.seconds / step.cards
    one, gradients, hidden = (
        show_ns(1e9 * seconds)
        for seconds in (step.parts["one tensor sum"], step.parts["gradient sum"], step.data_hidden_s)
    )
    lines = [
        f"\nOn {step.cards:,} cards: {100 * done / peak_operations(chip):.3g} % of the peak rate (MFU); a tensor sum "
        f"takes {one}, the sum of gradients {gradients}, of which {hidden} are hidden.",
        f"Utilisation while computing: {job.utilisation:.3g}. The tile's cycle model gives {bound:.4g} for a layer's "
        "matrix products alone, with operands always there: a bound.",
    ]
    memory = step.memory_bytes / 2**30
    capacity = chip.hbm.capacity / 2**30
    lines.append(f"Memory of a card: {memory:.3g} of {capacity:g} GiB for parameters, gradients, moments, activations.")
    if memory > capacity:
        lines.append("IT DOES NOT FIT: give a larger --pipeline or --tensor, or --recompute.")
    return lines


def collective_record(one: ClusterEstimate) -> dict[str, Any]:
    """An estimate for JSON."""
    record = asdict(one)
    return record | {"bytes": record.pop("size"), "busbw_gbs": one.busbw_gbs}


def point_record(point: Point) -> dict[str, Any]:
    """A point for JSON: seconds by cause, and shares from 0 to 1."""
    record = asdict(point.step)
    record |= {"seconds": point.step.seconds, "tokens_per_card_second": point.step.tokens_per_card}
    for name in ("efficiency", "link_factor", "slow_factor", "dead_factor", "goodput", "effective"):
        record[name] = getattr(point, name)
    record["between_failures_s"] = None if point.between_s == math.inf else point.between_s
    return record
