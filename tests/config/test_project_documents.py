"""Documents and Makefile say what the project is: dependencies, version, and commands that exist."""

import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib

import pytest


@pytest.fixture(scope="module")
def project(project_root) -> dict:
    """The contents of pyproject.toml."""
    return tomllib.loads((project_root / "pyproject.toml").read_text())


def test_each_dependency_has_its_reason_and_each_reason_its_dependency(project, project_root):
    wanted = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for extra in project["project"]["optional-dependencies"].values():
        wanted += extra
    rows = re.findall(
        r"^\| `([\w-]+)` \| (.+?) \|", (project_root / "docs" / "dependencies.md").read_text(), re.MULTILINE
    )
    assert sorted(name for name, _ in rows) == sorted(re.split("[=<>~]", line)[0] for line in wanted)
    assert all(len(reason) > 4 for _, reason in rows)


def test_every_dependency_is_pinned(project):
    lines = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for extra in project["project"]["optional-dependencies"].values():
        lines += extra
    assert [line for line in lines if not re.fullmatch(r"[\w-]+==[\w.]+", line)] == []


def test_the_citation_names_the_version(project, project_root):
    assert f"\nversion: {project['project']['version']}\n" in (project_root / "CITATION.cff").read_text()


def test_each_test_file_has_a_name_of_its_own(project_root):
    """Two modules of one name cannot both be imported, and a run of all tests ends in an error."""
    names = [path.name for path in (project_root / "tests").rglob("*.py") if path.name != "conftest.py"]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []


def test_make_lists_every_target(project_root):
    text = (project_root / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.*)", text, re.MULTILINE)[1].split()
    listed = subprocess.run(["make", "-C", project_root], capture_output=True, text=True, check=True).stdout
    for target in targets:
        assert re.search(rf"^  {target} +\S", listed, re.MULTILINE), f"`make help` says nothing of {target}"


def test_make_runs_commands_that_exist(project_root):
    text = (project_root / "Makefile").read_text()
    modules = re.findall(r"\$\(BIN\)/python -m ([\w.]+)", text)
    modules += [f"openppu_sim.commands.{name}" for name in re.findall(r"\$\(BIN\)/openppu (\w+)", text)]
    assert "openppu_sim.digits" in modules
    assert [module for module in modules if importlib.util.find_spec(module) is None] == []


def test_make_passes_configuration_and_overrides_on(project_root):
    command = [
        "make",
        "-C",
        project_root,
        "-n",
        "-o",
        ".venv/.installed",
        "sim",
        "CONFIG=tiny",
        "SET=tile.rows=2 a.b=c",
    ]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "-m openppu_sim.digits --config tiny --set tile.rows=2 --set a.b=c\n" in lines


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ("python3", "make: python3 is missing: install Python 3.11 or newer"),
        ("c++", "make: c++ is missing: on Debian, apt-get install g++ perl"),
        ("perl", "make: perl is missing: on Debian, apt-get install g++ perl"),
    ],
)
def test_make_says_what_is_missing(project_root, tmp_path, missing, told):
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in {"python3", "c++", "perl"} - {missing}:
        (folder / tool).write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        (folder / tool).chmod(0o755)
    result = subprocess.run(
        [shutil.which("make"), "-C", project_root, "venv", f"VENV={tmp_path / 'venv'}", f"PATH={folder}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert told in result.stderr
    assert not (tmp_path / "venv").exists()


def test_make_refuses_an_old_python(project_root, tmp_path):
    old = tmp_path / "python3.9"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    command = ["make", "-C", project_root, "venv", f"VENV={tmp_path / 'venv'}", f"PYTHON={old}"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert f"make: {old} is too old: Python 3.11 or newer is needed" in result.stderr


def test_the_integration_script_is_sound(project_root):
    script = project_root / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", script], check=True)
    steps = re.findall(r"^step make ([\w-]+)$", script.read_text(), re.MULTILINE)
    assert {"lint", "sim", "test", "verilog"} <= set(steps)
    assert steps[-1] == "test"
