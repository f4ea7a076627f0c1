"""A port cuts requests into entries, loses and swaps nothing, and keeps a word a clock going."""

import random
from typing import Any

import pytest
from front import PseudoChannel, Responses, expect
from openppu.hbm.config import ChannelConfig
from openppu.hbm.port import Port
from openppu.hbm.reorder import Reorder
from openppu.hbm.settings import Mapping, Settings
from openppu_verif.ends import Put, Take, run


def random_requests(config: ChannelConfig, count: int, chance: random.Random) -> list[dict[str, int]]:
    """Requests that often meet, and some beyond the capacity."""
    of = config.organisation
    capacity = 2 * of.banks * of.rows * of.columns
    requests = []
    for _ in range(count):
        last = chance.choice([0, 0, 1, 7, 15, chance.randrange(40), chance.randrange(128)])
        near = chance.choice([0, 5000, capacity - 60])
        address = (near + chance.randrange(60)) % (1 << config.address_bits)
        write, tag = chance.randrange(2), chance.randrange(config.tags)
        requests.append({"write": write, "address": address, "last": last, "tag": tag})
    return requests


def exercise(
    config: ChannelConfig,
    settings: Settings,
    requests: list[dict[str, int]],
    *,
    rate: float = 1.0,
    acknowledge_rate: float = 1.0,
    words_rate: float = 1.0,
    noise: bool = False,
    seed: int = 0,
) -> int:
    """Put requests through a port, compare everything, and return the cycles it took."""
    dut = Port(config)
    chance = random.Random(seed)
    expected = expect(config, settings, requests, chance, {})
    responses = Responses(expected)
    ask, words = Put(dut.requests, chance, rate), Put(dut.words, chance, rate)
    ask.waiting.extend(requests)
    words.waiting.extend({"data": data, "mask": mask} for data, mask in expected.words)
    answers, acknowledges = Take(dut.responses, chance, rate), Take(dut.acknowledges, chance, rate * acknowledge_rate)
    entries = [Take(dut.entries[pc], chance, rate) for pc in range(2)]
    entry_words = [Take(dut.entry_words[pc], chance, rate * words_rate) for pc in range(2)]
    channels = [PseudoChannel(pc, chance, rate, delay=20) for pc in range(2)]
    taken_writes = [0, 0]

    def step(ctx: Any, cycle: int) -> bool:
        ctx.set(dut.settings, settings.values())
        for end in (ask, words, answers, acknowledges, *entries):
            end.drive(ctx)
        for pc, channel in enumerate(channels):
            answer = channel.answer(cycle)
            entry_words[pc].drive(ctx, allowed=channel.wants)
            ctx.set(dut.returned[pc], answer[1] if answer else {"valid": 0})
        acknowledge = acknowledges.sample(ctx)
        if acknowledge is not None:
            tag, refused, needed = expected.acknowledges.popleft()
            assert (acknowledge.tag, acknowledge.error) == (tag, refused)
            assert all(a >= b for a, b in zip(taken_writes, needed, strict=True)), "acknowledged before it is taken"
        beat = answers.sample(ctx)
        if beat is not None:
            responses.check(beat)
        for pc, channel in enumerate(channels):
            entry = entries[pc].sample(ctx)
            if entry is not None:
                write, masked, place, last = expected.entries[pc].pop(0)
                shown = {name: getattr(entry.place, name) for name in place}
                assert (entry.write, entry.last, shown) == (write, last, place)
                assert entry.masked == masked
                taken_writes[pc] += write
                channel.accept(entry, cycle)
            word = entry_words[pc].sample(ctx)
            if word is not None:
                channel.word(word.data, word.mask)
        ask.sample(ctx)
        words.sample(ctx)
        return responses.done and not (ask.waiting or words.waiting or expected.acknowledges)

    def disturb(ctx: Any, cycle: int) -> None:
        """Work that a reset cuts off: some of it offered, some taken, some half done."""
        ctx.set(dut.settings, settings.values())
        for end in before:
            end.drive(ctx)
            end.sample(ctx)
        for returned in dut.returned:
            ctx.set(returned, {"valid": chance.random() < 0.3, "slot": chance.randrange(8), "last": 1})

    before: list[Any] = [Take(end, chance, 0.5) for end in (dut.responses, dut.acknowledges, *dut.entries)]
    before += [Put(dut.requests, chance, 0.8), Put(dut.words, chance, 0.8)]
    before[-2].waiting.extend(random_requests(config, 100, chance))
    before[-1].waiting.extend([{"data": 0, "mask": 0}] * 1000)
    try:
        cycles = run(dut, step, most=12_000, noise=disturb if noise else None)
    except AssertionError as error:
        error.add_note(f"{config}, {settings.mapping}, rate {rate}, seed {seed}, requests {requests}")
        raise
    assert not any(expected.entries)
    return cycles


@pytest.mark.parametrize("rate", [0.3, 0.8, 1.0])
@pytest.mark.parametrize(("height", "tags", "mapping"), [(4, 1, 0), (8, 4, 1), (12, 2, 0)])
def test_random_requests_come_out_right(height: int, tags: int, mapping: int, rate: float) -> None:
    config = ChannelConfig(height=height, tags=tags, slots=8)
    seed = height + int(10 * rate)
    requests = random_requests(config, 40, random.Random(seed))
    exercise(config, Settings(mapping=Mapping(mapping), hash_banks=True), requests, rate=rate, seed=seed)


@pytest.mark.parametrize("seed", range(4))
def test_after_a_reset_nothing_is_left_of_what_was_before(seed: int) -> None:
    config = ChannelConfig(tags=2, slots=8)
    requests = random_requests(config, 12, random.Random(seed))
    exercise(config, Settings(), requests, rate=0.9, noise=True, seed=seed)


def stream(count: int, length: int, *, write: int, tags: int = 1) -> list[dict[str, int]]:
    """Requests one behind the other."""
    return [
        {"write": write, "address": 4096 + length * number, "last": length - 1, "tag": number % tags}
        for number in range(count)
    ]


@pytest.mark.parametrize("tags", [1, 4])
@pytest.mark.parametrize("length", [1, 8, 128])
@pytest.mark.parametrize("write", [0, 1])
def test_a_word_a_clock_goes_through(write: int, length: int, tags: int) -> None:
    config = ChannelConfig(slots=32, tags=4)
    words = 512
    cycles = exercise(config, Settings(), stream(words // length, length, write=write, tags=tags))
    # The delay of the memory is 20; an entry, and a word's way back, take a few more.
    assert cycles <= words + 20 + 16, f"{cycles} cycles for {words} words"


def test_acknowledges_that_nobody_takes_for_long_are_all_there() -> None:
    requests = stream(60, 1, write=1, tags=4) + stream(20, 9, write=1, tags=3)
    exercise(ChannelConfig(slots=8), Settings(), requests, acknowledge_rate=0.06)


def test_words_that_nobody_takes_for_long_are_all_there() -> None:
    exercise(ChannelConfig(slots=8), Settings(), stream(30, 16, write=1), words_rate=0.2)


def test_a_read_takes_no_longer_than_it_says() -> None:
    config = ChannelConfig(slots=8)
    cycles = exercise(config, Settings(), stream(1, 1, write=0))
    # One until slots are ready after the reset, then to the entry, 20 in the memory, and back.
    assert cycles == 1 + Port.LATENCY + 20 + Reorder.LATENCY
