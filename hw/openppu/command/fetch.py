"""Brings a ring's commands from memory."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.command.layouts import COMMAND_BYTES, queue_control_layout
from openppu.common.memory import ADDRESS_BITS, WORD_BYTES, request_layout, response_layout

WORDS = COMMAND_BYTES // WORD_BYTES
AT_ONCE = 8
"""Commands of one request."""

COMMAND_BITS = 8 * COMMAND_BYTES


class Fetch(wiring.Component):
    """Asks for the commands between those it has and the ring's tail, as long as there is room for them.

    The ring's base counts as a multiple of 64. Commands come in their order. A response with ``error`` ends a command
    that is not to be run.

    Latency: 1 cycle from the tail to the request, 1 from a command's second word to the command. Throughput: a
    command in 2 cycles, once the memory has answered.

    Members
    -------
    control : In(queue_control_layout())
    restart : In(1)
        Go on at the tail. Only while nothing is ``outstanding``.
    kept : In(32)
        Commands before it are not needed any more.
    room : In(32)
        Commands from ``kept`` on that there is room for.
    requests : Out(stream of request_layout(1)), responses : In(stream of response_layout(1))
    fetched : Out(32)
        Commands that have come.
    command : Out(struct valid, bits, error)
        Number ``fetched`` is there in this cycle.
    outstanding : Out(1)
        A request is offered, or not all its words have come.
    """

    def __init__(self):
        super().__init__(
            {
                "control": In(queue_control_layout()),
                "restart": In(1),
                "kept": In(32),
                "room": In(32),
                "requests": Out(stream.Signature(request_layout(1))),
                "responses": In(stream.Signature(response_layout(1))),
                "fetched": Out(32),
                "command": Out(data.StructLayout({"valid": 1, "bits": COMMAND_BITS, "error": 1})),
                "outstanding": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        control, request = self.control, self.requests.payload
        asked = Signal(32)
        place = Signal(32)
        mask = Signal(32)
        wanted, free, to_end, count = (Signal(32, name=name) for name in ("wanted", "free", "to_end", "count"))
        m.d.comb += [
            mask.eq((1 << control.log2) - 1),
            place.eq(asked & mask),
            wanted.eq(control.tail - asked),
            free.eq(self.room - (asked - self.kept)),
            to_end.eq(mask - place + 1),
        ]
        least = Mux(wanted < free, wanted, free)
        least = Mux(to_end < least, to_end, least)
        m.d.comb += count.eq(Mux(least < AT_ONCE, least, AT_ONCE))
        with m.If(self.requests.ready | ~self.requests.valid):
            m.d.sync += self.requests.valid.eq(0)
            with m.If(control.enable & ~self.restart & (count != 0)):
                m.d.sync += [
                    self.requests.valid.eq(1),
                    request.address.eq(((control.base >> 6) + place)[: ADDRESS_BITS - 6] << 6),
                    request.last.eq((count << 1) - 1),
                    asked.eq(asked + count),
                ]

        low = Signal(8 * WORD_BYTES)
        low_error = Signal()
        second = Signal()
        response = self.responses.payload
        m.d.comb += [self.responses.ready.eq(1), self.outstanding.eq(self.requests.valid | (asked != self.fetched))]
        m.d.sync += self.command.valid.eq(0)
        with m.If(self.responses.valid):
            m.d.sync += [low.eq(response.data), low_error.eq(response.error), second.eq(~second)]
            with m.If(second):
                m.d.sync += [
                    self.command.valid.eq(1),
                    self.command.bits.eq(Cat(low, response.data)),
                    self.command.error.eq(low_error | response.error),
                ]
        with m.If(self.command.valid):
            m.d.sync += self.fetched.eq(self.fetched + 1)
        with m.If(self.restart):
            m.d.sync += [asked.eq(control.tail), self.fetched.eq(control.tail)]
        return m
