"""A port is reset while its flits go through a tunnel: the other one begins anew with it, and again when told so."""

import random
from typing import Any

import pytest
from amaranth import Module, ResetInserter, Signal
from amaranth.lib import wiring
from openppu.link.config import LinkConfig
from openppu.link.layouts import packet_layout
from openppu.link.port import Port
from openppu.link.settings import TrainingSettings
from openppu.link.tunnel import Tunnel, way_of
from openppu.link.word_queue import WordQueue
from openppu_sim.reference.link_packets import WRITE, Packet
from openppu_verif.ends import Take, run
from packet_ends import PacketReader, Put, words_of

CONFIG = LinkConfig(ports=2, lanes=1, lane_bits=64, credits=2, window=8)
SETTINGS = TrainingSettings(
    align_timeout=400,
    width_timeout=200,
    start_timeout=200,
    retrain_timeout=100,
    reset_timeout=300,
    settle_least=16,
    settle_most=100,
)
PATIENCE = 150
BATCH = 4


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tunnel, "LEAST_PATIENCE", PATIENCE)


class End:
    """A port, numbered packets that go into it on channel 0, and the numbers that come out."""

    def __init__(self, m: Module, number: int, reset: Signal, chance: random.Random) -> None:
        self.number, self.port, self.chance = number, Port(CONFIG), chance
        m.submodules[f"port_{number}"] = ResetInserter(reset)(self.port)
        self.put, self.take = Put(self.port.send[0], chance), Take(self.port.receive[0], chance, 0.8)
        self.reader = PacketReader(CONFIG)
        self.given = 0
        self.fails_over = True
        self.got: list[int] = []

    def offer(self, count: int) -> range:
        """Packets to send; their numbers."""
        numbers = range(self.given, self.given + count)
        self.given += count
        for number in numbers:
            size = self.chance.randint(1, 300)
            packet = Packet(operation=WRITE, address=number, length=size, data=self.chance.randbytes(size))
            self.put.waiting.extend(words_of(packet, CONFIG, self.chance))
        return numbers

    def forget(self) -> None:
        """It is reset: what was half sent or half received is gone."""
        self.put.waiting.clear()
        self.put.offered = False
        self.take.waits = None
        self.reader.header = None

    def step(self, ctx: Any) -> None:
        """One cycle."""
        ctx.set(self.port.settings, SETTINGS.values())
        ways = {"enable": self.fails_over, "way": way_of((1,), 0), "chip": self.number, "far_chip": 1 - self.number}
        ctx.set(self.port.tunnel, ways | {"patience": PATIENCE})
        self.put.drive(ctx)
        self.take.drive(ctx)
        self.put.sample(ctx)
        if (word := self.take.sample(ctx)) is not None and (packet := self.reader.word(word)) is not None:
            self.got.append(packet.address)


class Bench:
    """Two ports, their lanes, and a tunnel each way between them."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.m = m = Module()
        self.alive, self.reset = Signal(), Signal(2)
        self.ends = [End(m, number, self.reset[number], self.chance) for number in range(2)]
        for number, (one, other) in enumerate((self.ends, self.ends[::-1])):
            near, far = one.port, other.port
            m.d.comb += [
                far.serdes.receive.eq(near.serdes.send),
                far.serdes.receive_valid.eq(-1),
                far.serdes.signal.eq((~near.serdes.send_idle) & self.alive.replicate(CONFIG.lanes)),
            ]
            queue = WordQueue(packet_layout(CONFIG), depth=16)
            m.submodules[f"queue_{number}"] = queue
            wiring.connect(m, near.tunnel_send, queue.i)
            wiring.connect(m, queue.o, far.tunnel_receive)

    def run(self, script: Any, most: int = 12_000) -> None:
        """Go through a generator, which waits for the conditions that it yields."""
        waits: Any = None
        steps: Any = None

        def step(ctx: Any, cycle: int) -> bool:
            nonlocal waits, steps
            for end in self.ends:
                end.step(ctx)
            if steps is None:
                steps = script(ctx)
                waits = next(steps)
            if waits():
                waits = next(steps, None)
            return waits is None

        run(self.m, step, most=most)

    def tunnelled(self, ctx: Any) -> bool:
        """Whether both have had flits through the tunnel since they were reset."""
        return all(ctx.get(end.port.status.tunnel.received) for end in self.ends)

    def arrived(self, numbers: list[range]) -> bool:
        """Whether the last of what both offered is there."""
        return all(end.got[-1:] == [their[-1]] for end, their in zip(self.ends, numbers[::-1], strict=True))


@pytest.mark.parametrize(
    ("seed", "who"), [(0, 0), pytest.param(1, 1, marks=pytest.mark.slow), pytest.param(2, 2, marks=pytest.mark.slow)]
)
def test_a_reset_during_a_tunnel_begins_both_anew_and_costs_what_was_on_its_way(seed: int, who: int) -> None:
    """``who``: a, b or both."""
    bench = Bench(seed)
    a, b = bench.ends
    later: list[range] = []
    before: list[int] = []

    def script(ctx: Any) -> Any:
        ctx.set(bench.alive, 1)
        first = [end.offer(BATCH) for end in bench.ends]
        yield lambda: bench.arrived(first)
        ctx.set(bench.alive, 0)
        tunnelled = [end.offer(BATCH) for end in bench.ends]
        yield lambda: bench.arrived(tunnelled)
        assert a.got == b.got == list(range(2 * BATCH)), "through the tunnel, each once and in order"
        assert bench.tunnelled(ctx)
        # The reset, in the midst of packets both ways.
        for end in bench.ends:
            end.offer(BATCH)
        count = [len(end.got) for end in bench.ends]
        yield lambda: all(len(end.got) > had for end, had in zip(bench.ends, count, strict=True))
        ctx.set(bench.reset, 3 if who == 2 else 1 << who)
        for number, end in enumerate(bench.ends):
            if who in (2, number):
                end.forget()
                ctx.set(end.port.send[0].valid, 0)
        yield lambda: True
        ctx.set(bench.reset, 0)
        for number, end in enumerate(bench.ends):
            if who in (2, number):
                end.forget()
        # What the other one takes until it knows is lost; so wait for both to be there.
        resets = [0 if who in (2, number) else 1 for number in range(2)]
        yield lambda: bench.tunnelled(ctx) and resets == [ctx.get(end.port.status.resets) for end in bench.ends]
        before.extend(ctx.get(end.port.status.resets) for end in bench.ends)
        later.extend(end.offer(BATCH) for end in bench.ends)
        yield lambda: bench.arrived(later)
        # The lanes are back: they go on with what the tunnel has begun.
        ctx.set(bench.alive, 1)
        last = [end.offer(BATCH) for end in bench.ends]
        yield lambda: bench.arrived(last)
        yield lambda: all(ctx.get(end.port.status.physical.state.as_value()) == 5 for end in bench.ends)
        later[:] = [range(one[0], end.offer(BATCH)[-1] + 1) for one, end in zip(later, bench.ends, strict=True)]
        yield lambda: bench.arrived(later)
        assert before == [ctx.get(end.port.status.resets) for end in bench.ends], "no other reset"

    bench.run(script)
    for end, other in ((a, b), (b, a)):
        assert end.got == sorted(set(end.got)), "none twice, in order"
        sent = later[other.number]
        assert end.got[-len(sent) :] == list(sent), "of what came after the reset, all"
    if who < 2:
        assert before[1 - who] == 1, "the other one began anew, once"


@pytest.mark.slow
def test_a_tunnel_from_the_start_goes_on_over_lanes_and_back() -> None:
    """The lanes have never been up; then they come, and go: nothing is lost."""
    bench = Bench(3)

    def script(ctx: Any) -> Any:
        first = [end.offer(BATCH) for end in bench.ends]
        yield lambda: bench.arrived(first)
        for alive in (1, 0, 1):
            ctx.set(bench.alive, alive)
            more = [end.offer(3 * BATCH) for end in bench.ends]
            yield lambda more=more: bench.arrived(more)
            if alive:
                yield lambda: all(ctx.get(end.port.status.physical.state.as_value()) == 5 for end in bench.ends)
        assert [ctx.get(end.port.status.resets) for end in bench.ends] == [0, 0]

    bench.run(script)
    assert [end.got for end in bench.ends] == [list(range(10 * BATCH))] * 2


@pytest.mark.slow
def test_a_hot_reset_during_a_tunnel_reaches_the_other_port() -> None:
    bench = Bench(4)
    a, b = bench.ends

    def script(ctx: Any) -> Any:
        ctx.set(bench.alive, 1)
        first = [end.offer(BATCH) for end in bench.ends]
        yield lambda: bench.arrived(first)
        ctx.set(bench.alive, 0)
        tunnelled = [end.offer(BATCH) for end in bench.ends]
        yield lambda: bench.arrived(tunnelled)
        ctx.set(a.port.control.hot_reset, 1)
        yield lambda: True
        ctx.set(a.port.control.hot_reset, 0)
        yield lambda: ctx.get(b.port.status.resets) == 1
        count = ctx.get(b.port.status.tunnel.received), ctx.get(a.port.status.tunnel.received)
        more = [end.offer(BATCH) for end in bench.ends]
        yield lambda: bench.arrived(more)
        assert ctx.get(b.port.status.tunnel.received) > count[0]
        assert ctx.get(a.port.status.tunnel.received) > count[1]

    bench.run(script)
    for end in bench.ends:
        assert end.got == list(range(3 * BATCH))


def test_a_port_that_gives_up_cuts_off_what_it_has_half_received_and_begins_anew_with_its_lanes() -> None:
    bench = Bench(5)
    a, b = bench.ends
    for end in bench.ends:
        end.fails_over = False

    def script(ctx: Any) -> Any:
        ctx.set(bench.alive, 1)
        long = Packet(operation=WRITE, length=4096, data=bench.chance.randbytes(4096))
        a.put.waiting.extend(words_of(long, CONFIG, bench.chance))
        yield lambda: len(b.reader.data) > 1000
        ctx.set(bench.alive, 0)
        yield lambda: b.reader.cut
        assert ctx.get(b.port.status.gone)
        # What is offered meanwhile is thrown away.
        a.offer(1)
        yield lambda: not a.put.waiting and ctx.get(a.port.status.gone)
        ctx.set(bench.alive, 1)
        yield lambda: not any(ctx.get(end.port.status.gone) for end in bench.ends)
        more = [end.offer(BATCH) for end in bench.ends]
        yield lambda: bench.arrived(more)

    bench.run(script)
    assert (a.got, b.got) == (list(range(BATCH)), list(range(1, 1 + BATCH)))
