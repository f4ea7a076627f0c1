"""What a compute unit's scratchpad is built for."""

from dataclasses import dataclass, field

from openppu.section import ConfigError, Section, option

WORD_BYTES = (0, 32, 64, 128, 256, 512, 1024)
CODE_BYTES = 8
"""Bytes that a code word of SECDED protects."""

MOST_BYTES = 1 << 23
"""Of a scratchpad: half of what addresses in it reach. The accumulators lie in the other half, for the vector unit."""


@dataclass(frozen=True, kw_only=True)
class ScratchpadConfig(Section):
    """The memory of a compute unit: ``banks`` of ``bank_words``, each bank a region of its own.

    ``word_bytes`` may be 0 here; a `openppu.config.ChipConfig` puts in the narrowest that suits its tile.

    Raises
    ------
    ConfigError
        If a value is outside its range, or the whole is larger than its addresses reach.
    """

    SECTION = "scratchpad"

    banks: int = option(
        "banks, each a region that takes one access a cycle", least=1, most=32, power_of_two=True, default=8
    )
    bank_words: int = option("words of a bank", least=16, most=65536, power_of_two=True, default=1024)
    word_bytes: int = option(
        "bytes of a word, what a port moves in a cycle: at least a row of results (4 x tile.columns) and a column of "
        "operands (tile.rows x their bytes); 0: the narrowest such",
        choices=WORD_BYTES,
        unit="bytes",
        default=0,
    )
    fitted: bool = field(default=False, compare=False, repr=False)
    """Whether ``word_bytes`` came of the tile; then it goes on to follow it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.capacity > MOST_BYTES:
            raise ConfigError(
                f"scratchpad.bank_words = {self.bank_words}: {self.banks} banks of such, words of {self.word_bytes} "
                f"bytes are {self.capacity >> 20} MiB; give fewer words or banks: at most {MOST_BYTES >> 20} MiB"
            )

    @property
    def words(self) -> int:
        """Of all banks."""
        return self.banks * self.bank_words

    @property
    def capacity(self) -> int:
        """Bytes of all banks."""
        return self.words * self.word_bytes

    @property
    def address_bits(self) -> int:
        """Width of a word's number; its highest bits are the bank's."""
        return self.words.bit_length() - 1
