"""Proofs of the tile's small parts: delay line, command queue, loop nest, drain, issue."""

from amaranth import Cat, Const, Mux, Signal, Value, unsigned
from amaranth.hdl import Assume
from openppu.common.delay_line import DelayLine
from openppu.config import TileConfig
from openppu.tile.accumulator import Accumulator
from openppu.tile.command import Addend, Cause
from openppu.tile.drain import Drain
from openppu.tile.issue import Issue
from openppu.tile.loop_nest import LoopNest, nest_layout

from openppu_verif.formal.harness import Harness, Watch, bits, choose, modulo, ones
from openppu_verif.formal.probe import Probe

SMALL = TileConfig(
    rows=2, columns=2, formats=("int8",), latency=1, accumulators=8, address_bits=4, count_bits=4, outstanding=2
)
"""The least that has more than one of everything."""


def delay_line() -> Harness:
    """For each delay, ``o`` is what ``i`` was so many cycles before."""
    h = Harness()
    most = 5
    h.m.submodules.dut = line = DelayLine(2, most=most)
    h.drive(i=line.i)
    delay = h.fixed("delay", 3)
    time = Signal(3)
    age = Signal(range(most + 1))
    past = h.history(line.i, most, "past")
    h.m.d.sync += time.eq(time + 1)
    h.m.d.comb += [Assume((delay >= line.LEAST) & (delay <= most)), line.delay.eq(delay), line.now.eq(time)]
    with h.m.If(age < most):
        h.m.d.sync += age.eq(age + 1)
    h.check(line.o == choose(past, delay), when=age >= delay)
    return h


def loop_nest() -> Harness:
    """Each step is the one that three nested loops would make, with address and flags; no nest is lost."""
    h = Harness()
    m = h.m
    probe = Probe(LoopNest(nest_layout(outer=2, middle=2, inner=2, address=4, context=unsigned(1))))
    m.submodules.dut = probe.fragment
    loops = probe.part("")
    given, step = loops.nests.payload, loops.steps.payload
    h.source("nests", loops.nests)
    h.drive(steps_ready=loops.steps.ready)
    m.d.comb += [Assume(given[count] != 0) for count in ("outer", "middle", "inner", "inner_last")]

    # The loops as anyone would write them: a nest and three indices.
    nest = Signal(loops.nest)
    walking = Signal()
    outer, middle, inner, turns = (Signal(2, name=name) for name in ("outer", "middle", "inner", "turns"))
    inner_ends, middle_ends, outer_ends = (Signal(name=f"{name}_ends") for name in ("inner", "middle", "outer"))
    taken = loops.steps.valid & loops.steps.ready
    m.d.comb += [
        outer_ends.eq(outer + 1 == nest.outer),
        middle_ends.eq(middle + 1 == nest.middle),
        turns.eq(nest.inner),
        inner_ends.eq(inner + 1 == turns),
    ]
    with m.If(outer_ends):
        m.d.comb += turns.eq(nest.inner_last)
    with m.If(taken):
        m.d.sync += inner.eq(inner + 1)
        with m.If(inner_ends):
            m.d.sync += [inner.eq(0), middle.eq(middle + 1)]
            with m.If(middle_ends):
                m.d.sync += [middle.eq(0), outer.eq(outer + 1)]
                with m.If(outer_ends):
                    m.d.sync += walking.eq(0)
    with m.If(loops.nests.valid & loops.nests.ready):
        m.d.sync += [nest.eq(given), walking.eq(1), outer.eq(0), middle.eq(0), inner.eq(0)]

    last = inner_ends & middle_ends & outer_ends
    outer_base, middle_base, address = (Signal(4, name=name) for name in ("outer_base", "middle_base", "address"))
    m.d.comb += [
        outer_base.eq(nest.base + outer * nest.outer_stride),
        middle_base.eq(outer_base + middle * nest.middle_stride),
        address.eq(middle_base + inner * nest.inner_stride),
    ]
    h.check(loops.steps.valid == walking, loops.nests.ready == (~walking | (taken & last)))
    h.check(
        step.address == address,
        step.index == inner,
        step.last_index == inner_ends,
        step.place == (nest.start + middle * turns + inner)[:2],
        step.outer_first == (outer == 0),
        step.outer_last == outer_ends,
        step.last == last,
        step.context == nest.context,
        # Invariants: what the design keeps agrees with the indices.
        (nest.outer != 0) & (nest.middle != 0) & (nest.inner != 0) & (nest.inner_last != 0),
        (outer < nest.outer) & (middle < nest.middle) & (inner < turns),
        Value.cast(probe.signal("", "nest")) == Value.cast(nest),
        probe.signal("", "middle_last") == middle_ends,
        probe.signal("", "outer") == nest.outer - outer,
        probe.signal("", "middle") == nest.middle - middle,
        probe.signal("", "inner") == turns - inner,
        probe.signal("", "outer_base") == outer_base,
        probe.signal("", "middle_base") == middle_base,
        when=walking,
    )
    h.check_waits("steps", loops.steps)
    return h


def drain() -> Harness:
    """Results are read in order of issue, each once, when they are complete and not before, and wait until taken."""
    h = Harness()
    m = h.m
    most = SMALL.accumulators
    probe = Probe(Drain(SMALL))
    m.submodules.dut = probe.fragment
    dut = probe.part("")
    h.drive(issued=dut.issued, row=dut.row, last=dut.last, complete=dut.complete, ready=dut.ready)
    watch = Watch(h, "row", bits(dut.row, dut.last), enters=dut.issued, leaves=dut.read, most=most)
    flying = Signal(range(most + 1))
    complete = Signal(range(most + 1))
    offered = Signal()
    offers_watched = Signal()
    last = Signal()
    m.d.comb += complete.eq(watch.count - flying)
    m.d.sync += [
        flying.eq(flying + dut.issued - dut.complete),
        offered.eq(dut.read | (offered & ~dut.ready)),
        offers_watched.eq((dut.read & watch.is_next) | (offers_watched & ~dut.ready)),
    ]
    with m.If(dut.read):
        m.d.sync += last.eq(watch.item[-1])
    # The scoreboard lets no more rows in than there are accumulators; what is complete was issued.
    m.d.comb += [Assume(~dut.issued | (watch.count < most)), Assume(~dut.complete | (flying != 0))]
    h.check(dut.read == ((complete != 0) & (~offered | dut.ready)), dut.valid == offered)
    h.check(dut.read_row == watch.item[:-1], when=dut.read & watch.is_next)
    h.check(dut.result_last == last, when=offers_watched)
    # Invariants: the queue is a memory and a register behind it; the watched row is where its place says.
    queue = probe.part("queue")
    produce, consume, inner = (probe.signal("queue", name) for name in ("produce", "consume", "inner_level"))
    memory = h.memory("dut.queue.storage", rows=most - 1, width=len(watch.item))
    place_in_memory = Signal(range(2 * most))
    m.d.comb += place_in_memory.eq(consume + watch.place - queue.r_rdy)
    at_register = queue.r_rdy & watch.is_next
    h.check(inner == watch.count - queue.r_rdy, queue.r_rdy | (inner <= 1), queue.r_rdy | (complete == 0))
    h.check(produce < most - 1, consume < most - 1, produce == modulo(consume + inner, most - 1))
    h.check(queue.r_data == watch.item, when=at_register)
    h.check(choose(memory, modulo(place_in_memory, most - 1)) == watch.item, when=watch.inside & ~at_register)
    h.check(
        flying <= watch.count,
        probe.signal("", "done") == complete,
        probe.signal("", "any_done") == (complete != 0),
        offered | ~offers_watched,
    )
    return h


def busy_rows(probe: Probe, path: str) -> Value:
    """One bit for each row of accumulators: those that are marked, and the one that was issued in the last cycle."""
    marked, went, row = (probe.signal(path, name) for name in ("busy", "went", "went_row"))
    return (marked | (went << row))[: len(marked)]


def issue() -> Harness:
    """Who is issued, and each cycle's cause, are as documented; an accumulator is busy from issue to return."""
    h = Harness()
    m = h.m
    probe = Probe(Issue(SMALL))
    m.submodules.dut = probe.fragment
    dut = probe.part("")
    inputs = ("activations_valid", "full", "addend_valid", "fetching", "waiting", "held", "result_waits")
    rows = ("returned", "returned_row", "drained", "drained_row", "following_row", "follows", "incoming_row")
    h.drive(**{name: getattr(dut, name) for name in (*inputs, *rows)})
    h.source("rows", dut.rows)
    tag = dut.rows.payload
    issued = dut.rows.valid & dut.rows.ready
    # The fetcher's guarantee: a row was announced in the cycle before.
    announced, any_announced = Signal(SMALL.accumulator_bits), Signal()
    kept = dut.rows.valid & ~issued
    after = Mux(dut.follows, dut.following_row, dut.incoming_row)
    m.d.sync += [announced.eq(Mux(kept, tag.row, after)), any_announced.eq(1)]
    m.d.comb += Assume(~dut.rows.valid | (any_announced & (tag.row == announced)))

    # One accumulator stands for all.
    watched = h.fixed("watched", SMALL.accumulator_bits)
    busy = Signal()
    all_busy = busy_rows(probe, "")
    freed = (dut.returned & (dut.returned_row == watched)) | (dut.drained & (dut.drained_row == watched))
    # What comes back is on its way.
    m.d.comb += Assume(~dut.returned | all_busy.bit_select(dut.returned_row, 1))
    m.d.comb += Assume(~dut.drained | all_busy.bit_select(dut.drained_row, 1))
    m.d.comb += Assume(~(dut.returned & dut.drained) | (dut.returned_row != dut.drained_row))
    m.d.sync += busy.eq((busy | (issued & (tag.row == watched))) & ~freed)
    h.check(all_busy.bit_select(watched, 1) == busy, ~(issued & (tag.row == watched) & busy))

    there = dut.rows.valid & dut.activations_valid
    lacks_weights = tag.first & ~dut.full
    takes_addend = tag.source == Addend.STREAM
    lacks_addend = takes_addend & ~dut.addend_valid
    row_busy = all_busy.bit_select(tag.row, 1)
    h.check(
        issued == (there & ~lacks_weights & ~lacks_addend & ~row_busy),
        dut.issued == issued,
        dut.swap == (issued & tag.first),
        (dut.addend_ready & dut.addend_valid) == (issued & takes_addend),
    )
    causes = [
        (Cause.COMPUTE, issued),
        (Cause.WEIGHTS, there & lacks_weights),
        (Cause.ADDENDS, there & lacks_addend),
        (Cause.OUTPUT, there & row_busy & dut.held),
        (Cause.DEPENDENCE, there & row_busy),
        (Cause.ACTIVATIONS, dut.waiting),
        (Cause.FILL, dut.fetching),
        (Cause.DRAIN, all_busy.any() | dut.result_waits),
        (Cause.IDLE, Const(1)),
    ]
    for place, (cause, holds) in enumerate(causes):
        earlier = Cat(before for _, before in causes[:place]).any()
        h.check((dut.cause == cause) == (holds & ~earlier))
    # Invariants.
    h.check(probe.signal("", "in_flight") == ones(all_busy))
    h.check(probe.signal("", "row_busy") == all_busy.bit_select(announced, 1), when=any_announced)
    return h


def accumulator() -> Harness:
    """A column injects zero, the addend, or what was last collected into the row, and gives that when it is read."""
    h = Harness()
    m = h.m
    config = SMALL
    m.submodules.dut = dut = Accumulator(config, readable=True)
    names = ("inject", "collect", "addend", "total", "drain", "drain_row", "read", "read_row")
    h.drive(**{name: getattr(dut, name) for name in names})
    # One row stands for all.
    watched = h.fixed("watched", config.accumulator_bits)
    stored = Signal(32, reset_less=True)
    with m.If(dut.collect.valid & (dut.collect.row == watched)):
        m.d.sync += stored.eq(dut.total)
    for name, reads, row, given in (
        ("drained", dut.drain, dut.drain_row, dut.drained),
        ("read", dut.read, dut.read_row, dut.sum),
    ):
        was, expected = Signal(name=f"was_{name}", reset_less=True), Signal(32, name=f"{name}_then", reset_less=True)
        with m.If(reads):
            m.d.sync += [was.eq(row == watched), expected.eq(stored)]
        h.check(given == expected, when=was)

    injected = h.history(Cat(dut.inject.source, dut.inject.row == watched, stored), 2, "injected")
    source, is_watched, sum_then = injected[2][:2], injected[2][2], injected[2][3:]
    addend = h.history(dut.addend, 1, "addend")[1]
    began = h.history(Const(1), 2, "began")[2]
    h.check(dut.partial == 0, when=began & (source == Addend.ZERO))
    h.check(dut.partial == addend, when=began & (source == Addend.STREAM))
    h.check(dut.partial == sum_then, when=began & (source == Addend.ACCUMULATOR) & is_watched)
    passed = h.history(Cat(dut.inject, dut.collect), 1, "passed", forget=False)[1]
    h.check(Cat(dut.inject_next, dut.collect_next) == passed, when=h.history(Const(1), 1, "ran")[1])
    # Invariant.
    rows = h.memory("dut.memory", rows=config.accumulators, width=32)
    h.check(choose(rows, watched) == stored)
    return h
