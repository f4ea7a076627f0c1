"""The registers of a chip's link, described once.

`openppu.link.controller.LinkController` is built from the description; ``python -m openppu.link.registers`` prints
``docs/link-registers.md``, and with ``--header`` a C header.
"""

import argparse
import re
from collections.abc import Iterator
from enum import Enum
from typing import Any

from amaranth.lib import data

from openppu.common.register_map import Register, c_header, field_registers, leaves, markdown_row
from openppu.link.config import LinkConfig
from openppu.link.destination_counters import COUNT_BITS
from openppu.link.initiator import TIMEOUT_BITS, initiator_status_layout
from openppu.link.layouts import ADDRESS_BITS as MEMORY_ADDRESS_BITS
from openppu.link.layouts import CHIP_BITS
from openppu.link.link_counters import COUNTS
from openppu.link.physical import physical_control_layout
from openppu.link.port import port_status_layout
from openppu.link.route_table import table_write_layout
from openppu.link.router import router_status_layout
from openppu.link.settings import TrainingSettings, settings_layout
from openppu.link.tunnel import tunnel_control_layout
from openppu.link.waiting import PERIOD_BITS

ADDRESS_BITS = 16
"""Of an address in bytes."""

IDENTITY = 0x4C4E4B31
"""What register ``identity`` reads: "LNK1" in ASCII."""

TIMEOUT = 1 << 20
"""Link clocks within which a transaction must be answered, after a reset: longer than ports train."""

_CHIP, _ROUTE, _SETTINGS, _ROUTER, _INITIATOR = 0x010, 0x060, 0x100, 0x200, 0x300
_PORT, _CONTROL, _STROBES, _FAILOVER, _STATUS = 0x1000, 0x000, 0x040, 0x080, 0x100
PULSES = ("retrain", "hot_reset")
"""Of a port's control: for a clock."""

_MEANING = {
    "chip": "this chip's number",
    "timeout": "link clocks within which a transaction must be answered; 0: it may take for ever",
    "period": "link clocks without a move after which a channel counts as stuck; 0: never",
    "look": "the chip whose packets `requests_to` and `answers_to` count",
    "memory_bytes": "bytes of this chip's memory that others reach",
    "route_role": "of the line to write: 0 request, 1 response, 2 collective",
    "route_destination": "of the line to write: the chip that the packets go to",
    "route_route_valid": "there is a way",
    "route_route_port": "the port that they leave by",
    "route_route_raises": "they change to class 1",
    "requests_to": "requests to the chip in `look` that left for it",
    "answers_to": "answers to it, likewise",
    "sent": "packets that left by the port",
    "received": "packets that came by it",
    "dropped": "packets that had no way",
    "stuck": "a bit a virtual channel: nothing has moved for a period, and something waits",
    "who_valid": "somebody waits",
    "who_port": "the port of the first that waits",
    "who_channel": "its virtual channel",
    "who_destination": "the chip that its packet goes to",
    "who_source": "the chip that its packet comes from",
    "disable": "1: send nothing",
    "sleep": "1: let the lanes rest; the other port agrees",
    "forbidden": "a bit a lane: not to be used, neither way",
    "near_loopback": "1: receive what is sent",
    "far_loopback": "1: send back what is received",
    "test": "1: send the test sequence on all lanes, and compare what comes with it",
    "pattern": "which sequence",
    "enable": "1: when the lanes are dead, flits go through other ports",
    "way": "the ports on that way (`openppu.link.tunnel.way_of`)",
    "far_chip": "the chip at the other end of the port",
    "patience": "link clocks without lanes until then, 4,096 at least; 0: for ever",
    "physical_state": "of the training",
    "physical_failed": "too many trainings came to nothing",
    "physical_send_width": "base 2 logarithm of the lanes that carry data out",
    "physical_receive_width": "the same, in",
    "physical_send_lanes": "a bit a lane: it carries data out",
    "physical_source": "the lane that is received as each logical one",
    "physical_retrains": "trainings",
    "physical_cause": "why the port trained last",
    "physical_missing": "a beat was not there in time",
    "alive": "there is a signal, and its words change",
    "locked": "its blocks are found",
    "heard": "enough good blocks in a row",
    "in_data": "it carries data",
    "lost": "it lost its place in the data",
    "inverted": "its two lines are crossed",
    "slip": "bits by which its words are cut",
    "lane": "its number at the other port",
    "skip_errors": "skip words that were wrong",
    "block_errors": "training blocks that were not there, or wrong, where they were due",
    "test_errors": "wrong bits of the test sequence",
    "link_outstanding": "flits not acknowledged",
    "link_held": "flits in the receive buffer",
    "link_round_trip": "flits from one sent to its acknowledge",
    "tunnel_active": "flits go through other ports",
    "tunnel_sent": "flits sent so",
    "tunnel_received": "flits received so",
    "resets": "times that the link layer was reset",
    "gone": "the port has given up: what is sent to it is answered as unreachable",
}
_INITIATOR_MEANING = {
    "waiting": "a transaction is not answered yet",
    "late": "it is answered as unreachable within a timeout, if by nobody else before",
    "destination": "the chip that an oldest one of them went to",
    "tag": "its tag",
    "sent": "transactions sent",
    "answered": "transactions answered",
    "timeouts": "transactions answered as unreachable, for nobody else did",
    "strays": "answers that nobody waited for",
    "refused": "transactions that were refused before they were sent",
}
_SETTINGS_MEANING = {
    "detect_timeout": "clocks in DETECT without a signal, after which the port has failed; 0: for ever",
    "align_timeout": "clocks in ALIGN",
    "width_timeout": "clocks in WIDTH",
    "start_timeout": "clocks in START",
    "retrain_timeout": "clocks in RETRAIN without a block of the other port",
    "reset_timeout": "clocks in HOT_RESET without an answer",
    "sleep_timeout": "clocks in SLEEP, then the port trains again; 0: for ever",
    "failed_timeout": "clocks in FAILED, then the port trains again",
    "silence_timeout": "clocks with data but without any flit, then the port trains again",
    "attempts": "timeouts in a row, after which the port has failed; 0: never",
    "settle_least": "clocks that unheard lanes are waited for",
    "settle_most": "the same for lanes with a signal",
    "patience": "words that a lane waits for blocks before it looks at another bit",
    "bad_flits": "bad flits in a row, after which the port trains again",
    "revive_after": "clocks that more lanes must be heard, before the port trains again to use them; 0: never",
}

_INTRODUCTION = """\
# Registers of the link

This page is generated: `python -m openppu.link.registers > docs/link-registers.md`; `--header` prints a C header.
`openppu.link.controller.LinkController` has them behind AXI4-Lite. [The link](link.md) explains what is set here.

A register is 32 bits, at a multiple of 4 bytes; bits above its width read zero. `SLVERR` is answered, and nothing
changes, where no register is, when what has no read is read or what has no write is written, and when a value is none
of those allowed. Counters wrap. A line of the routing table is written by `write_route`, from the registers `route`.
After a reset there are no routes, every port trains, and no packet goes to another chip until its route is written.

Those of port n begin at 0x1000 x (n + 1); the table shows port 0 and lane 0 of a port, the others are alike. Widths and
reset values are those of `ppu810e`.

| offset | register | bits | access | reset | allowed | meaning |
|---|---|---|---|---|---|---|"""


def port_control_layout(config: LinkConfig) -> data.StructLayout:
    """What is set of a port: its control but for `PULSES`, and how it fails over, but for this chip's number."""
    control = {name: f.shape for name, f in physical_control_layout(config) if name not in PULSES}
    failover = {name: f.shape for name, f in tunnel_control_layout() if name != "chip"}
    return data.StructLayout({"control": data.StructLayout(control), "failover": data.StructLayout(failover)})


def control_layout(config: LinkConfig) -> data.StructLayout:
    """What is set."""
    route = {name: f.shape for name, f in table_write_layout() if name != "write"}
    return data.StructLayout(
        {
            "chip": CHIP_BITS,
            "timeout": TIMEOUT_BITS,
            "period": PERIOD_BITS,
            "look": CHIP_BITS,
            "memory_bytes": MEMORY_ADDRESS_BITS + 1,
            "route": data.StructLayout(route),
            "settings": settings_layout(),
            **{f"port{number}": port_control_layout(config) for number in range(config.ports)},
        }
    )


def status_layout(config: LinkConfig) -> data.StructLayout:
    """What is shown."""
    return data.StructLayout(
        {
            "requests_to": COUNT_BITS,
            "answers_to": COUNT_BITS,
            "router": router_status_layout(config),
            "initiator": initiator_status_layout(),
            **{f"port{number}": port_status_layout(config) for number in range(config.ports)},
        }
    )


def strobes_layout(config: LinkConfig) -> data.StructLayout:
    """What is done when 1 is written."""
    port = data.StructLayout(dict.fromkeys(PULSES, 1))
    return data.StructLayout(
        {"write_route": 1, "reopen": 1, **{f"port{number}": port for number in range(config.ports)}}
    )


def registers(config: LinkConfig) -> list[Register]:
    """All registers, by offset."""
    control, status = control_layout(config), status_layout(config)
    found = [
        Register(name="identity", offset=0, bits=32, reset=IDENTITY, meaning="a fixed word"),
        Register(name="ports", offset=4, bits=4, reset=config.ports, meaning="ports of the link"),
        *(_strobe(*each) for each in _STROBE_ROWS),
    ]
    chip = ("chip", "timeout", "period", "look", "memory_bytes")
    own = data.StructLayout({name: control[name].shape for name in chip})
    after_reset = {"timeout": TIMEOUT}
    found += field_registers(own, ("control",), _CHIP, _MEANING.__getitem__, writable=True, reset=after_reset)
    counts = data.StructLayout({name: COUNT_BITS for name in ("requests_to", "answers_to")})
    found += field_registers(counts, ("status",), _CHIP + 0x30, _MEANING.__getitem__)
    route = data.StructLayout({"route": control["route"].shape})
    found += field_registers(route, ("control",), _ROUTE, _MEANING.__getitem__, writable=True)
    found += field_registers(
        settings_layout(),
        ("control", "settings"),
        _SETTINGS,
        _SETTINGS_MEANING.__getitem__,
        prefix="settings.",
        writable=True,
        reset=TrainingSettings().values(),
    )
    found += field_registers(status["router"].shape, ("status", "router"), _ROUTER, _meaning, prefix="router.")
    found += field_registers(
        initiator_status_layout(),
        ("status", "initiator"),
        _INITIATOR,
        _INITIATOR_MEANING.__getitem__,
        prefix="initiator.",
    )
    for number in range(config.ports):
        found += _port(config, number)
    return sorted(found, key=lambda register: register.offset)


_STROBE_ROWS = (
    ("write_route", 0x008, ("strobes", "write_route"), "1: write the line of the routing table that `route` describes"),
    ("reopen", 0x00C, ("strobes", "reopen"), "1: send again to chips that were found unreachable"),
)


def _strobe(name: str, offset: int, source: tuple[str, ...], meaning: str) -> Register:
    return Register(
        name=name,
        offset=offset,
        bits=1,
        source=source,
        readable=False,
        writable=True,
        allowed=range(2),
        meaning=meaning,
    )


def _port(config: LinkConfig, number: int) -> Iterator[Register]:
    name, base = f"port{number}", _PORT * (number + 1)
    control = port_control_layout(config)
    for group, offset in (("control", _CONTROL), ("failover", _FAILOVER)):
        shape = control[group].shape
        prefix = f"{name}.{'failover_' if group == 'failover' else ''}"
        yield from field_registers(
            shape, ("control", name, group), base + offset, _meaning, prefix=prefix, writable=True
        )
    done = {
        "retrain": "1: train again",
        "hot_reset": "1: reset both ports' link layers; what is on its way is lost",
    }
    for place, (pulse, meaning) in enumerate(done.items()):
        yield _strobe(f"{name}.{pulse}", base + _STROBES + 4 * place, ("strobes", name, pulse), meaning)
    yield from field_registers(
        port_status_layout(config), ("status", name), base + _STATUS, _meaning, prefix=f"{name}."
    )


def _meaning(name: str) -> str:
    """Of a field: of an array's element as of the array, of a lane's report as of the report."""
    if counted := re.fullmatch(r"link_counts_(\w+)", name):
        return COUNTS[counted[1]]
    if lane := re.fullmatch(r"physical_lanes_\d+_(\w+)", name):
        return _MEANING[lane[1]]
    return _MEANING[re.sub(r"_\d+$", "", name)]


def _choices(register: Register, config: LinkConfig) -> dict[str, int]:
    """The names of a register's values, if they have names."""
    if not register.source or register.source[0] == "strobes":
        return {}
    layout = {"control": control_layout(config), "status": status_layout(config)}[register.source[0]]
    shape = dict(leaves(layout))[register.source[1:]]
    return {value.name: value.value for value in shape} if isinstance(shape, type) and issubclass(shape, Enum) else {}


def page(config: LinkConfig) -> str:
    """The text of ``docs/link-registers.md``."""
    lines = [_INTRODUCTION]
    for register in registers(config):
        if re.search(r"port[1-9]|lanes_[1-9]", register.name):
            continue
        reset = f"{register.reset:#x}" if register.name == "identity" else ""
        lines.append(markdown_row(register, choices=_choices(register, config), reset=reset))
    return "\n".join(lines) + "\n"


def header(config: LinkConfig) -> str:
    """The registers as the text of a C header."""
    return c_header("OPENPPU_LINK_", registers(config), lambda register: _choices(register, config))


def main() -> None:
    """Print the page, or the header."""
    from openppu.config import load  # the configuration reads this package

    parser = argparse.ArgumentParser(prog="python -m openppu.link.registers", description=main.__doc__)
    parser.add_argument("--header", action="store_true", help="the C header")
    parser.add_argument("--config", default="ppu810e", metavar="NAME|FILE", help="the chip (default: ppu810e)")
    args = parser.parse_args()
    text: Any = header if args.header else page
    print(text(load(args.config).link), end="")


if __name__ == "__main__":
    main()
