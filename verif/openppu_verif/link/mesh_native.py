"""Runs the links of several chips, RTL with their collective engines, joined port to port, without Python per clock."""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.lib import data
from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.fabric import CollectiveFabric
from openppu.link.collective.instruction import INSTRUCTION_BITS, Instruction
from openppu.link.collective.memory import read_layout, write_layout
from openppu.link.collective.status import status_layout
from openppu.link.collective.wiring import Wiring
from openppu.link.layouts import CHIP_BITS
from openppu.link.port import port_status_layout
from openppu.link.route_table import table_of, table_write_layout
from openppu.link.router import engine_layout
from openppu.link.settings import TrainingSettings, settings_layout
from openppu.link.topology import Topology
from openppu.link.training import State
from openppu_sim.errors import SimulationError

from openppu_verif.link.native import chance_word
from openppu_verif.native.model import build_bench, build_model

FOLDER = Path(__file__).parent
SOURCES = tuple(FOLDER / f"{name}.cpp" for name in ("mesh_bench", "channel"))
HEADERS = (FOLDER / "channel.h",)
TOP = "collective_fabric"
SIZES = {"tags": 4, "mailboxes": 1, "semaphores": 0}
"""Of what a chip has beside collectives: little, as it rests. A mailbox is of two beats at least."""
SUMS = ("bad", "replayed", "timeouts", "stalls")
"""Counters of `openppu.link.link_counters` that are added up."""


@dataclass(frozen=True, kw_only=True)
class About:
    """What is about the chips.

    Parameters
    ----------
    read_latency, write_latency : int
        Clocks of memory: to a read's beat, and to the word that a write is done.
    bit_errors : float
        Chance of each bit on each lane.
    words : int
        Of a lane's delay.
    memory_stall : float
        Share of clocks in which a stream of memory holds back.
    reset_skew : int
        Chips leave reset at random clocks, so many apart at most. Else all ports begin their flits in the same clocks.
    patience : int
        As of `openppu.link.collective.engine.CollectiveEngine`.
    limit : int
        Clocks to train, and then for each job, at most.
    """

    read_latency: int = 4
    write_latency: int = 4
    bit_errors: float = 0.0
    words: int = 1
    memory_stall: float = 0.0
    reset_skew: int = 0
    patience: int = 20_000
    limit: int = 400_000
    seed: int = 1


@dataclass(frozen=True, kw_only=True)
class Work:
    """A job for all chips.

    Parameters
    ----------
    programs : sequence of sequences of Instruction
        Each chip's, with an END as its last.
    memories : sequence of arrays of uint8
    pause : int
        Clocks from the job before to this one's start.
    begins : sequence of int
        How many clocks behind that each chip begins; none: at once.
    """

    programs: Sequence[Sequence[Instruction]]
    memories: Sequence[np.ndarray]
    pause: int = 0
    begins: Sequence[int] = ()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """``clocks`` from the first instruction to the end of the last chip's program; ``last_write``, likewise, to the
    last word that is in memory; ``start``: clocks from reset to the start; ``counts`` of `SUMS`, over all ports, and
    ``wrong_bits``: since reset."""

    clocks: int
    last_write: int
    start: int
    wrong_bits: int
    counts: dict[str, int]
    memories: tuple[np.ndarray, ...]


def build_node(config: CollectiveConfig, build_root: Path) -> Path:
    """The executable for a chip's link, from an earlier build if there is one; for `run`.

    Raises
    ------
    UserError
        If a tool is missing or rejects its input.
    """
    ports = range(config.ports if config.link.recovered_clock else 0)
    clocks = {f"rx_{port}_clk": (f"serdes__{port}__", f"rx_{port}_rst") for port in ports}
    sizes = SIZES | {"mailbox_bytes": max(64, 2 * config.beat_bytes)}
    return build_model(lambda: CollectiveFabric(config, **sizes), TOP, repr((config, sizes)), build_root, clocks=clocks)


def run(
    executable: Path,
    config: CollectiveConfig,
    topology: Topology,
    wiring: Wiring,
    works: Sequence[Work],
    about: About,
) -> list[Outcome]:
    """Train all ports from reset, write the routes, and do the jobs, one after the other.

    ``topology`` says which ports are joined, ``wiring`` where the streams of the engines go.

    Raises
    ------
    SimulationError
        If a port does not train, an engine reports an error or stalls, or the limit is reached.
    """
    library = build_bench("link-mesh", SOURCES, HEADERS, executable.parents[2])
    with tempfile.TemporaryDirectory(prefix="openppu-") as folder:
        given, got = Path(folder) / "parameters", Path(folder) / "result.json"
        lines = [*_about(config, topology, about), f"jobs {len(works)}"]
        for rank in range(wiring.ranks):
            lines += _chip(config, topology, wiring, rank, about)
        for job, work in enumerate(works):
            lines.append(f"pause.{job} {work.pause}")
            for rank, (program, memory) in enumerate(zip(work.programs, work.memories, strict=True)):
                image, own = Path(folder) / f"memory.{job}.{rank}", f"{job}.{rank}"
                image.write_bytes(memory.tobytes())
                lines += [f"memory.{own} {image}", f"begin.{own} {work.begins[rank] if work.begins else 0}"]
                lines += [f"instruction.{own} {_bytes(each.bits, INSTRUCTION_BITS)}" for each in program]
        given.write_text("\n".join(lines) + "\n", encoding="utf-8")
        process = subprocess.run([executable, library, given, got], capture_output=True, text=True, check=False)
        if process.returncode != 0:
            raise SimulationError(f"the simulator failed (exit code {process.returncode}): {process.stderr.strip()}")
        result: dict[str, Any] = json.loads(got.read_text(encoding="utf-8"))
        if not result["trained"]:
            raise SimulationError(f"not all ports are up {about.limit} clocks after reset")
        after = [
            tuple(np.fromfile(f"{got}.{job}.{rank}", np.uint8) for rank in range(wiring.ranks))
            for job in range(len(result["jobs"]))
        ]
    return [_outcome(job, memories) for job, memories in zip(result["jobs"], after, strict=True)]


def _outcome(job: dict[str, Any], memories: tuple[np.ndarray, ...]) -> Outcome:
    chips, start = job["chips"], job["start"]
    waiting = [f"chip {rank}: {chip}" for rank, chip in enumerate(chips) if not chip["done"]]
    if waiting:
        raise SimulationError(f"no end after {job['simulated'] - start} clocks: {'; '.join(waiting)}")
    return Outcome(
        clocks=max(chip["end"] for chip in chips) - start + 1,
        last_write=max(chip["last_write"] for chip in chips) - start + 1,
        start=start,
        wrong_bits=job["wrong_bits"],
        counts={name.rpartition(".")[2]: count for name, count in job["sums"].items()},
        memories=memories,
    )


def _about(config: CollectiveConfig, topology: Topology, about: About) -> list[str]:
    """The parameters that concern all chips."""
    link = config.link
    port, engine, write = port_status_layout(link), status_layout(config), write_layout(config)
    fields = {
        "state": _place(port, "physical.state"),
        "stalled": _place(engine, "stalled"),
        "fault": _place(engine, "error.fault"),
        "read.address": _place(read_layout(), "address"),
        **{f"write.{name}": _place(write, name) for name in ("address", "data", "count")},
        **{f"link.counts.{name}": _place(port, f"link.counts.{name}") for name in SUMS},
    }
    return [
        *(f"chips {topology.chips}", f"ports {config.ports}", f"streams {config.ports + len(config.units)}"),
        *(f"lanes {link.lanes}", f"lane_bits {link.lane_bits}", f"beat_bytes {link.beat_bytes}"),
        *(f"delay {about.words * link.lane_bits}", f"bit_errors {chance_word(about.bit_errors)}", f"seed {about.seed}"),
        *(f"read_latency {about.read_latency}", f"write_latency {about.write_latency}", f"limit {about.limit}"),
        *(f"memory_stall {round(65536 * about.memory_stall)}", f"reset_skew {about.reset_skew}"),
        f"up {State(State.ACTIVE).value}",
        *(f"field.{name} {offset} {width}" for name, (offset, width) in fields.items()),
        *(f"sum link.counts.{name}" for name in SUMS),
        *(
            f"link {rank} {number} {peer[0]} {peer[1]}"
            for rank, ports in enumerate(topology.peers)
            for number, peer in enumerate(ports)
            if peer is not None
        ),
    ]


def _chip(config: CollectiveConfig, topology: Topology, wiring: Wiring, rank: int, about: About) -> list[str]:
    """The parameters of a chip: its routes, and what its inputs are."""
    routes, settings = table_write_layout(), settings_layout().const(TrainingSettings().values())
    pins = {"chip": rank, "patience": about.patience, "settings": settings.as_bits()}
    for number in range(config.ports):
        peer = wiring.peers[rank][number] if number < len(wiring.peers[rank]) else None
        out = wiring.direct[rank][number] if peer is not None else None
        goes = {"direct": {"valid": out is not None, "port": out or 0}, "peer": 0 if peer is None else peer[1]}
        pins[f"peers.{number}"] = (1 << CHIP_BITS) - 1 if peer is None else peer[0]
        pins[f"engines.{number}"] = engine_layout().const(goes).as_bits()
    return [
        *(f"route.{rank} {_bytes(routes.const(line).as_bits())}" for line in table_of(topology, rank)),
        *(f"pin.{rank} {name} {_bytes(value)}" for name, value in pins.items()),
    ]


def _place(layout: data.Layout, path: str) -> tuple[int, int]:
    """Offset and width of a field's field."""
    offset, width = 0, 0
    for name in path.split("."):
        place = data.Layout.cast(layout)[name]
        offset, width = offset + place.offset, place.width
        layout = place.shape
    return offset, width


def _bytes(value: int, bits: int | None = None) -> str:
    """A number as bytes, the lowest first."""
    count = max(1, -(-(bits or value.bit_length()) // 8))
    return " ".join(map(str, value.to_bytes(count, "little")))
