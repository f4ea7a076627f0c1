"""What failures leave of a job: checkpoints, lost work and restarts."""

import math
from dataclasses import dataclass

from openppu_sim.errors import require

MOST_EXPONENT = 700.0
"""Beyond this a job practically never gets from one checkpoint to the next."""


@dataclass(frozen=True)
class Failures:
    """How often cards fail, and what a failure costs.

    Attributes
    ----------
    per_card_hour : float
        Failures that stop the job, for each card and hour.
    checkpoint_s : float
        Seconds that the job stands still for a checkpoint.
    interval_s : float or None
        Seconds of work between checkpoints; None: what is best.
    restart_s : float
        Seconds from a failure to when work goes on, that before the checkpoint not counted.
    """

    per_card_hour: float
    checkpoint_s: float
    restart_s: float
    interval_s: float | None = None

    def __post_init__(self) -> None:
        require("failure rate", self.per_card_hour, 0, 1_000_000, "per hour")
        require("checkpoint time", self.checkpoint_s, 0, 1_000_000_000, "s")
        require("restart", self.restart_s, 0, 1_000_000_000, "s")
        if self.interval_s is not None:
            require("checkpoint interval", self.interval_s, 0.001, 1_000_000_000, "s")

    def between_s(self, cards: int) -> float:
        """Mean seconds between failures of the job."""
        rate = self.per_card_hour * cards / 3600
        return 1 / rate if rate else math.inf

    def best_interval_s(self, cards: int) -> float:
        """Work between checkpoints at which these and lost work cost least together: sqrt(2 x checkpoint x mean time).

        That is Young's and Daly's first-order answer, never less than a checkpoint takes.
        """
        between = self.between_s(cards)
        if between == math.inf:
            return math.inf
        return max(math.sqrt(2 * self.checkpoint_s * between), self.checkpoint_s, 1.0)

    def goodput(self, cards: int) -> float:
        """The share of time that is work which counts, for failures that come at random (exponentially).

        From checkpoint to checkpoint takes M exp(R/M) (exp((t + C)/M) - 1) on average, as Daly has it: M the mean time
        between failures, R restart, C checkpoint, t the work.
        """
        between = self.between_s(cards)
        interval = self.best_interval_s(cards) if self.interval_s is None else self.interval_s
        if between == math.inf:
            return 1.0 if interval == math.inf else interval / (interval + self.checkpoint_s)
        exponent = (interval + self.checkpoint_s) / between
        if exponent + self.restart_s / between > MOST_EXPONENT:
            return 0.0
        segment = between * math.exp(self.restart_s / between) * math.expm1(exponent)
        return interval / segment
