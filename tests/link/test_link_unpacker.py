"""The unpacker finds each channel's packets in any flits that carry them."""

import random
from collections import deque
from typing import Any

import pytest
from openppu.link.config import CHANNELS, LinkConfig
from openppu.link.unpacker import Unpacker
from openppu_sim.reference.link_packets import DONE, Packet
from openppu_verif.ends import Take, run
from packet_ends import PacketReader, Put, random_packet, write

WIDTHS = [(1, 16), (2, 16), (8, 32), (16, 64)]


def flits_of(stream: bytes, config: LinkConfig, chance: random.Random, *, full: bool = False) -> list[bytes]:
    """The bytes of a channel, cut into flits: often full ones, some without any."""
    flits = []
    while stream:
        most = config.payload_bytes // 2
        size = 2 * (most if full or chance.random() < 0.5 else chance.randint(0, most))
        flits.append(stream[:size])
        stream = stream[size:]
    return flits


def beats_of(
    payload: bytes, channel: int, config: LinkConfig, chance: random.Random, *, cut: bool = False
) -> list[dict[str, Any]]:
    """A flit as the link layer gives it, with a trailer behind the payload in the last beat."""
    width, count = config.beat_bytes, config.payload_beats
    filled = payload + bytes(config.payload_bytes - len(payload))
    filled += chance.randbytes(count * width - len(filled))
    return [
        {
            "data": int.from_bytes(filled[b * width : (b + 1) * width], "little"),
            "channel": channel,
            "used": len(payload) // 2,
            "cut": cut,
            "first": b == 0,
            "last": b == count - 1,
        }
        for b in range(count)
    ]


class Source:
    """Gives flits of wanted channels, one chosen while the one before is on its way."""

    def __init__(self, dut: Unpacker, config: LinkConfig, chance: random.Random, rate: float = 1.0) -> None:
        self.dut, self.config, self.chance = dut, config, chance
        self.put = Put(dut.receive, chance, rate)
        self.flits: list[deque[tuple[bytes, bool]]] = [deque() for _ in range(CHANNELS)]
        self.turn = 0

    def drive(self, ctx: Any) -> None:
        if len(self.put.waiting) <= self.config.payload_beats:
            wanted = ctx.get(self.dut.wanted)
            for channel in [*range(self.turn, CHANNELS), *range(self.turn)]:
                if self.flits[channel] and wanted >> channel & 1:
                    payload, cut = self.flits[channel].popleft()
                    self.put.waiting.extend(beats_of(payload, channel, self.config, self.chance, cut=cut))
                    self.turn = (channel + 1) % CHANNELS
                    break
        self.put.drive(ctx)


@pytest.mark.parametrize(
    ("lanes", "lane_bits", "fec"), [*((*width, False) for width in WIDTHS), (2, 16, True), (8, 64, True)]
)
def test_packets_come_out_as_they_went_in(lanes: int, lane_bits: int, fec: bool) -> None:
    config = LinkConfig(ports=1, lanes=lanes, lane_bits=lane_bits, fec=fec)
    chance = random.Random(lanes * lane_bits + fec)
    dut = Unpacker(config)
    source = Source(dut, config, chance, 0.9)
    takes = [Take(port, chance, chance.choice([0.2, 0.8, 1.0])) for port in dut.packets]
    packets: list[list[Packet]] = []
    for channel in range(CHANNELS):
        packets.append([random_packet(chance, most=400) for _ in range(10)])
        stream = b"".join(packet.bytes() for packet in packets[-1])
        source.flits[channel].extend((flit, False) for flit in flits_of(stream, config, chance))
    readers = [PacketReader(config) for _ in range(CHANNELS)]
    got: list[list[Packet]] = [[] for _ in range(CHANNELS)]

    def step(ctx: Any, cycle: int) -> bool:
        source.drive(ctx)
        for take in takes:
            take.drive(ctx)
        source.put.sample(ctx)
        for channel, take in enumerate(takes):
            if (word := take.sample(ctx)) is not None and (packet := readers[channel].word(word)) is not None:
                got[channel].append(packet)
        return sum(map(len, got)) == 10 * CHANNELS

    run(dut, step, most=60000)
    assert got == packets


@pytest.mark.parametrize(("lanes", "lane_bits"), [(2, 16), (8, 64)])
def test_a_channel_that_does_not_move_keeps_no_other_waiting(lanes: int, lane_bits: int) -> None:
    config = LinkConfig(ports=1, lanes=lanes, lane_bits=lane_bits)
    chance = random.Random(3)
    dut = Unpacker(config)
    source = Source(dut, config, chance)
    takes = [Take(port, chance) for port in dut.packets]
    stuck = {0, 4}
    for channel in range(CHANNELS):
        # Headers alone make the most words of a flit, and other lengths leave the most behind.
        packets = [random_packet(chance, operation=DONE) for _ in range(220 if channel in stuck else 60)]
        if channel == 5:
            packets = [write(chance.randint(1, 2 * config.beat_bytes), chance) for _ in range(60)]
        stream = b"".join(packet.bytes() for packet in packets)
        source.flits[channel].extend((flit, False) for flit in flits_of(stream, config, chance, full=True))
    begun = dict.fromkeys(stuck, 0)

    def step(ctx: Any, cycle: int) -> bool:
        source.drive(ctx)
        for channel, take in enumerate(takes):
            take.drive(ctx, allowed=channel not in stuck)
        beat = source.put.sample(ctx)
        if beat is not None and beat["first"] and beat["channel"] in stuck:
            begun[beat["channel"]] += 1
        for take in takes:
            take.sample(ctx)
        return not any(source.flits[channel] for channel in range(CHANNELS) if channel not in stuck)

    run(dut, step, most=60000)
    for channel in stuck:
        assert begun[channel] >= 2, "at least two flits have room"
        assert source.flits[channel], "and the others stay outside"


@pytest.mark.parametrize(("lanes", "lane_bits"), [(2, 16), (8, 64), (16, 64)])
@pytest.mark.parametrize("size", [64, 256, 4096])
def test_full_flits_are_taken_apart_as_fast_as_they_come(lanes: int, lane_bits: int, size: int) -> None:
    config = LinkConfig(ports=1, lanes=lanes, lane_bits=lane_bits)
    if size < config.beat_bytes:
        pytest.skip("a packet a cycle at most")
    chance = random.Random(size)
    dut = Unpacker(config)
    source = Source(dut, config, chance)
    takes = [Take(port, chance) for port in dut.packets]
    count = 0
    for channel in (0, 1, 4):
        stream = b"".join(write(size, chance).bytes() for _ in range(max(1, 1500 // size)))
        flits = flits_of(stream, config, chance, full=True)
        source.flits[channel].extend((flit, False) for flit in flits)
        count += len(flits)

    def step(ctx: Any, cycle: int) -> bool:
        source.drive(ctx)
        for take in takes:
            take.drive(ctx)
        source.put.sample(ctx)
        for take in takes:
            take.sample(ctx)
        return not source.put.waiting and not any(source.flits)

    cycles = run(dut, step, most=60000)
    assert cycles <= count * max(config.payload_beats, config.beats) + 2


@pytest.mark.parametrize(("lanes", "lane_bits"), WIDTHS)
def test_latency(lanes: int, lane_bits: int) -> None:
    config = LinkConfig(ports=1, lanes=lanes, lane_bits=lane_bits)
    chance = random.Random(0)
    dut = Unpacker(config)
    source = Source(dut, config, chance)
    source.flits[1].append((write(1, chance).bytes(), False))
    whole = -(-12 // config.beat_bytes) - 1
    first = None

    def step(ctx: Any, cycle: int) -> bool:
        nonlocal first
        source.drive(ctx)
        if source.put.sample(ctx) is not None and first is None:
            first = cycle
        return bool(ctx.get(dut.packets[1].valid))

    last = run(dut, step, most=100)
    assert first is not None
    assert last == first + whole + Unpacker.LATENCY


@pytest.mark.parametrize(("lanes", "lane_bits"), WIDTHS)
def test_a_cut_flit_ends_the_packet(lanes: int, lane_bits: int) -> None:
    config = LinkConfig(ports=1, lanes=lanes, lane_bits=lane_bits)
    chance = random.Random(11)
    dut = Unpacker(config)
    source = Source(dut, config, chance)
    takes = [Take(port, chance, 0.7) for port in dut.packets]
    readers = [PacketReader(config) for _ in range(CHANNELS)]
    expected: list[list[Packet]] = [[] for _ in range(CHANNELS)]
    got: list[list[Packet]] = [[] for _ in range(CHANNELS)]
    for channel in range(CHANNELS):
        for _ in range(4):
            whole = [random_packet(chance, most=300) for _ in range(chance.randint(0, 3))]
            expected[channel].extend(whole)
            broken = write(300, chance).bytes()[: 2 * chance.randint(0, 150)]
            flits = flits_of(b"".join(packet.bytes() for packet in whole) + broken, config, chance) or [b""]
            source.flits[channel].extend((flit, number == len(flits) - 1) for number, flit in enumerate(flits))
    idle = 0

    def step(ctx: Any, cycle: int) -> bool:
        nonlocal idle
        source.drive(ctx)
        for take in takes:
            take.drive(ctx)
        idle = 0 if source.put.waiting or any(source.flits) else idle + 1
        source.put.sample(ctx)
        for channel, take in enumerate(takes):
            if (word := take.sample(ctx)) is not None:
                idle = 0
                if (packet := readers[channel].word(word)) is not None:
                    got[channel].append(packet)
        return idle > 50

    run(dut, step, most=60000)
    assert got == expected
    assert all(reader.header is None for reader in readers), "no packet stays open"
    assert sum(reader.cut for reader in readers) > 5


@pytest.mark.parametrize(("lanes", "lane_bits"), WIDTHS)
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_reset_ends_every_packet_that_is_under_way(lanes: int, lane_bits: int, seed: int) -> None:
    config = LinkConfig(ports=1, lanes=lanes, lane_bits=lane_bits)
    chance = random.Random(seed)
    dut = Unpacker(config)
    source = Source(dut, config, chance)
    takes = [Take(port, chance, 0.7) for port in dut.packets]
    readers = [PacketReader(config) for _ in range(CHANNELS)]
    before: list[list[Packet]] = [[] for _ in range(CHANNELS)]
    after: list[list[Packet]] = [[] for _ in range(CHANNELS)]
    got: list[list[Packet]] = [[] for _ in range(CHANNELS)]
    for channel in range(CHANNELS):
        before[channel] = [random_packet(chance, most=500) for _ in range(12)]
        stream = b"".join(packet.bytes() for packet in before[channel])
        source.flits[channel].extend((flit, False) for flit in flits_of(stream, config, chance))
        after[channel] = [random_packet(chance, most=500) for _ in range(4)]
    reset_at = chance.randint(20, 400)

    def step(ctx: Any, cycle: int) -> bool:
        ctx.set(dut.reset_link, reset_at <= cycle < reset_at + 2)
        if cycle == reset_at:
            source.put.waiting.clear()
            source.put.offered = False
            for channel, flits in enumerate(source.flits):
                flits.clear()
                stream = b"".join(packet.bytes() for packet in after[channel])
                flits.extend((flit, False) for flit in flits_of(stream, config, chance))
        source.drive(ctx)
        for take in takes:
            take.drive(ctx)
        source.put.sample(ctx)
        for channel, take in enumerate(takes):
            if (word := take.sample(ctx)) is not None and (packet := readers[channel].word(word)) is not None:
                got[channel].append(packet)
        return cycle > reset_at and all(some[-4:] == last for some, last in zip(got, after, strict=True))

    run(dut, step, most=60000)
    for channel in range(CHANNELS):
        survived = got[channel][:-4]
        assert survived == before[channel][: len(survived)]
        assert readers[channel].cut <= 1
