"""Decides whether a command can be run, before anything of it is."""

from amaranth import C, Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.command.error import Error
from openppu.formats.operand import formats_named
from openppu.formats.spec import INT8
from openppu.matmul.command import Addend, Result, command_layout
from openppu.matmul.sizes import ADDRESS_BITS, COUNT_BITS, GRAIN, Sizes, result_grain

RANGES = ("a", "b", "c", "d")


def checked_layout() -> data.StructLayout:
    """A command, how it is refused, if it is, and the logarithm of the bytes of an element of A and B, and of D."""
    return data.StructLayout({"command": command_layout(), "error": Error, "wide": 1, "element": 2})


class Check(wiring.Component):
    """Checks fields, formats, alignment, ranges and accumulators, in this order; the first that is wrong is told.

    One multiplier works out, turn by turn, where each matrix ends and how many accumulators there must be.

    Latency: `LATENCY` cycles. Throughput: a command in `LATENCY` cycles.

    Members
    -------
    commands : In(stream of command_layout)
    checked : Out(stream of checked_layout)
    scratchpad_bytes : In
        Its size.
    """

    TURNS = len(RANGES) + 1
    LATENCY = TURNS + 3

    def __init__(self, sizes: Sizes):
        self.sizes = sizes
        super().__init__(
            {
                "commands": In(stream.Signature(command_layout())),
                "checked": Out(stream.Signature(checked_layout())),
                "scratchpad_bytes": In(ADDRESS_BITS + 1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        sizes = self.sizes
        tile = sizes.tile
        command = Signal(command_layout())
        n_blocks = Signal(COUNT_BITS)
        m.d.comb += n_blocks.eq((command.n + (tile.columns - 1)) >> sizes.column_bits)

        working = Signal()
        turn = Signal(range(self.LATENCY))
        ends = Signal()
        m.d.comb += [
            ends.eq(turn == self.LATENCY - 2),
            self.commands.ready.eq(~working & (~self.checked.valid | self.checked.ready)),
        ]
        with m.If(self.commands.ready):
            m.d.sync += [command.eq(self.commands.payload), working.eq(self.commands.valid), turn.eq(0)]
        with m.Elif(working):
            m.d.sync += turn.eq(turn + 1)
        with m.If(self.checked.ready):
            m.d.sync += self.checked.valid.eq(0)
        with m.If(working & ends):
            m.d.sync += [self.checked.valid.eq(1), working.eq(0)]

        # What can be seen at once.
        wide, known, has_result, result_element = self._formats(m, command)
        wrong_field = Signal()
        wrong_format = Signal()
        m.d.comb += [
            wrong_field.eq(
                (command.m == 0)
                | (command.n == 0)
                | (command.k == 0)
                | (command.addend.as_value() > Addend.SCRATCHPAD.value)
                | (command.result.as_value() > Result.KEPT.value)
                | (command.reserved != 0)
                | (command.stochastic & (not sizes.stochastic))
            ),
            wrong_format.eq(~known | ((command.result == Result.CONVERTED) & ~has_result)),
        ]
        stores = (command.result == Result.SUMS) | (command.result == Result.CONVERTED)
        needed = {
            "a": C(1),
            "b": C(1),
            "c": command.addend == Addend.SCRATCHPAD,
            "d": stores,
        }
        wrong_alignment = Signal()
        m.d.comb += wrong_alignment.eq(
            Cat(
                needed[name] & ((command[f"{name}_address"] | command[f"{name}_stride"]) & mask).any()
                for name, mask in self._masks(command, wide, result_element).items()
            ).any()
        )

        # Turn by turn: rows, bytes of a row, address and stride of each matrix; then rows of accumulators.
        count = Signal(COUNT_BITS)
        factor = Signal(ADDRESS_BITS)
        start = Signal(ADDRESS_BITS + 1)
        row = Signal(COUNT_BITS + 3)
        matters = Signal()
        limit = Signal(ADDRESS_BITS + 1)
        a_rows, a_columns = self._swapped(command.transpose_a, command.m, command.k)
        b_rows, b_columns = self._swapped(command.transpose_b, command.k, command.n)
        shapes = {
            "a": (a_rows, a_columns << wide),
            "b": (b_rows, b_columns << wide),
            "c": (command.m, command.n << 2),
            "d": (command.m, self._result_bytes(command.n, result_element)),
        }
        with m.Switch(turn):
            for place, name in enumerate(RANGES):
                rows, row_bytes = shapes[name]
                with m.Case(place):
                    m.d.sync += [
                        count.eq(rows - 1),
                        factor.eq(command[f"{name}_stride"]),
                        start.eq(command[f"{name}_address"]),
                        row.eq(row_bytes),
                        matters.eq(needed[name]),
                        limit.eq(self.scratchpad_bytes),
                    ]
            with m.Default():
                # With one block along k a sum leaves before the next one needs its accumulator.
                passes = (command.k <= tile.rows) & stores
                m.d.sync += [
                    count.eq(command.m),
                    factor.eq(n_blocks),
                    start.eq(0),
                    row.eq(0),
                    matters.eq(~passes | (command.addend == Addend.ACCUMULATORS)),
                    limit.eq(tile.accumulators),
                ]
        product = Signal(COUNT_BITS + ADDRESS_BITS)
        rest = Signal(ADDRESS_BITS + 2)
        limits = Signal.like(limit)
        compared = Signal()
        m.d.sync += [product.eq(count * factor), rest.eq(start + row), limits.eq(limit), compared.eq(matters)]
        beyond = Signal()
        above = Signal()
        too_large = Signal()
        m.d.comb += [
            above.eq(compared & (product + rest > limits)),
            too_large.eq(
                (command.m > tile.accumulators)
                | (n_blocks > tile.accumulators)
                | (command.accumulator >= tile.accumulators)
            ),
        ]
        # Two cycles after its turn each range is compared; what is in the registers before that is of no command.
        with m.If(turn == 1):
            m.d.sync += beyond.eq(too_large)
        with m.Elif(above):
            m.d.sync += beyond.eq(1)

        checked = self.checked.payload
        m.d.comb += [
            checked.command.eq(command),
            checked.wide.eq(wide),
            checked.element.eq(result_element),
            checked.error.eq(Error.OKAY),
        ]
        for wrong, error in (
            (beyond, Error.BOUNDS),
            (wrong_alignment, Error.ALIGNMENT),
            (wrong_format, Error.FORMAT),
            (wrong_field, Error.FIELD),
        ):
            with m.If(wrong):
                m.d.comb += checked.error.eq(error)
        return m

    def _formats(self, m, command):
        """Whether elements are wide, the format is built in, the result's, and the logarithm of its bytes."""
        wide, known, has_result = Signal(), Signal(), Signal()
        element = Signal(2, init=2)
        is_integer = command.format == INT8.code
        for fmt in formats_named(self.sizes.tile.formats):
            with m.If(command.format == fmt.code):
                m.d.comb += [wide.eq(fmt.bits == 16), known.eq(1)]
            with m.If((command.result == Result.CONVERTED) & (command.result_format == fmt.code)):
                m.d.comb += [element.eq(fmt.bits // 16), has_result.eq(~is_integer if fmt.is_float else 1)]
        return wide, known, has_result, element

    def _masks(self, command, wide, result_element):
        """The low bits of addresses and strides that must be 0: a row of the tile is in one word."""
        rows, columns = self.sizes.tile.rows, self.sizes.tile.columns

        def mask(lanes, element):
            """Bytes of so many elements, less one, or a grain's."""
            chosen = C(0)
            for code in range(3):
                chosen = Mux(element == code, max(GRAIN, lanes << code) - 1, chosen)
            return chosen

        return {
            "a": mask(rows, wide),
            "b": Mux(command.transpose_b, mask(rows, wide), mask(columns, wide)),
            "c": C(max(GRAIN, 4 * columns) - 1),
            "d": mask(columns, result_element),
        }

    def _result_bytes(self, n, element):
        """Of a row of D: whole grains."""
        chosen = C(0)
        for code in range(3):
            part = result_grain(self.sizes.tile.columns, 1 << code) - 1
            chosen = Mux(element == code, ((n << code) + part) & ~part, chosen)
        return chosen

    def _swapped(self, transposed, rows, columns):
        return Mux(transposed, columns, rows), Mux(transposed, rows, columns)
