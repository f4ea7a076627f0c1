"""Short runs that find out whether a small chip works, and two that are linked: no Python in any clock.

They are what `make mutation MUTATE=chip` breaks the chip under, and `make test` runs on the chip as it is. Each begins
with a chip that has just been reset, and compares what it does with the references.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from openppu.command.layouts import REGISTERS
from openppu.config import load
from openppu.formats.spec import FORMATS
from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.plan import Job
from openppu.link.collective.wiring import pair as wired_pair
from openppu.link.topology import pair
from openppu_sim.device.device import Cluster, Device
from openppu_sim.device.driver import LOG2, Driver
from openppu_sim.device.records import read_records, set_records
from openppu_sim.errors import SimulationError
from openppu_sim.kernels.collective import collective_programs
from openppu_sim.kernels.matmul import MatmulJob, Operand, matmul_programs
from openppu_sim.kernels.vector.memory import vector_programs
from openppu_sim.program.command import Command

from openppu_verif.chip import random_programs
from openppu_verif.chip.addressing import skip, through_registers
from openppu_verif.chip.boundaries import refuse_at_boundaries
from openppu_verif.chip.chained_sums import add_in_a_chain
from openppu_verif.chip.collective_errors import fail
from openppu_verif.chip.collective_mix import collect
from openppu_verif.chip.conversions import convert_all
from openppu_verif.chip.counted_cycles import count_cycles
from openppu_verif.chip.far_copies import copy_far
from openppu_verif.chip.far_strides import stride_far
from openppu_verif.chip.index_lists import scatter_and_gather
from openppu_verif.chip.native import Session
from openppu_verif.chip.network_users import (
    collect_in_scratchpads,
    load_from_both,
    send_from_both,
    write_while_collecting,
)
from openppu_verif.chip.queue_order import fence, restart
from openppu_verif.chip.queued_products import multiply_in_a_row
from openppu_verif.chip.random_programs import Stress
from openppu_verif.chip.record_times import record_late
from openppu_verif.chip.refusals import record, refuse_addresses, refuse_bits, refuse_commands, refuse_words
from openppu_verif.chip.register_walk import walk
from openppu_verif.chip.vector_constants import compute_with_constants, copy_parameters
from openppu_verif.chip.vector_programs import go_round, refuse_programs
from openppu_verif.chip.vector_streams import combine_streams, meet_wrong_rows, read_sums
from openppu_verif.chip.window_bursts import burst_all, read_in_a_row
from openppu_verif.chip.wrong_bits import meet
from openppu_verif.dma.commands import copy
from openppu_verif.vector.job_cases import CODE, SMALL, Maker, Memory, function
from openppu_verif.vector.job_cases import run as run_job

CHIP = load("tiny")
LINK = CollectiveConfig(link=CHIP.link)
SECONDS = 120.0
"""For a case; a model that does not end is noticed."""

Arrays = Sequence[NDArray[Any]]
Work = Callable[[Sequence[Device]], Arrays]
"""Lets devices do something, and gives what there is in their memories then."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A run.

    Parameters
    ----------
    label : str
    run : callable
        Given the chips; raises whatever it likes if something is wrong.
    clocks : int
        More than it may take.
    chips : int
        One or two.
    about : tuple of str
        Areas of `openppu_verif.chip.mutation`, mutations of which meet it; all if there is none.
    """

    label: str
    run: Callable[[Driver], None]
    clocks: int
    chips: int = 1
    about: tuple[str, ...] = ()


@dataclass(frozen=True)
class Played:
    """What came of a case: what is wrong, clocks, what the first chip's outputs did, by digest, and what else the
    simulator said."""

    problem: str | None
    clocks: int = 0
    digests: dict[str, str] = field(default_factory=dict)
    said: str = ""


def play(
    case: Case, build_root: Path, *, executable: Path | None = None, pins: Sequence[tuple[int, str, int]] = ()
) -> Played:
    """Run a case on a new simulation, with the model and pins of `Session`."""
    topology = pair() if case.chips == 2 else None
    session = Session(
        CHIP, build_root, topology=topology, executable=executable, pins=pins, limit=case.clocks, seconds=SECONDS
    )
    try:
        case.run(Driver(session, CHIP, topology))
        if session.problems:
            raise SimulationError("rules of the memory devices were broken")
        played = Played(None, session.now, session.digest(0))
    except Exception as error:  # whatever it is, the chip does not do what it should
        played = Played(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
    finally:
        session.close()
    return replace(played, said=session.said)


def cases() -> list[Case]:
    """All of them."""
    sums, vector, dma = ("matmul", "shared"), ("vector", "shared"), ("dma", "shared")
    linked = ("link", "collective")
    return [
        Case(label="products", run=_same("products", _products(PRODUCTS)), clocks=25_000),
        Case(label="narrow products", run=_same("narrow products", _products(NARROW)), clocks=25_000, about=sums),
        Case(label="ties", run=_same("ties", _products(TIES)), clocks=25_000, about=sums),
        Case(label="large products", run=_same("large products", _products(LARGE)), clocks=60_000, about=sums),
        Case(label="queued products", run=multiply_in_a_row, clocks=20_000, about=("matmul", "scratchpad")),
        *(
            Case(
                label=f"vector {name}",
                run=_same(f"vector {name}", _job(name)),
                clocks=20_000,
                about=() if name == JOB_OF_ALL else vector,
            )
            for name in JOBS
        ),
        Case(label="constants", run=compute_with_constants, clocks=20_000, about=("vector",)),
        Case(label="parameters", run=copy_parameters, clocks=20_000, about=("command", "vector")),
        Case(label="streams", run=combine_streams, clocks=30_000, about=("vector", "scratchpad", "shared")),
        Case(label="sums", run=read_sums, clocks=20_000, about=("vector", "matmul")),
        Case(label="refused programs", run=refuse_programs, clocks=200_000, about=("vector",)),
        Case(label="rounds", run=go_round, clocks=60_000, about=("vector",)),
        Case(label="wrong rows", run=meet_wrong_rows, clocks=90_000, about=("vector", "scratchpad")),
        *(_random(*each) for each in RANDOM),
        _random_of("load", 2, 24, about=dma),
        _random_of("store", 2, 24, about=dma),
        _random_of("matmul", 2, 20, about=sums),
        _random_of("vector", 6, 2, about=vector),
        _random_of("", 6, 1, about=ENGINES, spoil=True),
        Case(label="far copies", run=copy_far, clocks=150_000, about=dma),
        Case(label="far strides", run=stride_far, clocks=70_000, about=("dma", "command")),
        Case(label="both memories", run=load_from_both, clocks=20_000, about=("dma", *MEMORY)),
        Case(
            label="index lists", run=_same("index lists", scatter_and_gather), clocks=40_000, about=(*dma, "scratchpad")
        ),
        Case(label="conversions", run=_same("conversions", convert_all), clocks=60_000, about=dma),
        *(
            Case(label=f"addresses from {index:#x}", run=_addresses(index), clocks=40_000, about=about)
            for index, about in INDICES.items()
        ),
        Case(label="refused words", run=refuse_words, clocks=120_000, about=("command",)),
        Case(label="refused bits", run=refuse_bits, clocks=250_000, about=("command",)),
        Case(label="refused addresses", run=refuse_addresses, clocks=90_000, about=("command", *ENGINES)),
        Case(label="refused commands", run=refuse_commands, clocks=90_000, about=("command", *ENGINES)),
        Case(
            label="boundaries", run=refuse_at_boundaries, clocks=200_000, about=("command", *ENGINES, "link", "shared")
        ),
        Case(label="late records", run=record_late, clocks=70_000, about=("command",)),
        Case(label="records", run=record, clocks=40_000, about=("command", "shared")),
        Case(label="restarts", run=restart, clocks=40_000, about=("command",)),
        Case(label="fences", run=fence, clocks=40_000, about=("command", *ENGINES)),
        Case(label="counted cycles", run=count_cycles, clocks=40_000, about=("host", *ENGINES, "shared")),
        Case(label="registers", run=walk, clocks=20_000, about=("host", "command", "link", "shared")),
        Case(label="bursts", run=burst_all, clocks=60_000, about=("host", "noc", "shared")),
        Case(label="bursts in a row", run=read_in_a_row, clocks=60_000, about=("host", "noc", "shared")),
        Case(label="wrong bits", run=meet, clocks=60_000, about=("command", *ENGINES, *MEMORY)),
        Case(
            label="writes while collecting",
            run=write_while_collecting,
            clocks=60_000,
            chips=2,
            about=(*linked, "noc", "shared"),
        ),
        Case(label="chained sums", run=add_in_a_chain, clocks=20_000, chips=2, about=(*linked, "host", "shared")),
        Case(label="sends from both", run=send_from_both, clocks=60_000, chips=2, about=(*linked, "noc", "shared")),
        Case(
            label="collectives in scratchpads",
            run=collect_in_scratchpads,
            clocks=60_000,
            chips=2,
            about=(*linked, "noc"),
        ),
        Case(label="wrong collectives", run=fail, clocks=30_000, about=(*linked, "host")),
        Case(label="sends", run=_sends, clocks=60_000, chips=2, about=(*linked, "noc", "shared")),
        *(
            Case(label=label, run=_collectives(label, work), clocks=60_000, chips=2, about=(*linked, "shared"))
            for label, work in (("collectives", _collect), ("collectives at random", collect))
        ),
    ]


ENGINES = ("dma", "matmul", "vector")
MEMORY = ("scratchpad", "noc", "host", "shared")
RANDOM: tuple[tuple[Stress, int, int, tuple[str, ...]], ...] = (
    (Stress.NOTHING, 7, 3, ("command", *ENGINES, *MEMORY)),
    (Stress.STALLS, 21, 2, MEMORY),
    (Stress.FAULTS, 21, 2, MEMORY),
    (Stress.RESETS, 21, 2, MEMORY),
    (Stress.NOTHING, 8, 4, ENGINES),
)
"""Stress, seed, number of programs, and what they are about."""

INDICES = {0xA5C3_96F0: ("command", *ENGINES), 0x5A3C_690F: ("command",)}
"""Numbers of the commands that queues begin with: each bit is set in one of them, and in the other it is not."""

PRODUCTS: tuple[tuple[str, str | None, dict[str, Any]], ...] = (
    ("int8", None, {}),
    ("bf16", "bf16", {"transpose_a": True, "seed": 3}),
    ("bf16", None, {"transpose_b": True, "c": 0x2_8000}),
    ("int8", "int8", {"c": 0x2_8000, "relu": True, "scale": 0x3C23_D70A, "zero_point": -3}),
)
"""Format, that of the results, and what else `MatmulJob` takes."""

NARROW: tuple[tuple[str, str | None, dict[str, Any]], ...] = (
    ("fp16", "fp16", {"relu": True}),
    ("fp8_e5m2", "fp8_e5m2", {"saturate": True}),
    ("fp8_e4m3", "fp8_e4m3", {"seed": 5}),
)

TIES: tuple[tuple[str, str | None, dict[str, Any]], ...] = (
    ("int8", "int8", {"scale": 0x3F00_0000}),
    ("int8", "int8", {"scale": 0x3C80_0000, "zero_point": 5}),
)
"""Half of the sums, and a 64th: many are in the middle between two numbers."""

LARGE: tuple[tuple[str, str | None, dict[str, Any]], ...] = (
    ("int8", None, {"sizes": (13, 50, 19)}),
    ("bf16", "bf16", {"sizes": (64, 4, 37), "transpose_a": True}),
    ("int8", "int8", {"sizes": (5, 30, 150), "c": 0x2_8000, "scale": 0x3B23_D70A, "transpose_b": True}),
)
"""With ``sizes``: rows, columns and depth, so that each loop of a product goes round often."""

PROGRAM_CLOCKS = 10_000
"""That one may take at most."""

JOBS: dict[str, Maker] = {
    **{
        name: SMALL[name] for name in ("exp_bf16", "requantise", "stochastic", "column_sum", "softmax", "cross_entropy")
    },
    **{fmt: partial(function, name="relu", rows=3, columns=21, fmt=fmt) for fmt in ("fp16", "fp8_e5m2", "fp8_e4m3")},
}
JOB_OF_ALL = "exp_bf16"


def _random(stress: Stress, seed: int, count: int, about: tuple[str, ...]) -> Case:
    def run(backend: Driver) -> None:
        session = random_programs.Session(CHIP, seed, Path(), stress, backend, limit=PROGRAM_CLOCKS)
        for number in range(count):
            session.run(2 + 2 * (number % 4), spoil=number % 3 == 2)

    return Case(label=f"random {seed} {stress}", run=run, clocks=10_000 + PROGRAM_CLOCKS * count, about=about)


def _random_of(engine: str, count: int, steps: int, *, about: tuple[str, ...], spoil: bool = False) -> Case:
    """Programs of many commands for one engine, or with one that is refused."""

    def run(backend: Driver) -> None:
        session = random_programs.Session(
            CHIP, 31, Path(), Stress.NOTHING, backend, limit=PROGRAM_CLOCKS, engine=engine
        )
        for _ in range(count):
            session.run(steps, spoil=spoil)

    label = f"random {'refusals' if spoil else engine}"
    return Case(label=label, run=run, clocks=10_000 + PROGRAM_CLOCKS * count, about=about)


def _same(label: str, work: Work) -> Callable[[Driver], None]:
    """A run that has the same results as on the reference backend."""

    @cache
    def expected() -> Arrays:
        with Device(CHIP, "reference") as reference:
            return work([reference])

    def run(backend: Driver) -> None:
        _compare(label, work([Device(CHIP, backend)]), expected())

    return run


def _compare(label: str, found: Arrays, expected: Arrays) -> None:
    for number, (mine, theirs) in enumerate(zip(found, expected, strict=True)):
        places = np.flatnonzero(mine != theirs)
        if places.size:
            raise SimulationError(f"{label}: result {number} differs in {places.size} places, first {places[0]}")


Kinds = tuple[tuple[str, str | None, dict[str, Any]], ...]


def _products(kinds: Kinds) -> Work:
    return lambda devices: _multiply(devices, kinds)


def _multiply(devices: Sequence[Device], kinds: Kinds) -> Arrays:
    """Of matrices as they stand and of transposed ones, with a row that is added, and each kind of result."""
    (device,) = devices
    found = []
    for number, (fmt, result, given) in enumerate(kinds):
        others = dict(given)
        sizes = others.pop("sizes", (9, 11, 14))
        m, n, k = sizes
        rng = np.random.default_rng(number)
        size, result_size = FORMATS[fmt].bits // 8, FORMATS[result].bits // 8 if result else 4
        for place, count in ((0x1_0000, m * k), (0x2_0000, k * n), (0x2_8000, 2 * n)):
            values = rng.integers(-128, 128, count).astype(np.int8)
            if size == 2:
                values = (rng.standard_normal(count).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
            device.write(place, values)
        job = MatmulJob(
            m=m,
            n=n,
            k=k,
            format=fmt,
            a=Operand(address=0x1_0000, stride=size * (m if others.get("transpose_a") else k)),
            b=Operand(address=0x2_0000, stride=size * (k if others.get("transpose_b") else n)),
            d=Operand(address=0x3_0000, stride=result_size * n),
            result_format=result,
            **others,
        )
        for queue, program in matmul_programs(CHIP, job).items():
            device.submit(queue, program)
        device.wait(10_000)
        found.append(device.read(0x3_0000, m * n * result_size, np.uint8))
    return found


def _job(name: str) -> Work:
    def work(devices: Sequence[Device]) -> Arrays:
        memory = Memory(devices[0])
        case = JOBS[name](memory)
        run_job(memory, case)
        return [memory.bits(result).ravel() for result in case.results]

    return work


def _addresses(index: int) -> Callable[[Driver], None]:
    """Copies, products and a job of the vector unit, all of whose addresses come from registers, with records."""

    @cache
    def expected() -> Arrays:
        with Device(CHIP, "reference") as reference:
            return _through_registers([reference], index)

    def run(backend: Driver) -> None:
        skip(backend, index)
        device = Device(CHIP, backend)
        set_records(device)
        _compare("addresses", _through_registers([device], index), expected())
        places = [each.place for each in read_records(device)]
        if not places or not all(index < place < index + (1 << LOG2) for place in places):
            raise SimulationError(f"records are of commands {places}, from {index} on")

    return run


def _through_registers(devices: Sequence[Device], seed: int) -> Arrays:
    (device,) = devices
    rng, chance = np.random.default_rng(seed), random.Random(seed)
    data = rng.integers(0, 256, 4096, dtype=np.uint8)
    device.write(0x1_0000, data)
    for queue, name, base, step in (("load", "LOAD", 0x1_0000, 96), ("store", "STORE", 0x2_0000, 224)):
        program = [
            Command(
                name=name,
                fields=copy(row=96, memory=base + step * number, scratchpad=0x400 + 160 * number),
                record=number == 0,
            )
            for number in range(16)
        ]
        device.submit(queue, through_registers(program, chance))
        device.wait(10_000)
    found = [device.read(0x2_0000, 4096, np.uint8), *_indexed(device, chance)]
    job = MatmulJob(
        m=9,
        n=7,
        k=10,
        format="int8",
        a=Operand(address=0x1_0000, stride=10),
        b=Operand(address=0x1_0800, stride=7),
        d=Operand(address=0x3_0000, stride=28),
    )
    memory = Memory(device)
    case = SMALL["exp_bf16"](memory)
    programs = vector_programs(CHIP, case.job, code_at=CODE)
    device.write(CODE, programs.code)
    for last in range(0, REGISTERS, 2):  # one run has too few addresses for all registers
        there = replace(job, d=Operand(address=0x3_0000 + 0x80 * last, stride=28))
        for queue, program in matmul_programs(CHIP, there).items():
            device.submit(queue, through_registers(program, chance, last))
    device.wait(20_000)
    for last in range(0, REGISTERS, 2):
        for queue, program in programs.items():
            device.submit(queue, through_registers(program, chance, last))
    device.wait(20_000)
    found.append(device.read(0x3_0000, 0x80 * REGISTERS, np.uint8))
    return [*found, *(memory.bits(result).ravel() for result in case.results)]


def _indexed(device: Device, chance: random.Random) -> Arrays:
    """Rows scattered and gathered again, with each of the three addresses from each register."""
    count, rows = 4, 15
    device.write(device.scratchpad(0x3000), np.arange(count, dtype=np.uint32)[::-1].copy())
    for queue, name, base in (("store", "SCATTER", 0x400), ("load", "GATHER", 0x4000)):
        strides = {"memory_stride": 64, "scratchpad_stride": 32, "row": 32, "count": count, "rows": count}
        for last in range(3):
            program = [
                Command(
                    name=name,
                    fields={
                        **strides,
                        "memory": 0x4_0000 + 0x100 * number,
                        "scratchpad": base + 0x80 * number,
                        "indices": 0x3000,
                    },
                )
                for number in range(last, rows, 3)
            ]
            device.submit(queue, through_registers(program, chance, last))
        device.wait(10_000)
    return [
        device.read(0x4_0000, 0x100 * rows, np.uint8),
        device.read(device.scratchpad(0x4000), 0x80 * rows, np.uint8),
    ]


def _sends(backend: Driver) -> None:
    """Pieces of some lengths, there and back, with signals; records of the link's queue."""
    chips = [Device(CHIP, backend, number=number) for number in range(2)]
    rng = np.random.default_rng(3)
    for number, (begin, end, size) in enumerate(
        ((0x1000, 0x8000, 2048), (0x2A5A_5020, 0x15A5_A060, 352), (0x1FE0, 0x3A5A_5A20, 32))
    ):
        for mine, other in ((0, 1), (1, 0)):
            data = rng.integers(0, 256, size, dtype=np.uint8)
            before = chips[other].read(end - 32, size + 64, np.uint8)
            chips[mine].write(begin, data)
            set_records(chips[mine])
            send = {"source": begin, "target": end, "bytes": size, "chip": other}
            signal = ((1, 6, 8)[number], (0xFFFF, 0x5A5A, 0xA5A5)[number])
            chips[mine].submit(
                "link", [Command(name="SEND", fields=send, signal=signal, chip=other, record=True, tag=number)]
            )
            take = copy(memory=end - 32, scratchpad=64, row=size + 64)
            chips[other].submit("load", [Command(name="LOAD", fields=take, wait=signal)])
            backend.wait(50_000)
            before[32 : 32 + size] = data
            found = chips[other].read(chips[other].scratchpad(64), size + 64, np.uint8)
            _compare(f"sent {number} from {mine}", [found], [before])
            records = [(each.queue, each.tag, each.error) for each in read_records(chips[mine])]
            if records != [("link", number, "OKAY")]:
                raise SimulationError(f"records are {records}")


COLLECTIVES = (
    ("all_reduce", "binary32", 1100),
    ("all_reduce", "bf16", 75),
    ("all_reduce", "int32", 160),
    ("reduce_scatter", "binary32", 40),
    ("all_gather", "bf16", 50),
    ("broadcast", "int32", 70),
    ("all_to_all", "int32", 40),
    ("barrier", "binary32", 0),
)
SOURCE, TARGET, SCRATCH, MOST = 0x1_0000, 0x2_0000, 0x3_0000, 320
"""Addresses, and elements that are compared at least."""


def _collect(devices: Sequence[Device], wait: Callable[[int], None]) -> Arrays:
    found = []
    for number, (operation, fmt, elements) in enumerate(COLLECTIVES):
        rng = np.random.default_rng(number)
        job = Job(operation=operation, format=fmt, elements=elements, source=SOURCE, target=TARGET, scratch=SCRATCH)
        programs = collective_programs(job, wired_pair(), LINK)
        most = max(MOST, elements)
        for device in devices:
            values = rng.standard_normal(most).astype(np.float32).view(np.uint32)
            if fmt == "bf16":
                values &= np.uint32(0x7FFF7FFF)  # the lower halves are numbers, too
            device.write(SOURCE, values)
            device.write(TARGET, np.full(most, number, np.uint32))
        for device, program in zip(devices, programs, strict=True):
            device.submit("link", program)
        wait(20_000)
        found += [device.read(TARGET, most, np.uint32) for device in devices]
    return found


def _collectives(
    label: str, work: Callable[[Sequence[Device], Callable[[int], None]], Arrays]
) -> Callable[[Driver], None]:
    """A run of two chips that has the same results as on the reference backend."""

    @cache
    def expected() -> Arrays:
        with Cluster(CHIP, backend="reference") as cluster:
            return work(cluster.devices, cluster.wait)

    def run(backend: Driver) -> None:
        devices = [Device(CHIP, backend, number=number) for number in range(2)]
        _compare(label, work(devices, backend.wait), expected())

    return run
