"""Verilate and compile one executable with a C++ main of our own."""

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from openppu_sim import progress
from openppu_sim.errors import UserError
from openppu_sim.simulator.model_cache import content_key, file_contents, keep_only, make_once
from openppu_sim.simulator.toolchain import JOBS, Toolchain, find_toolchain

# Every register has its initial value in the file and every branch assigns, so unknown values need no modelling.
# Warnings are held by the emission's own lint test, on the same file.
VERILATE = ("-O3", "--x-assign", "fast", "--x-initial", "fast", "--no-timing", "-Wno-fatal")
# Measured on a 16 x 16 bf16 tile: -O3 and -march=native gain nothing over -O2, -Os and -O1 lose a tenth. Verilator's
# own library is in no hot path: -O1 builds it in two thirds of the time.
COMPILE = ("OPT_FAST=-O2", "OPT_SLOW=-O0", "OPT_GLOBAL=-O1")
STANDARD = "-std=gnu++17"


def build(
    sources: Sequence[Path],
    top: str,
    build_root: Path,
    *,
    cpp_main: Path,
    headers: Sequence[Path] = (),
    control: str = "",
    defines: Mapping[str, str] = {},
    verilate: Sequence[str] = (),
    compile_flags: Sequence[str] = (),
    trace: bool = False,
) -> Path:
    """Make the executable, or take it from an earlier build of the very same inputs.

    Parameters
    ----------
    sources : sequence of Path
        Verilog files.
    top : str
        The top module; the C++ class is ``Vtop`` (header ``Vtop.h``) whatever its name.
    build_root : Path
        Folder of all that is generated (``build``); the model gets ``models/<top>-<key>`` below it.
    cpp_main : Path
        C++ source with ``main``.
    headers : sequence of Path
        Files it includes by their bare names.
    control : str
        Text of a Verilator control file, such as ``public_flat_rd`` and ``no_inline_module`` lines.
    defines : mapping
        Macros for both Verilog and C++.
    verilate : sequence of str
        More arguments for Verilator, after ``VERILATE``.
    compile_flags : sequence of str
        More flags for the C++ compiler and linker.
    trace : bool
        Build with VCD tracing.

    Returns
    -------
    Path
        The executable.

    Raises
    ------
    UserError
        If a tool or a source is missing, the folder cannot be written, or a tool rejects the sources (its log is
        kept beside the models).
    """
    tools = find_toolchain()
    contents = file_contents([*sources, cpp_main, *headers])
    options = [*VERILATE, *verilate, *(["--trace-vcd"] if trace else []), *(f"-D{k}={v}" for k, v in defines.items())]
    flags = [STANDARD, *compile_flags, *(f"-D{k}={v}" for k, v in defines.items())]
    how = (tools.key, *options, "", *flags, "", *COMPILE)
    key = content_key(*contents, top, control, *how)
    models = build_root.absolute() / "models"
    library = models / f"library-{content_key(*how)}"  # Verilator's own: half of the work, and the same for all models
    log = models / f"{top}-{key}.log"

    def make(folder: Path) -> None:
        log.unlink(missing_ok=True)
        (folder / "control.vlt").write_text("`verilator_config\n" + control + "\n", encoding="utf-8")
        command = [
            *(str(tools.verilator.path), "--cc", "--exe", "-Mdir", str(folder), "--top-module", top),
            *("--prefix", "Vtop", "-o", "simulator", *options),
            *("-CFLAGS", " ".join([*flags, *(f"-I{folder_of.absolute()}" for folder_of in _folders(headers))])),
            *(["-LDFLAGS", " ".join(compile_flags)] if compile_flags else []),  # an empty one takes the next word
            *(str(path.absolute()) for path in [folder / "control.vlt", *sources, cpp_main]),
        ]
        run_logged(tools, command, folder, log, f"Verilator, on {top}")
        _copy(library, folder)
        command = [str(tools.make.path), "-j", f"{JOBS}", "-C", str(folder), "-f", "Vtop.mk", *COMPILE]
        who = f"the C++ compiler ({tools.compiler.path}), on {top}"
        run_logged(tools, command + tools.make_settings(), folder, log, who)
        if not (folder / "simulator").is_file():
            raise UserError(f"{who}, wrote no simulator; whole log in {log}")
        make_once(models, library.name, lambda kept: _copy(folder, kept))
        keep_only(folder, ["simulator", "control.vlt"])

    folder = models / f"{top}-{key}"
    if not folder.is_dir():
        with progress.step(f"building the model of {top}"):
            make_once(models, folder.name, make)
    elif not (folder / "simulator").is_file():
        raise UserError(f"{folder}: its simulator is gone; delete the folder, and it is built again")
    return folder / "simulator"


def run_logged(tools: Toolchain, command: Sequence[str], folder: Path, log: Path, who: str) -> None:
    """Run a build tool, append its words to ``log``, and raise UserError with the first complaint if it fails."""
    with open(log, "a", encoding="utf-8") as file:
        print("$", *command, file=file, flush=True)
        result = subprocess.run(
            command, cwd=folder, env=tools.environment(), stdout=file, stderr=subprocess.STDOUT, check=False
        )
    if result.returncode != 0:
        raise UserError(f"{who}, failed (exit code {result.returncode}): {first_complaint(log)}; whole log in {log}")


def first_complaint(log: Path) -> str:
    """The first line of a log that reads like an error, else the last line."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    lines = [line.strip() for line in lines if line.strip() and not line.startswith("$ ")]
    complaints = [line for line in lines if re.search("error|[*]{3}", line.lower()) and "Exiting due to" not in line]
    return (complaints or lines[-1:] or ["no message"])[0][:300]


def _copy(source: Path, to: Path) -> None:
    """Copy the compiled parts of Verilator's library, if they are there: make takes them for up to date."""
    for path in source.glob("verilated*.o"):
        shutil.copy(path, to)


def _folders(paths: Sequence[Path]) -> list[Path]:
    return sorted({path.parent for path in paths})
