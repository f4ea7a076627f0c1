"""The DMA's commands as the command processor knows them."""

from typing import Any

from openppu.command.instruction import Instruction
from openppu.dma.layouts import DIMENSIONS, OPERANDS, Opcode

_SAYS = {
    Opcode.LOAD: "Copies rows of memory to the scratchpad ([the DMA](dma.md)).",
    Opcode.GATHER: "Copies rows of memory, chosen by a list in the scratchpad, to the scratchpad.",
    Opcode.IM2COL: "Copies what each place of a kernel lies on, for every pixel, to the scratchpad.",
    Opcode.FILL_SCRATCHPAD: "Fills rows of the scratchpad with a value.",
    Opcode.STORE: "Copies rows of the scratchpad to memory.",
    Opcode.SCATTER: "Copies rows of the scratchpad to rows of memory that a list in the scratchpad chooses.",
    Opcode.FILL_MEMORY: "Fills rows of memory with a value.",
}
_LOADS = (Opcode.LOAD, Opcode.GATHER, Opcode.IM2COL, Opcode.FILL_SCRATCHPAD)
_ADDRESSES = ("memory", "scratchpad", "indices", "address")
_MEANINGS = {
    "memory": "address of the first row in memory",
    "scratchpad": "of the first row in the scratchpad",
    "indices": "of the list, int32, in the scratchpad",
    "address": "of the first row",
    "row": "bytes of a row, as it is read; of a fill, as it is written",
    "source": "format of the elements that are read",
    "target": "of those that are written; the same: no conversion",
    "saturate": "fp8: too large ones become the largest finite number",
    "transpose": "rows and columns change places",
    "format": "of the value",
    "value": "bits, in the lowest places",
    "count": "rows",
    "memory_stride": "bytes from a row in memory to the next",
    "rows": "rows of memory that an index may name",
    "images": "pictures",
    "height": "rows of a picture",
    "width": "pixels of its row",
    "out_height": "rows of the result",
    "out_width": "pixels of its row",
    "kernel_height": "rows of the kernel",
    "kernel_width": "pixels of its row",
    "pad_top": "rows before the picture",
    "pad_left": "pixels before its rows",
    "stride_height": "rows from a place of the kernel to the next",
    "stride_width": "pixels",
    "dilation_height": "rows of the picture from one of the kernel to the next",
    "dilation_width": "pixels",
    "image_stride": "bytes from a picture to the next",
    "row_stride": "from a row to the next",
    "pixel_stride": "from a pixel to the next",
    "scratchpad_stride": "bytes from a row in the scratchpad to the next",
}
for _number in range(DIMENSIONS):
    _MEANINGS |= {
        f"count_{_number}": f"rows along dimension {_number}, the innermost being 0",
        f"memory_stride_{_number}": "bytes from one to the next in memory",
        f"scratchpad_stride_{_number}": "in the scratchpad",
        f"stride_{_number}": "bytes from one to the next",
    }


def _described(opcode: Any) -> Instruction:
    layout = OPERANDS[opcode]
    names = [str(name) for name, _ in layout]
    return Instruction(
        name=opcode.name,
        opcode=opcode.value,
        engine="load" if opcode in _LOADS else "store",
        layout=layout,
        addresses=tuple(name for name in names if name in _ADDRESSES),
        meaning=_SAYS[opcode],
        meanings={name: _MEANINGS[name] for name in names},
    )


LOAD_INSTRUCTIONS = tuple(_described(opcode) for opcode in _LOADS)
STORE_INSTRUCTIONS = tuple(_described(opcode) for opcode in Opcode if opcode not in _LOADS)
