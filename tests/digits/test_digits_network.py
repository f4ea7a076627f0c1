"""The digits' split, and the training."""

import hashlib
import subprocess
import sys

import numpy as np
from openppu_sim.digits.network import SEED, Digits, Network, accuracy, load_digits, train

PRINT_WEIGHTS = """
import hashlib
from openppu_sim.digits.network import load_digits, train
network = train(load_digits())
print(hashlib.sha256(b"".join(array.tobytes() for array in network.weights + network.biases)).hexdigest())
"""


def test_the_split_holds_every_image_once_and_360_for_the_test(digits: Digits) -> None:
    from sklearn.datasets import load_digits as load_original

    assert digits.test_pixels.shape == (360, 64)
    assert digits.train_pixels.shape == (1437, 64)
    assert (digits.train_pixels.min(), digits.train_pixels.max()) == (0, 16)
    images = np.column_stack(
        [
            np.concatenate([digits.train_pixels, digits.test_pixels]),
            np.concatenate([digits.train_labels, digits.test_labels]),
        ]
    )
    original = load_original()
    expected = np.column_stack([original.data, original.target]).astype(np.int64)
    np.testing.assert_array_equal(images[np.lexsort(images.T)], expected[np.lexsort(expected.T)])


def test_every_digit_has_its_share_of_the_test(digits: Digits) -> None:
    counts = np.bincount(digits.test_labels, minlength=10)
    totals = counts + np.bincount(digits.train_labels, minlength=10)
    assert np.abs(counts - totals * 360 / 1797).max() <= 1


def test_training_gives_the_same_bits_in_another_process(network: Network) -> None:
    ours = hashlib.sha256(b"".join(array.tobytes() for array in network.weights + network.biases)).hexdigest()
    theirs = subprocess.run([sys.executable, "-c", PRINT_WEIGHTS], capture_output=True, text=True, check=True).stdout
    assert theirs.strip() == ours


def test_another_seed_gives_another_split_and_another_network(digits: Digits, network: Network) -> None:
    assert (load_digits(SEED + 1).test_pixels != digits.test_pixels).any()
    assert (train(digits, seed=SEED + 1, epochs=1).weights[0] != network.weights[0]).any()


def test_training_never_looks_at_the_test_images(digits: Digits) -> None:
    blank = Digits(
        train_pixels=digits.train_pixels,
        train_labels=digits.train_labels,
        test_pixels=np.zeros_like(digits.test_pixels),
        test_labels=np.zeros_like(digits.test_labels),
    )
    for ours, theirs in zip(train(digits, epochs=2).weights, train(blank, epochs=2).weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_network_is_small_binary32_and_accurate(digits: Digits, network: Network) -> None:
    assert [array.shape for array in network.weights] == [(64, 32), (32, 10)]
    assert {array.dtype for array in network.weights + network.biases} == {np.dtype(np.float32)}
    logits = network.logits(digits.test_pixels)
    assert logits.dtype == np.float32
    found = accuracy(logits, digits.test_labels)
    assert found >= 0.965, f"accuracy {found:.4f} at seed {SEED}"


def test_accuracy_counts_the_largest_score() -> None:
    scores = np.array([[0, 1, 0], [5, 4, 3], [-2, -1, -3], [0, 0, 7]])
    assert accuracy(scores, np.array([1, 0, 2, 2])) == 0.75
