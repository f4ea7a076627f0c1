"""The scripts in ``examples`` run as they stand, on the reference and on the RTL."""

import subprocess
import sys

import pytest

SCRIPTS = {"multiply": "as numpy says", "all_reduce": "both have the sum", "train_digits": "of the test images."}


@pytest.mark.parametrize("backend", ["reference", pytest.param("rtl", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", SCRIPTS)
def test_the_example_runs_and_is_right(project_root, build_root, name, backend):
    command = [sys.executable, f"examples/{name}.py", "--backend", backend, "--build-dir", str(build_root)]
    done = subprocess.run(command, cwd=project_root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith(SCRIPTS[name])


def test_every_script_is_run(project_root):
    found = {path.stem for path in (project_root / "examples").glob("*.py")}
    assert found == set(SCRIPTS), "an example without a test"
