"""The arithmetic proved equal to statements in plain Verilog, for every input; a wrong statement is not proved."""

from pathlib import Path

import numpy as np
import pytest
from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from openppu.config import load
from openppu.formats.add32 import Add32
from openppu.formats.binary32_to_int32 import Binary32ToInt32
from openppu.formats.int32_to_binary32 import Int32ToBinary32
from openppu.formats.leading_zeros import leading_zeros
from openppu.formats.narrow import Narrow
from openppu.formats.spec import BF16, BINARY32, FORMATS, FP8_E4M3, FP8_E5M2, FP16, Format
from openppu.formats.unpack import Unpack
from openppu.tile.cell import Cell
from openppu_sim.reference.formats import from_binary32
from openppu_verif.formats.datapath import Datapath
from openppu_verif.formats.statement import difference

FLOATS = tuple(fmt for fmt in FORMATS.values() if fmt.is_float)
FP8 = (FP8_E4M3, FP8_E5M2)


def shape(fmt: Format) -> str:
    """A format as the parameters of a statement."""
    return f"#({fmt.exponent_bits}, {fmt.fraction_bits}, {fmt.bias}, {fmt.has_infinity:d})"


class LeadingZeros(wiring.Component):
    """The count of `leading_zeros`, a cycle later."""

    def __init__(self, width: int):
        self.width = width
        self.levels = max(1, (width - 1).bit_length())
        super().__init__({"value": In(width), "count": Out(self.levels)})

    def elaborate(self, platform):
        m = Module()
        count = Signal(self.levels, reset_less=True)
        m.d.sync += count.eq(leading_zeros(m, self.value, name="zeros"))
        m.d.comb += self.count.eq(count)
        return m


@pytest.mark.parametrize("width", [3, 8, 11, 24, 52])
def test_leading_zeros(width: int, tmp_path: Path):
    part = LeadingZeros(width)
    body = f"leading_zeros #({width}, {part.levels}) zeros (.value(value), .count(count));"
    assert difference(part, body, tmp_path, latency=1, output="count") is None


@pytest.mark.parametrize("fmt", [*FLOATS, BINARY32], ids=lambda fmt: fmt.name)
def test_unpack_of_one_format(fmt: Format, tmp_path: Path):
    latency = 2 if fmt is BINARY32 else Unpack.LATENCY
    part = Unpack(formats=(fmt,), latency=latency)
    body = f"unpack {shape(fmt)} unpack (.bits(bits), .pad(pad), .operand(operand));"
    constants = {"format": fmt.code}
    assert difference(part, body, tmp_path, latency=latency, output="operand", constants=constants) is None


def test_narrow_while_formats_change(tmp_path: Path):
    lines = [
        f"wire [{fmt.bits - 1}:0] {fmt.name};\n"
        f"narrow {shape(fmt)} to_{fmt.name} (.bits(bits), .saturate(saturate), .result({fmt.name}));"
        for fmt in FLOATS
    ]
    choice = "".join(f"format == {fmt.code} ? {fmt.name} : " for fmt in FLOATS)
    body = "\n".join([*lines, f"assign result = {choice}0;"])
    allowed = " || ".join(f"format == {fmt.code}" for fmt in FLOATS)
    part = Narrow(formats=FLOATS)
    assert difference(part, body, tmp_path, latency=Narrow.LATENCY, output="result", allowed=allowed) is None


def reference_steps(fmt: Format, saturate: bool) -> list[tuple[int, int]]:
    """Where the reference's result changes as the magnitude of a number grows: first pattern, and what it becomes."""
    infinity = BINARY32.infinity_bits
    top = int(from_binary32(np.uint32([infinity]), fmt, saturate=saturate)[0])
    low = np.zeros(top + 1, np.int64)
    high = np.full(top + 1, infinity)
    while (low < high).any():
        middle = (low + high) // 2
        reached = from_binary32(middle.astype(np.uint32), fmt, saturate=saturate) >= np.arange(top + 1)
        high, low = np.where(reached, middle, high), np.where(reached, low, np.minimum(middle + 1, high))
    return [(int(pattern), code) for code, pattern in enumerate(low)]


@pytest.mark.parametrize("fmt", FP8, ids=lambda fmt: fmt.name)
def test_narrow_to_fp8_has_the_steps_of_the_reference(fmt: Format, tmp_path: Path):
    lines = []
    for mode in (0, 1):
        steps = reference_steps(fmt, bool(mode))
        choice = "".join(f"bits[30:0] >= {pattern} ? {code} : " for pattern, code in reversed(steps))
        lines.append(f"wire [6:0] magnitude_{mode} = {choice}0;")
    lines.append("wire [6:0] magnitude = saturate ? magnitude_1 : magnitude_0;")
    nan = f"bits[30:0] > {BINARY32.infinity_bits} || magnitude == {fmt.nan_bits}"
    body = "\n".join([*lines, f"assign result = {nan} ? {fmt.nan_bits} : {{bits[31], magnitude}};"])
    part, constants = Narrow(formats=(fmt,)), {"format": fmt.code}
    assert difference(part, body, tmp_path, latency=Narrow.LATENCY, output="result", constants=constants) is None


@pytest.mark.parametrize("part", [Int32ToBinary32, Binary32ToInt32])
def test_conversion_of_integers(part, tmp_path: Path):
    body = "int32_to_binary32" if part is Int32ToBinary32 else "binary32_to_int32"
    body += " convert (.bits(bits), .result(result));"
    assert difference(part(), body, tmp_path, latency=part.LATENCY, output="result") is None


CELL = """\
reg signed [7:0] activation_1, weight_1, weight_2;
reg signed [15:0] product;
always @(posedge clk) begin
  activation_1 <= activation;
  weight_1 <= weight;
  weight_2 <= weight_1;
  product <= activation_1 * weight_2;
end
assign partial_next = $signed(partial) + product;"""


def test_a_cell_of_int8_alone(tmp_path: Path):
    """With a new weight in every cycle, which is loaded a cycle before its activation comes."""
    tile = load("tiny", ["tile.formats=int8", "tile.latency=1"]).tile
    always = {"load": 1, "swap": 1}
    assert difference(Cell(tile), CELL, tmp_path, latency=1, depth=4, output="partial_next", constants=always) is None


@pytest.mark.slow
def test_binary32_addition(tmp_path: Path):
    body = "add32 add (.a(a), .b(b), .total(total));"
    assert difference(Add32(), body, tmp_path, latency=Add32.LATENCY, output="total") is None


@pytest.mark.slow
@pytest.mark.parametrize("fmt", FP8, ids=lambda fmt: fmt.name)
def test_fp8_multiply_add(fmt: Format, tmp_path: Path):
    """Their products are exact in binary32, so that the fused step is a binary32 addition."""
    body = f"""\
wire [31:0] product;
product8 {shape(fmt)} multiply (.a(a), .b(b), .product(product));
add32 add (.a(pad ? 32'h80000000 : product), .b(addend), .total(total));"""
    part = Datapath(formats=(fmt,), add_latency=1)
    constants = {"format": fmt.code}
    assert difference(part, body, tmp_path, latency=3, output="total", constants=constants) is None


def test_a_wrong_statement_is_found_out(tmp_path: Path):
    part = Narrow(formats=(BF16,))
    truncation = "assign result = bits[30:0] > 31'h7f800000 ? 16'h7fc0 : bits[31:16];"
    told = difference(part, truncation, tmp_path, latency=Narrow.LATENCY, output="result", constants={"format": 4})
    assert told is not None
    assert "\\bits" in told


def test_a_wrong_latency_is_found_out(tmp_path: Path):
    part = Unpack(formats=(FP16,))
    body = f"unpack {shape(FP16)} unpack (.bits(bits), .pad(pad), .operand(operand));"
    late, constants = Unpack.LATENCY + 1, {"format": FP16.code}
    assert difference(part, body, tmp_path, latency=late, output="operand", constants=constants) is not None
