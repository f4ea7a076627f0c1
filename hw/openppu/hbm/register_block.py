"""The registers of a channel's controller, on a simple bus."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.register_block import access_layout, answer_layout, value_of
from openppu.hbm.config import ChannelConfig
from openppu.hbm.registers import ADDRESS_BITS, registers
from openppu.hbm.settings import settings_layout
from openppu.hbm.status import PowerUp, control_layout, counted_layout, status_layout


class Registers(wiring.Component):
    """Holds the settings of a channel, and shows its counters; ``docs/hbm-registers.md`` lists the registers.

    Latency: 2 clocks from request to response. Throughput: one access a clock. Accesses take effect in their order.

    Parameters
    ----------
    config : ChannelConfig
    start : PowerUp
        What the registers hold after a reset.

    Members
    -------
    requests : In(stream of access_layout)
    responses : Out(stream of answer_layout)
        One for each request, writes too, in their order.
    settings : Out(settings_layout)
        Constant while ``control.run`` is high.
    control : Out(control_layout(config))
    clear, start_test : Out(1)
        For one clock: forget the errors; begin the self-test in ``control.test``, if ``status.idle``.
    counted : In(counted_layout())
        Zero while ``control.run`` is low.
    status : In(status_layout(config))
    """

    def __init__(self, config: ChannelConfig, start: PowerUp | None = None):
        self.config = config
        self.start = start or PowerUp()
        held = {r.source: r.reset for r in registers(config, self.start) if r.source}
        control = {name: held["control", name] for name in ("run", "fill")}
        super().__init__(
            {
                "requests": In(stream.Signature(access_layout(ADDRESS_BITS))),
                "responses": Out(stream.Signature(answer_layout())),
                "settings": Out(settings_layout(), init=self.start.settings.values(config)),
                "control": Out(control_layout(config), init=control),
                "clear": Out(1),
                "start_test": Out(1),
                "counted": In(counted_layout()),
                "status": In(status_layout(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        request = Signal(access_layout(ADDRESS_BITS))
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
        run = self.control.run
        taken, taken_before = (Signal(counted_layout(), name=name) for name in ("taken", "taken_before"))
        with m.If(~run):
            m.d.sync += [taken.eq(0), taken_before.eq(0)]
        with m.Elif(freeze):
            m.d.sync += [taken.eq(self.counted), taken_before.eq(taken)]

        strobes = {"freeze": freeze, "clear": self.clear, "start": self.start_test}
        members = {"settings": self.settings, "control": self.control, "status": self.status, "counted": taken}
        found, before, stored = Signal(32), Signal(32), Signal(32)
        least, most = Signal(32), Signal(32)
        readable, writable, held, starts = Signal(), Signal(), Signal(), Signal()
        table = registers(self.config, self.start)
        with m.Switch(request.address):
            for register in table:
                with m.Case(register.offset):
                    m.d.comb += [
                        readable.eq(register.readable),
                        writable.eq(register.writable),
                        held.eq(register.held),
                        starts.eq(register.name == "start"),
                    ]
                    if not register.source:
                        m.d.comb += found.eq(register.reset)
                    elif register.readable:
                        bits = slice(register.low, register.low + register.bits)
                        value = value_of(members, register.source)[bits]
                        m.d.comb += found.eq(value)
                        if register.source[0] == "counted":
                            m.d.comb += before.eq(value_of({"counted": taken_before}, register.source)[bits])
                    if register.writable:
                        m.d.comb += [least.eq(register.allowed[0]), most.eq(register.allowed[-1])]
                        if register.readable:
                            m.d.comb += stored.eq(value)

        merged = Signal(32)
        reads, writes = Signal(), Signal()
        for byte in range(4):
            bits = slice(8 * byte, 8 * byte + 8)
            m.d.comb += merged[bits].eq(Mux(request.strobes[byte], request.data[bits], stored[bits]))
        m.d.comb += [
            reads.eq(~request.write & readable),
            writes.eq(
                request.write
                & writable
                & ~(held & run)
                & ~(starts & merged[0] & ~self.status.idle)
                & (merged >= least)
                & (merged <= most)
            ),
        ]
        with m.If(leave):
            m.d.sync += [
                self.responses.payload.data.eq(Mux(reads, found - before, 0)),
                self.responses.payload.error.eq(~reads & ~writes),
            ]
        with m.If(pending & leave & writes), m.Switch(request.address):
            for register in table:
                if register.writable:
                    with m.Case(register.offset):
                        if register.name in strobes:
                            m.d.comb += strobes[register.name].eq(merged[0])
                        else:
                            m.d.sync += value_of(members, register.source).eq(merged)
        return m
