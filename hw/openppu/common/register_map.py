"""A block's registers as data: what hardware, documentation, C header and tests are made from."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from amaranth import Shape
from amaranth.lib import data

REGISTER_BITS = 32


@dataclass(frozen=True, kw_only=True)
class Register:
    """One register.

    Parameters
    ----------
    name : str
        With the group before a dot, if it has one: ``timing.tRC``, ``pc0.reads``.
    offset : int
        In bytes; four bytes each.
    bits : int
        Width; those above read zero.
    source : tuple
        Where the value is, from a member of the register block on; empty for one that is constant.
    low : int
        Its lowest bit there.
    part_of : str
        The name of a value of several words, if it is one of them: its own without the number.
    readable, writable : bool
    reset : int
    allowed : range
        Values that a write may bring.
    held : bool
        It can be written only while ``run`` is 0.
    meaning : str
    """

    name: str
    offset: int
    bits: int
    source: tuple[str, ...] = ()
    low: int = 0
    part_of: str = ""
    readable: bool = True
    writable: bool = False
    reset: int = 0
    allowed: range = range(0)
    held: bool = False
    meaning: str

    @property
    def access(self) -> str:
        """In words."""
        words = [word for word, can in (("read", self.readable), ("write", self.writable)) if can]
        return ", ".join(words) + (" at rest" if self.held else "")

    @property
    def symbol(self) -> str:
        """Its name in C, after the prefix."""
        return self.name.replace(".", "_").upper()


def leaves(layout: data.StructLayout) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The path and shape of all that has no parts; the elements of an array by their number, if all are too wide."""
    for name, place in layout:
        shape = place.shape
        if isinstance(shape, type) and issubclass(shape, data.Struct):
            shape = shape.as_shape()
        if isinstance(shape, data.ArrayLayout) and shape.size > REGISTER_BITS:
            shape = data.StructLayout({str(number): shape.elem_shape for number in range(shape.length)})
        if isinstance(shape, data.StructLayout):
            yield from (((str(name), *path), inner) for path, inner in leaves(shape))
        else:
            yield (str(name),), shape


def width(shape: Any) -> int:
    """Bits of a shape."""
    return int(Shape.cast(shape).width)


def field_registers(
    layout: data.StructLayout,
    source: tuple[str, ...],
    base: int,
    meaning: Callable[[str], str],
    *,
    prefix: str = "",
    writable: bool = False,
    reset: Mapping[str, int] | None = None,
) -> Iterator[Register]:
    """A register for each field of a group from ``base`` on; a field of more than 32 bits has several.

    Parameters
    ----------
    layout : StructLayout
    source : tuple of str
        Where the group is, from a member of the block on.
    base : int
        Offset of the first one.
    meaning : callable
        From a field's name, its parts joined by underscores, to its meaning.
    prefix : str
        Of the registers' names.
    writable : bool
    reset : mapping of str to int, optional
        By the fields' names; others are 0.
    """
    offset = base
    for path, shape in leaves(layout):
        name, bits = "_".join(path), width(shape)
        parts = -(-bits // REGISTER_BITS)
        for part in range(parts):
            low = REGISTER_BITS * part
            here = min(bits - low, REGISTER_BITS)
            most = (1 << here) - 1
            if isinstance(shape, type) and issubclass(shape, Enum):
                most = max(value.value for value in shape)
            elif isinstance(shape, range):
                most = shape[-1]
            yield Register(
                name=f"{prefix}{name}{part if parts > 1 else ''}",
                offset=offset,
                bits=here,
                source=(*source, *path),
                low=low,
                part_of=f"{prefix}{name}" if parts > 1 else "",
                writable=writable,
                reset=(reset or {}).get(name, 0) >> low & ((1 << here) - 1),
                allowed=range(most + 1) if writable else range(0),
                meaning=meaning(name) + (f": bits {low + here - 1} to {low}" if parts > 1 else ""),
            )
            offset += 4


def markdown_row(register: Register, *, choices: Mapping[str, int] = {}, reset: str = "", unit: str = "") -> str:
    """A register's row of a table: offset, name, bits, access, reset, allowed, meaning."""
    allowed = f"{register.allowed[0]} to {register.allowed[-1]}" if register.allowed else ""
    if choices:
        allowed = ", ".join(f"{value} {name.lower()}" for name, value in choices.items())
    cells = [
        f"{register.offset:#05x}",
        f"`{register.name}`",
        f"{register.bits}",
        register.access,
        reset or f"{register.reset}",
        allowed,
        register.meaning + unit,
    ]
    return f"| {' | '.join(cells)} |"


def c_header(
    prefix: str, registers: Iterable[Register], choices: Callable[[Register], Mapping[str, int]] = lambda register: {}
) -> str:
    """The registers' offsets, reset values, limits and named values as the text of a C header."""
    lines = [f"#ifndef {prefix}REGISTERS_H", f"#define {prefix}REGISTERS_H", ""]
    for register in registers:
        symbol = f"{prefix}{register.symbol}"
        lines.append(f"/* {register.name}: {register.meaning}; {register.access} */")
        lines.append(f"#define {symbol} {register.offset:#05x}u")
        lines.append(f"#define {symbol}_RESET {register.reset:#x}u")
        if register.allowed:
            lines.append(f"#define {symbol}_LEAST {register.allowed[0]}u")
            lines.append(f"#define {symbol}_MOST {register.allowed[-1]}u")
        lines += [f"#define {symbol}_{name} {value}u" for name, value in choices(register).items()]
    return "\n".join([*lines, "", "#endif", ""])
