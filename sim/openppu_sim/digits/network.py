"""Handwritten digits and a small network that tells them apart, trained in numpy.

The images are scikit-learn's ``load_digits``: 1,797 images of 8 x 8 pixels, each 0 to 16, from the UCI Machine
Learning Repository (E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", 1998).
"""

from dataclasses import dataclass

import numpy as np

SEED = 0
"""Seed of the split, of the first weights and of the order of the training images."""

TEST_IMAGES = 360
PIXEL_MAX = 16
HIDDEN = 32
CLASSES = 10
LAYERS = ((64, HIDDEN), (HIDDEN, CLASSES))
"""Rows and columns of each layer's weights."""


@dataclass(frozen=True, kw_only=True)
class Digits:
    """The images, split once and for all: each digit has the same share of both parts.

    Members
    -------
    train_pixels, test_pixels : ndarray of int32, shapes (1437, 64) and (360, 64)
        Pixels, 0 to 16, an image a row.
    train_labels, test_labels : ndarray of int64, shapes (1437,) and (360,)
        The digits shown.
    """

    train_pixels: np.ndarray
    train_labels: np.ndarray
    test_pixels: np.ndarray
    test_labels: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Network:
    """Two dense layers with a ReLU between them, in binary32.

    Members
    -------
    weights : tuple of ndarray of float32, shapes (64, 32) and (32, 10)
    biases : tuple of ndarray of float32, shapes (32,) and (10,)
    """

    weights: tuple[np.ndarray, np.ndarray]
    biases: tuple[np.ndarray, np.ndarray]

    def hidden(self, pixels: np.ndarray) -> np.ndarray:
        """Activations after the ReLU, float32, shape (images, 32)."""
        return np.maximum(normalise(pixels) @ self.weights[0] + self.biases[0], 0)

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        """A score for each digit, float32, shape (images, 10); the largest is the answer."""
        return self.hidden(pixels) @ self.weights[1] + self.biases[1]


def normalise(pixels: np.ndarray) -> np.ndarray:
    """Scale pixels, 0 to 16, to float32, 0 to 1; exact."""
    return pixels.astype(np.float32) / np.float32(PIXEL_MAX)


def accuracy(scores: np.ndarray, labels: np.ndarray) -> float:
    """Share of the rows of ``scores`` whose largest element stands at the label."""
    return float(np.mean(np.argmax(scores, axis=1) == labels))


def load_digits(seed: int = SEED) -> Digits:
    """Load the images and split off 360 for testing, stratified by digit."""
    # Imported here: scikit-learn takes a second to import, which every other command would pay for.
    from sklearn import datasets, model_selection

    bunch = datasets.load_digits()
    train_pixels, test_pixels, train_labels, test_labels = model_selection.train_test_split(
        bunch.data.astype(np.int32),
        bunch.target.astype(np.int64),
        test_size=TEST_IMAGES,
        stratify=bunch.target,
        random_state=seed,
    )
    return Digits(
        train_pixels=train_pixels, train_labels=train_labels, test_pixels=test_pixels, test_labels=test_labels
    )


def train(digits: Digits, *, seed: int = SEED, epochs: int = 60, batch: int = 64, rate: float = 3e-3) -> Network:
    """Train with Adam (D. Kingma, J. Ba, 2015), a cosine-shaped learning rate and cross-entropy, in float32.

    Two runs on one machine give the same bits.

    Parameters
    ----------
    digits : Digits
        Only the training part is looked at.
    seed : int
        Seed of the first weights and of the order of the images.
    epochs, batch : int, at least 1
        Passes over the training images, and images a step.
    rate : float
        Learning rate of the first epoch.
    """
    rng = np.random.default_rng(seed)
    images, labels = normalise(digits.train_pixels), digits.train_labels
    pixels = images.shape[1]
    first = rng.normal(0, np.sqrt(2 / pixels), (pixels, HIDDEN))
    second = rng.normal(0, np.sqrt(2 / HIDDEN), (HIDDEN, CLASSES))
    parameters = [array.astype(np.float32) for array in (first, np.zeros(HIDDEN), second, np.zeros(CLASSES))]
    means = [np.zeros_like(array) for array in parameters]
    squares = [np.zeros_like(array) for array in parameters]
    step = 0
    for epoch in range(epochs):
        epoch_rate = rate * 0.5 * (1 + float(np.cos(np.pi * epoch / epochs)))
        order = rng.permutation(len(images))
        for start in range(0, len(images), batch):
            chosen = order[start : start + batch]
            gradients = _gradients(parameters, images[chosen], labels[chosen])
            step += 1
            for array, gradient, mean, square in zip(parameters, gradients, means, squares, strict=True):
                mean += 0.1 * (gradient - mean)
                square += 0.001 * (gradient**2 - square)
                array -= epoch_rate * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
    return Network(weights=(parameters[0], parameters[2]), biases=(parameters[1], parameters[3]))


def _gradients(parameters: list[np.ndarray], images: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
    """Gradients of the mean cross-entropy in the order of the parameters, by back-propagation."""
    weights_1, bias_1, weights_2, bias_2 = parameters
    hidden = np.maximum(images @ weights_1 + bias_1, 0)
    logits = hidden @ weights_2 + bias_2
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    error = exponentials / exponentials.sum(axis=1, keepdims=True)
    error[np.arange(len(labels)), labels] -= 1
    error /= len(labels)
    hidden_error = (error @ weights_2.T) * (hidden > 0)
    return [images.T @ hidden_error, hidden_error.sum(axis=0), hidden.T @ error, error.sum(axis=0)]
