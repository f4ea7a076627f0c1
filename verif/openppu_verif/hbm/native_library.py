"""Compile the C++ checker, device model and bench once, by content, and load them."""

import ctypes
from functools import cache
from pathlib import Path

from openppu_verif.native.model import build_bench

FOLDER = Path(__file__).parent
SOURCES = tuple(
    FOLDER / f"{name}.cpp"
    for name in (
        *("bench", "checker", "command_pairs", "control", "device", "digest", "faults", "golden", "native_library"),
        *("row_watch", "traffic"),
    )
)
HEADERS = (*(path.with_suffix(".h") for path in SOURCES if path.with_suffix(".h").exists()), FOLDER / "phy_bus.h")
TEXT = 1024

_NUMBER, _LONG, _COUNT, _POINTER = ctypes.c_int, ctypes.c_int64, ctypes.c_uint64, ctypes.c_void_p
_LONGS = ctypes.POINTER(ctypes.c_int64)
_PLACE = [_NUMBER, _NUMBER, ctypes.c_uint32, _NUMBER]
_SIGNATURES = {
    "checker_new": (_POINTER, [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t]),
    "checker_delete": (None, [_POINTER]),
    "checker_restart": (None, [_POINTER, _NUMBER]),
    "checker_pins": (None, [_POINTER, _NUMBER, _NUMBER, _NUMBER]),
    "checker_run": (None, [_POINTER, _POINTER, ctypes.c_size_t]),
    "checker_advance": (None, [_POINTER, _LONG]),
    "checker_now": (_LONG, [_POINTER]),
    "checker_violations": (_COUNT, [_POINTER]),
    "checker_rules": (ctypes.c_size_t, [_POINTER]),
    "checker_count": (_COUNT, [_POINTER, _NUMBER]),
    "checker_owed": (ctypes.c_double, [_POINTER, _NUMBER]),
    "checker_rule_name": (None, [_POINTER, _NUMBER, ctypes.c_char_p, ctypes.c_size_t]),
    "checker_violation": (_NUMBER, [_POINTER, ctypes.c_size_t, _LONGS, ctypes.c_char_p, ctypes.c_size_t]),
    "device_new": (_POINTER, [_POINTER, ctypes.c_char_p]),
    "device_delete": (None, [_POINTER]),
    "device_clock": (_NUMBER, [_POINTER, _POINTER]),
    "device_sense": (None, [_POINTER, _POINTER]),
    "device_load": (None, [_POINTER, *_PLACE, ctypes.c_size_t, _POINTER, _POINTER]),
    "device_dump": (None, [_POINTER, *_PLACE, ctypes.c_size_t, _POINTER, _POINTER]),
    "device_erase": (None, [_POINTER]),
    "device_pages": (_COUNT, [_POINTER]),
    "device_flip_bit": (None, [_POINTER, *_PLACE, _NUMBER]),
    "device_stick_bit": (None, [_POINTER, *_PLACE, _NUMBER, _NUMBER]),
    "device_flip_reads": (None, [_POINTER, _NUMBER, _COUNT, _COUNT, _POINTER]),
    "device_lose_strobes": (None, [_POINTER, _NUMBER, _COUNT, _COUNT]),
    "device_spoil_command": (None, [_POINTER, _NUMBER, _COUNT]),
    "device_clear_faults": (None, [_POINTER]),
    "device_signals": (None, [_POINTER, _NUMBER, _NUMBER, _NUMBER]),
    "device_mode_register": (_NUMBER, [_POINTER, _NUMBER]),
    "device_open": (_NUMBER, [_POINTER, _NUMBER, _NUMBER]),
    "device_problems": (_COUNT, [_POINTER]),
    "device_problem": (_NUMBER, [_POINTER, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]),
}


def build_library(build_root: Path) -> Path:
    """The shared library, from an earlier build of the very same sources if there is one.

    Parameters
    ----------
    build_root : Path
        Folder of all that is generated (``build``).

    Raises
    ------
    UserError
        If there is no C++ compiler, or it rejects the sources.
    """
    return build_bench("hbm-library", SOURCES, HEADERS, build_root)


@cache
def load(build_root: Path) -> ctypes.CDLL:
    """The library of `build_library`, its functions typed."""
    library = ctypes.CDLL(str(build_library(build_root)))
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
