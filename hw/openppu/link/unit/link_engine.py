"""Runs the link's commands."""

from amaranth import Module, Mux, Signal
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.command.error import Error, finished_layout
from openppu.command.layouts import issue_layout, remote_layout
from openppu.common.memory import WORD_BYTES, request_layout, response_layout
from openppu.common.shared import shared
from openppu.link.collective.instruction import INSTRUCTION_BITS, InstructionLayout, Opcode
from openppu.link.config import LinkConfig
from openppu.link.layouts import ADDRESS_BITS, packet_layout
from openppu.link.unit.instructions import COLLECTIVE, COLLECTIVE_OPCODE, SEND, SEND_OPCODE
from openppu.link.unit.remote_signals import SignalSender
from openppu.link.unit.sender import TAGS, Sender

SIGNAL_TAG = TAGS


class State(enum.Enum, shape=2):
    """What is under way."""

    REST = 0
    SEND = 1
    COLLECTIVE = 2
    ENDING = 3


class LinkEngine(wiring.Component):
    """Takes the queue's commands one after the other. An instruction of the collective engine has ended when that has
    it, but an ``END`` when all before it is done; so a collective's instructions may be under way together.

    Signals for other chips go beside the commands. A command that is refused has changed nothing: `FIELD` for no bytes,
    `ALIGNMENT` for addresses or sizes that are not multiples of 32 bytes and of a beat, `BOUNDS` for a source beyond
    the memory. `LINK`: a write was not answered well, or the collective engine has met an error. `TIMEOUT`: the
    collective engine has work, and does not come on.

    Latency: 2 cycles from a command to what it asks for. Throughput: that of `Sender`, and of the collective engine.

    Parameters
    ----------
    config : LinkConfig

    Members
    -------
    commands : In(stream of issue_layout()), finished : Out(stream of finished_layout())
    memory_bytes : In(ADDRESS_BITS + 1)
        Sources must end before; addresses with the highest bit, scratchpads, are left to the network to check.
    requests : Out(stream of request_layout(1)), responses : In(stream of response_layout(1))
        Reads of memory.
    remote : In(stream of remote_layout())
        Signals for other chips.
    packets : Out(stream of packet_layout(config)), answers : In(stream of packet_layout(config))
        The link's initiator.
    program : Out(stream), ended : In(1), broken : In(1), stalled : In(1)
        The collective engine: its instructions, that an END is done, that it has met an error, that it does not come
        on.
    lost : Out(1)
        A signal did not get to its chip; until the reset.
    """

    def __init__(self, config: LinkConfig):
        self.config = config
        packet = stream.Signature(packet_layout(config))
        super().__init__(
            {
                "commands": In(stream.Signature(issue_layout())),
                "finished": Out(stream.Signature(finished_layout())),
                "memory_bytes": In(ADDRESS_BITS + 1),
                "requests": Out(stream.Signature(request_layout(1))),
                "responses": In(stream.Signature(response_layout(1))),
                "remote": In(stream.Signature(remote_layout())),
                "packets": Out(packet),
                "answers": In(packet),
                "program": Out(stream.Signature(INSTRUCTION_BITS)),
                "ended": In(1),
                "broken": In(1),
                "stalled": In(1),
                "lost": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        sender = Sender(self.config)
        signals = SignalSender(self.config, tag=SIGNAL_TAG)
        m.submodules.sender = shared(sender, platform)
        m.submodules.signals = shared(signals, platform)
        wiring.connect(m, sender.requests, wiring.flipped(self.requests))
        wiring.connect(m, wiring.flipped(self.responses), sender.responses)
        wiring.connect(m, wiring.flipped(self.remote), signals.remote)
        self._packets(m, sender, signals)

        issue = self.commands.payload
        send = sender.command.payload
        instruction = Signal(InstructionLayout)
        state = Signal(State)
        error = Signal(Error)
        least = max(WORD_BYTES, self.config.beat_bytes)
        low = (least - 1).bit_length()
        refusal = Signal(Error)
        end = Signal(ADDRESS_BITS + 1)
        in_memory = ~send.source[-1]
        m.d.comb += [
            *SEND.connect(issue.operands, send),
            *COLLECTIVE.connect(issue.operands, instruction),
            end.eq(send.source + send.bytes),
        ]
        with m.If((issue.opcode != SEND_OPCODE) & (issue.opcode != COLLECTIVE_OPCODE)):
            m.d.comb += refusal.eq(Error.OPCODE)
        with m.Elif(issue.opcode == SEND_OPCODE):
            with m.If(send.bytes == 0):
                m.d.comb += refusal.eq(Error.FIELD)
            with m.Elif((send.source | send.target | send.bytes)[:low].any()):
                m.d.comb += refusal.eq(Error.ALIGNMENT)
            with m.Elif(in_memory & (end > self.memory_bytes)):
                m.d.comb += refusal.eq(Error.BOUNDS)
        with m.Elif(self.broken):
            m.d.comb += refusal.eq(Error.LINK)
        with m.Elif(self.stalled):
            m.d.comb += refusal.eq(Error.TIMEOUT)

        m.d.comb += [
            self.program.payload.eq(instruction),
            self.finished.valid.eq(state == State.ENDING),
            self.finished.payload.error.eq(error),
        ]
        with m.Switch(state):
            with m.Case(State.REST):
                goes = Signal()
                is_send = issue.opcode == SEND_OPCODE
                with m.If(self.commands.valid):
                    with m.If(refusal != Error.OKAY):
                        m.d.comb += goes.eq(1)
                        m.d.sync += [state.eq(State.ENDING), error.eq(refusal)]
                    with m.Elif(is_send):
                        m.d.comb += [sender.command.valid.eq(1), goes.eq(sender.command.ready)]
                        with m.If(goes):
                            m.d.sync += state.eq(State.SEND)
                    with m.Else():
                        m.d.comb += [self.program.valid.eq(1), goes.eq(self.program.ready)]
                        with m.If(goes):
                            m.d.sync += [
                                error.eq(Error.OKAY),
                                state.eq(Mux(instruction.opcode == Opcode.END, State.COLLECTIVE, State.ENDING)),
                            ]
                m.d.comb += self.commands.ready.eq(goes)
            with m.Case(State.SEND):
                with m.If(sender.done):
                    m.d.sync += [state.eq(State.ENDING), error.eq(sender.error)]
            with m.Case(State.COLLECTIVE):
                failure = Mux(self.broken, Error.LINK, Mux(self.ended, Error.OKAY, Error.TIMEOUT))
                with m.If(self.ended | self.broken | self.stalled):
                    m.d.sync += [state.eq(State.ENDING), error.eq(failure)]
            with m.Case(State.ENDING):
                with m.If(self.finished.ready):
                    m.d.sync += state.eq(State.REST)
        return m

    def _packets(self, m, sender, signals):
        """Writes and signals in turns, packet by packet; answers to both."""
        signalling = Signal()
        sending = Signal()
        with m.If(sender.packets.valid & sender.packets.ready):
            m.d.sync += sending.eq(~sender.packets.payload.last)
        held = Signal()
        kind = Signal()
        m.d.comb += signalling.eq(Mux(held, kind, signals.packets.valid & ~sending))
        m.d.sync += [held.eq(self.packets.valid & ~self.packets.ready), kind.eq(signalling)]
        with m.If(signalling):
            wiring.connect(m, signals.packets, wiring.flipped(self.packets))
        with m.Else():
            wiring.connect(m, sender.packets, wiring.flipped(self.packets))
        header = self.answers.payload.header
        answered = self.answers.valid & self.answers.payload.first
        m.d.comb += self.answers.ready.eq(1)
        for part in (sender, signals):
            m.d.comb += [
                part.answer.valid.eq(answered),
                part.answer.tag.eq(header.tag),
                part.answer.status.eq(header.status),
            ]
        with m.If(signals.failed):
            m.d.sync += self.lost.eq(1)
