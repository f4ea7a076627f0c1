"""The code of the programmer's manual runs as it stands, block after block."""

import re

PAGE = "docs/programming.md"


def test_all_code_of_the_manual_runs(project_root):
    text = (project_root / PAGE).read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) >= 8
    names: dict = {}
    for number, block in enumerate(blocks):
        exec(compile(block, f"{PAGE}, block {number}", "exec"), names)
