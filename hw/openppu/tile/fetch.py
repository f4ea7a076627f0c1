"""Requests one operand of the tile's commands, and says what each answer is for."""

from amaranth import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.shared import shared
from openppu.config import TileConfig
from openppu.tile.command import Addend, command_layout
from openppu.tile.loop_nest import LoopNest, nest_layout
from openppu.tile.tag_queue import TagQueue

COMMAND_QUEUE = 2
"""Commands that wait in a fetcher, beside the one that it works on."""


def weight_tag_layout(config: TileConfig) -> data.StructLayout:
    """A row of weights: its place in the block, whether it is the block's last, its format."""
    return data.StructLayout({"row": range(config.rows), "last": 1, "format": 3})


def activation_tag_layout(config: TileConfig) -> data.StructLayout:
    """A row of activations: what it starts, which accumulators it adds to, and how many of its lanes count."""
    return data.StructLayout(
        {
            "first": 1,
            "row": config.accumulator_bits,
            "source": Addend,
            "emit": 1,
            "last": 1,
            "lanes": range(config.rows + 1),
            "format": 3,
        }
    )


class _Fetch(wiring.Component):
    """Queue of commands, loop nest, and the tags of the requests that are on their way.

    Latency: 2 cycles from a command to its first request; a tag is there from the cycle after its request was taken.
    Throughput: one request a cycle, at most ``config.outstanding`` of them on their way.

    Members
    -------
    commands : In(stream)
    requests : Out(stream of addresses)
    tags : Out(stream)
        One for each request, in order. Taken together with its answer.
    following, several, incoming : Out
        The tag after the one that is offered on ``tags``, if there are ``several``, and the next one that will be put.
    working : Out(1)
        A command waits or is being walked.
    """

    def __init__(self, config: TileConfig, *, tag: data.StructLayout, nest: data.StructLayout):
        self.config = config
        self.nest = nest
        super().__init__(
            {
                "commands": In(stream.Signature(command_layout(config))),
                "requests": Out(stream.Signature(config.address_bits)),
                "tags": Out(stream.Signature(tag)),
                "following": Out(tag),
                "several": Out(1),
                "incoming": Out(tag),
                "working": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        command = self.commands.payload
        m.submodules.queue = queue = TagQueue(self.nest, depth=COMMAND_QUEUE)
        loops = LoopNest(self.nest)
        m.submodules.loops = shared(loops, platform)
        m.submodules.pending = pending = TagQueue(self.tags.payload.shape(), depth=self.config.outstanding)

        nest = Signal(self.nest)
        self.fill_nest(m, nest, command)
        m.d.comb += [
            queue.i.payload.eq(nest),
            queue.i.valid.eq(self.commands.valid),
            self.commands.ready.eq(queue.i.ready),
            self.working.eq(queue.o.valid | loops.steps.valid),
        ]

        tag = Signal(self.tags.payload.shape())
        self.fill_tag(m, tag, loops.steps.payload)
        m.d.comb += [
            self.requests.payload.eq(loops.steps.payload.address),
            self.requests.valid.eq(loops.steps.valid & pending.i.ready),
            loops.steps.ready.eq(self.requests.ready & pending.i.ready),
            pending.i.payload.eq(tag),
            pending.i.valid.eq(loops.steps.valid & self.requests.ready),
            self.following.eq(pending.following),
            self.several.eq(pending.several),
            self.incoming.eq(tag),
        ]
        wiring.connect(m, queue.o, loops.nests)
        wiring.connect(m, pending.o, wiring.flipped(self.tags))
        return m


class WeightFetch(_Fetch):
    """Requests the rows of weights of each block: ``k_last`` of them in the last K block, else R."""

    def __init__(self, config: TileConfig):
        super().__init__(
            config,
            tag=weight_tag_layout(config),
            nest=nest_layout(
                outer=config.count_bits,
                middle=config.accumulator_bits + 1,
                inner=config.rows.bit_length(),
                address=config.address_bits,
                context=data.StructLayout({"format": 3}),
            ),
        )

    def fill_nest(self, m, nest, command):
        m.d.comb += [
            nest.outer.eq(command.k_blocks),
            nest.middle.eq(command.n_blocks),
            nest.inner.eq(self.config.rows),
            nest.inner_last.eq(command.k_last),
            nest.base.eq(command.b_base),
            nest.outer_stride.eq(command.b_k_stride),
            nest.middle_stride.eq(command.b_n_stride),
            nest.inner_stride.eq(command.b_row_stride),
            nest.context.format.eq(command.format),
        ]

    def fill_tag(self, m, tag, step):
        m.d.comb += [tag.row.eq(step.index), tag.last.eq(step.last_index), tag.format.eq(step.context.format)]


class ActivationFetch(_Fetch):
    """Requests the rows of activations of each block, again for every N block."""

    def __init__(self, config: TileConfig):
        super().__init__(
            config,
            tag=activation_tag_layout(config),
            nest=nest_layout(
                outer=config.count_bits,
                middle=config.accumulator_bits + 1,
                inner=config.accumulator_bits + 1,
                address=config.address_bits,
                context=data.StructLayout(
                    {
                        "format": 3,
                        "addend": Addend,
                        "emit": 1,
                        "k_last": range(config.rows + 1),
                    }
                ),
            ),
        )

    def fill_nest(self, m, nest, command):
        m.d.comb += [
            nest.outer.eq(command.k_blocks),
            nest.middle.eq(command.n_blocks),
            nest.inner.eq(command.m),
            nest.inner_last.eq(command.m),
            nest.start.eq(command.accumulator),
            nest.base.eq(command.a_base),
            nest.outer_stride.eq(command.a_k_stride),
            nest.middle_stride.eq(0),
            nest.inner_stride.eq(command.a_row_stride),
            nest.context.eq(Cat(command.format, command.addend, command.emit, command.k_last)),
        ]

    def fill_tag(self, m, tag, step):
        context = step.context
        m.d.comb += [
            tag.first.eq(step.index == 0),
            tag.row.eq(step.place),
            tag.source.eq(context.addend),
            tag.emit.eq(context.emit & step.outer_last),
            tag.last.eq(step.last),
            tag.lanes.eq(self.config.rows),
            tag.format.eq(context.format),
        ]
        with m.If(~step.outer_first):
            m.d.comb += tag.source.eq(Addend.ACCUMULATOR)
        with m.If(step.outer_last):
            m.d.comb += tag.lanes.eq(context.k_last)
