"""Commands that the pages name are there."""

import re
from pathlib import Path

import pytest
from openppu_sim import cli

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMED = re.compile(r"(?:^|`)openppu ([a-z][a-z-]*)((?: [a-z][a-z-]*)?)", re.MULTILINE)
WITH_ACTIONS = ("link", "hbm")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_command_that_a_page_names_is_one(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command, action in set(NAMED.findall(page.read_text(encoding="utf-8"))):
        words = [command, *(action.split() if command in WITH_ACTIONS else [])]
        with pytest.raises(SystemExit) as leave:
            cli.main([*words, "--help"])
        assert leave.value.code == 0, words
    capsys.readouterr()
