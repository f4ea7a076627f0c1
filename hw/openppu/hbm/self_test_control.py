"""Decides what the self-test does, and from when on others may use the memory."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.hbm.config import MOST_ACCESSES, ChannelConfig
from openppu.hbm.self_test import Operation, command_layout


class SelfTestControl(wiring.Component):
    """Fills the memory with zeros once it runs, as far as it is told, then takes commands, one at a time.

    Members
    -------
    running : In(1)
        The device takes commands; stays high.
    fill : In(range)
        Accesses, from address 0, to fill. Constant.
    command : In(command_layout(config))
    start : In(1)
        Begin ``command``; only while ``idle``.
    ready : Out(1)
        The memory is filled; stays high.
    idle : Out(1)
        ``ready``, and no command is being carried out.
    commands : Out(stream of command_layout(config))
    done : In(1)
        The self-test gives the record of a command.
    """

    def __init__(self, config: ChannelConfig):
        self.config = config
        super().__init__(
            {
                "running": In(1),
                "fill": In(range(config.accesses + 1)),
                "command": In(command_layout(config)),
                "start": In(1),
                "ready": Out(1),
                "idle": Out(1),
                "commands": Out(stream.Signature(command_layout(config))),
                "done": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        filling = Signal(command_layout(self.config))
        under_way = Signal()
        m.d.comb += [
            filling.operation.eq(Operation.FILL_ZEROS),
            filling.accesses.eq(self.fill),
            filling.last.eq(MOST_ACCESSES - 1),
            filling.stride.eq(MOST_ACCESSES),
            self.commands.payload.eq(Mux(self.ready, self.command.as_value(), filling.as_value())),
            self.commands.valid.eq(self.running & ~under_way & (self.start | ~self.ready)),
            self.idle.eq(self.ready & ~under_way),
        ]
        with m.If(self.commands.valid & self.commands.ready):
            m.d.sync += under_way.eq(1)
        with m.If(self.done):
            m.d.sync += [under_way.eq(0), self.ready.eq(1)]
        return m
