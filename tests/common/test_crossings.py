"""Streams, memory ports and registers between two clocks: everything passes once and in order, at any ratio."""

import random
from typing import Any

import pytest
from amaranth import ClockDomain, DomainRenamer, Module
from amaranth.lib import data
from amaranth.sim import Simulator
from openppu.common.axi import Response
from openppu.common.memory_crossing import AxiLiteCrossing, MemoryCrossing
from openppu.common.stream_crossing import StreamCrossing

PERIOD = 1e-9
RATIOS = [0.21, 0.77, 1.0, 1.003, 1.9, 5.3]
"""Of the period of `far` to that of `sync`."""


class Bench:
    """A component between two clocks, with a process an end of a stream."""

    def __init__(self, component: Any, ratio: float) -> None:
        self.module = Module()
        self.domains = {name: ClockDomain(name) for name in ("sync", "far")}
        self.module.domains += self.domains.values()
        self.module.submodules.component = component
        self.simulator = Simulator(self.module)
        self.simulator.add_clock(PERIOD, domain="sync")
        self.simulator.add_clock(PERIOD * ratio, phase=0.37 * PERIOD, domain="far")
        self.slower = "far" if ratio > 1 else "sync"

    def put(self, stream: Any, domain: str, items: list[int], chance: random.Random, rate: float) -> None:
        """Offer all items, each until it is taken; at other times noise."""
        bits = len(stream.payload.as_value()) if hasattr(stream.payload, "as_value") else len(stream.payload)

        async def process(ctx: Any) -> None:
            def show(item: int) -> None:
                whole = stream.payload.as_value() if hasattr(stream.payload, "as_value") else stream.payload
                ctx.set(whole, item)

            for item in items:
                while chance.random() >= rate:
                    show(chance.getrandbits(bits))
                    await ctx.tick(domain)
                show(item)
                ctx.set(stream.valid, 1)
                while not (await ctx.tick(domain).sample(stream.ready))[-1]:
                    pass
                ctx.set(stream.valid, 0)

        self.simulator.add_testbench(process, background=True)

    def take(self, stream: Any, domain: str, count: int, chance: random.Random, rate: float) -> list[int]:
        """What comes, until it is ``count`` items; what is offered must stay."""
        found: list[int] = []
        whole = stream.payload.as_value() if hasattr(stream.payload, "as_value") else stream.payload

        async def process(ctx: Any) -> None:
            waits = None
            for _ in range(40 * count + 400):
                if len(found) == count:
                    break
                ready = chance.random() < rate
                ctx.set(stream.ready, ready)
                *_, valid, item = await ctx.tick(domain).sample(stream.valid, whole)
                assert waits is None or (valid and item == waits)
                waits = item if valid and not ready else None
                if valid and ready:
                    found.append(item)
            ctx.set(stream.ready, 0)
            assert len(found) == count

        self.simulator.add_testbench(process)
        return found


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("rates", [(1.0, 1.0), (0.3, 1.0), (1.0, 0.3), (0.6, 0.6)])
def test_a_stream_passes_in_order_with_stalls_on_both_sides(ratio, rates):
    chance = random.Random(ratio + rates[0])
    crossing = StreamCrossing(40, words=chance.choice((4, 8, 16)))
    bench = Bench(crossing, ratio)
    items = [chance.getrandbits(40) for _ in range(150)]
    bench.put(crossing.i, "sync", items, chance, rates[0])
    found = bench.take(crossing.o, "far", len(items), chance, rates[1])
    bench.simulator.run()
    assert found == items


@pytest.mark.parametrize("ratio", RATIOS)
def test_a_payload_a_clock_of_the_slower_side(ratio):
    crossing = StreamCrossing(16)
    bench = Bench(crossing, ratio)
    chance = random.Random(1)
    found = bench.take(crossing.o, "far", 200, chance, 1.0)
    bench.put(crossing.i, "sync", list(range(1000)), chance, 1.0)
    clocks = [0]

    async def count(ctx: Any) -> None:
        while True:
            await ctx.tick(bench.slower)
            clocks[0] += 1

    bench.simulator.add_testbench(count, background=True)
    bench.simulator.run()
    assert found == list(range(200))
    assert clocks[0] <= 200 + 6


@pytest.mark.parametrize("first", ["sync", "far"])
def test_after_a_reset_it_is_empty_whichever_side_leaves_it_first(first):
    crossing = StreamCrossing(16, words=4)
    bench = Bench(crossing, 1.3)
    seen: list[int] = []

    async def put(ctx: Any) -> None:
        ctx.set(crossing.i.valid, 1)
        ctx.set(crossing.i.payload, 0xDEAD)
        await ctx.tick("sync").repeat(12)
        assert not ctx.get(crossing.i.ready)
        for domain in bench.domains.values():
            ctx.set(domain.rst, 1)
        for _ in range(4):
            await ctx.tick("far")
        ctx.set(crossing.i.payload, 0x600D)
        ctx.set(bench.domains[first].rst, 0)
        for _ in range(5):
            await ctx.tick("far")
        ctx.set(bench.domains["far" if first == "sync" else "sync"].rst, 0)
        ctx.set(crossing.o.ready, 1)
        for _ in range(20):
            *_, valid, item = await ctx.tick("far").sample(crossing.o.valid, crossing.o.payload)
            seen.extend([item] * valid)

    bench.simulator.add_testbench(put)
    bench.simulator.run()
    assert len(seen) > 8
    assert set(seen) == {0x600D}


@pytest.mark.parametrize("ratio", [0.4, 1.003, 2.6])
def test_a_memory_port_passes_its_four_streams(ratio):
    chance = random.Random(ratio)
    crossing = MemoryCrossing(tags=3, words=8)
    bench = Bench(crossing, ratio)
    both = []
    for name in ("requests", "words", "responses", "acknowledges"):
        user, memory = getattr(crossing.user, name), getattr(crossing.memory, name)
        outwards = name in ("requests", "words")
        source, target = (user, memory) if outwards else (memory, user)
        here, there = ("sync", "far") if outwards else ("far", "sync")
        items = [chance.getrandbits(len(source.payload.as_value())) for _ in range(40)]
        bench.put(source, here, items, chance, 0.7)
        both.append((items, bench.take(target, there, len(items), chance, 0.6)))
    bench.simulator.run()
    for items, found in both:
        assert found == items


@pytest.mark.parametrize("ratio", [0.4, 1.003, 2.6])
def test_registers_are_read_and_written_across(ratio):
    crossing = AxiLiteCrossing(address_bits=12)
    user, part = crossing.user, crossing.part
    bench = Bench(crossing, ratio)
    chance = random.Random(ratio)
    memory: dict[int, int] = {}

    async def answer(ctx: Any) -> None:
        for ready in (part.arready, part.awready, part.wready):
            ctx.set(ready, 1)
        address = value = None
        while True:
            *_, ar, raddr, aw, waddr, w, wdata, strobes = await ctx.tick("far").sample(
                *(part.arvalid, part.araddr, part.awvalid, part.awaddr, part.wvalid, part.wdata, part.wstrb)
            )
            address = waddr if aw else address
            value = wdata if w else value
            if address is not None and value is not None:
                assert strobes == 15
                memory[address] = value
                await respond(ctx, part.bvalid, part.bready, (part.bresp, address & 3))
                address = value = None
            if ar:
                await respond(
                    ctx, part.rvalid, part.rready, (part.rresp, raddr & 3), (part.rdata, memory.get(raddr, 7))
                )

    async def respond(ctx: Any, valid: Any, ready: Any, *payload: tuple[Any, int]) -> None:
        await ctx.tick("far").repeat(chance.randint(1, 5))
        for signal, value in payload:
            ctx.set(signal, value)
        ctx.set(valid, 1)
        while not (await ctx.tick("far").sample(ready))[-1]:
            pass
        ctx.set(valid, 0)

    async def ask(ctx: Any) -> None:
        written: dict[int, int] = {}
        for _ in range(30):
            address, value = chance.randrange(0, 32, 4) + chance.randrange(3), chance.getrandbits(32)
            if chance.random() < 0.5:
                written[address] = value
                for signal, given in ((user.awaddr, address), (user.wdata, value), (user.wstrb, 15)):
                    ctx.set(signal, given)
                await send(ctx, (user.awvalid, user.awready), (user.wvalid, user.wready))
                assert await receive(ctx, user.bvalid, user.bready, user.bresp) == [Response(address & 3)]
            else:
                ctx.set(user.araddr, address)
                await send(ctx, (user.arvalid, user.arready))
                found = await receive(ctx, user.rvalid, user.rready, user.rresp, user.rdata)
                assert found == [Response(address & 3), written.get(address, 7)]

    async def send(ctx: Any, *pairs: tuple[Any, Any]) -> None:
        left = list(pairs)
        for valid, _ in left:
            ctx.set(valid, 1)
        while left:
            taken = (await ctx.tick().sample(*(ready for _, ready in left)))[-len(left) :]
            for (valid, _), ready in zip(list(left), taken, strict=True):
                if ready:
                    ctx.set(valid, 0)
            left = [pair for pair, ready in zip(left, taken, strict=True) if not ready]

    async def receive(ctx: Any, valid: Any, ready: Any, *values: Any) -> list[int]:
        await ctx.tick().repeat(chance.randint(1, 4))
        ctx.set(ready, 1)
        while True:
            valid_now, *found = (await ctx.tick().sample(valid, *values))[2:]
            if valid_now:
                ctx.set(ready, 0)
                return found

    bench.simulator.add_testbench(answer, background=True)
    bench.simulator.add_testbench(ask)
    bench.simulator.run()
    assert len(memory) > 5


@pytest.mark.parametrize("words", [0, 2, 3, 12])
def test_a_number_of_words_that_is_impossible_is_refused(words):
    with pytest.raises(ValueError, match=f"words = {words}: give a power of two, at least 4"):
        StreamCrossing(8, words=words)


def test_the_other_way_round_the_domains_change_their_places():
    crossing = StreamCrossing(data.StructLayout({"a": 5, "b": 3}))
    bench = Bench(DomainRenamer({"sync": "far", "far": "sync"})(crossing), 1.7)
    chance = random.Random(5)
    items = [chance.getrandbits(8) for _ in range(60)]
    bench.put(crossing.i, "far", items, chance, 0.5)
    found = bench.take(crossing.o, "sync", len(items), chance, 0.5)
    bench.simulator.run()
    assert found == items
