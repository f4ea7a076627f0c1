"""Two ports under cocotb, on both simulators."""

from dataclasses import asdict
from pathlib import Path

import pytest
from openppu.config import load
from openppu.verilog import emit
from openppu_sim.simulator.cocotb_runner import simulate
from openppu_verif.link.pair import PortPair

TESTS = 6


@pytest.fixture(scope="module")
def verilog(build_root: Path) -> Path:
    path = build_root / "link" / "port_pair.v"
    emit(PortPair(load("tiny").link), top="port_pair", config=load("tiny")).write(path)
    return path


def test_packets_go_both_ways_whatever_the_lanes_do(verilog: Path, sim: str, build_root: Path) -> None:
    results = simulate(
        verilog,
        top="port_pair",
        test_module="openppu_verif.link.test_port_pair",
        build_root=build_root,
        sim=sim,
        parameters={"config": asdict(load("tiny").link)},
    )
    assert [result for result in results if result.status != "passed"] == []
    assert len(results) == TESTS
