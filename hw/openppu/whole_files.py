"""Files that appear whole or not at all, and only where a file may be."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def whole_files(*paths: Path) -> Iterator[tuple[Path, ...]]:
    """Give the names of files to write, which then take the places of ``paths``, all of them or none.

    Raises
    ------
    OSError
        If a file cannot be written, or `place` refuses it; all paths are as they were.
    """
    places = [place(path) for path in paths]
    temporaries = tuple(at.with_name(f".openppu-{os.getpid()}-{index}") for index, at in enumerate(places))
    try:
        yield temporaries
        for temporary, at in zip(temporaries, places, strict=True):
            temporary.replace(at)
    finally:
        for temporary in temporaries:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def place(path: Path) -> Path:
    """Where a file for ``path`` must be written: there, or where it links to.

    Raises
    ------
    OSError
        If something else than a regular, writable file is there: a folder, a device, a pipe.
    """
    at = Path(os.path.realpath(path))
    try:
        mode = at.stat().st_mode
    except FileNotFoundError:
        return at
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    if not stat.S_ISREG(mode):
        raise FileExistsError(errno.EEXIST, "it is not a regular file", str(path))
    if not (mode & 0o222 and os.access(at, os.W_OK)):  # an administrator has access to every file
        raise PermissionError(errno.EACCES, "it is read-only", str(path))
    return at
