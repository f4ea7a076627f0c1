"""The whole controller of one channel, as a chip instantiates it."""

from dataclasses import replace

from amaranth import Cat, Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.axi import AxiLiteSignature
from openppu.common.axi_lite import AxiLitePort
from openppu.common.shared import shared
from openppu.hbm.channel import Channel
from openppu.hbm.config import ChannelConfig
from openppu.hbm.error_log import ErrorLog
from openppu.hbm.latency import LatencyHistogram
from openppu.hbm.layouts import acknowledge_layout, request_layout, response_layout, write_word_layout
from openppu.hbm.phy import PSEUDO_CHANNELS, PhySignature
from openppu.hbm.port_share import PortShare
from openppu.hbm.register_block import Registers
from openppu.hbm.registers import ADDRESS_BITS
from openppu.hbm.scrubber import Scrubber
from openppu.hbm.self_test import SelfTest
from openppu.hbm.self_test_control import SelfTestControl
from openppu.hbm.stacks import USER_PORTS
from openppu.hbm.startup import RESET_CLOCKS
from openppu.hbm.status import PowerUp
from openppu.hbm.zero_fill import LANES, ZeroFill
from openppu.section import ConfigError

STREAMS = ("requests", "words", "responses", "acknowledges")
"""Of a request port."""

FILL_STREAMS = ("requests", "words")
"""Of one that is filled through."""


class Controller(wiring.Component):
    """A `Channel` that runs by itself or by its registers, fills, scrubs and tests its memory, and keeps accounts.

    After a reset, and each time software starts it, it initialises the device, fills the memory as far as register
    ``fill`` says, and then takes requests. The self-test and the scrubber share a port of their own; to fill, that and
    the first of the users' ports are used, so both pseudo-channels write in every clock.

    Latency and throughput of requests are those of `Channel`.

    Parameters
    ----------
    config : ChannelConfig
        ``ports`` are the users'; at most 7.
    start : PowerUp
        What the registers hold after a reset: by default it runs, and fills all memory if there is a code.
    reset_clocks : int
        As for `Channel`.

    Members
    -------
    control : In(AxiLiteSignature)
        The registers of ``docs/hbm-registers.md``.
    requests : In(stream of request_layout), array of one a port
        Not taken before ``ready``.
    words : In(stream of write_word_layout), likewise
    responses : Out(stream of response_layout), likewise
    acknowledges : Out(stream of acknowledge_layout), likewise
    phy : Out(PhySignature)
    ready : Out(1)
        Requests are taken.

    Raises
    ------
    ConfigError
        If there are too many ports.
    """

    def __init__(self, config: ChannelConfig, *, start: PowerUp | None = None, reset_clocks: int = RESET_CLOCKS):
        self.config = config
        self.start = start or PowerUp()
        self.reset_clocks = reset_clocks
        if config.ports not in USER_PORTS:
            raise ConfigError(f"hbm.ports = {config.ports}: give at most {USER_PORTS[-1]}; the controller has one more")
        self._inner = replace(config, ports=config.ports + 1)
        ports = config.ports
        super().__init__(
            {
                "control": In(AxiLiteSignature(address_bits=ADDRESS_BITS, data_bits=32)),
                "requests": In(stream.Signature(request_layout(config))).array(ports),
                "words": In(stream.Signature(write_word_layout())).array(ports),
                "responses": Out(stream.Signature(response_layout(config))).array(ports),
                "acknowledges": Out(stream.Signature(acknowledge_layout(config))).array(ports),
                "phy": Out(PhySignature(config.organisation)),
                "ready": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config

        def part(name, component, *, reset=None):
            m.submodules[name] = shared(component, platform, reset=reset)
            return component

        # What software reaches, also while the channel is at rest.
        control_port = part("control_port", AxiLitePort(address_bits=ADDRESS_BITS))
        registers = part("registers", Registers(config, self.start))
        logs = [part(f"errors_{pc}", ErrorLog(config)) for pc in range(PSEUDO_CHANNELS)]
        wiring.connect(m, wiring.flipped(self.control), control_port.axi)
        wiring.connect(m, control_port.requests, registers.requests)
        wiring.connect(m, registers.responses, control_port.responses)

        # What is in reset until it is to run.
        rest = ~registers.control.run
        channel = part("channel", Channel(self._inner, reset_clocks=self.reset_clocks), reset=rest)
        test_control = part("test_control", SelfTestControl(config), reset=rest)
        self_test = part("self_test", SelfTest(config), reset=rest)
        scrubber = part("scrubber", Scrubber(config), reset=rest)
        zero_fill = part("zero_fill", ZeroFill(config), reset=rest)
        own_share = part("own_share", PortShare(config, users=3), reset=rest)
        first_share = part("first_share", PortShare(config), reset=rest)
        histogram = part("latencies", LatencyHistogram(config), reset=rest)
        wiring.connect(m, wiring.flipped(self.phy), channel.phy)

        m.d.comb += [
            channel.settings.eq(registers.settings),
            zero_fill.start.eq(channel.running),
            zero_fill.accesses.eq(registers.control.fill),
            test_control.ready.eq(self.ready),
            test_control.command.eq(registers.control.test),
            test_control.start.eq(registers.start_test),
            test_control.done.eq(self_test.records.valid),
            self_test.records.ready.eq(1),
            self.ready.eq(zero_fill.done & ~rest),
        ]
        wiring.connect(m, test_control.commands, self_test.commands)

        # The last port is the self-test's, the scrubber's, and half of the fill's. Its other half has the first of the
        # users' ports, before they are let in.
        ports = [{name: getattr(channel, name)[index] for name in STREAMS} for index in range(config.ports + 1)]
        lanes = [{name: getattr(zero_fill, name)[lane] for name in FILL_STREAMS} for lane in range(LANES)]
        own_users = [{name: getattr(user, name) for name in STREAMS} for user in (self_test, scrubber)]
        for share, port, users in (
            (first_share, ports[0], [{}, lanes[0]]),
            (own_share, ports[-1], [*own_users, lanes[1]]),
        ):
            for name in STREAMS:
                wiring.connect(m, port[name], getattr(share, f"port_{name}"))
                for index, user in enumerate(users):
                    if name in user:
                        wiring.connect(m, user[name], getattr(share, name)[index])
        for lane, acknowledges in enumerate((first_share.acknowledges[1], own_share.acknowledges[2])):
            m.d.comb += [zero_fill.acknowledged[lane].eq(acknowledges.valid), acknowledges.ready.eq(1)]
        m.d.comb += [
            first_share.wanted[0].eq(self.ready),
            first_share.wanted[1].eq(~self.ready),
            own_share.wanted[0].eq(test_control.busy),
            own_share.wanted[1].eq(scrubber.busy & self.ready),
            own_share.wanted[2].eq(~self.ready),
            scrubber.settings.eq(registers.settings),
            scrubber.idle.eq(test_control.idle & ~Cat(asked.valid for asked in self.requests).any()),
        ]
        for index in range(config.ports):
            port = {name: getattr(first_share, name)[0] for name in STREAMS} if index == 0 else ports[index]
            asked, request, response = self.requests[index], port["requests"], port["responses"]
            wiring.connect(m, wiring.flipped(self.words[index]), port["words"])
            wiring.connect(m, response, wiring.flipped(self.responses[index]))
            wiring.connect(m, port["acknowledges"], wiring.flipped(self.acknowledges[index]))
            flows = histogram.requests[index], histogram.responses[index]
            m.d.comb += [
                request.payload.eq(asked.payload),
                request.valid.eq(asked.valid & self.ready),
                asked.ready.eq(request.ready & self.ready),
                flows[0].valid.eq(request.valid),
                flows[0].ready.eq(request.ready),
                flows[0].tag.eq(request.payload.tag),
                flows[0].mark.eq(request.payload.write),
                flows[1].valid.eq(response.valid),
                flows[1].ready.eq(response.ready),
                flows[1].tag.eq(response.payload.tag),
                flows[1].mark.eq(response.payload.last),
            ]

        counted, status = registers.counted, registers.status
        m.d.comb += [
            counted.latency.eq(histogram.counts),
            counted.power.eq(channel.power),
            status.overheated.eq(channel.overheated),
            status.running.eq(channel.running),
            status.ready.eq(self.ready),
            status.idle.eq(test_control.idle & ~rest),
            status.test_stray.eq(self_test.stray),
            status.scrub.position.eq(scrubber.position),
            status.scrub.passes.eq(scrubber.passes),
            status.scrub.repaired.eq(scrubber.repaired),
            status.scrub.wrong.eq(scrubber.wrong),
            status.found.eq(self_test.records.payload),
        ]
        for pc, log in enumerate(logs):
            m.d.comb += [
                log.record.eq(channel.errors[pc]),
                log.clear.eq(registers.clear),
                counted[f"pc{pc}"].eq(channel.counters[pc]),
                status[f"errors{pc}"].eq(log.log),
                status.lost[pc].eq(channel.lost[pc]),
                status.hammer_overflow[pc].eq(channel.hammer_overflow[pc]),
                status.parity_failed[pc].eq(channel.parity_failed[pc]),
                status.stray[pc].eq(channel.stray[pc]),
            ]
        return m
