"""How long the DMA copies rows of memory, by their length and by where they lie."""

from dataclasses import dataclass

from openppu.config import ChipConfig

MEMORY_WORD = 32
GRANULE = 256
"""Bytes that are on their way as one packet."""

READ_TRIP, WRITE_TRIP = 52, 30
"""Cycles from a request to its answer; network and memory let no more requests go meanwhile than they have slots."""


@dataclass(frozen=True, kw_only=True)
class Bandwidth:
    """Of memory: bytes a cycle for loads, and for stores; or for both together, if it is ``shared``.

    ``units`` share memory's slots for requests; what bytes they share is in ``bytes`` already.
    """

    bytes: float
    shared: bool = False
    units: int = 1

    @classmethod
    def of(cls, chip: ChipConfig, units: int = 1) -> "Bandwidth":
        """What the DMA's ports move, of each engine; of several units, or their share of what memory has."""
        own, share = MEMORY_WORD * chip.dma.channels, cls.of_memory(chip) / units
        is_shared = units > 1 and share < own
        return cls(bytes=share if is_shared else own, shared=is_shared, units=units)

    @staticmethod
    def of_memory(chip: ChipConfig) -> float:
        """Bytes a cycle of all channels."""
        rates = chip.clock_rates
        return MEMORY_WORD * ports_of(chip) * rates.get("hbm_clk", rates["clk"]) / rates["clk"]


def ports_of(chip: ChipConfig) -> int:
    """Of all channels; no more of each than it has pseudo-channels."""
    hbm = chip.hbm
    return hbm.stacks * hbm.channels * min(hbm.ports, hbm.organisation.pseudo_channels)


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
        slots, writes = float(chip.noc.slots), float(chip.noc.writes)
        if bandwidth.units > 1:
            of_memory = ports_of(chip) * chip.hbm.slots / bandwidth.units
            slots, writes = min(slots, of_memory), min(writes, of_memory)
        self._read, self._write = READ_TRIP / slots, WRITE_TRIP / writes

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
