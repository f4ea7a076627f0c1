"""Flits of a port whose lanes die go through another one, each once and in order; then the lanes take over again."""

import random
from dataclasses import replace
from typing import Any

import pytest
from amaranth import Module, Signal
from amaranth.lib import wiring
from openppu.link.config import CHANNELS, LinkConfig
from openppu.link.failover import Failover
from openppu.link.layouts import packet_layout
from openppu.link.link_layer import LinkLayer
from openppu.link.settings import TrainingSettings
from openppu.link.topology import pair, ring
from openppu.link.tunnel import Tunnel, way_of
from openppu.link.word_queue import WordQueue
from openppu.section import ConfigError
from openppu_verif.ends import Take, run
from packet_ends import Put

CONFIG = LinkConfig(ports=2, lanes=2, lane_bits=64, credits=2, window=16)
WAY = way_of((1, 2), 3)
FLITS = 40


def test_a_way_says_hop_after_hop() -> None:
    assert way_of((), 4) == 4 << 3 | 7
    assert way_of((1, 2), 3) == 3 << 9 | 7 << 6 | 2 << 3 | 1
    with pytest.raises(ValueError, match=r"^12 hops: a tunnel has 11 at most$"):
        way_of((0,) * 12, 0)


def beats_of(number: int, channel: int, chance: random.Random) -> list[dict[str, Any]]:
    """A flit whose first beat is its number."""
    count = CONFIG.payload_beats
    return [
        {
            "data": number if beat == 0 else chance.getrandbits(8 * CONFIG.beat_bytes),
            "channel": channel,
            "used": 120,
            "cut": 0,
            "first": beat == 0,
            "last": beat == count - 1,
        }
        for beat in range(count)
    ]


class Side:
    """A link layer and its tunnel, with flits to send."""

    def __init__(self, m: Module, name: str, chance: random.Random) -> None:
        self.link, self.tunnel = LinkLayer(CONFIG), Tunnel(CONFIG)
        m.submodules[f"link_{name}"], m.submodules[f"tunnel_{name}"] = self.link, self.tunnel
        link, tunnel = self.link, self.tunnel
        wiring.connect(m, link.transmit, tunnel.transmit)
        m.d.comb += [
            link.sending.eq(tunnel.sending),
            link.receive_beats.eq(tunnel.receive_beats),
            link.receive_valid.eq(tunnel.receive_valid),
            link.receiving.eq(tunnel.receiving),
            tunnel.between.eq(link.between),
            link.spares.eq(tunnel.status.active),
            link.wanted.eq(-1),
        ]
        self.put, self.take = Put(link.send, chance), Take(link.receive, chance, 0.9)
        for number in range(FLITS):
            self.put.waiting.extend(beats_of(number, number % CHANNELS, chance))
        self.got: list[list[int]] = [[] for _ in range(CHANNELS)]

    def step(self, ctx: Any) -> None:
        """One cycle."""
        self.put.drive(ctx)
        self.take.drive(ctx)
        self.put.sample(ctx)
        if (beat := self.take.sample(ctx)) is not None and beat.first:
            self.got[beat.channel].append(beat.data)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_flits_arrive_once_while_the_lanes_come_and_go(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tunnel, "LEAST_PATIENCE", 1)
    chance = random.Random(seed)
    m = Module()
    sides = [Side(m, name, chance) for name in "ab"]
    alive = Signal()
    for number, (one, other) in enumerate((sides, sides[::-1])):
        near, far = one.tunnel, other.tunnel
        # Lanes of a clock; they take a beat in three of four.
        rest = Signal(2, name=f"rest_{number}")
        beat = Signal.like(near.lanes_transmit.payload, name=f"beat_{number}")
        valid = Signal(name=f"valid_{number}")
        m.d.sync += [
            rest.eq(rest + 1),
            beat.eq(near.lanes_transmit.payload),
            valid.eq(near.lanes_transmit.valid & near.lanes_transmit.ready),
        ]
        # The other ports, which now and then are busy.
        queue = WordQueue(packet_layout(CONFIG), depth=20)
        m.submodules[f"queue_{number}"] = queue
        wiring.connect(m, near.packets, queue.i)
        gate = Signal(name=f"gate_{number}")
        m.d.comb += [
            near.dead.eq(~alive),
            near.lanes_sending.eq(alive),
            near.lanes_receiving.eq(alive),
            near.lanes_transmit.ready.eq(alive & (rest != 0)),
            far.lanes_receive.eq(beat),
            far.lanes_valid.eq(valid & alive),
            far.arrivals.valid.eq(queue.o.valid & gate),
            far.arrivals.payload.eq(queue.o.payload),
            queue.o.ready.eq(far.arrivals.ready & gate),
        ]
        m.d.sync += gate.eq(rest[0] | ~gate)
    headers: set[tuple[int, int, int]] = set()
    under_way = [False, False]
    changes = 0
    is_alive = True
    until = 300

    def step(ctx: Any, cycle: int) -> bool:
        nonlocal changes, is_alive, until
        if cycle == until:
            is_alive, until, changes = not is_alive, cycle + chance.randint(150, 600), changes + 1
        ctx.set(alive, is_alive)
        for number, side in enumerate(sides):
            # The second one is slower to see it.
            ctx.set(
                side.tunnel.control,
                {"enable": 1, "way": WAY, "chip": number, "far_chip": 1 - number, "patience": 10 + 40 * number},
            )
            side.step(ctx)
            packets = side.tunnel.packets
            if ctx.get(packets.valid) and ctx.get(packets.ready):
                assert ctx.get(packets.payload.first) != under_way[number], "a packet ends before the next one begins"
                under_way[number] = not ctx.get(packets.payload.last)
            if ctx.get(packets.valid) and ctx.get(packets.payload.first):
                header = packets.payload.header
                headers.add((ctx.get(header.source), ctx.get(header.destination), ctx.get(header.address)))
        return all(sum(map(len, side.got)) >= FLITS for side in sides)

    run(m, step, most=20000)
    for side in sides:
        assert side.got == [[n for n in range(FLITS) if n % CHANNELS == channel] for channel in range(CHANNELS)]
    assert changes >= 2, "the lanes came and went"
    assert headers == {(0, 1, WAY), (1, 0, WAY)}


def test_a_port_that_does_not_fail_over_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tunnel, "LEAST_PATIENCE", 15)
    dut = Tunnel(CONFIG)
    seen: list[tuple[int, int]] = []

    def step(ctx: Any, cycle: int) -> bool:
        ctx.set(dut.control, {"enable": 0, "patience": 20 if cycle > 100 else 0})
        ctx.set(dut.dead, cycle > 10)
        seen.append((ctx.get(dut.gives_up), ctx.get(dut.status.active)))
        return cycle == 150

    run(dut, step, most=151)
    assert (1, 0) not in seen[:101]
    assert seen[-1] == (1, 0)


def test_a_patience_that_is_shorter_than_a_training_is_refused_and_not_used() -> None:
    with pytest.raises(ConfigError, match=r"^failover.patience = 4095: give 4096 to 65535, for a training "):
        Failover(hops=(), far_chip=1, far_port=0, patience=4095)
    slow = TrainingSettings(settle_most=9000)
    with pytest.raises(ConfigError, match=r"^failover.patience = 9000: give 9256 to 65535"):
        Failover(hops=(), far_chip=1, far_port=0, patience=9000, settings=slow)
    with pytest.raises(ConfigError, match=r"^topology ring of 3: port 2 of chip 0 leads nowhere$"):
        Failover.around(replace(ring(3), peers=((None,) * 3,) * 3), 0, 2, patience=0)
    around = Failover.around(ring(3), 0, 0, patience=5000)
    assert around.values() == {"enable": True, "way": way_of((1, 1), 1), "far_chip": 1, "patience": 5000}
    assert not Failover.around(pair(), 0, 0, patience=0).values()["enable"]
    # One that is written nevertheless is taken as the least.
    dut = Tunnel(CONFIG)
    gave_up: list[int] = []

    def step(ctx: Any, cycle: int) -> bool:
        ctx.set(dut.control, {"enable": 0, "patience": 20})
        ctx.set(dut.dead, 1)
        gave_up.extend([cycle] * ctx.get(dut.gives_up))
        return bool(gave_up)

    run(dut, step, most=5000)
    assert gave_up == [Tunnel.LEAST_PATIENCE]
