"""The systolic matmul tile."""

from amaranth import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.counters import Counters
from openppu.common.delay_line import DelayLine
from openppu.common.delayed import delayed
from openppu.common.shared import shared
from openppu.config import TileConfig
from openppu.formats.spec import FORMATS
from openppu.tile.accumulator import Accumulator
from openppu.tile.accumulator_port import AccumulatorPort
from openppu.tile.array import Array
from openppu.tile.command import Addend, Cause, command_layout
from openppu.tile.counters import COUNTERS, EVENTS
from openppu.tile.drain import Drain
from openppu.tile.edge import Edge
from openppu.tile.fetch import ActivationFetch, WeightFetch
from openppu.tile.issue import Issue


class Tile(wiring.Component):
    """Multiplies matrices: weight stationary, weights double-buffered, sums in order of k.

    ``docs/tile.md`` defines ports, commands and the cycle of every handshake. Latency: `total_latency` cycles from a
    row's issue to its result's offer. Throughput: a row a cycle; a block of weights a max(M, R) cycles.

    Parameters
    ----------
    config : TileConfig
    readable : bool
        Whether others than the tile may read its accumulators. A port of its own for that costs look-up tables and
        clock (docs/synthesis.md), so a tile that stands alone has none.

    Members
    -------
    commands : In(stream of command_layout)
    activation_requests, weight_requests : Out(stream of addresses)
    activations : In(stream of R operands)
    weights : In(stream of C operands)
    addends : In(stream of C x 32)
    results : Out(stream of ``row``, C x 32, and ``last``)
    accumulators : In(AccumulatorPort)
        For others to read, if the tile is ``readable``.
    counters : Out(COUNTERS)
    cause : Out(Cause)
    """

    ACCUMULATOR_READ = Edge.LATENCY
    """Cycles from a row's issue to the read of its accumulator in column 0."""
    PARTIAL = ACCUMULATOR_READ + Accumulator.PARTIAL_AFTER_INJECT
    """... to its partial sum at the top of column 0, which is when its product is there, too."""

    def __init__(self, config: TileConfig, *, readable: bool = False):
        self.config = config
        self.readable = readable
        operands = config.operand_bits
        lanes = data.ArrayLayout(32, config.columns)
        super().__init__(
            {
                "commands": In(stream.Signature(command_layout(config))),
                "activation_requests": Out(stream.Signature(config.address_bits)),
                "activations": In(stream.Signature(data.ArrayLayout(operands, config.rows))),
                "weight_requests": Out(stream.Signature(config.address_bits)),
                "weights": In(stream.Signature(data.ArrayLayout(operands, config.columns))),
                "addends": In(stream.Signature(lanes)),
                "results": Out(stream.Signature(data.StructLayout({"row": lanes, "last": 1}))),
                **({"accumulators": In(AccumulatorPort(config))} if readable else {}),
                "counters": Out(COUNTERS),
                "cause": Out(Cause),
            }
        )

    @staticmethod
    def return_latency(config: TileConfig) -> int:
        """Cycles from a row's issue until the next row may use its accumulators."""
        # Partial sum, array, one cycle to write; the next row reads ACCUMULATOR_READ cycles after its own issue.
        return Tile.PARTIAL + config.rows * config.latency + 1 - Tile.ACCUMULATOR_READ

    @staticmethod
    def total_latency(config: TileConfig) -> int:
        """Cycles from a result row's issue to its offer on ``results``, if nothing is before it."""
        # Written column by column, then one cycle to read.
        return Tile.PARTIAL + config.rows * config.latency + config.columns + 1

    def elaborate(self, platform):
        m = Module()
        config = self.config
        weight_fetch = WeightFetch(config)
        activation_fetch = ActivationFetch(config)
        issue = Issue(config)
        array = Array(config)
        counters = Counters(Cause, EVENTS)
        m.submodules.weight_fetch = shared(weight_fetch, platform)
        m.submodules.activation_fetch = shared(activation_fetch, platform)
        m.submodules.issue = shared(issue, platform)
        m.submodules.array = shared(array, platform)
        m.submodules.counting = shared(counters, platform)
        now = Signal(max(self._now_bits()))
        m.d.sync += now.eq(now + 1)

        # Commands: both fetchers take the same ones; what cannot be run is taken and dropped.
        command = self.commands.payload
        legal = Signal()
        room = Signal()
        m.d.comb += [
            legal.eq(
                (command.m != 0)
                & (command.n_blocks != 0)
                & (command.k_blocks != 0)
                & (command.k_last != 0)
                & (command.k_last <= config.rows)
                & (command.addend.as_value() <= Addend.STREAM.value)
                & Cat(command.format == FORMATS[name].code for name in config.formats).any()
            ),
            room.eq(weight_fetch.commands.ready & activation_fetch.commands.ready),
            self.commands.ready.eq(room),
        ]
        for fetch in (weight_fetch, activation_fetch):
            m.d.comb += fetch.commands.payload.eq(command)
            m.d.comb += fetch.commands.valid.eq(self.commands.valid & legal & room)
        wiring.connect(m, weight_fetch.requests, wiring.flipped(self.weight_requests))
        wiring.connect(m, activation_fetch.requests, wiring.flipped(self.activation_requests))

        # Weights: one block is loaded, and waits until its first activations are issued.
        full = Signal()
        load = Signal()
        weight_tag = weight_fetch.tags.payload
        may_load = Signal()
        m.d.comb += [
            may_load.eq(weight_fetch.tags.valid & (~full | issue.swap)),
            self.weights.ready.eq(may_load),
            load.eq(may_load & self.weights.valid),
            weight_fetch.tags.ready.eq(load),
        ]
        with m.If(load & weight_tag.last):
            m.d.sync += full.eq(1)
        with m.Elif(issue.swap):
            m.d.sync += full.eq(0)

        # Activations: a row is issued when its tag, its operands and all that `Issue` asks for are there.
        tag = activation_fetch.tags.payload
        issued = Signal()
        m.d.comb += [
            issue.rows.payload.eq(tag),
            issue.rows.valid.eq(activation_fetch.tags.valid),
            issue.activations_valid.eq(self.activations.valid),
            issue.following_row.eq(activation_fetch.following.row),
            issue.follows.eq(activation_fetch.several),
            issue.incoming_row.eq(activation_fetch.incoming.row),
            issued.eq(issue.issued),
            activation_fetch.tags.ready.eq(issue.rows.ready),
            self.activations.ready.eq(issued),
            issue.full.eq(full),
            issue.addend_valid.eq(self.addends.valid),
            self.addends.ready.eq(issue.addend_ready),
        ]

        self._feed(m, platform, array, now, weight_tag, tag)
        m.d.comb += array.control.eq(
            delayed(m, Cat(issue.swap, load, weight_tag.row), Edge.LATENCY, name="control", reset=True)
        )

        # A row on its way: where its sum goes, and whether it is a result. (Bit n: issued n + 1 cycles ago.)
        returning = Signal(self.return_latency(config) - 1)
        emitting = Signal(self.total_latency(config) - 2)
        m.d.sync += returning.eq(Cat(issued & ~tag.emit, returning[:-1]))
        m.d.sync += emitting.eq(Cat(issued & tag.emit, emitting[:-1]))
        row_line = DelayLine(config.accumulator_bits, most=len(returning))
        m.submodules.row_line = shared(row_line, platform)
        m.d.comb += [row_line.now.eq(now), row_line.delay.eq(len(returning)), row_line.i.eq(tag.row)]
        m.d.comb += [issue.returned.eq(returning[-1]), issue.returned_row.eq(row_line.o)]

        inject = delayed(m, Cat(tag.row, tag.source), self.ACCUMULATOR_READ, name="inject", reset=True)
        written = returning[-1] | emitting[len(returning) - 1]
        collect = delayed(
            m,
            Cat(row_line.o, written),
            self.PARTIAL + config.rows * config.latency - len(returning),
            name="collect",
            reset=True,
        )
        drain = Drain(config)
        m.submodules.draining = shared(drain, platform)
        m.d.comb += [
            drain.issued.eq(issued & tag.emit),
            drain.row.eq(tag.row),
            drain.last.eq(tag.last),
            drain.complete.eq(emitting[-1]),
            drain.ready.eq(self.results.ready),
            issue.drained.eq(drain.read),
            issue.drained_row.eq(drain.read_row),
            self.results.valid.eq(drain.valid),
            self.results.payload.last.eq(drain.result_last),
        ]
        self._accumulators(m, platform, array, now, inject, collect, drain)

        m.d.comb += [
            issue.fetching.eq(activation_fetch.working | self.commands.valid),
            issue.waiting.eq(
                activation_fetch.tags.valid | (self.activation_requests.valid & ~self.activation_requests.ready)
            ),
            issue.held.eq(self.results.valid & ~self.results.ready),
            issue.result_waits.eq(self.results.valid),
            self.cause.eq(issue.cause),
            counters.cause.eq(issue.cause),
            counters.commands.eq(self.commands.valid & room & legal),
            counters.refused.eq(self.commands.valid & room & ~legal),
            counters.results.eq(self.results.valid & self.results.ready),
            self.counters.eq(counters.counts),
        ]
        return m

    def _now_bits(self):
        config = self.config
        longest = (
            DelayLine.LEAST + (config.rows - 1) * config.latency,
            DelayLine.LEAST + config.columns - 1,
            self.PARTIAL - 1 + config.columns - 1,
            self.return_latency(config) - 1,
        )
        return [(most - 1).bit_length() for most in longest]

    def _feed(self, m, platform, array, now, weight_tag, tag):
        """The operands' way to the array: unpacked, skewed."""
        config = self.config
        weights = Edge(config, lanes=config.columns, step=1)
        activations = Edge(config, lanes=config.rows, step=config.latency)
        m.submodules.weight_edge = shared(weights, platform)
        m.submodules.activation_edge = shared(activations, platform)
        m.d.comb += [
            weights.now.eq(now),
            weights.beat.eq(self.weights.payload),
            weights.format.eq(weight_tag.format),
            weights.used.eq(config.columns),
            activations.now.eq(now),
            activations.beat.eq(self.activations.payload),
            activations.format.eq(tag.format),
            activations.used.eq(tag.lanes),
            array.weights.eq(weights.operands),
            array.activations.eq(activations.operands),
        ]

    def _accumulators(self, m, platform, array, now, inject, collect, drain):
        """A column of accumulators for each column of cells, with the addends' skew."""
        config = self.config
        # An addend is used one cycle after the accumulator would be read, column by column.
        first = self.ACCUMULATOR_READ + 1
        for column in range(config.columns):
            accumulator = Accumulator(config, readable=self.readable)
            line = DelayLine(32, most=first + config.columns - 1)
            m.submodules[f"accumulator_{column}"] = shared(accumulator, platform)
            m.submodules[f"addend_line_{column}"] = shared(line, platform)
            m.d.comb += [
                line.now.eq(now),
                line.delay.eq(first + column),
                line.i.eq(self.addends.payload[column]),
                accumulator.inject.eq(inject),
                accumulator.collect.eq(collect),
                accumulator.addend.eq(line.o),
                accumulator.total.eq(array.partials_next.word_select(column, 32)),
                array.partials.word_select(column, 32).eq(accumulator.partial),
                accumulator.drain.eq(drain.read),
                accumulator.drain_row.eq(drain.read_row),
                self.results.payload.row[column].eq(accumulator.drained),
            ]
            if self.readable:
                m.d.comb += [
                    accumulator.read.eq(self.accumulators.read),
                    accumulator.read_row.eq(self.accumulators.row),
                    self.accumulators.sums[column].eq(accumulator.sum),
                ]
            inject, collect = accumulator.inject_next, accumulator.collect_next
