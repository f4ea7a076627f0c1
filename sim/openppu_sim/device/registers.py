"""A chip's registers by their names, over any way to read and write addresses."""

from collections.abc import Callable, Iterable

from openppu.common.register_map import Register
from openppu.host.blocks import Block

from openppu_sim.checks import whole
from openppu_sim.errors import UserError


class RegisterFile:
    """Reads and writes registers as ``file["command.load.tail"] = 3``; one of several words by its name without number.

    Parameters
    ----------
    blocks : iterable of Block
        `openppu.host.blocks.blocks` of the chip.
    read : callable
        From an address in bytes to the word there.
    write : callable
        Of an address and a word.
    """

    def __init__(
        self, blocks: Iterable[Block], *, read: Callable[[int], int], write: Callable[[int, int], None]
    ) -> None:
        self._read, self._write = read, write
        self._words: dict[str, list[tuple[int, Register]]] = {}
        for block in blocks:
            for register in block.registers:
                for name in {register.name, register.part_of} - {""}:
                    place = (block.base + register.offset, register)
                    self._words.setdefault(f"{block.name}.{name}", []).append(place)

    def names(self) -> list[str]:
        """Of all registers."""
        return list(self._words)

    def __getitem__(self, name: str) -> int:
        """The value, of all its words.

        Raises
        ------
        UserError
            If there is no such register, or it cannot be read.
        """
        value, shift = 0, 0
        for address, register in self._find(name):
            if not register.readable:
                raise UserError(f"register {name}: it cannot be read")
            value |= self._read(address) << shift
            shift += register.bits
        return value

    def __setitem__(self, name: str, value: int) -> None:
        """Write the value, a whole number, the low word first.

        Raises
        ------
        UserError
            If there is no such register, it cannot be written, or the value is not allowed; then nothing is written.
        """
        words = self._find(name)
        value = whole(f"register {name}", value)
        writes, rest = [], value
        for address, register in words:
            if not register.writable:
                raise UserError(f"register {name}: it cannot be written")
            part = rest & ((1 << register.bits) - 1)
            rest >>= register.bits
            if part not in register.allowed or value < 0:
                raise UserError(
                    f"register {name} = {value}: give {register.allowed[0]} to {register.allowed[-1]}"
                    + (" in each word" if len(words) > 1 else "")
                )
            writes.append((address, part))
        if rest:
            most = (1 << sum(register.bits for _, register in words)) - 1
            raise UserError(f"register {name} = {value}: give at most {most}")
        for address, part in writes:
            self._write(address, part)

    def _find(self, name: str) -> list[tuple[int, Register]]:
        if name not in self._words:
            raise UserError(f"register {name}: there is none; such as {', '.join(list(self._words)[:3])}")
        return self._words[name]
