"""Commands that are refused for one bit: of an address, of a stride, or of a size that goes just beyond the end."""

from collections.abc import Iterator

from openppu.config import ChipConfig
from openppu.dma.layouts import MEMORY_STRIDE_BITS
from openppu.formats.spec import BINARY32, INT8
from openppu.vector.instruction import INSTRUCTION_BYTES
from openppu_sim.device.driver import Driver
from openppu_sim.kernels.vector.commands import LoadProgram, SetStream, fields_of
from openppu_sim.lowering.matmul import Addend, Result
from openppu_sim.program.command import Command

from openppu_verif.chip.program_source import VECTOR_NAMES
from openppu_verif.chip.refusals import refuse
from openppu_verif.dma.commands import copy

PRODUCT = {
    **{"m": 1, "n": 1, "k": 1, "a_stride": 8, "b_stride": 8, "c_stride": 32, "d_stride": 32},
    **{"addend": Addend.SCRATCHPAD, "result": Result.SUMS},
}
PLACES = {"a_address": 0, "b_address": 0x400, "c_address": 0x800, "d_address": 0xC00}


def refuse_at_boundaries(backend: Driver) -> None:
    """Give engines commands of which each is wrong by one bit; errors as of `openppu_verif.chip.refusals.refuse`."""
    chip = backend.chip
    kinds = {"load": _copies, "store": _copies, "matmul": _products, "vector": _vectors, "link": _sends}
    refuse(backend, lambda queue: [[each] for each in kinds[queue](queue, chip)])


def _copies(queue: str, chip: ChipConfig) -> Iterator[Command]:
    """The last byte is the first beyond the end, whatever bit of a row, of a count or of a stride says so."""
    for name, size in (("memory", chip.hbm.capacity), ("scratchpad", chip.scratchpad.capacity)):
        for bit in range(16):
            fields = copy(memory=0, scratchpad=0, row=1 << bit)
            yield Command(name=queue.upper(), fields={**fields, name: size - (1 << bit) + 1})
        for dimension in range(4):
            for bit in range(3, min(size.bit_length() - 1, MEMORY_STRIDE_BITS - 1)):
                step = (1 << bit, 0) if name == "memory" else (0, 1 << bit)
                fields = copy(memory=0, scratchpad=0, row=1, dimensions=[(1, 0, 0)] * dimension + [(2, *step)])
                yield Command(name=queue.upper(), fields={**fields, name: size - (1 << bit)})


def _products(_: str, chip: ChipConfig) -> Iterator[Command]:
    """Each address and each stride is a multiple of too little; each matrix ends just beyond the end."""
    pad = chip.scratchpad.capacity
    for name in (*PLACES, *(f"{matrix}_stride" for matrix in "abcd")):
        for bit in range(5):
            yield _product(**{name: 1 << bit})
    for matrix, sizes in (("a", ("k", "m")), ("b", ("n", "k")), ("c", ("n", "m")), ("d", ("n", "m"))):
        for bit in range(3, 9):
            for size, place in zip(sizes, (pad - (1 << bit), pad - (32 << bit)), strict=True):
                others = {f"{matrix}_address": place & ~31, f"{matrix}_stride": 32}
                yield _product(**{**others, size: (1 << bit) + 32})
        for bit in range(5, 16):
            yield _product(**{f"{matrix}_stride": 1 << bit, f"{matrix}_address": pad - (1 << bit), sizes[1]: 2})


def _product(**given: int) -> Command:
    return Command(name="MATMUL", fields={**PRODUCT, **PLACES, **given})


def _vectors(_: str, chip: ChipConfig) -> Iterator[Command]:
    """The same of programs and of streams."""
    pad, word = chip.scratchpad.capacity, chip.scratchpad.word_bytes
    for bit in range(INSTRUCTION_BYTES.bit_length() - 1):
        yield _vector(LoadProgram(source=1 << bit, count=1))
    for count in range(2, chip.vector.program_words, 7):
        yield _vector(LoadProgram(source=pad - INSTRUCTION_BYTES * (count - 1), count=count))
    for fmt in (BINARY32, INT8):
        size = word * fmt.bits // 32
        for bit in range(size.bit_length() - 1):
            yield _vector(SetStream(stream=1, base=1 << bit, format=fmt.code))
            for dimension in range(4):
                strides = [0] * dimension + [1 << bit]
                yield _vector(SetStream(stream=1, base=0, format=fmt.code, counts=[1] * 4, strides=strides))
    for dimension in range(4):
        for bit in range(word.bit_length() - 1, pad.bit_length() - 1):
            counts, strides = [1] * dimension + [2], [0] * dimension + [1 << bit]
            given = SetStream(stream=1, base=pad - (1 << bit), format=BINARY32.code, counts=counts, strides=strides)
            yield _vector(given)


def _vector(command: LoadProgram | SetStream) -> Command:
    return Command(name=VECTOR_NAMES[type(command).__name__], fields=fields_of(command))


def _sends(_: str, chip: ChipConfig) -> Iterator[Command]:
    """The same of pieces to another chip."""
    for bit in range(5):
        for name in ("source", "target", "bytes"):
            yield Command(name="SEND", fields={"source": 0, "target": 0, "bytes": 32, "chip": 1, name: 1 << bit})
    for bit in range(5, chip.hbm.capacity.bit_length() - 1):
        fields = {"source": chip.hbm.capacity - (1 << bit), "target": 0, "bytes": (1 << bit) + 32, "chip": 1}
        yield Command(name="SEND", fields=fields)
