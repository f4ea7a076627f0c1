"""What power-down and self-refresh cost a channel that had nothing to do for long."""

from openppu.hbm.device import BURST
from openppu.hbm.settings import Settings

from openppu_sim.cycles.hbm.pseudo_channel import PseudoChannel


class Power:
    """Wakes a channel; follows `openppu.hbm.power.Power`, but refreshes go on as in a channel that is awake.

    Attributes
    ----------
    idle_from : int
        The first clock of those in which there is nothing to do, or -1 while there is.
    """

    def __init__(self, settings: Settings) -> None:
        t = settings.timing
        last_data = -(-max(t.RL + BURST, t.WL + BURST + t.tWR) // 2)
        # For each state: clocks until it is entered, and from a request to the first command.
        self.states = [
            (max(after + 2, last_data + settle), -(-wake // 2))
            for after, wake, settle in (
                (settings.self_refresh_after, t.tXS, -(-max(t.tRP, t.tRFCSB) // 2)),
                (settings.power_down_after, t.tXP, 0),
            )
            if after
        ]
        self.least = -(-t.tCKE // 2)
        self.idle_from = 0

    def step(self, clock: int, pcs: list[PseudoChannel], *, busy: bool) -> None:
        """Whether there is something to do in this clock: if so, wake the pseudo-channels, if they slept."""
        if not busy:
            self.idle_from = clock if self.idle_from < 0 else self.idle_from
        elif self.idle_from >= 0:
            for entered, wake in self.states:
                if clock - self.idle_from > entered:
                    leave = max(clock, self.idle_from + entered + self.least)
                    for pc in pcs:
                        pc.sleep(2 * (leave + wake))
                    break
            self.idle_from = -1
