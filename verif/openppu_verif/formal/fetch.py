"""Proofs of the two fetchers: what is asked for, and what each answer is for."""

from collections.abc import Callable

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import data
from openppu.config import TileConfig
from openppu.tile.command import Addend
from openppu.tile.fetch import COMMAND_QUEUE, ActivationFetch, WeightFetch

from openppu_verif.formal.harness import Harness, Watch, choose, modulo
from openppu_verif.formal.probe import Probe

Fill = Callable[[Module, data.View, data.View], None]


def weight_fetch(config: TileConfig) -> Harness:
    """Weights: each command becomes its nest, each request a tag, in order, each once, never too many on the way."""

    def nest_of(m: Module, nest: data.View, command: data.View) -> None:
        m.d.comb += [
            nest.outer.eq(command.k_blocks),
            nest.middle.eq(command.n_blocks),
            nest.inner.eq(config.rows),
            nest.inner_last.eq(command.k_last),
            nest.base.eq(command.b_base),
            nest.outer_stride.eq(command.b_k_stride),
            nest.middle_stride.eq(command.b_n_stride),
            nest.inner_stride.eq(command.b_row_stride),
            nest.context.format.eq(command.format),
        ]

    def tag_of(m: Module, tag: data.View, step: data.View) -> None:
        m.d.comb += [tag.row.eq(step.index), tag.last.eq(step.last_index), tag.format.eq(step.context.format)]

    return _fetch(config, WeightFetch(config), nest_of, tag_of)


def activation_fetch(config: TileConfig) -> Harness:
    """Activations: the same; a row's accumulator, addend, lanes and whether it is a result are as documented."""

    def nest_of(m: Module, nest: data.View, command: data.View) -> None:
        m.d.comb += [
            nest.outer.eq(command.k_blocks),
            nest.middle.eq(command.n_blocks),
            nest.inner.eq(command.m),
            nest.inner_last.eq(command.m),
            nest.base.eq(command.a_base),
            nest.outer_stride.eq(command.a_k_stride),
            nest.middle_stride.eq(0),
            nest.inner_stride.eq(command.a_row_stride),
            nest.start.eq(command.accumulator),
            *(nest.context[name].eq(command[name]) for name in ("format", "addend", "emit", "k_last")),
        ]

    def tag_of(m: Module, tag: data.View, step: data.View) -> None:
        context = step.context
        m.d.comb += [
            tag.first.eq(step.index == 0),
            tag.row.eq(step.place),
            tag.source.eq(Mux(step.outer_first, context.addend, Addend.ACCUMULATOR)),
            tag.emit.eq(context.emit & step.outer_last),
            tag.last.eq(step.last),
            tag.lanes.eq(Mux(step.outer_last, context.k_last, config.rows)),
            tag.format.eq(context.format),
        ]

    return _fetch(config, ActivationFetch(config), nest_of, tag_of)


def _fetch(config: TileConfig, fetch: WeightFetch | ActivationFetch, nest_of: Fill, tag_of: Fill) -> Harness:
    h = Harness()
    probe = Probe(fetch)
    h.m.submodules.dut = probe.fragment
    loops = probe.part("loops")
    h.source("commands", fetch.commands)
    h.drive(requests_ready=fetch.requests.ready, tags_ready=fetch.tags.ready)

    nest = Signal(fetch.nest, name="expected_nest")
    nest_of(h.m, nest, fetch.commands.payload)
    commands = Watch(
        h,
        "command",
        nest,
        enters=fetch.commands.valid & fetch.commands.ready,
        leaves=loops.nests.valid & loops.nests.ready,
        most=COMMAND_QUEUE,
    )
    h.check(fetch.commands.ready == (commands.count < COMMAND_QUEUE), loops.nests.valid == (commands.count != 0))
    h.check(loops.nests.payload.as_value() == commands.item, when=commands.is_next)

    tag = Signal(fetch.tags.payload.shape(), name="expected_tag")
    tag_of(h.m, tag, loops.steps.payload)
    requested = fetch.requests.valid & fetch.requests.ready
    requests = Watch(
        h,
        "request",
        tag,
        enters=requested,
        leaves=fetch.tags.valid & fetch.tags.ready,
        most=config.outstanding,
    )
    h.check(
        fetch.requests.valid == (loops.steps.valid & (requests.count < config.outstanding)),
        requested == (loops.steps.valid & loops.steps.ready),
        fetch.tags.valid == (requests.count != 0),
        fetch.working == ((commands.count != 0) | loops.steps.valid),
    )
    h.check(fetch.requests.payload == loops.steps.payload.address, when=fetch.requests.valid)
    h.check(fetch.tags.payload.as_value() == requests.item, when=requests.is_next)
    h.check_waits("requests", fetch.requests)
    h.check_waits("tags", fetch.tags)

    # What the next tag will be is known in the cycle before.
    kept = fetch.tags.valid & ~fetch.tags.ready
    next_tag = Mux(kept, fetch.tags.payload, Mux(fetch.several, fetch.following, fetch.incoming))
    announced, any_announced = Signal.like(fetch.tags.payload.as_value()), Signal()
    h.m.d.sync += [announced.eq(next_tag), any_announced.eq(1)]
    h.check(any_announced & (fetch.tags.payload.as_value() == announced), when=fetch.tags.valid)

    _queue_invariants(h, probe, "queue", commands, COMMAND_QUEUE)
    _queue_invariants(h, probe, "pending", requests, config.outstanding)
    return h


def _queue_invariants(h: Harness, probe: Probe, path: str, watch: Watch, depth: int) -> None:
    """The watched item of a `TagQueue` is where its place says."""
    queue = probe.part(path)
    level, full = (probe.signal(path, name) for name in ("level", "full"))
    h.check(level == watch.count, full == (watch.count == depth))
    h.check(queue.o.valid == (watch.count != 0), queue.several == (watch.count > 1))
    h.check(Value.cast(queue.following) == watch.item, when=watch.inside & (watch.place == 1))
    if depth > 2:
        consume, produce = (probe.signal(path, name) for name in ("consume", "produce"))
        rows = h.memory(f"dut.{path}.storage", rows=depth, width=len(watch.item))
        h.check(consume < depth, produce == modulo(consume + level, depth))
        h.check(choose(rows, modulo(consume + watch.place, depth)) == watch.item, when=watch.inside)
