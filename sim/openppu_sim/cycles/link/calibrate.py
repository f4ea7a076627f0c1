"""Puts figures that benchmarks measured into the packaged calibration: ``calibrate build/bench/link_engine.json``."""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from openppu_sim.cli import Parser, guarded
from openppu_sim.cycles.link.calibration import PACKAGED, Figure, load_calibration
from openppu_sim.errors import UserError

COMMAND = "python -m openppu_sim.cycles.link.calibrate"


def replaced(text: str, figures: Mapping[str, Figure]) -> str:
    """The text of a calibration with the values of these figures, each of kind ``measured``. What else an entry says
    stays.

    Raises
    ------
    UserError
        If an entry is not there as it is usually written.
    """
    for name, figure in figures.items():
        entry = re.compile(rf"(?m)^(\[{re.escape(name)}\]\nvalue = ).*(\nunit = .*\nkind = ).*$")
        text, found = entry.subn(rf'\g<1>{figure.value:g}\g<2>"measured"', text)
        if found != 1:
            raise UserError(f"{name}: no entry of value, unit, kind and source in {PACKAGED}")
    return text


def main(argv: Sequence[str] | None = None) -> int:
    """Rewrite the calibration, and say what has changed."""
    parser = Parser(prog=COMMAND, description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a benchmark's file, build/bench/*.json")
    parser.add_argument("--output", type=Path, default=PACKAGED, metavar="FILE", help="default: the packaged one")
    args = parser.parse_args(argv)
    before = load_calibration().figures
    text = PACKAGED.read_text(encoding="utf-8")
    for path in args.files:
        figures = load_calibration(path).figures
        new = {
            name: figure for name, figure in figures.items() if figure is not before[name] and figure != before[name]
        }
        text = replaced(text, new)
        for name, figure in new.items():
            print(f"{name}: {before[name].value:g} -> {figure.value:g} {figure.unit}")
    try:
        args.output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{args.output}: cannot be written: {error.strerror}") from None
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
