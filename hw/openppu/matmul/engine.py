"""The matmul engine: a tile, and all that feeds it from the scratchpad and takes its results back there."""

from amaranth import C, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.command.error import Error, finished_layout
from openppu.common.shared import shared
from openppu.config import ChipConfig
from openppu.formats.spec import INT8
from openppu.matmul.addend_fetch import AddendFetch
from openppu.matmul.check import Check
from openppu.matmul.command import Addend, Result, command_layout
from openppu.matmul.finish import Finish
from openppu.matmul.operand_fetch import OperandFetch
from openppu.matmul.result_store import ResultStore
from openppu.matmul.sizes import ADDRESS_BITS, Sizes
from openppu.scratchpad.port import ScratchpadPort
from openppu.tile.accumulator_port import AccumulatorPort
from openppu.tile.command import Cause
from openppu.tile.counters import COUNTERS
from openppu.tile.tile import Tile


class MatmulEngine(wiring.Component):
    """Runs products of matrices in the scratchpad: D = A x B (+ C), each as it is stored or transposed.

    ``docs/matmul.md`` defines commands, layouts and cycles. Throughput: the tile's, a row of A and a row of B a cycle.

    Parameters
    ----------
    config : ChipConfig

    Members
    -------
    commands : In(stream of command_layout)
    finished : Out(stream of finished_layout)
        One for each command, in order.
    activations, weights, addends, results : Out(ScratchpadPort)
        Reads of A, B and C, and writes of D.
    accumulators : In(AccumulatorPort)
        Of the tile, for others to read.
    scratchpad_bytes : In
        The scratchpad's size, a multiple of its word's.
    counters, cause : Out
        The tile's.

    Raises
    ------
    ConfigError
        If the tile is not made of powers of two.
    """

    def __init__(self, config: ChipConfig):
        self.sizes = Sizes.of(config)
        port = ScratchpadPort(address_bits=self.sizes.port_address_bits, word_bytes=self.sizes.word_bytes)
        super().__init__(
            {
                "commands": In(stream.Signature(command_layout())),
                "finished": Out(stream.Signature(finished_layout())),
                "activations": Out(port),
                "weights": Out(port),
                "addends": Out(port),
                "results": Out(port),
                "accumulators": In(AccumulatorPort(self.sizes.tile)),
                "scratchpad_bytes": In(ADDRESS_BITS + 1),
                "counters": Out(COUNTERS),
                "cause": Out(Cause),
            }
        )

    def elaborate(self, platform):
        m = Module()
        sizes = self.sizes
        rows, columns = sizes.tile.rows, sizes.tile.columns
        check = Check(sizes)
        tile = Tile(sizes.tile, readable=True)
        activations = OperandFetch(sizes, side=rows, lanes=rows, short_columns="third")
        weights = OperandFetch(sizes, side=max(rows, columns), lanes=columns, short_columns="outer")
        addends = AddendFetch(sizes)
        store = ResultStore(sizes)
        finish = Finish(commands=sizes.commands)
        m.submodules.check = shared(check, platform)
        m.submodules.tile = shared(tile, platform)
        m.submodules.activation_fetch = shared(activations, platform)
        m.submodules.weight_fetch = shared(weights, platform)
        m.submodules.addend_fetch = shared(addends, platform)
        m.submodules.store = shared(store, platform)
        m.submodules.finish = shared(finish, platform)

        wiring.connect(m, wiring.flipped(self.commands), check.commands)
        wiring.connect(m, finish.finished, wiring.flipped(self.finished))
        wiring.connect(m, activations.port, wiring.flipped(self.activations))
        wiring.connect(m, weights.port, wiring.flipped(self.weights))
        wiring.connect(m, addends.port, wiring.flipped(self.addends))
        wiring.connect(m, wiring.flipped(self.accumulators), tile.accumulators)
        wiring.connect(m, store.writes, wiring.flipped(self.results.requests))
        wiring.connect(m, activations.rows, tile.activations)
        wiring.connect(m, weights.rows, tile.weights)
        wiring.connect(m, addends.rows, tile.addends)
        wiring.connect(m, tile.results, store.results)
        wiring.connect(m, activations.ends, finish.activations)
        wiring.connect(m, weights.ends, finish.weights)
        wiring.connect(m, addends.ends, finish.addends)
        wiring.connect(m, store.ends, finish.writes)
        m.d.comb += [
            check.scratchpad_bytes.eq(self.scratchpad_bytes),
            # Operands come by themselves, in the order in which the tile asks for them.
            tile.activation_requests.ready.eq(1),
            tile.weight_requests.ready.eq(1),
            self.counters.eq(tile.counters),
            self.cause.eq(tile.cause),
        ]

        # A checked command goes to all parts at once, when each has room; a refused one to `Finish` alone.
        checked = check.checked
        command = checked.payload.command
        runs = Signal()
        adds = Signal()
        writes = Signal()
        may_go = Signal()
        go = Signal()
        m.d.comb += [
            runs.eq(checked.payload.error == Error.OKAY),
            adds.eq(runs & (command.addend == Addend.SCRATCHPAD)),
            writes.eq(runs & (command.result != Result.NONE)),
        ]
        takers = [
            (finish.begun, C(1)),
            (tile.commands, runs),
            (activations.nests, runs),
            (weights.nests, runs),
            (addends.nests, adds),
            (store.nests, writes),
            (store.conversions, writes),
        ]
        m.d.comb += [
            may_go.eq(~(runs & command.after) | finish.none),
            go.eq(checked.valid & may_go & ~Cat(wanted & ~taker.ready for taker, wanted in takers).any()),
            checked.ready.eq(go),
            *(taker.valid.eq(go & wanted) for taker, wanted in takers),
            finish.begun.payload.error.eq(checked.payload.error),
            finish.begun.payload.adds.eq(adds),
            finish.begun.payload.writes.eq(writes),
        ]
        self._plan(m, checked.payload, tile, activations, weights, addends, store)
        return m

    def _plan(self, m, checked, tile, activations, weights, addends, store):
        """What the command is for each part."""
        sizes = self.sizes
        rows, columns = sizes.tile.rows, sizes.tile.columns
        command, wide = checked.command, checked.wide
        blocks, lasts = {}, {}
        for name, lanes in (("m", rows), ("n", columns), ("k", rows)):
            bits = (lanes - 1).bit_length()
            blocks[name] = Signal(sizes.block_bits, name=f"{name}_blocks")
            lasts[name] = Signal(range(lanes + 1), name=f"{name}_last")
            m.d.comb += [
                blocks[name].eq((command[name] + (lanes - 1)) >> bits),
                lasts[name].eq(((command[name] - 1) & (lanes - 1)) + 1),
            ]
        row_bytes = Mux(wide, 2 * rows, rows)
        column_bytes = Mux(wide, 2 * columns, columns)

        m.d.comb += [
            tile.commands.payload.format.eq(command.format),
            tile.commands.payload.addend.as_value().eq(command.addend.as_value()),
            tile.commands.payload.emit.eq(command.result != Result.NONE),
            tile.commands.payload.m.eq(command.m),
            tile.commands.payload.n_blocks.eq(blocks["n"]),
            tile.commands.payload.k_blocks.eq(blocks["k"]),
            tile.commands.payload.k_last.eq(lasts["k"]),
            tile.commands.payload.accumulator.eq(command.accumulator),
        ]

        nest = activations.nests.payload
        m.d.comb += [
            nest.outer.eq(blocks["k"]),
            nest.middle.eq(blocks["n"]),
            nest.base.eq(command.a_address),
            nest.inner_stride.eq(command.a_stride),
            nest.context.wide.eq(wide),
            nest.context.transposed.eq(command.transpose_a),
            nest.context.columns.eq(rows),
            nest.context.short.eq(lasts["m"]),
        ]
        with m.If(command.transpose_a):
            m.d.comb += [
                nest.third.eq(blocks["m"]),
                nest.inner.eq(rows),
                nest.short.eq(lasts["k"]),
                nest.outer_stride.eq(command.a_stride << sizes.row_bits),
                nest.third_stride.eq(row_bytes),
            ]
        with m.Else():
            m.d.comb += [
                nest.third.eq(1),
                nest.inner.eq(command.m),
                nest.short.eq(command.m),
                nest.outer_stride.eq(row_bytes),
            ]

        nest = weights.nests.payload
        m.d.comb += [
            nest.outer.eq(blocks["k"]),
            nest.middle.eq(blocks["n"]),
            nest.third.eq(1),
            nest.base.eq(command.b_address),
            nest.inner_stride.eq(command.b_stride),
            nest.context.wide.eq(wide),
            nest.context.transposed.eq(command.transpose_b),
            nest.context.columns.eq(rows),
            nest.context.short.eq(lasts["k"]),
        ]
        with m.If(command.transpose_b):
            m.d.comb += [
                nest.inner.eq(columns),
                nest.short.eq(lasts["n"]),
                nest.short_in_middle.eq(1),
                nest.outer_stride.eq(row_bytes),
                nest.middle_stride.eq(command.b_stride << sizes.column_bits),
            ]
        with m.Else():
            m.d.comb += [
                nest.inner.eq(rows),
                nest.short.eq(lasts["k"]),
                nest.outer_stride.eq(command.b_stride << sizes.row_bits),
                nest.middle_stride.eq(column_bytes),
            ]

        for nest, address, stride, element in (
            (addends.nests.payload, command.c_address, command.c_stride, C(2, 2)),
            (store.nests.payload, command.d_address, command.d_stride, checked.element),
        ):
            m.d.comb += [
                nest.outer.eq(1),
                nest.middle.eq(blocks["n"]),
                nest.third.eq(1),
                nest.inner.eq(command.m),
                nest.short.eq(command.m),
                nest.base.eq(address),
                nest.inner_stride.eq(stride),
                nest.middle_stride.eq(columns << element),
            ]
        m.d.comb += [
            store.nests.payload.context.element.eq(checked.element),
            store.nests.payload.context.columns.eq(lasts["n"]),
            store.nests.payload.context.kept.eq(command.result == Result.KEPT),
        ]
        how = store.conversions.payload
        m.d.comb += [
            how.relu.eq(command.relu),
            how.convert.eq(command.result == Result.CONVERTED),
            how.format.eq(command.result_format),
            how.saturate.eq(command.saturate),
            how.is_integer.eq(command.format == INT8.code),
            how.zero_point.eq(command.zero_point),
            how.scale.eq(command.scale),
            how.stochastic.eq(command.stochastic),
            how.rows.eq(command.m),
        ]
