"""The memory as a Verilog module: a testbench without Python, on both simulators."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from openppu.hbm.config import ChannelConfig
from openppu.hbm.settings import Settings
from openppu_sim.simulator.cocotb_runner import SIMULATORS
from openppu_sim.simulator.toolchain import find_icarus
from openppu_verif.hbm.memory_file import write
from openppu_verif.hbm.verilog_bench import build_testbench, run

CONFIG = ChannelConfig(height=4, reads=8, writes=8, slots=8, ports=1, tags=1)
SETTINGS = Settings(write_high=6, write_low=1)


@pytest.fixture(scope="module", params=SIMULATORS)
def command(request: pytest.FixtureRequest, build_root: Path) -> list[str]:
    if request.param == "icarus" and (find_icarus() is None or shutil.which("iverilog-vpi") is None):
        pytest.skip("Icarus Verilog with iverilog-vpi is not installed")
    return build_testbench(request.param, CONFIG, SETTINGS, build_root)


def test_a_testbench_without_python_writes_reads_and_makes_faults(command: list[str], tmp_path: Path) -> None:
    write(tmp_path, CONFIG, SETTINGS)
    ran = run(command, tmp_path)
    assert "PASSED" in ran.stdout, ran.stdout + ran.stderr
    assert ran.returncode == 0
    assert ran.stderr == ""


def test_an_early_command_is_told_and_ends_the_run(command: list[str], tmp_path: Path) -> None:
    timing = SETTINGS.timing
    write(tmp_path, CONFIG, SETTINGS, replace(timing, tRCDWR=timing.tRCDWR + 2))
    ran = run(command, tmp_path)
    assert "PASSED" not in ran.stdout
    assert ran.returncode != 0
    told = r"CK \d+: tRCDWR: WR of PC (\d) bank (\d+), \d+ CK after ACT of PC \1 bank \2, \d+ needed\n"
    assert re.fullmatch(told, ran.stderr), ran.stderr


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("+peek_beyond", "a peek of PC 0 bank 99 row 7 column 40"),
        ("+poke_beyond", "a write without the bus of PC 2 bank 0 row -1 column 3"),
    ],
)
def test_what_is_beyond_the_memory_is_told_and_ends_the_run(
    argument: str, told: str, command: list[str], tmp_path: Path
) -> None:
    write(tmp_path, CONFIG, SETTINGS)
    ran = run(command, tmp_path, argument)
    assert "PASSED" not in ran.stdout
    assert ran.returncode != 0
    there = "there are 2 PCs, 16 banks, 32768 rows and 32 columns, from 0"
    assert re.fullmatch(rf"clock \d+: {told}: {there}\n", ran.stderr), ran.stderr


def test_a_missing_configuration_ends_the_run(command: list[str], tmp_path: Path) -> None:
    ran = run(command, tmp_path)
    assert ran.returncode != 0
    assert "configuration hbm_device.txt: cannot read hbm_device.txt" in ran.stderr
