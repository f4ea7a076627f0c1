"""A scratchpad's banks: which clocks of theirs the DMA takes away from the engines that compute."""

from bisect import bisect_left, insort

from openppu.scratchpad.config import ScratchpadConfig

from openppu_sim.cycles.scratchpad import MERGE_CYCLES

KEPT = 1 << 12
"""Clocks of a bank that are remembered, at least."""


class Banks:
    """Of each bank the clocks in which it serves the DMA.

    Parameters
    ----------
    config : ScratchpadConfig
    """

    def __init__(self, config: ScratchpadConfig) -> None:
        self.bank_words = config.bank_words
        self.bank_bytes = config.bank_words * config.word_bytes
        self._busy_until = [0] * config.banks
        self._taken: list[list[int]] = [[] for _ in range(config.banks)]

    def free(self, word: int, clock: int) -> bool:
        """Whether the DMA's access to a word is taken in this clock."""
        return self._busy_until[word // self.bank_words % len(self._busy_until)] <= clock

    def take(self, word: int, clock: int, *, merges: bool) -> None:
        """The DMA has a word; ``merges``: it writes a part of a code word."""
        bank = word // self.bank_words % len(self._busy_until)
        cycles = MERGE_CYCLES if merges else 1
        self._busy_until[bank] = clock + cycles
        taken = self._taken[bank]
        for place in range(cycles):
            insort(taken, clock + place)
        if len(taken) > 2 * KEPT:
            del taken[:KEPT]

    def bank(self, address: int) -> int:
        """Of a byte."""
        return address // self.bank_bytes % len(self._busy_until)

    def next_free(self, bank: int, clock: int) -> int:
        """The first clock from this one on that the DMA leaves."""
        taken = self._taken[bank]
        place = bisect_left(taken, clock)
        while place < len(taken) and taken[place] == clock:
            while place < len(taken) and taken[place] == clock:
                place += 1
            clock += 1
        return clock

    def since(self, bank: int, clock: int) -> int:
        """How many clocks from this one on the DMA has taken so far."""
        taken = self._taken[bank]
        return len(taken) - bisect_left(taken, clock)
