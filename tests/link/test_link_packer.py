"""The packer fills flits with packets, byte for byte as the reference, and never waits for more."""

import random
from collections import deque
from typing import Any

import pytest
from openppu.link.config import CHANNELS, LinkConfig
from openppu.link.packer import Packer
from openppu_sim.reference.link_packets import Packet, packets_in
from openppu_verif.ends import Take, run
from packet_ends import CUT, Put, random_packet, words_of, write

WIDTHS = [(1, 16), (2, 16), (8, 16), (8, 64), (16, 64)]


class Flits:
    """What comes out: checks beats, gives each flit's channel, bytes and mark."""

    def __init__(self, config: LinkConfig) -> None:
        self.config = config
        self.beats: list[Any] = []
        self.grains: list[int] = []

    def beat(self, beat: Any) -> tuple[int, bytes, bool] | None:
        assert beat.first == (not self.beats)
        self.beats.append(beat)
        assert beat.channel == self.beats[0].channel
        assert beat.last == (len(self.beats) == self.config.payload_beats)
        if not beat.last:
            return None
        payload = b"".join(b.data.to_bytes(self.config.beat_bytes, "little") for b in self.beats)
        self.beats = []
        used = 2 * beat.used
        assert used <= self.config.payload_bytes
        assert not any(payload[used:]), "what is behind the used bytes is zero"
        self.grains.append(beat.used)
        return beat.channel, payload[:used], bool(beat.cut)


def beats_between(config: LinkConfig, cycle: int) -> bool:
    """Whether the lanes take payload in this cycle: not while they send trailers."""
    return cycle % config.beats < config.payload_beats


@pytest.mark.parametrize(
    ("lanes", "lane_bits", "fec"), [*((*width, False) for width in WIDTHS), (2, 16, True), (8, 32, True)]
)
def test_each_channels_bytes_are_its_packets(lanes: int, lane_bits: int, fec: bool) -> None:
    config = LinkConfig(ports=1, lanes=lanes, lane_bits=lane_bits, fec=fec)
    chance = random.Random(lanes * lane_bits + fec)
    dut = Packer(config)
    puts = [Put(port, chance, chance.choice([0.2, 0.7, 1.0])) for port in dut.packets]
    take, flits = Take(dut.send, chance, 0.8), Flits(config)
    expected = [b""] * CHANNELS
    got = [b""] * CHANNELS
    for channel, put in enumerate(puts):
        for _ in range(8):
            packet = random_packet(chance, most=400)
            put.waiting.extend(words_of(packet, config, chance))
            expected[channel] += packet.bytes()
    credits = [2] * CHANNELS
    begun = False

    def step(ctx: Any, cycle: int) -> bool:
        nonlocal begun
        for channel in range(CHANNELS):
            credits[channel] += chance.random() < 0.02
        ctx.set(dut.may_send, sum((count > 0) << channel for channel, count in enumerate(credits)))
        for put in puts:
            put.drive(ctx)
        take.drive(ctx)
        if begun:
            assert ctx.get(dut.send.valid), "a flit has no gaps"
        if (beat := take.sample(ctx)) is not None:
            begun = not beat.last
            if beat.first:
                assert credits[beat.channel] > 0, "a flit without a credit"
                credits[beat.channel] -= 1
            if (flit := flits.beat(beat)) is not None:
                channel, payload, cut = flit
                assert not cut
                got[channel] += payload
        for put in puts:
            put.sample(ctx)
        return got == expected

    run(dut, step, most=60000)
    for channel in range(CHANNELS):
        assert len(list(packets_in(got[channel]))) == 8


@pytest.mark.parametrize(("size", "goal"), [(4096, 0.93), (256, 0.90), (64, 0.80)])
@pytest.mark.parametrize(("lanes", "lane_bits"), [(1, 16), (2, 16), (8, 32), (8, 64)])
def test_writes_fill_the_lanes(size: int, goal: float, lanes: int, lane_bits: int) -> None:
    config = LinkConfig(ports=1, lanes=lanes, lane_bits=lane_bits)
    chance = random.Random(size)
    dut = Packer(config)
    put, take, flits = Put(dut.packets[0], chance), Take(dut.send, chance), Flits(config)
    count = max(3, (1500 + 150 * config.beat_bytes) // size)
    for _ in range(count):
        put.waiting.extend(words_of(write(size, chance), config, chance))
    begin: list[int] = []
    clock = 0

    def step(ctx: Any, cycle: int) -> bool:
        nonlocal clock
        ctx.set(dut.may_send, 1)
        put.drive(ctx)
        take.drive(ctx, allowed=beats_between(config, clock))
        if (beat := take.sample(ctx)) is not None:
            begin.append(cycle)
            flits.beat(beat)
        clock += bool(begin)
        put.sample(ctx)
        return not put.waiting

    last = run(dut, step, most=100000)
    share = count * size / ((last - begin[0]) * config.beat_bytes)
    assert share >= goal, f"{share:.4f} of all bytes on the wire are written data"
    assert set(flits.grains[:-1]) == {config.payload_bytes // 2}, "flits that are not full"


@pytest.mark.parametrize(("lanes", "lane_bits"), WIDTHS)
def test_latency(lanes: int, lane_bits: int) -> None:
    config = LinkConfig(ports=1, lanes=lanes, lane_bits=lane_bits)
    chance = random.Random(0)
    dut = Packer(config)
    put = Put(dut.packets[3], chance)
    put.waiting.extend(words_of(write(4, chance), config, chance))

    def step(ctx: Any, cycle: int) -> bool:
        ctx.set(dut.may_send, 63)
        if cycle >= 5:
            put.drive(ctx)
            put.sample(ctx)
        return bool(ctx.get(dut.send.valid))

    assert run(dut, step, most=20) == 5 + dut.latency
    assert dut.latency <= 2


def test_a_channel_without_credit_keeps_no_other_waiting() -> None:
    config = LinkConfig(ports=1, lanes=8, lane_bits=16)
    chance = random.Random(1)
    dut = Packer(config)
    puts = [Put(port, chance) for port in dut.packets]
    take, flits = Take(dut.send, chance), Flits(config)
    for put in puts:
        for _ in range(30):
            put.waiting.extend(words_of(write(256, chance), config, chance))
    sent = [0] * CHANNELS
    order: deque[int] = deque()

    def step(ctx: Any, cycle: int) -> bool:
        ctx.set(dut.may_send, 0b101101)
        for put in puts:
            put.drive(ctx)
        take.drive(ctx)
        if (beat := take.sample(ctx)) is not None and flits.beat(beat) is not None:
            sent[beat.channel] += 1
            order.append(beat.channel)
        for put in puts:
            put.sample(ctx)
        return cycle == 400

    run(dut, step, most=401)
    assert sent[1] == sent[4] == 0
    served = [sent[channel] for channel in (0, 2, 3, 5)]
    assert max(served) - min(served) <= 1, "each has its turn"
    assert sum(served) >= 400 // config.payload_beats - 2


@pytest.mark.parametrize(("lanes", "lane_bits"), WIDTHS)
def test_a_packet_that_is_cut_ends_its_flit(lanes: int, lane_bits: int) -> None:
    config = LinkConfig(ports=1, lanes=lanes, lane_bits=lane_bits)
    chance = random.Random(7)
    dut = Packer(config)
    put, take, flits = Put(dut.packets[2], chance), Take(dut.send, chance, 0.9), Flits(config)
    expected: list[tuple[bytes, bool]] = []
    for number in range(20):
        packet = write(chance.randint(2 * config.beat_bytes, 5 * config.beat_bytes), chance)
        words = words_of(packet, config, chance)
        if number % 2:
            keep = chance.randint(1, len(words) - 1)
            put.waiting.extend([*words[:keep], CUT])
            expected.append((packet.bytes()[: 10 + keep * config.beat_bytes], True))
        else:
            put.waiting.extend(words)
            expected.append((packet.bytes(), False))
    got, cuts = b"", []

    def step(ctx: Any, cycle: int) -> bool:
        nonlocal got
        ctx.set(dut.may_send, 63)
        put.drive(ctx)
        take.drive(ctx)
        if (beat := take.sample(ctx)) is not None and (flit := flits.beat(beat)) is not None:
            got += flit[1]
            if flit[2]:
                cuts.append(len(got))
        put.sample(ctx)
        return len(cuts) == 10 and not put.waiting

    run(dut, step, most=30000)
    assert got == b"".join(part for part, _ in expected)
    places, total = [], 0
    for part, cut in expected:
        total += len(part)
        if cut:
            places.append(total)
    assert cuts == places, "the mark stands where the packet was cut off"


@pytest.mark.parametrize(("lanes", "lane_bits"), WIDTHS)
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_reset_drops_what_has_begun_and_nothing_else(lanes: int, lane_bits: int, seed: int) -> None:
    config = LinkConfig(ports=1, lanes=lanes, lane_bits=lane_bits)
    chance = random.Random(seed)
    dut = Packer(config)
    puts = [Put(port, chance, 0.7) for port in dut.packets]
    take, flits = Take(dut.send, chance, 0.9), Flits(config)
    packets: list[list[Packet]] = [[], [], [], [], [], []]
    for number, put in enumerate(puts):
        for _ in range(15):
            packet = random_packet(chance, most=6 * config.beat_bytes)
            packets[number].append(packet)
            put.waiting.extend(words_of(packet, config, chance))
    total = [len(put.waiting) for put in puts]
    reset_at = chance.randint(10, 100)
    inside_at: list[int] = []
    got = [b""] * CHANNELS
    idle = 0

    def step(ctx: Any, cycle: int) -> bool:
        nonlocal idle
        reset = reset_at <= cycle < reset_at + 3
        if cycle == reset_at + 3:
            inside_at[:] = [all_ - len(put.waiting) for all_, put in zip(total, puts, strict=True)]
        if cycle == reset_at:
            flits.beats = []
            take.waits = None
            got[:] = [b""] * CHANNELS
        ctx.set(dut.reset_link, reset)
        ctx.set(dut.may_send, 63)
        for put in puts:
            put.drive(ctx)
        take.drive(ctx, allowed=not reset)
        beat = take.sample(ctx)
        if reset:
            take.waits = None
        elif beat is not None and (flit := flits.beat(beat)) is not None:
            got[flit[0]] += flit[1]
        for put in puts:
            put.sample(ctx)
        busy = cycle <= reset_at + 3 or any(put.waiting for put in puts) or ctx.get(dut.send.valid)
        idle = 0 if busy else idle + 1
        return idle == 5

    run(dut, step, most=30000)
    for number in range(CHANNELS):
        words = 0
        after = []
        for packet in packets[number]:
            begins, words = words, words + len(words_of(packet, config, chance))
            if begins >= inside_at[number]:
                after.append(packet)
        assert list(packets_in(got[number])) == after, f"channel {number}, reset at {reset_at}"
