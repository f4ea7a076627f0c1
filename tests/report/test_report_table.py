"""The plain text tables."""

import io

import pytest
from openppu_sim.report.table import format_table, print_table


def test_columns_align_and_numbers_stand_right() -> None:
    text = format_table(["layer", "cycles", "of bound"], [["hidden", 11540, 99.826], ["out", 7, None]])
    assert text.splitlines() == [
        "layer   cycles  of bound",
        "------  ------  --------",
        "hidden  11,540     99.83",
        "out          7",
    ]


def test_one_text_cell_makes_a_column_stand_left() -> None:
    assert format_table(["value"], [[1], ["none"]]).splitlines() == ["value", "-----", "1", "none"]


def test_a_table_without_rows_keeps_its_header() -> None:
    assert format_table(["a", "long name"], []).splitlines() == ["a  long name", "-  ---------"]


def test_a_row_of_the_wrong_length_is_named() -> None:
    with pytest.raises(ValueError, match="row 1 has 1 cells, not 2"):
        format_table(["a", "b"], [["x", 1], ["y"]])


def test_print_table_writes_to_the_given_file() -> None:
    out = io.StringIO()
    print_table(["a"], [[1]], file=out)
    assert out.getvalue() == "a\n-\n1\n"
