"""Which way a pseudo-channel's data bus goes, and which way it is about to."""

from openppu.hbm.settings import Settings

from openppu_sim.cycles.hbm.policy import Policy
from openppu_sim.cycles.hbm.queue import Queue
from openppu_sim.cycles.hbm.refresh import FAR
from openppu_sim.cycles.hbm.requests import Piece


class Direction:
    """Gathers writes into batches; follows `openppu.hbm.direction.Direction`.

    Attributes
    ----------
    target, writing : bool
        True for writes: what rows are opened for, and what the data bus does.
    reserved : int
        The bank of the target's oldest entry, if that has waited too long, or -1.
    left : int
        Oldest entries that have left in this turn of the target.
    wake : int
        The clock in which an entry will have waited too long.
    """

    def __init__(self, reads: Queue, writes: Queue, settings: Settings, policy: Policy) -> None:
        self.reads, self.writes = reads, writes
        self.high, self.low = settings.write_high, settings.write_low
        self.age_period = (settings.age_limit >> 1) + 1
        self.many, self.turn = policy.many, policy.turn
        self.left = 0
        self.target = self.writing = False
        self.next_target = self.next_writing = False
        self.reserved = -1
        self.wake = FAR

    @property
    def changes(self) -> bool:
        """Whether it will be another one in the next clock."""
        return self.next_target != self.target or self.next_writing != self.writing

    @property
    def queue(self) -> Queue:
        """That of the data bus's direction."""
        return self.writes if self.writing else self.reads

    @property
    def target_queue(self) -> Queue:
        """That of the target."""
        return self.writes if self.target else self.reads

    def decide(self, clock: int, offer: Piece | None) -> None:
        """Decide on the next clock; ``offer`` is the piece that wants to join."""
        reads, writes = self.reads, self.writes
        self.wake = FAR
        aged = (self._aged(reads, clock), self._aged(writes, clock))
        urgent_reads, urgent_writes = aged
        if offer is not None:
            urgent_reads = urgent_reads or (offer.write and offer.granule in reads.granules)
            urgent_writes = urgent_writes or writes.keeps_out(offer)
        level, full = writes.ready_count, len(writes.order) == writes.depth
        over = self.left == self.turn
        if not self.target:
            some, mine, theirs, mark = bool(reads.order), urgent_reads, urgent_writes, level >= self.high or full
            others = level > 0
        else:
            some, mine, theirs, mark = level > 0, urgent_writes, urgent_reads, level <= self.low and not full
            others = bool(reads.order)
        turns = others and (not some or ((theirs and over) if mine else (theirs or mark)))
        self.next_target, self.next_writing = self.target != turns, self.writing
        if self.target != self.writing:
            other = self.target_queue
            urgent = urgent_writes if self.target else urgent_reads
            if not self.queue.hit_count or other.hit_count >= self.many or (other.hit_count and urgent):
                self.next_writing = self.target
        self.reserved = self.target_queue.order[0].bank if aged[self.target] else -1

    def _aged(self, queue: Queue, clock: int) -> bool:
        """Whether the oldest entry has waited too long: two ticks have passed."""
        if not queue.order:
            return False
        head = queue.order[0]
        ticks = clock // self.age_period
        if ticks - (head.birth + 1) // self.age_period < 2:
            self.wake = min(self.wake, (ticks + 1) * self.age_period)
            return False
        return head.filled and head.merged

    def step(self, left: Queue | None) -> bool:
        """Go on to the next clock; return whether the data bus turns round. The oldest entry of ``left`` has left."""
        if self.next_target != self.target:
            self.left = 0
        elif left is self.target_queue and self.left < self.turn:
            self.left += 1
        turned = self.next_writing != self.writing
        self.target, self.writing = self.next_target, self.next_writing
        return turned
