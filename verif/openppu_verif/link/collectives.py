"""Runs programs on the Verilated collective engines of several chips, without Python per clock.

One engine is compiled for each configuration (by content); the bench (``collectives.cpp``) has as many of it as there
are chips, joined by pipes of packet words that delay and hold back, with a memory each. Every write is seen only from
the cycle on that the engine is told of, and every read takes what is in memory when it is asked for.
"""

import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import amaranth
import numpy as np
import openppu
from amaranth.hdl import Shape
from amaranth.lib import data
from openppu.config import load
from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.engine import CollectiveEngine
from openppu.link.collective.fabric import CollectiveFabric
from openppu.link.collective.instruction import Instruction
from openppu.link.collective.status import Error, status_layout
from openppu.link.collective.wiring import Wiring
from openppu.link.layouts import packet_layout
from openppu.link.route_table import table_of, table_write_layout
from openppu.link.router import engine_layout
from openppu.link.settings import TrainingSettings, settings_layout
from openppu.link.topology import Topology
from openppu.verilog import emit
from openppu_sim.errors import SimulationError
from openppu_sim.simulator.model_cache import content_key, file_contents, make_once
from openppu_sim.simulator.verilator import build

from openppu_verif.native.model import VERILATE, control, module_ports

TOP = "collective_engine"
FABRIC = "collective_fabric"
SMALL = dict(tags=2, mailboxes=1, mailbox_bytes=256, semaphores=0)
"""What the fabric has beside its ports and the engine is not used."""

SETTINGS = TrainingSettings()
BENCH = Path(__file__).with_name("collectives.cpp")
WORD = np.dtype("<u4")
INSTRUCTION_WORDS = 6


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What is about the engines.

    Parameters
    ----------
    limit : int
        Clocks, at most.
    delay : int
        From a word's leaving an engine to its coming to the other one.
    rate : int
        256ths of a byte that a link moves a clock, headers included; 0: a word a clock.
    pipe : int
        Words that a link holds.
    read_latency, write_latency : int
        Clocks to a read's beat, and to the word that a write is done.
    seed : int
    stall, memory_stall : int
        Share of clocks, in 65,536ths, in which a link, or a stream of memory, holds back.
    patience : int
        As `CollectiveEngine` has it.
    start_skew : int
        Ranks begin at random clocks below this.
    warm : int
        So many instructions are a program of their own. When it is done everywhere all ranks begin the other one, in
        the same clock, from which on the outcome's clocks are counted.
    """

    limit: int = 100_000
    delay: int = 20
    rate: int = 0
    pipe: int = 64
    read_latency: int = 4
    write_latency: int = 4
    seed: int = 1
    stall: int = 0
    memory_stall: int = 0
    patience: int = 4096
    start_skew: int = 0
    warm: int = 0


@dataclass(frozen=True)
class Outcome:
    """Clocks in all, from the first rank's begin to the last one's end; each rank's end; its memory and status."""

    clocks: int
    ends: list[int]
    memories: list[np.ndarray]
    statuses: list[dict[str, int]]


def build_engine(config: CollectiveConfig, build_root: Path, *, fabric: bool = False) -> Path:
    """The bench's executable for engines of a configuration, from the cache or new.

    With ``fabric`` they stand in their chips' links.
    """
    sources = sorted(Path(openppu.__file__).parent.rglob("*.py"))
    key = content_key(*file_contents(sources), amaranth.__version__, repr(config))
    top = FABRIC if fabric else TOP

    def make(folder: Path) -> None:
        part = CollectiveFabric(config, **SMALL) if fabric else CollectiveEngine(config)
        emit(part, top=top, config=load("tiny")).write(folder / f"{top}.v")

    verilog = make_once(build_root / "models", f"{top}-verilog-{key}", make) / f"{top}.v"
    layout = status_layout(config)
    defines = {
        "PORTS": config.ports,
        "STREAMS": config.ports + len(config.units),
        "BEAT_BYTES": config.beat_bytes,
        "PACKET_BITS": Shape.cast(packet_layout(config.link)).width,
        "STATUS_BITS": layout.size,
        "STALLED_BIT": layout["stalled"].offset,
        "FAULT_BIT": layout["error"].offset,
        "FABRIC": int(fabric),
        "LANES": config.link.lanes,
        "STATUS": "engine" if fabric else "status",
    }
    return build(
        [verilog],
        top,
        build_root,
        cpp_main=BENCH,
        control=control(module_ports(verilog.read_text(encoding="utf-8")), top),
        defines={name: str(value) for name, value in defines.items()},
        verilate=VERILATE,
    )


def run(
    executable: Path,
    config: CollectiveConfig,
    wiring: Wiring,
    programs: Sequence[Sequence[Instruction]],
    memories: Sequence[np.ndarray],
    about: Surroundings,
    topology: Topology | None = None,
) -> Outcome:
    """Run all ranks' programs to their ends. With a ``topology`` the executable is one of ``fabric``.

    Raises
    ------
    SimulationError
        If an engine reports an error or stalls, or the limit is reached.
    """
    values = [wiring.ranks, *(getattr(about, f.name) for f in fields(about))]
    words = [np.array(values, WORD)]
    for rank, (program, memory) in enumerate(zip(programs, memories, strict=True)):
        between = wiring.peers if topology is None else topology.peers
        peers = [*between[rank], *[None] * (config.ports - len(between[rank]))]
        ends = [number for peer in peers for number in ((0, 0) if peer is None else (peer[0] + 1, peer[1]))]
        instructions = [
            instruction.bits >> 32 * part & 0xFFFFFFFF for instruction in program for part in range(INSTRUCTION_WORDS)
        ]
        padded = np.concatenate([memory, np.zeros(-len(memory) % 4, np.uint8)])
        chip = [] if topology is None else _link(wiring, topology, rank, config.ports)
        words.append(np.array([*ends, len(program), *instructions, *chip, len(padded) // 4], WORD))
        words.append(padded.view(WORD))
    if topology is not None:
        layout = settings_layout()
        bits = layout.const(SETTINGS.values()).as_bits()
        parts = -(-layout.size // 32) + 1
        words.append(np.array([parts, *(bits >> 32 * part & 0xFFFFFFFF for part in range(parts))], WORD))
    with tempfile.TemporaryDirectory() as folder:
        given, answer = Path(folder, "given"), Path(folder, "answer")
        given.write_bytes(np.concatenate(words).tobytes())
        result = subprocess.run([executable, given, answer], capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise SimulationError(
                f"the bench of collective engines failed: {result.stderr.strip() or result.returncode}"
            )
        found = np.frombuffer(answer.read_bytes(), WORD)

    clocks, place = int(found[0]), 1
    status_words = -(-status_layout(config).size // 32)
    ends, kept, statuses, finished = [], [], [], []
    for memory in memories:
        count, end, _, _ = (int(word) for word in found[place : place + 4])
        raw = found[place + 4 : place + 4 + status_words]
        place += 4 + status_words
        size = -(-len(memory) // 4)
        kept.append(found[place : place + size].copy().view(np.uint8)[: len(memory)])
        place += size
        ends.append(end)
        finished.append(count)
        statuses.append(_status(config, sum(int(word) << 32 * index for index, word in enumerate(raw))))
    outcome = Outcome(clocks=clocks, ends=ends, memories=kept, statuses=statuses)
    if not all(finished):
        waiting = "; ".join(f"rank {rank}: {status}" for rank, status in enumerate(statuses))
        raise SimulationError(f"engines did not finish in {clocks} clocks: {waiting}")
    return outcome


def _link(wiring: Wiring, topology: Topology, rank: int, ports: int) -> list[int]:
    """What a chip's router is told: where each stream of the engine goes, and its table."""
    engines = [0] * ports
    for stream, peer in enumerate(wiring.peers[rank]):
        if peer is not None:
            port = wiring.direct[rank][stream]
            direct = {"valid": port is not None, "port": port or 0}
            engines[stream] = engine_layout().const({"direct": direct, "peer": peer[1]}).as_bits() | peer[0] << 16
    lines = [table_write_layout().const(line).as_bits() for line in table_of(topology, rank)]
    return [*engines, len(lines), *lines]


def _status(config: CollectiveConfig, bits: int) -> dict[str, int]:
    """A status by the names of its fields, those of ``error`` among them; arrays as numbers."""
    layout = status_layout(config)
    places = [(name, layout[name].offset, layout[name].shape) for name in layout.members if name != "error"]
    error = layout["error"].offset
    places += [(name, error + field.offset, field.shape) for name, field in data.Layout.cast(Error)]
    values = {}
    for name, offset, shape in places:
        values[name] = bits >> offset & (1 << Shape.cast(shape).width) - 1
    return values
