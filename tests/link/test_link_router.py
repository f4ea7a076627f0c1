"""The router gives each packet to the port that the table says, whole and in order; no channel waits for another."""

import random
from collections import defaultdict
from collections.abc import Hashable
from dataclasses import replace
from typing import Any

import pytest
from openppu.link.config import CHANNELS, LinkConfig
from openppu.link.router import Router
from openppu.link.tunnel import way_of
from openppu_sim.reference.link_packets import COLLECTIVE, DONE, TUNNEL, WRITE, Packet
from openppu_verif.ends import Take, run
from packet_ends import CUT, PacketReader, Put, random_packet, words_of

PORTS = 3
CONFIG = LinkConfig(ports=PORTS, lanes=2, lane_bits=16)
CHIP = 5
Place = Hashable


class Bench:
    """All streams of a router, by the place they have on the chip."""

    def __init__(self, dut: Router, chance: random.Random, rate: float = 1.0) -> None:
        streams: dict[Place, Any] = {"requests": dut.requests, "answers": dut.answers}
        ends: dict[Place, Any] = {"target": dut.to_target, "initiator": dut.to_initiator}
        for port in range(PORTS):
            streams["engine", port], streams["tunnel", port] = dut.collectives[port], dut.tunnels[port]
            ends["engine", port], ends["tunnel", port] = dut.to_collectives[port], dut.to_tunnels[port]
            for channel in range(CHANNELS):
                streams[port, channel] = dut.arrivals[port][channel]
                ends[port, channel] = dut.departures[port][channel]
        self.dut = dut
        self.puts = {place: Put(stream, chance, rate) for place, stream in streams.items()}
        self.takes = {place: Take(stream, chance, rate) for place, stream in ends.items()}
        self.readers = {place: PacketReader(CONFIG) for place in ends}
        self.got: defaultdict[Place, list[Packet]] = defaultdict(list)
        self.lines: list[dict[str, Any]] = []

    def step(self, ctx: Any, *, stuck: frozenset[Place] = frozenset()) -> None:
        """One cycle."""
        ctx.set(self.dut.chip, CHIP)
        ctx.set(self.dut.routes, self.lines.pop() if self.lines else {"write": 0})
        for put in self.puts.values():
            put.drive(ctx)
        for place, take in self.takes.items():
            take.drive(ctx, allowed=place not in stuck)
        for place, take in self.takes.items():
            if (word := take.sample(ctx)) is not None and (packet := self.readers[place].word(word)) is not None:
                self.got[place].append(packet)
        for put in self.puts.values():
            put.sample(ctx)


Table = dict[tuple[int, int], tuple[int, bool]]


def lines_of(table: Table) -> list[dict[str, Any]]:
    return [
        {"write": 1, "role": role, "destination": chip, "route": {"valid": 1, "port": port, "raises": raises}}
        for (role, chip), (port, raises) in table.items()
    ]


def goes_to(packet: Packet, source: Place, role: int, above: bool, table: Table) -> tuple[Place, Packet] | None:
    """Where a packet must come out, and how; None: it is dropped."""
    own = source[0] if isinstance(source, tuple) and isinstance(source[0], int) else None
    if role == 2 and above and packet.operation == TUNNEL:
        hop, onward = packet.address & 7, replace(packet, address=packet.address >> 3)
        if hop == 7:
            port = packet.address >> 3 & 7
            return (("tunnel", port), onward) if own is not None and port < PORTS else None
        return ((hop, 5), onward) if hop < PORTS and hop != own else None
    if packet.destination == CHIP:
        if role < 2:
            return ("target", "initiator")[role], packet
        good = packet.operation == COLLECTIVE and own is not None and packet.status < PORTS
        return (("engine", packet.status), packet) if good else None
    if (role, packet.destination) not in table:
        return None
    port, raises = table[role, packet.destination]
    return ((port, role + 3 * (above or raises)), packet) if port != own else None


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_each_packet_comes_out_where_the_table_says(seed: int) -> None:
    chance = random.Random(seed)
    dut = Router(CONFIG)
    bench = Bench(dut, chance, chance.choice([0.5, 1.0]))
    table = {
        (role, chip): (chance.randrange(PORTS), chance.random() < 0.3)
        for role in range(3)
        for chip in range(8)
        if chip != CHIP and chance.random() < 0.8
    }
    bench.lines = lines_of(table)
    engines = [{"direct": {"valid": port != 1, "port": (port + 1) % PORTS}, "peer": port} for port in range(PORTS)]
    expected: defaultdict[Place, defaultdict[Place, list[Packet]]] = defaultdict(lambda: defaultdict(list))
    dropped = number = 0
    for place, put in bench.puts.items():
        role, above = {"requests": 0, "answers": 1}.get(place, 2) if isinstance(place, str) else 2, False
        if isinstance(place, tuple) and isinstance(place[0], int):
            role, above = place[1] % 3, place[1] >= 3
        for _ in range(8):
            operation = (WRITE, DONE, chance.choice([COLLECTIVE, COLLECTIVE, COLLECTIVE, WRITE]))[role]
            packet = random_packet(chance, operation=operation, destination=chance.randrange(9), most=30)
            if (role == 2 and above and chance.random() < 0.5) or place[0] == "tunnel":
                way = way_of(
                    tuple(chance.randrange(PORTS) for _ in range(chance.randrange(3))), chance.randrange(PORTS)
                )
                packet = replace(packet, operation=TUNNEL, address=way, data=bytes(packet.length))
            number += 1
            packet = replace(packet, source=number % 64, tag=number // 64)
            put.waiting.extend(words_of(packet, CONFIG, chance))
            if place[0] == "engine":
                engine = engines[place[1]]
                packet = replace(packet, status=engine["peer"])
                if engine["direct"]["valid"] and packet.destination != CHIP:
                    expected[engine["direct"]["port"], 2][place].append(packet)
                    continue
            tunnel = place[0] == "tunnel"
            where = goes_to(packet, place, role, above or tunnel, table)
            dropped += where is None
            if where is not None:
                expected[where[0]]["tunnel" if tunnel else place].append(where[1])
    total = sum(len(packets) for sources in expected.values() for packets in sources.values())

    def step(ctx: Any, cycle: int) -> bool:
        for port in range(PORTS):
            ctx.set(dut.engines[port], engines[port])
        if cycle < 30:
            # The table first.
            ctx.set(dut.routes, bench.lines.pop() if bench.lines else {"write": 0})
            return False
        bench.step(ctx)
        return sum(map(len, bench.got.values())) == total and cycle > 500

    run(dut, step, most=8000)
    for place, sources in expected.items():
        known = {(packet.source, packet.tag): source for source, packets in sources.items() for packet in packets}
        by_source: defaultdict[Place, list[Packet]] = defaultdict(list)
        for packet in bench.got[place]:
            by_source[known[packet.source, packet.tag]].append(packet)
        for source, packets in sources.items():
            if source == "tunnel":
                # Those of several ports are one stream in any order.
                assert sorted(map(repr, by_source[source])) == sorted(map(repr, packets))
            else:
                assert by_source[source] == packets, f"{source} to {place}"
    assert dropped > 5


def test_counters_and_who_is_waited_for() -> None:
    chance = random.Random(0)
    dut = Router(CONFIG)
    bench = Bench(dut, chance)
    bench.lines = lines_of({(0, 2): (1, False), (0, 3): (2, False), (1, 2): (1, True)})
    packets = [random_packet(chance, operation=WRITE, destination=d, source=d + 20, most=9) for d in (2, 2, 3, 9, 2)]
    told: dict[str, Any] = {}

    def step(ctx: Any, cycle: int) -> bool:
        if cycle == 80:
            for packet in packets:
                bench.puts["requests"].waiting.extend(words_of(packet, CONFIG, chance))
            answer = random_packet(chance, operation=DONE, destination=2, source=44)
            bench.puts[0, 1].waiting.extend(words_of(answer, CONFIG, chance))
        ctx.set(dut.period, 100)
        ctx.set(dut.look, 2)
        bench.step(ctx, stuck=frozenset({(1, 4)}))
        if cycle == 470:
            told["status"], told["requests"] = ctx.get(dut.status), ctx.get(dut.requests_to)
            told["answers"] = ctx.get(dut.answers_to)
        return cycle == 470

    run(dut, step, most=471)
    status = told["status"]
    assert [status.sent[port] for port in range(PORTS)] == [0, 3, 1]
    assert [status.received[port] for port in range(PORTS)] == [1, 0, 0]
    assert status.dropped == 1
    assert (told["requests"], told["answers"]) == (3, 0)
    assert [status.stuck[port] for port in range(PORTS)] == [0, 1 << 4, 0]
    who = status.who
    assert (who.valid, who.port, who.channel, who.destination, who.source) == (1, 1, 4, 2, 44)


@pytest.mark.parametrize("stuck", [0, 5])
def test_a_channel_that_does_not_move_keeps_no_other_waiting(stuck: int) -> None:
    chance = random.Random(stuck)
    dut = Router(CONFIG)
    bench = Bench(dut, chance)
    bench.lines = lines_of({(role, 1): (1, False) for role in range(3)})
    for channel in range(CHANNELS):
        for _ in range(20):
            operation = (WRITE, DONE, COLLECTIVE)[channel % 3]
            packet = random_packet(chance, operation=operation, destination=1, most=20)
            bench.puts[0, channel].waiting.extend(words_of(packet, CONFIG, chance))

    def step(ctx: Any, cycle: int) -> bool:
        if cycle < 5:
            ctx.set(dut.routes, bench.lines.pop() if bench.lines else {"write": 0})
            return False
        bench.step(ctx, stuck=frozenset({(1, stuck)}))
        return all(len(bench.got[1, channel]) == 20 for channel in range(CHANNELS) if channel != stuck)

    run(dut, step, most=1000)
    assert bench.puts[0, stuck].waiting


def test_a_packet_that_is_cut_off_frees_its_way() -> None:
    chance = random.Random(0)
    dut = Router(CONFIG)
    bench = Bench(dut, chance)
    bench.lines = lines_of({(0, 1): (1, False)})
    whole = random_packet(chance, operation=WRITE, destination=1, length=40)
    bench.puts[0, 0].waiting.extend([*words_of(whole, CONFIG, chance)[:4], CUT])
    bench.puts[2, 0].waiting.extend(words_of(whole, CONFIG, chance))

    def step(ctx: Any, cycle: int) -> bool:
        if cycle < 2:
            ctx.set(dut.routes, bench.lines.pop() if bench.lines else {"write": 0})
            return False
        bench.step(ctx)
        return cycle == 60

    run(dut, step, most=61)
    assert bench.got[1, 0] == [whole]
    assert bench.readers[1, 0].cut == 1


def test_latency_and_a_word_a_cycle() -> None:
    chance = random.Random(0)
    dut = Router(CONFIG)
    bench = Bench(dut, chance)
    bench.lines = lines_of({(0, 1): (1, False)})
    packets = [random_packet(chance, operation=WRITE, destination=1, length=8) for _ in range(10)]
    for packet in packets:
        bench.puts[0, 0].waiting.extend(words_of(packet, CONFIG, chance))
    ends: list[int] = []

    def step(ctx: Any, cycle: int) -> bool:
        if cycle < 2:
            ctx.set(dut.routes, bench.lines.pop() if bench.lines else {"write": 0})
            return False
        bench.step(ctx)
        if len(bench.got[1, 0]) > len(ends):
            ends.append(cycle)
        return len(ends) == 10

    run(dut, step, most=100)
    assert ends == [2 + Router.LATENCY + 1 + 2 * number for number in range(10)]


def test_no_port_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^Router ports = 0: give at least 1$"):
        Router(LinkConfig(ports=0))
