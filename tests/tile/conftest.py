"""Each run of a tile's testbench happens once in a session, whichever worker asks for it first."""

import fcntl
import os
from dataclasses import asdict
from pathlib import Path

import pytest
from openppu_sim.errors import SimulationError
from openppu_sim.simulator.cocotb_runner import simulate
from openppu_sim.simulator.tile import TOP, emit_tile
from openppu_sim.simulator.toolchain import find_icarus
from tile_runs import Run, Runner


@pytest.fixture(scope="session")
def do_run(build_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """The runner of this session, shared by all of pytest-xdist's workers."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    folder = folder / "tile"
    folder.mkdir(exist_ok=True)

    def do(run: Run) -> Path:
        if run.sim == "icarus" and find_icarus() is None:
            pytest.skip("Icarus Verilog is not installed")
        place = folder / str(run)
        with open(folder / f"{run}.lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            outcome = place / "outcome"
            if not outcome.is_file():
                outcome.parent.mkdir()
                outcome.write_text(_simulate(run, place, build_root), encoding="utf-8")
        failure = outcome.read_text(encoding="utf-8")
        if failure:
            pytest.fail(failure, pytrace=False)
        return place

    return do


def _simulate(run: Run, place: Path, build_root: Path) -> str:
    """What went wrong; nothing when all is well."""
    chip = run.chip()
    given = {"coverage": str(place / "coverage"), "results": str(place / "results.npz"), **run.parameters}
    try:
        simulate(
            emit_tile(chip, place),
            top=TOP,
            test_module=f"openppu_verif.tile.{run.module}",
            build_root=build_root,
            sim=run.sim,
            parameters={"tile": asdict(chip.tile), **given},
        )
    except SimulationError as error:
        return str(error)
    return ""
