"""A training step of a transformer on a cluster: compute; tensor, pipeline and data parallel traffic; what overlaps.

Cards are numbered tensor ranks first, then data, then pipeline: a tensor group is inside a node, a pipeline stage is a
run of nodes, and gradients are summed inside the node first where it holds several replicas of a stage.
"""

import math
from dataclasses import dataclass, field, replace

from openppu.config import ChipConfig, TileConfig

from openppu_sim.cycles.link.cluster import Cluster
from openppu_sim.cycles.link.transformer import Transformer
from openppu_sim.cycles.tile_fast import predict
from openppu_sim.errors import UserError, require
from openppu_sim.lowering.tile import plan

ACTIVATION_BYTES = 34
"""Of a layer for each token and element of the hidden state, kept from forward to backward, without scores (half
precision; as published for layers that recompute their scores alone)."""

RECOMPUTED_BYTES = 2
"""The same if all but a layer's input is computed again."""

STATE_BYTES = 12
"""Of a parameter: binary32 copy and two moments, spread over the replicas."""

OPTIMISER_BYTES = 30
"""Of a parameter, read and written by the optimiser."""


@dataclass(frozen=True)
class Job:
    """How a model is spread, and what overlaps.

    Attributes
    ----------
    tensor, pipeline : int
        Cards of a tensor group; stages.
    micro : int
        Sequences of a micro-batch.
    replica_batch : int
        Sequences that each replica takes a step; given ``global_batch``, that divided by the replicas.
    global_batch : int or None
        Sequences of a step, whatever the number of replicas (strong scaling).
    interleave : int
        Pieces of layers of a stage (an interleaved pipeline schedule).
    utilisation : float
        Of the peak rate that the compute reaches while it computes.
    tensor_overlap, data_overlap : float
        Shares of the tensor traffic, and of a micro-batch's backward time over which gradients can be summed, that
        are hidden behind compute.
    recompute : bool
        The forward pass is done again in the backward pass.
    gradient_bytes : int
        Of a gradient's element in the sum over replicas.
    memory_share : float
        Of the memory's peak rate that the optimiser reaches.
    """

    tensor: int = 8
    pipeline: int = 1
    micro: int = 1
    replica_batch: int = 32
    global_batch: int | None = None
    interleave: int = 1
    utilisation: float = 0.5
    tensor_overlap: float = 0.0
    data_overlap: float = 0.8
    recompute: bool = False
    gradient_bytes: int = 2
    memory_share: float = 0.8

    def __post_init__(self) -> None:
        for name in ("tensor", "pipeline", "micro", "replica_batch", "interleave"):
            require(f"job: {name.replace('_', '-')} =", getattr(self, name), 1, 1_000_000)
        if self.global_batch is not None:
            require("job: global-batch =", self.global_batch, 1, 1_000_000_000)
        require("job: utilisation =", self.utilisation, 0.0001, 1)
        for name in ("tensor_overlap", "data_overlap"):
            require(f"job: {name.replace('_', '-')} =", getattr(self, name), 0, 1)


@dataclass(frozen=True)
class Step:
    """A step's seconds by cause, and what follows. ``cards`` are those that there are, ``used`` those that work."""

    cards: int
    used: int
    replicas: int
    tokens: int
    compute_s: float
    tensor_s: float
    bubble_s: float
    data_s: float
    optimiser_s: float
    data_hidden_s: float
    memory_bytes: float
    parts: dict[str, float] = field(default_factory=dict, compare=False)

    @property
    def seconds(self) -> float:
        """Of the whole step."""
        return self.compute_s + self.tensor_s + self.bubble_s + self.data_s + self.optimiser_s

    @property
    def tokens_per_card(self) -> float:
        """Tokens a second for each card that there is."""
        return self.tokens / self.seconds / self.cards


def peak_operations(chip: ChipConfig) -> float:
    """Operations a second of a card, a multiply-accumulate being two."""
    return 2.0 * chip.compute_units * chip.tile.rows * chip.tile.columns * chip.clock_mhz * 1e6


def replicas_on(cluster: Cluster, job: Job) -> int:
    """Replicas that fit; cards left over stand by.

    Raises
    ------
    UserError
        If not one fits, or tensor groups do not fit into nodes.
    """
    chips = cluster.node.chips
    if job.tensor > chips or chips % job.tensor:
        raise UserError(f"--tensor {job.tensor}: give a divisor of a node's {chips} cards")
    stage = cluster.cards // job.pipeline
    if stage < job.tensor:
        need = job.tensor * job.pipeline
        raise UserError(f"{cluster.cards:,} cards: a replica needs --tensor x --pipeline = {need:,}")
    replicas = stage // job.tensor
    if replicas * job.tensor >= chips:  # whole nodes for a stage
        replicas = stage // chips * (chips // job.tensor)
    else:
        while (chips // job.tensor) % replicas:
            replicas -= 1
    if job.global_batch is not None:
        replicas = min(replicas, max(1, job.global_batch // job.micro))
        if replicas * job.tensor > chips:
            replicas -= replicas % (chips // job.tensor)
    return replicas


def project(cluster: Cluster, chip: ChipConfig, model: Transformer, job: Job) -> Step:
    """A step of a job.

    Raises
    ------
    UserError
        If the model cannot be spread so.
    """
    if job.pipeline * job.interleave > model.layers:
        raise UserError(f"--pipeline {job.pipeline} x --interleave {job.interleave}: more than {model.layers} layers")
    replicas = replicas_on(cluster, job)
    if model.heads % job.tensor:
        raise UserError(f"--tensor {job.tensor}: does not divide the model's {model.heads} heads")
    batch = job.replica_batch if job.global_batch is None else max(job.micro, job.global_batch // replicas)
    micros = max(1, batch // job.micro)
    tokens = job.micro * model.sequence

    rate = peak_operations(chip) * job.utilisation * job.tensor
    layers = -(-model.layers // job.pipeline)
    last = model.layers // job.pipeline
    stage = tokens * max(layers * model.layer_operations, last * model.layer_operations + model.output_operations)
    if job.pipeline == 1:
        stage = tokens * (layers * model.layer_operations + model.output_operations)
    forward = stage / rate
    again = tokens * layers * model.layer_operations / rate if job.recompute else 0.0
    backward = 2 * forward + again

    sums = layers * (6 if job.recompute else 4)
    message = tokens * model.hidden * 2
    one_sum = cluster.group_collective("allreduce", job.tensor, 1, message) / 1e9 if job.tensor > 1 else 0.0
    tensor = sums * one_sum * (1 - job.tensor_overlap)

    micro_s = forward + backward + tensor
    slots = (job.pipeline - 1) / job.interleave
    hand_over = 2 * (job.pipeline - 1) * _hand_over_s(cluster, job, replicas, message / job.tensor)
    data, parameters = _data_s(cluster, model, job, layers, replicas)
    exposed = max(0.0, data - job.data_overlap * backward)
    memory_gbs = chip.hbm.peak_gbs * job.memory_share
    optimiser = parameters / replicas * OPTIMISER_BYTES / (memory_gbs * 1e9)
    return Step(
        cards=cluster.cards,
        used=replicas * job.tensor * job.pipeline,
        replicas=replicas,
        tokens=micros * tokens * replicas,
        compute_s=micros * (forward + backward),
        tensor_s=micros * tensor,
        bubble_s=slots * micro_s + hand_over,
        data_s=exposed,
        optimiser_s=optimiser,
        data_hidden_s=data - exposed,
        memory_bytes=_memory(model, job, layers, parameters, replicas, micros),
        parts={"one tensor sum": one_sum, "gradient sum": data, "forward": forward, "backward": backward},
    )


def _hand_over_s(cluster: Cluster, job: Job, replicas: int, size: float) -> float:
    """A micro-batch's activations from one stage to the next, which only shows while the pipeline fills and empties."""
    if replicas * job.tensor >= cluster.node.chips:
        fabric = cluster.fabric
        tiers = fabric.tiers(cluster.nodes)
        return (fabric.interface_ns + (2 * tiers - 1) * fabric.switch_ns + size / fabric.gbs) / 1e9
    return (cluster.ports.hop_ns + size / cluster.ports.gbs) / 1e9


def _data_s(cluster: Cluster, model: Transformer, job: Job, layers: int, replicas: int) -> tuple[float, float]:
    """Seconds to sum the gradients over the replicas, and the parameters of a card."""
    parameters = layers * model.layer_parameters / job.tensor
    parameters += (2 if job.pipeline == 1 else 1) * model.embedding_parameters / job.tensor
    if replicas == 1:
        return 0.0, parameters
    inner = min(replicas, cluster.node.chips // job.tensor)
    size = math.ceil(parameters * job.gradient_bytes)
    return cluster.group_collective("allreduce", inner, replicas // inner, size, spacing=job.tensor) / 1e9, parameters


def _memory(model: Transformer, job: Job, layers: int, parameters: float, replicas: int, micros: int) -> float:
    """Bytes of a card of the first stage, whose activations wait longest."""
    kept = RECOMPUTED_BYTES if job.recompute else ACTIVATION_BYTES
    waiting = min(micros, job.pipeline)
    activations = waiting * layers * kept * job.micro * model.sequence * model.hidden / job.tensor
    return parameters * (2 + job.gradient_bytes + STATE_BYTES / replicas) + activations


def tile_utilisation(chip: ChipConfig, model: Transformer, job: Job) -> float:
    """What the tile's cycle model says of a layer's matrix products, spread over the chip's units by their rows.

    Operands are taken to be there; all else that a chip does is left out, so this is a bound.
    """
    tile: TileConfig = replace(chip.tile, address_bits=32)
    fmt = "bf16" if "bf16" in tile.formats else tile.formats[0]
    done = spent = 0.0
    for count, m, k, n in model.products(job.micro * model.sequence, job.tensor):
        rows = -(-count * m // chip.compute_units)
        done += count * m * k * n / (tile.rows * tile.columns * chip.compute_units)
        spent += predict(plan(rows, k, n, fmt, tile, resident=False).commands, tile).cycles
    return done / spent
