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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["multiply", "--backend", "fpga"], "backend 'fpga': give one of model, reference, rtl"),
        (["train_digits", "--backend", "fpga"], "backend 'fpga': give one of model, reference, rtl"),
        (["train_digits", "--steps", "0"], "--steps 0: give at least 1"),
        (["all_reduce", "--backend", "fpga"], "backend 'fpga': give one of model, reference, rtl"),
    ],
)
def test_a_wrong_argument_gives_one_line(project_root, arguments, message):
    command = [sys.executable, f"examples/{arguments[0]}.py", *arguments[1:]]
    done = subprocess.run(command, cwd=project_root, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert message in done.stderr


def test_every_script_is_run(project_root):
    found = {path.stem for path in (project_root / "examples").glob("*.py")}
    assert found == set(SCRIPTS), "an example without a test"
