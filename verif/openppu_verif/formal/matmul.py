"""Proof that the matmul engine runs no command that leaves the scratchpad or its accumulators.

It is made with numbers of few bits: `SMALL` takes the place of the widths.
"""

from contextlib import ExitStack
from unittest.mock import patch

from amaranth import Const, Mux, Signal, Value
from amaranth.hdl import Assume, ValueLike
from openppu.command.error import Error
from openppu.config import TileConfig
from openppu.formats.spec import FORMATS
from openppu.matmul import check, command
from openppu.matmul.check import Check
from openppu.matmul.command import Addend, Result
from openppu.matmul.sizes import Sizes, result_grain

from openppu_verif.formal.harness import Harness
from openppu_verif.formal.probe import Probe

SMALL = {"ADDRESS_BITS": 7, "COUNT_BITS": 4}
TILE = TileConfig(rows=2, columns=4, formats=("int8", "bf16"), latency=2, accumulators=8)
SIZES = Sizes(tile=TILE, word_bytes=32, port_address_bits=2, commands=1, stochastic=False)
WIDE = 16
"""Bits of a sum, wide enough to be true."""


def checks() -> Harness:
    """Of a command that passes, any row of any matrix is in the scratchpad, and its sums have accumulators."""
    h = Harness()
    with ExitStack() as stack:
        for module in (command, check):
            for name, value in SMALL.items():
                stack.enter_context(patch.object(module, name, value))
        probe = Probe(Check(SIZES))
    h.m.submodules.dut = probe.fragment
    dut = probe.part("")
    h.source("commands", dut.commands)
    size = h.fixed("scratchpad_bytes", SMALL["ADDRESS_BITS"] + 1)
    h.m.d.comb += [dut.scratchpad_bytes.eq(size), Assume(size <= 1 << SMALL["ADDRESS_BITS"])]
    h.drive(checked_ready=dut.checked.ready)

    of = dut.checked.payload.command
    passes = Signal()
    h.m.d.comb += passes.eq(dut.checked.valid & (dut.checked.payload.error == Error.OKAY))
    row = h.fixed("row", SMALL["COUNT_BITS"])
    element, written = _bytes(of.format), Mux(of.result == Result.CONVERTED, _bytes(of.result_format), 4)
    stores = (of.result == Result.SUMS) | (of.result == Result.CONVERTED)
    matrices = {
        "a": (Mux(of.transpose_a, of.k, of.m), Mux(of.transpose_a, of.m, of.k) * element, Const(1)),
        "b": (Mux(of.transpose_b, of.n, of.k), Mux(of.transpose_b, of.k, of.n) * element, Const(1)),
        "c": (of.m, of.n * 4, of.addend == Addend.SCRATCHPAD),
        "d": (of.m, _whole_grains(of.n, written), stores),
    }
    for name, (rows, row_bytes, needed) in matrices.items():
        end = Signal(WIDE, name=f"end_of_{name}")
        h.m.d.comb += end.eq(of[f"{name}_address"] + row * of[f"{name}_stride"] + row_bytes)
        h.check(end <= size, when=passes & needed & (row < rows))

    blocks = Signal(WIDE)
    h.m.d.comb += blocks.eq((of.n + TILE.columns - 1) // TILE.columns)
    stay = (of.k > TILE.rows) | ~stores | (of.addend == Addend.ACCUMULATORS)
    h.check(of.m * blocks <= TILE.accumulators, when=passes & stay)
    h.check(of.m <= TILE.accumulators, of.accumulator < TILE.accumulators, when=passes)
    h.check(of.m != 0, of.n != 0, of.k != 0, when=passes)
    return h


def _bytes(code: ValueLike) -> Value:
    """Of an element of a format."""
    found: Value = Const(0, 3)
    for name in TILE.formats:
        found = Mux(Value.cast(code) == FORMATS[name].code, FORMATS[name].bits // 8, found)
    return found


def _whole_grains(count: Value, element: Value) -> Value:
    """Bytes of a row of D, which is written in grains."""
    found: Value = Const(0)
    for size in (1, 2, 4):
        grain = result_grain(TILE.columns, size)
        found = Mux(element == size, (count * size + grain - 1) // grain * grain, found)
    return found
