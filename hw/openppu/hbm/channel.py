"""The controller of one channel."""

from amaranth import Cat, Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.shared import shared
from openppu.hbm.accounts import counters_layout
from openppu.hbm.commands import ColumnCommand
from openppu.hbm.config import ChannelConfig
from openppu.hbm.crossbar import Crossbar
from openppu.hbm.layouts import acknowledge_layout, request_layout, response_layout, write_word_layout
from openppu.hbm.phy import PSEUDO_CHANNELS, PhySignature
from openppu.hbm.port import Port
from openppu.hbm.power import Power, power_layout
from openppu.hbm.pseudo_channel import PseudoChannel
from openppu.hbm.read_path import ReadPath, error_layout
from openppu.hbm.row_bus import RowArbiter
from openppu.hbm.settings import settings_layout
from openppu.hbm.startup import RESET_CLOCKS, Startup
from openppu.hbm.write_buffer import WriteBuffer
from openppu.hbm.write_path import WritePath


class Channel(wiring.Component):
    """Request ports on one side, the PHY of two pseudo-channels on the other. ``docs/hbm.md`` describes it.

    Latency: from a read on an idle port to its ACT 4 clocks; from its word at the PHY to its response 3.
    Throughput: an access a clock for each pseudo-channel, and for each port.

    Parameters
    ----------
    config : ChannelConfig
    reset_clocks : int
        As for `openppu.hbm.startup.Startup`.

    Members
    -------
    settings : In(settings_layout)
        Constant, unless the channel is in reset.
    requests : In(stream of request_layout), array of one a port
    words : In(stream of write_word_layout), likewise
    responses : Out(stream of response_layout), likewise
    acknowledges : Out(stream of acknowledge_layout), likewise
    phy : Out(PhySignature)
    counters : Out(counters_layout), array of one a pseudo-channel
    errors : Out(error_layout), array of one a pseudo-channel
        Records of words that were wrong.
    lost, stray : Out(1), array of one a pseudo-channel
        Sticky: a word did not come; one came that was not due.
    hammer_overflow : Out(1), array of one a pseudo-channel
        Sticky: too few ``hammer_entries`` for the settings.
    parity_failed : Out(1), array of one a pseudo-channel
        Sticky: too many errors of commands in a row; all reads are answered as errors.
    running : Out(1)
        The device takes commands.
    overheated : Out(1)
        Sticky: the memory was too hot (CATTRIP); requests are refused.
    power : Out(power_layout)
        Counters of the power states.
    """

    def __init__(self, config: ChannelConfig, *, reset_clocks: int = RESET_CLOCKS):
        self.config = config
        self.reset_clocks = reset_clocks
        ports = config.ports
        super().__init__(
            {
                "settings": In(settings_layout()),
                "requests": In(stream.Signature(request_layout(config))).array(ports),
                "words": In(stream.Signature(write_word_layout())).array(ports),
                "responses": Out(stream.Signature(response_layout(config))).array(ports),
                "acknowledges": Out(stream.Signature(acknowledge_layout(config))).array(ports),
                "phy": Out(PhySignature(config.organisation)),
                "counters": Out(counters_layout()).array(PSEUDO_CHANNELS),
                "errors": Out(error_layout(config)).array(PSEUDO_CHANNELS),
                "lost": Out(1).array(PSEUDO_CHANNELS),
                "stray": Out(1).array(PSEUDO_CHANNELS),
                "hammer_overflow": Out(1).array(PSEUDO_CHANNELS),
                "parity_failed": Out(1).array(PSEUDO_CHANNELS),
                "running": Out(1),
                "overheated": Out(1),
                "power": Out(power_layout()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config

        def part(name, component):
            m.submodules[name] = shared(component, platform)
            return component

        ports = [part(f"port_{index}", Port(config)) for index in range(config.ports)]
        startup = part("startup", Startup(clocks=self.reset_clocks))
        bus = part("row_bus", RowArbiter(config.organisation))
        power = part("power", Power())
        phy = self.phy
        m.d.comb += [
            startup.settings.eq(self.settings),
            startup.init_complete.eq(phy.init_complete),
            startup.lost.eq(phy.address_error[0] & self.settings.parity_latency.any() & config.retry),
            phy.init_start.eq(startup.init_start),
            phy.reset_n.eq(startup.reset_n),
            phy.cke.eq(startup.cke & power.cke),
            phy.row.eq(bus.row),
            self.running.eq(startup.enable),
            bus.power.eq(power.command),
            self.overheated.eq(power.overheated),
            self.power.eq(power.counters),
        ]
        for index, port in enumerate(ports):
            m.d.comb += [port.settings.eq(self.settings), port.refuse.eq(power.overheated)]
            wiring.connect(m, wiring.flipped(self.requests[index]), port.requests)
            wiring.connect(m, wiring.flipped(self.words[index]), port.words)
            wiring.connect(m, port.responses, wiring.flipped(self.responses[index]))
            wiring.connect(m, port.acknowledges, wiring.flipped(self.acknowledges[index]))

        schedulers = [part(f"pseudo_channel_{pc}", PseudoChannel(config)) for pc in range(PSEUDO_CHANNELS)]
        m.d.comb += [
            power.settings.eq(self.settings),
            power.enable.eq(startup.enable),
            power.requests.eq(Cat(requests.valid for requests in self.requests).any()),
            power.work.eq(Cat(scheduler.busy for scheduler in schedulers).any()),
            power.update.eq(phy.update_request),
            power.catastrophic.eq(phy.catastrophic),
            power.urgent.eq(Cat(scheduler.urgent for scheduler in schedulers)),
            power.paid.eq(Cat(scheduler.paid for scheduler in schedulers)),
            power.closed.eq(Cat(scheduler.closed for scheduler in schedulers).all()),
            power.stopped.eq(Cat(scheduler.stopped for scheduler in schedulers).all()),
            power.reads.eq(Cat(scheduler.read_issue.valid for scheduler in schedulers)),
            power.writes.eq(Cat(scheduler.write_issue.valid for scheduler in schedulers)),
            phy.update_acknowledge.eq(phy.update_request & power.stopped & power.quiet),
        ]
        for pc, scheduler in enumerate(schedulers):
            crossbar = part(f"crossbar_{pc}", Crossbar(config))
            buffer = part(f"write_buffer_{pc}", WriteBuffer(config))
            write_path = part(f"write_path_{pc}", WritePath(config))
            read_path = part(f"read_path_{pc}", ReadPath(config))
            for index, port in enumerate(ports):
                wiring.connect(m, port.entries[pc], crossbar.ports[index])
                wiring.connect(m, port.entry_words[pc], crossbar.port_words[index])
                m.d.comb += port.returned[pc].eq(read_path.returned[index])
            wiring.connect(m, crossbar.entries, scheduler.entries)
            wiring.connect(m, crossbar.fill, buffer.fill)
            for user in (scheduler, write_path, read_path):
                m.d.comb += user.settings.eq(self.settings)
            m.d.comb += [
                scheduler.pc.eq(pc),
                crossbar.write_slot.eq(scheduler.accepted.slot),
                scheduler.enable.eq(startup.enable),
                scheduler.stop.eq(phy.update_request | power.stop),
                scheduler.asleep.eq(power.asleep),
                scheduler.temperature.eq(phy.temperature),
                scheduler.filled.eq(crossbar.filled),
                scheduler.merged.eq(buffer.merged),
                scheduler.released.eq(write_path.released),
                bus.requests[pc].eq(scheduler.row_request),
                scheduler.row_grant.eq(bus.grants[pc]),
                phy.column[pc].eq(scheduler.column),
                self.counters[pc].eq(scheduler.counters),
                self.hammer_overflow[pc].eq(scheduler.hammer_overflow),
                scheduler.address_error.eq(phy.address_error),
                read_path.cancel.eq(scheduler.cancel),
                read_path.distrust.eq(scheduler.parity_failed),
                self.parity_failed[pc].eq(scheduler.parity_failed),
                write_path.issue.eq(scheduler.write_issue),
                buffer.read.eq(write_path.read),
                write_path.data.eq(buffer.data),
                write_path.mask.eq(buffer.mask),
                write_path.poisoned.eq(buffer.poisoned),
                phy.write[pc].eq(write_path.write),
                phy.write_mask[pc].eq(write_path.write_mask),
                phy.write_valid[pc].eq(write_path.write_valid),
                read_path.pc.eq(pc),
                read_path.issue.eq(scheduler.read_issue),
                read_path.read.eq(phy.read[pc]),
                read_path.read_valid.eq(phy.read_valid[pc]),
                buffer.merge.eq(read_path.merge),
                self.errors[pc].eq(read_path.record),
                self.lost[pc].eq(read_path.lost),
                self.stray[pc].eq(read_path.stray),
            ]
        with m.If(startup.mrs):
            m.d.comb += [
                phy.column[0].command.eq(ColumnCommand.MRS),
                phy.column[0].bank.eq(startup.register),
                phy.column[0].operand.eq(startup.operand),
            ]
        return m
