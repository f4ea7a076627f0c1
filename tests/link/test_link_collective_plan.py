"""The planner's programs, run step by step on memories, give the reference's bits and never wait in a circle."""

from collections.abc import Iterator

import pytest
from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.instruction import Instruction, Opcode, Source
from openppu.link.collective.plan import ALGORITHMS, Job, choose, fitting, plan
from openppu.link.collective.wiring import Wiring, four_groups, mesh, named, pair, ring, two_groups
from openppu.link.config import LinkConfig
from openppu.section import ConfigError
from openppu_sim.reference.collective_programs import StuckError, run
from openppu_verif.link.collective_jobs import make_case

WIRINGS = {
    "pair": pair(),
    "ring3": ring(3),
    "ring4": ring(4),
    "ring5": ring(5),
    "mesh3": mesh(3),
    "mesh4": mesh(4),
    "mesh5": mesh(5),
    "mesh8": mesh(8),
    "groups8": two_groups(),
    "groups16": four_groups(),
}


def engine(wiring: Wiring, *, window: int = 8, queue: int = 2, lanes: int = 2, ports: int = 0) -> CollectiveConfig:
    link = LinkConfig(ports=ports or max(len(ports) for ports in wiring.peers), lanes=lanes, lane_bits=16)
    return CollectiveConfig(link=link, window=window, packet=2, queue=queue)


def combinations() -> Iterator[tuple[str, str, str]]:
    for name, wiring in WIRINGS.items():
        for operation in ALGORITHMS:
            job = Job(operation=operation, elements=1)
            for algorithm in fitting(job, wiring, engine(wiring)):
                yield name, operation, algorithm


@pytest.mark.parametrize(("name", "operation", "algorithm"), list(combinations()))
def test_programs_give_the_bits_of_the_reference(name: str, operation: str, algorithm: str) -> None:
    wiring = WIRINGS[name]
    sizes = (1, 7, 61) if wiring.ranks <= 8 else (1,)
    for place, elements in enumerate(sizes):
        for fmt, hops in (("binary32", "binary32"), ("bf16", "binary32"), ("bf16", "bf16"), ("int32", "binary32")):
            config = engine(wiring, lanes=2 + 2 * (place & 1))
            in_place = bool(place & 2) and operation in ("all_reduce", "all_gather", "broadcast")
            root = wiring.ranks - 1 if place & 1 else 0
            case = make_case(
                operation,
                wiring,
                config,
                algorithm,
                elements=elements,
                fmt=fmt,
                hops=hops,
                in_place=in_place,
                root=root,
                seed=elements,
            )
            made = plan(case.job, wiring, config, algorithm)
            memories = [memory.copy() for memory in case.memories]
            run(made.programs, memories, wiring, config, seed=elements)
            case.check(memories)


@pytest.mark.parametrize(
    ("values", "wiring", "algorithm", "message"),
    [
        (dict(operation="reduce"), pair(), "auto", "operation = reduce: give one of all_reduce, "),
        (dict(format="fp16"), pair(), "auto", "format = fp16: give one of binary32, bf16, int32"),
        (dict(hops="int32"), pair(), "auto", "hops = int32: give one of binary32, bf16"),
        (dict(elements=0), pair(), "auto", "elements = 0: give 1 or more"),
        (dict(root=2), pair(), "auto", "root = 2: give a rank from 0 to 1"),
        (dict(source=2), pair(), "auto", "source = 2: give a multiple of 4, a beat"),
        (dict(target=1 << 40), pair(), "auto", "target = 1099511627776: give a multiple of 4"),
        (dict(operation="all_to_all", target=0), pair(), "auto", "target = 0: all_to_all needs another place"),
        ({}, ring(5), "direct", "algorithm = direct: all_reduce on ring of 5 has ring"),
        ({}, mesh(8), "two_level", "algorithm = two_level: all_reduce on mesh of 8 has one_shot, direct, halving"),
        (dict(elements=1 << 40), pair(), "one_shot", "elements = 1099511627776: one program can move"),
    ],
)
def test_impossible_jobs_are_refused(values: dict, wiring: Wiring, algorithm: str, message: str) -> None:  # type: ignore[type-arg]
    job = Job(**{"operation": "all_reduce", "elements": 4, "target": 64, **values})
    with pytest.raises(ConfigError, match=message):
        plan(job, wiring, engine(wiring), algorithm)


def test_topologies_that_there_are_not_are_refused() -> None:
    for name, ranks, message in (
        ("torus", 8, "topology = torus: give one of pair, ring, mesh, groups"),
        ("pair", 3, "topology pair: chips = 3: give 2"),
        ("groups", 12, "topology groups: chips = 12: give 8 or 16"),
        ("mesh", 9, "topology mesh: chips = 9: give an integer from 3 to 8"),
        ("ring", 2, "topology ring: chips = 2: give an integer from 3 to 64"),
    ):
        with pytest.raises(ConfigError, match=message):
            named(name, ranks)
    with pytest.raises(ConfigError, match=r"link.ports = 2: topology mesh of 4 needs 3"):
        plan(Job(operation="barrier"), mesh(4), engine(pair(), ports=2))


@pytest.mark.parametrize("name", WIRINGS)
def test_links_lead_back(name: str) -> None:
    wiring = WIRINGS[name]
    for rank, ports in enumerate(wiring.peers):
        for port, peer in enumerate(ports):
            assert peer is not None
            assert wiring.peers[peer[0]][peer[1]] == (rank, port)
        assert len(wiring.paths(rank)) == wiring.ranks
    assert sorted(rank for group in wiring.groups for rank in group) == list(range(wiring.ranks))


def test_the_algorithm_is_chosen_by_size_and_topology() -> None:
    for name, operation, size, expected in (
        ("pair", "all_reduce", 16, "one_shot"),
        ("pair", "all_reduce", 1 << 20, "direct"),
        ("mesh8", "all_reduce", 8, "one_shot"),
        ("mesh8", "all_reduce", 1 << 16, "direct"),
        ("ring5", "all_reduce", 8, "ring"),
        ("groups8", "all_reduce", 1 << 16, "two_level"),
        ("groups16", "all_gather", 1, "two_level"),
        ("mesh8", "broadcast", 8, "tree"),
        ("mesh8", "broadcast", 1 << 20, "direct"),
        ("groups8", "all_to_all", 8, "routed"),
        ("ring5", "barrier", 0, "tree"),
    ):
        wiring = WIRINGS[name]
        job = Job(operation=operation, elements=size)
        assert choose(job, wiring, engine(wiring, window=64)) == expected, (name, operation, size)


def test_programs_that_wait_in_a_circle_are_found_out() -> None:
    """Two ranks that both send more than a window before they take what comes."""
    wiring = pair()
    config = engine(wiring)
    case = make_case("all_reduce", wiring, config, "direct", elements=1000)
    big = 4 * (config.window * 3)
    send = Instruction(opcode=Opcode.SEND, ports=1, length=big)
    fence = Instruction(opcode=Opcode.FENCE)
    take = Instruction(opcode=Opcode.REDUCE, length=big // 4, sources=(Source.PORT,), write=1)
    programs = [[send, fence, take], [send, fence, take]]
    with pytest.raises(StuckError, match=r"rank 0: .*rank 1: "):
        run(programs, case.memories, wiring, config)
