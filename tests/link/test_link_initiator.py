"""Every request gets one answer: the right one, or that there is none."""

import random
from collections import Counter, defaultdict
from typing import Any

import pytest
from openppu.link.config import LinkConfig
from openppu.link.initiator import Initiator
from openppu_sim.reference.link_packets import DATA, DONE, READ, WRITE, Packet
from openppu_verif.ends import Take, run
from packet_ends import CUT, PacketReader, Put, random_packet, words_of

CONFIG = LinkConfig(ports=1, lanes=2, lane_bits=16)
CHIP = 9
OPERATION, UNREACHABLE = 2, 4


def answer_to(request: Packet, chance: random.Random, status: int = 0) -> Packet:
    """What a target would say."""
    data = chance.randbytes(request.length) if request.operation == READ and status == 0 else b""
    return Packet(
        operation=DATA if data else DONE,
        status=status,
        destination=request.source,
        source=request.destination,
        tag=request.tag,
        length=len(data) or 1,
        data=data,
    )


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (0, 2, 3))])
def test_every_request_has_one_answer(seed: int) -> None:
    """Some answers are late, some lost, some cut off, and some are to nobody."""
    chance = random.Random(seed)
    dut = Initiator(CONFIG, tags=8)
    rate = chance.choice([0.4, 1.0])
    requests, received = Put(dut.requests, chance, rate), Put(dut.received, chance, rate)
    sent, answers = Take(dut.sent, chance, 0.7), Take(dut.answers, chance, 0.6)
    asked = [
        random_packet(
            chance,
            operation=chance.choice([*range(1, 7), 2, 2, 2, 2, 2, 0, 9]),
            tag=chance.randrange(10),
            destination=chance.randrange(10, 64),
            most=40,
        )
        for _ in range(80)
    ]
    for packet in asked:
        requests.waiting.extend(words_of(packet, CONFIG, chance))
    bad = [packet for packet in asked if packet.operation not in range(1, 7) or packet.tag >= 8]
    out, back = PacketReader(CONFIG), PacketReader(CONFIG)
    sent_packets: list[Packet] = []
    given: defaultdict[int, list[Packet]] = defaultdict(list)
    fate: Counter[str] = Counter()
    ends: Counter[int] = Counter()
    pending: list[tuple[int, list[Any]]] = []
    timeout = 700

    def step(ctx: Any, cycle: int) -> bool:
        ctx.set(dut.chip, CHIP)
        ctx.set(dut.timeout, timeout)
        for end in (requests, received, sent, answers):
            end.drive(ctx)
        if (word := sent.sample(ctx)) is not None and (packet := out.word(word)) is not None:
            sent_packets.append(packet)
            kind = chance.choice(["soon", "soon", "late", "cut", "cut", "stray"])
            fate[kind] += 1
            answer = answer_to(packet, chance, chance.choice([0, 0, 1, 2, 3]))
            words = words_of(answer, CONFIG, chance)
            if kind == "stray":
                # From a chip that was not asked; then the real one.
                wrong = Packet(operation=DONE, source=packet.destination ^ 1, tag=packet.tag)
                pending.append((cycle + 1, words_of(wrong, CONFIG, chance)))
            if kind == "cut" and len(words) > 1:
                pending.append((cycle + 5, [*words[: len(words) // 2], CUT]))
                pending.append((cycle + 20, words_of(answer_to(packet, chance, 3), CONFIG, chance)))
            else:
                pending.append((cycle + (3 * timeout if kind == "late" else 5), words))
                if kind != "late":
                    given[packet.tag].append(answer)
        for entry in sorted(pending, key=lambda entry: entry[0]):
            if entry[0] <= cycle and not received.waiting:
                received.waiting.extend(entry[1])
                pending.remove(entry)
        for end in (requests, received):
            end.sample(ctx)
        if (word := answers.sample(ctx)) is not None and (answer := back.word(word)) is not None:
            ends[answer.status] += 1
            if answer.status == OPERATION and answer.source == CHIP:
                ends[-1] += 1
            elif answer.status != UNREACHABLE and given[answer.tag] and given[answer.tag][0] == answer:
                given[answer.tag].pop(0)
            else:
                assert answer.status in (3, UNREACHABLE), "of what was late or cut off"
        done = sum(ends[status] for status in range(6)) == len(asked) and not pending and not received.waiting
        return done and not received.offered and cycle > 10

    run(dut, step, most=60000)
    expected = [packet for packet in asked if packet not in bad]
    assert [value_of_packet(packet) for packet in sent_packets] == [value_of_packet(packet) for packet in expected]
    assert all(packet.source == CHIP and packet.status == 0 for packet in sent_packets)
    assert ends[-1] == len(bad)
    assert ends[UNREACHABLE] == fate["late"] > 3
    assert back.cut > 0
    assert not any(given.values()), "every answer that came in time was given"


def value_of_packet(packet: Packet) -> tuple[Any, ...]:
    """What an initiator does not change."""
    return packet.operation, packet.destination, packet.tag, packet.length, packet.address, packet.data


def test_no_timeout_waits_for_ever_and_tells_for_whom() -> None:
    chance = random.Random(0)
    dut = Initiator(CONFIG, tags=4)
    requests, sent, answers = Put(dut.requests, chance), Take(dut.sent, chance), Take(dut.answers, chance)
    for tag, destination in ((2, 30), (1, 5)):
        packet = Packet(operation=WRITE, destination=destination, tag=tag, length=3, data=b"abc")
        requests.waiting.extend(words_of(packet, CONFIG, chance))

    def step(ctx: Any, cycle: int) -> bool:
        ctx.set(dut.chip, CHIP)
        ctx.set(dut.timeout, 0 if cycle < 400 else 50)
        for end in (requests, sent, answers):
            end.drive(ctx)
        requests.sample(ctx)
        sent.sample(ctx)
        answer = answers.sample(ctx)
        if cycle < 400:
            assert answer is None
        if cycle == 390:
            status = ctx.get(dut.status)
            assert (status.waiting, status.late, status.destination, status.tag) == (1, 0, 5, 1)
            assert (status.sent, status.answered) == (2, 0)
        return cycle == 600

    run(dut, step, most=601)


def test_a_tag_stays_closed_until_its_late_answer_or_reopening() -> None:
    chance = random.Random(0)
    dut = Initiator(CONFIG, tags=2)
    requests, sent, answers = Put(dut.requests, chance), Take(dut.sent, chance), Take(dut.answers, chance)
    received = Put(dut.received, chance)
    packet = Packet(operation=WRITE, destination=3, tag=1, length=3, data=b"abc")
    for _ in range(3):
        requests.waiting.extend(words_of(packet, CONFIG, chance))
    began, got = [], []

    def step(ctx: Any, cycle: int) -> bool:
        ctx.set(dut.chip, CHIP)
        ctx.set(dut.timeout, 40)
        ctx.set(dut.reopen, cycle == 700)
        if cycle == 300:
            received.waiting.extend(words_of(answer_to(packet, chance), CONFIG, chance))
        for end in (requests, sent, answers, received):
            end.drive(ctx)
        requests.sample(ctx)
        received.sample(ctx)
        if (word := sent.sample(ctx)) is not None and word.first:
            began.append(cycle)
        if (word := answers.sample(ctx)) is not None:
            got.append((cycle, int(word.header.status.value)))
        return cycle == 900

    run(dut, step, most=901)
    assert len(began) == 3
    assert began[0] < 5
    assert 300 < began[1] < 310
    assert 700 < began[2] < 710
    assert [status for _, status in got] == [UNREACHABLE] * 3
    assert all(40 <= at - start <= 85 for (at, _), start in zip(got, began, strict=True)), "one to two timeouts"


@pytest.mark.parametrize("tags", [1, 12, 512])
def test_a_number_of_tags_that_is_no_power_of_two_is_refused(tags: int) -> None:
    with pytest.raises(ValueError, match=f"^Initiator tags = {tags}: give a power of two from 2 to 256$"):
        Initiator(CONFIG, tags=tags)
