"""What a chip's description says of its matmul engines."""

from dataclasses import dataclass

from openppu.section import Section, option


@dataclass(frozen=True, kw_only=True)
class MatmulConfig(Section):
    """The engine around each tile: it fetches operands from the scratchpad and writes results back.

    Raises
    ------
    ConfigError
        If a value is outside its range.
    """

    SECTION = "matmul"

    commands: int = option("commands that an engine works on at a time", least=2, most=64, default=16)
    stochastic: bool = option("stochastic rounding of float results", choices=(False, True), default=False)
