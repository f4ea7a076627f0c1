"""The registers of the command processor, described once.

`openppu.command.processor.CommandProcessor` is built from the description; ``python -m openppu.command.registers``
prints ``docs/command-registers.md``, and with ``--header`` a C header.
"""

import argparse
from collections.abc import Iterator, Sequence

from amaranth.lib import data

from openppu.command.config import CommandConfig
from openppu.command.layouts import (
    SEMAPHORE_BITS,
    TIME_BITS,
    VALUE_BITS,
    queue_control_layout,
    queue_status_layout,
)
from openppu.command.records import records_control_layout
from openppu.common.register_map import REGISTER_BITS, Register, c_header, field_registers, markdown_row

ADDRESS_BITS = 16
"""Of an address in bytes."""

IDENTITY = 0x434D4431
"""What register ``identity`` reads: "CMD1" in ASCII."""

_FIRST, _QUEUE, _CONTROL, _STATUS = 0x200, 0x80, 0x00, 0x20
MOST_QUEUES = ((1 << ADDRESS_BITS) - _FIRST) // _QUEUE
"""As many as there is room for."""

_INTERRUPT_ENABLE, _INTERRUPTS, _SEEN, _RESTART = 0x100, 0x140, 0x180, 0x1C0
"""Of registers with a bit a queue: there is room for 16 words each."""

_MEANING = {
    "base": "address of the ring's first byte, a multiple of 64",
    "log2": "base 2 logarithm of the commands that the ring has room for",
    "tail": "commands ever written to the ring, modulo 2**32; writing it is the doorbell",
    "enable": "1: fetch and begin commands",
    "head": "commands whose place in the ring is free again, modulo 2**32",
    "begun": "commands that have begun",
    "ended": "commands with an engine, a signal, a record, an interrupt or an error that have ended",
    "busy": "there is something to do, or under way",
    "waiting": "for a semaphore",
    "semaphore": "which one",
    "stopped": "a command ended with an error; nothing more begins before `restart`",
    "error": "the first error since the last restart",
    "opcode": "of that command",
    "tag": "of that command",
    "index": "of that command: its place, counted like `tail`",
}
_RECORDS = {
    "base": "address of the first record, a multiple of 32",
    "log2": "base 2 logarithm of the records that the ring has room for",
    "enable": "1: write records",
}


def control_layout(queues: int) -> data.StructLayout:
    """What software sets."""
    return data.StructLayout(
        {
            "records": records_control_layout(),
            "semaphore": SEMAPHORE_BITS,
            "interrupts": queues,
            "queues": data.ArrayLayout(queue_control_layout(), queues),
        }
    )


def status_layout(queues: int) -> data.StructLayout:
    """What software sees."""
    return data.StructLayout(
        {
            "now": TIME_BITS,
            "records": 32,
            "records_failed": 1,
            "value": VALUE_BITS,
            "interrupts": queues,
            "queues": data.ArrayLayout(queue_status_layout(), queues),
        }
    )


def strobes_layout(queues: int) -> data.StructLayout:
    """What software starts."""
    return data.StructLayout({"raise": VALUE_BITS, "clear": 1, "seen": queues, "restart": queues})


def registers(config: CommandConfig, queues: Sequence[str]) -> tuple[Register, ...]:
    """All registers of a processor with queues of these names."""
    return tuple(_registers(config, queues))


def _registers(config: CommandConfig, queues: Sequence[str]) -> Iterator[Register]:
    count = len(queues)
    yield Register(name="identity", offset=0x000, bits=32, reset=IDENTITY, meaning='"CMD1"')
    yield Register(name="queues", offset=0x004, bits=16, reset=count, meaning="queues")
    yield Register(
        name="semaphores", offset=0x008, bits=16, reset=config.semaphores, meaning="semaphores, numbered from 0"
    )
    yield Register(name="buffer", offset=0x00C, bits=16, reset=config.buffer, meaning="commands that a loop may have")
    yield Register(
        name="now", offset=0x010, bits=32, source=("status", "now"), meaning="clocks since the reset: bits 31 to 0"
    )
    yield Register(name="now_high", offset=0x014, bits=32, source=("status", "now"), low=32, meaning="bits 63 to 32")

    def writable(name: str, offset: int, bits: int, source: tuple[str, ...], meaning: str, most: int) -> Register:
        return Register(
            name=name,
            offset=offset,
            bits=bits,
            source=source,
            readable=source[0] == "control",
            writable=True,
            allowed=range(most + 1),
            meaning=meaning,
        )

    yield writable(
        "semaphore",
        0x030,
        SEMAPHORE_BITS,
        ("control", "semaphore"),
        "the one that `value` and `raise` are of",
        config.semaphores - 1,
    )
    yield Register(
        name="value", offset=0x034, bits=VALUE_BITS, source=("status", "value"), meaning="what the semaphore has"
    )
    what = "add this to the semaphore, as soon as it fits; another one before that takes its place"
    yield writable("raise", 0x038, VALUE_BITS, ("strobes", "raise"), what, (1 << VALUE_BITS) - 1)
    yield writable("clear", 0x03C, 1, ("strobes", "clear"), "1: all semaphores become 0", 1)
    yield from field_registers(
        records_control_layout(),
        ("control", "records"),
        0x040,
        _RECORDS.__getitem__,
        prefix="records.",
        writable=True,
    )
    yield Register(
        name="records.count", offset=0x050, bits=32, source=("status", "records"), meaning="records ever written"
    )
    yield Register(
        name="records.failed",
        offset=0x054,
        bits=1,
        source=("status", "records_failed"),
        meaning="the memory refused a record",
    )
    for name, offset, source, meaning in (
        ("interrupt_enable", _INTERRUPT_ENABLE, ("control", "interrupts"), "its interrupts reach the host"),
        ("interrupts", _INTERRUPTS, ("status", "interrupts"), "a command that interrupts, or has an error, has ended"),
        ("seen", _SEEN, ("strobes", "seen"), "take its interrupt away"),
        ("restart", _RESTART, ("strobes", "restart"), "forget all up to `tail`"),
    ):
        yield from _bit_a_queue(name, offset, source, count, meaning)
    for number, name in enumerate(queues):
        base = _FIRST + number * _QUEUE
        yield from field_registers(
            queue_control_layout(),
            ("control", "queues", str(number)),
            base + _CONTROL,
            _MEANING.__getitem__,
            prefix=f"{name}.",
            writable=True,
        )
        yield from field_registers(
            queue_status_layout(),
            ("status", "queues", str(number)),
            base + _STATUS,
            _MEANING.__getitem__,
            prefix=f"{name}.",
        )


def _bit_a_queue(name: str, offset: int, source: tuple[str, ...], count: int, meaning: str) -> Iterator[Register]:
    """As many words as there must be; one alone has no number."""
    writable = source[0] != "status"
    for low in range(0, count, REGISTER_BITS):
        bits = min(count - low, REGISTER_BITS)
        alone = count <= REGISTER_BITS
        yield Register(
            name=name if alone else f"{name}{low // REGISTER_BITS}",
            offset=offset + low // 8,
            bits=bits,
            source=source,
            low=low,
            part_of="" if alone else name,
            readable=source[0] != "strobes",
            writable=writable,
            allowed=range(1 << bits) if writable else range(0),
            meaning=f"a bit a queue: {meaning}" + ("" if alone else f": bits {low + bits - 1} to {low}"),
        )


QUEUES = ("load", "store", "matmul", "vector", "link")
"""Of the page: those of a chip with one compute unit and a link."""


def page() -> str:
    """The text of ``docs/command-registers.md``."""
    lines = [
        "# Registers of the command processor",
        "",
        "32 bits each, on AXI4-Lite. A write that brings a value that is not allowed, an access to an address that has",
        "no register, a write to one that is read alone: answered `SLVERR`, without effect.",
        "",
        "The queues here are those of a chip with one compute unit and a link; other chips have other queues, at the",
        f"same distance of {_QUEUE:#x} bytes.",
        "",
        "This page is generated: `python -m openppu.command.registers`; with `--header` a C header.",
        "",
        "| offset | name | bits | access | after reset | allowed | meaning |",
        "|---|---|---|---|---|---|---|",
        *(markdown_row(register) for register in registers(CommandConfig(), QUEUES)),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="print the registers of the command processor")
    parser.add_argument("--header", action="store_true", help="as a C header")
    if parser.parse_args().header:
        print(c_header("OPENPPU_COMMAND_", registers(CommandConfig(), QUEUES)), end="")
    else:
        print(page(), end="")
