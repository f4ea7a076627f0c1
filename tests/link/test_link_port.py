"""Two ports, lane to lane: packets arrive once and in order, soon, and after a reset again."""

import random
from typing import Any

import pytest
from amaranth import Module
from openppu.link.config import CHANNELS, LinkConfig
from openppu.link.port import Port
from openppu_sim.reference.link_packets import Packet
from openppu_verif.ends import Take, run
from packet_ends import PacketReader, Put, random_packet, words_of, write


def linked(a: Port, b: Port) -> Module:
    """The two, with lanes that are never wrong."""
    m = Module()
    m.submodules.a, m.submodules.b = a, b
    for one, other in ((a, b), (b, a)):
        m.d.comb += [
            other.serdes.receive.eq(one.serdes.send),
            other.serdes.receive_valid.eq(-1),
            other.serdes.signal.eq(~one.serdes.send_idle),
        ]
    return m


def is_up(ctx: Any, *ports: Port) -> bool:
    """Whether all of them carry flits."""
    return all(ctx.get(port.status.physical.state.as_value()) in (5, 6) for port in ports)


@pytest.mark.parametrize(
    ("lanes", "lane_bits", "fec"), [(2, 16, False), pytest.param(4, 16, True, marks=pytest.mark.slow)]
)
def test_packets_cross_both_ways(lanes: int, lane_bits: int, fec: bool) -> None:
    config = LinkConfig(ports=1, lanes=lanes, lane_bits=lane_bits, fec=fec, credits=4, window=16)
    chance = random.Random(lanes)
    ports = Port(config), Port(config)
    puts = [[Put(words, chance, 0.8) for words in port.send] for port in ports]
    takes = [[Take(words, chance, 0.8) for words in port.receive] for port in ports]
    readers = [[PacketReader(config) for _ in range(CHANNELS)] for _ in ports]
    sent: list[list[list[Packet]]] = []
    got: list[list[list[Packet]]] = [[[] for _ in range(CHANNELS)] for _ in ports]
    for side in puts:
        sent.append([[random_packet(chance, most=100) for _ in range(4)] for _ in range(CHANNELS)])
        for put, packets in zip(side, sent[-1], strict=True):
            for packet in packets:
                put.waiting.extend(words_of(packet, config, chance))

    def step(ctx: Any, cycle: int) -> bool:
        for end in (*puts[0], *puts[1], *takes[0], *takes[1]):
            end.drive(ctx)
        for put in (*puts[0], *puts[1]):
            put.sample(ctx)
        for side in range(2):
            for channel, take in enumerate(takes[side]):
                word = take.sample(ctx)
                if word is not None and (packet := readers[side][channel].word(word)) is not None:
                    got[side][channel].append(packet)
        return sum(len(packets) for side in got for packets in side) == 2 * 4 * CHANNELS

    run(linked(*ports), step, most=20000)
    assert got == [sent[1], sent[0]]


def test_latency() -> None:
    """From the cycle in which a word is taken to that in which it is offered, in a quiet link, lanes without delay.

    Flits without payload are sent all the time, so a word may come just when one has begun: at each beat of it.
    """
    config = LinkConfig(ports=1, lanes=4, lane_bits=64, credits=4, window=8)
    chance = random.Random(0)
    ports = Port(config), Port(config)
    put, take = Put(ports[0].send[0], chance), Take(ports[1].receive[0], chance)
    begins: list[int] = []
    latencies: list[int] = []
    due = 0

    def step(ctx: Any, cycle: int) -> bool:
        nonlocal due
        if due == 0 and (latencies or is_up(ctx, *ports)):
            due = cycle + 10 * config.beats
            due += (len(latencies) - due) % config.beats
        if cycle == due:
            put.waiting.extend(words_of(write(4, chance), config, chance))
        put.drive(ctx)
        take.drive(ctx)
        if put.sample(ctx) is not None:
            begins.append(cycle)
        if take.sample(ctx) is not None:
            latencies.append(cycle - begins.pop())
            due = 0
        return len(latencies) == 2 * config.beats

    run(linked(*ports), step, most=3000)
    soonest = 12 + config.beats
    assert min(latencies) == soonest
    assert max(latencies) <= soonest + config.beats


@pytest.mark.slow
def test_a_reset_of_the_link_layers_loses_what_is_under_way_and_no_more() -> None:
    config = LinkConfig(ports=1, lanes=2, lane_bits=16, credits=4, window=8)
    chance = random.Random(5)
    ports = Port(config), Port(config)
    put, take = Put(ports[0].send[0], chance), Take(ports[1].receive[0], chance)
    reader = PacketReader(config)
    packets = [write(chance.randint(1, 200), chance) for _ in range(40)]
    for packet in packets:
        put.waiting.extend(words_of(packet, config, chance))
    got: list[Packet] = []
    reset_at = 0

    def step(ctx: Any, cycle: int) -> bool:
        nonlocal reset_at
        if not reset_at and len(got) == 10:
            reset_at = cycle
        ctx.set(ports[0].control.hot_reset, cycle == reset_at > 0)
        put.drive(ctx)
        take.drive(ctx)
        put.sample(ctx)
        if (word := take.sample(ctx)) is not None and (packet := reader.word(word)) is not None:
            got.append(packet)
        return bool(got) and got[-1] == packets[-1]

    run(linked(*ports), step, most=20000)
    lost = 40 - len(got)
    assert 0 < lost < 12
    first = next(number for number in range(len(got)) if got[number] != packets[number])
    assert got == packets[:first] + packets[first + lost :], "one run of packets is missing, the others are all there"
