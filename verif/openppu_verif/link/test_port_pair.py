"""Two ports in cocotb, with a line of lanes each way between them."""

import random
from collections import deque
from typing import Any

import cocotb
from cocotb.handle import Immediate
from cocotb.triggers import Timer
from openppu.link.config import CHANNELS, LinkConfig
from openppu.link.layouts import BRINGS_DATA, Header, Operation, packet_layout
from openppu.link.port import port_status_layout
from openppu_sim.simulator.cocotb_runner import parameters

from openppu_verif.link.line import Lane, Line
from openppu_verif.link.pair import SIDES
from openppu_verif.streams import Sink, Source

PATIENCE = 30_000
OPERATIONS = tuple(Operation)
MOST_BYTES = 90


class Side:
    """A port: its streams, the line that it sends on, and what its packets must come to."""

    def __init__(self, dut: Any, name: str, config: LinkConfig, line: Line, noise: random.Random) -> None:
        self.name, self.line, self.dut, self.config = name, line, dut, config
        self.sources = [Source(dut, f"{name}__send__{channel}", noise) for channel in range(CHANNELS)]
        self.sinks = [Sink(dut, f"{name}__receive__{channel}") for channel in range(CHANNELS)]
        self.expected: list[deque[int]] = [deque() for _ in range(CHANNELS)]
        self.delivered = 0
        self.serdes = {
            member: getattr(dut, f"{name}__serdes__{member}")
            for member in ("send", "send_idle", "receive", "receive_valid", "signal")
        }
        self.reset = getattr(dut, f"{name}__reset")

    @property
    def status(self) -> Any:
        """What the port tells of itself."""
        return port_status_layout(self.config).from_bits(int(getattr(self.dut, f"{self.name}__status").value))


class Bench:
    """Both ports and both lines."""

    def __init__(self, dut: Any) -> None:
        self.dut, self.config = dut, LinkConfig(**parameters()["config"])
        self.chance = random.Random(cocotb.RANDOM_SEED)
        self.layout = packet_layout(self.config)
        lines = [
            Line(self.config.lanes, self.config.lane_bits, seed=self.chance.randrange(1 << 30), skew=64, delay=3)
            for _ in SIDES
        ]
        self.sides = [Side(dut, name, self.config, line, self.chance) for name, line in zip(SIDES, lines, strict=True)]
        self.clock = 0

    async def begin(self) -> None:
        """Reset both."""
        await Timer(1, "ns")
        for side in self.sides:
            for source in side.sources:
                source.begin()
            for sink in side.sinks:
                sink.begin()
            side.reset.set(Immediate(0))
            for member in ("receive", "receive_valid", "signal"):
                side.serdes[member].set(Immediate(0))
        self.dut.rst.set(Immediate(1))
        for level in (0, 1, 0, 1):
            self.dut.clk.set(Immediate(level))
            await Timer(1, "ns")
        self.dut.rst.set(Immediate(0))

    async def step(self) -> None:
        """One clock: each line takes what its side sends, and gives the other side what comes of it."""
        half = Timer(1, "ns")
        self.dut.clk.set(Immediate(0))
        for side in self.sides:
            for source in side.sources:
                source.drive(self.clock)
            for sink in side.sinks:
                sink.drive(self.clock)
        await half
        given = []
        for side, other in zip(self.sides, reversed(self.sides), strict=True):
            for source in side.sources:
                source.sample()
            for channel, sink in enumerate(side.sinks):
                self._arrived(other, channel, sink.sample(self.clock))
            given.append(side.line.clock(int(side.serdes["send"].value), int(side.serdes["send_idle"].value)))
        self.dut.clk.set(Immediate(1))
        await half
        for side, (words, valid, signal) in zip(reversed(self.sides), given, strict=True):
            side.serdes["receive"].set(Immediate(words))
            side.serdes["receive_valid"].set(Immediate(valid))
            side.serdes["signal"].set(Immediate(signal))
        self.clock += 1
        assert self.clock < PATIENCE, f"not done after {PATIENCE} clocks, seed {cocotb.RANDOM_SEED}"

    def _arrived(self, sender: Side, channel: int, word: int | None) -> None:
        if word is None:
            return
        expected = sender.expected[channel]
        assert expected, f"from {sender.name}, channel {channel}: a word too many, seed {cocotb.RANDOM_SEED}"
        assert self._meaning(word) == self._meaning(expected.popleft()), (
            f"from {sender.name}, channel {channel}: a wrong word in clock {self.clock}, seed {cocotb.RANDOM_SEED}"
        )
        sender.delivered += self.layout.from_bits(word).last

    def _meaning(self, bits: int) -> tuple[int, ...]:
        """A word without what does not count in it."""
        word = self.layout.from_bits(bits)
        count = (word.count + 1) * word.filled
        header = Header.as_shape()
        size = sum(place.width for _, place in header)
        return (
            bits >> self.layout["header"].offset & ((1 << size) - 1) if word.first else 0,
            word.data & ((1 << 8 * count) - 1),
            count,
            word.first,
            word.last,
            word.cut,
        )

    def put(self, side: Side, channel: int, count: int) -> None:
        """Queue random packets."""
        header = Header.as_shape()
        for _ in range(count):
            operation = self.chance.choice(OPERATIONS)
            size = self.chance.randint(1, MOST_BYTES)
            values = {name: self.chance.getrandbits(place.width) for name, place in header}
            values |= {"operation": operation, "status": 0, "length": size - 1}
            left = size if operation in BRINGS_DATA else 0
            first = True
            while first or left:
                here = min(left, self.config.beat_bytes)
                left -= here
                word = {
                    "header": values,
                    "data": self.chance.getrandbits(8 * self.config.beat_bytes),
                    "count": max(here - 1, 0),
                    "filled": here > 0,
                    "cut": 0,
                    "first": first,
                    "last": left == 0,
                }
                bits = self.layout.const(word).as_bits()
                side.sources[channel].put(bits)
                side.expected[channel].append(bits)
                first = False

    async def until_delivered(self) -> None:
        """Go on until all that was queued has arrived."""
        while any(any(side.expected) for side in self.sides):
            await self.step()


def _patterns(bench: Bench, rate: float) -> None:
    for side in bench.sides:
        for end in (*side.sources, *side.sinks):
            end.allow([bench.chance.random() < rate for _ in range(PATIENCE)])


async def _exchange(dut: Any, packets: int, rate: float = 1.0, error_rate: float = 0.0) -> Bench:
    bench = Bench(dut)
    await bench.begin()
    _patterns(bench, rate)
    for side in bench.sides:
        for lane in side.line.lanes:
            lane.error_rate = error_rate
        for channel in range(CHANNELS):
            bench.put(side, channel, packets)
    await bench.until_delivered()
    assert all(side.delivered == CHANNELS * packets for side in bench.sides)
    return bench


@cocotb.test()
async def packets_of_all_channels_arrive_in_order_over_crossed_lanes(dut: Any) -> None:
    """Skewed by up to 64 bits, inverted, in any order; clean."""
    bench = await _exchange(dut, 4)
    for side in bench.sides:
        assert side.status.link.counts.bad == 0


@cocotb.test()
async def nothing_is_lost_to_backpressure(dut: Any) -> None:
    """Every stream is held half of the time."""
    await _exchange(dut, 3, rate=0.5)


@cocotb.test()
async def wrong_bits_cost_flits_that_are_sent_again(dut: Any) -> None:
    """A bit in 3,000 is wrong."""
    bench = await _exchange(dut, 8, error_rate=1 / 3000)
    assert all(side.status.link.counts.bad > 0 for side in bench.sides)
    assert sum(side.status.link.counts.replayed for side in bench.sides) > 0


def _swap(lane: Lane, bits: int, chance: random.Random) -> None:
    if len(lane.sent) > 1:
        lane.sent[0], lane.sent[1] = lane.sent[1], lane.sent[0]


def _burst(lane: Lane, bits: int, chance: random.Random) -> None:
    if lane.sent:
        lane.sent[0] ^= 1 | chance.getrandbits(bits) | 1 << bits - 1


def _lose(lane: Lane, bits: int, chance: random.Random) -> None:
    if lane.delay >= 2 * bits:
        lane.delay -= bits


def _double(lane: Lane, bits: int, chance: random.Random) -> None:
    lane.delay += bits


@cocotb.test()
async def bursts_and_words_that_are_swapped_lost_or_doubled_lose_no_packet(dut: Any) -> None:
    """One after the other, on any lane; a lane that has lost a word, or has one too many, is aligned anew."""
    bench = Bench(dut)
    await bench.begin()
    for fault in (_burst, _swap, _lose, _double) * 2:
        for side in bench.sides:
            for channel in range(CHANNELS):
                bench.put(side, channel, 3)
        before = bench.sides[0].delivered
        while bench.sides[0].delivered < before + CHANNELS:
            await bench.step()
        for side in bench.sides:
            fault(bench.chance.choice(side.line.lanes), side.line.bits, bench.chance)
        await bench.until_delivered()
    assert all(side.delivered == CHANNELS * 24 for side in bench.sides)
    # Two lost and two doubled words each way; a burst, or words in the wrong order, need no training.
    assert all(side.status.physical.retrains >= 4 for side in bench.sides)
    assert all(side.status.link.counts.bad >= 4 for side in bench.sides)


@cocotb.test()
async def a_lane_dies_and_the_rest_go_on(dut: Any) -> None:
    """Its signal goes amid traffic."""
    bench = Bench(dut)
    await bench.begin()
    for side in bench.sides:
        for channel in range(CHANNELS):
            bench.put(side, channel, 6)
    while bench.sides[0].delivered < 10:
        await bench.step()
    bench.sides[0].line.lanes[0].alive = False
    await bench.until_delivered()
    assert bench.sides[0].status.physical.send_width < bench.sides[1].status.physical.send_width


@cocotb.test()
async def after_a_reset_of_one_side_both_begin_anew(dut: Any) -> None:
    """Packets that are sent once both are up again arrive."""
    bench = await _exchange(dut, 2)
    a, b = bench.sides
    before = b.status.resets
    a.reset.set(Immediate(1))
    for _ in range(5):
        await bench.step()
    a.reset.set(Immediate(0))
    while b.status.resets == before:
        await bench.step()
    for side in bench.sides:
        for channel in range(CHANNELS):
            bench.put(side, channel, 3)
    await bench.until_delivered()
