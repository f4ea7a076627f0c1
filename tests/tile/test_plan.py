"""The test plan in the documentation names every test there is, and no other."""

import ast
import re
from pathlib import Path

ROW = re.compile(r"^\| (?:`(?P<module>\w+)`)? ?\| `(?P<test>\w+)` \|", re.MULTILINE)


def test_the_plan_lists_the_tests_of_every_testbench(project_root: Path) -> None:
    planned, module = set(), ""
    for row in ROW.finditer((project_root / "docs" / "verification.md").read_text(encoding="utf-8")):
        module = row["module"] or module
        planned.add((module, row["test"]))

    written = set()
    for path in (project_root / "verif" / "openppu_verif" / "tile").glob("test_*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.AsyncFunctionDef) and node.decorator_list:
                written.add((path.stem, node.name))
    assert planned == written
