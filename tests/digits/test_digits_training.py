"""Training on chips, on the reference backend: gradients beside numpy's, chips alike, and a network that learns."""

from dataclasses import replace

import numpy as np
import pytest
from openppu.config import load
from openppu.link.collective.wiring import pair
from openppu_sim.device.device import Cluster
from openppu_sim.digits.chip_training import LOSS, SECOND_BIAS, USED, Schedule, Trainer
from openppu_sim.digits.network import load_digits, normalise
from openppu_sim.errors import UserError

TINY = load("tiny")
DIGITS = load_digits()
FEW = replace(DIGITS, test_pixels=DIGITS.test_pixels[:20], test_labels=DIGITS.test_labels[:20])
SHAPES = {"weights 1": (64, 32), "bias 1": (32,), "weights 2": (32, 10), "bias 2": (10,)}


@pytest.fixture
def cluster():
    """Two chips."""
    with Cluster(TINY, backend="reference") as made:
        yield made


def parts(vector):
    """The parameters of a vector of all of them."""
    found, at = {}, 0
    for name, shape in SHAPES.items():
        found[name] = vector[at : at + np.prod(shape)].reshape(shape)
        at += int(np.prod(shape))
    return found


def gradients(weights, trainer, batch):
    """Of the mean cross-entropy of the first batch of both chips, by back-propagation in double precision; and it."""
    order = np.random.default_rng(trainer.schedule.seed)
    order.normal(size=64 * 32), order.normal(size=32 * 10)
    chosen = order.permutation(2 * trainer.images)
    chosen = np.concatenate([chosen[chip::2][:batch] for chip in range(2)])
    x, labels = normalise(DIGITS.train_pixels[chosen]).astype(np.float64), DIGITS.train_labels[chosen]
    hidden = np.maximum(x @ weights["weights 1"] + weights["bias 1"], 0)
    scores = hidden @ weights["weights 2"] + weights["bias 2"]
    powers = np.exp(scores - scores.max(1, keepdims=True))
    share = powers / powers.sum(1, keepdims=True)
    loss = -np.log(share[np.arange(len(labels)), labels]).mean()
    error = (share - np.eye(10)[labels]) / len(labels)
    back = (error @ weights["weights 2"].T) * (hidden > 0)
    return [x.T @ back, back.sum(0), hidden.T @ error, error.sum(0)], loss


@pytest.mark.parametrize("batch", [7, 16])
def test_gradients_and_loss_are_those_of_numpy_as_far_as_bf16_goes(cluster, batch):
    trainer = Trainer(cluster, DIGITS, Schedule(batch=batch), pair())
    weights = trainer.weights(0).view(np.float32).astype(np.float64)
    loss = trainer.step()
    expected, true_loss = gradients(parts(weights), trainer, batch)
    assert abs(loss - true_loss) < 0.01 * true_loss
    sums = trainer.sums(0).view(np.float32)
    for found, true in zip(parts(sums).values(), expected, strict=True):
        assert np.abs(found - true).max() < 0.02 * np.abs(true).max()
    assert (sums[USED:LOSS] == 0).all()
    moved = weights - trainer.schedule.rate * sums[:LOSS].astype(np.float64)
    assert np.allclose(trainer.weights(1).view(np.float32), moved, atol=1e-6)


def test_chips_stay_alike_and_steps_may_be_given_at_once(cluster):
    trainer = Trainer(cluster, FEW, Schedule(batch=4), pair())
    trainer.submit(2)
    cluster.wait()
    with Cluster(TINY, backend="reference") as other:
        again = Trainer(other, FEW, Schedule(batch=4), pair())
        losses = [again.step() for _ in range(2)]
        for step in range(3):
            assert (trainer.weights(step, 0) == trainer.weights(step, 1)).all()
            assert (trainer.weights(step) == again.weights(step)).all()
        assert losses == [trainer.loss(step) for step in range(2)]
    assert (trainer.weights(2)[:SECOND_BIAS] != trainer.weights(0)[:SECOND_BIAS]).mean() > 0.5
    answers = trainer.answers()
    assert answers.shape == FEW.test_labels.shape
    assert set(answers) <= set(range(10))


@pytest.mark.slow
def test_a_network_learns(cluster):
    trainer = Trainer(cluster, DIGITS, Schedule(), pair())
    losses = [trainer.step() for _ in range(40)]
    assert losses[-1] < 0.3 * losses[0]
    assert trainer.accuracy() > 0.9


def test_a_batch_that_is_too_large_is_refused(cluster):
    with pytest.raises(UserError, match="batch = 719: each chip has 718 images"):
        Trainer(cluster, DIGITS, Schedule(batch=719), pair())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"batch": 0}, "batch = 0: give at least 1"),
        ({"rate": float("nan")}, "rate = nan: give a number above 0"),
        ({"momentum": 1.0}, "momentum = 1.0: give a number from 0 on, below 1"),
        ({"seed": -1}, "seed = -1: give at least 0"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(given, message):
    with pytest.raises(UserError, match=f"^{message}$"):
        Schedule(**given)
