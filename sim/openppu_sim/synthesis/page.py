"""``docs/synthesis.md``: the figures of the last ``make synth`` and ``make pnr``, and what they mean."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from openppu_sim.errors import UserError
from openppu_sim.report.table import Cell, cell_text
from openppu_sim.synthesis import pnr, synth
from openppu_sim.synthesis.place import PACKAGE, SPEED_GRADE
from openppu_sim.synthesis.yowasp import read_result

PAGE = """\
# Area and clock

What the tile costs in gates and on a Lattice ECP5, and how fast it is there. This page is generated:
`make synthesis-page`.

## Area

`make synth` emits each part as Verilog and maps it with Yosys, once to ECP5 (`synth_ecp5`) and once to generic gates
(`synth`); no placement. On ECP5 the mapper saves tables as long as logic between registers takes {logic_ns:g} ns at
most, but in parts of int8 alone, which get the fewest levels. The parts are the processing element
(`openppu.tile.cell.Cell`) for several sets of formats, and the whole tile of the preset `ecp5`. Figures and all cell
counts: `build/synth/synth.json`.

{area}

LUT4: tables of 4 inputs, without those inside carry chains and memories. CCU2C: two bits of a carry chain, in the place
of two LUT4. DSP: 18 x 18 multipliers. FF: flip-flops. DPR16X4: 16 x 4 bits of distributed memory, in the place of four
LUT4 and two for the addresses. EBR: block memories of 18 kbit. Gates: inverters, two-input gates and multiplexers, with
the multipliers and memories made of them, too; their flip-flops hold the memories' bits.
Latency: cycles that a partial sum spends in a processing element.

{area_goals}

## Clock

`make pnr` puts a tile into a harness (shift registers that feed every input and fold every output, so that all paths
begin and end in registers and few pins are needed), maps it with Yosys and places and routes it with nextpnr for
{device}, with {seeds}. MHz is the best seed's; the tools were
told to aim at the goal. Tables are all look-up tables, those of carry chains and
memories counted, with the harness's. Figures: `build/pnr/pnr.json`.

{clock}

{clock_goals}

{paths}
"""


def page(build: Path) -> str:
    """Write the page from the reports in ``build``.

    Raises
    ------
    UserError
        If a report is missing.
    """
    area, clock = (rows(build / job / f"{job}.json", job) for job in ("synth", "pnr"))
    seeds = max(row["seeds"] for row in clock)
    return PAGE.format(
        logic_ns=synth.FLOAT_LOGIC_NS,
        area=markdown(*synth.table(area)),
        area_goals=_goals(area),
        clock=markdown(*pnr.table(clock)),
        clock_goals=_goals(clock),
        paths="\n".join(
            f"- {row['name']}: the slowest path runs from `{row['from']}` to `{row['to']}`: {row['logic_ns']:.2f} ns "
            f"in cells, {row['routing_ns']:.2f} ns in wires.\n  Repeat with `{row['command']}`."
            for row in clock
        ),
        device=f"an LFE5UM-85F ({PACKAGE}, speed grade {SPEED_GRADE})",
        seeds=f"{seeds} seed{'s' * (seeds > 1)} of its random numbers",
    )


def rows(path: Path, job: str) -> list[dict[str, Any]]:
    """The rows of a report.

    Raises
    ------
    UserError
        If it is missing.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing; run make {job} first")
    report: dict[str, list[dict[str, Any]]] = read_result(path, blame=f"run make {job}")
    return report["rows"]


def markdown(headers: Sequence[str], lines: Sequence[Sequence[Cell]]) -> str:
    """A table in Markdown; columns that hold a text are aligned to the left, all others to the right."""
    texts = [any(isinstance(cell, str) for cell in column) for column in zip(*lines, strict=True)]
    rule = ["---" if text else "---:" for text in texts]
    body = [[cell_text(cell) for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in [list(headers), rule, *body])


def _goals(rows: Sequence[dict[str, Any]]) -> str:
    lines = []
    for row in rows:
        if "goal" in row:
            reached = row["value"] <= row["goal"] if row["better"] == "lower" else row["value"] >= row["goal"]
            verdict = "reached" if reached else f"not reached yet ({row['value']:g})"
            lines.append(f"- Goal for `{row['name']}`: {row['goal']} {row['unit']}, {verdict}.")
    return "\n".join(lines)
