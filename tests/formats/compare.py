"""Comparing bit patterns so that a failure can be repeated."""

import numpy as np


def one_nan(bits: np.ndarray, infinity: int = 0x7F800000, nan: int = 0x7FC00000) -> np.ndarray:
    """Patterns with every NaN (beyond ``infinity``, either sign) replaced by ``nan``: payloads are not compared."""
    magnitude = bits & bits.dtype.type((1 << (8 * bits.itemsize - 1)) - 1)
    return np.where(magnitude > infinity, bits.dtype.type(nan), bits)


def assert_same_bits(actual: np.ndarray, expected: np.ndarray, what: str, **operands: np.ndarray) -> None:
    """Fail unless two arrays of patterns are equal, naming how many differ and the operands of the first that does.

    Operands broadcast to the results' shape. ``what`` names the function, the format and the seed.
    """
    assert actual.dtype == expected.dtype, f"{what}: dtype {actual.dtype}, expected {expected.dtype}"
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, expected {expected.shape}"
    wrong = actual != expected
    if wrong.any():
        first = np.unravel_index(np.argmax(wrong), wrong.shape)
        named = ", ".join(f"{name}={np.broadcast_to(x, wrong.shape)[first]:#x}" for name, x in operands.items())
        raise AssertionError(
            f"{what}: {wrong.sum()} of {wrong.size} differ; first at {named or first}: "
            f"got {actual[first]:#x}, expected {expected[first]:#x}"
        )
