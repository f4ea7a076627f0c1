"""Commands of the DMA as bits, and random ones."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from amaranth import Shape
from openppu.command.error import Error
from openppu.dma.layouts import OPERANDS, Opcode
from openppu.formats.spec import Format
from openppu_sim.reference import dma as reference

DIMENSIONS = 4
Fields = dict[str, int]
LAYOUTS = {name: (each.value, OPERANDS[each]) for name, each in Opcode.__members__.items()}


def encode(name: str, fields: Mapping[str, int]) -> dict[str, int]:
    """A command as its layout takes it; a field that is not given is 0."""
    opcode, layout = LAYOUTS[name]
    word = 0
    for field, value in fields.items():
        place = layout[field]
        word |= (value & ((1 << Shape.cast(place.shape).width) - 1)) << place.offset
    return {"opcode": opcode, "operands": word}


def copy(
    *, memory: int, scratchpad: int, row: int, dimensions: list[tuple[int, int, int]] | None = None, **others: int
) -> Fields:
    """Fields of a LOAD or STORE; ``dimensions``: count, memory stride, scratchpad stride, the innermost first."""
    fields = {"memory": memory, "scratchpad": scratchpad, "row": row, **others}
    given = dimensions or []
    for number in range(DIMENSIONS):
        count, memory_stride, scratchpad_stride = given[number] if number < len(given) else (1, 0, 0)
        fields[f"count_{number}"] = count
        fields[f"memory_stride_{number}"] = memory_stride
        fields[f"scratchpad_stride_{number}"] = scratchpad_stride
    return fields


def fill(*, address: int, row: int, value: int, format: int = 0, dimensions: list[tuple[int, int]]) -> Fields:
    """Fields of a fill; ``dimensions``: count and stride."""
    fields = {"address": address, "row": row, "value": value, "format": format}
    for number in range(DIMENSIONS):
        fields[f"count_{number}"], fields[f"stride_{number}"] = (
            dimensions[number] if number < len(dimensions) else (1, 0)
        )
    return fields


@dataclass
class RandomCommands:
    """Commands for memories of given sizes; none writes a byte twice.

    Parameters
    ----------
    store : bool
        For the engine that stores.
    formats : tuple of Format
        Float formats that are built in.
    """

    chance: random.Random
    store: bool
    formats: tuple[Format, ...]
    memories: reference.Memories
    most_bytes: int = 600

    def some(self, legal: bool = True) -> tuple[str, Fields]:
        """A command, right or with something wrong."""
        while True:
            name = self.chance.choice(reference.STORES if self.store else reference.LOADS)
            fields = self._fields(name)
            if not legal:
                self._spoil(name, fields)
                if self._error(name, fields) == Error.OKAY:
                    continue
                return name, fields
            if self._error(name, fields) == Error.OKAY and not self._meets(name, fields):
                return name, fields

    def _error(self, name: str, fields: Fields) -> int:
        of = _complete(name, fields)
        return reference.check(name, of, self.memories, store=self.store, formats=self.formats, compute_units=1)

    def _meets(self, name: str, fields: Fields) -> bool:
        """Whether it is too large, or writes a byte twice."""
        seen: set[int] = set()
        if name == "GATHER":
            # It may not write its own list.
            seen.update(range(fields["indices"], fields["indices"] + 4 * fields["count"]))
        for row in reference.rows(name, _complete(name, fields), self.memories):
            if not seen.isdisjoint(row.written) or len(seen) > 4 * self.most_bytes:
                return True
            seen.update(row.written)
        return False

    def _spoil(self, name: str, fields: Fields) -> None:
        """Make a field something else."""
        field = self.chance.choice(list(fields))
        _, layout = LAYOUTS[name]
        shape = Shape.cast(layout[field].shape)
        low = -(1 << shape.width - 1) if shape.signed else 0
        high = (1 << shape.width - shape.signed) - 1
        fields[field] = self.chance.choice([0, low, high, self.chance.randint(low, high), min(high, fields[field] + 1)])

    def _conversion(self) -> tuple[Fields, int, int]:
        """Formats, and an element's bytes on the memory's side and the scratchpad's."""
        codes = [0, reference.INT32_CODE, 7, *(fmt.code for fmt in self.formats)]
        source = self.chance.choice(codes)
        target = self.chance.choice(codes) if self.chance.random() < 0.5 else source
        sizes = reference.SIZES[source], reference.SIZES[target]
        memory, scratchpad = sizes[::-1] if self.store else sizes
        return {"source": source, "target": target, "saturate": self.chance.randrange(2)}, memory, scratchpad

    def _address(self, size: int, multiple: int) -> int:
        near = self.chance.choice([0, size // 2, size - 64, self.chance.randrange(size)])
        return min(max(near + self.chance.randrange(-40, 40), 0), size - 1) // multiple * multiple

    def _fields(self, name: str) -> Fields:
        chance = self.chance
        conversion, memory_size, scratchpad_size = self._conversion()
        read_size = scratchpad_size if self.store else memory_size
        if conversion["source"] == conversion["target"] and chance.random() < 0.7 and name != "IM2COL":
            memory_size = scratchpad_size = read_size = 1
        row = read_size * chance.choice([1, 2, chance.randint(1, 20), max(1, 64 // read_size), chance.randint(1, 150)])
        fields = {
            "memory": self._address(len(self.memories.hbm), memory_size),
            "scratchpad": self._address(len(self.memories.scratchpad), scratchpad_size),
            "row": row,
            **conversion,
        }
        if name in ("LOAD", "STORE"):
            return self._copy(fields, memory_size, scratchpad_size)
        if name in ("GATHER", "SCATTER"):
            return self._indexed(fields, memory_size, scratchpad_size)
        if name == "IM2COL":
            return self._im2col(fields, memory_size, scratchpad_size)
        memory = self.memories.hbm if self.store else self.memories.scratchpad
        element = reference.SIZES[conversion["target"]]
        return fill(
            address=self._address(len(memory), 1),
            row=-(-row // element) * element,
            value=chance.getrandbits(32),
            format=conversion["target"],
            dimensions=[(chance.randint(1, 4), chance.randint(-300, 300)) for _ in range(chance.randint(0, 4))],
        )

    def _copy(self, fields: Fields, memory_size: int, scratchpad_size: int) -> Fields:
        chance = self.chance
        dimensions = []
        for number in range(chance.randint(0, DIMENSIONS)):
            most = 40 if number == 0 else 4
            strides = [
                chance.choice([chance.randint(-200, 200), chance.randint(1, 40), 0]) * size
                for size in (memory_size, scratchpad_size)
            ]
            dimensions.append((chance.randint(1, most), strides[0], strides[1]))
        transpose = chance.random() < 0.3
        if transpose and memory_size == scratchpad_size == 1:
            fields["source"] = fields["target"] = 0
        if transpose and dimensions:
            # Columns side by side, mostly.
            count = dimensions[0][0]
            room = count + chance.choice([0, 0, 1, 5])
            columns = fields["row"] // reference.SIZES[fields["source"]]
            rows = columns + chance.choice([0, 0, 1, 5])
            pair = (room, rows) if self.store else (rows, room)
            dimensions[0] = (count, pair[0] * memory_size, pair[1] * scratchpad_size)
        return copy(dimensions=dimensions, transpose=int(transpose), **fields)

    def _indexed(self, fields: Fields, memory_size: int, scratchpad_size: int) -> Fields:
        chance = self.chance
        # Any four bytes are an index below 2**24 now and then; a test puts better lists there.
        places = list(range(0, len(self.memories.scratchpad) - 4, 4))
        start = chance.choice(places)
        count = chance.randint(1, 12)
        values = self.memories.scratchpad[start : start + 4 * count].view("<u4")
        rows = min(int(values.max()) + 1, (1 << 24) - 1) if len(values) else 1
        stride = chance.choice([0, chance.randint(-3, 40)])
        return {
            **fields,
            "indices": start,
            "count": count,
            "memory_stride": stride * memory_size,
            "scratchpad_stride": chance.randint(-100, 100) * scratchpad_size,
            "rows": max(1, rows),
        }

    def _im2col(self, fields: Fields, memory_size: int, scratchpad_size: int) -> Fields:
        chance = self.chance
        element = reference.SIZES[fields["source"]]
        fields["row"] = element * chance.randint(1, 40 // element)
        kernel = chance.randint(1, 4), chance.randint(1, 4)
        new_row = fields["row"] // element * scratchpad_size
        pixel = fields["row"] // element * memory_size + chance.choice([0, 0, memory_size])
        height, width = chance.randint(1, 6), chance.randint(1, 6)
        line = width * pixel + chance.choice([0, 3]) * memory_size
        return {
            **fields,
            "images": chance.randint(1, 2),
            "height": height,
            "width": width,
            "out_height": chance.randint(1, 4),
            "out_width": chance.randint(1, 4),
            "kernel_height": kernel[0],
            "kernel_width": kernel[1],
            **{name: chance.randint(0, 3) for name in ("pad_top", "pad_left")},
            **{
                name: chance.randint(1, 3)
                for name in ("stride_height", "stride_width", "dilation_height", "dilation_width")
            },
            "image_stride": height * line,
            "row_stride": line,
            "pixel_stride": pixel,
            "scratchpad_stride": kernel[0] * kernel[1] * new_row + chance.choice([0, 0, 5]) * scratchpad_size,
            "value": chance.getrandbits(32),
        }


def _complete(name: str, fields: Fields) -> Fields:
    """As the reference takes them."""
    of = {**dict.fromkeys(("source", "target", "saturate", "transpose", "value"), 0), **fields}
    if name.startswith("FILL"):
        of["source"] = of["target"] = of["format"]
    return of
