"""Runs commands on the Verilated vector unit, with a scratchpad of its own, at the model's own speed."""

import subprocess
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import amaranth
import numpy as np
import openppu
from numpy.typing import NDArray
from openppu.command.error import Error
from openppu.config import ChipConfig
from openppu.scratchpad.scratchpad import Scratchpad
from openppu.vector.cause import Cause
from openppu.vector.command import command_layout
from openppu.vector.engine import VectorEngine
from openppu.verilog import emit

from openppu_sim.errors import SimulationError
from openppu_sim.kernels.vector.commands import Command, encode
from openppu_sim.progress import step
from openppu_sim.simulator.model_cache import content_key, file_contents, make_once
from openppu_sim.simulator.toolchain import find_toolchain
from openppu_sim.simulator.verilator import build

TOP = "vector"
BENCH = Path(__file__).with_name("vector_bench.cpp")
ALWAYS = 1 << 16
LANE_INPUTS = ("operation", "a", "b", "c")
SLICE_INPUTS = ("read", "write", "address", *LANE_INPUTS)


@dataclass(frozen=True, kw_only=True)
class End:
    """How a command ended: its error, and the cycles in which it was taken and its end was."""

    error: Error
    taken: int
    finished: int


@dataclass(frozen=True, kw_only=True)
class VectorRun:
    """What commands did.

    Parameters
    ----------
    ends : list of End
    memory : ndarray of uint8
        The scratchpad at the end.
    cycles : int
        Simulated in all.
    causes : dict of str to int
        Cycles that went to each `openppu.vector.cause.Cause`, by its name.
    """

    ends: list[End]
    memory: NDArray[np.uint8]
    cycles: int
    causes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Stalls:
    """Of 65,536 cycles, in how many the other side of a stream acts, at random.

    Parameters
    ----------
    offers, accepts : int
        Of commands and of their ends.
    reads, writes : int
        The scratchpad takes a request.
    seed : int
    """

    offers: int = ALWAYS
    accepts: int = ALWAYS
    reads: int = ALWAYS
    writes: int = ALWAYS
    seed: int = 1


FREE = Stalls()


def build_vector(chip: ChipConfig, build_root: Path) -> Path:
    """The executable for a chip's vector unit, from an earlier build if there is one.

    Raises
    ------
    UserError
        If a tool is missing or rejects its input.
    """
    find_toolchain()
    sources = sorted(Path(openppu.__file__).parent.rglob("*.py"))
    key = content_key(*file_contents(sources), amaranth.__version__, chip.fingerprint())

    def make(folder: Path) -> None:
        with step(f"writing the Verilog of the {TOP} unit"):
            emit(VectorEngine(chip), top=TOP, config=chip).write(folder / f"{TOP}.v")

    verilog = make_once(build_root / "models", f"{TOP}-verilog-{key}", make) / f"{TOP}.v"
    # Lanes stay functions of their own, compiled once for all.
    control = [f'no_inline -module "{TOP}_{module}"' for module in ("lane", "lane_slice")]
    for module, inputs in (("lane", LANE_INPUTS), ("lane_slice", SLICE_INPUTS)):
        control += [f'public_flat_rd -module "{TOP}_{module}" -var "{name}"' for name in inputs]
    return build([verilog], TOP, build_root, cpp_main=BENCH, control="\n".join(control), verilate=("-fno-dfg-scoped",))


def run(
    executable: Path,
    chip: ChipConfig,
    commands: Sequence[Command],
    memory: NDArray[np.uint8],
    *,
    stalls: Stalls = FREE,
    latency: int = Scratchpad.LATENCY,
    wrong: Collection[int] = (),
    accumulators: NDArray[np.uint32] | None = None,
    reset_at: int | None = None,
    most_cycles: int = 50_000_000,
) -> VectorRun:
    """Run commands from reset.

    Parameters
    ----------
    executable : Path
        From `build_vector`.
    chip : ChipConfig
        The chip that it was built for.
    commands : sequence of Command
    memory : ndarray of uint8
        The scratchpad: a whole number of words, no more than the chip's has.
    stalls : Stalls
    latency : int
        Cycles from a read that is taken to its result.
    wrong : collection of int
        Numbers of words that are read with an error.
    accumulators : ndarray of uint32, optional
        What the tile's accumulators hold, rows x columns; without, zeros.
    reset_at : int, optional
        Reset the unit in this cycle, and begin again with the first command and the scratchpad as given. (Registers and
        program memory keep what they have.)
    most_cycles : int
        Give up after so many.

    Raises
    ------
    SimulationError
        If the commands do not end in time, or a stream breaks its rules.
    """
    count = -(-command_layout().size // 32)
    tile = chip.tile
    sums = np.zeros((tile.accumulators, tile.columns), np.uint32) if accumulators is None else accumulators
    packed = b"".join(encode(command).to_bytes(4 * count, "little") for command in commands)
    address_bits, word_bytes = chip.scratchpad.address_bits, chip.scratchpad.word_bytes
    header = [latency, stalls.seed, most_cycles, stalls.offers, stalls.accepts, stalls.reads, stalls.writes]
    header += [0xFFFFFFFF if reset_at is None else reset_at, address_bits, word_bytes, len(commands), count]
    parts = [
        np.array(header, "<u4").tobytes(),
        packed,
        np.array([len(wrong), *sorted(wrong), memory.size], "<u4").tobytes(),
        memory.tobytes(),
        np.array([tile.columns, sums.size], "<u4").tobytes(),
        sums.astype("<u4").tobytes(),
    ]
    with tempfile.TemporaryDirectory(prefix="openppu-") as folder:
        given, got = Path(folder) / "input", Path(folder) / "output"
        given.write_bytes(b"".join(parts))
        process = subprocess.run([executable, given, got], capture_output=True, text=True, check=False)
        if process.returncode != 0:
            raise SimulationError(f"the simulator failed (exit code {process.returncode}): {process.stderr.strip()}")
        data = got.read_bytes()
    cycles, ended, complaint_bytes = np.frombuffer(data, "<u4", 3).tolist()
    causes = np.frombuffer(data, "<u4", 8, 12).tolist()
    ends = np.frombuffer(data, "<u4", 3 * ended, 44).reshape(-1, 3).tolist()
    after = np.frombuffer(data, np.uint8, memory.size, 44 + 12 * ended).copy()
    complaint = data[44 + 12 * ended + memory.size :].decode()
    if complaint_bytes:
        raise SimulationError(f"a stream broke its rules: {complaint}")
    if ended != len(commands):
        raise SimulationError(f"{ended} of {len(commands)} commands ended in {cycles} cycles")
    return VectorRun(
        ends=[End(error=Error(error), taken=taken, finished=finished) for error, taken, finished in ends],
        memory=after,
        cycles=cycles,
        causes={name: causes[each.value] for name, each in Cause.__members__.items()},
    )
