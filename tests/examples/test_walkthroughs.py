"""The walk-throughs hold: their changes are put into a copy of the source, and their code runs."""

import os
import re
import shutil
import subprocess
import sys


def blocks(project_root, page, language):
    text = (project_root / "docs" / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_an_operation_is_added_as_the_page_says(project_root, tmp_path):
    for part in ("hw", "sim"):
        shutil.copytree(project_root / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    changes = blocks(project_root, "add-an-operation.md", "diff")
    assert len(changes) == 3
    for change in changes:
        name, old, new = change_of(change)
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"docs/add-an-operation.md: {name} is not as its change has it"
        (tmp_path / name).write_text(text.replace(old, new), encoding="utf-8")
    (check,) = blocks(project_root, "add-an-operation.md", "python")
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(str(tmp_path / part) for part in ("hw", "sim"))}
    done = subprocess.run([sys.executable, "-c", check], env=paths, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "COUNT_ONES counts\n"


def change_of(change):
    """A change's file, and its lines before and after."""
    lines = change.splitlines()
    name = lines[1].removeprefix("+++ b/")
    hunk = lines[3:]
    old = "".join(f"{line[1:]}\n" for line in hunk if line[:1] != "+")
    return name, old, "".join(f"{line[1:]}\n" for line in hunk if line[:1] != "-")


def test_a_changed_chip_does_as_the_page_says(project_root):
    names: dict = {}
    for number, block in enumerate(blocks(project_root, "change-the-chip.md", "python")):
        exec(compile(block, f"docs/change-the-chip.md, block {number}", "exec"), names)
