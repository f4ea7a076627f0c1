"""What every test may use: the build folder, the simulators, and hypothesis without clocks or chance."""

from pathlib import Path

import pytest
from hypothesis import settings
from openppu_sim.simulator.cocotb_runner import SIMULATORS
from openppu_sim.simulator.toolchain import find_icarus

ROOT = Path(__file__).parents[1]

settings.register_profile("repeatable", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def build_root() -> Path:
    """The folder for models and runs, shared by all tests: a model is built once, whoever asks first."""
    return ROOT / "build"


@pytest.fixture(params=SIMULATORS)
def sim(request: pytest.FixtureRequest) -> str:
    """Each simulator in turn; Icarus only where it is installed."""
    name: str = request.param
    if name == "icarus" and find_icarus() is None:
        pytest.skip("Icarus Verilog is not installed")
    return name
