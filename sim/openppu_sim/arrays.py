"""Read and write ``.npy`` files: one line for whatever is wrong with them, and never half a file."""

import tokenize
from pathlib import Path

import numpy as np

from openppu_sim.errors import UserError
from openppu_sim.report.json_report import whole_file

DAMAGED = (ValueError, TypeError, OverflowError, EOFError, SyntaxError, RecursionError, tokenize.TokenError)
"""What numpy and Python's own parser raise for a header that is no header."""


def read_array(path: Path, dtype: np.dtype, what: str) -> np.ndarray:
    """Read an array of ``dtype``, whatever its order in memory and its byte order.

    Parameters
    ----------
    path : Path
        A ``.npy`` file.
    dtype : dtype
        What its elements must be.
    what : str
        What they are, for the message.

    Raises
    ------
    UserError
        If the file cannot be read, is no array, holds Python objects, or holds other elements.
    """
    try:
        with open(path, "rb") as file:
            if file.read(6) != b"\x93NUMPY":
                raise UserError(f"{path}: not a .npy file; write one with numpy.save")
            file.seek(0)
            array = np.lib.format.read_array(file, allow_pickle=False)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None
    except MemoryError:
        raise UserError(f"{path}: does not fit the memory") from None
    except DAMAGED as error:
        objects = "Object arrays" in str(error)
        reason = "holds Python objects, which are refused" if objects else "damaged"
        raise UserError(f"{path}: {reason}; write an array of {dtype} with numpy.save") from None
    if array.dtype.newbyteorder("=") != dtype:
        raise UserError(f"{path}: holds {array.dtype}; {what} must be {dtype}: convert it with .astype(numpy.{dtype})")
    return np.asarray(array, dtype, order="C")


def write_array(path: Path, array: np.ndarray) -> Path:
    """Write ``array`` to exactly ``path``, whole or not at all, and return the path.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    with whole_file(path) as temporary, open(temporary, "wb") as file:
        np.save(file, array)
    return path
