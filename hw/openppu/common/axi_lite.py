"""AXI4-Lite before the registers."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.axi import AxiLiteSignature, Response
from openppu.common.choose import RoundRobin
from openppu.common.register_block import access_layout, answer_layout

WAITING = 4
"""Accesses on their way: as many as the registers hold, and one more."""


class AxiLitePort(wiring.Component):
    """Turns AXI4-Lite into accesses to registers: reads and writes in turns, each answered in its order.

    An error is answered ``SLVERR``. The two lowest bits of an address count, as in
    `openppu.common.register_block`: there is no register at an address that is no multiple of 4.

    Latency: 1 cycle from address and data to the access, 0 back. Throughput: an access a cycle.

    Parameters
    ----------
    address_bits : int
        Of an address in bytes.

    Members
    -------
    axi : In(AxiLiteSignature)
        32 data bits.
    requests : Out(stream of access_layout)
    responses : In(stream of answer_layout)
        One for each request, in their order.
    """

    def __init__(self, *, address_bits: int):
        self.address_bits = address_bits
        super().__init__(
            {
                "axi": In(AxiLiteSignature(address_bits=address_bits, data_bits=32)),
                "requests": Out(stream.Signature(access_layout(address_bits))),
                "responses": In(stream.Signature(answer_layout())),
            }
        )

    def elaborate(self, platform):
        m = Module()
        axi, request, answer = self.axi, self.requests.payload, self.responses.payload
        m.submodules.turns = turns = RoundRobin(2)
        m.submodules.kinds = kinds = fifo.SyncFIFO(width=1, depth=WAITING)
        load = Signal()
        write = Signal()
        m.d.comb += [
            turns.requests.eq(Cat(axi.arvalid, axi.awvalid & axi.wvalid)),
            turns.served.eq(load),
            write.eq(turns.pick),
            load.eq(turns.valid & (~self.requests.valid | self.requests.ready) & kinds.w_rdy),
            axi.arready.eq(load & ~write),
            axi.awready.eq(load & write),
            axi.wready.eq(load & write),
            kinds.w_data.eq(write),
            kinds.w_en.eq(load),
        ]
        with m.If(self.requests.ready):
            m.d.sync += self.requests.valid.eq(0)
        with m.If(load):
            m.d.sync += [
                self.requests.valid.eq(1),
                request.address.eq(Mux(write, axi.awaddr, axi.araddr)),
                request.write.eq(write),
                request.data.eq(axi.wdata),
                request.strobes.eq(axi.wstrb),
            ]

        written = kinds.r_data[0]
        response = Signal(Response)
        m.d.comb += [
            response.eq(Mux(answer.error, Response.SLVERR, Response.OKAY)),
            axi.bresp.eq(response),
            axi.rresp.eq(response),
            axi.rdata.eq(answer.data),
            axi.bvalid.eq(self.responses.valid & written),
            axi.rvalid.eq(self.responses.valid & ~written),
            self.responses.ready.eq(Mux(written, axi.bready, axi.rready)),
            kinds.r_en.eq(self.responses.valid & self.responses.ready),
        ]
        return m
