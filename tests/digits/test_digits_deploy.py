"""The network in the tile's formats, and the steps between its products."""

import numpy as np
import pytest
from openppu.formats.spec import BF16
from openppu_sim.digits.deploy import Bf16Layer, Deployment, Int8Layer, deploy_bf16, deploy_int8, requantise
from openppu_sim.digits.job import classify
from openppu_sim.digits.network import SEED, Digits, Network, accuracy, normalise
from openppu_sim.reference.formats import decode, encode
from openppu_sim.report.run import MatmulRunner

FORMATS = ("int8", "bf16")


def deploy(name: str, network: Network, digits: Digits) -> Deployment:
    if name == "int8":
        return deploy_int8(network, digits.train_pixels, digits.test_pixels)
    return deploy_bf16(network, digits.test_pixels)


@pytest.mark.parametrize("name", FORMATS)
def test_accuracy_stays_within_a_point_of_binary32(
    name: str, network: Network, digits: Digits, reference_runner: MatmulRunner
) -> None:
    scores, runs = classify(deploy(name, network, digits), reference_runner)
    assert [run.shape for run in runs] == ["360x64x32", "360x32x10"]
    expected = accuracy(network.logits(digits.test_pixels), digits.test_labels)
    found = accuracy(scores, digits.test_labels)
    assert abs(found - expected) <= 0.01, f"{name} {found:.4f}, binary32 {expected:.4f} at seed {SEED}"


@pytest.mark.parametrize(("name", "error"), [("int8", 0.05), ("bf16", 0.01)])
def test_scores_stay_close_to_binary32(
    name: str, error: float, network: Network, digits: Digits, reference_runner: MatmulRunner
) -> None:
    scores, _ = classify(deploy(name, network, digits), reference_runner)
    logits = network.logits(digits.test_pixels)
    scale = (scores * logits).sum() / (scores.astype(np.float64) ** 2).sum()
    found = np.linalg.norm(scores * scale - logits) / np.linalg.norm(logits)
    assert 0 < found < error, f"{name}: relative error {found:.4f} at seed {SEED}"
    if name == "bf16":
        assert scale == pytest.approx(1, abs=0.01)


def test_the_int8_deployment_uses_the_whole_range(
    network: Network, digits: Digits, reference_runner: MatmulRunner
) -> None:
    deployment = deploy_int8(network, digits.train_pixels, digits.train_pixels)
    assert deployment.operand.dtype == np.uint8
    assert deployment.operand.max() == 127
    for layer in deployment.layers:
        assert np.abs(layer.weights.view(np.int8)).max() == 127
    first = deployment.layers[0]
    hidden = first.finish(reference_runner("hidden", deployment.operand, first.weights, "int8").result).view(np.int8)
    assert hidden.min() == 0
    assert 125 <= hidden.max() <= 127


def test_bf16_holds_the_pixels_exactly(network: Network, digits: Digits) -> None:
    deployment = deploy_bf16(network, digits.test_pixels)
    np.testing.assert_array_equal(decode(deployment.operand, BF16), normalise(digits.test_pixels))


def test_requantise_multiplies_rounds_to_even_and_clamps() -> None:
    integers = np.array([0, 1, 2, 3, 5, -3, 300, -300], np.int32)
    assert requantise(integers, 0.5).view(np.int8).tolist() == [0, 0, 1, 2, 2, -2, 127, -128]


def test_an_int8_layer_adds_the_bias_then_relu_then_requantises() -> None:
    weights = np.zeros((1, 3), np.uint8)
    sums = np.array([[10, -10, 100]], np.int32).view(np.uint32)
    bias = np.array([4, 4, 200], np.int32)
    inner = Int8Layer(name="hidden", weights=weights, bias=bias, multiplier=0.5)
    assert inner.finish(sums).view(np.int8).tolist() == [[7, 0, 127]]
    last = Int8Layer(name="output", weights=weights, bias=bias, multiplier=None)
    assert last.finish(sums).tolist() == [[14, -6, 300]]


def test_a_bf16_layer_adds_the_bias_then_relu_then_rounds() -> None:
    weights = np.zeros((1, 3), np.uint16)
    sums = np.array([[1.0, -2.0, 1.0]], np.float32).view(np.uint32)
    bias = np.array([2**-8, 1.0, 3 * 2**-8], np.float32)
    inner = Bf16Layer(name="hidden", weights=weights, bias=bias, last=False)
    expected = encode(np.array([[1.0, 0.0, 1 + 2**-6]], np.float32), BF16)
    np.testing.assert_array_equal(inner.finish(sums), expected)
    last = Bf16Layer(name="output", weights=weights, bias=bias, last=True)
    assert last.finish(sums).tolist() == [[1 + 2**-8, -1.0, 1 + 3 * 2**-8]]
