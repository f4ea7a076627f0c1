"""How long reads take, as a histogram."""

from amaranth import Array, Cat, Module, Signal
from amaranth.lib import data, fifo, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.shared import shared
from openppu.hbm.config import ChannelConfig
from openppu.hbm.phy import PSEUDO_CHANNELS

TIME_BITS = 24
"""Of a latency, in clocks; longer ones count modulo this."""

SHORT_BITS = 5
"""The first bucket holds latencies of no more bits than this."""

BUCKETS = 12
COUNTER_BITS = 32


def histogram_layout() -> data.StructLayout:
    """Reads by their latency, each bucket named by the least one: 0, then powers of two; the last has no upper end."""
    least = (1 << SHORT_BITS + bucket - 1 if bucket else 0 for bucket in range(BUCKETS))
    return data.StructLayout({f"from_{clocks}": COUNTER_BITS for clocks in least})


def flow_layout(config: ChannelConfig) -> data.StructLayout:
    """A clock of a port's requests (``mark``: it writes) or of its responses (``mark``: the last of its request)."""
    return data.StructLayout({"valid": 1, "ready": 1, "tag": range(config.tags), "mark": 1})


class LatencyMeter(wiring.Component):
    """Times each read of a port: from the clock in which it is first offered to that in which its first word goes.

    Latency: 1 cycle from the word to ``found``. Throughput: a request and a word a cycle.

    Members
    -------
    requests, responses : In(flow_layout(config))
        Of the port.
    found : Out(1)
        A read's first word has gone.
    bucket : Out(range(BUCKETS))
        Of `histogram_layout`.
    """

    def __init__(self, config: ChannelConfig):
        self.config = config
        super().__init__(
            {
                "requests": In(flow_layout(config)),
                "responses": In(flow_layout(config)),
                "found": Out(1),
                "bucket": Out(range(BUCKETS)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        request, response = self.requests, self.responses
        now = Signal(TIME_BITS)
        waits = Signal()
        asked = Signal()
        begun = Signal(config.tags)
        moves = Signal()
        first = Signal()
        m.d.comb += [
            asked.eq(request.valid & ~waits & ~request.mark),
            moves.eq(response.valid & response.ready),
            first.eq(moves & ~begun.bit_select(response.tag, 1)),
        ]
        m.d.sync += [now.eq(now + 1), waits.eq(request.valid & ~request.ready)]
        with m.If(moves):
            m.d.sync += begun.bit_select(response.tag, 1).eq(~response.mark)

        # As many reads of a tag as can be on their way: a piece each, one in the port's output, one on its stream.
        depth = PSEUDO_CHANNELS * config.slots + 2
        times = []
        for tag in range(config.tags):
            m.submodules[f"times_{tag}"] = queue = fifo.SyncFIFO(width=TIME_BITS, depth=depth)
            m.d.comb += [
                queue.w_data.eq(now),
                queue.w_en.eq(asked & (request.tag == tag)),
                queue.r_en.eq(first & (response.tag == tag)),
            ]
            times.append(queue.r_data)
        latency = Signal(TIME_BITS)
        m.d.sync += [latency.eq(now - Array(times)[response.tag]), self.found.eq(first)]
        m.d.comb += self.bucket.eq(sum(latency[SHORT_BITS + bucket :].any() for bucket in range(BUCKETS - 1)))
        return m


class LatencyHistogram(wiring.Component):
    """Counts the reads of all ports, by their latency.

    Latency: 2 cycles from a word to its count.

    Members
    -------
    requests, responses : In(flow_layout(config)), array of one a port
    counts : Out(histogram_layout())
        Each modulo 2**32.
    """

    def __init__(self, config: ChannelConfig):
        self.config = config
        flow = In(flow_layout(config)).array(config.ports)
        super().__init__({"requests": flow, "responses": flow, "counts": Out(histogram_layout())})

    def elaborate(self, platform):
        m = Module()
        meters = [LatencyMeter(self.config) for _ in range(self.config.ports)]
        for port, meter in enumerate(meters):
            m.submodules[f"port_{port}"] = shared(meter, platform)
            m.d.comb += [meter.requests.eq(self.requests[port]), meter.responses.eq(self.responses[port])]
        for bucket, name in enumerate(histogram_layout().members):
            hits = Signal(self.config.ports, name=f"{name}_hits")
            m.d.comb += hits.eq(Cat(meter.found & (meter.bucket == bucket) for meter in meters))
            m.d.sync += self.counts[name].eq(self.counts[name] + sum(hits))
        return m
