"""The link's memory streams in a chip's memory: order, masks, requests shared by beats, errors."""

import random

import pytest
from openppu.common.memory_share import MemoryShare
from openppu.link.bridge.beat_reads import BeatReads
from openppu.link.bridge.beat_runs import BLOCK_BYTES
from openppu.link.bridge.beat_writes import BeatWrites
from openppu.link.bridge.word_accesses import WordAccesses
from openppu.link.config import LinkConfig
from openppu_verif.ends import Put, Take, run
from openppu_verif.memory_model import MemoryModel

CONFIGS = {
    4: LinkConfig(ports=1, lanes=2, lane_bits=16),
    16: LinkConfig(ports=1, lanes=4, lane_bits=32),
    32: LinkConfig(ports=1, lanes=8, lane_bits=32),
    64: LinkConfig(ports=1, lanes=8, lane_bits=64),
}


@pytest.mark.parametrize("width", CONFIGS)
@pytest.mark.parametrize("rate", [1.0, 0.4])
def test_accesses_take_effect_in_their_order(width, rate):
    seed = width
    chance = random.Random(seed)
    design = WordAccesses(CONFIGS[width])
    memory = MemoryModel(design.memory, chance, rate=rate, delay=6)
    put, take = Put(design.link.accesses, chance, rate), Take(design.link.results, chance, rate)
    model: dict[int, int] = {}
    expected = []
    place = 0
    for _ in range(300):
        # Mostly one after the other, as packets bring them; now and then elsewhere.
        place = chance.randrange(40) if chance.random() < 0.2 else (place + 1) % 40
        write = chance.random() < 0.5 if chance.random() < 0.3 or not put.waiting else put.waiting[-1]["write"]
        mask = chance.choice(((1 << width) - 1, chance.getrandbits(width)))
        item = {"write": write, "address": place, "data": chance.getrandbits(8 * width), "mask": mask}
        put.waiting.append(item)
        if write:
            data = item["data"].to_bytes(width, "little")
            model |= {place * width + n: data[n] for n in range(width) if mask >> n & 1}
        else:
            expected.append(bytes(model.get(place * width + n, 0) for n in range(width)))
    found = []
    still = 0

    def each_cycle(ctx, cycle):
        nonlocal still
        for end in (put, take, memory):
            end.drive(ctx)
        memory.sample(ctx)
        put.sample(ctx)
        result = take.sample(ctx)
        if result is not None:
            assert not result.error
            found.append(result.data.to_bytes(width, "little"))
        still = still + 1 if not put.waiting and memory.idle else 0
        return still == 20

    run(design, each_cycle, most=30_000)
    assert found == expected, f"seed {seed}"
    assert memory.dump(0, 40 * width) == bytes(model.get(n, 0) for n in range(40 * width))


@pytest.mark.parametrize("width", CONFIGS)
def test_reads_of_following_beats_come_at_full_rate(width):
    chance = random.Random(1)
    design = BeatReads(beat_bytes=width, depth=64)
    requests = Take(design.requests, chance)
    responses = Put(design.responses, chance)
    put, take = Put(design.address, chance), Take(design.beat, chance)
    put.waiting.extend({"address": width * number, "last": number == 63} for number in range(64))
    count, first, last, asked = 0, 0, 0, 0

    def each_cycle(ctx, cycle):
        nonlocal count, first, last, asked
        for end in (put, take, requests, responses):
            end.drive(ctx)
        request = requests.sample(ctx)
        if request is not None:
            asked += 1
            for number in range(request.last + 1):
                data = int.from_bytes(bytes((request.address // 32 + number) % 251 for _ in range(32)), "little")
                responses.waiting.append({"data": data, "error": request.address == 0})
        responses.sample(ctx)
        put.sample(ctx)
        beat = take.sample(ctx)
        if beat is not None:
            assert beat.data & 255 == count * width // 32 % 251
            assert beat.error == (count * width < BLOCK_BYTES)
            first, last = first or cycle, cycle
            count += 1
        return count == 64

    run(design, each_cycle, most=1000)
    assert asked == 64 * width // BLOCK_BYTES
    assert last - first == max(63, 63 * width // 32)


@pytest.mark.parametrize("width", CONFIGS)
@pytest.mark.parametrize("rate", [1.0, 0.7])
def test_following_beats_are_written_with_a_request_a_block_and_no_word_in_parts(width, rate):
    seed = width
    chance = random.Random(seed)
    design = BeatWrites(beat_bytes=width)
    put, acknowledges = Put(design.beat, chance, rate), Put(design.acknowledges, chance)
    requests, words = Take(design.requests, chance), Take(design.words, chance)
    count = 4 * BLOCK_BYTES // width
    data = [chance.getrandbits(8 * width) for _ in range(count)]
    for number, item in enumerate(data):
        beat = {"address": width * number, "data": item, "mask": (1 << width) - 1, "last": number == count - 1}
        put.waiting.append(beat)
    asked, found, told, cycles = [], [], 0, []

    def each_cycle(ctx, cycle):
        nonlocal told
        for end in (put, requests, words, acknowledges):
            end.drive(ctx)
        request = requests.sample(ctx)
        if request is not None:
            asked.append((request.address, request.last + 1))
        word = words.sample(ctx)
        if word is not None:
            assert word.mask == (1 << 32) - 1
            found.append(word.data.to_bytes(32, "little"))
            cycles.append(cycle)
            if len(found) % (BLOCK_BYTES // 32) == 0:
                acknowledges.waiting.append({"tag": 0, "error": 0})
        told += ctx.get(design.written)
        acknowledges.sample(ctx)
        put.sample(ctx)
        return told == count

    run(design, each_cycle, most=2000)
    assert asked == [(BLOCK_BYTES * number, BLOCK_BYTES // 32) for number in range(4)], f"seed {seed}"
    assert b"".join(found) == b"".join(item.to_bytes(width, "little") for item in data)
    if rate == 1.0:
        assert cycles[-1] <= max(count, len(found)) + BLOCK_BYTES // 32 + 2


@pytest.mark.parametrize("design", [BeatReads(beat_bytes=16), BeatWrites(beat_bytes=16)])
def test_behind_the_last_beat_nobody_waits(design):
    chance = random.Random(3)
    beats = design.address if isinstance(design, BeatReads) else design.beat
    put, requests = Put(beats, chance), Take(design.requests, chance)
    put.waiting.extend({"address": 64 + 16 * number, "last": number == 1} for number in range(2))
    taken = 0

    def each_cycle(ctx, cycle):
        nonlocal taken
        for end in (put, requests):
            end.drive(ctx)
        request = requests.sample(ctx)
        if request is not None:
            assert (request.address, request.last, cycle - taken) == (64, 0, 2)
        if put.sample(ctx) is not None:
            taken = cycle
        return request is not None

    run(design, each_cycle, most=20)


def test_users_of_a_port_see_their_own_answers():
    chance = random.Random(5)
    share = MemoryShare((2, 1, 3))
    memory = MemoryModel(share.memory, chance, rate=0.7, delay=4)
    ends, expected, found = [], [], []
    for number, tags in enumerate(share.users):
        user = share.user(number)
        requests, words = Put(user.requests, chance, 0.6), Put(user.words, chance, 0.6)
        responses, acknowledges = Take(user.responses, chance, 0.6), Take(user.acknowledges, chance, 0.6)
        base = number << 20
        memory.load(base, bytes((number * 50 + place // 32) % 256 for place in range(4096)))
        wants: dict[int, list] = {tag: [] for tag in range(tags)}
        acks = 0
        for _ in range(25):
            write, tag, last, where = (
                chance.random() < 0.4,
                chance.randrange(tags),
                chance.randrange(4),
                chance.randrange(60),
            )
            address = base + 32 * where + (8192 if write else 0)
            requests.waiting.append({"write": write, "address": address, "last": last, "tag": tag})
            if write:
                acks += 1
                words.waiting.extend({"data": 7 * number + 1, "mask": 1} for _ in range(last + 1))
            else:
                wants[tag] += [(number * 50 + where + n) % 256 for n in range(last + 1)]
        ends.append((requests, words, responses, acknowledges))
        expected.append((wants, acks))
        found.append(({tag: [] for tag in range(tags)}, [0]))

    def each_cycle(ctx, cycle):
        memory.drive(ctx)
        for group in ends:
            for end in group:
                end.drive(ctx)
        memory.sample(ctx)
        for (requests, words, responses, acknowledges), (got, acks) in zip(ends, found, strict=True):
            requests.sample(ctx)
            words.sample(ctx)
            response = responses.sample(ctx)
            if response is not None:
                got[response.tag].append(response.data & 255)
            acks[0] += acknowledges.sample(ctx) is not None
        return [(got, acks[0]) for got, acks in found] == expected

    run(share, each_cycle, most=8000)
    for number in range(3):
        written = {address for address in memory.written if address >> 20 == number}
        assert all(memory.bytes[address] == 7 * number + 1 for address in written)


@pytest.mark.parametrize("users", [(), (1, 0)])
def test_a_share_needs_users_with_tags(users):
    with pytest.raises(ValueError, match="give the tags of each"):
        MemoryShare(users)


@pytest.mark.parametrize("width", [1, 24, 2048])
def test_beats_of_other_widths_are_refused(width):
    with pytest.raises(ValueError, match="power of two from 2 to 1024"):
        BeatReads(beat_bytes=width)
