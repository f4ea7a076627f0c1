"""The network between a chip's users of memory and its channels and scratchpads."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from openppu.config import ChipConfig
from openppu.hbm.settings import first_settings
from openppu.noc.plan import GRANULE, Plan

from openppu_sim.cycles.chip.answers import Answers
from openppu_sim.cycles.chip.events import EARLY, Events
from openppu_sim.cycles.chip.pad_memory import PadMemory
from openppu_sim.cycles.chip.requests import Packet, Requests
from openppu_sim.cycles.chip.targets import TO_TARGET, ChannelTarget, PadTarget
from openppu_sim.cycles.hbm.address import Interleave
from openppu_sim.cycles.hbm.live import LiveChannel

SCRATCHPAD = 1 << 34
"""Of an address in words of 32 bytes: it is in a scratchpad."""

UNIT_WORDS = 1 << 19
"""Of the addresses of a compute unit's scratchpad."""

TO_USER = 2
"""From a word, or an acknowledge, that a target gives, to its being at the user."""

WORDS = 15
"""Of writes that wait in an initiator."""


@dataclass
class Piece:
    """A part of a request that lies in one granule."""

    write: bool
    word: int
    count: int
    first: bool
    final: bool
    told: Callable[[int, int], None]
    """Of a read: the clocks of its first word, and how many; of a write: the clock of its acknowledge, and 0."""

    tag: int = 0
    ready: int = 0
    masked: bool = False
    left: int = 0
    """Words of a read that have not gone to its user."""

    came: deque[int] = field(default_factory=deque)
    """Of a read, the clocks in which those came that wait for others."""


@dataclass
class _Write:
    left: int
    told: Callable[[int, int], None]
    done: int = 0


@dataclass
class Initiator:
    """A user's way into the network: a request at a time is cut into pieces, which go to their targets in order."""

    network: "Network"
    number: int
    latency: int
    pieces: deque[Piece] = field(default_factory=deque)
    reads: deque[Piece] = field(default_factory=deque)
    writes: deque[_Write] = field(default_factory=deque)
    words: deque[int] = field(default_factory=deque)
    """The clocks from which each word of a write that waits can be counted on."""
    words_free: deque[int] = field(default_factory=deque)
    """The clocks in which each word that has gone left its place."""
    free_at: int = 0
    stage: Piece | None = None
    """A write whose words have not all come."""

    stage_at: int = 0
    sends: bool = False
    """A packet has not all gone."""

    leaves_at: int = 0
    """The clock in which the last packet's last flit goes."""

    last_word: int = 0
    last_acknowledge: int = 0
    slots: int = 0
    ring: int = 0
    on_free: Callable[[], None] | None = None
    """Called when something has become free that its user may wait for."""
    _pumps: int = -1

    @property
    def free(self) -> bool:
        """A request is taken in this clock."""
        return not self.pieces and self.free_at <= self.network.events.now

    @property
    def word_free(self) -> bool:
        """A word of a write is taken in this clock."""
        now = self.network.events.now
        while self.words_free and self.words_free[0] < now:
            self.words_free.popleft()
        return len(self.words) + len(self.words_free) < WORDS

    @property
    def _unfinished(self) -> bool:
        """Pieces of the last write have not set out."""
        return self.stage is not None or any(piece.write and not piece.first for piece in self.pieces)

    def ask(
        self,
        word: int,
        count: int,
        told: Callable[[int, int], None],
        *,
        write: bool,
        tag: int = 0,
        masked: bool = False,
        ragged: tuple[bool, bool] = (False, False),
    ) -> None:
        """A request, while it is ``free``; of a write, the words come one by one to `give`.

        ``masked``: of each piece some byte is not to be written; ``ragged``: of the first and of the last one.
        """
        now = self.network.events.now
        ends = word + count
        place = word
        while place < ends:
            part = min(ends, place // GRANULE * GRANULE + GRANULE)
            first, final = place == word, part == ends
            partly = masked or (first and ragged[0]) or (final and ragged[1])
            self.pieces.append(Piece(write, place, part - place, first, final, told, tag, now + 1, partly))
            place = part
        self._pump_at(now + 1)

    def give(self) -> None:
        """A word of a write, while it is ``word_free``."""
        self.words.append(self.network.events.now + 1)
        self._pump_at(self.network.events.now + 1)

    def _pump_at(self, clock: int) -> None:
        if self._pumps != clock:
            self._pumps = clock
            self.network.events.at(clock, self._pump)

    def _pump(self) -> None:
        """Send on what can go."""
        self._pumps = -1
        while self._step():
            pass

    def _step(self) -> bool:
        """Move a piece on, from where it was cut to where its place is found, or from there into the network."""
        network, now = self.network, self.network.events.now
        if self.sends:
            return False
        if self.stage is not None:
            count = self.stage.count
            if len(self.words) < count:
                return False
            self._write(self.stage, max(self.stage_at, self.words[count - 1]))
            self.stage = None
            return True
        if not self.pieces:
            return False
        piece, noc = self.pieces[0], network.plan.noc
        if (self.ring == noc.writes and piece.first) if piece.write else self.slots == noc.slots:
            return False
        at = max(piece.ready, self.leaves_at)
        if at > now:
            self._pump_at(at)
            return False
        self.pieces.popleft()
        if piece.write:
            if piece.first:
                self.ring += 1
                self.writes.append(_Write(0, piece.told))
            self.writes[-1].left += 1
            self.stage, self.stage_at = piece, now + self.latency
        else:
            self.slots += 1
            piece.left = piece.count
            self.reads.append(piece)
            self.sends = True
            network.send(self, piece, now + self.latency, lambda clock: self._answered(piece, clock), self._gone)
        if self.pieces:
            self.pieces[0].ready = max(self.pieces[0].ready, now + 1)
        else:
            self.free_at = now
            if self.on_free is not None:
                network.events.at(now, self.on_free)
        return True

    def _write(self, piece: Piece, ready: int) -> None:
        """All words of a piece are there; its first flit wants to go in clock ``ready``."""
        write = self.writes[-1]
        left = [piece.count]

        def gone(clock: int) -> None:
            self.words.popleft()
            self.words_free.append(clock)
            left[0] -= 1
            if not left[0]:
                self._gone(clock)

        self.sends = True
        self.network.send(self, piece, ready, lambda clock: self._acknowledged(write, clock), gone)

    def _gone(self, last: int) -> None:
        """A packet goes, its last flit in this clock."""
        self.sends, self.leaves_at = False, last
        self._pump_at(max(last, self.network.events.now))

    def _answered(self, piece: Piece, clock: int) -> None:
        """A word of a piece comes to the initiator."""
        piece.came.append(clock)
        while self.reads and self.reads[0].came:
            head = self.reads[0]
            self.last_word = max(head.came.popleft() + TO_USER, self.last_word + 1)
            head.told(self.last_word, 1)
            head.left -= 1
            if not head.left:
                self.reads.popleft()
                self.network.events.at(self.last_word, self._slot_free, EARLY)

    def _slot_free(self) -> None:
        self.slots -= 1
        self._pump_at(self.network.events.now)

    def _acknowledged(self, write: _Write, clock: int) -> None:
        write.left -= 1
        write.done = max(write.done, clock)
        while self.writes and not self.writes[0].left and not (len(self.writes) == 1 and self._unfinished):
            head = self.writes.popleft()
            at = max(head.done + TO_USER - 1, self.network.events.now, self.last_acknowledge + 1)
            self.last_acknowledge = at
            head.told(at, 0)
            self.network.events.at(at + 1, self._ring_free, EARLY)

    def _ring_free(self) -> None:
        self.ring -= 1
        self._pump_at(self.network.events.now)


class Network:
    """Initiators, and the channels and scratchpads that they reach.

    Parameters
    ----------
    chip : ChipConfig
    events : Events
    initiators : int
    start : int
        The clock in which memory's refreshes begin to count.
    opens : int
        Clocks from then to the first in which it takes requests.
    pads : sequence of PadMemory
        The scratchpads.
    """

    def __init__(
        self,
        chip: ChipConfig,
        events: Events,
        initiators: int,
        *,
        start: int = 0,
        opens: int = 0,
        pads: Sequence[PadMemory] = (),
    ) -> None:
        self.events, self.pads = events, pads
        hbm = chip.hbm
        self.plan = Plan(
            noc=chip.noc, hbm=hbm, scratchpad=chip.scratchpad, initiators=initiators, units=chip.compute_units
        )
        settings = first_settings(hbm)
        count = hbm.stacks * hbm.channels
        self.start, self.opens = start, opens
        self.channels = [
            LiveChannel(hbm.channel, settings, lambda clock, do: events.at(clock + start, do)) for _ in range(count)
        ]
        self.interleave = Interleave(count)
        self.answers = answers = Answers(events, self.plan)
        channels = [
            ChannelTarget(answers, channel, port, start, opens)
            for channel in self.channels
            for port in range(self.plan.ports)
        ]
        self.requests = Requests(events, self.plan, [*channels, *(PadTarget(answers, pad) for pad in pads)])
        self.initiators = [
            Initiator(self, number, self.plan.request_latency - 1 - TO_TARGET) for number in range(initiators)
        ]

    def send(
        self,
        initiator: Initiator,
        piece: Piece,
        ready: int,
        tell: Callable[[int], None],
        gone: Callable[[int], None],
    ) -> None:
        """A packet wants to go to its target from a clock on.

        ``gone`` is given the clock of each flit; ``tell`` that of each word of the answer, or of its acknowledge, at
        the initiator.
        """
        if piece.word >= SCRATCHPAD:
            unit, word = divmod(piece.word - SCRATCHPAD, UNIT_WORDS)
            number = min(self.plan.channel_ports + unit, self.plan.targets - 1)
        else:
            channel, word = _locate(self.interleave, piece.word)
            number = channel * self.plan.ports + word // GRANULE % self.plan.ports
        packet = Packet(
            initiator.number, number, piece.write, word, piece.count, piece.tag, piece.masked, gone=gone, tell=tell
        )
        self.requests.send(packet, ready)


def _locate(interleave: Interleave, word: int) -> tuple[int, int]:
    """The channel of a word, and its place there."""
    if interleave.channels == 1:
        return 0, word
    channel, local = interleave.locate(np.array([word * 32]))
    return int(channel[0]), int(local[0]) // 32
