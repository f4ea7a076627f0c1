"""One AXI4-Lite port for the registers of several parts."""

from collections.abc import Mapping

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.axi import AxiLiteSignature, Response
from openppu.common.choose import RoundRobin
from openppu.common.shared import shared


class State(enum.Enum, shape=2):
    """Where an access is."""

    REST = 0
    ASK = 1
    WAIT = 2
    ANSWER = 3


class AxiLiteHub(wiring.Component):
    """Passes each access on to the part whose slot its address is in; reads and writes in turns, one at a time.

    An address in no slot, or beyond what the part of a slot has, is answered ``DECERR``.

    Latency: 2 cycles from an access to the part, 1 from the part's answer. Throughput: an access in 4 cycles and the
    part's latency.

    Parameters
    ----------
    address_bits : int
        Of an address in bytes.
    slot_bits : int
        Of an address within a slot.
    slots : mapping of int to int
        The slots that have a part, each with the bits of an address in bytes that the part has.

    Members
    -------
    axi : In(AxiLiteSignature)
    parts : Out(AxiLiteSignature), array
        In the order of ``slots``; addresses within the slot.

    Raises
    ------
    ValueError
        If there are no slots, or one does not fit.
    """

    def __init__(self, *, address_bits: int, slot_bits: int, slots: Mapping[int, int]):
        if not slots:
            raise ValueError("AxiLiteHub with no slots: give at least one")
        for slot, bits in slots.items():
            if not 0 <= slot < 1 << (address_bits - slot_bits) or not 2 <= bits <= slot_bits:
                raise ValueError(f"AxiLiteHub slot {slot} of {bits} address bits: it does not fit")
        self.address_bits = address_bits
        self.slot_bits = slot_bits
        self.slots = dict(slots)
        part = AxiLiteSignature(address_bits=slot_bits, data_bits=32)
        super().__init__(
            {
                "axi": In(AxiLiteSignature(address_bits=address_bits, data_bits=32)),
                "parts": Out(part).array(len(slots)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        axi = self.axi
        turns = RoundRobin(2)
        m.submodules.turns = shared(turns, platform)
        state = Signal(State)
        write = Signal()
        address = Signal(self.address_bits)
        value = Signal(32)
        strobes = Signal(4)
        asked = Signal(2)
        response = Signal(Response)
        starts = Signal()
        m.d.comb += [
            turns.requests.eq(Cat(axi.arvalid, axi.awvalid & axi.wvalid)),
            starts.eq((state == State.REST) & turns.valid),
            turns.served.eq(starts),
            axi.arready.eq(starts & (turns.pick == 0)),
            axi.awready.eq(starts & (turns.pick == 1)),
            axi.wready.eq(axi.awready),
            axi.bvalid.eq((state == State.ANSWER) & write),
            axi.rvalid.eq((state == State.ANSWER) & ~write),
            axi.bresp.eq(response),
            axi.rresp.eq(response),
            axi.rdata.eq(value),
        ]
        with m.Switch(state):
            with m.Case(State.REST):
                with m.If(starts):
                    m.d.sync += [
                        state.eq(State.ASK),
                        write.eq(turns.pick),
                        address.eq(Mux(turns.pick == 1, axi.awaddr, axi.araddr)),
                        value.eq(axi.wdata),
                        strobes.eq(axi.wstrb),
                        asked.eq(0),
                    ]
            with m.Case(State.ASK, State.WAIT):
                self._pass_on(m, state, write, address, value, strobes, asked, response)
            with m.Case(State.ANSWER):
                with m.If(Mux(write, axi.bready, axi.rready)):
                    m.d.sync += state.eq(State.REST)
        return m

    def _pass_on(self, m, state, write, address, value, strobes, asked, response):
        """To the part, and its answer."""
        with m.Switch(address[self.slot_bits :]):
            for part, (slot, bits) in zip(self.parts, self.slots.items(), strict=True):
                with m.Case(slot):
                    beyond = address[bits : self.slot_bits].any() if bits < self.slot_bits else 0
                    with m.If((state == State.ASK) & beyond):
                        m.d.sync += [state.eq(State.ANSWER), response.eq(Response.DECERR), value.eq(0)]
                    with m.Elif(state == State.ASK):
                        m.d.comb += [
                            part.araddr.eq(address),
                            part.awaddr.eq(address),
                            part.wdata.eq(value),
                            part.wstrb.eq(strobes),
                            part.arvalid.eq(~write),
                            part.awvalid.eq(write & ~asked[0]),
                            part.wvalid.eq(write & ~asked[1]),
                        ]
                        taken = Cat(part.awvalid & part.awready, part.wvalid & part.wready)
                        m.d.sync += asked.eq(asked | taken)
                        with m.If(Mux(write, (asked | taken).all(), part.arready)):
                            m.d.sync += state.eq(State.WAIT)
                    with m.Else():
                        m.d.comb += [part.bready.eq(write), part.rready.eq(~write)]
                        with m.If(Mux(write, part.bvalid, part.rvalid)):
                            m.d.sync += [
                                state.eq(State.ANSWER),
                                response.eq(Mux(write, part.bresp, part.rresp)),
                                value.eq(part.rdata),
                            ]
            with m.Default():
                m.d.sync += [state.eq(State.ANSWER), response.eq(Response.DECERR), value.eq(0)]
