"""What commands there are: one description, from which bits, decoders, text and documentation are made."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from amaranth import Shape
from amaranth.lib import data

from openppu.command.layouts import OPERAND_BITS, SLOTS
from openppu.common.memory import ADDRESS_BITS


@dataclass(frozen=True, kw_only=True)
class Operand:
    """A field of a command.

    Parameters
    ----------
    name : str
    bits : int
    low : int
        Its lowest bit in the operands.
    shape
        Of the engine's field: an int, a range, an enumeration, or another layout.
    slot : int, optional
        An address register may be added to it: the one that the header names at this place.
    meaning : str
    """

    name: str
    bits: int
    low: int
    shape: Any
    slot: int | None
    meaning: str

    @property
    def signed(self) -> bool:
        """Whether it may be negative: then its bits are two's complement."""
        return bool(Shape.cast(self.shape).signed)

    @property
    def least(self) -> int:
        """The smallest value."""
        return -(1 << self.bits - 1) if self.signed else 0

    @property
    def most(self) -> int:
        """The largest value."""
        return (1 << self.bits - self.signed) - 1

    @property
    def mask(self) -> int:
        """Ones in all its bits."""
        return (1 << self.bits) - 1

    @property
    def choices(self) -> dict[str, int]:
        """The values that have a name."""
        if isinstance(self.shape, type) and issubclass(self.shape, Enum):
            return {each.name.lower(): int(each.value) for each in self.shape}
        return {}


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """A command.

    Addresses have places of 40 bits each at the beginning of the operands, in their order; all other fields follow, one
    directly after the other, in the order of the layout.

    Parameters
    ----------
    name : str
        In capitals.
    opcode : int
    engine : str
        Whose queue takes it; "" for one that every queue takes.
    layout : StructLayout
        Its fields.
    addresses : tuple of str
        Those that may have an address register added, at most 4.
    meaning : str
    meanings : mapping of str to str
        Of each field.

    Raises
    ------
    ValueError
        If it does not fit, or a field has no meaning.
    """

    name: str
    opcode: int
    engine: str
    layout: data.StructLayout
    addresses: tuple[str, ...] = ()
    meaning: str
    meanings: Mapping[str, str]
    operands: tuple[Operand, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        names = [str(name) for name, _ in self.layout]
        if unknown := set(names) ^ set(self.meanings):
            raise ValueError(f"{self.name}: fields without a meaning, or meanings without a field: {sorted(unknown)}")
        if len(self.addresses) > SLOTS or not set(self.addresses) <= set(names):
            raise ValueError(f"{self.name}: addresses {self.addresses}: give at most {SLOTS} of its fields")
        operands = []
        low = ADDRESS_BITS * len(self.addresses)
        for name, place in self.layout:
            bits = Shape.cast(place.shape).width
            slot = self.addresses.index(name) if name in self.addresses else None
            if slot is not None and bits > ADDRESS_BITS:
                raise ValueError(f"{self.name} {name}: {bits} bits: an address has at most {ADDRESS_BITS}")
            operands.append(
                Operand(
                    name=str(name),
                    bits=bits,
                    low=low if slot is None else ADDRESS_BITS * slot,
                    shape=place.shape,
                    slot=slot,
                    meaning=self.meanings[name],
                )
            )
            low += bits if slot is None else 0
        if low > OPERAND_BITS:
            raise ValueError(f"{self.name}: {low} bits of operands: there are {OPERAND_BITS}")
        object.__setattr__(self, "operands", tuple(operands))

    def field(self, operands: Any, name: str) -> Any:
        """The bits of a field, of operands in hardware."""
        (operand,) = (each for each in self.operands if each.name == name)
        return operands[operand.low : operand.low + operand.bits]

    def connect(self, operands: Any, view: Any) -> list[Any]:
        """Statements that give an engine's command its fields from the operands of a command word."""
        return [view[operand.name].eq(self.field(operands, operand.name)) for operand in self.operands]

    def pack(self, values: Mapping[str, int]) -> int:
        """The operands as a number; a field that is not given is 0.

        Raises
        ------
        ValueError
            If a field does not exist, or a value does not fit; one line.
        """
        known = {operand.name: operand for operand in self.operands}
        word = 0
        for name, value in values.items():
            if name not in known:
                raise ValueError(f"{self.name} {name}: no such field; it has {', '.join(known) or 'none'}")
            operand = known[name]
            if not operand.least <= value <= operand.most:
                raise ValueError(f"{self.name} {name} = {value}: give {operand.least} to {operand.most}")
            word |= (value & operand.mask) << operand.low
        return word

    def unpack(self, word: int) -> dict[str, int]:
        """All fields of operands."""
        found = {}
        for operand in self.operands:
            value = word >> operand.low & operand.mask
            found[operand.name] = value - (1 << operand.bits) if value > operand.most else value
        return found

    @property
    def unused(self) -> int:
        """A mask of the operands' bits that are of no field."""
        mask = (1 << OPERAND_BITS) - 1
        for operand in self.operands:
            mask &= ~(operand.mask << operand.low)
        return mask


class InstructionSet:
    """All commands of a chip.

    Parameters
    ----------
    instructions : iterable of Instruction

    Raises
    ------
    ValueError
        If two have one name or one opcode.
    """

    def __init__(self, instructions: Iterable[Instruction]):
        self.instructions = tuple(instructions)
        self.by_name = {each.name: each for each in self.instructions}
        self.by_opcode = {each.opcode: each for each in self.instructions}
        if not len(self.by_name) == len(self.by_opcode) == len(self.instructions):
            raise ValueError("two instructions have one name or one opcode")

    @property
    def engines(self) -> tuple[str, ...]:
        """Names of the engines, in the order of their first instruction."""
        return tuple(dict.fromkeys(each.engine for each in self.instructions if each.engine))

    def of(self, engine: str) -> tuple[Instruction, ...]:
        """Those that only the engine's queue takes."""
        return tuple(each for each in self.instructions if each.engine == engine)
