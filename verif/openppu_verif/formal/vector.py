"""Proof that the vector unit admits no command that leaves the scratchpad, the accumulators or its program memory.

It is made with numbers of few bits: `SMALL` takes the place of the widths.
"""

from contextlib import ExitStack
from unittest.mock import patch

from amaranth import Cat, Const, Mux, Signal, Value
from amaranth.hdl import Assume
from openppu.command.error import Error
from openppu.formats.spec import BINARY32, FORMATS, INT8
from openppu.vector import admission, command
from openppu.vector.admission import Admission
from openppu.vector.command import DIMENSIONS, Opcode
from openppu.vector.instruction import ACCUMULATOR_STREAMS, INSTRUCTION_BYTES

from openppu_verif.formal.harness import Harness
from openppu_verif.formal.probe import Probe

SMALL = {"ADDRESS_BITS": 6, "COUNT_BITS": 2, "SIZE_BITS": 7, "ACCUMULATORS": 32}
LANES, ROWS, PROGRAM_WORDS = 4, 4, 16
SUMS = 1
"""Rows of accumulators."""
BUILT = (FORMATS["bf16"],)
WIDE = 24
"""Bits of a sum, wide enough to be true."""


def checks() -> Harness:
    """Of a command that is admitted, nothing is beyond a memory that it may reach, whatever the turns."""
    h = Harness()
    with ExitStack() as stack:
        for module in (command, admission):
            for name, value in SMALL.items():
                if hasattr(module, name):
                    stack.enter_context(patch.object(module, name, value))
        sizes = dict(lanes=LANES, rows=ROWS, program_words=PROGRAM_WORDS, accumulators=SUMS)
        probe = Probe(Admission(**sizes, formats=BUILT))
    h.m.submodules.dut = probe.fragment
    dut = probe.part("")
    size = h.fixed("scratchpad_bytes", SMALL["SIZE_BITS"])
    go, working = h.free("go"), Signal()
    h.m.d.sync += working.eq((working | go) & ~dut.done)
    h.m.d.comb += [
        Value.cast(dut.command).eq(h.fixed("command", len(Value.cast(dut.command)))),
        dut.scratchpad_bytes.eq(size),
        dut.go.eq(go),
        Assume(~(working & go)),
        Assume(size <= SMALL["ACCUMULATORS"]),
    ]
    admitted = dut.done & working & (dut.error == Error.OKAY)
    operands = dut.command.operands
    program, pattern = operands.program, operands.stream.pattern

    element: Value = Const(0)
    for fmt in (INT8, *BUILT, BINARY32):
        element = Mux(pattern.format == fmt.code, fmt.bits // 8, element)
    place: Value = pattern.base
    inside: Value = Const(1)
    for dimension in range(DIMENSIONS):
        turn = h.fixed(f"turn_{dimension}", SMALL["COUNT_BITS"])
        place = place + turn * pattern[f"stride_{dimension}"]
        inside = inside & (turn < pattern[f"count_{dimension}"])
    end, last = Signal(WIDE), Signal(WIDE)
    h.m.d.comb += [
        end.eq(place + Mux(pattern.single, element, element * LANES)),
        last.eq(program.source + program.count * INSTRUCTION_BYTES),
    ]
    streams = admitted & (dut.command.opcode == Opcode.STREAM)
    programs = admitted & (dut.command.opcode == Opcode.PROGRAM)
    first = SMALL["ACCUMULATORS"]
    of_accumulators = Cat(operands.stream.stream == number for number in ACCUMULATOR_STREAMS).any()
    in_accumulators = of_accumulators & (place >= first) & (end <= first + 4 * LANES * SUMS)
    h.check((end <= size) | in_accumulators, when=streams & inside)
    h.check(element != 0, when=streams)
    h.check(last <= size, program.start + program.count <= PROGRAM_WORDS, when=programs)
    h.check(
        operands.run.start < PROGRAM_WORDS,
        operands.run.rows <= ROWS,
        when=admitted & (dut.command.opcode == Opcode.RUN),
    )
    return h
