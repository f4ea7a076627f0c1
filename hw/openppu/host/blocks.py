"""All registers of a chip: a slot of 64 KiB a part, described once.

``python -m openppu.host.blocks`` prints ``docs/registers.md``; with ``--html`` a page for a browser, with ``--header``
a C header. `openppu_sim.device.registers` gives Python access from the same description.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from openppu.chip import engine_registers
from openppu.command import registers as command_registers
from openppu.common.register_map import Register, c_header, markdown_row
from openppu.config import PRESET_FOLDER, ChipConfig, ConfigError, load
from openppu.hbm import registers as hbm_registers
from openppu.link import registers as link_registers
from openppu.link.collective.config import CollectiveConfig
from openppu.link.unit import registers as collective_registers
from openppu.scratchpad import registers as scratchpad_registers

SLOT_BITS = 16
"""Of an address in bytes within a part's slot."""

ADDRESS_BITS = 22
"""Of an address in bytes."""

COMMAND_SLOT, LINK_SLOT, COLLECTIVE_SLOT, SCRATCHPAD_SLOT, ENGINE_SLOT, HBM_SLOT = 1, 2, 3, 4, 5, 16
CHIP_BITS = 8
IDENTITY = 0x50505531
"""What the first register reads: "PPU1" in ASCII."""

VERSION = 2
"""Of this map."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """The registers of a part.

    Parameters
    ----------
    name : str
    slot : int
    address_bits : int
        Of an address in bytes that the part looks at.
    registers : tuple of Register
    meaning : str
    """

    name: str
    slot: int
    address_bits: int
    registers: tuple[Register, ...]
    meaning: str

    @property
    def base(self) -> int:
        """Address of the part's first byte."""
        return self.slot << SLOT_BITS


def chip_registers(chip: ChipConfig) -> tuple[Register, ...]:
    """What the chip is: constants."""
    memory = chip.hbm.capacity
    constants = (
        ("identity", IDENTITY, '"PPU1"'),
        ("version", VERSION, "of this map"),
        ("compute_units", chip.compute_units, "compute units"),
        ("tile_rows", chip.tile.rows, "rows of a tile"),
        ("tile_columns", chip.tile.columns, "columns of a tile"),
        ("hbm_channels", chip.hbm.stacks * chip.hbm.channels, "channels of memory"),
        ("hbm_bytes", memory & 0xFFFFFFFF, "bytes of memory: bits 31 to 0"),
        ("hbm_bytes_high", memory >> 32, "bits 63 to 32"),
        ("link_ports", chip.link.ports, "ports to other chips"),
        ("fingerprint", int(chip.fingerprint()[:8], 16), "of the configuration: its first 8 hex digits"),
    )
    return tuple(
        Register(name=name, offset=4 * number, bits=32, reset=value, meaning=meaning)
        for number, (name, value, meaning) in enumerate(constants)
    )


def blocks(chip: ChipConfig, queues: Sequence[str]) -> tuple[Block, ...]:
    """The parts of a chip that have registers; ``queues`` are the command processor's, by name."""
    return tuple(_blocks(chip, queues))


def _blocks(chip: ChipConfig, queues: Sequence[str]) -> Iterator[Block]:
    yield Block(
        name="chip", slot=0, address_bits=CHIP_BITS, registers=chip_registers(chip), meaning="what this chip is"
    )
    yield Block(
        name="command",
        slot=COMMAND_SLOT,
        address_bits=command_registers.ADDRESS_BITS,
        registers=command_registers.registers(chip.command, queues),
        meaning="the command processor",
    )
    if chip.link.ports:
        yield Block(
            name="link",
            slot=LINK_SLOT,
            address_bits=link_registers.ADDRESS_BITS,
            registers=tuple(link_registers.registers(chip.link)),
            meaning="the link to other chips",
        )
        yield Block(
            name="collective",
            slot=COLLECTIVE_SLOT,
            address_bits=collective_registers.ADDRESS_BITS,
            registers=collective_registers.registers(CollectiveConfig(link=chip.link)),
            meaning="the collective engine",
        )
    yield Block(
        name="scratchpad",
        slot=SCRATCHPAD_SLOT,
        address_bits=scratchpad_registers.ADDRESS_BITS,
        registers=scratchpad_registers.registers(chip.scratchpad, chip.compute_units),
        meaning="what was wrong with words of the scratchpads",
    )
    yield Block(
        name="engines",
        slot=ENGINE_SLOT,
        address_bits=engine_registers.ADDRESS_BITS,
        registers=engine_registers.registers(chip.compute_units),
        meaning="where the cycles of compute units go",
    )
    for number in range(chip.hbm.stacks * chip.hbm.channels):
        yield Block(
            name=f"hbm{number}",
            slot=HBM_SLOT + number,
            address_bits=hbm_registers.ADDRESS_BITS,
            registers=tuple(hbm_registers.registers(chip.hbm.channel)),
            meaning="the controller of a channel of memory",
        )


def page(chip: ChipConfig, queues: Sequence[str] = command_registers.QUEUES) -> str:
    """The text of ``docs/registers.md``: the slots, and those registers that no other page has."""
    pages = {"command": "command-registers.md", "link": "link-registers.md", "hbm": "hbm-registers.md"}
    lines = [
        "# Registers of a chip",
        "",
        f"32 bits each, on AXI4-Lite with addresses of {ADDRESS_BITS} bits: a slot of 64 KiB a part. An address in no",
        "slot, or beyond the part in a slot, is answered `DECERR`; what a part refuses, `SLVERR`.",
        "",
        f"This page is generated, for `{chip.name}`: `python -m openppu.host.blocks`; with `--html` all registers as a",
        "page for a browser, with `--header` as a C header (`--config` chooses the chip).",
        "",
        "| address | part | meaning | registers |",
        "|---|---|---|---|",
    ]
    for block in blocks(chip, queues):
        kind = block.name.rstrip("0123456789")
        where = f"[{kind}]({pages[kind]})" if kind in pages else "below"
        lines.append(f"| {block.base:#08x} | `{block.name}` | {block.meaning} | {where} |")
    for block in blocks(chip, queues):
        if block.name in ("collective", "scratchpad", "engines"):
            lines += [
                "",
                f"## {block.name}",
                "",
                "| offset | name | bits | access | after reset | allowed | meaning |",
                "|---|---|---|---|---|---|---|",
                *(markdown_row(each) for each in block.registers),
            ]
    lines += ["", "## chip", "", "| offset | name | value | meaning |", "|---|---|---|---|"]
    lines += [
        f"| {each.offset:#05x} | `{each.name}` | {_shown(each)} | {each.meaning} |" for each in chip_registers(chip)
    ]
    return "\n".join(lines) + "\n"


def _shown(register: Register) -> str:
    """A constant; but of the fingerprint, which any change of a configuration changes."""
    return "" if register.name == "fingerprint" else f"{register.reset:#x}"


def html(chip: ChipConfig, queues: Sequence[str] = command_registers.QUEUES) -> str:
    """All registers as one page for a browser."""
    rows = []
    for block in blocks(chip, queues):
        title = f"{block.name}: {block.meaning}"
        rows.append(f'<tr id="{block.name}"><th colspan="6">{escape(title)} ({block.base:#08x})</th></tr>')
        for each in block.registers:
            allowed = f"{each.allowed[0]} to {each.allowed[-1]}" if each.allowed else ""
            cells = (
                f"{block.base + each.offset:#08x}",
                each.name,
                str(each.bits),
                each.access,
                allowed,
                each.meaning,
            )
            rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    style = "table{border-collapse:collapse;font:14px sans-serif}td,th{border:1px solid #ccc;padding:2px 8px}"
    head = "".join(f"<th>{name}</th>" for name in ("address", "name", "bits", "access", "allowed", "meaning"))
    return (
        f"<!doctype html><meta charset=utf-8><title>Registers of {escape(chip.name)}</title><style>{style}</style>\n"
        f"<table><tr>{head}</tr>\n" + "\n".join(rows) + "\n</table>\n"
    )


def header(chip: ChipConfig, queues: Sequence[str] = command_registers.QUEUES) -> str:
    """All registers as one C header: for each part its base, and the offsets in it."""
    parts, seen = [], set()
    for block in blocks(chip, queues):
        kind = block.name.rstrip("0123456789")
        lines = [f"#define OPENPPU_{block.name.upper()}_BASE {block.base:#x}u", ""]
        if kind not in seen:
            lines.append(c_header(f"OPENPPU_{kind.upper()}_", block.registers))
            seen.add(kind)
        parts.append("\n".join(lines))
    return "".join(parts)


def main() -> None:
    """Print the page, or what else is asked for."""
    parser = argparse.ArgumentParser(prog="python -m openppu.host.blocks", description="print all registers of a chip")
    parser.add_argument("--config", default="demo", help=f"a preset or a file; presets are in {PRESET_FOLDER.name}/")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--html", action="store_true", help="as a page for a browser")
    kind.add_argument("--header", action="store_true", help="as a C header")
    given = parser.parse_args()
    try:
        chip = load(given.config)
    except ConfigError as error:
        parser.exit(2, f"{parser.prog}: error: {error}\n")
    print((html if given.html else header if given.header else page)(chip), end="")


if __name__ == "__main__":
    main()
