"""What a proof about a broken module is about: the module alone, or with what it uses, or what uses it.

The less, the faster. But what only the modules around it make equivalent is not proved of it alone.
"""

from collections.abc import Collection
from pathlib import Path

from openppu_verif.mutation.hierarchy import MODULE, all_below, instances_of, module_alone
from openppu_verif.mutation.netlist import run_yosys

SETTLE = """\
read_rtlil mutated.il
hierarchy -top {top}
{rounds}
opt_clean -purge
write_rtlil settled.il
"""
ROUND = """\
opt_hier
opt_clean
opt_expr
opt_clean
opt_merge
opt_clean
opt_dff -nodffe -nosdff
opt_clean
"""
ROUNDS = 6


def settle(folder: Path, top: str) -> str:
    """Write ``settled.il`` beside ``mutated.il``, and give its text.

    It is the same, but what the modules around a module make constant, or do not use, is gone.

    Raises
    ------
    RuntimeError
        If Yosys does not write it.
    """
    path = folder / "settled.il"
    path.unlink(missing_ok=True)
    words = run_yosys(SETTLE.format(top=top, rounds=ROUND * ROUNDS), folder)
    if not path.exists():
        raise RuntimeError(f"Yosys wrote no {path}: {words.strip()[-600:]}")
    return path.read_text(encoding="ascii")


FLATTEN = """\
read_rtlil settled.il
hierarchy -top {top}
setattr -mod -unset keep_hierarchy {kept}
flatten
opt_expr
opt_clean
opt_mem
opt_clean
write_rtlil flat.il
"""


def without_others(folder: Path, module: str, kept: Collection[str] = ()) -> str:
    """Write ``alone.il`` beside ``settled.il``: that module alone, or with those of ``kept`` in it; its name."""
    if kept:
        (folder / "flat.il").unlink(missing_ok=True)
        run_yosys(FLATTEN.format(top=module, kept=" ".join(sorted(kept))), folder)
    whole = (folder / ("flat.il" if kept else "settled.il")).read_text(encoding="ascii")
    (folder / "alone.il").write_text(module_alone(whole, module), encoding="ascii")
    return "alone.il"


Scope = tuple[str, frozenset[str]]
"""A module, and which of those that it uses are looked at with it."""


class Scopes:
    """What a proof about a module can be about.

    Parameters
    ----------
    rtlil : str
        All modules.
    most : int
        Characters of RTLIL that a module may have with all that it uses.
    """

    def __init__(self, rtlil: str, *, most: int) -> None:
        modules = dict(MODULE.findall(rtlil))
        self._below = {name: kinds & modules.keys() for name, kinds in instances_of(rtlil).items()}
        self._sizes = {
            name: sum(len(modules[each]) for each in set(all_below(name, self._below))) for name in modules
        }  # fmt: skip
        self._most = most

    def of(self, module: str, level: int) -> list[Scope]:
        """The module alone, at level 0; with all that it uses; those that use it; those that use them; and so on.

        What is proved of all of these holds of the whole. There are none if one of them would be too large.
        """
        if level == 0:
            return [(module, frozenset())]
        found = {module}
        for _ in range(level - 1):
            users = [{name for name, kinds in self._below.items() if each in kinds} for each in found]
            if not all(users):
                return []
            found = set().union(*users)
        if any(self._sizes[name] > self._most for name in found):
            return []
        return [(name, frozenset(all_below(name, self._below)) - {name}) for name in sorted(found)]
