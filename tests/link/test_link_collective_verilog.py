"""The collective engine is emitted as Verilog without warnings; what cannot be built is refused in a line."""

import re
from pathlib import Path

import pytest
from openppu.config import load
from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.engine import CollectiveEngine
from openppu.link.config import LinkConfig
from openppu.link.fabric import Fabric
from openppu.section import ConfigError
from openppu.verilog import emit
from openppu_sim.simulator.lint import lint


@pytest.mark.parametrize(("ports", "lanes"), [(1, 2), (3, 4), (7, 2)])
def test_an_engine_lints(ports: int, lanes: int, tmp_path: Path) -> None:
    config = CollectiveConfig(link=LinkConfig(ports=ports, lanes=lanes, lane_bits=16), window=16, packet=4, reads=8)
    path = tmp_path / "collective_engine.v"
    emit(CollectiveEngine(config), top="collective_engine", config=load("tiny")).write(path)
    assert lint(path, "collective_engine") == []


def test_each_port_of_a_chip_s_link_has_a_clock_for_what_it_receives() -> None:
    link = LinkConfig(ports=2, lanes=2, lane_bits=16, window=8, credits=2, recovered_clock=True)
    fabric = Fabric(link, tags=2, mailboxes=1, mailbox_bytes=64, semaphores=0)
    text = emit(fabric, top="fabric", config=load("tiny")).text
    clocks = re.findall(r"input +wire +(\w*clk),", text)
    assert clocks[:3] == ["clk", "rx_0_clk", "rx_1_clk"], "in the same order each time"
    for port in range(2):
        assert re.search(rf"\.rx_clk\(rx_{port}_clk\)", text)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (dict(link=LinkConfig(ports=0)), "link.ports = 0"),
        (dict(link=LinkConfig(ports=1, lanes=1, lane_bits=16)), "a beat of 2 bytes"),
        (dict(window=100), "collective.window = 100: give a power of two from 8 to 4096"),
        (dict(window=64, packet=32), "collective.packet = 32: give a power of two from 1 to 16"),
        (dict(reads=4), "collective.reads = 4"),
        (dict(queue=1), "collective.queue = 1"),
    ],
)
def test_what_cannot_be_built_is_refused(values: dict, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(ConfigError, match=message):
        CollectiveConfig(**{"link": LinkConfig(ports=1), **values})
