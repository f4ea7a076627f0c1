"""Whole chips on the RTL: products of matrices from memory to memory, beside NVDLA, and all-reduces over the link.

A product is counted from the doorbell of the queue that loads to the interrupt of the last store, the fetching of its
commands included; every byte of the result equals the reference. The tile's bound is max(M', R) cycles for each block
of weights; with M = 1 a row of weights a cycle. In the rows beside NVDLA memory gives or takes 4 bytes a cycle, as
NVDLA's did where it was measured, and the rings of commands are in the scratchpad, as NVDLA has its own in registers.
Kernels on several compute units are counted from the first load to the signal that all is in memory, on a chip of four
units of 4 x 4 and one channel; their JSON says where the cycles of the engines went.
"""

import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from ml_dtypes import bfloat16
from openppu.common.memory import WORD_BYTES
from openppu.config import ChipConfig, load
from openppu.link import topology
from openppu.link.collective import wiring
from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.plan import Job
from openppu_sim.cli import Parser, guarded
from openppu_sim.device.device import Cluster, Device
from openppu_sim.device.driver import Driver
from openppu_sim.device.records import read_records, set_records
from openppu_sim.errors import SimulationError, UserError
from openppu_sim.kernels.collective import collective_programs
from openppu_sim.kernels.memory_timing import Bandwidth
from openppu_sim.kernels.vector import jobs
from openppu_sim.kernels.vector.memory import Array, vector_programs
from openppu_sim.program.command import Command
from openppu_sim.progress import step
from openppu_sim.report.benchmark_table import meets_goal, table
from openppu_sim.report.json_report import benchmark_json, make_folder
from openppu_sim.report.table import print_table

from openppu_verif.chip import scaling
from openppu_verif.chip.native import Session, build_chip
from openppu_verif.chip.product_runs import ProductBench, make_job

COLUMNS = ("cycles", "bound_cycles", "predicted")
COMMAND = "python -m openppu_verif.chip.figures"

COMMON = ("link.ports=0", "tile.accumulators=1024")
FOUR_CHANNELS = ("hbm.channels=2", "hbm.reads=32", "hbm.writes=16", "hbm.slots=32", "noc.slots=64")
"""Two channels are four pseudo-channels; their queues need not be as long as for random accesses."""

DEEP = ("dma.outstanding=256",)
"""So many words under way hide the latency of memory, and of a bank that is refreshed."""

SIXTEEN = ("tile.rows=16", "tile.columns=16", "tile.formats=bf16", "dma.channels=2")
INT8 = ("tile.formats=int8", "tile.latency=1", "matmul.stochastic=false")
ONE_CHANNEL = ("hbm.ports=1", "hbm.reads=16", "hbm.writes=16", "hbm.slots=16", "noc.slots=32")

CHIPS = {
    "8x8": (*COMMON, *FOUR_CHANNELS),
    "16x16": (*COMMON, *FOUR_CHANNELS, *DEEP, *SIXTEEN),
    "4 bytes a cycle": (*COMMON, *INT8, *ONE_CHANNEL),
}
"""What each chip has else than preset ``demo``."""

SLOW = 8
"""Cycles a word of 32 bytes."""


@dataclass(frozen=True, kw_only=True)
class Product:
    """A row: the share of the bound that is reached, or with ``slow`` memory the cycles."""

    chip: str
    shape: tuple[int, int, int]
    format: str
    goal: float
    peer: str | None = None
    slow: bool = False

    @property
    def name(self) -> str:
        """Of the row."""
        return f"{'x'.join(map(str, self.shape))} {self.format}, {self.chip}"


NVDLA = {
    (32, 32, 32): (1_400, 2_166),
    (64, 64, 64): (5_600, 8_132),
    (128, 128, 128): (34_800, 41_268),
    (256, 256, 256): (267_000, 291_156),
    (128, 768, 256): (405_000, 424_270),
    (1, 768, 768): (148_500, 148_580),
}
"""Goal, and what NVDLA nv_small took with memory of 4 bytes a cycle."""

PRODUCTS = (
    *(
        Product(chip=chip, shape=shape, format="bf16", goal=goal)
        for chip in ("8x8", "16x16")
        for shape, goal in (((512, 512, 512), 97.0), ((128, 768, 768), 93.0), ((1, 576, 1536), 95.0))
    ),
    *(
        Product(chip="4 bytes a cycle", shape=shape, format="int8", goal=goal, peer=f"NVDLA: {peer:,}", slow=True)
        for shape, (goal, peer) in NVDLA.items()
    ),
)


def products(build_root: Path, wanted: Callable[[str], bool]) -> list[dict[str, Any]]:
    """Rows of products."""
    rows = []
    for chip, changes in CHIPS.items():
        cases = [each for each in PRODUCTS if each.chip == chip and wanted(each.name)]
        if not cases:
            continue
        config = load("demo", list(changes))
        slow = cases[0].slow
        with Session(config, build_root, word_cycles=SLOW if slow else 1) as session:
            bench = ProductBench(
                session,
                config,
                bandwidth=Bandwidth(bytes=WORD_BYTES / SLOW, shared=True) if slow else None,
                rings_on_chip=slow,
            )
            rows += [_product(bench, case) for case in cases]
    return rows


def _product(bench: ProductBench, case: Product) -> dict[str, Any]:
    with step(f"running {case.name}"):
        done = bench.run(make_job(*case.shape, case.format))
    share = round(100 * done.plan.bound / done.cycles, 2)
    row = {
        "name": case.name,
        "cycles": done.cycles,
        "bound_cycles": done.plan.bound,
        "predicted": done.plan.cycles,
        "value": done.cycles if case.slow else share,
        "unit": "cycles" if case.slow else "% of bound",
        "goal": case.goal,
        "better": "lower" if case.slow else "higher",
        "command": f'{COMMAND} --rows "{case.name}"',
    }
    return row | ({"peer": case.peer} if case.peer else {})


VECTORS: dict[str, tuple[Any, int, int]] = {"softmax": (jobs.softmax, 29, 1024), "RMSNorm": (jobs.rms_norm, 3, 1024)}
"""Job, operations on each element, and rows."""

WIDTH = 576
GAIN, CODE = 0x80_0000, 0xC0_0000


def vectors(build_root: Path, wanted: Callable[[str], bool]) -> list[dict[str, Any]]:
    """Rows of the vector unit, from memory to memory, beside its lanes' bound."""
    names = {name: f"{name} of {rows}x{WIDTH} bf16, 8x8" for name, (_, _, rows) in VECTORS.items()}
    if not any(map(wanted, names.values())):
        return []
    rows = []
    config = load("demo", list(CHIPS["8x8"]))
    lanes = config.scratchpad.word_bytes // 4
    with Session(config, build_root) as session:
        device = Device(config, Driver(session, config, None))
        for kind, name in names.items():
            if not wanted(name):
                continue
            _, operations, count = VECTORS[kind]
            with step(f"running {name}"):
                cycles = _vectors(device, kind, count)
            bound = operations * count * WIDTH // lanes
            rows.append(
                {
                    "name": name,
                    "cycles": cycles,
                    "bound_cycles": bound,
                    "value": round(100 * bound / cycles, 2),
                    "unit": "% of bound",
                    "goal": 90.0,
                    "better": "higher",
                    "command": f'{COMMAND} --rows "{name}"',
                }
            )
    return rows


def _vectors(device: Device, kind: str, count: int) -> int:
    """Cycles from the first command's begin to the last one's end; the result is the reference backend's."""
    x, result = (Array(address=address, rows=count, columns=WIDTH, format="bf16") for address in (SOURCE, TARGET))
    gain = Array(address=GAIN, rows=1, columns=WIDTH)
    make, _, _ = VECTORS[kind]
    job = make(x, gain, result) if kind == "RMSNorm" else make(x, result)
    programs = vector_programs(device.config, job, code_at=CODE, record=True)
    rng = np.random.default_rng(count)
    data = {
        SOURCE: rng.normal(size=(count, WIDTH)).astype(bfloat16),
        GAIN: rng.normal(size=WIDTH).astype(np.float32),
        CODE: programs.code,
    }
    found = []
    set_records(device)
    with Device(device.config, "reference") as reference:
        for each in (device, reference):
            for address, array in data.items():
                each.write(address, array)
            for queue, program in programs.items():
                each.submit(queue, program)
            each.wait(50 * LIMIT)
            found.append(each.read(TARGET, (count, WIDTH), np.uint16))
    if not (found[0] == found[1]).all():
        raise SimulationError(f"{kind} of {count} rows: {int((found[0] != found[1]).sum())} wrong results")
    records = read_records(device)
    return max(each.ended for each in records) - min(each.begun for each in records)


SOURCE, TARGET, SCRATCH = 0, 0x100_0000, 0x200_0000
"""Where data are, and sums or copies go."""

LIMIT = 2_000_000
KIB = 1024
COPIED = 256 * KIB
COPIES = {8 * KIB: "8 KiB", 256: "256 bytes", 64: "64 bytes"}
"""Bytes of a row, which lie twice as far apart in memory."""


def copies(build_root: Path, wanted: Callable[[str], bool]) -> list[dict[str, Any]]:
    """Rows of the DMA alone: from memory to the scratchpad, and to memory again."""
    names = {
        size: (f"load of 256 KiB, rows of {text}", f"store of 256 KiB, rows of {text}") for size, text in COPIES.items()
    }
    if not any(wanted(name) for pair in names.values() for name in pair):
        return []
    rows = []
    config = load("demo", [*CHIPS["8x8"], *DEEP])
    with Session(config, build_root) as session:
        device = Device(config, Driver(session, config, None))
        for size, pair in names.items():
            with step(f"running {pair[0]}, {pair[1]}"):
                both = _copies(device, size)
            rows += [
                {
                    "name": name,
                    "cycles": cycles,
                    "bound_cycles": COPIED // WORD_BYTES,
                    "value": round(100 * COPIED / WORD_BYTES / cycles, 2),
                    "unit": "% of a word a cycle",
                    "command": f'{COMMAND} --rows "{name}"',
                }
                for name, cycles in zip(pair, both, strict=True)
                if wanted(name)
            ]
    return rows


def _copies(device: Device, size: int) -> tuple[int, int]:
    """Cycles from a command's begin to its end, of a load and of a store."""
    count = COPIED // size
    data = np.random.default_rng(size).integers(0, 256, (count, 2 * size), dtype=np.uint8)
    device.write(SOURCE, data)
    set_records(device)
    ones = {f"count_{dimension}": 1 for dimension in (1, 2, 3)}
    for queue, address in (("load", SOURCE), ("store", TARGET)):
        fields = {
            "memory": address,
            "row": size,
            "count_0": count,
            "memory_stride_0": 2 * size,
            "scratchpad_stride_0": size,
        }
        device.submit(queue, [Command(name=queue.upper(), fields=fields | ones, record=True)])
        device.wait(LIMIT)
    if not (device.read(TARGET, data.shape, np.uint8)[:, :size] == data[:, :size]).all():
        raise SimulationError(f"copies of rows of {size} bytes: wrong bytes")
    first, second = (record.ended - record.begun for record in read_records(device))
    return first, second


LINKED = ("link.ports=2", *FOUR_CHANNELS)
"""What chips of an all-reduce have else than preset ``demo``: two are joined by both ports, four in a ring."""

REDUCED = 256 * KIB

GOAL_SHARE = 90.0


def all_reduces(build_root: Path, wanted: Callable[[str], bool]) -> list[dict[str, Any]]:
    """Rows of all-reduces: long ones as a share of the link's payload, the shortest in cycles."""
    rows = []
    for chips in (2, 4):
        names = f"all-reduce of 256 KiB, {chips} chips", f"all-reduce of 32 bytes, {chips} chips"
        if not any(map(wanted, names)):
            continue
        config = load("demo", list(LINKED))
        made = topology.pair(links=2) if chips == 2 else topology.ring(chips)
        with Cluster(config, made, build_root=build_root) as cluster:
            for name, count in zip(names, (REDUCED, 32), strict=True):
                if not wanted(name):
                    continue
                with step(f"running {name}"):
                    cycles = _all_reduce(cluster, config, wiring.of(made), count)
                rows.append(_reduce_row(name, config, chips, count, cycles))
    return rows


def _all_reduce(cluster: Cluster, config: ChipConfig, links: wiring.Wiring, size: int) -> int:
    """Sums of int32: cycles from the first chip's begin to the last one's end."""
    job = Job(operation="all_reduce", format="int32", elements=size // 4, source=SOURCE, target=TARGET, scratch=SCRATCH)
    rng = np.random.default_rng(1)
    parts = [rng.integers(-(1 << 30), 1 << 30, size // 4).astype(np.int32) for _ in cluster.devices]
    programs = collective_programs(job, links, CollectiveConfig(link=config.link))
    for device, part in zip(cluster.devices, parts, strict=True):
        device.write(SOURCE, part)
        set_records(device)
    for device, program in zip(cluster.devices, programs, strict=True):
        device.submit("link", [replace(each, record=True) for each in program])
    cluster.wait(LIMIT)
    expected = np.sum(parts, axis=0, dtype=np.int32)
    for device in cluster.devices:
        if not (device.read(TARGET, size // 4, np.int32) == expected).all():
            raise SimulationError(f"an all-reduce of {size} bytes: wrong results at chip {device.number}")
    records = [record for device in cluster.devices for record in read_records(device)]
    return max(each.ended for each in records) - max(
        min(each.begun for each in read_records(device)) for device in cluster.devices
    )


def _reduce_row(name: str, config: ChipConfig, chips: int, size: int, cycles: int) -> dict[str, Any]:
    row = {"name": name, "cycles": cycles, "command": f'{COMMAND} --rows "{name}"'}
    if size == 32:
        return row | {"value": cycles, "unit": "cycles"}
    link = config.link
    rate = link.beat_bytes * link.payload_gbs / link.raw_gbs * link.ports
    bound = round(2 * (chips - 1) / chips * size / rate)
    return row | {
        "bound_cycles": bound,
        "value": round(100 * bound / cycles, 2),
        "unit": "% of payload",
        "goal": GOAL_SHARE,
        "better": "higher",
    }


def units(build_root: Path, wanted: Callable[[str], bool]) -> list[dict[str, Any]]:
    """Rows of kernels on several compute units."""
    return [row | {"command": f'{COMMAND} --rows "{row["name"]}"'} for row in scaling.rows(build_root, wanted)]


SPEED, BUILD = "simulation of a demo chip", "model of demo chips, built"


def simulation(build_root: Path, wanted: Callable[[str], bool]) -> list[dict[str, Any]]:
    """How fast a chip of preset ``demo`` is simulated while it multiplies, and how long its model takes to build."""
    rows = []
    if wanted(SPEED):
        rows.append(_speed(load("demo"), build_root))
    if wanted(BUILD):
        rows += _build(load("demo"))
    return rows


def _speed(config: ChipConfig, build_root: Path) -> dict[str, Any]:
    """By the simulator's processor time, so that what else the machine does matters little."""
    build_chip(config, build_root)
    with step(f"running {SPEED}"):
        before = _processor_seconds()
        with Session(config, build_root) as session:
            ProductBench(session, config).run(make_job(128, 128, 128, "bf16"))
            cycles = session.now
        value = cycles / (_processor_seconds() - before)
    return {
        "name": SPEED,
        "cycles": cycles,
        "value": round(value),
        "unit": "cycles/s",
        "goal": 20_000,
        "better": "higher",
        "command": f'{COMMAND} --rows "{SPEED}"',
    }


def _build(config: ChipConfig) -> list[dict[str, Any]]:
    """From nothing, without a compiler's cache."""
    with tempfile.TemporaryDirectory(prefix="openppu-") as folder, _environment("CCACHE_DISABLE", "1"):
        begun, before = time.perf_counter(), _processor_seconds() + time.process_time()
        build_chip(config, Path(folder))
        seconds, processor = time.perf_counter() - begun, _processor_seconds() + time.process_time() - before
    row = {"unit": "s", "better": "lower", "command": f'{COMMAND} --rows "{BUILD}"'}
    return [
        {"name": BUILD, "value": round(seconds, 1), "goal": 100, **row},
        {"name": f"{BUILD}, processor time", "value": round(processor, 1), **row},
    ]


def _processor_seconds() -> float:
    """Of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


GROUPS = (products, vectors, copies, all_reduces, units, simulation)


def run(build_root: Path, chosen: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Measure the rows whose names contain one of ``chosen``; all by default.

    Raises
    ------
    SimulationError
        If a result is wrong, or a rule of the memory devices is broken.
    UserError
        If no row has such a name.
    """

    def wanted(name: str) -> bool:
        return not chosen or any(part in name for part in chosen)

    rows = [row for group in GROUPS for row in group(build_root, wanted)]
    if not rows:
        raise UserError(f"no row of the benchmark contains {' or '.join(map(repr, chosen))}")
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table, and write ``bench/chip.json``; rows that were not chosen stay in it as they are."""
    parser = Parser(prog=COMMAND, description=__doc__)
    parser.add_argument("--build-dir", type=Path, default=Path("build"), help="folder of all that is generated")
    parser.add_argument("--rows", nargs="+", default=[], metavar="TEXT", help="only rows whose names contain a TEXT")
    args = parser.parse_args(argv)
    folder = args.build_dir / "bench"
    make_folder(folder)
    rows = run(args.build_dir, args.rows)
    about = {"description": (__doc__ or "").strip(), "command": COMMAND, "columns": list(COLUMNS)}
    path = benchmark_json("chip", rows, folder=folder, about=about, beside=bool(args.rows))
    print_table(*table(sys.modules[__name__], rows))
    print(f"\nWrote {path}")
    missed = [row["name"] for row in rows if meets_goal(row) is False]
    if missed:
        print(f"Goals missed: {', '.join(missed)}")
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
