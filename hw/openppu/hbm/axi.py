"""An AXI4 port of a channel."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.axi import AxiSignature
from openppu.common.choose import RoundRobin
from openppu.hbm.axi_reads import AxiReads
from openppu.hbm.axi_writes import BYTE_BITS, AxiWrites
from openppu.hbm.layouts import Addressed, acknowledge_layout, request_layout, response_layout, write_word_layout
from openppu.hbm.phy import DATA_BITS


class AxiPort(wiring.Component):
    """Turns AXI4 into a port's requests.

    Bursts of every kind and size, unaligned ones too, at full rate for beats of 32 bytes. Reads and writes take turns.
    A read whose address is accepted after a write's answer sees the write; between others AXI promises nothing.
    Exclusive accesses are carried out as ordinary ones and answered OKAY, never EXOKAY, which is how AXI says that
    there is no exclusive access here (A7.2.5). Data known to be wrong, and addresses beyond the capacity, give SLVERR.
    A manager must keep AXI's rules: a burst that crosses 4 KiB confuses its later ones.

    Latency: 2 cycles from a read's address to its request, 0 from its response. Throughput: one beat a cycle each way.

    Parameters
    ----------
    config : Addressed
    id_bits : int
        Width of IDs; the low ones, as many as there are tags, let reads pass each other.

    Members
    -------
    axi : In(AxiSignature)
        Byte addresses of the channel, 256 data bits.
    requests : Out(stream of request_layout(config))
    words : Out(stream of write_word_layout())
    responses : In(stream of response_layout(config))
    acknowledges : In(stream of acknowledge_layout(config))
    """

    def __init__(self, config: Addressed, *, id_bits: int):
        self.config = config
        self.id_bits = id_bits
        axi = AxiSignature(id_bits=id_bits, address_bits=config.address_bits + BYTE_BITS, data_bits=DATA_BITS)
        super().__init__(
            {
                "axi": In(axi),
                "requests": Out(stream.Signature(request_layout(config))),
                "words": Out(stream.Signature(write_word_layout())),
                "responses": In(stream.Signature(response_layout(config))),
                "acknowledges": In(stream.Signature(acknowledge_layout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.reads = reads = AxiReads(self.config, id_bits=self.id_bits)
        m.submodules.writes = writes = AxiWrites(self.config, id_bits=self.id_bits)
        wiring.connect(m, writes.words, wiring.flipped(self.words))
        wiring.connect(m, wiring.flipped(self.acknowledges), writes.acknowledges)
        wiring.connect(m, wiring.flipped(self.responses), reads.responses)

        axi = self.axi
        for channel, bursts in (("aw", writes.bursts), ("ar", reads.bursts)):
            of = {name: getattr(axi, channel + name) for name in ("id", "addr", "len", "size", "burst", "valid")}
            m.d.comb += [
                bursts.payload.id.eq(of["id"]),
                bursts.payload.address.eq(of["addr"]),
                bursts.payload.length.eq(of["len"]),
                # More than the bus's width is not allowed.
                bursts.payload.size.eq(Mux(of["size"] > BYTE_BITS, BYTE_BITS, of["size"])),
                bursts.payload.burst.eq(of["burst"]),
                bursts.valid.eq(of["valid"]),
                getattr(axi, f"{channel}ready").eq(bursts.ready),
            ]
        m.d.comb += [
            writes.beats.payload.data.eq(axi.wdata),
            writes.beats.payload.mask.eq(axi.wstrb),
            writes.beats.valid.eq(axi.wvalid),
            axi.wready.eq(writes.beats.ready),
            axi.bid.eq(writes.answers.payload.id),
            axi.bresp.eq(writes.answers.payload.response),
            axi.bvalid.eq(writes.answers.valid),
            writes.answers.ready.eq(axi.bready),
            axi.rid.eq(reads.beats.payload.id),
            axi.rdata.eq(reads.beats.payload.data),
            axi.rresp.eq(reads.beats.payload.response),
            axi.rlast.eq(reads.beats.payload.last),
            axi.rvalid.eq(reads.beats.valid),
            reads.beats.ready.eq(axi.rready),
        ]

        # Reads and writes in turns.
        m.submodules.turns = turns = RoundRobin(2)
        write = Signal()
        load = Signal()
        request = self.requests.payload
        m.d.comb += [
            turns.requests[0].eq(reads.runs.valid),
            turns.requests[1].eq(writes.pieces.valid),
            turns.served.eq(load),
            write.eq(turns.pick),
            load.eq(~self.requests.valid | self.requests.ready),
            reads.runs.ready.eq(load & ~write),
            writes.pieces.ready.eq(load & write),
        ]
        with m.If(load):
            m.d.sync += [
                self.requests.valid.eq(turns.valid),
                request.write.eq(write),
                request.address.eq(Mux(write, writes.pieces.payload.address, reads.runs.payload.address)),
                request.last.eq(Mux(write, writes.pieces.payload.last, reads.runs.payload.last)),
                request.tag.eq(Mux(write, 0, reads.runs.payload.tag)),
            ]
        return m
