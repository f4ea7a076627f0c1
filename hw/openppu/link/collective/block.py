"""Where numbers stand in a rank's memory while a collective runs, and when they are there."""

from dataclasses import dataclass, replace

NARROW_BYTES = 2
WIDE_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class Block:
    """Elements in memory.

    Parameters
    ----------
    rank : int
    low : int
        Place of the first one in the vector that the collective is about.
    elements : int
    address : int
        Of the first one; a multiple of a beat.
    narrow : bool
        They are bf16; else of four bytes.
    thread : int or None
        Who writes them (`Thread`); None: they are there.
    base : int
        Beats that the thread writes before them.
    """

    rank: int
    low: int
    elements: int
    address: int
    narrow: bool
    thread: int | None = None
    base: int = 0

    @property
    def width(self) -> int:
        """Bytes of an element."""
        return NARROW_BYTES if self.narrow else WIDE_BYTES

    @property
    def bytes(self) -> int:
        """Bytes of all elements."""
        return self.elements * self.width

    def part(self, low: int, elements: int, beat_bytes: int) -> "Block":
        """Some of the elements, from the beginning of a beat on."""
        offset = (low - self.low) * self.width
        assert offset % beat_bytes == 0
        assert offset >= 0
        assert low + elements <= self.low + self.elements
        base = self.base + offset // beat_bytes if self.thread is not None else 0
        return replace(self, low=low, elements=elements, address=self.address + offset, base=base)


class Holding:
    """What one rank has of the vector: blocks that do not overlap. A later one takes the place of what it covers."""

    def __init__(self, beat_bytes: int, blocks: tuple[Block, ...] = ()):
        self.beat_bytes = beat_bytes
        self.blocks = list(blocks)

    def put(self, block: Block) -> None:
        """Add a block, or replace what it covers."""
        kept = []
        for old in self.blocks:
            before, behind = block.low - old.low, old.low + old.elements - block.low - block.elements
            if before >= old.elements or behind >= old.elements:
                kept.append(old)
                continue
            if before > 0:
                kept.append(old.part(old.low, before, self.beat_bytes))
            if behind > 0:
                kept.append(old.part(block.low + block.elements, behind, self.beat_bytes))
        self.blocks = [*kept, block]

    def take(self, low: int, elements: int) -> list[Block]:
        """The blocks, or parts of them, that hold these elements, in order."""
        high = low + elements
        found = []
        for block in sorted(self.blocks, key=lambda block: block.low):
            begin, end = max(low, block.low), min(high, block.low + block.elements)
            if begin < end:
                found.append(block.part(begin, end - begin, self.beat_bytes))
        assert sum(block.elements for block in found) == elements, (low, elements, found)
        return found
