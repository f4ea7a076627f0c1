"""Where matrices of a kernel lie in memory, looked at before a program is made of them."""

from dataclasses import dataclass

from openppu.config import ChipConfig

from openppu_sim.errors import UserError

SCRATCHPAD = 1 << 39
"""An address with this bit names a scratchpad."""


@dataclass(frozen=True, kw_only=True)
class MemoryRange:
    """A matrix in memory; ``name`` is for messages."""

    name: str
    address: int
    rows: int
    row_bytes: int
    stride: int

    @property
    def first(self) -> int:
        """Its lowest byte."""
        return self.address + min(0, (self.rows - 1) * self.stride)

    @property
    def end(self) -> int:
        """The byte behind its highest one."""
        return self.address + max(0, (self.rows - 1) * self.stride) + self.row_bytes

    def check(self, chip: ChipConfig, *, written: bool = False) -> None:
        """Raise UserError unless it lies in the chip's memory; if it is written, each row apart from the others."""
        size = chip.hbm.capacity
        if not self.address & SCRATCHPAD and (self.first < 0 or self.end > size):
            raise UserError(f"{self.name}: bytes {self.first:#x} to {self.end - 1:#x}: memory has 0x0 to {size - 1:#x}")
        if written and self.rows > 1 and abs(self.stride) < self.row_bytes:
            raise UserError(
                f"{self.name}: rows of {self.row_bytes} bytes, {self.stride} apart, lie on each other; give a stride "
                f"of at least {self.row_bytes}"
            )

    def is_at(self, other: "MemoryRange") -> bool:
        """Whether each row lies where the other one's does."""
        mine, its = ((each.first, each.end, each.rows, each.row_bytes) for each in (self, other))
        return mine == its

    def apart_from(self, other: "MemoryRange") -> None:
        """Raise UserError if it shares bytes with what is read or written meanwhile."""
        if self.end <= other.first or other.end <= self.first:
            return
        if self.stride == other.stride and self.stride:
            behind = (self.address - other.address) % abs(self.stride)
            if behind >= other.row_bytes and abs(self.stride) - behind >= self.row_bytes:
                return  # side by side in the same rows
        raise UserError(f"{self.name} lies on {other.name}, from byte {max(self.first, other.first):#x} on; move one")
