"""The code of the pages on programming runs as it stands; on the cycle model where a page says RTL."""

import re

import pytest
from openppu_sim.device.device import Device

PAGES = {"programming": 10, "chip": 1, "kernels": 2, "cycle-model": 1}
"""Each page, and the blocks that it has at least."""


@pytest.mark.parametrize("name", PAGES)
def test_all_code_of_a_page_runs_and_prints_what_is_said(project_root, name, capsys):
    text = (project_root / "docs" / f"{name}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) >= PAGES[name]
    names: dict = {"Device": Device}  # which one page begins with
    for number, block in enumerate(blocks):
        code = block.replace('backend="rtl"', 'backend="model"')
        exec(compile(code, f"docs/{name}.md, block {number}", "exec"), names)
        printed = capsys.readouterr().out
        for said in re.findall(r"print\(.*\)  # (.*?)(?:, \.\.\..)?$", block, re.MULTILINE):
            assert said in printed
