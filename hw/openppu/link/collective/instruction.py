"""The instructions of a collective program: 24 bytes each, made by the planner, run by the engine."""

from dataclasses import dataclass, fields
from enum import IntEnum

from amaranth.lib import data

from openppu.link.layouts import ADDRESS_BITS

INSTRUCTION_BITS = 192
PROGRESS_BITS = 24
LENGTH_BITS = 20

MOST_BEATS = (1 << 13) - 1
"""That an instruction may move: what is granted and not used yet is counted in 16 bits."""

LABEL_BITS = 8
PORT_BITS = 7
SLOTS = 4
"""Operands of an instruction, at most."""


class Opcode(IntEnum):
    """What an instruction does. Zero is none, so that empty memory is refused."""

    END = 1
    """Waits until all before it is done, tells ``label``, and begins a new program: progress counts from zero again."""
    FENCE = 2
    """Waits until all before it is done on this chip: all writes are in memory, all that is sent has left."""
    SEND = 3
    """Sends ``length`` bytes at ``address`` on each of ``ports``, in ``stream``."""
    STORE = 4
    """Lets the one port of ``ports`` send ``length`` bytes, and writes them to ``address`` on."""
    REDUCE = 5
    """Adds ``length`` elements of each of ``sources``; the sums go to memory, to ports, or to the joining unit."""
    TOKEN = 6
    """Sends a token on each of ``ports``."""
    WAIT = 7
    """Waits until a token has come on each of ``ports``, and takes it."""


class Stream(IntEnum):
    """Where data goes at the receiver. Each stream of a port is in order, and never waits for the other."""

    REDUCE = 0
    """Into the port's window, for a reduction."""
    STORE = 1
    """To memory, as a STORE there says."""


class Source(IntEnum):
    """An operand of a reduction: nothing, memory, the sums of a unit (for the joining one), or port p as PORT + p."""

    NOTHING = 0
    MEMORY = 1
    UNIT_0 = 2
    UNIT_1 = 3
    PORT = 8


class Thread(IntEnum):
    """Whose writes to memory an instruction waits for: those of port p's STOREs, or of unit u as UNIT + u."""

    PORT = 0
    UNIT = 8


class InstructionLayout(data.Struct):
    """An instruction's bits, the first field lowest; the rest of the 192 is zero."""

    opcode: 3
    ports: PORT_BITS
    stream: 1
    label: LABEL_BITS
    """Travels with the data: what comes for another label is an error."""
    address: ADDRESS_BITS
    """In bytes, a multiple of B."""
    length: LENGTH_BITS
    wait: 1
    """Beat i of what is read from memory may be read once ``thread`` has written more than ``base`` + i beats."""
    thread: 4
    base: PROGRESS_BITS
    unit: 2
    sources: data.ArrayLayout(4, SLOTS)
    narrow_sources: SLOTS
    """The operand is bf16; else binary32, or int32."""
    integer: 1
    """Sums are modulo 2**32; else they are binary32's."""
    narrow: 1
    """Sums are rounded to bf16 before they leave."""
    write: 1
    """Sums are written to ``address`` on."""
    feed: 1
    """Sums go to the joining unit."""
    local: ADDRESS_BITS
    """Where the operand MEMORY begins."""


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """An instruction as the planner writes it; `bits` is what the engine reads. Fields as in `InstructionLayout`."""

    opcode: Opcode
    ports: int = 0
    stream: Stream = Stream.REDUCE
    label: int = 0
    address: int = 0
    length: int = 0
    wait: int = 0
    thread: int = 0
    base: int = 0
    unit: int = 0
    sources: tuple[int, ...] = ()
    narrow_sources: int = 0
    integer: int = 0
    narrow: int = 0
    write: int = 0
    feed: int = 0
    local: int = 0

    @property
    def bits(self) -> int:
        """The instruction as a number of 192 bits."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values["sources"] = [*self.sources, *[Source.NOTHING] * (SLOTS - len(self.sources))]
        return InstructionLayout.const(values).as_bits()
