"""What a projection of the link's model rests on, for people and for JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from openppu.config import ChipConfig

from openppu_sim.cycles.link.calibration import Calibration, Figure
from openppu_sim.report.table import format_table


def basis(chip: ChipConfig, calibration: Calibration, more: Sequence[Figure] = ()) -> list[Figure]:
    """The figures behind a projection: the configuration's rate, the calibration, and those given."""
    link = chip.link
    rate = Figure(
        "payload rate of a port",
        round(link.payload_gbs, 3),
        "GB/s",
        "derived",
        f"{chip.name}: {link.lanes} lanes x {link.lane_gbps:g} Gb/s, {link.payload_bytes} of 256 bytes of a flit",
    )
    return [rate, *calibration.figures.values(), *more]


def basis_table(figures: Sequence[Figure]) -> str:
    """The table ``what it rests on``, the assumed last."""
    order = ("derived", "measured", "given", "reported", "assumed")
    rows = sorted((figure.row() for figure in figures), key=lambda row: order.index(row[2]))
    return format_table(["figure", "value", "is", "source"], rows)


def basis_record(figures: Sequence[Figure]) -> list[dict[str, Any]]:
    """The same for JSON."""
    return [asdict(figure) for figure in figures]
