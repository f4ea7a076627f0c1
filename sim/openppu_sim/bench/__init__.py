"""What ``openppu bench`` measures: one module a benchmark.

A module's first line says what it measures. Its ``run(build_root)`` takes the folder for models (``build``) and returns
the rows of ``openppu_sim.report.json_report.benchmark_json``. Its ``COLUMNS``, if it has them, name the extra keys of
the rows that the tables show.
"""

import importlib
import pkgutil
from types import ModuleType


def benchmarks() -> dict[str, ModuleType]:
    """Every benchmark by its name, in the order of the names."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name: importlib.import_module(f"{__name__}.{name}") for name in names}
