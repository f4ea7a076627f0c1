"""Training steps on clusters: operations and bytes by hand, and what grows when something grows."""

import math
from dataclasses import replace

import pytest
from link_cases import PORTS
from openppu.config import load
from openppu_sim.cycles.link.cluster import Cluster
from openppu_sim.cycles.link.fabric import Fabric
from openppu_sim.cycles.link.faults import FaultRates
from openppu_sim.cycles.link.goodput import Failures
from openppu_sim.cycles.link.scaling import card_counts, scale
from openppu_sim.cycles.link.topologies import topology
from openppu_sim.cycles.link.training import Job, peak_operations, project, replicas_on, tile_utilisation
from openppu_sim.cycles.link.transformer import MODELS, Transformer
from openppu_sim.errors import UserError

CHIP = load("ppu810e")
FABRIC = Fabric(gbs=50, interface_ns=2000, switch_ns=500)
SMALL = Transformer(4, 1024, 8, 8, 4096, False, 1000, 512)
NONE = Failures(0, 0, 0)
WELL = FaultRates(0, 0, 4)


def cluster(cards: int, fabric: Fabric = FABRIC) -> Cluster:
    return Cluster(cards, topology("mesh", 8, 7), PORTS, fabric)


@pytest.mark.parametrize(
    ("name", "billions"), [("llama3-8b", 8.03), ("llama3-70b", 70.6), ("gpt3-175b", 175.2), ("llama3-405b", 405.8)]
)
def test_the_named_models_have_the_parameters_that_their_names_say(name: str, billions: float) -> None:
    assert MODELS[name].parameters / 1e9 == pytest.approx(billions, rel=2e-3)


def test_operations_of_a_small_model_by_hand() -> None:
    layer = 4 * 1024**2 + 2 * 1024 * 4096
    assert SMALL.layer_parameters == layer
    assert SMALL.parameters == 4 * layer + 2 * 1000 * 1024
    assert SMALL.layer_operations == 2 * layer + 2 * 512 * 1024
    assert SMALL.training_operations() == 3 * (4 * SMALL.layer_operations + 2 * 1000 * 1024)


def test_one_card_computes_and_nothing_else() -> None:
    one = project(cluster(8), CHIP, SMALL, Job(tensor=1, replica_batch=4, utilisation=0.25))
    assert one.replicas == 8
    assert one.tokens == 8 * 4 * 512
    expected = 4 * 512 * SMALL.training_operations() / (peak_operations(CHIP) * 0.25)
    assert one.compute_s == pytest.approx(expected)
    assert (one.tensor_s, one.bubble_s) == (0, 0)


def test_tensor_sums_are_four_a_layer_and_micro_batch() -> None:
    one = project(cluster(8), CHIP, SMALL, Job(tensor=8, micro=2, replica_batch=8))
    assert one.tensor_s == pytest.approx(4 * 4 * 4 * one.parts["one tensor sum"])
    assert one.data_s == 0
    half = project(cluster(8), CHIP, SMALL, Job(tensor=8, micro=2, replica_batch=8, tensor_overlap=0.5))
    assert half.tensor_s == pytest.approx(one.tensor_s / 2)
    again = project(cluster(8), CHIP, SMALL, Job(tensor=8, micro=2, replica_batch=8, recompute=True))
    assert again.tensor_s == pytest.approx(1.5 * one.tensor_s)
    assert again.compute_s > one.compute_s


def test_the_bubble_is_the_stages_less_one_micro_batches() -> None:
    model = replace(SMALL, layers=8, vocabulary=1)
    job = Job(tensor=8, pipeline=4, replica_batch=16)
    one = project(cluster(32), CHIP, model, job)
    micro = (one.compute_s + one.tensor_s) / 16
    assert one.bubble_s == pytest.approx(3 * micro, rel=0.5)
    assert one.bubble_s > 3 * micro, "and the way between the stages"
    twice = project(cluster(32), CHIP, model, replace(job, interleave=2))
    assert twice.bubble_s == pytest.approx(one.bubble_s - 1.5 * micro)


def test_gradients_are_hidden_behind_the_last_backward_pass_or_show() -> None:
    job = Job(tensor=8, replica_batch=8, data_overlap=0.0)
    shown = project(cluster(1024), CHIP, SMALL, job)
    assert shown.data_s == pytest.approx(shown.parts["gradient sum"])
    assert shown.data_hidden_s == 0
    part = project(cluster(1024), CHIP, SMALL, replace(job, data_overlap=1.0))
    assert part.data_s == pytest.approx(max(0, part.parts["gradient sum"] - part.parts["backward"]))
    assert part.data_s + part.data_hidden_s == pytest.approx(shown.data_s)


def test_the_sum_of_gradients_is_a_collective_of_the_replicas() -> None:
    """128 replicas, 8 cards each: every card sums its eighth of the parameters over its rail."""
    one = cluster(1024)
    found = project(one, CHIP, SMALL, Job(tensor=8)).parts["gradient sum"]
    size = math.ceil(SMALL.parameters / 8 * 2)
    rail = min(one.rail_ns("allreduce", name, 128, size) for name in ("ring", "halving-doubling", "double-tree"))
    assert found == pytest.approx(rail / 1e9, rel=0.3)
    assert found <= rail / 1e9


def test_the_step_s_parts_add_up_and_memory_counts_what_is_kept() -> None:
    one = project(cluster(1024), CHIP, MODELS["llama3-70b"], Job(tensor=8, pipeline=4))
    parts = one.compute_s + one.tensor_s + one.bubble_s + one.data_s + one.optimiser_s
    assert one.seconds == pytest.approx(parts)
    model = MODELS["llama3-70b"]
    parameters = (20 * model.layer_parameters + model.embedding_parameters) / 8
    activations = 4 * 20 * 34 * 8192 * 8192 / 8
    assert one.memory_bytes == pytest.approx(parameters * (4 + 12 / 32) + activations)
    less = project(cluster(1024), CHIP, model, Job(tensor=8, pipeline=4, recompute=True))
    assert less.memory_bytes < one.memory_bytes / 2


@pytest.mark.parametrize("cards", [64, 1024, 8192])
@pytest.mark.parametrize(("tensor", "batch"), [(1, 1), (2, 64), (8, 1), (8, 7)])
def test_slower_networks_never_make_a_step_faster(cards: int, tensor: int, batch: int) -> None:
    job = Job(tensor=tensor, replica_batch=batch, data_overlap=0.5)
    times = [project(cluster(cards, replace(FABRIC, gbs=gbs)), CHIP, SMALL, job).seconds for gbs in (400, 50, 12.5)]
    assert times == sorted(times)


def test_with_a_fixed_batch_efficiency_falls_and_with_a_fixed_share_it_stays() -> None:
    counts = [64, 256, 1024, 4096]
    model, job = MODELS["llama3-70b"], Job(tensor=8, pipeline=4)
    weak = scale(cluster(4096), counts, CHIP, model, job, NONE, WELL)
    assert all(0.98 < point.efficiency < 1.01 for point in weak)
    strong = scale(cluster(4096), counts, CHIP, model, replace(job, global_batch=128), NONE, WELL)
    efficiencies = [point.efficiency for point in strong]
    assert efficiencies == sorted(efficiencies, reverse=True)
    assert efficiencies[-1] < 0.3, "one micro-batch a replica, three of four stages wait"
    assert all(point.step.tokens == 128 * 8192 for point in strong)
    assert all(point.effective == point.efficiency for point in strong), "nothing fails"


def test_cards_that_make_no_replica_stand_by() -> None:
    one = project(cluster(10_000), CHIP, MODELS["llama3-70b"], Job(tensor=8, pipeline=4))
    assert (one.used, one.replicas) == (9_984, 312)
    assert card_counts(10_000, 8, 32) == [32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 10_000]
    assert card_counts(32, 8, 32) == [32]
    assert card_counts(64, 8, 12) == [16, 32, 64]


@pytest.mark.parametrize(
    ("cards", "tensor", "pipeline", "replicas"), [(8, 2, 1, 4), (8, 2, 4, 1), (64, 4, 8, 2), (24, 8, 3, 1)]
)
def test_replicas(cards: int, tensor: int, pipeline: int, replicas: int) -> None:
    assert replicas_on(cluster(cards), Job(tensor=tensor, pipeline=pipeline)) == replicas


@pytest.mark.parametrize(
    ("job", "cards", "told"),
    [
        ({"tensor": 3}, 64, "--tensor 3: give a divisor of a node's 8 cards"),
        ({"tensor": 16}, 64, "--tensor 16: give a divisor"),
        ({"tensor": 8, "pipeline": 4}, 16, "16 cards: a replica needs --tensor x --pipeline = 32"),
        ({"pipeline": 5}, 64, "--pipeline 5 x --interleave 1: more than 4 layers"),
    ],
)
def test_what_does_not_fit_is_refused(job: dict, cards: int, told: str) -> None:
    with pytest.raises(UserError, match=told):
        project(cluster(cards), CHIP, SMALL, Job(**job))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"tensor": 0}, "tensor = 0: give 1"),
        ({"utilisation": 0}, "utilisation = 0: give 0.0001 to 1"),
        ({"utilisation": 1.5}, "utilisation = 1.5: give 0.0001 to 1"),
        ({"utilisation": float("nan")}, "utilisation = nan"),
        ({"data_overlap": 2}, "data-overlap = 2: give 0 to 1"),
        ({"global_batch": 0}, "global-batch = 0"),
    ],
)
def test_impossible_jobs(change: dict, told: str) -> None:
    with pytest.raises(UserError, match=told):
        Job(**change)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"heads": 7}, "hidden = 1024 is no multiple of heads = 7"),
        ({"kv_heads": 3}, "no multiple of kv-heads"),
        ({"layers": 0}, "layers = 0"),
    ],
)
def test_impossible_models(change: dict, told: str) -> None:
    with pytest.raises(UserError, match=told):
        replace(SMALL, **change)


def test_the_tile_s_bound_is_near_one_for_large_products_and_less_for_small_ones() -> None:
    assert 0.99 < tile_utilisation(CHIP, MODELS["llama3-70b"], Job(tensor=8)) <= 1
    assert tile_utilisation(CHIP, replace(SMALL, sequence=64), Job(tensor=1)) < 0.2


def test_goodput_by_daly_s_formula_and_its_limits() -> None:
    failures = Failures(per_card_hour=2e-5, checkpoint_s=60, restart_s=600)
    cards = 10_000
    between = 3600 / (2e-5 * cards)
    assert failures.between_s(cards) == pytest.approx(between)
    interval = failures.best_interval_s(cards)
    assert interval == pytest.approx(math.sqrt(2 * 60 * between))
    first_order = 1 - 60 / interval - (interval / 2 + 600) / between
    assert failures.goodput(cards) == pytest.approx(first_order, abs=0.01)
    for other in (interval / 3, interval * 3):
        assert replace(failures, interval_s=other).goodput(cards) < failures.goodput(cards)
    values = [failures.goodput(cards) for cards in (8, 512, 10_000, 65_536)]
    assert values == sorted(values, reverse=True)
    assert Failures(0, 60, 600).goodput(1000) == 1
    assert Failures(0, 60, 600, interval_s=540).goodput(1000) == pytest.approx(0.9)
    assert Failures(1.0, 60, 3600, interval_s=3600).goodput(65_536) == 0


@pytest.mark.parametrize(
    "change", [{"per_card_hour": -1}, {"checkpoint_s": float("inf")}, {"restart_s": float("nan")}, {"interval_s": 0}]
)
def test_impossible_failures(change: dict) -> None:
    with pytest.raises(UserError, match="give"):
        replace(Failures(1e-5, 60, 600), **change)
