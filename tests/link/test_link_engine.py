"""The link's commands: copies to other chips, collective instructions, signals; refusals and failures."""

import random

import pytest
from openppu.command.controls import CONTROLS
from openppu.command.error import Error
from openppu.command.instruction import InstructionSet
from openppu.link.collective.instruction import Instruction, Opcode
from openppu.link.config import LinkConfig
from openppu.link.layouts import Operation, Status
from openppu.link.unit.instructions import COLLECTIVE, LINK_INSTRUCTIONS, SEND
from openppu.link.unit.link_engine import SIGNAL_TAG, LinkEngine
from openppu.link.unit.remote_signals import SignalReceiver
from openppu_verif.ends import Put, Take, run
from openppu_verif.memory_model import MemoryModel

CONFIGS = {
    4: LinkConfig(ports=1, lanes=2, lane_bits=16),
    16: LinkConfig(ports=1, lanes=4, lane_bits=32),
    32: LinkConfig(ports=1, lanes=8, lane_bits=32),
    64: LinkConfig(ports=1, lanes=8, lane_bits=64),
}
MEMORY = 1 << 20


class Bench:
    """An engine, memory, an initiator that answers in any order, and a collective engine that ends at once or late."""

    def __init__(self, width, *, seed=1, rate=1.0):
        self.chance = random.Random(seed)
        self.width = width
        self.design = design = LinkEngine(CONFIGS[width])
        self.memory = ReadMemory(design, self.chance, rate=rate)
        self.commands = Put(design.commands, self.chance, rate)
        self.finished = Take(design.finished, self.chance, rate)
        self.remote = Put(design.remote, self.chance, rate)
        self.packets = Take(design.packets, self.chance, rate)
        self.answers = Put(design.answers, self.chance, rate)
        self.program = Take(design.program, self.chance, rate)
        self.far: dict[int, dict[int, int]] = {}
        self.signals: list[tuple[int, int, int]] = []
        self.statuses: list[Status] = []
        self.open: dict[int, int] = {}
        self.packet: list = []
        self.ran: list[int] = []
        self.errors: list[Error] = []
        self.end_in = 0
        self.broken = 0

    def play(self, count, *, most=40_000, settle=60):
        """Until so many commands have ended, and a little longer."""
        still = 0

        def each_cycle(ctx, cycle):
            nonlocal still
            ctx.set(self.design.memory_bytes, MEMORY)
            ctx.set(self.design.ended, self.end_in == 1)
            ctx.set(self.design.broken, self.broken)
            self.end_in = max(0, self.end_in - 1)
            if self.open and self.chance.random() < 0.2:
                tag = self.chance.choice(list(self.open))
                status = self.open.pop(tag)
                header = {"operation": Operation.DONE, "status": status, "tag": tag}
                self.answers.waiting.append({"header": header, "first": 1, "last": 1})
            for end in (
                self.memory,
                self.commands,
                self.finished,
                self.remote,
                self.packets,
                self.answers,
                self.program,
            ):
                end.drive(ctx)
            self.memory.sample(ctx)
            for end in (self.commands, self.remote, self.answers):
                end.sample(ctx)
            finished = self.finished.sample(ctx)
            if finished is not None:
                self.errors.append(finished.error)
            word = self.program.sample(ctx)
            if word is not None:
                self.ran.append(word)
                if word & 7 == Opcode.END:
                    self.end_in = self.chance.randint(2, 30)
            word = self.packets.sample(ctx)
            if word is not None:
                self._word(word)
            still = still + 1 if len(self.errors) == count and not self.remote.waiting and not self.open else 0
            return still == settle

        run(self.design, each_cycle, most=most)

    def _word(self, word):
        assert word.first == (not self.packet)
        self.packet.append(word)
        if not word.last:
            return
        header, words, self.packet = self.packet[0].header, self.packet, []
        assert header.tag not in self.open, "the tag is in use"
        status = self.statuses.pop(0) if self.statuses else Status.OKAY
        self.open[header.tag] = status
        if header.operation == Operation.SIGNAL:
            assert header.tag == SIGNAL_TAG
            self.signals.append((header.destination, header.address, header.length + 1))
            return
        assert header.operation == Operation.WRITE
        assert header.address // 4096 == (header.address + header.length) // 4096
        assert all(word.filled and word.count == self.width - 1 for word in words)
        data = b"".join(word.data.to_bytes(self.width, "little") for word in words)
        assert len(data) == header.length + 1
        self.far.setdefault(header.destination, {}).update(enumerate(data, start=header.address))


class ReadMemory(MemoryModel):
    """A memory that is only read."""

    def __init__(self, design, chance, *, rate):
        class Port:
            requests, responses = design.requests, design.responses
            words, acknowledges = None, None

        super().__init__(Port, chance, rate=rate, delay=12)

    def drive(self, ctx):
        self.cycle += 1
        self._answer()
        self.requests.drive(ctx)
        self.responses.drive(ctx)

    def sample(self, ctx):
        words, self.words, self.acknowledges = self.words, _Nothing(), _Nothing()
        super().sample(ctx)
        self.words = words


class _Nothing:
    waiting: list = []

    def sample(self, ctx):
        return None


def issue(instruction, **fields):
    return {"opcode": instruction.opcode, "operands": instruction.pack(fields)}


@pytest.mark.parametrize("width", CONFIGS)
@pytest.mark.parametrize("rate", [1.0, 0.5])
def test_memory_comes_to_the_other_chip_as_it_is(width, rate):
    bench = Bench(width, seed=width, rate=rate)
    image = bench.chance.randbytes(30_000)
    bench.memory.load(0, image)
    expected: dict[int, dict[int, int]] = {}
    for size in (64, 4096, 8192, 64 * bench.chance.randint(1, 140)):
        source, target = 64 * bench.chance.randrange(100), 64 * bench.chance.randrange(1 << 20)
        chip = bench.chance.randrange(4)
        bench.commands.waiting.append(issue(SEND, source=source, target=target, bytes=size, chip=chip))
        expected.setdefault(chip, {}).update(enumerate(image[source : source + size], start=target))
    bench.play(4)
    assert bench.errors == [Error.OKAY] * 4
    assert bench.far == expected
    assert all(address < 30_016 for address in bench.memory.read)


def test_a_send_moves_a_beat_a_cycle():
    bench = Bench(16)
    bench.commands.waiting.append(issue(SEND, source=0, target=0, bytes=32_768, chip=1))
    cycles = 0
    drive = bench.memory.drive

    def counted(ctx):
        nonlocal cycles
        cycles += 1
        drive(ctx)

    bench.memory.drive = counted
    bench.memory.delay = 2
    bench.play(1, settle=1)
    assert cycles < 32_768 // 16 * 1.05 + 60


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ({"opcode": 5, "operands": 0}, Error.OPCODE),
        (issue(SEND, source=64, target=64), Error.FIELD),
        (issue(SEND, source=32, target=64, bytes=64), Error.ALIGNMENT),
        (issue(SEND, source=64, target=32, bytes=64), Error.ALIGNMENT),
        (issue(SEND, source=64, target=64, bytes=96), Error.ALIGNMENT),
        (issue(SEND, source=MEMORY - 64, target=64, bytes=128), Error.BOUNDS),
        (issue(SEND, source=MEMORY, target=64, bytes=64), Error.BOUNDS),
    ],
    ids=lambda value: value.name if isinstance(value, Error) else "",
)
def test_what_is_refused_asks_for_nothing(command, error):
    bench = Bench(64)
    bench.commands.waiting += [command, issue(SEND, source=0, target=0, bytes=64, chip=3)]
    bench.play(2)
    assert bench.errors == [error, Error.OKAY]
    assert bench.memory.read == {0, 32}
    assert list(bench.far) == [3]


def test_what_fails_is_told():
    bench = Bench(16)
    bench.statuses = [Status.OKAY, Status.UNREACHABLE, Status.OKAY]
    bench.memory.bad = {32_768}
    for source in (0, 0, 32_768, 0):
        bench.commands.waiting.append(issue(SEND, source=source, target=0, bytes=8192 if source == 0 else 32, chip=1))
    bench.play(4)
    assert bench.errors == [Error.LINK, Error.OKAY, Error.MEMORY, Error.OKAY]


def test_collective_instructions_go_to_the_engine_in_their_order():
    bench = Bench(16)
    program = [
        Instruction(opcode=Opcode.SEND, ports=1, address=1 << 39, length=99, label=3),
        Instruction(
            opcode=Opcode.REDUCE, sources=(1, 8), local=160, address=320, length=7, write=1, narrow_sources=2, base=9
        ),
        Instruction(opcode=Opcode.END, label=5),
    ]
    for each in (*program, *program):
        fields = {name: each.bits >> place.offset & ((1 << place.width) - 1) for name, place in COLLECTIVE.layout}
        bench.commands.waiting.append(issue(COLLECTIVE, **fields))
    bench.play(6)
    assert bench.ran == [each.bits for each in program] * 2
    assert bench.errors == [Error.OKAY] * 6
    bench = Bench(16)
    bench.broken = 1
    bench.commands.waiting.append({"opcode": COLLECTIVE.opcode, "operands": COLLECTIVE.pack({"opcode": 1})})
    bench.play(1)
    assert bench.errors == [Error.LINK]
    assert bench.ran == []


def test_signals_reach_other_chips_in_pieces_of_4096():
    bench = Bench(16, rate=0.6)
    bench.remote.waiting += [
        {"chip": 3, "semaphore": 7, "value": 5},
        {"chip": 1, "semaphore": 200, "value": 10_000},
        {"chip": 2, "semaphore": 1, "value": 0},
    ]
    bench.commands.waiting.append(issue(SEND, source=0, target=0, bytes=8192, chip=1))
    bench.play(1)
    assert bench.signals == [(3, 7, 5), (1, 200, 4096), (1, 200, 4096), (1, 200, 1808)]


def test_what_others_signal_comes_once_and_after_what_they_wrote():
    chance = random.Random(2)
    design = SignalReceiver(4)
    take = Take(design.signals, chance, 0.5)
    values, total, settled = [0] * 4, [0] * 4, 0
    got = [0] * 4

    def each_cycle(ctx, cycle):
        nonlocal settled
        if ctx.get(design.lower.valid):
            values[ctx.get(design.lower.index)] -= ctx.get(design.lower.amount)
        if cycle < 400 and chance.random() < 0.3:
            number, amount = chance.randrange(4), chance.choice((1, 3, 70_000))
            values[number] += amount
            total[number] += amount
        before = settled
        settled = chance.random() < 0.3
        for number, value in enumerate(values):
            ctx.set(design.values[number], value)
        ctx.set(design.settled, settled)
        waited = take.waits is not None
        take.drive(ctx)
        signal = take.sample(ctx)
        if not waited and (signal is not None or take.waits is not None):
            assert before, "it was not settled"
        if signal is not None:
            got[signal.semaphore] += signal.value
        return cycle > 400 and got == total

    run(design, each_cycle, most=3000)
    assert values == [0] * 4


def test_the_instructions_are_a_set():
    assert [each.name for each in InstructionSet((*CONTROLS, *LINK_INSTRUCTIONS)).of("link")] == ["SEND", "COLLECTIVE"]
