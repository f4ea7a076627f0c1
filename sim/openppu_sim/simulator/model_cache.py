"""Folders of built models, named by their contents and made once.

A folder appears under its name only when its build is complete, so an interrupted build leaves nothing that looks
finished; a lock keeps two processes from building the same model.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from openppu_sim.errors import UserError


def content_key(*parts: str | bytes) -> str:
    """16 hex digits that depend on every part and on where one ends."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:16]


def file_contents(paths: Iterable[Path]) -> list[bytes]:
    """Names and bytes of files, for ``content_key``.

    Raises
    ------
    UserError
        If a file cannot be read.
    """
    contents = []
    for path in paths:
        try:
            contents += [path.name.encode(), path.read_bytes()]
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    return contents


def check_root(root: Path) -> None:
    """Raise UserError if models cannot be built in a folder, wherever it is, for the sake of its name."""
    if re.search(r"[\s#:;]", str(root.absolute())):
        raise UserError(
            f"build folder {str(root)!r}: make cannot build below a path with spaces, '#', ':' or ';'; choose another"
        )


def make_once(root: Path, name: str, build: Callable[[Path], None]) -> Path:
    """The folder ``root/name``, built if it is not there.

    Parameters
    ----------
    root : Path
        Folder of all models; made if it is not there.
    name : str
        The model's name, with its content key.
    build : callable
        Fills the empty folder it is given.

    Raises
    ------
    UserError
        If the folder cannot be written, or make cannot work below its path.
    """
    final = root.absolute() / name
    if final.is_dir():
        return final
    check_root(root)
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        with open(final.with_name(f".{name}.lock"), "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not final.is_dir():
                with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=final.parent) as scratch:
                    work = Path(scratch) / "model"
                    work.mkdir()
                    build(work)
                    os.rename(work, final)
    except OSError as error:
        raise UserError(f"build folder {root}: cannot be written: {error.strerror}; choose another") from None
    return final


def keep_only(folder: Path, keep: Iterable[str]) -> None:
    """Delete everything in a folder but the named files: object files are large and never needed again."""
    kept = set(keep)
    for path in folder.iterdir():
        if path.name not in kept:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()
