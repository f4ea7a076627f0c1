"""Which port a bank serves."""

from amaranth import Array, Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.choose import RoundRobin
from openppu.scratchpad.bank import access_layout
from openppu.scratchpad.port import request_layout


class BankArbiter(wiring.Component):
    """Lets one port at a time to a bank, in turns.

    Latency: 0 cycles. Throughput: one access a cycle. While a port waits, every other one is served at most once.

    Parameters
    ----------
    ports : int, at least 1
    words : int
        Of the bank.
    word_bytes : int

    Members
    -------
    requests : In(stream of request_layout), array of one a port
        Those for this bank alone; one may be taken away again.
    accesses : Out(stream of access_layout)
        It may change to another port's while it waits.
    """

    def __init__(self, *, ports: int, words: int, word_bytes: int):
        self.ports = ports
        self.words = words
        self.word_bytes = word_bytes
        request = request_layout(address_bits=(words - 1).bit_length(), word_bytes=word_bytes)
        access = access_layout(ports=ports, words=words, word_bytes=word_bytes)
        super().__init__(
            {
                "requests": In(stream.Signature(request)).array(ports),
                "accesses": Out(stream.Signature(access)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.turns = turns = RoundRobin(self.ports)
        access = self.accesses.payload
        chosen = Array(request.payload.as_value() for request in self.requests)[turns.pick]
        m.d.comb += [turns.served.eq(self.accesses.ready), self.accesses.valid.eq(turns.valid)]
        m.d.comb += [access.as_value()[: len(chosen)].eq(chosen), access.port.eq(turns.pick)]
        for port, request in enumerate(self.requests):
            m.d.comb += [
                turns.requests[port].eq(request.valid),
                request.ready.eq(self.accesses.ready & (turns.pick == port) & request.valid),
            ]
        return m
