"""The sending side of an engine's port: what its packets bring, and that it never sends more than it may."""

import random
from collections import Counter
from typing import Any

import pytest
from collective_memory import ReadPort, small
from openppu.link.collective.packets import Kind
from openppu.link.collective.sender import Sender
from openppu.link.layouts import Operation
from openppu_verif.ends import Put, Take, run

CONFIG = small(window=16, packet=4)
BEAT = CONFIG.beat_bytes
CHIP, PEER = 3, 5


def content(address: int) -> int:
    """Any word, but the same one for an address."""
    return (address * 2654435761 + 12345) % (1 << 32)


class Peer:
    """What the other side makes of the packets."""

    def __init__(self) -> None:
        self.words: list[Any] = []
        self.sequence = 0
        self.kinds: Counter[int] = Counter()
        self.beats: dict[int, list[tuple[int, int]]] = {Kind.REDUCE: [], Kind.STORE: []}
        self.told: list[tuple[int, int]] = [(CONFIG.window, 0)]
        self.sizes: list[int] = []
        self.window, self.store = CONFIG.window, 0

    def word(self, word: Any) -> None:
        """Take a word; at the end of a packet, look at it."""
        assert word.first == (not self.words)
        assert word.filled == 1
        self.words.append(word)
        if not word.last:
            assert word.count == BEAT - 1
            return
        head = self.words[0].header
        kind, sequence = head.tag >> 6, head.tag & 63
        assert (head.operation, head.status.value) == (Operation.COLLECTIVE, 0)
        assert (head.destination, head.source) == (PEER, CHIP)
        assert sequence == self.sequence % 64
        assert head.length + 1 == BEAT * (len(self.words) - 1) + word.count + 1
        self.sequence += 1
        self.kinds[kind] += 1
        self.told.append((head.address & 0xFFFF, head.address >> 16 & 0xFFFF))
        if kind in self.beats:
            assert len(self.words) <= CONFIG.packet
            self.sizes.append(len(self.words))
            for place, piece in enumerate(self.words):
                count = piece.count + 1
                last = place == len(self.words) - 1
                data = piece.data & (1 << 8 * count) - 1
                self.beats[kind].append((data, (head.address >> 32) | (count << 8 if last else BEAT << 8)))
        else:
            assert len(self.words) == 1
        assert len(self.beats[Kind.REDUCE]) <= self.window, "more than the window holds"
        assert len(self.beats[Kind.STORE]) <= self.store, "more than is granted"
        self.words = []


def pieces(beats: list[int], length: int, label: int) -> list[tuple[int, int]]:
    """Beats as `Peer.beats` has them."""
    found = []
    for place, data in enumerate(beats):
        count = min(BEAT, length - BEAT * place)
        found.append((data & (1 << 8 * count) - 1, label | count << 8))
    return found


@pytest.mark.parametrize("seed", range(6))
def test_all_that_steps_ask_for_is_sent_within_the_credit(seed: int) -> None:
    chance = random.Random(seed)
    dut = Sender(CONFIG)
    rate = (0.6, 1.0)[seed % 2]
    sends, results = Put(dut.sends, chance, 0.5), Put(dut.results, chance, 0.5)
    sums, packets = Put(dut.sums, chance, rate), Take(dut.packets, chance, rate)
    memory, peer = ReadPort(dut.memory, chance, content, rate=rate), Peer()
    # Memory is sent in one stream, sums in the other, for their order to be known.
    of_memory = chance.choice([Kind.REDUCE, Kind.STORE])
    of_sums = Kind.STORE if of_memory == Kind.REDUCE else Kind.REDUCE
    expected: dict[int, list[tuple[int, int]]] = {Kind.REDUCE: [], Kind.STORE: []}
    for _ in range(12):
        address, length, label = chance.randrange(500) * BEAT, chance.choice([1, 4, 7, 30, 61]), chance.getrandbits(8)
        step = dict(address=address, length=length, stream=of_memory, label=label, wait=0, thread=0, base=0)
        sends.waiting.append(step)
        expected[of_memory] += pieces([content(a) for a in range(address, address + length, BEAT)], length, label)
        length, label = chance.choice([1, 4, 7, 30, 61]), chance.getrandbits(8)
        beats = [chance.getrandbits(8 * BEAT) for _ in range(0, length, BEAT)]
        results.waiting.append(dict(length=length, stream=of_sums, label=label, unit=2))
        sums.waiting.extend(beats)
        expected[of_sums] += pieces(beats, length, label)
    tokens, credit = 0, [CONFIG.window, 0]

    def step(ctx: Any, cycle: int) -> bool:
        nonlocal tokens
        ctx.set(dut.chip, CHIP)
        ctx.set(dut.peer, PEER)
        if chance.random() < 0.2:
            have = len(peer.beats[Kind.REDUCE])
            peer.window = max(peer.window, min(have + CONFIG.window, peer.window + chance.randint(1, 3)))
        if chance.random() < 0.1:
            peer.store += chance.randint(1, 9)
        ctx.set(dut.heard.window, peer.window)
        ctx.set(dut.heard.store, peer.store)
        if chance.random() < 0.1:
            credit[chance.randrange(2)] += chance.randint(1, 3)
        ctx.set(dut.credit.window, credit[0])
        ctx.set(dut.credit.store, credit[1])
        token = chance.random() < 0.05 and not ctx.get(dut.tokens_full)
        ctx.set(dut.token, token)
        tokens += token
        if ctx.get(dut.open):
            assert ctx.get(dut.unit) == 2
        for end in (sends, results, sums, packets):
            end.drive(ctx)
        memory.drive(ctx, cycle)
        for end in (sends, results, sums):
            end.sample(ctx)
        memory.sample(ctx, cycle)
        word = packets.sample(ctx)
        if word is not None:
            peer.word(word)
        return all(peer.beats[kind] == expected[kind] for kind in expected) and peer.kinds[Kind.TOKEN] == tokens

    run(dut, step, most=6000)
    assert tokens > 3
    assert peer.told == sorted(peer.told)
    assert max(peer.sizes) == CONFIG.packet


def test_credit_alone_is_sent_when_no_data_brings_it() -> None:
    """A grant at once; of the window's room a quarter at a time."""
    dut = Sender(CONFIG)
    packets, peer = Take(dut.packets, random.Random(1)), Peer()
    changes = {0: (CONFIG.window, 0), 5: (CONFIG.window, 7), 20: (CONFIG.window + 3, 7), 40: (CONFIG.window + 4, 7)}
    expected = [(CONFIG.window, 0), (CONFIG.window, 7), (CONFIG.window + 4, 7)]

    def step(ctx: Any, cycle: int) -> bool:
        ctx.set(dut.chip, CHIP)
        ctx.set(dut.peer, PEER)
        window, store = (
            changes[max((at for at in changes if at <= cycle), default=0)] if cycle >= 5 else (CONFIG.window, 0)
        )
        ctx.set(dut.credit.window, window)
        ctx.set(dut.credit.store, store)
        packets.drive(ctx)
        word = packets.sample(ctx)
        if word is not None:
            peer.word(word)
        return cycle == 60

    run(dut, step, most=80)
    assert peer.told == expected
    assert set(peer.kinds) == {Kind.CREDIT}


def test_a_word_leaves_in_every_cycle_and_packets_grow_to_their_most() -> None:
    dut = Sender(CONFIG)
    chance = random.Random(2)
    sends, packets, memory = (
        Put(dut.sends, chance),
        Take(dut.packets, chance),
        ReadPort(dut.memory, chance, content, most=1),
    )
    sends.waiting.append(dict(address=0, length=100 * BEAT, stream=1, label=1, wait=0, thread=0, base=0))
    peer, cycles = Peer(), []
    peer.store = 1000

    def step(ctx: Any, cycle: int) -> bool:
        ctx.set(dut.chip, CHIP)
        ctx.set(dut.peer, PEER)
        ctx.set(dut.heard.store, 1000)
        ctx.set(dut.credit.window, CONFIG.window)
        sends.drive(ctx)
        packets.drive(ctx, allowed=cycle > 20)
        memory.drive(ctx, cycle)
        sends.sample(ctx)
        memory.sample(ctx, cycle)
        word = packets.sample(ctx)
        if word is not None:
            peer.word(word)
            cycles.append(cycle)
        return len(cycles) == 100

    run(dut, step, most=200)
    assert cycles == list(range(21, 121))
    assert peer.sizes[-10:-1] == [CONFIG.packet] * 9
