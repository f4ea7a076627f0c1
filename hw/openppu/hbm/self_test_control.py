"""Hands the commands of software to the self-test."""

from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.hbm.config import ChannelConfig
from openppu.hbm.self_test import command_layout


class SelfTestControl(wiring.Component):
    """Takes commands once the memory is ready, one at a time.

    Members
    -------
    ready : In(1)
        The memory is filled; stays high.
    command : In(command_layout(config))
    start : In(1)
        Begin ``command``; only while ``idle``.
    idle : Out(1)
        ``ready``, and no command is being carried out.
    busy : Out(1)
        A command is being carried out.
    commands : Out(stream of command_layout(config))
        Taken at once.
    done : In(1)
        The self-test gives the record of a command.
    """

    def __init__(self, config: ChannelConfig):
        self.config = config
        super().__init__(
            {
                "ready": In(1),
                "command": In(command_layout(config)),
                "start": In(1),
                "idle": Out(1),
                "busy": Out(1),
                "commands": Out(stream.Signature(command_layout(config))),
                "done": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [
            self.idle.eq(self.ready & ~self.busy),
            self.commands.payload.eq(self.command),
            self.commands.valid.eq(self.start & self.idle),
        ]
        with m.If(self.commands.valid & self.commands.ready):
            m.d.sync += self.busy.eq(1)
        with m.If(self.done):
            m.d.sync += self.busy.eq(0)
        return m
