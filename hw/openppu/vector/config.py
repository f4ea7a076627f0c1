"""The vector unit, as built."""

from dataclasses import dataclass

from openppu.section import Section, option

FLOATS = ("fp8_e4m3", "fp8_e5m2", "fp16", "bf16")


@dataclass(frozen=True, kw_only=True)
class VectorConfig(Section):
    """A compute unit's vector unit; it has a lane for every four bytes of a scratchpad word.

    Raises
    ------
    ConfigError
        If a value is outside its range.
    """

    SECTION = "vector"

    registers: int = option("strip registers", choices=(8, 16, 32), default=16)
    strip_rows: int = option(
        "rows of a strip register, each one word for every lane", choices=(16, 32, 64, 128), default=64, unit="rows"
    )
    program_words: int = option(
        "instructions that the program memory holds", least=64, most=4096, power_of_two=True, default=512
    )
    formats: tuple[str, ...] = option(
        "float formats that streams and lanes convert from and to; int8 is always there", choices=FLOATS, default=FLOATS
    )
