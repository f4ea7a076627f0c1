"""The registers of a channel's controller, described once.

`openppu.hbm.register_block.Registers` is built from the description; ``python -m openppu.hbm.registers`` prints
``docs/hbm-registers.md``, and with ``--header`` a C header.
"""

import argparse
from collections.abc import Iterator
from dataclasses import fields, replace
from enum import Enum
from typing import Any

from amaranth.lib import data

from openppu.common.register_map import Register, c_header, field_registers, markdown_row
from openppu.hbm.config import ChannelConfig
from openppu.hbm.mode_registers import MODE_NAMES, first_values, mode_fields
from openppu.hbm.settings import GROUPS, limits, settings_layout
from openppu.hbm.status import PowerUp, control_layout, counted_layout, status_layout

ADDRESS_BITS = 12
"""Of an address in bytes."""

IDENTITY = 0x48424D32
"""What register ``identity`` reads: "HBM2" in ASCII."""

_BUILD, _CONTROL, _TIMING, _POLICY, _MODES = 0x000, 0x080, 0x100, 0x200, 0x280
_COUNTERS = {"pc0": 0x300, "pc1": 0x400, "latency": 0x500, "power": 0x580}
_STATUS = {"errors0": 0x600, "errors1": 0x640, "found": 0x6C0, "scrub": 0x740}
_TEST = 0x680
_EVERY_CODE = {"none": 0, "secded": 1, "symbol": 2}

_MEANING = {
    "height": "dies of the stack",
    "ports": "request ports",
    "tags": "tags of a port",
    "reads": "entries of a pseudo-channel's queue of reads",
    "writes": "entries of a pseudo-channel's queue of writes",
    "slots": "granules that a port can have on their way from a pseudo-channel",
    "ecc": "2: symbols over the burst; 1: SECDED on each 64 bits; 0: none",
    "RL": "RD to its first data",
    "WL": "WR to its first data",
    "tRCDRD": "ACT to RD",
    "tRCDWR": "ACT to WR",
    "tRP": "PRE to ACT of the bank",
    "tRAS": "ACT to PRE of the bank",
    "tRC": "ACT to ACT of the bank",
    "tCCDS": "access to access, of other bank groups",
    "tCCDL": "access to access, of one bank group",
    "tCCDR": "access to access, of other SIDs",
    "tRRDS": "ACT to ACT, of other bank groups",
    "tRRDL": "ACT to ACT, of one bank group",
    "tFAW": "first to fifth of any five ACTs",
    "tWTRS": "end of write data to RD, of other bank groups",
    "tWTRL": "end of write data to RD, of one bank group",
    "tRTP": "RD to PRE of the bank",
    "tWR": "end of write data to PRE of the bank",
    "tRTW": "RD to WR",
    "tREFI": "between refreshes of all banks, on average",
    "tRFC": "REF to the next row command",
    "tRFCSB": "REFSB to ACT of the bank",
    "tRREFD": "REFSB to ACT or REFSB of other banks",
    "tXP": "end of power-down to a command",
    "tXS": "end of self-refresh to a command",
    "tCKE": "least time in power-down or self-refresh",
    "tMRD": "MRS to the next command",
    "mapping": "how an address splits",
    "hash_banks": "XOR the bank with bits of the row",
    "page": "when a row is closed",
    "refresh": "which command refreshes",
    "refresh_enable": "refresh at all",
    "write_high": "ready writes at which a batch of writes begins",
    "write_low": "writes down to which a batch goes on while reads wait",
    "age_limit": "controller clocks that an access may wait before it is served first",
    "read_delay": "controller clocks that the PHY adds to a read",
    "power_down_after": "controller clocks without a request until power-down; 0: never",
    "self_refresh_after": "controller clocks without a request until self-refresh; 0: never",
    "scrub_interval": "controller clocks from granule to granule that the scrubber reads; 0: none",
    "scrub_idle": "controller clocks that must have been idle before one",
    "hammer_entries": "rows of each bank whose activations are counted at a time; 0: no protection from row hammer",
    "retry": "1: commands of wrong parity are sent again",
    "parity_latency": "controller clocks from a command to the PHY's error for it; 0: errors are ignored",
    "hammer_threshold": "activations of a row in a window after which its neighbours are refreshed",
    "hammer_window": "tREFI after which the count of activations begins again",
    "hammer_reach": "how far away rows are still neighbours",
    "clocks": "controller clocks",
    "row_hits": "accesses to a row that had one since it was opened",
    "row_misses": "first accesses to a row whose bank had been closed",
    "row_conflicts": "first accesses to a row for which another was closed",
    "activates": "ACT commands",
    "precharges": "PRE and PREA commands",
    "refreshes": "REFSB and REF commands",
    "queued_reads": "entries in the queue of reads, summed over the clocks: / `clocks` is their mean",
    "queued_writes": "entries in the queue of writes, likewise",
    "turnarounds": "changes of the data bus's direction",
    "retries": "times that commands had to be sent again for wrong parity",
    "victims": "ACT commands that refresh the neighbours of a hammered row",
    "no_request": "clocks without data: nothing waits",
    "hold": "clocks without data: all that waits, waits for its write data",
    "bank_group": "clocks without data: tCCD",
    "row": "clocks without data: the rows are not open yet",
}
_MEANING_IN = {
    "pc": {
        "reads": "words read",
        "writes": "words written",
        "refresh": "clocks without data: all wait for banks that refresh, or for the end of power-down",
        "turnaround": "clocks without data: the bus turns round, or has to",
    },
    "errors": {
        "corrected": "words corrected, since `clear`, up to 2^32 - 1",
        "uncorrectable": "words wrong beyond correction, likewise",
        "lost": "words that did not come, likewise",
        "record_valid": "there is a record: of the first such word since `clear`, or the first not corrected",
        "record_place_row": "its row",
        "record_place_bank": "its bank: SID, bank group, bank",
        "record_place_column": "its column, counted in accesses",
        "record_syndromes": "its check bits XOR those of its data; eight bits a beat with SECDED",
        "record_symbol": "with the code of symbols, the one that was wrong",
        "record_corrected": "it was corrected",
        "record_uncorrectable": "it could not be corrected",
        "record_lost": "it did not come",
    },
    "power": {
        "power_down": "clocks in power-down",
        "self_refresh": "clocks in self-refresh",
        "power_downs": "times that power-down was entered",
        "self_refreshes": "times that self-refresh was entered",
    },
    "test": {
        "operation": "what a self-test does",
        "pattern": "what it writes and expects",
        "pattern_seed": "of the random pattern",
        "address": "where it begins, in accesses",
        "accesses": "how many it makes",
        "last": "accesses of a request, less one",
        "stride": "from request to request, in accesses",
        "scattered": "1: requests begin at random places instead",
        "mask": "bits of the address that are random then",
        "seed": "of the random places, and of which requests of traffic write",
        "writes": "of 256 requests of traffic, those that write",
    },
    "found": {
        "words": "words that the last self-test has read",
        "wrong": "of them, those that differ from the pattern",
        "errors": "of them, those answered with error",
        "refused": "writes that were refused",
        "address": "where the first wrong word was",
        "bits": "which of its bits were wrong",
        "clocks": "from the first request to the last answer",
    },
    "scrub": {
        "position": "granule of 8 accesses that is scrubbed now or next",
        "passes": "times that the whole memory was read, modulo 2^16",
        "repaired": "words corrected and written back, modulo 2^32",
        "wrong": "words that the scrubber had with error, modulo 2^32",
    },
}


_INTRODUCTION = """\
# Registers of the HBM2e channel controller

This page is generated: `python -m openppu.hbm.registers > docs/hbm-registers.md`; with `--header` a C header comes out.
`openppu.hbm.register_block.Registers` is the hardware, `openppu.hbm.controller.Controller` has it behind AXI4-Lite.
[The controller](hbm.md) explains what is set here.

A register is 32 bits, at a multiple of 4 bytes; bits above its width read zero. `requests` brings the address, `write`,
the data and a strobe a byte; `responses` answers each in order, after two clocks, and an access a clock passes. `error`
(`SLVERR`) is answered, with zeros, and nothing changes

- where no register is,
- when what has no read is read, or what has no write is written,
- when the value written, with the bytes it leaves as they are, is none of those allowed,
- when what is written "at rest" is written while `run` is 1,
- when 1 is written to `start` while `idle` is 0.

At rest: `run` is 0. Timing and policies must not change under commands on their way, so they can be written only then.
`run` holds the channel in reset: each time it starts with the memory's initialisation, and what the memory held is
lost. Values are checked one by one; that they agree with each other, such as tRC with tRAS + tRP, only
`openppu.hbm.settings.Settings` checks. After a reset the controller runs as it was built to, without software
(`openppu.hbm.status.PowerUp`): `run` is 1, `fill` the capacity if there is a code against wrong bits, and the timing
that of the device in the chip's configuration. To change what is held, write 0 to `run`, and 1 again at the end.

Writing 1 to `freeze` takes the counters, of `pc0`, `pc1`, `latency` and `power`, in one clock. Until it is done again
they read what was counted between the last two takings, or up to the first since `run` became 1, modulo 2^32; before
that, and while `run` is 0, zero. The logs of errors, `errors0` and `errors1`, stay whatever `run` is, until 1 is
written to `clear`. The registers of `test` are the next self-test's command; `found` is the record of the last one,
whole when `idle` is 1.

`modes` is what the initialisation writes into the memory's mode registers; [their fields](#mode-registers) stand below.
After a reset they agree with the timing and with what was built. Who changes `timing.RL`, `WL`, `tWR`, `tRAS`, `tRP` or
`parity_latency` (0 or not) changes them, too: the hardware does not compare them.

The reset values and widths below are those of the default configuration.

| offset | register | bits | access | reset | allowed | meaning |
|---|---|---|---|---|---|---|"""


_MODE_FIELDS = """
## Mode registers

What the fields of `modes` mean, and what they hold after a reset of the default configuration (`ecc`: a code against
wrong bits was built; `parity`: commands of wrong parity are sent again and `parity_latency` is not 0; others: the time
of that name, and where it is longer than the field holds, the longest). The table, with what its sources are, is
`hw/openppu/hbm/devices/mode_registers.toml`; `openppu.hbm.mode_registers` puts values together. "Unverified" is what
only one public source says; no data sheet was at hand.

| field | bits | values | first | meaning | source |
|---|---|---|---|---|---|"""


def registers(config: ChannelConfig, start: PowerUp | None = None) -> list[Register]:
    """All registers of a controller, by offset."""
    start = start or PowerUp()
    found = [*_build(config), *_control(config, start), *_settings(config, start)]
    for group, base in _COUNTERS.items():
        if group in counted_layout().members:
            found += _fields(counted_layout()[group].shape, ("counted", group), base)
    test = control_layout(config)["test"].shape
    for register, name in zip(_fields(test, ("control", "test"), _TEST), test.members, strict=True):
        shape = test[name].shape
        most = shape[-1] if isinstance(shape, range) else (1 << register.bits) - 1
        if isinstance(shape, type) and issubclass(shape, Enum):
            most = len(shape) - 1
        found.append(replace(register, writable=True, allowed=range(most + 1)))
    status = status_layout(config)
    for group, base in _STATUS.items():
        if group in status.members:
            found += _fields(status[group].shape, ("status", group), base)
    return sorted(found, key=lambda register: register.offset)


def _build(config: ChannelConfig) -> Iterator[Register]:
    """What was built, as constants."""
    yield Register(name="identity", offset=_BUILD, bits=32, reset=IDENTITY, meaning="a fixed word")
    for at, f in enumerate(fields(config), start=1):
        value = getattr(config, f.name)
        number = int(value) if isinstance(value, int) else _EVERY_CODE[value]
        yield Register(name=f.name, offset=_BUILD + 4 * at, bits=8, reset=number, meaning=_MEANING[f.name])


def _control(config: ChannelConfig, start: PowerUp) -> Iterator[Register]:
    """The run as a whole."""
    one = range(2)
    wrong = "a bit a pseudo-channel, until `run` is 0: a word"
    most = config.accesses
    fill = (most if config.ecc != "none" else 0) if start.fill is None else start.fill
    strobe: dict[str, Any] = dict(bits=1, readable=False, writable=True, allowed=one)
    rows: list[dict[str, Any]] = [
        dict(name="run", bits=1, writable=True, allowed=one, reset=int(start.run), source=("control", "run"))
        | dict(meaning="0: the channel is at rest, held in reset"),
        dict(name="freeze", **strobe, source=("freeze",), meaning="1: take the counters"),
        dict(name="running", bits=1, meaning="the device takes commands"),
        dict(name="lost", bits=2, meaning=f"{wrong} read did not come"),
        dict(name="stray", bits=2, meaning=f"{wrong} came that was not due"),
        dict(name="overheated", bits=1, meaning="until `run` is 0: the memory was too hot, and requests are refused"),
        dict(
            name="hammer_overflow",
            bits=2,
            meaning="a bit a pseudo-channel, until `run` is 0: rows may have been hammered",
        ),
        dict(
            name="parity_failed",
            bits=2,
            meaning="a bit a pseudo-channel, until `run` is 0: too many commands of wrong parity in a row",
        ),
        dict(name="ready", bits=1, meaning="the ports' requests are taken: the memory runs, and is filled"),
        dict(name="fill", bits=most.bit_length(), writable=True, allowed=range(most + 1), reset=fill, held=True)
        | dict(source=("control", "fill"))
        | dict(meaning="accesses, from address 0, that are written with zeros before requests are taken"),
        dict(name="clear", **strobe, source=("clear",), meaning="1: forget the errors"),
        dict(name="start", **strobe, source=("start",), meaning="1: begin the self-test that `test` describes"),
        dict(name="idle", bits=1, meaning="a self-test can be started"),
        dict(name="test_stray", bits=1, meaning="until `run` is 0: a self-test had an answer that was not due"),
    ]
    for at, row in enumerate(rows):
        yield Register(offset=_CONTROL + 4 * at, **{"source": ("status", row["name"])} | row)


def _settings(config: ChannelConfig, start: PowerUp) -> Iterator[Register]:
    """Timing, mode registers and policies."""
    layout, reset, allowed = settings_layout(), start.settings.values(config), limits()
    meanings = _MEANING | {name: _mode_meaning(number) for number, name in enumerate(MODE_NAMES)}
    for base, group, path, values in (
        (_TIMING, layout["timing"].shape, ("settings", "timing"), reset["timing"]),
        (_MODES, layout["modes"].shape, ("settings", "modes"), reset["modes"]),
        (_POLICY, layout, ("settings",), reset),
    ):
        for at, name in enumerate(name for name in group.members if name not in GROUPS):
            yield Register(
                name=".".join((*path[1:], name)),
                offset=base + 4 * at,
                bits=group[name].width,
                source=(*path, name),
                writable=True,
                reset=int(values[name]),
                allowed=allowed[name],
                held=True,
                meaning=meanings[name],
            )


def _mode_meaning(number: int) -> str:
    """The fields of a mode register."""
    parts = [
        f"{field.name} ({part})"
        for field in mode_fields().values()
        for part in field.where.split(", ")
        if part.startswith(f"MR{number}[")
    ]
    return "the device's mode register: " + (", ".join(parts).replace(f"MR{number}", "") or "reserved")


def _fields(layout: data.StructLayout, source: tuple[str, ...], base: int) -> Iterator[Register]:
    """A register for each field of a group."""
    group = source[-1]
    meanings = _MEANING | _MEANING_IN.get(group.rstrip("01"), {})
    return field_registers(layout, source, base, lambda name: _meaning(name, meanings), prefix=f"{group}.")


def _meaning(name: str, meanings: dict[str, str]) -> str:
    if name.startswith("from_"):
        least = int(name.removeprefix("from_"))
        return f"reads whose first word went {least} clocks after their offer, or more, but fewer than in the next"
    return meanings[name]


def _choices(register: Register) -> dict[str, int]:
    """The names of a register's values, if they have names."""
    group = register.source[:-1]
    layout = {("settings",): settings_layout(), ("control", "test"): control_layout(ChannelConfig())["test"].shape}.get(
        group
    )
    shape = layout[register.source[-1]].shape if layout is not None else None
    return {value.name: value.value for value in shape} if isinstance(shape, type) and issubclass(shape, Enum) else {}


def page(config: ChannelConfig) -> str:
    """The text of ``docs/hbm-registers.md``."""
    lines = [_INTRODUCTION]
    for r in registers(config):
        reset = f"{r.reset:#x}" if r.name == "identity" else ""
        unit = ", CK" if r.name.startswith("timing.") else ""
        lines.append(markdown_row(r, choices=_choices(r), reset=reset, unit=unit))
    lines.append(_MODE_FIELDS)
    held = first_values(config, PowerUp().settings.timing, parity=False)
    for each in mode_fields().values():
        first = f"{held[each.name]}" + (f", as `{each.value}`" if isinstance(each.value, str) else "")
        source = each.source + ("" if each.verified else "; unverified")
        allowed = f"{each.values[0]} to {each.values[-1]}"
        lines.append(f"| {each.name} | {each.where} | {allowed} | {first} | {each.meaning} | {source} |")
    return "\n".join(lines) + "\n"


def header(config: ChannelConfig) -> str:
    """The registers as the text of a C header."""
    return c_header("OPENPPU_HBM_", registers(config), _choices)


def main() -> None:
    """Print the page, or the header."""
    parser = argparse.ArgumentParser(prog="python -m openppu.hbm.registers", description=main.__doc__)
    parser.add_argument("--header", action="store_true", help="the C header")
    text = header if parser.parse_args().header else page
    print(text(ChannelConfig()), end="")


if __name__ == "__main__":
    main()
