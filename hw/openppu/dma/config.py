"""What a compute unit's DMA is built for."""

from dataclasses import dataclass

from openppu.common.memory import WORD_BYTES
from openppu.section import ConfigError, Section, option


@dataclass(frozen=True, kw_only=True)
class DmaConfig(Section):
    """The engines that load a scratchpad and store it: alike, but for the direction.

    Raises
    ------
    ConfigError
        If a value is outside its range, or does not go with another.
    """

    SECTION = "dma"

    channels: int = option("memory ports of each engine, each of 32 bytes a cycle", choices=(1, 2, 4, 8), default=1)
    outstanding: int = option(
        "words of 32 bytes that may be on their way, for each port", least=8, most=512, power_of_two=True, default=64
    )
    tags: int = option("tags of a port's requests; an address has always the same", choices=(1, 2, 4, 8, 16), default=4)
    burst_bytes: int = option(
        "a request stays within an aligned block of so many; with several ports, blocks go to them in turns",
        least=64,
        most=4096,
        power_of_two=True,
        unit="bytes",
        default=256,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if 2 * self.burst_words > self.outstanding:
            raise ConfigError(
                f"dma.burst_bytes = {self.burst_bytes} with dma.outstanding = {self.outstanding}: two requests do not "
                f"fit; give at most {self.outstanding * WORD_BYTES // 2} bytes"
            )
        if self.tags > self.outstanding // 2:
            raise ConfigError(
                f"dma.tags = {self.tags} with dma.outstanding = {self.outstanding}: give at most half as many tags"
            )

    @property
    def burst_words(self) -> int:
        """Words of the longest request."""
        return self.burst_bytes // WORD_BYTES

    @property
    def tag_requests(self) -> int:
        """Requests of one tag that may be on their way."""
        return max(2, self.outstanding // self.tags)
