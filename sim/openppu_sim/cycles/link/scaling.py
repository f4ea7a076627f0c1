"""A job on more and more cards: efficiency, and what failures of cards and links leave of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from openppu.config import ChipConfig

from openppu_sim.cycles.link.cluster import Cluster
from openppu_sim.cycles.link.faults import FaultRates, fault_times
from openppu_sim.cycles.link.goodput import Failures
from openppu_sim.cycles.link.training import Job, Step, project
from openppu_sim.cycles.link.transformer import Transformer
from openppu_sim.errors import UserError


@dataclass(frozen=True)
class Point:
    """A job on a number of cards.

    Attributes
    ----------
    efficiency : float
        Tokens a second and card, beside those of the smallest number of cards; all links and cards well.
    link_factor : float
        What slow and dead links leave of the speed, to be expected.
    slow_factor, dead_factor : float
        The same while one link is slow; dead.
    goodput : float
        What failures of cards leave of the time.
    """

    step: Step
    efficiency: float
    link_factor: float
    slow_factor: float
    dead_factor: float
    goodput: float
    between_s: float

    @property
    def effective(self) -> float:
        """Efficiency with failures of links and cards."""
        return self.efficiency * self.link_factor * self.goodput


def card_counts(most: int, node: int, replica: int) -> list[int]:
    """Numbers of cards up to ``most``: one replica's whole nodes, twice, four times, ... as many, and ``most``.

    Raises
    ------
    UserError
        If not one replica fits.
    """
    least = -(-replica // node) * node
    if least > most:
        raise UserError(
            f"{most:,} cards: a replica needs --tensor x --pipeline = {replica:,}, in whole nodes {least:,}; give more "
            f"cards, or a smaller --tensor or --pipeline"
        )
    counts = [least]
    while 2 * counts[-1] < most:
        counts.append(2 * counts[-1])
    return [*counts, most] if counts[-1] != most else counts


def scale(
    cluster: Cluster,
    counts: Sequence[int],
    chip: ChipConfig,
    model: Transformer,
    job: Job,
    failures: Failures,
    links: FaultRates,
) -> list[Point]:
    """A job on each number of cards, the smallest first."""
    steps = [project(replace_cards(cluster, cards), chip, model, job) for cards in counts]
    ratios = _sum_ratios(cluster, model, job)
    node_links = sum(count for *_, count in cluster.node.links)
    points = []
    for step in steps:
        slow, dead = (step.seconds / (step.seconds + step.tensor_s * (ratio - 1)) for ratio in ratios)
        shares = links.shares(max(1, step.cards // cluster.node.chips) * node_links)
        point = Point(
            step=step,
            efficiency=step.tokens_per_card / steps[0].tokens_per_card,
            link_factor=1 / (shares[0] + shares[1] / slow + shares[2] / dead),
            slow_factor=slow,
            dead_factor=dead,
            goodput=failures.goodput(step.cards),
            between_s=failures.between_s(step.cards),
        )
        points.append(point)
    return points


def replace_cards(cluster: Cluster, cards: int) -> Cluster:
    """The same kind of cluster with another number of cards."""
    return replace(cluster, cards=cards, _rails=cluster._rails, _plans=cluster._plans)


def _sum_ratios(cluster: Cluster, model: Transformer, job: Job) -> tuple[float, float]:
    """How many times longer a sum over a node takes with a slow link, and with a dead one.

    Where a dead link has no detour, its node is out, which the failures of cards cover.
    """
    if job.tensor == 1:
        return 1.0, 1.0
    size = job.micro * model.sequence * model.hidden * 2
    well, slow, dead = fault_times("allreduce", cluster.node, cluster.ports, size)
    return slow / well, dead / well
