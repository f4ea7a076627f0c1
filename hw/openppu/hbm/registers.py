"""The registers of a channel's controller, described once.

`openppu.hbm.register_block.Registers` is built from the description; ``python -m openppu.hbm.registers`` prints
``docs/hbm-registers.md``, and with ``--header`` a C header.
"""

import argparse
from dataclasses import dataclass, fields
from enum import Enum

from openppu.hbm.accounts import COUNTER_BITS, counters_layout
from openppu.hbm.config import ChannelConfig
from openppu.hbm.phy import PSEUDO_CHANNELS
from openppu.hbm.settings import Settings, limits, settings_layout

ADDRESS_BITS = 12
"""Of an address in bytes."""

IDENTITY = 0x48424D32
"""What register ``identity`` reads: "HBM2" in ASCII."""

_BUILD, _CONTROL, _TIMING, _POLICY, _COUNTERS, _BLOCK = 0x000, 0x080, 0x100, 0x200, 0x300, 0x100

_MEANING = {
    "height": "dies of the stack",
    "ports": "request ports",
    "tags": "tags of a port",
    "reads": "entries of a pseudo-channel's queue of reads",
    "writes": "entries of a pseudo-channel's queue of writes",
    "slots": "granules that a port can have on their way from a pseudo-channel",
    "ecc": "1: SECDED on each 64 bits; 0: none",
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
    "clocks": "controller clocks",
    "row_hits": "accesses to a row that had one since it was opened",
    "row_misses": "first accesses to a row whose bank had been closed",
    "row_conflicts": "first accesses to a row for which another was closed",
    "activates": "ACT commands",
    "precharges": "PRE and PREA commands",
    "refreshes": "REFSB and REF commands",
    "turnarounds": "changes of the data bus's direction",
    "power_down_after": "controller clocks without a request until power-down; 0: never",
    "self_refresh_after": "controller clocks without a request until self-refresh; 0: never",
    "scrub_interval": "controller clocks from granule to granule that the scrubber reads; 0: none",
    "scrub_idle": "controller clocks that must have been idle before one",
    "no_request": "clocks without data: nothing waits",
    "hold": "clocks without data: all that waits, waits for its write data",
    "bank_group": "clocks without data: tCCD",
    "row": "clocks without data: the rows are not open yet",
}
_COUNTER_MEANING = {
    "reads": "words read",
    "writes": "words written",
    "refresh": "clocks without data: all wait for banks that refresh",
    "turnaround": "clocks without data: the bus turns round, or has to",
}


_INTRODUCTION = """\
# Registers of the HBM2e channel controller

This page is generated: `python -m openppu.hbm.registers > docs/hbm-registers.md`; with `--header` a C header comes out.
`openppu.hbm.register_block.Registers` is the hardware. [The controller](hbm.md) explains what is set here.

A register is 32 bits, at a multiple of 4 bytes; bits above its width read zero. `requests` brings the address, `write`,
the data and a strobe a byte; `responses` answers each in order, after two clocks, and an access a clock passes. `error`
is answered, with zeros, and nothing changes

- where no register is,
- when what has no read is read, or what has no write is written,
- when the value written, with the bytes it leaves as they are, is none of those allowed,
- when what is written "at rest" is written while `run` is 1.

At rest: `run` is 0, as after reset. Timing and policies must not change under commands on their way, so they can be
written only then. `run` is there to hold the channel in reset, `ResetInserter(~registers.run)(channel)`: each time it
starts with the memory's initialisation, and what the memory held is lost. Values are checked one by one; that they
agree with each other, such as tRC with tRAS + tRP, only `openppu.hbm.settings.Settings` checks.

Writing 1 to `freeze` takes the counters of both pseudo-channels in one clock. Until it is done again the counters read
what was counted between the last two takings, or up to the first since `run` became 1, modulo 2^32; before that, and
while `run` is 0, zero. The reset values of `height` to `ecc` below are those of the default configuration.

| offset | register | bits | access | reset | allowed | meaning |
|---|---|---|---|---|---|---|"""


@dataclass(frozen=True, kw_only=True)
class Register:
    """One register.

    Parameters
    ----------
    name : str
        With the group before a dot, if it has one: ``timing.tRC``, ``pc0.reads``.
    offset : int
        In bytes; four bytes each.
    bits : int
        Width; those above read zero.
    readable, writable : bool
    reset : int
    allowed : range
        Values that a write may bring.
    held : bool
        It can be written only while ``run`` is 0.
    meaning : str
    """

    name: str
    offset: int
    bits: int
    readable: bool = True
    writable: bool = False
    reset: int = 0
    allowed: range = range(0)
    held: bool = False
    meaning: str

    @property
    def access(self) -> str:
        """In words."""
        words = [word for word, can in (("read", self.readable), ("write", self.writable)) if can]
        return ", ".join(words) + (" at rest" if self.held else "")

    @property
    def symbol(self) -> str:
        """Its name in C, after the prefix."""
        return self.name.replace(".", "_").upper()


def registers(config: ChannelConfig) -> list[Register]:
    """All registers of a controller, by offset."""
    build = [("identity", IDENTITY, "a fixed word")]
    for f in fields(config):
        value = getattr(config, f.name)
        build.append((f.name, value if isinstance(value, int) else int(value != "none"), _MEANING[f.name]))
    found = [
        Register(name=name, offset=_BUILD + 4 * at, bits=32 if at == 0 else 8, reset=value, meaning=meaning)
        for at, (name, value, meaning) in enumerate(build)
    ]
    one = range(2)
    wrong = "a bit a pseudo-channel, until `run` is 0: a word"
    control = [
        dict(name="run", bits=1, writable=True, allowed=one, meaning="0: the channel is at rest, held in reset"),
        dict(name="freeze", bits=1, readable=False, writable=True, allowed=one, meaning="1: take the counters"),
        dict(name="running", bits=1, meaning="the device takes commands"),
        dict(name="lost", bits=PSEUDO_CHANNELS, meaning=f"{wrong} read did not come"),
        dict(name="stray", bits=PSEUDO_CHANNELS, meaning=f"{wrong} came that was not due"),
    ]
    found += [Register(offset=_CONTROL + 4 * at, **row) for at, row in enumerate(control)]  # type: ignore[arg-type]

    layout, reset, allowed = settings_layout(), Settings().values(), limits()
    timing = layout["timing"].shape
    for base, group, prefix, start in ((_TIMING, timing, "timing.", reset["timing"]), (_POLICY, layout, "", reset)):
        names = [name for name in group.members if name != "timing"]
        for at, name in enumerate(names):
            found.append(
                Register(
                    name=prefix + name,
                    offset=base + 4 * at,
                    bits=group[name].width,
                    writable=True,
                    reset=int(start[name]),
                    allowed=allowed[name],
                    held=True,
                    meaning=_MEANING[name],
                )
            )
    for pc in range(PSEUDO_CHANNELS):
        for at, name in enumerate(counters_layout().members):
            meaning = _COUNTER_MEANING.get(name) or _MEANING[name]
            offset = _COUNTERS + pc * _BLOCK + 4 * at
            found.append(Register(name=f"pc{pc}.{name}", offset=offset, bits=COUNTER_BITS, meaning=meaning))
    return found


def _choices(register: Register) -> dict[str, int]:
    """The names of a register's values, if they have names."""
    shape = settings_layout().members.get(register.name)
    return {value.name: value.value for value in shape} if isinstance(shape, type) and issubclass(shape, Enum) else {}


def page(config: ChannelConfig) -> str:
    """The text of ``docs/hbm-registers.md``."""
    lines = [_INTRODUCTION]
    for r in registers(config):
        allowed = f"{r.allowed[0]} to {r.allowed[-1]}" if r.allowed else ""
        if choices := _choices(r):
            allowed = ", ".join(f"{value} {name.lower()}" for name, value in choices.items())
        reset = f"{r.reset:#x}" if r.name == "identity" else f"{r.reset}"
        meaning = r.meaning + (", CK" if r.name.startswith("timing.") else "")
        lines.append(f"| {r.offset:#05x} | `{r.name}` | {r.bits} | {r.access} | {reset} | {allowed} | {meaning} |")
    return "\n".join(lines) + "\n"


def header(config: ChannelConfig) -> str:
    """The registers' offsets, reset values, limits and named values as the text of a C header."""
    prefix = "OPENPPU_HBM_"
    lines = [f"#ifndef {prefix}REGISTERS_H", f"#define {prefix}REGISTERS_H", ""]
    for r in registers(config):
        lines.append(f"/* {r.name}: {r.meaning}; {r.access} */")
        lines.append(f"#define {prefix}{r.symbol} {r.offset:#05x}u")
        lines.append(f"#define {prefix}{r.symbol}_RESET {r.reset:#x}u")
        if r.allowed:
            lines.append(f"#define {prefix}{r.symbol}_LEAST {r.allowed[0]}u")
            lines.append(f"#define {prefix}{r.symbol}_MOST {r.allowed[-1]}u")
        lines += [f"#define {prefix}{r.symbol}_{name} {value}u" for name, value in _choices(r).items()]
    return "\n".join([*lines, "", "#endif", ""])


def main() -> None:
    """Print the page, or the header."""
    parser = argparse.ArgumentParser(prog="python -m openppu.hbm.registers", description=main.__doc__)
    parser.add_argument("--header", action="store_true", help="the C header")
    text = header if parser.parse_args().header else page
    print(text(ChannelConfig()), end="")


if __name__ == "__main__":
    main()
