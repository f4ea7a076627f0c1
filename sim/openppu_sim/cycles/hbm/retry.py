"""What it costs that the memory did not take a command, since its parity was wrong."""

from typing import NamedTuple

from openppu_sim.cycles.hbm.banks import Banks
from openppu_sim.cycles.hbm.queue import Entry
from openppu_sim.cycles.hbm.refresh import FAR, PREA, REF, REFSB
from openppu_sim.cycles.hbm.row_bus import Wish

ACT = "ACT"

STOP_CLOCKS = 2
"""Clocks for which nothing is sent at least, before all banks are closed."""


class Access(NamedTuple):
    """One that was chosen in a clock; ``last``: of its entry."""

    clock: int
    entry: Entry
    write: bool
    last: bool


class Retry:
    """Sends again what was lost; follows `openppu.hbm.retry.Retry`.

    An error is seen ``latency`` clocks after the command is on its bus, that is one more after it was chosen. Then: no
    command until no other error can come; all banks are closed; a lost refresh; each access from the lost one on, with
    its ACT, one after the other.

    Attributes
    ----------
    active : bool
        No command but these is sent.
    begins : int
        Retries so far.
    again : Access or None
        To be sent in this clock.
    act_wish, short_wish : Wish or None
    """

    def __init__(self, banks: Banks, latency: int) -> None:
        self.banks = banks
        self.latency = latency
        self.state = "run"
        self.begins = 0
        self.begun = 0
        self.alarms: list[int] = []
        self.last_sent = -FAR
        self.recent: list[Access] = []
        self.waits: list[Access] = []
        self.lost: tuple[str, int] | None = None
        self.again: Access | None = None
        self.act_wish: Wish | None = None
        self.short_wish: Wish | None = None

    @property
    def active(self) -> bool:
        """Whether a retry is under way."""
        return self.state != "run"

    @property
    def wake(self) -> int:
        """The clock in which a retry begins."""
        return self.alarms[0] + 1 if self.alarms else FAR

    def lose(self, clock: int, refresh: tuple[str, int] | None) -> None:
        """The commands chosen in a clock are lost, among them perhaps a refresh of this pseudo-channel."""
        self.alarms.append(clock + 1 + self.latency)
        self.lost = refresh or self.lost

    def sent(self, clock: int, access: Access | None) -> None:
        """Something was sent in a clock."""
        self.last_sent = clock
        if access is not None and not self.active:
            self.recent = [each for each in self.recent if each.clock > clock - self.latency - 3]
            self.recent.append(access)

    def begin(self, clock: int) -> bool:
        """Begin a retry if an error was seen; whether one is under way in this clock."""
        seen = [alarm for alarm in self.alarms if alarm < clock]
        if seen:
            self.alarms = self.alarms[len(seen) :]
            if self.state != "stop":
                if self.state == "run":
                    self.waits = [each for each in self.recent if each.clock >= seen[0] - self.latency - 1]
                self.begins += 1
                self.begun = clock
                self.state = "stop"
        return self.active

    def decide(self, clock: int, gate: int, index: int) -> None:
        """What is to be sent in this clock; ACTs are allowed from the CK ``gate`` on."""
        b, ck = self.banks, 2 * clock + 1
        self.again = self.act_wish = self.short_wish = None
        sure = clock - self.last_sent - 1 > self.latency
        if self.state == "stop":
            if sure and clock >= self.begun + STOP_CLOCKS:
                self.state = "close"
        elif self.state == "close":
            at = max(b.rest_at, *b.pre_at)
            if at <= ck:
                self.short_wish = Wish(PREA, 0, 0, at < ck)
        elif self.state == "settle":
            if sure and max(b.rest_at, *b.act_at) <= ck:
                self.state = "refresh" if self.lost else "again"
        elif self.state == "refresh" and self.lost is not None:
            command, bank = self.lost
            at = b.rest_at if command == REF else max(b.rest_at, b.space_at, b.row_at[b.group[bank]])
            if at <= ck:
                self.short_wish = Wish(command, bank, 0, at < ck)
        elif self.state == "confirm":
            if sure:
                self.waits.pop(0)
                self.state = "again"
        elif not self.waits:
            self.state = "run"
        else:
            self._resend(ck, 2 * clock + index, gate)

    def _resend(self, ck: int, slot: int, gate: int) -> None:
        """The oldest access that was lost, or its ACT."""
        b, access = self.banks, self.waits[0]
        entry = access.entry
        bank, group = entry.bank, b.group[entry.bank]
        if b.row[bank] < 0:
            at = max(gate, b.act_at[bank], b.row_at[group])
            if at <= ck:
                self.act_wish = Wish(ACT, bank, entry.row, at < ck)
            return
        own = b.wr_at[bank] if access.write else b.rd_at[bank]
        turn = b.write_at if access.write else b.read_at[group]
        if max(own, turn, b.column_at[group]) <= slot:
            self.again = access

    def granted(self) -> None:
        """What was asked for was sent."""
        if self.again is not None:
            self.state = "confirm"
        elif self.short_wish is not None:
            if self.short_wish.command in (REFSB, REF):
                self.lost = None
            self.state = "settle"
