"""Collective engines of two to sixteen chips, RTL against the reference, bit for bit: every operation, algorithm and
topology; and the clocks that the closed form gives."""

import random
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.instruction import Instruction, Opcode, Source, Stream
from openppu.link.collective.packets import Fault
from openppu.link.collective.plan import ALGORITHMS, Job, fitting, plan
from openppu.link.collective.wiring import Wiring, four_groups, mesh, pair, ring, two_groups
from openppu.link.config import LinkConfig
from openppu_sim.cycles.collectives import Timing, all_reduce_clocks
from openppu_sim.errors import SimulationError
from openppu_verif.link.collective_jobs import make_case
from openppu_verif.link.collectives import Outcome, Surroundings, build_engine, run
from openppu_verif.link.engine_figures import ENGINE

WIRINGS = {
    "pair": pair(),
    "ring3": ring(3),
    "ring5": ring(5),
    "mesh4": mesh(4),
    "mesh7": mesh(7),
    "mesh8": mesh(8),
    "groups8": two_groups(),
    "groups16": four_groups(),
}
KINDS = [("binary32", "binary32"), ("bf16", "binary32"), ("bf16", "bf16"), ("int32", "binary32")]
COMBINATIONS = [
    (name, operation, algorithm)
    for name, wiring in WIRINGS.items()
    for operation in ALGORITHMS
    for algorithm in fitting(Job(operation=operation, elements=1), wiring, ENGINE)
]


@cache
def executable(config: CollectiveConfig, build_root: Path) -> Path:
    return build_engine(config, build_root)


def check(
    build_root: Path, wiring: Wiring, operation: str, algorithm: str, about: Surroundings, **values: Any
) -> Outcome:
    """Run a job on the engines; its result must be that of the reference."""
    config = values.pop("config", ENGINE)
    case = make_case(operation, wiring, config, algorithm, seed=about.seed, **values)
    made = plan(case.job, wiring, config, algorithm)
    outcome = run(executable(config, build_root), config, wiring, made.programs, case.memories, about)
    case.check(outcome.memories)
    return outcome


def surroundings(number: int) -> Surroundings:
    """Still ones, and such that hold back, delay, and begin at different times."""
    if number % 3 == 0:
        return Surroundings(seed=number)
    if number % 3 == 1:
        return Surroundings(seed=number, delay=3, stall=20_000, memory_stall=20_000, start_skew=300, pipe=8)
    return Surroundings(seed=number, delay=45, rate=1500, memory_stall=30_000, read_latency=19, write_latency=11)


@pytest.mark.parametrize(("name", "operation", "algorithm"), COMBINATIONS)
def test_engines_give_the_bits_of_the_reference(name: str, operation: str, algorithm: str, build_root: Path) -> None:
    number = COMBINATIONS.index((name, operation, algorithm))
    for place, elements in enumerate((1, 75, 9)):
        fmt, hops = KINDS[(number + place) % 4]
        in_place = bool((number + place) & 1) and operation in ("all_reduce", "all_gather", "broadcast")
        values = dict(elements=elements, fmt=fmt, hops=hops, in_place=in_place, root=number % WIRINGS[name].ranks)
        check(build_root, WIRINGS[name], operation, algorithm, surroundings(number + place), **values)


@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 150))])
def test_random_collectives_under_backpressure(seed: int, build_root: Path) -> None:
    """Any operation, algorithm, topology, format, size and root; links and memories that hold back as they like."""
    rng = random.Random(seed)
    name, operation, algorithm = rng.choice(COMBINATIONS)
    fmt, hops = rng.choice(KINDS)
    about = Surroundings(
        seed=seed + 1,
        limit=400_000,
        delay=rng.randint(1, 90),
        rate=rng.choice((0, rng.randint(300, 2048))),
        pipe=rng.randint(2, 100),
        read_latency=rng.randint(1, 40),
        write_latency=rng.randint(1, 40),
        stall=rng.randint(0, 50_000),
        memory_stall=rng.randint(0, 50_000),
        start_skew=rng.randint(0, 2_000),
        patience=30_000,
    )
    values = dict(elements=rng.randint(1, 400), fmt=fmt, hops=hops, root=rng.randrange(WIRINGS[name].ranks))
    values |= dict(in_place=operation in ("all_reduce", "all_gather", "broadcast") and rng.random() < 0.5)
    check(build_root, WIRINGS[name], operation, algorithm, about, **values)


@pytest.mark.parametrize(("name", "algorithm"), [("mesh8", "direct"), ("groups8", "two_level"), ("ring5", "ring")])
def test_sums_are_the_same_bits_however_links_and_memory_hold_back(name: str, algorithm: str, build_root: Path) -> None:
    """Random inputs with sums that round and cancel, added up under other delays, stalls and starts each time."""
    case = make_case("all_reduce", WIRINGS[name], ENGINE, algorithm, elements=83, seed=7)
    results = set()
    for seed in range(1, 9):
        about = Surroundings(
            seed=seed,
            delay=3 * seed,
            stall=5_000 * seed,
            memory_stall=4_000 * seed,
            start_skew=60 * seed,
            pipe=4 + seed,
        )
        memories = run(
            executable(ENGINE, build_root), ENGINE, WIRINGS[name], case.programs, case.memories, about
        ).memories
        results |= {memory[case.job.target : case.end].tobytes() for memory in memories}
    assert len(results) == 1, "one result, at every chip and in every run"
    case.check(memories)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "operation", "algorithm"), COMBINATIONS)
def test_engines_give_the_bits_of_the_reference_at_length(
    name: str, operation: str, algorithm: str, build_root: Path
) -> None:
    """All formats, odd sizes, sizes beyond the windows, in and out of place."""
    number = 1000
    for elements in (1, 2, 3, 8, 17, 64, 65, 1000, 3001):
        for fmt, hops in KINDS:
            for in_place in (False, True) if operation in ("all_reduce", "all_gather", "broadcast") else (False,):
                number += 1
                values = dict(elements=elements, fmt=fmt, hops=hops, in_place=in_place, root=0)
                check(build_root, WIRINGS[name], operation, algorithm, surroundings(number), **values)


@pytest.mark.slow
@pytest.mark.parametrize("config", [
    CollectiveConfig(link=LinkConfig(ports=1, lanes=2, lane_bits=16), window=8, packet=1, reads=8, queue=2),
    CollectiveConfig(link=LinkConfig(ports=3, lanes=8, lane_bits=16), window=16, packet=4, reads=8),
    CollectiveConfig(link=LinkConfig(ports=7, lanes=2, lane_bits=16), window=8, packet=2, reads=8, queue=2),
], ids=["1 port", "3 ports", "7 ports"])  # fmt: skip
def test_engines_of_other_shapes(config: CollectiveConfig, build_root: Path) -> None:
    number = 0
    for wiring in WIRINGS.values():
        if max(map(len, wiring.peers)) > config.ports:
            continue
        for operation in ALGORITHMS:
            for algorithm in fitting(Job(operation=operation, elements=1), wiring, config):
                for elements in (1, 30, 203):
                    number += 1
                    fmt, hops = KINDS[number % 4]
                    values = dict(elements=elements, fmt=fmt, hops=hops, config=config)
                    about = replace(surroundings(number), patience=20_000)
                    if algorithm == "one_shot" and elements * 4 > config.window // 2 * config.beat_bytes:
                        continue
                    check(build_root, wiring, operation, algorithm, about, **values)


RATE = 15 * ENGINE.beat_bytes * 16
"""240 payload bytes of each flit's 256."""


@pytest.mark.parametrize(
    ("wiring", "algorithm", "elements"),
    [
        (mesh(8), "one_shot", 8),
        (mesh(8), "direct", 1024),
        (mesh(8), "direct", 4096),
        (mesh(4), "direct", 2048),
        (pair(), "one_shot", 100),
        (ring(5), "ring", 5),
        (ring(5), "ring", 4000),
    ],
)
@pytest.mark.parametrize("delay", [8, 20])
def test_an_all_reduce_takes_what_the_closed_form_says(
    wiring: Wiring, algorithm: str, elements: int, delay: int, build_root: Path
) -> None:
    about = Surroundings(delay=delay, rate=RATE, read_latency=6, write_latency=3)
    outcome = check(build_root, wiring, "all_reduce", algorithm, about, elements=elements)
    timing = Timing(hop=delay, rate=RATE / 256, read=6, write=3)
    expected = all_reduce_clocks(algorithm, wiring.ranks, 4 * elements, ENGINE, timing)
    assert abs(outcome.clocks - expected) <= 0.05 * expected, f"{outcome.clocks} clocks, closed form {expected:.0f}"


WIDE = CollectiveConfig(link=LinkConfig(ports=7, lanes=8, lane_bits=64, fec=True))
"""As `ppu810e` has it: beats of 64 bytes."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("algorithm", "size", "share"), [("one_shot", 32, 0), ("direct", 1 << 16, 0.82), ("direct", 1 << 18, 0.93)]
)
def test_wide_engines_reach_the_share_of_the_closed_form(
    algorithm: str, size: int, share: float, build_root: Path
) -> None:
    """Eight chips, a port moves the 236 payload bytes of 256 with FEC, a hop takes 30 clocks."""
    rate = WIDE.beat_bytes * WIDE.link.payload_bytes // 256
    about = Surroundings(delay=30, rate=256 * rate)
    outcome = check(build_root, mesh(8), "all_reduce", algorithm, about, elements=size // 4, config=WIDE)
    expected = all_reduce_clocks(algorithm, 8, size, WIDE, Timing(hop=30, rate=rate, read=4, write=4))
    assert abs(outcome.clocks - expected) <= 0.05 * expected, f"{outcome.clocks} clocks, closed form {expected:.0f}"
    assert 2 * size / 8 / rate / outcome.clocks >= share


def lone(program: list[Instruction]) -> list[list[Instruction]]:
    return [program, [Instruction(opcode=Opcode.END)]]


@pytest.mark.parametrize(
    ("op", "field", "value"),
    [
        (Instruction(opcode=Opcode.STORE, ports=1, length=8), "waiting_for", 1),
        (Instruction(opcode=Opcode.SEND, ports=1, length=8, stream=1), "waiting_for", 1),
        (Instruction(opcode=Opcode.SEND, ports=1, length=8, stream=1), "senders", 3),
        (Instruction(opcode=Opcode.SEND, ports=1, length=8 * 200), "senders", 2),
        (Instruction(opcode=Opcode.SEND, ports=1, length=8, wait=1, thread=1), "senders", 4),
        (Instruction(opcode=Opcode.REDUCE, length=1, write=1, sources=(Source.PORT,)), "operands", 1),
        (Instruction(opcode=Opcode.WAIT, ports=1), "tokens", 1),
    ],
)
def test_an_engine_that_waits_in_vain_says_for_whom(op: Instruction, field: str, value: int, build_root: Path) -> None:
    case = make_case("barrier", pair(), ENGINE, "direct", elements=300)
    programs = lone([op, Instruction(opcode=Opcode.END)])
    with pytest.raises(SimulationError, match=rf"did not finish.*rank 0: .*'stalled': 1.*'{field}': {value}[,}}]"):
        run(executable(ENGINE, build_root), ENGINE, pair(), programs, case.memories, Surroundings(patience=300))


def test_a_program_that_does_not_fit_its_peers_is_an_error(build_root: Path) -> None:
    """The data comes with another label than the one that the receiver's instruction has."""
    case = make_case("barrier", pair(), ENGINE, "direct", elements=300)
    send = Instruction(opcode=Opcode.SEND, ports=1, length=8, label=7)
    end = Instruction(opcode=Opcode.END)
    reduce = Instruction(opcode=Opcode.REDUCE, length=2, write=1, sources=(Source.PORT,), label=8)
    store = Instruction(opcode=Opcode.STORE, ports=1, length=8, label=8)
    about = Surroundings(patience=300)
    for stream, other in ((Stream.REDUCE, reduce), (Stream.STORE, store)):
        programs = [[replace(send, stream=stream), end], [other, end]]
        with pytest.raises(SimulationError, match=f"rank 1: .*'fault': {int(Fault.LABEL)},"):
            run(executable(ENGINE, build_root), ENGINE, pair(), programs, case.memories, about)
