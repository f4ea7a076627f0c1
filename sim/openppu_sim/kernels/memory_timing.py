"""How long the DMA copies rows of memory, by their length and by where they lie."""

from dataclasses import dataclass

from openppu.config import ChipConfig

MEMORY_WORD = 32
GRANULE = 256
"""Bytes that are on their way as one packet."""

READ_TRIP, WRITE_TRIP = 52, 30
"""Cycles from a request to its answer; a network that has few slots lets no more requests go meanwhile."""


@dataclass(frozen=True, kw_only=True)
class Bandwidth:
    """Of memory: bytes a cycle for loads, and for stores; or for both together, if it is ``shared``."""

    bytes: float
    shared: bool = False

    @classmethod
    def of(cls, chip: ChipConfig) -> "Bandwidth":
        """What the DMA's ports move, of each engine."""
        return cls(bytes=MEMORY_WORD * chip.dma.channels)


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows of memory: the first one's address, bytes of each and from one to the next, and how many."""

    begin: int
    size: int
    stride: int
    count: int

    @property
    def words(self) -> int:
        """Of memory, that they lie in."""
        if self.stride % MEMORY_WORD == 0:
            return self.count * _span(self.begin, self.size, MEMORY_WORD)
        return sum(_span(self.begin + n * self.stride, self.size, MEMORY_WORD) for n in range(self.count))


def _span(begin: int, size: int, unit: int) -> int:
    """Aligned units that a range touches."""
    return (begin % unit + size - 1) // unit + 1


class MemoryTiming:
    """Cycles of copies.

    Parameters
    ----------
    chip : ChipConfig
    bandwidth : Bandwidth
    """

    def __init__(self, chip: ChipConfig, bandwidth: Bandwidth) -> None:
        self._channels, self._burst = chip.dma.channels, chip.dma.burst_bytes
        self._word = MEMORY_WORD / bandwidth.bytes
        self._several = self._channels > 1 and not bandwidth.shared
        self._read, self._write = READ_TRIP / chip.noc.slots, WRITE_TRIP / chip.noc.writes

    def copy(self, rows: Rows, *, write: bool = False) -> float:
        """Cycles between what comes before and what comes behind."""
        trips = rows.count * _span(rows.begin, rows.size, GRANULE) * (self._write if write else self._read)
        if not self._several:
            return max(rows.words * self._word, trips)
        words: float = rows.words
        if rows.stride % (self._burst * self._channels) == 0 or rows.count == 1:
            # All rows are cut alike, and a channel may have more of each than others.
            words = rows.count * self._channels * max(self._shares(rows.begin, rows.size))
        return max(words * self._word, trips / self._channels)

    def _shares(self, begin: int, size: int) -> list[int]:
        """Words of a row for each channel."""
        shares = [0] * self._channels
        at = begin
        while at < begin + size:
            end = min(begin + size, (at // self._burst + 1) * self._burst)
            shares[at // self._burst % self._channels] += _span(at, end - at, MEMORY_WORD)
            at = end
        return shares
