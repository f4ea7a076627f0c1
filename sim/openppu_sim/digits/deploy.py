"""The trained network in the tile's number formats, with the steps between its matrix products.

A deployed network is its layers in order. The tile computes each layer's product; ``Layer.finish`` then adds the bias
and gives the next layer's operand, in the numpy reference until the chip has a vector unit that does this.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from openppu.formats.spec import BF16

from openppu_sim.digits.network import PIXEL_MAX, Network, normalise
from openppu_sim.reference.arithmetic import add32
from openppu_sim.reference.formats import encode
from openppu_sim.reference.quantise import int32_to_int8

INT8_MAX = 127
LAYER_NAMES = ("hidden", "output")


class Layer(Protocol):
    """One layer as deployed."""

    @property
    def name(self) -> str:
        """The layer's name in reports."""

    @property
    def weights(self) -> np.ndarray:
        """Bits of the weights in the operand format, uint8 or uint16, shape (k, n)."""

    def finish(self, accumulators: np.ndarray) -> np.ndarray:
        """From the tile's accumulators, uint32 bits (m, n): the next layer's operand bits, or the last one's scores."""


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A network ready for the tile.

    Members
    -------
    format : str
        Operand format of every layer.
    operand : ndarray of uint8 or uint16, shape (images, 64)
        Bits of the first layer's activations: the images to classify.
    layers : sequence of Layer
    """

    format: str
    operand: np.ndarray
    layers: Sequence[Layer]


@dataclass(frozen=True, kw_only=True)
class Int8Layer:
    """A layer with int8 operands: symmetric scales, one for each tensor; real value = integer x scale.

    Members
    -------
    weights : ndarray of uint8, shape (k, n)
        int8 patterns.
    bias : ndarray of int32, shape (n,)
        In steps of the accumulator: activation scale x weight scale.
    multiplier : float or None
        Accumulator scale over the scale of the next activations; None in the last layer, whose sums are the scores.
    """

    name: str
    weights: np.ndarray
    bias: np.ndarray
    multiplier: float | None

    def finish(self, accumulators: np.ndarray) -> np.ndarray:
        """Add the bias; unless this is the last layer, apply ReLU and requantise."""
        sums = accumulators.view(np.int32) + self.bias
        return sums if self.multiplier is None else requantise(np.maximum(sums, 0), self.multiplier)


@dataclass(frozen=True, kw_only=True)
class Bf16Layer:
    """A layer with bf16 operands and a binary32 bias.

    Members
    -------
    weights : ndarray of uint16, shape (k, n)
        bf16 patterns.
    bias : ndarray of float32, shape (n,)
    last : bool
        The sums are the scores.
    """

    name: str
    weights: np.ndarray
    bias: np.ndarray
    last: bool

    def finish(self, accumulators: np.ndarray) -> np.ndarray:
        """Add the bias in binary32; unless this is the last layer, apply ReLU and round to bf16."""
        sums = add32(accumulators.view(np.uint32), self.bias.view(np.uint32)).view(np.float32)
        return sums if self.last else encode(np.maximum(sums, np.float32(0)), BF16)


def requantise(integers: np.ndarray, multiplier: float) -> np.ndarray:
    """int32 ``integers`` times a binary32 multiplier as int8 patterns, uint8, by the chip's own rule."""
    return int32_to_int8(integers.view(np.uint32), np.float32(multiplier).view(np.uint32))


def deploy_int8(network: Network, train_pixels: np.ndarray, pixels: np.ndarray) -> Deployment:
    """Quantise to int8; the largest activations of the training images set the activations' scales."""
    input_scale = 1 / INT8_MAX
    hidden_scale = float(network.hidden(train_pixels).max()) / INT8_MAX
    layers = []
    for index, scale in enumerate((input_scale, hidden_scale)):
        weight_scale = float(np.abs(network.weights[index]).max()) / INT8_MAX
        accumulator_scale = scale * weight_scale
        layers.append(
            Int8Layer(
                name=LAYER_NAMES[index],
                weights=np.rint(network.weights[index] / weight_scale).astype(np.int8).view(np.uint8),
                bias=np.rint(network.biases[index] / accumulator_scale).astype(np.int32),
                multiplier=accumulator_scale / hidden_scale if index == 0 else None,
            )
        )
    return Deployment(format="int8", operand=requantise(pixels, INT8_MAX / PIXEL_MAX), layers=layers)


def deploy_bf16(network: Network, pixels: np.ndarray) -> Deployment:
    """Round the weights to bf16; the pixels fit bf16 exactly."""
    layers = [
        Bf16Layer(name=name, weights=encode(weights, BF16), bias=bias, last=name == LAYER_NAMES[-1])
        for name, weights, bias in zip(LAYER_NAMES, network.weights, network.biases, strict=True)
    ]
    return Deployment(format="bf16", operand=encode(normalise(pixels), BF16), layers=layers)
