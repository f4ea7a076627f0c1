"""The request ports of a channel, and the crossbar that joins their work for a pseudo-channel."""

from collections import deque

from openppu.hbm.config import ChannelConfig

from openppu_sim.cycles.hbm.policy import Policy
from openppu_sim.cycles.hbm.refresh import FAR
from openppu_sim.cycles.hbm.requests import Piece
from openppu_sim.cycles.hbm.write_buffer import WriteBuffer

RELEASE = 2
"""Clocks from a slot's last word to its next use."""


class Port:
    """Hands the pieces of its requests to the pseudo-channels, and gives out responses.

    Follows `openppu.hbm.port.Port`: a piece of a read takes a clock, one of a write a clock a word; a tag's responses
    keep their order, and take a clock a word.

    Parameters
    ----------
    config : ChannelConfig
    pieces : list of Piece
        In order, with their tags.
    arrivals : list of int
        For each piece, the clock from which its request is there.
    policy : Policy
    number : int
        Of the port.
    buffers : list of WriteBuffer
        Of each pseudo-channel: there the words go that wait here.

    Attributes
    ----------
    waiting : list of deque of Piece
        For each pseudo-channel.
    left_at : list of int
        For each pseudo-channel, the clock in which the last piece left; there is room for another from the next on.
    wake : int
        The next clock in which it can hand on a piece.
    offered, finished : dict of int to int
        Of requests by number: the clock in which the first piece could be handed on, or in which the request arrived if
        it has a time; that of a read's last response, or in which a write's last word was taken.
    """

    def __init__(
        self,
        config: ChannelConfig,
        pieces: list[Piece],
        arrivals: list[int] | None,
        policy: Policy,
        *,
        number: int,
        buffers: list[WriteBuffer],
    ) -> None:
        self.pieces = pieces
        self.arrivals = arrivals
        self.policy = policy
        self.next = 0
        self.waiting: list[deque[Piece]] = [deque(), deque()]
        self.slots = [config.slots, config.slots]
        self.order: list[deque[Piece]] = [deque() for _ in range(config.tags)]
        self.turn = 0
        self.responding_until = 0
        self.freed: deque[tuple[int, int]] = deque()
        self.unanswered = 0
        self.number, self.buffers = number, buffers
        self.came = -1
        self.last_at = FAR
        self.left_at = [-1, -1]
        self.wake = 0 if pieces else FAR
        self.offered: dict[int, int] = {}
        self.finished: dict[int, int] = {}

    @property
    def done(self) -> bool:
        """Whether it has handed on all its pieces, and the pseudo-channels have taken them."""
        return self.next == len(self.pieces) and not any(self.waiting)

    @property
    def offers(self) -> bool:
        """Whether a piece waits for a pseudo-channel, or a write for its words."""
        return self.came >= 0 or any(self.waiting)

    def step(self, clock: int) -> None:
        """Hand on what can be in this clock."""
        self.wake = FAR
        if self.next == len(self.pieces):
            return
        piece = self.pieces[self.next]
        if self.arrivals is not None and self.arrivals[self.next] > clock:
            self.wake = self.arrivals[self.next]
            return
        if piece.request not in self.offered:
            self.offered[piece.request] = clock if self.arrivals is None else self.arrivals[self.next]
        if piece.write:
            # Its words come first, one a clock; it is handed on with the last one, once there is room.
            self._take_words(piece, clock)
            if self.last_at > clock:
                return
        if not self.has_room(piece, clock):
            return
        if piece.write:
            self.came, self.last_at = -1, FAR
            if piece.last:
                self.finished[piece.request] = clock
        else:
            self.respond(clock)
            if not self.slots[piece.pc]:
                self.wake = clock + 1
                return
            self.slots[piece.pc] -= 1
            self.order[piece.tag].append(piece)
            self.unanswered += 1
        self.waiting[piece.pc].append(piece)
        self.next += 1
        self.wake = clock + 1
        self.handed_on(piece, clock)

    def has_room(self, piece: Piece, clock: int) -> bool:
        """Whether another piece can wait for its pseudo-channel."""
        has_left = self.left_at[piece.pc] == clock
        if len(self.waiting[piece.pc]) + has_left < self.policy.port_entries:
            return True
        if has_left:
            self.wake = clock + 1
        return False

    def _take_words(self, piece: Piece, clock: int) -> None:
        """Take words of a write: ``last_at`` is when the last one can come, once that is known."""
        self.came = max(self.came, 0)
        if self.last_at == FAR:
            waiting = sum(each.words for each in self.waiting[piece.pc] if each.write)
            behind = self.buffers[piece.pc].behind(self.number, clock)
            room = self.policy.port_words - waiting - behind - self.came
            left = piece.words - self.came
            if room >= left:
                self.last_at = clock + left - 1
            elif room:
                self.came += 1
            if self.last_at == FAR and (room or behind):
                self.wake = clock + 1
        if clock < self.last_at < FAR:
            self.wake = self.last_at

    def respond(self, clock: int) -> None:
        """Give out responses, as far as can be said in this clock."""
        while True:
            while self.freed and self.freed[0][0] <= clock:
                self.slots[self.freed.popleft()[1]] += 1
            tags = len(self.order)
            pick, start = -1, FAR
            for step in range(tags):
                tag = (self.turn + step) % tags
                queue = self.order[tag]
                if queue and queue[0].ready_at >= 0:
                    at = max(queue[0].ready_at, self.responding_until)
                    if at < start:
                        pick, start = tag, at
            if pick < 0 or start > clock:
                return
            piece = self.order[pick].popleft()
            self.turn = (pick + 1) % tags
            self.responding_until = start + piece.words
            self.freed.append((start + piece.words - 1 + RELEASE, piece.pc))
            self.unanswered -= 1
            self.answered(piece, start)

    def answered(self, piece: Piece, start: int) -> None:
        """The words of a read's piece are given out in the clocks behind ``start``."""
        if piece.last:
            self.finished[piece.request] = start + piece.words

    def handed_on(self, piece: Piece, clock: int) -> None:
        """A piece waits for its pseudo-channel from now on, so the port looks at the next one."""

    def taken(self, piece: Piece, clock: int) -> None:
        """A pseudo-channel takes a piece in this clock."""


class Crossbar:
    """Lets the ports take turns with one pseudo-channel; a port that was offered stays until it is taken."""

    def __init__(self, ports: list[Port], pc: int) -> None:
        self.ports = ports
        self.pc = pc
        self.turn = 0
        self.pick = -1

    def offer(self) -> Piece | None:
        """The piece that the pseudo-channel may take in this clock."""
        if self.pick < 0:
            count = len(self.ports)
            for step in range(count):
                port = (self.turn + step) % count
                if self.ports[port].waiting[self.pc]:
                    self.pick = port
                    self.turn = (port + 1) % count
                    break
            else:
                return None
        return self.ports[self.pick].waiting[self.pc][0]

    def taken(self, clock: int) -> None:
        """The piece that was offered has been taken in this clock."""
        port = self.ports[self.pick]
        port.taken(port.waiting[self.pc].popleft(), clock)
        port.left_at[self.pc] = clock
        port.wake = min(port.wake, clock + 1)
        self.pick = -1
