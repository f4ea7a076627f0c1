"""The scheduler of one pseudo-channel."""

from collections.abc import Callable
from itertools import islice
from typing import NamedTuple

from openppu.hbm.config import ChannelConfig
from openppu.hbm.device import BURST
from openppu.hbm.settings import Page, Settings

from openppu_sim.cycles.hbm.accounts import Accounts
from openppu_sim.cycles.hbm.banks import Banks
from openppu_sim.cycles.hbm.direction import Direction
from openppu_sim.cycles.hbm.hammer import Hammer
from openppu_sim.cycles.hbm.idle import Idle
from openppu_sim.cycles.hbm.policy import Policy
from openppu_sim.cycles.hbm.queue import Entry, Queue
from openppu_sim.cycles.hbm.refresh import FAR, PRE, PREA, REF, REFSB, Refresher
from openppu_sim.cycles.hbm.requests import Piece
from openppu_sim.cycles.hbm.retry import Access, Retry
from openppu_sim.cycles.hbm.row_bus import Wish
from openppu_sim.cycles.hbm.write_buffer import WriteBuffer

ACT = "ACT"


class Sent(NamedTuple):
    """A command on a bus, at a memory clock."""

    ck: int
    name: str
    pc: int
    bank: int


FETCH = 2
"""Clocks before its data is on the bus at which a write's words are fetched from the write buffer."""


class PseudoChannel:
    """Follows `openppu.hbm.pseudo_channel.PseudoChannel`, skipping the clocks in which nothing can change.

    In each clock: `decide`, from the state before it; the row bus grants; `act`, which makes the next state.

    Parameters
    ----------
    config : ChannelConfig
    settings : Settings
    policy : Policy
    index : int
        0 or 1, which is its column slot too.
    returned : function of Piece and clock
        Told of each piece of a read whose last word was asked for, and the clock from which a response can begin.

    Attributes
    ----------
    wake : int
        The next clock in which it may have to do something.
    act_wish, short_wish : Wish or None
        What it would send on the row bus in this clock.
    accounts : Accounts
    log : list of Sent, or None
        If a list, gets each command: each is on its bus in the clock after it was chosen.
    """

    def __init__(
        self,
        config: ChannelConfig,
        settings: Settings,
        policy: Policy,
        *,
        index: int,
        returned: Callable[[Piece, int], None],
    ) -> None:
        timing = settings.timing
        self.index = index
        self.settings = settings
        self.policy = policy
        self.returned = returned
        self.banks = Banks(config, timing)
        self.refresher = Refresher(self.banks, settings, policy)
        self.hammer = Hammer(config, settings, self.banks, self.refresher) if config.hammer_entries else None
        self.hammered: set[int] = set() if self.hammer is None else self.hammer.blocked
        late = settings.parity_latency
        self.retry = Retry(self.banks, late) if config.retry and late else None
        self.reads, self.writes = Queue(config.reads), Queue(config.writes)
        self.near_reads, self.near_writes = (
            max(1, int(policy.near * depth)) for depth in (config.reads, config.writes)
        )
        self.direction = Direction(self.reads, self.writes, settings, policy)
        self.buffer = WriteBuffer(config.writes)
        self.clock = -1
        self.wake = 0
        self.act_wish: Wish | None = None
        self.short_wish: Wish | None = None
        self.refreshes = self.protects = False
        self.victim = False
        self.accounts = Accounts()
        self.idle = Idle(self)
        self.log: list[Sent] | None = None
        self.number = 0
        # From a read's choice to the clock in which a response can begin: the register of the column bus, the device,
        # correction and the reorder memory.
        self.read_latency = 1 + -(-(index + timing.RL + BURST) // 2) + settings.read_delay + 2
        self.merge_latency = self.read_latency + 1
        # With retries, not before no error of it can come.
        self.release = 2 + timing.WL // 2 - FETCH + (late + 2 if self.retry else 0)
        self.chosen: Entry | None = None
        self.chosen_auto = self.chosen_contended = False
        self.accepts = False

    @property
    def busy(self) -> bool:
        """Whether entries wait."""
        return bool(self.reads.order or self.writes.order) or (self.retry is not None and self.retry.active)

    @property
    def accesses(self) -> bool:
        """Whether an access goes in the clock that was decided on, be it once more."""
        return self.chosen is not None or (
            self.retry is not None and self.retry.active and self.retry.again is not None
        )

    def blocks(self, bank: int) -> bool:
        """Whether a bank gets no command for an entry."""
        return self.refresher.blocks(bank) or bank in self.hammered

    def sleep(self, until: int) -> None:
        """All rows have been closed, and no row command comes before this CK."""
        banks = self.banks
        self.accounts.events["precharges"] += any(row >= 0 for row in banks.row)
        banks.row = [-1] * banks.count
        banks.rest_at = max(banks.rest_at, until)

    def decide(self, clock: int, offer: Piece | None) -> None:
        """Choose what to send in a clock; ``offer`` is the piece that wants to join."""
        self.idle.settle(clock)
        self.clock = clock
        self.wake = FAR
        for entry in self.buffer.complete(clock):
            queue = self.writes if entry.write is None else self.reads
            queue.ready(entry, self.banks.row[entry.bank])
        self.wake = self.buffer.wake()
        if self.hammer is not None:
            self.hammer.advance(clock)
            self.wake = min(self.wake, self.hammer.wake)
        self._accept_or_not(offer)
        self.direction.decide(clock, offer)
        self.wake = min(self.wake, self.direction.wake)
        if self.retry is not None:
            if self.retry.begin(clock):
                self._try_again(self.retry, clock)
                return
            self.wake = min(self.wake, self.retry.wake)
        reserved = self.direction.reserved
        self._choose_row(clock, reserved)
        self._choose_column(clock, reserved)

    def _try_again(self, retry: Retry, clock: int) -> None:
        """Nothing is sent but what was lost."""
        banks = self.banks
        self.accounts.events["retries"] = retry.begins
        self.chosen = None
        self.refreshes = self.protects = self.victim = False
        gate = max(banks.space_at, banks.rest_at, banks.window[0] + banks.timing.tFAW)
        retry.decide(clock, gate, self.index)
        self.act_wish, self.short_wish = retry.act_wish, retry.short_wish
        if retry.again is not None:
            self.idle.access(clock)
        else:
            self.idle.retry()
        self.wake = clock + 1

    def _accept_or_not(self, offer: Piece | None) -> None:
        self.accepts = False
        if offer is None:
            return
        reads, writes = self.reads, self.writes
        if writes.keeps_out(offer) or (offer.write and offer.granule in reads.granules):
            return
        if not offer.write:
            self.accepts = len(reads.order) < reads.depth
        elif len(writes.order) < writes.depth and not (offer.masked and len(reads.order) >= reads.depth):
            self.accepts = self.buffer.slots > 0
            if not self.accepts:
                self.wake = min(self.wake, self.buffer.releases[0])

    def _choose_column(self, clock: int, reserved: int) -> None:
        """The oldest entry whose row is open and whose bank can take an access."""
        banks, writing, queue = self.banks, self.direction.writing, self.direction.queue
        self.chosen = None
        ck = 2 * clock + self.index
        ready_at = banks.wr_at if writing else banks.rd_at
        group, column_at, read_at = banks.group, banks.column_at, banks.read_at
        blocked = self.refresher.chosen
        best: Entry | None = None
        oldest = FAR
        if queue.hits and not self.refresher.closing and not (writing and banks.write_at > ck):
            passes = banks.lets_it_pass and self._head_ready(reserved, ck)
            for bank, entries in queue.hits.items():
                entry = entries[0]
                if (
                    entry.number < oldest
                    and (bank == reserved or not passes)
                    and ready_at[bank] <= ck
                    and column_at[group[bank]] <= ck
                    and (writing or read_at[group[bank]] <= ck)
                    and bank != blocked
                    and bank not in self.hammered
                    and (bank != reserved or (writing == self.direction.target and entry is queue.order[0]))
                ):
                    best, oldest = entry, entry.number
        if best is None:
            self._wait_for_column(clock, queue, ready_at)
            return
        self.idle.access(clock)
        self.chosen = best
        self.chosen_auto = self.chosen_contended = False
        if best.left > 1:
            return
        bank = best.bank
        reads, writes = self.reads, self.writes
        self.chosen_contended = bank in reads.conflicts or bank in writes.conflicts
        page = self.settings.page
        closes = page == Page.CLOSED or (page == Page.ADAPTIVE and banks.keep[bank] < 2)
        self.chosen_auto = (self.chosen_contended or closes) and not (
            len(queue.hits[bank]) > 1
            or bank in (reads if writing else writes).hits
            or any(entry.bank == bank and entry.row == best.row for entry in (*reads.unready, *writes.unready))
        )

    def _head_ready(self, reserved: int, ck: int) -> bool:
        """Whether the entry that has its bank for itself waits for the distance from other accesses alone."""
        banks, direction = self.banks, self.direction
        writing, queue = direction.writing, direction.queue
        return (
            reserved >= 0
            and writing == direction.target
            and reserved in queue.hits
            and not self._head_misses(reserved)
            and not self.blocks(reserved)
            and (banks.wr_at if writing else banks.rd_at)[reserved] <= ck
            and (writing or banks.read_at[banks.group[reserved]] <= ck)
        )

    def _wait_for_column(self, clock: int, queue: Queue, ready_at: list[int]) -> None:
        """Nothing can be accessed in this clock: find when something can, and why not now."""
        banks = self.banks
        by_bank = by_turn = by_group = FAR
        for bank in queue.hits:
            if self.blocks(bank):
                continue
            group = banks.group[bank]
            at = ready_at[bank]
            by_bank = min(by_bank, at)
            at = max(at, banks.write_at if self.direction.writing else banks.read_at[group])
            by_turn = min(by_turn, at)
            by_group = min(by_group, max(at, banks.column_at[group]))
        self.wake = min(self.wake, max(clock + 1, (by_group - self.index + 1) >> 1))
        self.idle.note(clock, by_bank, by_turn)

    def _choose_row(self, clock: int, reserved: int) -> None:
        """An ACT and another command that could go in this clock."""
        banks = self.banks
        refresh = self.refresher.request()
        self.act_wish = self.short_wish = None
        self.refreshes = self.protects = self.victim = False
        ck = 2 * clock + 1
        gate = max(banks.space_at, banks.rest_at, banks.window[0] + banks.timing.tFAW)
        shut = gate > ck
        if shut:
            self.wake = min(self.wake, gate >> 1)
        target = self.direction.target_queue
        other = self.reads if target is self.writes else self.writes
        act: Entry | None = None
        hammer = self.hammer
        if not shut and not self.refresher.holds(ck) and not (hammer is not None and hammer.holds(ck)):
            act = self._activation(ck, target, None, reserved) or self._activation(ck, other, target, reserved)
        pre: Entry | None = None
        if target.conflicts or other.conflicts:
            pre = self._precharge(ck, target, None, reserved) or self._precharge(ck, other, target, reserved)
        if act is not None:
            bank = act.bank
            early = max(banks.act_at[bank], banks.row_at[banks.group[bank]], gate) < ck
            self.act_wish = Wish(ACT, bank, act.row, early)
        if hammer is not None and not shut and hammer.holds(ck) and not self.refresher.holds(ck):
            at = hammer.act_from()
            if at <= ck:
                self.act_wish = Wish(ACT, hammer.bank, hammer.row, max(at, gate) < ck)
                self.victim = True
        if refresh is not None:
            command, bank, at = refresh
            if at <= ck:
                self.short_wish = Wish(command, bank, 0, at < ck)
                self.refreshes = True
                return
            self.wake = min(self.wake, at >> 1)
            settled = banks.act_at[bank]
            if settled > ck:
                self.wake = min(self.wake, settled >> 1)
        if hammer is not None and (at := hammer.close_from()) <= ck:
            self.short_wish = Wish(PRE, hammer.bank, 0, at < ck)
            self.protects = True
        elif pre is not None:
            early = max(banks.pre_at[pre.bank], banks.rest_at) < ck
            self.short_wish = Wish(PRE, pre.bank, 0, early)

    def _activation(self, ck: int, queue: Queue, target: Queue | None, reserved: int) -> Entry | None:
        """The oldest entry of a queue whose bank can be activated at a CK, but for banks that the ``target`` needs."""
        banks = self.banks
        act_at, row_at, group = banks.act_at, banks.row_at, banks.group
        blocked = self.refresher.chosen
        best: Entry | None = None
        wake = self.wake
        for bank, entries in queue.misses.items():
            if (
                bank == blocked
                or bank in self.hammered
                or (target is not None and (bank in target.hits or bank in target.misses))
            ):
                continue
            entry = entries[0]
            if bank == reserved and (target is not None or entry is not queue.order[0]):
                continue
            at = act_at[bank]
            if row_at[group[bank]] > at:
                at = row_at[group[bank]]
            if at > ck:
                if at >> 1 < wake:
                    wake = at >> 1
            elif best is None or entry.number < best.number:
                best = entry
        self.wake = wake
        return best

    def _precharge(self, ck: int, queue: Queue, target: Queue | None, reserved: int) -> Entry | None:
        """Likewise, of those whose bank has another row open that can be closed, and that nobody else waits for."""
        banks = self.banks
        present, aimed = self.direction.queue, self.direction.target_queue
        best: Entry | None = None
        for bank, entries in queue.conflicts.items():
            if self.blocks(bank) or (target is not None and (bank in target.hits or bank in target.conflicts)):
                continue
            if (bank in present.hits or bank in aimed.hits) and not (bank == reserved and self._head_misses(bank)):
                continue
            at = max(banks.pre_at[bank], banks.rest_at)
            if at > ck:
                self.wake = min(self.wake, at >> 1)
            elif best is None or entries[0].number < best.number:
                best = entries[0]
        return best

    def _head_misses(self, bank: int) -> bool:
        """Whether the oldest entry of the target, which is for this bank, does not find its row open."""
        return self.direction.target_queue.order[0].row != self.banks.row[bank]

    def act(self, clock: int, act_slot: int, short_slot: int, offer: Piece | None) -> None:
        """Send what was chosen, as the row bus granted it, and take in the piece that was offered, if accepted."""
        events = self.accounts.events
        if self.log is not None:
            self._note(self.log, clock + 1, act_slot, short_slot)
        changed = (
            self.chosen is not None
            or self.act_wish is not None
            or self.short_wish is not None
            or self.direction.changes
        )
        granted = self.short_wish.command if self.refreshes and short_slot >= 0 and self.short_wish else None
        idle = not self.busy and offer is None
        refresh_wake = self.refresher.choose(clock, near=self._near, idle=idle, granted=granted)
        left: Queue | None = None
        again = self.retry.again if self.retry is not None and self.retry.active else None
        sent = self.chosen is not None or again is not None or max(act_slot, short_slot) >= 0
        if again is not None:
            self._repeat(clock, again)
        if self.retry is not None and sent:
            access = None
            if self.chosen is not None:
                access = Access(clock, self.chosen, self.direction.writing, self.chosen.left == 1)
            self.retry.sent(clock, access)
            if self.retry.active:
                self.retry.granted()
        if self.chosen is not None:
            queue = self.direction.queue
            if self.chosen.left == 1 and self.chosen is queue.order[0]:
                left = queue
            self._access(clock, self.chosen)
        if act_slot >= 0 and self.act_wish is not None:
            wish = self.act_wish
            self.banks.activate(wish.bank, wish.row, 2 * clock + act_slot)
            self.reads.opened(wish.bank, wish.row)
            self.writes.opened(wish.bank, wish.row)
            events["activates"] += 1
            events["victims"] += self.victim
            if self.hammer is not None:
                self.hammer.activated(wish.bank, wish.row, clock)
                self.wake = min(self.wake, self.hammer.wake)
        if short_slot >= 0 and self.short_wish is not None:
            self._short(self.short_wish, 2 * clock + short_slot)
        events["turnarounds"] += self.direction.step(left)
        if self.accepts and offer is not None:
            self._take(offer, clock)
            changed = True
        self.wake = min(self.wake, refresh_wake)
        if changed:
            self.refresher.in_vain = False
            self.wake = clock + 1

    def _note(self, log: list[Sent], clock: int, act_slot: int, short_slot: int) -> None:
        """Log what is sent."""
        if self.chosen is not None:
            name = ("WR" if self.direction.writing else "RD") + ("A" if self.chosen_auto else "")
            log.append(Sent(2 * clock + self.index, name, self.index, self.chosen.bank))
        for wish, slot in ((self.act_wish, act_slot), (self.short_wish, short_slot)):
            if wish is not None and slot >= 0:
                log.append(Sent(2 * clock + slot, wish.command, self.index, wish.bank))

    def _near(self) -> set[int]:
        """Banks that are needed soon; a batch of the other direction is too far off to count."""
        direction = self.direction
        queue, count = (self.writes, self.near_writes) if direction.target else (self.reads, self.near_reads)
        near = {entry.bank for entry in islice(queue.order, count)}
        if direction.target != direction.writing:
            near.update(direction.queue.hits)
        return near

    def _count(self, bank: int, *, write: bool) -> None:
        """Count an access."""
        banks, events = self.banks, self.accounts.events
        events["writes" if write else "reads"] += 1
        if not banks.first[bank]:
            events["row_hits"] += 1
        elif banks.missed[bank]:
            events["row_conflicts"] += 1
        else:
            events["row_misses"] += 1

    def _repeat(self, clock: int, access: Access) -> None:
        """An access is sent again; of a read, its word comes only now."""
        entry, ck = access.entry, 2 * clock + self.index
        self._count(entry.bank, write=access.write)
        self.banks.access(entry.bank, ck, write=access.write, auto=False, contended=False)
        if access.last and not access.write and entry.write is None:
            self.returned(entry.piece, clock + self.read_latency)
        if self.log is not None:
            self.log.append(Sent(ck + 2, "WR" if access.write else "RD", self.index, entry.bank))

    def _access(self, clock: int, entry: Entry) -> None:
        banks, writing = self.banks, self.direction.writing
        bank = entry.bank
        self._count(bank, write=writing)
        banks.access(
            bank,
            2 * clock + self.index,
            write=writing,
            auto=self.chosen_auto,
            contended=self.chosen_contended,
        )
        entry.left -= 1
        if entry.write is not None and not writing:
            self.buffer.store(clock + self.merge_latency - 1)
        if not entry.left:
            (self.writes if writing else self.reads).leave(entry)
            if writing:
                self.buffer.release(clock + self.release)
            elif entry.write is not None:
                self.buffer.merge(entry.write, clock + self.merge_latency)
            else:
                self.returned(entry.piece, clock + self.read_latency)
        if self.chosen_auto:
            self.reads.closed(bank)
            self.writes.closed(bank)

    def _short(self, wish: Wish, ck: int) -> None:
        banks, events = self.banks, self.accounts.events
        if wish.command == REFSB:
            banks.refresh(wish.bank, ck)
            events["refreshes"] += 1
        elif wish.command == REF:
            banks.refresh_all(ck)
            events["refreshes"] += 1
        else:
            events["precharges"] += 1
            closing = range(banks.count) if wish.command == PREA else (wish.bank,)
            for bank in closing:
                if banks.row[bank] >= 0:
                    banks.precharge(bank, ck, contended=not self.refreshes and not self.protects)
                    self.reads.closed(bank)
                    self.writes.closed(bank)

    def _take(self, piece: Piece, clock: int) -> None:
        """An entry joins, and with a masked write, the read of its old words."""
        open_row = self.banks.row[piece.bank]
        if not piece.write:
            entry = Entry(piece, self.number, clock, filled=True, merged=True)
            self.reads.join(entry, open_row)
        else:
            entry = Entry(piece, self.number, clock, filled=False, merged=not piece.masked)
            self.writes.join(entry, open_row)
            entries = [entry]
            if piece.masked:
                entries.append(Entry(piece, self.number, clock, filled=False, merged=True, write=entry))
                self.reads.join(entries[1], open_row)
            self.buffer.fill(entries, clock, piece.words, piece.port)
        self.number += 1
