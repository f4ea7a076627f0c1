"""Defects in a whole chip's netlist are noticed."""

from pathlib import Path

import pytest
from openppu_verif.chip.mutation import AREAS, SHARES, chip_subject, with_the_rest
from openppu_verif.mutation.netlist import mutate

COUNT, SEED = 200, 1
"""Those of the figures in ``docs/mutation.md``."""

FEW = range(5, COUNT, 10)
"""What cannot change anything is among them, for no proof is asked here; and they are others when the chip changes: of
those of the figures 17 are noticed."""


def test_the_areas_share_all_mutations() -> None:
    assert sum(SHARES.values()) == pytest.approx(1)
    assert [area.name for area in AREAS] == list(SHARES)


def test_what_is_left_out_of_the_netlist_comes_from_the_whole_chips_verilog(tmp_path: Path) -> None:
    broken = "module chip(a);\n  input a;\n  wire a;\n  box \\x.y  (\n    .a(a)\n  );\n  part p (\n  );\nendmodule\n"
    broken += "module part(a);\nendmodule\n"
    whole = "".join(
        f"module {name} (\n  input wire a\n);\n{body}endmodule\n\n"
        for name, body in (("chip", ""), ("box", "  part p (\n    .box(part)\n  );\n"), ("part", ""), ("other", ""))
    )
    (tmp_path / "mutated.v").write_text(broken)
    (tmp_path / "chip.v").write_text(whole)
    text = with_the_rest(tmp_path / "mutated.v", tmp_path / "chip.v").read_text()
    assert text.startswith(broken)
    added = text.removeprefix(broken)
    assert "module box (" in added
    assert "  own_part p (\n    .box(part)\n" in added
    assert "module own_part (" in added
    assert "other" not in added


@pytest.mark.slow
def test_most_of_a_few_defects_are_noticed(tmp_path: Path, build_root: Path) -> None:
    subject = chip_subject()
    source = subject.emit(tmp_path)
    mutate(
        source, top=subject.top, areas=AREAS, count=COUNT, seed=SEED, folder=tmp_path, prepare=subject.prepare
    )  # fmt: skip
    notice = subject.tests(tmp_path / "mutated.v", build_root)
    assert notice(0) is None
    noticed = [number for number in FEW if notice(number)]
    assert len(noticed) >= 0.6 * len(FEW), noticed
