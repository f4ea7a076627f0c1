"""Why the data bus of a pseudo-channel had nothing in a clock."""

from typing import TYPE_CHECKING

from openppu_sim.cycles.hbm.refresh import FAR

if TYPE_CHECKING:
    from openppu_sim.cycles.hbm.pseudo_channel import PseudoChannel


ACCESS = "access"


class Idle:
    """Accounts for the clocks from one decision to the next, in which the state is the same and only time passes."""

    def __init__(self, pc: "PseudoChannel") -> None:
        self.pc = pc
        self.clock = 0
        self.parts: list[tuple[int, str]] = [(FAR, "no_request")]

    def settle(self, clock: int) -> None:
        """Count the clocks up to this one."""
        accounts = self.pc.accounts
        at = self.clock
        accounts.clocks += clock - at
        for until, cause in self.parts:
            stop = min(until, clock)
            if stop > at:
                if cause != ACCESS:
                    accounts.idle[cause] += stop - at
                at = stop
        self.clock = clock

    def access(self, clock: int) -> None:
        """An access goes in this clock."""
        self.parts = [(clock + 1, ACCESS), (FAR, "no_request")]

    def retry(self) -> None:
        """No access, for commands have to be sent again."""
        pc = self.pc
        ready = pc.reads.ready_count or pc.writes.ready_count
        waits = pc.reads.order or pc.writes.order
        self.parts = [(FAR, "refresh" if ready else "hold" if waits else "no_request")]

    def note(self, clock: int, by_bank: int, by_turn: int) -> None:
        """No access in this clock: of the open rows that are wanted, the first can be accessed at CK ``by_bank`` by the
        rules of its bank, at ``by_turn`` by those of the bus's direction too."""
        pc = self.pc
        if not pc.busy:
            self.parts = [(FAR, "no_request")]
            return
        if not pc.reads.ready_count and not pc.writes.ready_count:
            self.parts = [(FAR, "hold")]
            return
        queue = pc.direction.queue
        parts: list[tuple[int, str]] = []
        banks = (*queue.hits, *queue.conflicts, *queue.misses)
        if banks and self._refreshed(banks):
            blocked = any(pc.blocks(bank) for bank in banks)
            own = min(pc.banks.refreshed_until[bank] for bank in banks)
            until = FAR if blocked else max(own, pc.banks.rest_at) >> 1
            parts.append((max(until, clock + 1), "refresh"))

        def reached(ck: int) -> int:
            return (ck - pc.index + 1) >> 1

        parts.append((reached(by_bank), "activation" if self._spaced_only(clock) else "bank"))
        parts.append((reached(by_turn), "turnaround"))
        parts.append((FAR, "bank_group"))
        self.parts = parts

    def _refreshed(self, wanted: tuple[int, ...]) -> bool:
        """Whether all these banks wait for their refresh."""
        pc = self.pc
        ck = 2 * self.clock + 1
        return pc.banks.rest_at > ck or all(pc.blocks(bank) or pc.banks.refreshed_until[bank] > ck for bank in wanted)

    def _spaced_only(self, clock: int) -> bool:
        """Whether activations go as close as tRRD and tFAW let them, and banks that are wanted wait for these."""
        pc, banks = self.pc, self.pc.banks
        ck = 2 * clock + 1
        timing = banks.timing
        if max(banks.space_at, banks.window[0] + timing.tFAW) <= ck:
            # They go as close as may be: one is sent in this very clock.
            return pc.act_wish is not None and ck - banks.window[-1] <= max(timing.tRRDS, timing.tFAW // 4) + 2
        queue = pc.direction.target_queue
        return any(banks.act_at[bank] <= ck and not pc.blocks(bank) for bank in queue.misses)
