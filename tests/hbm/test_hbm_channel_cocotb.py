"""The channel with its memory in cocotb, on both simulators."""

from pathlib import Path

import pytest
from openppu.config import load
from openppu.hbm.channel import Channel
from openppu.hbm.config import ChannelConfig
from openppu.verilog import emit
from openppu_sim.simulator.cocotb_runner import simulate
from openppu_verif.native.model import control, module_ports

CONFIG = {
    "height": 4, "ports": 1, "tags": 1, "reads": 8, "writes": 8, "slots": 8, "hammer_entries": 8, "retry": True
}  # fmt: skip


@pytest.mark.parametrize(
    ("module", "changed"),
    [
        ("test_channel", {}),
        ("test_features", {}),
        ("test_codes", {}),
        ("test_codes", {"ecc": "none"}),
        ("test_codes", {"ecc": "symbol"}),
    ],
    ids=["words", "features", "secded", "none", "symbol"],
)
def test_the_channel_and_its_memory_in_cocotb(
    module: str, changed: dict[str, str], sim: str, tmp_path: Path, build_root: Path
) -> None:
    config = CONFIG | ({"hammer_entries": 0, "retry": False} | changed if changed else {})
    verilog = tmp_path / "channel.v"
    emit(Channel(ChannelConfig(**config)), top="channel", config=load("tiny")).write(verilog)
    simulate(
        verilog,
        top="channel",
        test_module=f"openppu_verif.hbm.{module}",
        build_root=build_root,
        sim=sim,
        parameters={"config": config, "build_root": str(build_root)},
        control=control(module_ports(verilog.read_text()), "channel"),
    )
