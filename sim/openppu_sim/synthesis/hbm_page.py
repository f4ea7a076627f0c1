"""``docs/hbm-synthesis.md``: the figures of the last ``make synth-hbm``, and ``make pnr-hbm`` if there is one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from openppu_sim.synthesis import hbm
from openppu_sim.synthesis.page import markdown, rows
from openppu_sim.synthesis.place import PACKAGE, SPEED_GRADE

PAGE = """\
# Area and clock of the memory controller

What a channel of the [HBM2e controller](hbm.md) costs in gates and on a Lattice ECP5, by the entries of its queues. No
ECP5 drives HBM: it stands for "an FPGA" since its tools are free. This page is generated: `make hbm-synthesis-page`.

`full`: {full}. `small`: {small}. Entries are those of each of a pseudo-channel's two queues, and the slots of a port.

## Area

`make synth-hbm` maps `openppu.hbm.channel.Channel` with Yosys to ECP5, each kind of module once, and then removes what
nobody uses; and the scheduler of one of its two pseudo-channels, which holds no memories, to generic gates.

{area}

Cells are explained [there](synthesis.md#area).{left_out}

Of `full`, one of each part, its own parts within it, before what nobody uses is removed (LUT4 / CCU2C / FF):

{parts}

A queue of {most} entries costs {entry} LUT4 an entry: three choices of its bank's bit among those of all banks, three
ways out (for an access, an ACT, a PRE), two comparisons of rows (with what opens, with what arrives), and marks of its
bank for the others. So long queues are most of a scheduler; what they are good for is told by
[what is reached](hbm.md#measured). The banks with their counters take {banks} LUT4 and {carries} carry cells a
pseudo-channel.

LiteDRAM's core (DDR3, one port, 8 banks, neither PHY nor ECC) maps to 1,354 LUT of six inputs, 696 FF and 32 RAM32M.
It is another thing: a small machine for each bank, whose requests stay in order, and no pseudo-channels. With it, a
stream of half reads, half writes moves 21.4 % of what the bus could.
"""
CLOCK = """
## Clock

`make pnr-hbm` puts a channel, or the scheduler of one of its pseudo-channels, into the harness of
[the tile's](synthesis.md#clock), and has nextpnr place and route it for an LFE5UM-85F ({package}, speed grade {speed}),
aiming at {target:g} MHz, with one seed.{left_out}

{clock}

{paths}

The long way is the choice of an access: from the banks' counters over what each may take, the match of every entry,
the oldest, its fields, whether another entry wants the row, to the command, and back to every entry's marks: all in
one clock, for an access a clock. A clock of 800 MHz, which HBM2E at 3.2 Gb/s a pin would ask for, is a matter of
an ASIC's process and of cutting this way; it has not been tried.
"""
_PARTS = {
    "pseudo_channel": "scheduler of a pseudo-channel",
    "entry_queue": "a queue",
    "banks": "all banks",
    "bank": "a bank",
    "column_gate": "rules of columns",
    "row_gate": "rules of rows",
    "refresh_timer": "refresh",
    "admission": "admission",
    "port": "a port",
    "crossbar": "crossbar of a pseudo-channel",
    "write_buffer": "write buffer",
    "write_path": "write path",
    "read_path": "read path",
    "row_arbiter": "row bus",
    "power": "power",
    "startup": "start",
}


def page(build: Path) -> str:
    """Write the page from the reports in ``build``.

    Raises
    ------
    UserError
        If the report of the area is missing.
    """
    area = rows(build / "synth-hbm" / "synth-hbm.json", "synth-hbm")
    full = {(row["part"], row["entries"]): row for row in area if row["config"] == "full"}
    sizes = sorted({entries for _, entries in full})
    most = sizes[-1]
    banks = full["banks", most]
    text = PAGE.format(
        full=_describe("full"),
        small=_describe("small"),
        area=markdown(*hbm.area_table(area)),
        left_out=_left_out(_unmapped(area), "mapped", hbm.AREA_SECONDS),
        parts=markdown(*_parts_table(full, sizes)),
        most=most,
        entry=round(full["entry_queue", most]["lut4"] / most),
        banks=f"{banks['lut4']:,}",
        carries=f"{banks['ccu2c']:,}",
    )
    report = build / "pnr-hbm" / "pnr-hbm.json"
    if not report.is_file():
        return text
    clock = rows(report, "pnr-hbm")
    return text + CLOCK.format(
        package=PACKAGE,
        speed=SPEED_GRADE,
        target=hbm.TARGET,
        clock=markdown(*hbm.clock_table(clock)),
        left_out=_left_out(_unrouted(clock), "placed and routed", hbm.CLOCK_SECONDS),
        paths="\n".join(
            f"- {row['name']}: the slowest path runs from `{row['from']}` to `{row['to']}`." for row in clock
        ),
    )


def _describe(name: str) -> str:
    config = hbm.CONFIGS[name]
    ecc = "without ECC" if config.ecc == "none" else f"ECC `{config.ecc}`"
    ports = f"{config.ports} port{'s' * (config.ports > 1)} of {config.tags} tag{'s' * (config.tags > 1)}"
    return f"{config.organisation.banks} banks a pseudo-channel ({config.height}-high), {ports}, {ecc}"


def _unmapped(area: Sequence[Mapping[str, Any]]) -> list[str]:
    """Channels without a row, and those whose scheduler has no gates."""
    found = {(row["config"], row["entries"]): row for row in area if row["part"] == hbm.WHOLE}
    every = [(name, entries) for entries in hbm.ENTRIES for name in hbm.CONFIGS]
    missing = [f"`{name}` with {entries} entries" for name, entries in every if (name, entries) not in found]
    return missing + [
        f"the scheduler of `{name}` with {entries} entries, to gates"
        for name, entries in every
        if "gates" not in found.get((name, entries), {"gates": None})
    ]


def _unrouted(clock: Sequence[Mapping[str, Any]]) -> list[str]:
    found = {(row["part"], row["config"], row["entries"]) for row in clock}
    return [
        f"the {part} of `{name}` with {entries} entries" if part == "scheduler" else f"`{name}` with {entries} entries"
        for part, name, entries in hbm.CLOCKS
        if (part, name, entries) not in found
    ]


def _left_out(names: Sequence[str], done: str, seconds: float) -> str:
    """A sentence on what is missing, if something is."""
    if not names:
        return ""
    return f"\nLeft out, for it was not run, or not {done} within {seconds / 60:.0f} minutes: {'; '.join(names)}."


def _parts_table(
    full: Mapping[tuple[str, int], Mapping[str, Any]], sizes: Sequence[int]
) -> tuple[list[str], list[list[str]]]:
    lines = []
    for part, meaning in _PARTS.items():
        cells = [full[part, entries] for entries in sizes]
        lines.append([meaning, *(f"{each['lut4']:,} / {each['ccu2c']:,} / {each['ff']:,}" for each in cells)])
    return ["part", *(f"{entries} entries" for entries in sizes)], lines
