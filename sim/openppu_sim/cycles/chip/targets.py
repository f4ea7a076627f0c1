"""What answers in the network: ports of channels, and scratchpads."""

from collections.abc import Callable

from openppu_sim.cycles.chip.answers import Answer, Answers
from openppu_sim.cycles.chip.pad_memory import PadMemory
from openppu_sim.cycles.chip.requests import Packet
from openppu_sim.cycles.hbm.live import LiveChannel

TO_TARGET = 1
"""Clocks from a flit to the request at the target's memory."""


class ChannelTarget:
    """A port of a channel: it holds one request, and one word of it, for its memory.

    Parameters
    ----------
    answers : Answers
    channel : LiveChannel
    port : int
    start : int
        The clock in which the channel begins to count.
    opens : int
        Clocks from then to the first request that it takes.
    """

    def __init__(self, answers: Answers, channel: LiveChannel, port: int, start: int, opens: int) -> None:
        self.answers, self.channel, self.port = answers, channel, port
        self.start, self.opens = start, opens
        self.full = False

    def ready(self, place: int, clock: int) -> bool:
        """Whether it takes a packet's flit of a number in a clock."""
        if not place:
            return not self.full
        return self.channel.ports[self.port].words_taken(clock - self.start) >= place

    def take(self, packet: Packet, clock: int) -> None:
        """It takes a packet's first flit."""
        self.full = True

        def taken() -> None:
            self.full = False

        def answer(at: int, goes: Callable[[int], None]) -> None:
            found = Answer(at + self.start, packet.initiator, True, lambda now: goes(now - self.start), packet.tell)
            if packet.write:
                self.answers.acknowledge(packet.target, found)
            else:
                self.answers.read(packet.target, packet.count, found)

        arrives = max(clock - self.start + TO_TARGET, self.opens)
        self.channel.at(
            arrives,
            lambda: self.channel.ask(
                arrives,
                self.port,
                packet.initiator + packet.tag,
                packet.word,
                packet.count,
                taken,
                answer,
                write=packet.write,
                masked=packet.masked,
            ),
        )


class PadTarget:
    """A scratchpad: the first word of a write waits there for its request, all else is taken at once.

    Parameters
    ----------
    answers : Answers
    pad : PadMemory
    """

    def __init__(self, answers: Answers, pad: PadMemory) -> None:
        self.answers, self.pad = answers, pad
        self.begun = -1

    def ready(self, place: int, clock: int) -> bool:
        """Whether it takes a packet's flit of a number in a clock."""
        return place != 1 or clock >= self.begun + 2

    def take(self, packet: Packet, clock: int) -> None:
        """It takes a packet's first flit."""
        self.begun = clock

        def answer(at: int, end: bool) -> None:
            found = Answer(at, packet.initiator, end, lambda clock: None, packet.tell)
            if packet.write:
                self.answers.acknowledge(packet.target, found)
            else:
                self.answers.read(packet.target, 1, found)

        self.pad.ask(clock + TO_TARGET, packet.word, packet.count, answer, write=packet.write)
