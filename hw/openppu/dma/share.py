"""Shares a scratchpad's port between the parts of an engine."""

from amaranth import Cat, Module
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.choose import KeptTurns
from openppu.dma.layouts import word_layout
from openppu.scratchpad.port import ScratchpadPort, request_layout

ON_THE_WAY = 64
"""Reads whose results are still to come, of all parts."""


class Share(wiring.Component):
    """Gives a port to its users in turns; what waits for the port keeps it. Combinational.

    Parameters
    ----------
    users : int
    word_bytes : int
    address_bits : int

    Members
    -------
    requests : In(stream of request_layout), array of one a user
    results : Out(stream of word_layout(word_bytes), always ready), array of one a user
    port : Out(ScratchpadPort)
    """

    def __init__(self, *, users: int, word_bytes: int, address_bits: int):
        self.users = users
        self.word_bytes = word_bytes
        self.address_bits = address_bits
        request = request_layout(address_bits=address_bits, word_bytes=word_bytes)
        word = word_layout(word_bytes)
        super().__init__(
            {
                "requests": In(stream.Signature(request)).array(users),
                "results": Out(stream.Signature(word, always_ready=True)).array(users),
                "port": Out(ScratchpadPort(address_bits=address_bits, word_bytes=word_bytes)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        port = self.port
        if self.users == 1:
            wiring.connect(m, wiring.flipped(self.requests[0]), wiring.flipped(port.requests))
            m.d.comb += [
                self.results[0].valid.eq(port.results.valid),
                self.results[0].payload.data.eq(port.results.payload.data),
                self.results[0].payload.error.eq(port.results.payload.error),
            ]
            return m

        m.submodules.choice = choice = KeptTurns(self.users)
        user_bits = (self.users - 1).bit_length()
        m.submodules.owners = owners = fifo.SyncFIFO(width=user_bits, depth=ON_THE_WAY)
        request = port.requests.payload
        wanted = [each.valid & (each.payload.write | owners.w_rdy) for each in self.requests]
        m.d.comb += [
            choice.requests.eq(Cat(wanted)),
            choice.served.eq(port.requests.ready),
            port.requests.valid.eq(choice.valid),
            owners.w_data.eq(choice.pick),
            owners.w_en.eq(choice.valid & port.requests.ready & ~request.write),
            owners.r_en.eq(port.results.valid),
        ]
        with m.Switch(choice.pick):
            for number, each in enumerate(self.requests):
                with m.Case(number):
                    m.d.comb += [request.eq(each.payload), each.ready.eq(choice.valid & port.requests.ready)]
        for number, each in enumerate(self.results):
            m.d.comb += [
                each.valid.eq(port.results.valid & (owners.r_data == number)),
                each.payload.data.eq(port.results.payload.data),
                each.payload.error.eq(port.results.payload.error),
            ]
        return m
