"""The row bus of a channel, shared by its two pseudo-channels."""

from typing import NamedTuple

PCS = (0, 1)


class Wish(NamedTuple):
    """A row command that a pseudo-channel would send; in slot 1 of the clock, and if ``early``, in slot 0."""

    command: str
    bank: int
    row: int
    early: bool


class RowBus:
    """Fills the two slots of each clock; follows `openppu.hbm.row_bus.RowArbiter`."""

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.clock = -1
        self.taken = False
        self.first_act = 0
        self.first_short = 0
        self.waits = 0

    def grant(self, clock: int, acts: list[Wish | None], shorts: list[Wish | None]) -> tuple[list[int], list[int]]:
        """The slots that activations, and other commands, get of both pseudo-channels; -1 for none."""
        if clock != self.clock + 1:
            self.taken = False
            self.waits = 0
        self.clock = clock
        impatient = self.waits == self.patience
        act_slots, short_slots = [-1, -1], [-1, -1]

        def pick(wishes: list[Wish | None], early: bool, but: int = -1) -> int:
            first = self.first_act if wishes is acts else self.first_short
            for pc in (first, 1 - first):
                wish = wishes[pc]
                if pc != but and wish is not None and (wish.early or not early):
                    return pc
            return -1

        short_early = -1 if self.taken else pick(shorts, True)
        act = -1 if self.taken or (impatient and short_early >= 0) else pick(acts, True)
        act_late = False
        if act >= 0:
            act_slots[act] = 0
        else:
            if short_early >= 0:
                short_slots[short_early] = 0
            short_late = pick(shorts, False, short_early)
            if not (impatient and short_late >= 0 and short_early < 0):
                act = pick(acts, False)
            if act >= 0:
                act_slots[act] = 1
                act_late = True
            elif short_late >= 0:
                short_slots[short_late] = 1
        self.taken = act_late
        if act >= 0:
            self.first_act = 1 - act
        for slot in (1, 0):
            if slot in short_slots:
                self.first_short = 1 - short_slots.index(slot)
        if short_slots != [-1, -1] or shorts == [None, None]:
            self.waits = 0
        elif not impatient:
            self.waits += 1
        return act_slots, short_slots
