"""A runner that stands in for the tile: the numpy reference, with plausible cycles."""

import numpy as np
import pytest
from openppu.formats.spec import FORMATS
from openppu_sim.digits.network import Digits, Network, load_digits, train
from openppu_sim.reference.matmul import matmul
from openppu_sim.report.run import CAUSES, MatmulRunner, TileRun

SIZE = 8


def run_reference(name: str, a_bits: np.ndarray, b_bits: np.ndarray, fmt_name: str) -> TileRun:
    (m, k), n = a_bits.shape, b_bits.shape[1]
    bound = -(-k // SIZE) * -(-n // SIZE) * max(m, SIZE)
    spans = {"compute": bound, "fill": 2, "drain": 30}
    return TileRun(
        name=name,
        format=fmt_name,
        m=m,
        k=k,
        n=n,
        cycles=bound + 32,
        predicted_cycles=bound + 32,
        bound_cycles=bound,
        mismatches=0,
        result=matmul(a_bits, b_bits, None, FORMATS[fmt_name]),
        causes=spans,
        timeline=np.repeat([CAUSES.index(cause) for cause in spans], list(spans.values())).astype(np.uint8),
    )


@pytest.fixture
def reference_runner() -> MatmulRunner:
    return run_reference


@pytest.fixture(scope="session")
def digits() -> Digits:
    return load_digits()


@pytest.fixture(scope="session")
def network(digits: Digits) -> Network:
    return train(digits)
