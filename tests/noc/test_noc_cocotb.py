"""The network's Verilog on both simulators."""

from pathlib import Path

import pytest
from openppu.config import load
from openppu.hbm.stacks import HbmConfig
from openppu.noc.config import NocConfig
from openppu.noc.noc import Noc
from openppu.noc.plan import Plan
from openppu.verilog import emit
from openppu_sim.simulator.cocotb_runner import simulate
from openppu_sim.simulator.lint import lint
from openppu_sim.simulator.toolchain import find_icarus

HBM = HbmConfig(stacks=1, channels=1, height=4, ports=2, tags=2)
PLAN = Plan(
    noc=NocConfig(columns=2, rows=1, queue=3, slots=4, writes=2),
    hbm=HBM,
    scratchpad=load("tiny").scratchpad,
    initiators=2,
    tags=2,
)


@pytest.mark.parametrize("sim", ["icarus", pytest.param("verilator", marks=pytest.mark.slow)])
def test_users_and_memories_in_cocotb(sim: str, tmp_path: Path, build_root: Path) -> None:
    if sim == "icarus" and find_icarus() is None:
        pytest.skip("Icarus Verilog is not installed")
    path = tmp_path / "noc.v"
    emit(Noc(PLAN), top="noc", config=load("tiny")).write(path)
    assert lint(path, "noc") == []
    (result,) = simulate(
        path,
        top="noc",
        test_module="openppu_verif.noc.test_noc_ports",
        build_root=build_root,
        sim=sim,
        parameters={
            "users": PLAN.initiators,
            "memories": PLAN.channel_ports,
            "tags": PLAN.tags,
            "memory_tags": HBM.tags,
            "bytes": 32 * PLAN.hbm_words,
        },
    )
    assert result.status == "passed"
