"""Runs commands on the matmul engine's RTL, natively: no Python in each cycle."""

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from openppu.config import ChipConfig
from openppu.matmul.command import command_layout
from openppu.matmul.engine import MatmulEngine
from openppu.matmul.sizes import Sizes
from openppu.scratchpad.port import request_layout
from openppu_sim.cycles.tile import Cause
from openppu_sim.errors import SimulationError
from openppu_sim.lowering.matmul import Ending, MatmulCommand

from openppu_verif.native.model import build_bench, build_model

TOP = "matmul"
BENCH = Path(__file__).with_name("bench.cpp")
WHOLE = 65536
PORTS = ("activations", "weights", "addends", "results")


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What is around the engine.

    Parameters
    ----------
    latency : int, at least 1
        Cycles from a read to its result.
    rates : mapping of str to float
        Share of cycles in which a stream of ``PORTS``, ``commands`` or ``finished`` goes on; 1 if it is not named.
    bad_words : sequence of int
        Numbers of words whose reads are known to be wrong.
    seed : int
    reset_at : int, optional
        The cycle in which all is reset, and begun anew.
    most : int
        Cycles until it is given up.
    """

    latency: int = 4
    rates: Mapping[str, float] | None = None
    bad_words: Sequence[int] = ()
    seed: int = 1
    reset_at: int | None = None
    most: int = 1 << 40


@dataclass(frozen=True, kw_only=True)
class EngineRun:
    """What commands did.

    Parameters
    ----------
    errors : tuple of Ending
        How each ended.
    taken, finished : tuple of int
        Cycles of each command.
    memory : ndarray of uint8
        The scratchpad at the end.
    touched : ndarray of uint8
        Of each word, a bit for each of ``PORTS`` that reached it.
    causes : dict
        Cycles from the first command taken to the last finished, by the tile's cause.
    accesses : dict
        By port.
    seconds : float
        Processor time.
    """

    errors: tuple[Ending, ...]
    taken: tuple[int, ...]
    finished: tuple[int, ...]
    memory: np.ndarray
    touched: np.ndarray
    causes: dict[str, int]
    accesses: dict[str, int]
    seconds: float

    @property
    def cycles(self) -> int:
        """From the first command taken to the last one finished, both included."""
        return self.finished[-1] - self.taken[0] + 1


class NativeEngine:
    """A chip's engine, built once.

    Parameters
    ----------
    chip : ChipConfig
    build_root : Path
        Folder of all that is generated.

    Raises
    ------
    UserError
        If a tool is missing or rejects its input.
    """

    def __init__(self, chip: ChipConfig, build_root: Path) -> None:
        self.sizes = Sizes.of(chip)
        self.model = build_model(lambda: MatmulEngine(chip), TOP, repr(self.sizes), build_root)
        self.bench = build_bench("matmul_bench", [BENCH], [], build_root)

    def run(
        self, commands: Sequence[MatmulCommand], memory: np.ndarray, around: Surroundings | None = None
    ) -> EngineRun:
        """Run commands from reset.

        Parameters
        ----------
        commands : sequence of MatmulCommand
        memory : ndarray of uint8
            The scratchpad at the beginning.
        around : Surroundings

        Raises
        ------
        SimulationError
            If it does not end, or a stream breaks its rules.
        """
        around = around or Surroundings()
        rates = dict.fromkeys((*PORTS, "commands", "finished"), 1.0) | dict(around.rates or {})
        words = command_layout().size // 32
        request = request_layout(address_bits=self.sizes.port_address_bits, word_bytes=self.sizes.word_bytes)
        with tempfile.TemporaryDirectory(prefix="openppu-") as folder:
            place = {name: Path(folder) / name for name in ("parameters", "result", "memory", "memory_out", "touched")}
            memory.astype(np.uint8).tofile(place["memory"])
            lines = [
                f"word_bytes {self.sizes.word_bytes}",
                f"latency {around.latency}",
                f"seed {around.seed}",
                f"most {around.most}",
                f"reset_at {-1 if around.reset_at is None else around.reset_at}",
                f"bad {' '.join(map(str, around.bad_words))}",
                *(f"{name} {place[name]}" for name in ("memory", "memory_out", "touched")),
                *(f"rate.{name} {round(rate * WHOLE)}" for name, rate in rates.items()),
                *(f"field.{name} {field.offset} {field.width}" for name, field in request),
            ]
            for command in commands:
                bits = command.encode()
                lines.append("command " + " ".join(str(bits >> 32 * word & 0xFFFFFFFF) for word in range(words)))
            place["parameters"].write_text("\n".join(lines) + "\n", encoding="ascii")
            done = subprocess.run(
                [self.model, self.bench, place["parameters"], place["result"]],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                raise SimulationError(f"the simulator failed (exit code {done.returncode}): {done.stderr.strip()}")
            found: dict[str, list[str]] = {}
            for line in place["result"].read_text(encoding="ascii").splitlines():
                key, _, rest = line.partition(" ")
                found.setdefault(key, []).append(rest)
            if "complaint" in found:
                raise SimulationError(found["complaint"][0])
            ends = [tuple(map(int, line.split())) for line in found.get("finished", [])]
            return EngineRun(
                errors=tuple(Ending(error) for _, error in ends),
                taken=tuple(map(int, found.get("taken", []))),
                finished=tuple(cycle for cycle, _ in ends),
                memory=np.fromfile(place["memory_out"], np.uint8),
                touched=np.fromfile(place["touched"], np.uint8),
                causes={cause.name.lower(): int(found["cause"][cause.value]) for cause in Cause},
                accesses=dict(zip(PORTS, map(int, found["accesses"]), strict=True)),
                seconds=float(found["seconds"][0]),
            )
