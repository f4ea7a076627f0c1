"""Runs command sequences on the Verilated tile at the model's own speed: no Python per cycle.

The emitted Verilog is compiled with ``tile_bench.cpp`` once for each configuration (by content), and a run exchanges
two binary files with it.
"""

import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import amaranth
import numpy as np
import numpy.typing as npt
import openppu
from openppu.config import ChipConfig, TileConfig
from openppu.formats.spec import FORMATS
from openppu.tile.command import command_layout
from openppu.tile.counters import COUNTERS
from openppu.tile.tile import Tile
from openppu.verilog import emit

from openppu_sim.cycles.tile import Stalls
from openppu_sim.cycles.tile_fast import predict
from openppu_sim.errors import SimulationError
from openppu_sim.lowering.tile import Addend, TileCommand, TilePlan, plan
from openppu_sim.progress import step
from openppu_sim.reference.matmul import matmul
from openppu_sim.report.run import TileRun, count_causes, count_mismatches
from openppu_sim.simulator.model_cache import content_key, file_contents, make_once
from openppu_sim.simulator.toolchain import find_toolchain
from openppu_sim.simulator.verilator import build

TOP = "tile"
BENCH = Path(__file__).with_name("tile_bench.cpp")
WORD = np.dtype("<u4")
HEADER = ("cycles", "simulated", "nanoseconds", "memory", "timeout", "results", "causes", "commands_left",
          "addends_left", "answers_left", "complaint")  # fmt: skip

CELL_INPUTS = ("activation", "weight", "partial", "swap", "load")
ROW_INPUTS = ("activation", "weights", "partials", "control")
VERILATE = ("-fno-dfg-scoped",)


@dataclass(frozen=True, kw_only=True)
class NativeRun:
    """What a command sequence did on the Verilated tile.

    Parameters
    ----------
    cycles : int
        First command taken to last result taken, both included; to the last cycle before idle if nothing is emitted.
    rows : ndarray of uint32, shape (results, C)
        The beats of ``results``.
    last : ndarray of bool, shape (results,)
        Their ``last`` flags.
    timeline : ndarray of uint8, shape (cycles,)
        The cause of each cycle.
    counters : dict
        The tile's counters at the end, by name.
    simulated : int
        Cycles simulated in all, and
    seconds : float
        the processor time that took.
    memory : int
        Most memory the simulator ever held, in bytes.
    """

    cycles: int
    rows: np.ndarray
    last: np.ndarray
    timeline: np.ndarray
    counters: dict[str, int]
    simulated: int
    seconds: float
    memory: int


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Commands, operand buffers and the rows of C.

    Parameters
    ----------
    commands : sequence of TileCommand
    activations : ndarray, shape (beats, R)
    weights : ndarray, shape (beats, C)
        Encoded operands; addresses past the end wrap around.
    addends : ndarray of uint32, shape (rows, C)
    """

    commands: Sequence[TileCommand]
    activations: np.ndarray
    weights: np.ndarray
    addends: np.ndarray = field(default_factory=lambda: np.zeros((0, 1), np.uint32))

    @property
    def results(self) -> int:
        """Rows that leave on ``results``, if no command is refused."""
        return sum(command.m * command.n_blocks for command in self.commands if command.emit)


def emit_tile(chip: ChipConfig, folder: Path) -> Path:
    """Emit the chip's tile to ``folder``/tile.v."""
    path = folder / f"{TOP}.v"
    emit(Tile(chip.tile), top=TOP, config=chip).write(path)
    return path


def build_tile(chip: ChipConfig, build_root: Path) -> Path:
    """The executable for the chip's tile, from an earlier build if there is one."""
    find_toolchain()  # before the Verilog is written: its absence should not be told after a wait
    verilog = cached_verilog(chip, build_root) / f"{TOP}.v"
    return build([verilog], TOP, build_root, cpp_main=BENCH, control=control(chip.tile), verilate=VERILATE)


def cached_verilog(chip: ChipConfig, build_root: Path) -> Path:
    """The folder of the tile's Verilog, kept for as long as neither the chip nor any source of the hardware changes."""
    sources = sorted(Path(openppu.__file__).parent.rglob("*.py"))
    key = content_key(*file_contents(sources), amaranth.__version__, chip.fingerprint())

    def make(folder: Path) -> None:
        with step(f"writing the Verilog of the {TOP}"):
            emit_tile(chip, folder)

    return make_once(build_root / "models", f"{TOP}-verilog-{key}", make)


def control(config: TileConfig) -> str:
    """Verilator's control file: which modules stay functions of their own, compiled once for all their instances.

    The inputs of the innermost one are made readable from outside, which keeps Verilator from mixing neighbours' logic
    into it, and so from writing a function for each instance. Cells are worth a call only with floats: a tile of int8
    alone runs 1.5 to 2 times as fast with whole rows.
    """
    cells = ["tile_cell"] if config.has_float else []
    innermost, inputs = ("tile_cell", CELL_INPUTS) if config.has_float else ("tile_row", ROW_INPUTS)
    lines = [f'no_inline -module "{module}"' for module in [*cells, "tile_row"]]
    return "\n".join(lines + [f'public_flat_rd -module "{innermost}" -var "{name}"' for name in inputs])


def run(
    executable: Path,
    config: TileConfig,
    workload: Workload,
    *,
    stalls: Stalls | None = None,
    memory_latency: int = 1,
    results: int | None = None,
    most_cycles: int = 1 << 40,
    cycles_after: int = 4,
    reset_at: int | None = None,
    mutant: int = 0,
    timeout: float | None = None,
) -> NativeRun:
    """Run a workload from reset.

    Parameters
    ----------
    executable : Path
        From `build_tile`.
    config : TileConfig
        The tile that it was built for.
    workload : Workload
    stalls : Stalls, optional
        Free streams when absent.
    memory_latency : int, at least 1
        Cycles from an operand request to its answer.
    results : int, optional
        Rows to wait for; what the workload emits by default.
    most_cycles : int
        Give up after so many.
    cycles_after : int
        Cycles to go on after the last result.
    reset_at : int, optional
        Reset the tile in this cycle and run the workload again from the start.
    mutant : int
        Which mutation is switched on, in a model built with mutations.
    timeout : float, optional
        Seconds to wait for the simulator.

    Raises
    ------
    SimulationError
        If the results do not come in time, something is left over, or a stream breaks its rules.
    """
    expected = workload.results if results is None else results
    never = 0xFFFFFFFF
    result_words = config.columns + 1  # with `last`
    counter_words = -(-COUNTERS.size // 32)
    words = [
        _words([most_cycles & never, most_cycles >> 32, memory_latency, expected, cycles_after]),
        _words([never if reset_at is None else reset_at, mutant]),
        *_items(_command_words(workload.commands, config)),
        *_items(_pack(workload.activations, config.operand_bits)),
        *_items(_pack(workload.weights, config.operand_bits)),
        *_items(np.ascontiguousarray(workload.addends, WORD)),
    ]
    stalls = stalls or Stalls()
    order = ("commands", "activations", "weights", "addends", "activation_requests", "weight_requests", "results")
    for name in order:
        pattern = np.asarray(getattr(stalls, name), dtype=bool)
        words += [_words([pattern.size]), pattern.astype(WORD)]
    words.append(_words([result_words, counter_words]))

    with tempfile.TemporaryDirectory(prefix="openppu-") as folder:
        given, got = Path(folder) / "input", Path(folder) / "output"
        given.write_bytes(b"".join(part.tobytes() for part in words))
        try:
            process = subprocess.run(
                [executable, given, got], capture_output=True, text=True, check=False, timeout=timeout
            )
        except subprocess.TimeoutExpired:
            raise SimulationError(f"the simulator did not end within {timeout} s") from None
        if process.returncode != 0:
            raise SimulationError(f"the simulator failed (exit code {process.returncode}): {process.stderr.strip()}")
        data = got.read_bytes()
    return _unpack(data, config, result_words, expected, workload)


def run_matmul(
    name: str,
    a_bits: np.ndarray,
    b_bits: np.ndarray,
    fmt_name: str,
    *,
    chip: ChipConfig,
    build_root: Path,
    c_bits: np.ndarray | None = None,
) -> TileRun:
    """D = A x B (+ C) on the Verilated tile, compared with the reference and the cycle model.

    Parameters
    ----------
    name : str
        What the reports call it.
    a_bits, b_bits : ndarray of uint8 or uint16, shapes (m, k) and (k, n)
        Encoded operands.
    fmt_name : str
        Their format.
    chip : ChipConfig
    build_root : Path
        Folder for models.
    c_bits : ndarray of uint32, shape (m, n), optional
        Accumulators to add to.

    Raises
    ------
    UserError
        If the product does not fit the tile's address or count widths, or a tool is missing.
    SimulationError
        If the tile does not finish.
    """
    (m, k), n = a_bits.shape, b_bits.shape[1]
    config = chip.tile
    addend = Addend.ZERO if c_bits is None else Addend.STREAM
    planned = plan(m, k, n, fmt_name, config, addend=addend)
    workload = Workload(
        commands=planned.commands,
        activations=planned.activation_image(a_bits),
        weights=planned.weight_image(b_bits),
        **({} if c_bits is None else {"addends": planned.addend_rows(c_bits)}),
    )
    executable = build_tile(chip, build_root)
    predicted = predict(planned.commands, config).cycles
    with step(f"running {name} on the RTL, {predicted:,} cycles"):
        outcome = run(executable, config, workload)
    result = planned.assemble(outcome.rows)
    with step(f"running {name} on the reference"):
        expected = matmul(a_bits, b_bits, c_bits, FORMATS[fmt_name])
    return tile_run(
        name,
        planned,
        cycles=outcome.cycles,
        predicted=predicted,
        result=result,
        expected=expected,
        timeline=outcome.timeline,
    )


def tile_run(
    name: str,
    planned: TilePlan,
    *,
    cycles: int,
    predicted: int,
    result: np.ndarray,
    expected: np.ndarray,
    timeline: np.ndarray,
) -> TileRun:
    """The record of a planned product.

    Parameters
    ----------
    name : str
        What the reports call it.
    planned : TilePlan
    cycles, predicted : int
        On the tile and by the cycle model.
    result, expected : ndarray of uint32, shape (m, n)
        On the tile and by the reference.
    timeline : ndarray of uint8, shape (cycles,)
        The cause of each cycle.
    """
    return TileRun(
        name=name,
        format=planned.format,
        m=planned.m,
        k=planned.k,
        n=planned.n,
        cycles=cycles,
        predicted_cycles=predicted,
        bound_cycles=planned.bound_cycles,
        mismatches=count_mismatches(result, expected),
        result=result,
        causes=count_causes(timeline),
        timeline=timeline,
    )


def _words(values: Sequence[int]) -> np.ndarray:
    return np.array(values, dtype=np.uint64).astype(WORD)


def _items(items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return _words([items.shape[1], items.shape[0]]), items


def _pack(beats: np.ndarray, bits: int) -> np.ndarray:
    """Operand beats as rows of words, lane 0 in the lowest bits."""
    lanes = np.ascontiguousarray(beats.astype(f"<u{bits // 8}"))
    size = -(-lanes.shape[1] * bits // 32) * 4
    # A port of 33 to 64 bits is read as two words, which it is; one of up to 32 bits as one.
    padded = np.zeros((lanes.shape[0], size), np.uint8)
    raw = lanes.view(np.uint8).reshape(lanes.shape[0], -1)
    padded[:, : raw.shape[1]] = raw
    return padded.view(WORD)


def _command_words(commands: Sequence[TileCommand], config: TileConfig) -> np.ndarray:
    layout = command_layout(config)
    count = -(-layout.size // 32)
    packed = bytearray()
    for command in commands:
        bits = 0
        for f in fields(command):
            place = layout[f.name]
            bits |= (int(getattr(command, f.name)) & ((1 << place.width) - 1)) << place.offset
        packed += bits.to_bytes(count * 4, "little")
    return np.frombuffer(bytes(packed), WORD).reshape(-1, count)


def _unpack(data: bytes, config: TileConfig, result_words: int, expected: int, workload: Workload) -> NativeRun:
    header = dict(zip(HEADER, np.frombuffer(data, "<u8", len(HEADER)).tolist(), strict=True))
    offset = 8 * len(HEADER)

    def part(dtype: npt.DTypeLike, count: int) -> np.ndarray:
        nonlocal offset
        values = np.frombuffer(data, dtype, count, offset)
        offset += values.nbytes
        return values

    beats = part(WORD, header["results"] * result_words).reshape(-1, result_words)
    timeline = part(np.uint8, header["causes"])
    counters = int.from_bytes(part(WORD, -(-COUNTERS.size // 32)).tobytes(), "little")
    complaint = part(np.uint8, header["complaint"]).tobytes().decode()
    if complaint:
        raise SimulationError(f"a stream broke its rules: {complaint}")
    left = {key: header[f"{key}_left"] for key in ("commands", "addends", "answers") if header[f"{key}_left"]}
    if header["results"] != expected or left:
        raise SimulationError(
            f"the tile gave {header['results']} of {expected} result rows in {header['simulated']} cycles"
            + "".join(f", {count} {key} left over" for key, count in left.items())
        )
    values = {}
    for name, place in COUNTERS:
        values[str(name)] = counters >> place.offset & (1 << place.width) - 1
    return NativeRun(
        cycles=header["cycles"],
        rows=beats[:, : config.columns],
        last=(beats[:, config.columns] & 1).astype(bool),
        timeline=timeline,
        counters=values,
        simulated=header["simulated"],
        seconds=header["nanoseconds"] / 1e9,
        memory=header["memory"],
    )
