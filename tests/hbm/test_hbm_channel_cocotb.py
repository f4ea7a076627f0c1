"""The channel with its memory in cocotb, on both simulators."""

from pathlib import Path

import pytest
from openppu.config import load
from openppu.hbm.channel import Channel
from openppu.hbm.config import ChannelConfig
from openppu.verilog import emit
from openppu_sim.simulator.cocotb_runner import simulate
from openppu_verif.native.model import control, module_ports

CONFIG = {"height": 4, "ports": 1, "tags": 1, "reads": 8, "writes": 8, "slots": 8}


@pytest.fixture(scope="module")
def verilog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("channel") / "channel.v"
    emit(Channel(ChannelConfig(**CONFIG)), top="channel", config=load("tiny")).write(path)
    return path


def test_the_channel_and_its_memory_in_cocotb(sim: str, verilog: Path, build_root: Path) -> None:
    simulate(
        verilog,
        top="channel",
        test_module="openppu_verif.hbm.test_channel",
        build_root=build_root,
        sim=sim,
        parameters={"config": CONFIG, "build_root": str(build_root)},
        control=control(module_ports(verilog.read_text()), "channel"),
    )
