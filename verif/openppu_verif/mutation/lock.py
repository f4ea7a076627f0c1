"""What the outputs of a part did in its runs, by digest, in a file: what a part's ``trace_lock`` reads and writes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Locked = dict[str, dict[str, Any]]
"""Of each run, by its label, what is locked, by its name."""


def read(file: Path) -> Locked:
    """What was written."""
    locked: Locked = json.loads(file.read_text(encoding="ascii"))
    return locked


def changed(label: str, found: Mapping[str, Any], locked: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Which parts of what was found in a run are not what was written, if any."""
    if label not in locked:
        return "this run is not in the file"
    parts = [name for name, value in found.items() if locked[label].get(name) != value]
    return f"not the same {', '.join(parts)}" if parts else None


def write(file: Path, found: Locked) -> None:
    """Write what was found, and say which runs changed."""
    before = read(file) if file.exists() else {}
    file.write_text(json.dumps(found, indent=1) + "\n", encoding="ascii")
    new = [label for label in {**before, **found} if before.get(label) != found.get(label)]
    print(f"{file}: {len(found)} runs, {len(new)} changed{': ' if new else ''}{', '.join(new)}")
