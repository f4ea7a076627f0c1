"""The receiving side of an engine's port: where packets go, what the peer is told, what is refused."""

import random
from typing import Any

import pytest
from collective_memory import WritePort, small
from openppu.link.collective.packets import Fault, Kind
from openppu.link.collective.receiver import Receiver
from openppu.link.layouts import Operation
from openppu_verif.ends import Put, Take, run

CONFIG = small(window=8)
BEAT = CONFIG.beat_bytes
PEER = 5


def header(kind: int, sequence: int, length: int, *, label: int = 0, window: int = 0, store: int = 0) -> dict[str, Any]:
    """A header as a constant of its layout."""
    return {
        "operation": Operation.COLLECTIVE.value,
        "status": 0,
        "destination": 1,
        "source": PEER,
        "tag": sequence % 64 | kind << 6,
        "length": length - 1,
        "address": window % (1 << 16) | store % (1 << 16) << 16 | label << 32,
    }


NO_HEADER = header(Kind.CREDIT, 0, 1)


def packet(head: dict[str, Any], beats: list[int], count: int = BEAT) -> list[dict[str, Any]]:
    """Its words; the last has ``count`` bytes."""
    words = []
    for place, beat in enumerate(beats):
        last = place == len(beats) - 1
        word = {"header": head if place == 0 else NO_HEADER, "data": beat, "count": (count if last else BEAT) - 1}
        words.append(word | {"filled": 1, "cut": 0, "first": place == 0, "last": last})
    return words


@pytest.mark.parametrize("seed", range(4))
def test_packets_go_to_the_window_and_to_memory(seed: int) -> None:
    chance = random.Random(seed)
    dut = Receiver(CONFIG)
    rate = (0.5, 1.0)[seed % 2]
    packets, stores = Put(dut.packets, chance, rate), Put(dut.stores, chance, 0.2)
    window, memory = Take(dut.window, chance, 0.6), WritePort(dut.memory, chance, rate=rate)
    sent = {Kind.REDUCE: 0, Kind.STORE: 0}
    expected_window: list[tuple[int, int]] = []
    expected_writes: list[tuple[int, int, int]] = []
    windows: list[tuple[int, int]] = []
    steps: list[dict[str, int]] = []
    sequence, tokens, taken_tokens, posted, freed = 0, 0, 0, 0, 0
    heard = (CONFIG.window, 0)
    given = 0

    def make(allowed: int, owed: int) -> list[dict[str, Any]]:
        """A random packet that the receiver has room for."""
        nonlocal sequence, given
        kind = chance.choice(list(Kind))
        credit = dict(window=chance.getrandbits(16), store=chance.getrandbits(16))
        beats = [chance.getrandbits(8 * BEAT) for _ in range(chance.randint(1, CONFIG.packet))]
        label, count = chance.getrandbits(8), BEAT
        if kind == Kind.REDUCE and len(beats) <= allowed:
            expected_window.extend((beat, label) for beat in beats)
            sent[kind] += len(beats)
        elif kind == Kind.STORE and owed and steps:
            step = steps[0]
            beats, label = beats[: -(-step["left"] // BEAT)], step["label"]
            for beat in beats:
                count = min(BEAT, step["left"])
                expected_writes.append((step["address"], count, beat & (1 << 8 * count) - 1))
                step["address"] += count
                step["left"] -= count
            sent[kind] += len(beats)
            if not step["left"]:
                steps.pop(0)
        elif kind not in (Kind.TOKEN, Kind.CREDIT) or tokens - taken_tokens > 10:
            return []
        else:
            beats, count = beats[:1], 1
        length = BEAT * (len(beats) - 1) + count
        words = packet(header(kind, sequence, length, label=label, **credit), beats, count)
        sequence += 1
        given += 1
        return words

    def step(ctx: Any, cycle: int) -> bool:
        nonlocal tokens, taken_tokens, posted, freed, heard
        ctx.set(dut.peer, PEER)
        credit = ctx.get(dut.credit)
        assert (credit.window, credit.store) == ((freed + CONFIG.window) % (1 << 16), posted)
        assert (ctx.get(dut.heard.window), ctx.get(dut.heard.store)) == heard
        assert ctx.get(dut.tokens) == tokens - taken_tokens
        assert ctx.get(dut.progress) == memory.told
        if len(packets.waiting) < 2 and given < 300:
            packets.waiting.extend(make(freed + CONFIG.window - sent[Kind.REDUCE], posted - sent[Kind.STORE]))
        if len(stores.waiting) < 2 and given < 300:
            length = chance.choice([1, 4, 6, 21])
            stores.waiting.append(dict(address=chance.randrange(99) * BEAT, length=length, label=chance.getrandbits(8)))
        for end in (packets, stores, window):
            end.drive(ctx)
        memory.drive(ctx, cycle)
        take = chance.random() < 0.1
        ctx.set(dut.take_token, take)
        taken_tokens += take and tokens > taken_tokens
        word, put, item = packets.sample(ctx), stores.sample(ctx), window.sample(ctx)
        memory.sample(ctx, cycle)
        assert not ctx.get(dut.fault), Fault(ctx.get(dut.fault))
        if word is not None and word["first"]:
            address = word["header"]["address"]
            heard = (address % (1 << 16), address >> 16 & 0xFFFF)
            tokens += word["header"]["tag"] >> 6 == Kind.TOKEN
        if put is not None:
            posted += -(-put["length"] // BEAT)
            steps.append(dict(address=put["address"], left=put["length"], label=put["label"]))
        if item is not None:
            windows.append((item.data, item.label))
            freed += 1
        return given == 300 and not packets.waiting and len(windows) == len(expected_window)

    run(dut, step, most=5000)
    assert windows == expected_window
    assert memory.found == expected_writes
    assert len(windows) > 50
    assert len(memory.found) > 30
    assert tokens > 20


def cut_packet() -> list[dict[str, Any]]:
    words = packet(header(Kind.REDUCE, 0, 2 * BEAT), [1, 2])
    words[1] |= {"filled": 0, "cut": 1}
    return words


FAULTY = {
    Fault.SEQUENCE: packet(header(Kind.CREDIT, 3, 1), [0], 1),
    Fault.STRAY: packet(header(Kind.STORE, 0, BEAT), [7]),
    Fault.PACKET: packet(header(Kind.REDUCE, 0, BEAT) | {"source": PEER + 1}, [7]),
    Fault.WINDOW: [word for n in range(5) for word in packet(header(Kind.REDUCE, n, 2 * BEAT), [n, n])],
    Fault.TOKEN: [word for n in range(16) for word in packet(header(Kind.TOKEN, n, 1), [0], 1)],
    Fault.CUT: cut_packet(),
}


@pytest.mark.parametrize("fault", FAULTY)
def test_a_wrong_packet_is_told_and_goes_nowhere(fault: Fault) -> None:
    dut = Receiver(CONFIG)
    packets = Put(dut.packets, random.Random(1))
    packets.waiting.extend(FAULTY[fault])
    told: list[int] = []

    def step(ctx: Any, cycle: int) -> bool:
        ctx.set(dut.peer, PEER)
        packets.drive(ctx)
        assert not ctx.get(dut.memory.beat.valid)
        if ctx.get(dut.fault):
            told.append(ctx.get(dut.fault))
        packets.sample(ctx)
        if fault == Fault.PACKET:
            assert not ctx.get(dut.window.valid)
        return not packets.waiting

    run(dut, step, most=40)
    assert told == [fault]


def test_another_operation_and_another_label_are_told() -> None:
    for fault, words in (
        (Fault.PACKET, packet(header(Kind.REDUCE, 0, BEAT) | {"operation": Operation.WRITE.value}, [7])),
        (Fault.LABEL, packet(header(Kind.STORE, 0, BEAT, label=4), [7])),
    ):
        dut = Receiver(CONFIG)
        packets, stores = Put(dut.packets, random.Random(1)), Put(dut.stores, random.Random(1))
        stores.waiting.append(dict(address=0, length=BEAT, label=3))
        told: list[int] = []

        def step(ctx: Any, cycle: int, dut=dut, packets=packets, stores=stores, told=told, words=words) -> bool:  # type: ignore[no-untyped-def]
            ctx.set(dut.peer, PEER)
            if cycle == 5:
                packets.waiting.extend(words)
            packets.drive(ctx)
            stores.drive(ctx)
            assert not ctx.get(dut.memory.beat.valid)
            if ctx.get(dut.fault):
                told.append(ctx.get(dut.fault))
            packets.sample(ctx)
            stores.sample(ctx)
            return cycle == 12

        run(dut, step, most=20)
        assert told == [fault]
