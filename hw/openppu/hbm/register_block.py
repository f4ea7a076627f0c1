"""The registers of a channel's controller, on a simple bus."""

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.hbm.accounts import counters_layout
from openppu.hbm.config import ChannelConfig
from openppu.hbm.phy import PSEUDO_CHANNELS
from openppu.hbm.registers import ADDRESS_BITS, registers
from openppu.hbm.settings import Settings, settings_layout


def access_layout() -> data.StructLayout:
    """An access: the address in bytes; of a write, the bytes whose strobe is high."""
    return data.StructLayout({"address": ADDRESS_BITS, "write": 1, "data": 32, "strobes": 4})


def answer_layout() -> data.StructLayout:
    """What a read found, or zeros; with ``error`` nothing was read or written."""
    return data.StructLayout({"data": 32, "error": 1})


class Registers(wiring.Component):
    """Holds the settings of a channel, and shows its counters; ``docs/hbm-registers.md`` lists the registers.

    Latency: 2 clocks from request to response. Throughput: one access a clock. Accesses take effect in their order.

    Parameters
    ----------
    config : ChannelConfig

    Members
    -------
    requests : In(stream of access_layout)
    responses : Out(stream of answer_layout)
        One for each request, writes too, in their order.
    settings : Out(settings_layout)
        Constant while ``run`` is high.
    run : Out(1)
        Low after reset: the channel is to be held in reset.
    counters : In(counters_layout), array of one a pseudo-channel
        Zero while ``run`` is low.
    lost, stray : In(1), array of one a pseudo-channel
    running : In(1)
        All as `openppu.hbm.channel.Channel` gives them.
    """

    def __init__(self, config: ChannelConfig):
        self.config = config
        super().__init__(
            {
                "requests": In(stream.Signature(access_layout())),
                "responses": Out(stream.Signature(answer_layout())),
                "settings": Out(settings_layout(), init=Settings().values()),
                "run": Out(1),
                "counters": In(counters_layout()).array(PSEUDO_CHANNELS),
                "lost": In(1).array(PSEUDO_CHANNELS),
                "stray": In(1).array(PSEUDO_CHANNELS),
                "running": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        request = Signal(access_layout())
        pending = Signal()
        leave = Signal()
        m.d.comb += [
            leave.eq(~self.responses.valid | self.responses.ready),
            self.requests.ready.eq(~pending | leave),
        ]
        with m.If(self.requests.ready):
            m.d.sync += [pending.eq(self.requests.valid), request.eq(self.requests.payload)]
        with m.If(leave):
            m.d.sync += self.responses.valid.eq(pending)

        freeze = Signal()
        taken = Signal(data.ArrayLayout(counters_layout(), PSEUDO_CHANNELS))
        taken_before = Signal.like(taken)
        with m.If(~self.run):
            m.d.sync += [taken.eq(0), taken_before.eq(0)]
        with m.Elif(freeze):
            m.d.sync += [taken.eq(Cat(self.counters)), taken_before.eq(taken)]

        shown = {
            "run": self.run,
            "running": self.running,
            "lost": Cat(self.lost),
            "stray": Cat(self.stray),
        }
        table = []
        for register in registers(self.config):
            group, _, name = register.name.rpartition(".")
            before = 0
            if group.startswith("pc"):
                pc = int(group.removeprefix("pc"))
                value, before = taken[pc][name], taken_before[pc][name]
            elif register.held:
                value = Value.cast((self.settings.timing if group else self.settings)[name])
            else:
                value = shown.get(name, register.reset)
            table.append((register, value, before))

        found, before, stored = Signal(32), Signal(32), Signal(32)
        least, most = Signal(32), Signal(32)
        readable, writable, held = Signal(), Signal(), Signal()
        with m.Switch(request.address):
            for register, value, value_before in table:
                with m.Case(register.offset):
                    m.d.comb += [
                        found.eq(value),
                        before.eq(value_before),
                        readable.eq(register.readable),
                        writable.eq(register.writable),
                        held.eq(register.held),
                    ]
                    if register.writable:
                        m.d.comb += [stored.eq(value), least.eq(register.allowed[0]), most.eq(register.allowed[-1])]

        merged = Signal(32)
        reads, writes = Signal(), Signal()
        for byte in range(4):
            bits = slice(8 * byte, 8 * byte + 8)
            m.d.comb += merged[bits].eq(Mux(request.strobes[byte], request.data[bits], stored[bits]))
        m.d.comb += [
            reads.eq(~request.write & readable),
            writes.eq(request.write & writable & ~(held & self.run) & (merged >= least) & (merged <= most)),
        ]
        with m.If(leave):
            m.d.sync += [
                self.responses.payload.data.eq(Mux(reads, found - before, 0)),
                self.responses.payload.error.eq(~reads & ~writes),
            ]
        with m.If(pending & leave & writes), m.Switch(request.address):
            for register, value, _ in table:
                if register.writable:
                    with m.Case(register.offset):
                        if register.name == "freeze":
                            m.d.comb += freeze.eq(merged[0])
                        else:
                            m.d.sync += value.eq(merged)
        return m
