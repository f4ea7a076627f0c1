"""Files with programs: text, and the bytes of a ring."""

from pathlib import Path

from openppu_sim.errors import UserError


def read_text(path: Path) -> str:
    """A program's text.

    Raises
    ------
    UserError
        If the file cannot be read, or is none of UTF-8.
    """
    try:
        return read_bytes(path).decode("utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text of UTF-8") from None


def read_bytes(path: Path) -> bytes:
    """The bytes of a ring.

    Raises
    ------
    UserError
        If the file cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
