"""``openppu info``: the resolved configuration, what follows from it, and the tools of this machine."""

import argparse
from collections.abc import Callable, Iterable

from openppu.config import SECTIONS, ChipConfig, options
from openppu.link.config import FLIT_BYTES

from openppu_sim.errors import UserError
from openppu_sim.simulator import toolchain

UNITS = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"))


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add the parser of ``info``."""
    return subparsers.add_parser(
        "info",
        help="show the configuration, its peak rates, and the tools that are found",
        description="Show the configuration with every override applied, what follows from it, its peak rates, "
        "and which tools this machine has.",
    )


def run(args: argparse.Namespace) -> int:
    """Print it all; a missing tool is shown, not an error."""
    chip: ChipConfig = args.chip
    title = f"{chip.name}: {chip.description}" if chip.description else chip.name
    print(f"{title}\nfrom {chip.source}, fingerprint {chip.fingerprint()}")
    _print("configuration", _values(chip))
    _print("derived", _derived(chip))
    _print("memory", _memory(chip))
    if chip.link.ports:
        _print(f"link, {chip.link.ports} ports, each way", _link(chip))
    _print(f"peak rates at {chip.clock_mhz:g} MHz, multiply and add counted as two operations", _rates(chip))
    _print("tools", _tools())
    return 0


def peak_operations(chip: ChipConfig) -> float:
    """Operations a second of the whole chip, a multiply-accumulate being two, the same for every format built in."""
    return 2.0 * chip.compute_units * chip.tile.rows * chip.tile.columns * chip.clock_mhz * 1e6


def _print(title: str, lines: Iterable[tuple[str, str]]) -> None:
    pairs = list(lines)
    width = max(len(left) for left, _ in pairs)
    print(f"\n{title}")
    for left, right in pairs:
        print(f"  {left:<{width}}  {right}")


def _values(chip: ChipConfig) -> list[tuple[str, str]]:
    lines = []
    for section, cls in SECTIONS.items():
        part = chip if section == "chip" else getattr(chip, section)
        for f in options(cls):
            value = getattr(part, f.name)
            if f.name not in ("name", "description"):
                text = " ".join(value) if isinstance(value, tuple) else f"{value:g}" if f.type is float else f"{value}"
                lines.append((f"{section}.{f.name}", f"{text} {f.metadata['unit']}".rstrip()))
    return lines


def _derived(chip: ChipConfig) -> list[tuple[str, str]]:
    tile = chip.tile
    accumulators = " and ".join(["int32"] * tile.has_int + ["binary32"] * tile.has_float)
    return [
        ("operand", f"{tile.operand_bits} bits"),
        ("row of activations", f"{tile.operand_bits * tile.rows} bits"),
        ("row of weights", f"{tile.operand_bits * tile.columns} bits"),
        ("row of results", f"{32 * tile.columns} bits ({accumulators})"),
        ("accumulator address", f"{tile.accumulator_bits} bits"),
        ("accumulator memory", f"{tile.accumulators * tile.columns * 4:,} bytes a tile"),
        ("processing elements", f"{tile.rows * tile.columns:,} a tile, {_elements(chip):,} on the chip"),
    ]


def _memory(chip: ChipConfig) -> list[tuple[str, str]]:
    hbm = chip.hbm
    channels = hbm.stacks * hbm.channels
    clock = f"controllers at {hbm.clock_mhz:g} MHz"
    return [
        ("capacity", f"{hbm.capacity / 2**30:g} GiB in {channels} channel{'s' * (channels > 1)}"),
        ("peak bandwidth", f"{hbm.peak_gbs:,.5g} GB/s, {hbm.peak_gbs / channels:.4g} GB/s a channel, {clock}"),
        ("a channel's address", f"{hbm.channel.address_bits} bits, of {hbm.organisation.access_bytes} bytes each"),
    ]


def _link(chip: ChipConfig) -> list[tuple[str, str]]:
    link = chip.link
    shares = {
        "raw": (link.raw_gbs, f"{link.lanes} lanes of {link.lane_gbps:g} Gb/s, {link.clock_mhz:g} MHz"),
        "coded": (link.coded_gbs, "flits, beside the skip words"),
        "flit payload": (link.payload_gbs, f"{link.payload_bytes} of {FLIT_BYTES} bytes"),
    }
    shares |= {
        f"data in writes of {size:,} bytes": (link.write_gbs(size), "beside the headers") for size in (4096, 256, 64)
    }
    lines = [
        (name, f"{rate:.4g} GB/s a port, {rate / link.raw_gbs:.2%} of raw: {why}")
        for name, (rate, why) in shares.items()
    ]
    return [*lines, ("all ports, both ways", f"{2 * link.ports * link.payload_gbs:.4g} GB/s of flit payload")]


def _rates(chip: ChipConfig) -> list[tuple[str, str]]:
    scale, prefix = next((unit for unit in UNITS if peak_operations(chip) >= unit[0]), (1.0, ""))
    rate = f"{peak_operations(chip) / scale:.4g} {prefix}"
    each = f"{_elements(chip):,} multiply-accumulates a cycle"
    return [(name, f"{rate}{'OP' if name == 'int8' else 'FLOP'}/s, {each}") for name in chip.tile.formats]


def _elements(chip: ChipConfig) -> int:
    return chip.compute_units * chip.tile.rows * chip.tile.columns


def _tools() -> list[tuple[str, str]]:
    finders: dict[str, Callable[[], toolchain.Tool | None]] = {
        "verilator": toolchain.find_verilator,
        "c++": toolchain.find_compiler,
        "make": toolchain.find_make,
        "perl": toolchain.find_perl,
        "iverilog": toolchain.find_icarus,
        "ccache": toolchain.find_ccache,
    }
    lines = []
    for name, find in finders.items():
        try:
            tool = find()
            text = "not found; optional" if tool is None else f"{tool.version} ({tool.path})"
        except UserError as error:
            text = f"MISSING: {error}"
        lines.append((name, text))
    return lines
