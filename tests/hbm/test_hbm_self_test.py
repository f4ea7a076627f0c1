"""The self-test makes the accesses it is told, finds every fault, and keeps an access a clock going."""

import random
from collections import deque
from typing import Any

import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.sim import Simulator
from front import PseudoChannel
from openppu.hbm.config import ChannelConfig
from openppu.hbm.data_pattern import DataPattern, Pattern
from openppu.hbm.port import Port
from openppu.hbm.self_test import Operation, SelfTest
from openppu.hbm.settings import Settings
from openppu_verif.ends import Put, Take, run

CONFIG = ChannelConfig(height=12, tags=4, slots=16)
ONES_64 = (1 << 64) - 1
ONES_32 = (1 << 32) - 1


def following(state: int) -> int:
    """The shift register's next state."""
    state ^= state << 13 & ONES_64
    state ^= state >> 7
    return state ^ (state << 17 & ONES_64)


def pattern_word(pattern: Pattern, address: int, seed: int) -> int:
    """What `docs/hbm.md` says that an address holds."""
    if pattern == Pattern.ADDRESS:
        return sum((address if lane % 2 == 0 else address ^ ONES_32) << 32 * lane for lane in range(8))
    if pattern == Pattern.ZEROS:
        return 0
    word, start = 0, (seed ^ ONES_32) << 32 | address
    for lane in range(4):
        turned = (start << 16 * lane | start >> 64 - 16 * lane) & ONES_64
        word |= following(following(turned)) << 64 * lane
    return word


def command(operation: Operation, **given: Any) -> dict[str, Any]:
    """A command; what is not given is as for a run through consecutive addresses."""
    length = given.pop("length", 8)
    whole = {"pattern": Pattern.RANDOM, "pattern_seed": 77, "address": 0, "accesses": 64, "stride": length}
    whole |= {"scattered": 0, "mask": 0, "seed": 5, "writes": 128, "operation": operation, "last": length - 1}
    return whole | given


def requests_of(config: ChannelConfig, given: dict[str, Any]) -> list[tuple[bool, int, int]]:
    """Whether it writes, the address and the number of accesses of each of a command's requests."""
    missing, state, offset, requests = given["accesses"], (given["seed"] ^ ONES_32) << 32 | given["seed"], 0, []
    while missing:
        count = min(given["last"] + 1, missing)
        place = state & given["mask"] if given["scattered"] else offset
        write = given["operation"] in (Operation.FILL, Operation.FILL_ZEROS)
        if given["operation"] == Operation.TRAFFIC:
            write = state >> 56 < given["writes"]
        requests.append((write, (given["address"] + place) % (1 << config.address_bits), count))
        missing, offset, state = missing - count, offset + given["stride"], following(state)
    return requests


class Memory:
    """A port and the memory behind it: a write goes with its last word; reads of different tags mix freely."""

    def __init__(self, dut: SelfTest, chance: random.Random, rate: float, latency: int) -> None:
        self.config, self.chance, self.latency = dut.config, chance, latency
        self.requests, self.words = Take(dut.requests, chance), Take(dut.words, chance)
        self.responses, self.acknowledges = Put(dut.responses, chance, rate), Put(dut.acknowledges, chance, rate)
        self.rate = rate
        self.data: dict[int, int] = {}
        self.flips: dict[int, int] = {}
        self.bad: set[int] = set()
        self.beyond = 3 << dut.config.address_bits - 2
        self.seen: list[tuple[bool, int, int]] = []
        self.ready: list[deque[tuple[int, dict[str, int]]]] = [deque() for _ in range(self.config.tags)]
        self.request: Any = None
        self.parts: list[int] = []

    def step(self, ctx: Any, dut: SelfTest, cycle: int) -> None:
        """One cycle: the request waits on its stream until its last word goes, as at the port."""
        offered = ctx.get(dut.requests.payload) if ctx.get(dut.requests.valid) else None
        willing = self.chance.random() < self.rate
        count = offered.last + 1 if offered is not None else 0
        word_goes = offered is not None and offered.write and willing
        self.words.drive(ctx, allowed=word_goes)
        word = self.words.sample(ctx)
        if word is not None:
            assert word.mask == ONES_32
            self.parts.append(word.data)
        takes = offered is not None and willing and (not offered.write or len(self.parts) == count)
        self.requests.drive(ctx, allowed=takes)
        request = self.requests.sample(ctx)
        if request is not None:
            self.take(request, cycle)
        tags = [tag for tag, queue in enumerate(self.ready) if queue and queue[0][0] <= cycle]
        if tags and not self.responses.waiting:
            self.responses.waiting.append(self.ready[self.chance.choice(tags)].popleft()[1])
        for end in (self.responses, self.acknowledges):
            end.drive(ctx)
            end.sample(ctx)

    def take(self, request: Any, cycle: int) -> None:
        """Carry a request out."""
        count = request.last + 1
        self.seen.append((bool(request.write), request.address, count))
        refused = request.address + request.last >= self.beyond
        if request.write:
            if not refused:
                self.data.update(zip(range(request.address, request.address + count), self.parts, strict=True))
            self.parts = []
            self.acknowledges.waiting.append({"tag": request.tag, "error": int(refused)})
            return
        for index in range(count):
            address = request.address + index
            data = 0 if refused else self.data.get(address, 0) ^ self.flips.get(address, 0)
            error = int(refused or address in self.bad)
            beat = {"data": data, "tag": request.tag, "last": int(index == request.last), "error": error}
            self.ready[request.tag].append((cycle + self.latency, beat))


def exercise(
    commands: list[dict[str, Any]],
    *,
    config: ChannelConfig = CONFIG,
    rate: float = 1.0,
    latency: int = 12,
    seed: int = 0,
    flips: dict[int, int] | None = None,
    bad: set[int] | None = None,
    noise: dict[str, Any] | None = None,
) -> tuple[list[Any], Memory, int]:
    """Run commands one after the other, and check what requests they make; the records, the memory, the stray flag."""
    dut = SelfTest(config)
    chance = random.Random(seed)

    def ends() -> tuple[Put, Take, Memory]:
        return Put(dut.commands, chance, rate), Take(dut.records, chance, rate), Memory(dut, chance, rate, latency)

    ask, take, memory = ends()
    memory.flips, memory.bad = flips or {}, bad or set()
    ask.waiting.extend(commands)
    records: list[Any] = []
    stray = 0

    def step(ctx: Any, cycle: int) -> bool:
        nonlocal stray
        memory.step(ctx, dut, cycle)
        ask.drive(ctx)
        take.drive(ctx)
        ask.sample(ctx)
        record = take.sample(ctx)
        if record is not None:
            records.append(record)
        stray = ctx.get(dut.stray)
        return len(records) == len(commands)

    if noise is None:
        run(dut, step, most=20000)
    else:
        ask_before, take_before, memory_before = ends()
        ask_before.waiting.extend([noise] * 20)

        def disturb(ctx: Any, cycle: int) -> None:
            memory_before.step(ctx, dut, cycle)
            for end in (ask_before, take_before):
                end.drive(ctx)
                end.sample(ctx)

        run(dut, step, most=20000, noise=disturb)
    assert memory.seen == [request for given in commands for request in requests_of(config, given)], f"{seed=}"
    return records, memory, stray


def test_patterns_are_as_documented() -> None:
    dut = DataPattern()
    chance = random.Random(1)

    async def bench(ctx: Any) -> None:
        for _ in range(60):
            pattern = chance.choice(list(Pattern))
            address, seed = chance.choice([0, ONES_32, chance.getrandbits(32)]), chance.getrandbits(32)
            ctx.set(dut.pattern, pattern)
            ctx.set(dut.address, address)
            ctx.set(dut.seed, seed)
            assert ctx.get(dut.data) == pattern_word(pattern, address, seed), (pattern, address, seed)

    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("pattern", list(Pattern))
@pytest.mark.parametrize(("rate", "length", "accesses"), [(1.0, 1, 90), (0.5, 5, 63), (0.7, 128, 300)])
def test_a_filled_memory_is_found_right(pattern: Pattern, rate: float, length: int, accesses: int) -> None:
    given = {"pattern": pattern, "length": length, "accesses": accesses, "address": 1000}
    commands = [command(operation, **given) for operation in (Operation.FILL, Operation.CHECK)]
    (filled, checked), memory, stray = exercise(commands, rate=rate, seed=length)
    assert memory.data == {a: pattern_word(pattern, a, 77) for a in range(1000, 1000 + accesses)}
    assert (filled.words, filled.refused) == (0, 0)
    assert (checked.words, checked.wrong, checked.errors, stray) == (accesses, 0, 0, 0)


def test_zeros_are_filled_whatever_the_pattern_is() -> None:
    (record,), memory, _ = exercise([command(Operation.FILL_ZEROS, pattern=Pattern.ADDRESS, accesses=70, length=32)])
    assert memory.data == dict.fromkeys(range(70), 0)
    assert record.words == 0


@pytest.mark.parametrize("rate", [1.0, 0.6])
@pytest.mark.parametrize("seed", range(3))
def test_wrong_bits_and_errors_are_found_and_counted(rate: float, seed: int) -> None:
    chance = random.Random(seed)
    places = chance.sample(range(64, 264), 9)
    flips = {address: 1 << chance.randrange(256) for address in places[:6]}
    bad = set(places[4:])
    given = {"address": 64, "accesses": 200, "length": 7}
    commands = [command(operation, **given) for operation in (Operation.FILL, Operation.CHECK, Operation.CHECK)]
    records, _, stray = exercise(commands, rate=rate, seed=seed, flips=flips, bad=bad)
    wrong = set(flips) - bad
    for record in records[1:]:
        assert (record.words, record.wrong, record.errors, stray) == (200, len(wrong), len(bad), 0), f"{seed=}"
        assert record.address in wrong, f"{seed=}"
        assert record.bits == flips[record.address], f"{seed=}"


def test_another_seed_is_found_wrong_everywhere() -> None:
    commands = [command(Operation.FILL), command(Operation.CHECK, pattern_seed=78)]
    records, _, _ = exercise(commands, config=ChannelConfig(tags=1))
    assert (records[1].words, records[1].wrong, records[1].address) == (64, 64, 0)
    assert records[1].bits == pattern_word(Pattern.RANDOM, 0, 77) ^ pattern_word(Pattern.RANDOM, 0, 78)


def test_what_is_beyond_the_capacity_is_counted_as_refused() -> None:
    given = {"address": (3 << CONFIG.address_bits - 2) - 16, "accesses": 32}
    commands = [command(operation, **given) for operation in (Operation.FILL, Operation.CHECK)]
    (filled, checked), _, _ = exercise(commands)
    assert (filled.refused, checked.refused) == (2, 0)
    assert (checked.words, checked.wrong, checked.errors) == (32, 0, 16)


@pytest.mark.parametrize(("writes", "scattered"), [(0, 1), (85, 1), (128, 0), (256, 1)])
def test_traffic_mixes_reads_and_writes_as_told(writes: int, scattered: int) -> None:
    fill = command(Operation.FILL, accesses=512, length=128)
    traffic = command(
        Operation.TRAFFIC, accesses=999, length=4, scattered=scattered, mask=0x1FC, stride=0, writes=writes
    )
    (_, record), memory, stray = exercise([fill, traffic], rate=0.9, seed=writes)
    reads = sum(count for write, _, count in requests_of(CONFIG, traffic) if not write)
    assert (record.words, record.wrong, record.errors, stray) == (reads, 0, 0, 0)
    assert reads / 999 == pytest.approx(1 - writes / 256, abs=0.08)
    assert len(memory.data) == 512


@pytest.mark.parametrize("length", [1, 8, 128])
def test_an_access_goes_each_clock(length: int) -> None:
    operations = (Operation.FILL, Operation.CHECK, Operation.TRAFFIC)
    commands = [command(operation, accesses=512, length=length) for operation in operations]
    records, _, _ = exercise(commands, config=ChannelConfig(tags=1), latency=25)
    for operation, record in zip(operations, records, strict=True):
        assert record.clocks <= 512 + 32, operation


@pytest.mark.parametrize("length", [1, 8])
def test_an_access_goes_each_clock_through_a_port(length: int) -> None:
    config = ChannelConfig(ports=1)
    m = Module()
    m.submodules.dut = dut = SelfTest(config)
    m.submodules.port = port = Port(config)
    for ours, theirs in (
        (dut.requests, port.requests),
        (dut.words, port.words),
        (dut.responses, port.responses),
        (dut.acknowledges, port.acknowledges),
    ):
        wiring.connect(m, ours, theirs)
    chance = random.Random(length)
    operations = (Operation.FILL, Operation.CHECK)
    ask, take = Put(dut.commands, chance), Take(dut.records, chance)
    ask.waiting.extend(command(operation, accesses=256, length=length) for operation in operations)
    entries = [Take(port.entries[pc], chance) for pc in range(2)]
    entry_words = [Take(port.entry_words[pc], chance) for pc in range(2)]
    channels = [PseudoChannel(pc, chance, 1.0, delay=20) for pc in range(2)]
    records: list[Any] = []

    def step(ctx: Any, cycle: int) -> bool:
        ctx.set(port.settings, Settings().values())
        for end in (ask, take, *entries):
            end.drive(ctx)
        for pc, channel in enumerate(channels):
            answer = channel.answer(cycle)
            entry_words[pc].drive(ctx, allowed=channel.wants)
            ctx.set(port.returned[pc], answer[1] if answer else {"valid": 0})
            entry = entries[pc].sample(ctx)
            if entry is not None:
                channel.accept(entry, cycle)
            word = entry_words[pc].sample(ctx)
            if word is not None:
                channel.word(word.data, word.mask)
        ask.sample(ctx)
        record = take.sample(ctx)
        if record is not None:
            records.append(record)
        return len(records) == 2

    run(m, step, most=3000)
    assert (records[1].words, records[1].wrong) == (256, 0)
    for operation, record in zip(operations, records, strict=True):
        assert record.clocks <= 256 + 60, operation


@pytest.mark.parametrize("operation", list(Operation))
def test_a_reset_in_the_middle_leaves_nothing_behind(operation: Operation) -> None:
    given = {"accesses": 100, "length": 6}
    commands = [command(Operation.FILL, **given), command(Operation.CHECK, **given)]
    noise = command(operation, accesses=80, length=11)
    records, _, stray = exercise(commands, rate=0.5, seed=9, noise=noise)
    assert (records[1].words, records[1].wrong, records[1].errors, stray) == (100, 0, 0, 0)


def test_a_first_request_comes_two_clocks_after_its_command_and_none_is_a_record_at_once() -> None:
    dut = SelfTest(CONFIG)
    seen: list[int] = []

    def step(ctx: Any, cycle: int) -> bool:
        ctx.set(dut.commands.payload, command(Operation.CHECK))
        ctx.set(dut.commands.valid, int(cycle == 0))
        if ctx.get(dut.requests.valid):
            seen.append(cycle)
        return bool(seen)

    assert run(dut, step, most=10) == SelfTest.LATENCY
    (record,), _, _ = exercise([command(Operation.FILL, accesses=0)])
    assert (record.words, record.clocks) == (0, 0)


def test_answers_that_are_not_due_are_seen() -> None:
    for member, answer in (
        ("responses", {"data": 0, "tag": 2, "last": 1, "error": 0}),
        ("acknowledges", {"tag": 0, "error": 0}),
    ):
        dut = SelfTest(CONFIG)

        def step(ctx: Any, cycle: int, dut: SelfTest = dut, member: str = member, answer: Any = answer) -> bool:
            assert ctx.get(dut.stray) == 0 or cycle > 1
            ctx.set(getattr(dut, member).payload, answer)
            ctx.set(getattr(dut, member).valid, int(cycle == 1))
            return bool(ctx.get(dut.stray))

        assert run(dut, step, most=5) == 2, member
