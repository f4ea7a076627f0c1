"""Sizes and times as people write and read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openppu_sim.errors import UserError
from openppu_sim.units import parse_bytes, show_bytes, show_ns


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("64MiB", 64 << 20),
        ("64 MiB", 64 << 20),
        (" 64MiB ", 64 << 20),
        ("1GB", 10**9),
        ("1.5GB", 1_500_000_000),
        ("0.5KiB", 512),
        ("1.0B", 1),
        ("4096", 4096),
        ("1024TiB", 2**50),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "64M",
            "size '64M': give bytes, or a number with one of B, KB, MB, GB, TB, KiB, MiB, GiB, TiB; did you mean",
        ),
        ("1gb", "did you mean 1GB?"),
        ("1mib", "did you mean 1MiB?"),
        ("1Gb", "did you mean 1GB?"),
        ("", "give bytes"),
        ("-1", "give bytes"),
        ("1e3", "give bytes"),
        ("1,000", "give bytes"),
        ("0x10", "give bytes"),
        ("MiB", "give bytes"),
        ("1.", "give bytes"),
        ("\u0661", "give bytes"),
        ("1.5B", "not a whole number of bytes"),
        ("0.3KiB", "not a whole number of bytes"),
        ("0", "give 1 B to 1,024 TiB"),
        ("1025TiB", "give 1 B to 1,024 TiB"),
        ("9" * 20, "give 1 B to 1,024 TiB"),
        ("9" * 5000, "give bytes"),
    ],
)
def test_what_is_no_size_gives_one_line(text: str, told: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_bytes(text)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.integers(1, 2**50))
def test_what_is_shown_can_be_read(size: int) -> None:
    assert parse_bytes(show_bytes(size).replace(",", "")) == size


def test_times() -> None:
    assert [show_ns(value) for value in (0.5, 12.3456, 1500, 2.5e6, 3e9)] == [
        "0.5 ns",
        "12.35 ns",
        "1.5 us",
        "2.5 ms",
        "3 s",
    ]
