"""The network between a chip's users of memory and its channels and scratchpads, without the queues of a mesh."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from openppu.config import ChipConfig
from openppu.hbm.settings import first_settings
from openppu.noc.plan import GRANULE, Plan

from openppu_sim.cycles.chip.events import EARLY, PACKETS, Events
from openppu_sim.cycles.chip.pad_memory import PadMemory
from openppu_sim.cycles.hbm.address import Interleave
from openppu_sim.cycles.hbm.live import LiveChannel

SCRATCHPAD = 1 << 34
"""Of an address in words of 32 bytes: it is in a scratchpad."""

UNIT_WORDS = 1 << 19
"""Of the addresses of a compute unit's scratchpad."""

TO_TARGET = 1
"""Clocks from a flit to the request at the target's memory."""

TO_USER = 2
"""From a word, or an acknowledge, that a target gives, to its being at the user."""

ACKNOWLEDGE = 1
"""From a pseudo-channel's taking a write to its acknowledge."""

RESPONSE = 1
"""From the clock that a channel's model names to its first word."""

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
    pause: int = 0
    """Clocks between its first flit and the rest."""

    start: int = -1
    """The clock of its first word at the initiator."""


@dataclass
class _Write:
    left: int
    told: Callable[[int, int], None]
    done: int = 0


@dataclass
class _Packet:
    """A piece that wants to go to its target."""

    initiator: "Initiator"
    piece: Piece
    ready: int
    channel: int
    port: int
    word: int
    tell: Callable[[int], None]
    gone: Callable[[int], None]


@dataclass
class _Target:
    """Packets go to it one after the other, those of its users in turns.

    It holds one request for its memory: the next packet waits until the memory has taken that.
    """

    free_at: int = 0
    full: bool = False
    last: int = -1
    offered: _Packet | None = None
    """Whose turn it is, although it cannot go yet."""
    waiting: list[_Packet] = field(default_factory=list)
    looks: int = -1


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
    """A packet has not got its turn."""

    leaves_at: int = 0
    """The clock in which the last packet's last flit goes."""

    last_word: int = 0
    last_acknowledge: int = 0
    slots: int = 0
    ring: int = 0
    arrivals: list[tuple[int, int, Callable[[int], None]]] = field(default_factory=list)
    """Of each target that has words of a read from the next clock on: its number, how many, and whom to tell."""
    arrives_at: int = 0
    """The clock from which words of another read can come."""
    last_target: int = -1
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

        def gone(start: int) -> None:
            for place in range(piece.count):
                self.words.popleft()
                self.words_free.append(start + place + piece.pause * (place > 0))
            self._gone(start + piece.pause + piece.count - 1)

        self.sends = True
        self.network.send(self, piece, ready, lambda clock: self._acknowledged(write, clock), gone)

    def _gone(self, last: int) -> None:
        """A packet goes, its last flit in this clock."""
        self.sends, self.leaves_at = False, last
        self._pump_at(max(last, self.network.events.now))

    def offer(self, target: int, count: int, then: Callable[[int], None]) -> None:
        """Words of a read could come from a target from the next clock on; ``then`` is told how long they wait."""
        self.arrivals.append((target, count, then))
        if len(self.arrivals) == 1:
            self.network.events.at(self.network.events.now, self._arrive, PACKETS)

    def _arrive(self) -> None:
        """Reads are answered one after the other, those of one clock in turns."""
        first, targets = self.network.events.now + 1, self.network.plan.targets
        arrivals, self.arrivals = self.arrivals, []
        last = self.last_target
        for target, count, then in sorted(arrivals, key=lambda each: (each[0] - last - 1) % targets):
            start = max(first, self.arrives_at)
            self.arrives_at, self.last_target = start + count, target
            then(start - first)

    def _answered(self, piece: Piece, first: int) -> None:
        """The piece's words come to the initiator from this clock on."""
        piece.start = first
        while self.reads and self.reads[0].start >= 0:
            head = self.reads.popleft()
            start = max(head.start + TO_USER, self.last_word + 1)
            self.last_word = start + head.count - 1
            head.told(start, head.count)
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
        self.targets = [_Target(last=initiators - 1) for _ in range(self.plan.targets)]
        self.places = self.plan.target_places
        self.initiators = [
            Initiator(self, number, self.plan.request_latency - 1 - TO_TARGET) for number in range(initiators)
        ]
        self.initiator_places = self.plan.initiator_places

    def send(
        self,
        initiator: Initiator,
        piece: Piece,
        ready: int,
        tell: Callable[[int], None],
        gone: Callable[[int], None],
    ) -> None:
        """A packet wants to go to its target from a clock on.

        ``gone`` is given the clock of its first flit; ``tell`` that of the answer's first word, or of its acknowledge,
        at the initiator.
        """
        if piece.word >= SCRATCHPAD:
            unit, word = divmod(piece.word - SCRATCHPAD, UNIT_WORDS)
            number, channel, port = self.plan.channel_ports + unit, -1, 0
        else:
            channel, word = _locate(self.interleave, piece.word)
            port = word // GRANULE % self.plan.ports
            number = channel * self.plan.ports + port
        number = min(number, len(self.targets) - 1)
        target, packet = self.targets[number], _Packet(initiator, piece, ready, channel, port, word, tell, gone)
        if self.plan.noc.is_mesh:  # it waits on the way, not for its turn
            here, there = self.initiator_places[initiator.number], self.places[number]
            hops = abs(here.x - there.x) + abs(here.y - there.y) + 1
            self._go(target, packet, max(ready, target.free_at - hops), hops)
            return
        target.waiting.append(packet)
        self._look_at(target, ready)

    def _look_at(self, target: _Target, clock: int) -> None:
        clock = max(clock, target.free_at)
        if target.looks < 0 or clock < target.looks:
            target.looks = clock
            self.events.at(clock, lambda: self._look(target, clock), PACKETS)

    def _look(self, target: _Target, clock: int) -> None:
        """The packet goes whose turn it is."""
        if clock != target.looks:
            return  # another one came before
        target.looks = -1
        users = len(self.initiators)
        wants = [packet for packet in target.waiting if packet.ready <= clock]
        if wants and target.free_at <= clock and target.offered is None:
            packet = min(wants, key=lambda each: (each.initiator.number - target.last - 1) % users)
            target.waiting.remove(packet)
            target.last = packet.initiator.number
            target.offered = packet
        if target.offered is not None and not target.full:
            packet, target.offered = target.offered, None
            self._go(target, packet, clock, 0)
        if target.waiting and target.offered is None:
            self._look_at(target, max(clock + 1, min(packet.ready for packet in target.waiting)))

    def _go(self, target: _Target, packet: _Packet, at: int, hops: int) -> None:
        """A packet's first flit goes; each router on its way takes a clock."""
        piece, channel, tell = packet.piece, packet.channel, packet.tell
        if piece.write and channel < 0 and piece.count > 1:
            piece.pause = 1  # the first word waits there for its request
        target.free_at = at + hops + piece.pause + (piece.count if piece.write else 1)
        arrives = at + hops + TO_TARGET

        def told(clock: int) -> None:
            tell(clock + hops)

        packet.gone(at)
        if channel < 0:
            pad = self.pads[min((piece.word - SCRATCHPAD) // UNIT_WORDS, len(self.pads) - 1)]
            pad.ask(arrives, packet.word, piece.count, told, write=piece.write)
            return
        # The queues of a mesh take what its memory does not.
        target.full = not self.plan.noc.is_mesh

        def taken() -> None:
            target.full = False
            if target.offered is not None:
                self._look_at(target, self.events.now)

        def comes(then: Callable[[int], None]) -> None:
            packet.initiator.offer(channel * self.plan.ports + packet.port, piece.count, then)

        start = self.start
        extra = start + (ACKNOWLEDGE if piece.write else RESPONSE)
        self.events.at(
            max(arrives, start + self.opens),
            lambda: self.channels[channel].ask(
                max(arrives - start, self.opens),
                packet.port,
                packet.initiator.number + piece.tag,
                packet.word,
                piece.count,
                lambda clock: told(clock + extra),
                taken,
                comes,
                write=piece.write,
                masked=piece.masked,
            ),
        )


def _locate(interleave: Interleave, word: int) -> tuple[int, int]:
    """The channel of a word, and its place there."""
    if interleave.channels == 1:
        return 0, word
    channel, local = interleave.locate(np.array([word * 32]))
    return int(channel[0]), int(local[0]) // 32
