"""A target does what is asked, in order, and changes nothing when it refuses."""

import random
import struct
from collections import deque
from typing import Any

import numpy as np
import pytest
from openppu.link.config import LinkConfig
from openppu.link.target import Target
from openppu_sim.reference.link_packets import (
    ADD_BINARY32,
    ADD_INT32,
    DATA,
    DONE,
    MESSAGE,
    READ,
    SIGNAL,
    WRITE,
    Packet,
)
from openppu_verif.ends import Take, run
from packet_ends import CUT, PacketReader, Put, words_of

CHIP = 33
SIZE = 1024
OKAY, ADDRESS, OPERATION, MEMORY, BUSY = 0, 1, 2, 3, 5
BOXES, BOX_BYTES, SEMAPHORES = 2, 256, 3


class Memory:
    """A memory behind the target's port: slow by chance; some places are known to be wrong."""

    def __init__(self, dut: Target, config: LinkConfig, chance: random.Random, rate: float) -> None:
        self.width = config.beat_bytes
        self.bytes = bytearray(chance.randbytes(SIZE))
        self.wrong: set[int] = set()
        self.accesses = Take(dut.memory.accesses, chance, rate)
        self.results = Put(dut.memory.results, chance, rate)
        self.writes = 0

    def drive(self, ctx: Any) -> None:
        self.accesses.drive(ctx, allowed=len(self.results.waiting) < 20)
        self.results.drive(ctx)

    def sample(self, ctx: Any) -> None:
        self.results.sample(ctx)
        if (access := self.accesses.sample(ctx)) is None:
            return
        place = access.address * self.width
        assert place + self.width <= SIZE
        if access.write:
            self.writes += 1
            for byte, value in enumerate(access.data.to_bytes(self.width, "little")):
                if access.mask >> byte & 1:
                    self.bytes[place + byte] = value
        else:
            word = int.from_bytes(self.bytes[place : place + self.width], "little")
            wrong = not self.wrong.isdisjoint(range(place, place + self.width))
            self.results.waiting.append({"data": word, "error": wrong})


class Model:
    """What must happen, written from the description of the operations."""

    def __init__(self, memory: bytes, width: int, wrong: set[int]) -> None:
        self.bytes = bytearray(memory)
        self.width, self.wrong = width, wrong
        self.semaphores = [0] * SEMAPHORES
        self.mail: list[list[tuple[int, int, bytes]]] = [[] for _ in range(BOXES)]

    def answer(self, request: Packet, *, room: bool = True) -> Packet:
        """Carry out a request."""
        data, status = b"", self._status(request, room)
        at, end = request.address, request.address + request.length
        if status == OKAY and request.operation == WRITE:
            self.bytes[at:end] = request.data
        elif status == OKAY and request.operation in (READ, ADD_INT32, ADD_BINARY32):
            first, last = at // self.width * self.width, -(-end // self.width) * self.width
            if not self.wrong.isdisjoint(range(first, last)):
                status = MEMORY
            else:
                data = bytes(self.bytes[at:end])
        elif status == OKAY and request.operation == MESSAGE:
            self.mail[at].append((request.source, request.tag, request.data))
        elif status == OKAY and request.operation == SIGNAL:
            self.semaphores[at] = (self.semaphores[at] + request.length) % (1 << 32)
        if status == OKAY and request.operation == ADD_INT32:
            old, more = struct.unpack("<I", data)[0], struct.unpack("<I", request.data)[0]
            self.bytes[at:end] = struct.pack("<I", (old + more) % (1 << 32))
        elif status == OKAY and request.operation == ADD_BINARY32:
            with np.errstate(all="ignore"):
                total = np.frombuffer(data, "<f4") + np.frombuffer(request.data, "<f4")
            self.bytes[at:end] = b"\x00\x00\xc0\x7f" if np.isnan(total[0]) else total.tobytes()
        return Packet(
            operation=DATA if data else DONE,
            status=status,
            destination=request.source,
            source=CHIP,
            tag=request.tag,
            length=len(data) or 1,
            data=data,
        )

    @staticmethod
    def _status(request: Packet, room: bool) -> int:
        inside = request.address + request.length <= SIZE
        if request.operation in (WRITE, READ):
            return OKAY if inside else ADDRESS
        if request.operation in (ADD_INT32, ADD_BINARY32):
            if request.length != 4 or request.address % 4:
                return OPERATION
            return OKAY if inside else ADDRESS
        if request.operation == MESSAGE:
            if request.address >= BOXES or request.length > BOX_BYTES:
                return ADDRESS
            return OKAY if room else BUSY
        if request.operation == SIGNAL:
            return OKAY if request.address < SEMAPHORES else ADDRESS
        return OPERATION


def request(chance: random.Random) -> Packet:
    """Any request, often one that touches what others do."""
    operation = chance.choice([WRITE, WRITE, READ, READ, ADD_INT32, ADD_BINARY32, MESSAGE, SIGNAL, 0, 9, 15, DONE])
    length = chance.choice([1, 2, 3, 4, 7, 8, chance.randint(1, 100), chance.randint(1, 300)])
    address = chance.choice([chance.randrange(64), chance.randrange(SIZE), SIZE - length, SIZE - length + 1])
    if operation in (ADD_INT32, ADD_BINARY32):
        length = chance.choice([4, 4, 4, 4, 8])
        address = chance.choice([address // 4 * 4, address // 4 * 4, address])
    elif operation in (MESSAGE, SIGNAL):
        address = chance.choice([0, 1, 2, 3, 1 << 30])
        length = chance.choice([length, 256, 257])
    data = chance.randbytes(length) if operation in (WRITE, MESSAGE, 9) else b""
    if operation in (ADD_INT32, ADD_BINARY32):
        numbers = [1.0, -2.5, 1e30, 1e-45, float("inf"), float("nan"), chance.uniform(-9, 9)]
        data = struct.pack("<f", chance.choice(numbers)) if length == 4 else chance.randbytes(length)
    return Packet(
        operation=operation,
        destination=CHIP,
        source=chance.randrange(64),
        tag=chance.randrange(256),
        length=length,
        address=max(0, address),
        data=data,
    )


@pytest.mark.parametrize(("lanes", "lane_bits"), [(1, 16), (8, 16), (8, 64)])
@pytest.mark.parametrize("rate", [0.5, 1.0])
def test_requests_are_carried_out_in_order(lanes: int, lane_bits: int, rate: float) -> None:
    config = LinkConfig(ports=1, lanes=lanes, lane_bits=lane_bits)
    chance = random.Random(lanes * lane_bits + int(rate))
    dut = Target(config, mailboxes=BOXES, mailbox_bytes=BOX_BYTES, semaphores=SEMAPHORES)
    memory = Memory(dut, config, chance, rate)
    memory.wrong = set(range(52, 64)) if config.beat_bytes < 64 else {900}
    model = Model(memory.bytes, config.beat_bytes, memory.wrong)
    requests, answers = Put(dut.requests, chance, rate), Take(dut.answers, chance, rate)
    mail = [Take(port, chance, rate) for port in dut.mail]
    asked = deque(request(chance) for _ in range(100))
    left = deque(asked)
    for packet in asked:
        requests.waiting.extend(words_of(packet, config, chance))
    reader = PacketReader(config)
    heard: list[list[tuple[int, int, bytes]]] = [[] for _ in range(BOXES)]
    letters: list[bytes] = [b""] * BOXES
    seen = [0] * 6
    idle = 0

    def step(ctx: Any, cycle: int) -> bool:
        nonlocal idle
        ctx.set(dut.chip, CHIP)
        ctx.set(dut.memory_bytes, SIZE)
        for end in (requests, answers, memory, *mail):
            end.drive(ctx)
        requests.sample(ctx)
        memory.sample(ctx)
        if (word := answers.sample(ctx)) is not None and (answer := reader.word(word)) is not None:
            seen[answer.status] += 1
            expected = model.answer(left.popleft(), room=answer.status != BUSY)
            assert answer == expected
        for box, take in enumerate(mail):
            if (word := take.sample(ctx)) is not None:
                letters[box] += word.data.to_bytes(config.beat_bytes, "little")[: word.count + 1]
                if word.last:
                    heard[box].append((word.chip, word.tag, letters[box]))
                    letters[box] = b""
        idle = 0 if left else idle + 1
        return idle == 300

    run(dut, step, most=30000)
    assert memory.bytes == model.bytes
    assert heard == model.mail
    assert min(seen[OKAY], seen[ADDRESS], seen[OPERATION]) > 3
    assert seen[MEMORY] > 0


def test_semaphores_are_raised_and_lowered() -> None:
    config = LinkConfig(ports=1, lanes=2, lane_bits=16)
    chance = random.Random(0)
    dut = Target(config, mailboxes=0, semaphores=SEMAPHORES)
    requests, answers = Put(dut.requests, chance), Take(dut.answers, chance)
    for amount in (5, 4096, 1):
        packet = Packet(operation=SIGNAL, address=2, length=amount, source=1)
        requests.waiting.extend(words_of(packet, config, chance))

    def step(ctx: Any, cycle: int) -> bool:
        ctx.set(dut.lower, {"valid": cycle == 2 or cycle == 60, "index": 2, "amount": 100})
        requests.drive(ctx)
        answers.drive(ctx)
        requests.sample(ctx)
        answers.sample(ctx)
        return cycle == 70

    values: list[int] = []

    def look(ctx: Any, cycle: int) -> bool:
        done = step(ctx, cycle)
        values.append(ctx.get(dut.semaphores[2]))
        assert ctx.get(dut.semaphores[0]) == ctx.get(dut.semaphores[1]) == 0
        return done

    run(dut, look, most=80)
    assert values[-1] == 5 + 4096 + 1 - 200


def test_a_full_mailbox_refuses_and_keeps_nobody_waiting() -> None:
    config = LinkConfig(ports=1, lanes=2, lane_bits=16)
    chance = random.Random(0)
    dut = Target(config, mailboxes=1, mailbox_bytes=64, semaphores=1)
    memory = Memory(dut, config, chance, 1.0)
    requests, answers, mail = Put(dut.requests, chance), Take(dut.answers, chance), Take(dut.mail[0], chance)
    sizes = [40, 30, 20, 8, 1]
    for size in sizes:
        packet = Packet(operation=MESSAGE, length=size, data=bytes([size]) * size)
        requests.waiting.extend(words_of(packet, config, chance))
    write = Packet(operation=WRITE, length=4, data=b"done")
    requests.waiting.extend(words_of(write, config, chance))
    got, letters = [], b""

    def step(ctx: Any, cycle: int) -> bool:
        nonlocal letters
        ctx.set(dut.memory_bytes, SIZE)
        for end in (requests, answers, memory):
            end.drive(ctx)
        mail.drive(ctx, allowed=cycle > 200)
        requests.sample(ctx)
        memory.sample(ctx)
        if (word := answers.sample(ctx)) is not None:
            got.append(int(word.header.status.value))
        if (word := mail.sample(ctx)) is not None:
            letters += word.data.to_bytes(4, "little")[: word.count + 1]
        return cycle == 300

    run(dut, step, most=301)
    assert got == [OKAY, BUSY, OKAY, BUSY, OKAY, OKAY]
    assert letters == bytes([40]) * 40 + bytes([20]) * 20 + bytes([1])
    assert memory.bytes[:4] == b"done"


def test_a_request_that_is_cut_off_is_not_answered() -> None:
    config = LinkConfig(ports=1, lanes=2, lane_bits=16)
    chance = random.Random(0)
    dut = Target(config, mailboxes=1, semaphores=1)
    memory = Memory(dut, config, chance, 1.0)
    before = bytes(memory.bytes)
    requests, answers, mail = Put(dut.requests, chance), Take(dut.answers, chance), Take(dut.mail[0], chance)
    for operation in (MESSAGE, WRITE, 9):
        words = words_of(Packet(operation=operation, length=40, data=bytes(40)), config, chance)
        requests.waiting.extend([*words[:5], CUT])
    read = Packet(operation=READ, length=1, address=100, tag=77)
    requests.waiting.extend(words_of(read, config, chance))
    got, ends = [], []

    def step(ctx: Any, cycle: int) -> bool:
        ctx.set(dut.memory_bytes, SIZE)
        for end in (requests, answers, memory, mail):
            end.drive(ctx)
        requests.sample(ctx)
        memory.sample(ctx)
        if (word := answers.sample(ctx)) is not None:
            got.append((word.header.tag, word.data & 0xFF))
        if (word := mail.sample(ctx)) is not None and word.last:
            ends.append((word.cut, word.filled))
        return cycle == 200

    run(dut, step, most=201)
    assert got == [(77, before[100])]
    assert ends == [(1, 0)]
    assert memory.bytes[20:] == before[20:]


@pytest.mark.parametrize(
    ("operation", "size", "goal"), [(WRITE, 64, 1), (READ, 64, 1), (READ, 256, 4), (WRITE, 256, 4)]
)
def test_a_word_a_cycle(operation: int, size: int, goal: int) -> None:
    config = LinkConfig(ports=1, lanes=8, lane_bits=64)
    chance = random.Random(0)
    dut = Target(config)
    memory = Memory(dut, config, chance, 1.0)
    requests, answers = Put(dut.requests, chance), Take(dut.answers, chance)
    for number in range(20):
        data = bytes(size) if operation == WRITE else b""
        packet = Packet(operation=operation, length=size, address=number % 2 * 256, data=data)
        requests.waiting.extend(words_of(packet, config, chance))
    ends: list[int] = []

    def step(ctx: Any, cycle: int) -> bool:
        ctx.set(dut.memory_bytes, SIZE)
        for end in (requests, answers, memory):
            end.drive(ctx)
        requests.sample(ctx)
        memory.sample(ctx)
        if (word := answers.sample(ctx)) is not None and word.last:
            ends.append(cycle)
        return len(ends) == 20

    run(dut, step, most=400)
    assert ends[-1] - ends[0] == 19 * goal
    assert ends[0] <= goal + 6


@pytest.mark.parametrize(
    ("name", "value", "limits"),
    [("mailboxes", 65, "0 to 64"), ("mailbox_bytes", 7, "8 to 65536"), ("semaphores", -1, "0 to 256")],
)
def test_odd_numbers_are_refused(name: str, value: int, limits: str) -> None:
    config = LinkConfig(ports=1, lanes=2, lane_bits=16)
    with pytest.raises(ValueError, match=f"^Target {name} = {value}: give {limits}$"):
        Target(config, **{name: value})
