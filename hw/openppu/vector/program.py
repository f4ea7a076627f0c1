"""Functions as sequences of a lane's operations, in as few registers as they need."""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Constant:
    """A word that stands in a step."""

    bits: int


@dataclass(frozen=True)
class Value:
    """What a step of a program gives, or its argument (number 0)."""

    number: int


Source = Constant | Value


@dataclass(frozen=True, kw_only=True)
class Step:
    """An operation, the register it writes, and where its words are: registers by their number, or constants."""

    operation: Any
    target: int
    sources: tuple[int | Constant, ...]


@dataclass(frozen=True, kw_only=True)
class Program:
    """Steps that make a function's value of the argument in register 0; it is in register ``result`` at the end."""

    name: str
    steps: tuple[Step, ...]
    registers: int
    result: int


@dataclass
class Writer:
    """Notes operations, each of which gives a new value; `program` finds registers for them."""

    noted: list[tuple[Any, tuple[Source, ...]]] = field(default_factory=list)

    def __call__(self, operation: Any, *sources: Source | float | int) -> Value:
        """An operation on values and constants: a float stands for its binary32, an int for its bits."""
        self.noted.append((operation, tuple(_source(each) for each in sources)))
        return Value(len(self.noted))

    def program(self, name: str, result: Value) -> Program:
        """The steps, with a register for each value from where it is made to where it is last used."""
        last = {0: 0, result.number: len(self.noted) + 1}
        for number, (_, sources) in enumerate(self.noted, start=1):
            for source in sources:
                if isinstance(source, Value):
                    last[source.number] = max(last.get(source.number, 0), number)
        places = {0: 0}
        free: list[int] = []
        count = 1
        steps = []
        for number, (operation, sources) in enumerate(self.noted, start=1):
            words = tuple(source if isinstance(source, Constant) else places[source.number] for source in sources)
            ended = {source.number for source in sources if isinstance(source, Value) and last[source.number] == number}
            free += sorted(places[value] for value in ended)
            if free:
                places[number] = free.pop(0)
            else:
                places[number], count = count, count + 1
            steps.append(Step(operation=operation, target=places[number], sources=words))
        return Program(name=name, steps=tuple(steps), registers=count, result=places[result.number])


def _source(value: Source | float | int) -> Source:
    if isinstance(value, float):
        return Constant(int.from_bytes(struct.pack("<f", value), "little"))
    return Constant(value & 0xFFFFFFFF) if isinstance(value, int) else value


def written(name: str, function: Callable[[Writer, Value], Value]) -> Program:
    """The program that a function writes, given a writer and its argument."""
    writer = Writer()
    return writer.program(name, function(writer, Value(0)))
