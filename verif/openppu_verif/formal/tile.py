"""Proofs that depend on the tile's size and latency, with the parts cut out that a claim is not about."""

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.hdl import Assume
from amaranth.lib import data
from openppu.config import TileConfig
from openppu.tile.array import Array
from openppu.tile.command import Addend
from openppu.tile.drain import Drain
from openppu.tile.fetch import ActivationFetch, WeightFetch
from openppu.tile.tile import Tile

from openppu_verif.formal.harness import Harness, choose, ones
from openppu_verif.formal.parts import busy_rows
from openppu_verif.formal.probe import Probe

DEEP = TileConfig(
    rows=2, columns=2, formats=("int8", "bf16"), latency=3, accumulators=8, address_bits=4, count_bits=4, outstanding=2
)
"""Like `openppu_verif.formal.parts.SMALL`, but a partial sum takes three cycles a row, and weights two."""

WIDE = TileConfig(
    rows=3, columns=3, formats=("int8", "bf16"), latency=5, accumulators=8, address_bits=4, count_bits=4, outstanding=3
)
"""Sizes that are no powers of two, and the longest latency."""


class TileHarness(Harness):
    """A tile whose fetchers are cut out: rows of activations and of weights come as they like.

    What the proofs of the fetchers guarantee is assumed: weight rows of a block come in order, up to R of them, and an
    activation row's lanes are as many as the rows of its block's weights.

    Attributes
    ----------
    config : TileConfig
    tile : Tile
    probe : Probe
        Of the tile.
    issued : Signal
        A row of activations enters.
    row : View of activation_tag_layout
        That row.
    load : Signal
        A row of weights is taken.
    weight : View of weight_tag_layout
        That row.
    """

    def __init__(self, config: TileConfig) -> None:
        super().__init__()
        m = self.m
        self.config = config
        self.tile = Tile(config)
        self.probe = Probe(self.tile)
        self.probe.replace(ActivationFetch, lambda fetch: Module())
        self.probe.replace(WeightFetch, lambda fetch: Module())
        m.submodules.tile = self.probe.fragment
        rows, weights = (self.probe.part(f"{name}_fetch").tags for name in ("activation", "weight"))
        self.row, self.weight = rows.payload, weights.payload
        self.issued, self.load = Signal(name="issued"), Signal(name="load")
        m.d.comb += [self.issued.eq(rows.valid & rows.ready), self.load.eq(weights.valid & weights.ready)]

        self.source("row", rows)
        self.source("weight_row", weights)
        for name in ("activations", "weights", "addends"):
            self.source(name, getattr(self.tile, name))
        self.drive(results_ready=self.tile.results.ready)
        # The formats only matter inside the cells.
        m.d.comb += [Assume(self.row.format == 0), Assume(self.weight.format == 0)]

        # A row of activations waits unchanged, and its accumulator was announced in the cycle before.
        fetch = self.probe.part("activation_fetch")
        self.drive(following_row=fetch.following.row, several=fetch.several, incoming_row=fetch.incoming.row)
        after = Mux(fetch.several, fetch.following.row, fetch.incoming.row)
        self.announced, self.any_announced = Signal(config.accumulator_bits, name="announced"), Signal()
        m.d.sync += self.announced.eq(Mux(rows.valid & ~self.issued, self.row.row, after))
        m.d.sync += self.any_announced.eq(1)
        m.d.comb += Assume(~rows.valid | (self.any_announced & (self.row.row == self.announced)))

        # Weights: the rows of a block in order.
        next_row = Signal(range(config.rows), name="next_weight_row")
        m.d.comb += [
            Assume(self.weight.row == next_row),
            Assume(self.weight.last | (next_row != config.rows - 1)),
        ]
        with m.If(self.load):
            m.d.sync += next_row.eq(Mux(self.weight.last, 0, next_row + 1))
        self.next_weight_row = next_row

        # Activations: blocks begin, and their lanes are as many as the rows of the weights that are loaded.
        loaded_rows = Signal(range(config.rows + 1), name="loaded_rows")
        lanes = Signal(range(config.rows + 1), name="lanes")
        started = Signal(name="started")
        with m.If(self.load & self.weight.last):
            m.d.sync += loaded_rows.eq(next_row + 1)
        with m.If(self.issued):
            m.d.sync += [lanes.eq(self.row.lanes), started.eq(1)]
        full = self.probe.part("issue").full
        m.d.comb += [
            Assume(self.row.first | started),
            Assume(
                self.row.lanes == Mux(self.row.first & full, loaded_rows, Mux(self.row.first, self.row.lanes, lanes))
            ),
        ]
        self.full, self.loaded_rows = full, loaded_rows


def weights(config: TileConfig) -> Harness:
    """Each cell multiplies each activation by its own block's weight, which is there before, and stays."""
    h = TileHarness(config)
    m = h.m
    latency, down = config.latency, max(1, config.latency - 1)
    first = h.issued & h.row.first

    # Weights as a tile without delays would hold them: loaded and in use, with the number of their block.
    width = len(Value.cast(h.tile.weights.payload))
    loading_block, issuing_block = Signal(2), Signal(2)
    m.d.sync += [loading_block.eq(loading_block + (h.load & h.weight.last)), issuing_block.eq(issuing_block + first)]
    h.check((loading_block - issuing_block)[:2] == h.full, ~h.full | (h.next_weight_row == 0))
    h.check(h.full, when=first)
    h.check(h.loaded_rows != 0, when=h.full)
    h.check(h.next_weight_row < config.rows, h.loaded_rows <= config.rows)
    loaded, used = [], []
    for row in range(config.rows):
        value, in_use = (Signal(width, name=f"{name}_{row}", reset_less=True) for name in ("loaded", "in_use"))
        block = Signal(2, name=f"block_{row}", reset_less=True)
        there, in_force = Signal(name=f"there_{row}"), Signal(name=f"in_force_{row}")
        with m.If(h.load & (h.weight.row == row)):
            m.d.sync += [value.eq(h.tile.weights.payload), block.eq(loading_block), there.eq(1)]
        with m.If(first):
            m.d.sync += [in_use.eq(value), in_force.eq(there)]
        current = Mux(h.full, row < h.loaded_rows, row < h.next_weight_row)
        h.check(there & (block == (loading_block - h.full)[:2]), when=current)
        h.check(there & (block == issuing_block), when=first & (row < h.row.lanes))
        loaded.append(Cat(there, value))
        used.append(Cat(in_force, in_use))

    # The cells, each as late as its place says.
    for row in range(config.rows):
        operand = len(h.tile.weights.payload[0])
        multiplied = 4 + row * latency
        for column in range(config.columns):
            cell = _cell(h.probe, row, column)
            multiply = h.probe.part(f"{cell}.multiply")
            name = f"cell_{row}_{column}"
            lane = Cat(h.issued, row < h.row.lanes, h.tile.activations.payload[row])
            was = h.history(lane, multiplied + column, f"{name}_lane")[-1]
            a = Mux(was[1], was[2:10].as_signed(), 0)
            h.check(multiply.a.factor == a, when=was[0])
            for name_of, signal, ideal, delay in (
                ("loaded", "loaded", loaded[row], 3 + row * down + column),
                ("in_use", "in_use", used[row], 3 + row * latency + column),
            ):
                past = h.history(ideal, delay, f"{name}_{name_of}")[-1]
                value = past[1:].word_select(column, operand)[:8].as_signed()
                operand_there = data.View(multiply.layout, h.probe.signal(cell, signal))
                h.check(operand_there.factor == value, when=past[0])
    return h


def sums(config: TileConfig) -> Harness:
    """Each row's sums are injected, with its own addends, and collected into its own accumulators; in the documented
    cycles alone."""
    h = TileHarness(config)
    through = config.rows * config.latency
    what = Cat(h.issued, h.row.row, h.row.source)
    past = h.history(what, 5 + through + config.columns, "issued")
    addends = h.history(h.tile.addends.payload, 4 + config.columns, "addends")
    h.probe.replace(Array, lambda array: Module())
    for column in range(config.columns):
        accumulator = h.probe.part(f"accumulator_{column}")
        entering = past[3 + column]
        h.check(accumulator.inject.as_value() == entering[1:], when=entering[0])
        # An addend joins one cycle later.
        joining = Cat(past[4 + column][0], past[4 + column][-2:] == Addend.STREAM)
        addend = addends[4 + column].word_select(column, 32)
        h.check(accumulator.addend == addend, when=joining.all())
        collect = accumulator.collect
        if column == 0:
            leaving = past[5 + through]
            h.check(collect.valid == leaving[0])
            h.check(collect.row == leaving[1 : 1 + config.accumulator_bits], when=leaving[0])
            collected = h.history(collect, config.columns, "collected", forget=False)
        h.check(collect.as_value() == collected[column])
    return h


def scoreboard(config: TileConfig) -> Harness:
    """An accumulator row is busy from issue until its sum is back, or its result read; it is never issued meanwhile."""
    h = TileHarness(config)
    m = h.m
    h.probe.replace(Array, lambda array: Module())
    back = config.rows * config.latency + 3
    readable = config.rows * config.latency + config.columns + 5
    busy = busy_rows(h.probe, "issue")

    # One row of accumulators stands for all: when was it issued, and is its sum back?
    watched = h.fixed("watched", config.accumulator_bits)
    flying, emitted = Signal(), Signal()
    age = Signal(range(readable + 1))

    # The drain, as its own proof guarantees: what it reads is complete, waits, and is the oldest.
    h.probe.replace(Drain, lambda drain: Module())
    drain = h.probe.part("draining")
    h.drive(read=drain.read, read_row=drain.read_row)
    emit = h.issued & h.row.emit
    count, complete, place = (Signal(range(config.accumulators + 1)) for _ in range(3))
    results = Signal(config.accumulators)
    m.d.sync += [
        count.eq(count + emit - drain.read),
        complete.eq(complete + drain.complete - drain.read),
        place.eq(Mux(emit & (h.row.row == watched), count, place) - drain.read),
        results.eq((results | Mux(emit, Const(1) << h.row.row, 0)) & ~Mux(drain.read, Const(1) << drain.read_row, 0)),
    ]
    with m.If(drain.read):
        m.d.comb += [
            Assume((complete != 0) & results.bit_select(drain.read_row, 1)),
            Assume((drain.read_row == watched) == (flying & emitted & (place == 0))),
        ]
    read = drain.read & (drain.read_row == watched)
    with m.If(flying & (age != readable)):
        m.d.sync += age.eq(age + 1)
    with m.If((flying & ~emitted & (age == back - 1)) | read):
        m.d.sync += flying.eq(0)
    with m.If(h.issued & (h.row.row == watched)):
        m.d.sync += [flying.eq(1), emitted.eq(h.row.emit), age.eq(1)]
    h.check(~flying, when=h.issued & (h.row.row == watched))
    h.check(busy.bit_select(watched, 1) == flying)
    h.check(flying & emitted & (age == readable), when=read)

    # Invariants, first of the rows that are no results: they are on their way, busy, and no two are the same.
    returning = h.probe.signal("", "returning")
    past = h.history(Cat(h.issued & ~h.row.emit, h.row.row), len(returning), "past")
    line = h.probe.part("row_line")
    lines = h.memory("tile.row_line.memory", rows=1 << line.time_bits, width=config.accumulator_bits)
    for cycles, was in list(enumerate(past))[1:]:
        on_way, row = was[0], was[1:]
        h.check(returning[cycles - 1] == on_way)
        h.check(busy.bit_select(row, 1), ~results.bit_select(row, 1), when=on_way)
        h.check(choose(lines, (line.now - cycles)[: line.time_bits]) == row, when=on_way)
        for other in past[cycles + 1 :]:
            h.check(other[1:] != row, when=on_way & other[0])
        h.check((flying & ~emitted & (age == cycles)) == (on_way & (row == watched)))
    h.check(line.o == past[-1][1:], when=past[-1][0])

    # Then of the results: each waits once in the drain, and what is behind it is younger.
    h.check((results & ~busy) == 0, ones(results) == count, results.bit_select(watched, 1) == (flying & emitted))
    emitting = h.probe.signal("", "emitting")
    since = (age - 1)[: len(age)]
    younger = emitting & ((Const(1) << since) - 1)
    h.check(complete + ones(emitting) == count)
    h.check(place < count, when=flying & emitted)
    h.check(emitting.bit_select(since, 1), ones(younger) == count - 1 - place, when=flying & emitted & (age < readable))
    row_busy = h.probe.signal("issue", "row_busy")
    h.check(row_busy == busy.bit_select(h.announced, 1), when=h.any_announced)
    h.check((age >= 1) & (age <= readable) & (emitted | (age < back)), when=flying)
    return h


def _cell(probe: Probe, row: int, column: int) -> str:
    """The path of a cell."""
    height = len(probe.names("array.band_0"))
    return f"array.band_{row // height}.row_{row % height}.cell_{column}"
