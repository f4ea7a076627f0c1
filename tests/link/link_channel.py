"""Two link layers and the channel between them, which loses, changes and repeats beats and stops at any time."""

import random
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from amaranth import Module
from amaranth.sim import Simulator
from openppu.link.config import CHANNELS, LinkConfig
from openppu.link.link_counters import COUNTS
from openppu.link.link_layer import LinkLayer

Flit = tuple[int, int, bytes, bool]
"""Channel, grains used, their bytes, and whether it is cut."""


@dataclass(kw_only=True)
class Noise:
    """What the channel does, each with its probability for a beat; ``bits``: wrong bits for each bit sent."""

    bits: float = 0.0
    drop: float = 0.0
    double: float = 0.0
    stop: float = 0.0
    hold: float = 0.0
    """Of a beat not taken in a clock."""


@dataclass
class Direction:
    """The lanes one way: beats on their way, each with the clock in which it arrives."""

    config: LinkConfig
    noise: Noise
    chance: random.Random
    delay: int
    beats: deque[tuple[int, int, int, int]] = field(default_factory=deque)
    up: bool = True
    wait: int = 0
    sent: int = 0
    next_error: float = 0.0
    wrong: int = 0
    flits: int = 0

    def __post_init__(self) -> None:
        self.schedule()

    def schedule(self) -> None:
        """The bit that is wrong next."""
        self.next_error += self.chance.expovariate(self.noise.bits) if self.noise.bits else float("inf")

    def put(self, clock: int, data: int, first: int, last: int) -> None:
        """A beat goes into the lanes."""
        width = 8 * self.config.beat_bytes
        while self.next_error < self.sent + width:
            data ^= 1 << int(self.next_error) - self.sent
            self.wrong += 1
            self.schedule()
        self.sent += width
        self.flits += last
        if self.chance.random() < self.noise.drop:
            return
        arrives = max(clock + self.delay, self.beats[-1][0] + 1 if self.beats else 0)
        self.beats.append((arrives, data, first, last))
        if self.chance.random() < self.noise.double:
            self.beats.append((arrives + 1, data, first, last))


@dataclass
class Side:
    """One link layer's user: what it sends, what it got, and what it wants."""

    chance: random.Random
    rate: float
    want: float
    to_send: list[deque[Flit]]
    current: deque[tuple[int, int, int, int, int, int]] = field(default_factory=deque)
    got: list[list[Flit]] = field(default_factory=lambda: [[] for _ in range(CHANNELS)])
    partial: list[int] = field(default_factory=list)
    room: int = 0
    first_beats: list[int] = field(default_factory=list)


class Pair:
    """Two link layers face to face.

    Parameters
    ----------
    config : LinkConfig
    noise : Noise
    seed : int
    delay : int
        Clocks from one side to the other.
    traffic : tuple of list of flits
        What each side sends, in order.
    rate, want : float
        Probability that a flit is offered when it may be, and that a channel is wanted.

    Attributes
    ----------
    unwanted : set of int
        Channels that are never wanted.
    begun : list of int
        The clocks in which a flit began.
    counts, round_trips
        Of both sides, at the end.
    """

    def __init__(
        self,
        config: LinkConfig,
        noise: Noise,
        *,
        seed: int,
        traffic: tuple[list[Flit], list[Flit]],
        delay: int = 4,
        rate: float = 1.0,
        want: float = 1.0,
    ) -> None:
        self.config, self.traffic = config, traffic
        self.chance = random.Random(seed)
        self.layers = (LinkLayer(config), LinkLayer(config))
        self.ways = tuple(Direction(config, noise, random.Random(f"{seed} {way}"), delay) for way in range(2))
        self.sides = tuple(
            Side(random.Random(f"{seed} side {number}"), rate, want, [deque() for _ in range(CHANNELS)])
            for number in range(2)
        )
        for side, flits in zip(self.sides, traffic, strict=True):
            for flit in flits:
                side.to_send[flit[0]].append(flit)
        self.clock = 0
        self.unwanted: set[int] = set()
        self.begun: list[int] = []
        self.counts: list[dict[str, int]] = []
        self.round_trips: list[int] = []

    def run(self, clocks: int, *, whole: bool = False) -> None:
        """Until everything has arrived, and with ``whole`` for all the clocks.

        Raises
        ------
        AssertionError
            If it takes longer.
        """
        m = Module()
        m.submodules.a, m.submodules.b = self.layers
        simulator = Simulator(m)
        simulator.add_clock(1e-6)

        async def bench(ctx: Any) -> None:
            for clock in range(clocks):
                self.clock = clock
                for number in range(2):
                    self.drive(ctx, number)
                for number in range(2):
                    self.sample(ctx, number)
                await ctx.tick()
                if not whole and all(self.finished(number) for number in range(2)):
                    break
            for layer in self.layers:
                status = layer.status
                self.counts.append({name: ctx.get(status.counts[name]) for name in COUNTS})
                self.round_trips.append(ctx.get(status.round_trip))

        simulator.add_testbench(bench)
        simulator.run()
        assert whole or all(self.finished(number) for number in range(2)), f"not done after {clocks} clocks"

    def finished(self, number: int) -> bool:
        """Whether all that this side sent has arrived."""
        return sum(map(len, self.sides[1 - number].got)) == len(self.traffic[number])

    def drive(self, ctx: Any, number: int) -> None:
        """The inputs of a side's link layer."""
        layer, side, out, into = self.layers[number], self.sides[number], self.ways[number], self.ways[1 - number]
        noise, config = out.noise, self.config
        # The lanes stop and start again.
        if out.wait:
            out.wait -= 1
            out.up = out.wait == 0
        elif out.chance.random() < noise.stop:
            out.up, out.wait = False, out.chance.choice((1, 2, 3, 10, 60))
            out.beats.clear()
        ctx.set(layer.sending, out.up)
        ctx.set(layer.receiving, into.up)
        ctx.set(layer.transmit.ready, out.up and out.chance.random() >= noise.hold)
        if into.beats and into.beats[0][0] <= self.clock:
            _, data, first, last = into.beats.popleft()
            ctx.set(layer.receive_beats, {"data": data, "first": first, "last": last})
            ctx.set(layer.receive_valid, 1)
        else:
            ctx.set(
                layer.receive_beats, {"data": side.chance.getrandbits(8 * config.beat_bytes), "first": 1, "last": 1}
            )
            ctx.set(layer.receive_valid, 0)
        # A flit to send.
        if not side.current:
            may = ctx.get(layer.may_send)
            ready = [channel for channel in range(CHANNELS) if side.to_send[channel] and may >> channel & 1]
            if ready and side.chance.random() < side.rate:
                side.current.extend(self.beats_of(side.to_send[side.chance.choice(ready)].popleft()))
        if side.current:
            data, channel, used, cut, first, last = side.current[0]
            ctx.set(
                layer.send.payload,
                {"data": data, "channel": channel, "used": used, "cut": cut, "first": first, "last": last},
            )
        ctx.set(layer.send.valid, bool(side.current))
        ctx.set(layer.receive.ready, side.chance.random() < 0.5 + side.want / 2)
        wanted = {channel for channel in range(CHANNELS) if side.chance.random() < side.want} - self.unwanted
        ctx.set(layer.wanted, sum(1 << channel for channel in wanted))

    def sample(self, ctx: Any, number: int) -> None:
        """The outputs of a side's link layer."""
        layer, side, out = self.layers[number], self.sides[number], self.ways[number]
        if ctx.get(layer.send.valid) and ctx.get(layer.send.ready) and side.current.popleft()[4]:
            self.begun.append(self.clock)
        if out.up and ctx.get(layer.transmit.valid) and ctx.get(layer.transmit.ready):
            beat = ctx.get(layer.transmit.payload)
            out.put(self.clock, beat["data"], beat["first"], beat["last"])
        if ctx.get(layer.receive.valid) and ctx.get(layer.receive.ready):
            self.take(side, ctx.get(layer.receive.payload))

    def take(self, side: Side, beat: Any) -> None:
        """A beat has come out."""
        assert beat["first"] == (not side.partial)
        if beat["first"]:
            side.first_beats.append(self.clock)
        side.partial.append(beat["data"])
        assert beat["last"] == (len(side.partial) == self.config.payload_beats)
        if beat["last"]:
            size = self.config.beat_bytes
            raw = b"".join(data.to_bytes(size, "little") for data in side.partial)[: self.config.payload_bytes]
            side.got[beat["channel"]].append(
                (beat["channel"], beat["used"], raw[: 2 * beat["used"]], bool(beat["cut"]))
            )
            assert not any(raw[2 * beat["used"] :])
            side.partial.clear()

    def beats_of(self, flit: Flit) -> list[tuple[int, int, int, int, int, int]]:
        """The payload beats of a flit; what is behind the payload is anything."""
        channel, used, raw, cut = flit
        size, beats = self.config.beat_bytes, self.config.payload_beats
        behind = beats * size - self.config.payload_bytes
        padded = raw.ljust(self.config.payload_bytes, b"\0") + self.chance.randbytes(behind)
        return [
            (int.from_bytes(padded[beat * size :][:size], "little"), channel, used, cut, beat == 0, beat == beats - 1)
            for beat in range(beats)
        ]

    def check(self) -> None:
        """Every flit has arrived once, in order in its channel, as it was sent."""
        for number in range(2):
            for channel in range(CHANNELS):
                sent = [flit for flit in self.traffic[number] if flit[0] == channel]
                got = self.sides[1 - number].got[channel]
                assert got == sent, f"side {number}, channel {channel}: {len(got)} of {len(sent)}"


def random_flits(config: LinkConfig, count: int, seed: int | str, channels: range = range(CHANNELS)) -> list[Flit]:
    """Flits of any channel and fill."""
    chance = random.Random(seed)
    flits = []
    for _ in range(count):
        used = chance.choice((config.payload_bytes // 2, chance.randint(1, config.payload_bytes // 2)))
        flits.append((chance.choice(channels), used, chance.randbytes(2 * used), chance.random() < 0.2))
    return flits
