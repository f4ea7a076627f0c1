"""Programs in rings, run by the processor: what engines are given, semaphores, records, errors."""

import random

import pytest
from engines import INSTRUCTIONS, Engine
from openppu.command.config import CommandConfig
from openppu.command.error import Error
from openppu.command.layouts import record_layout
from openppu.command.processor import CommandProcessor
from openppu.command.registers import registers
from openppu.common.axi import Response
from openppu_sim.program.command import Command
from openppu_sim.program.text import parse_program, print_program
from openppu_sim.reference.command import Interpreter
from openppu_verif.ends import Put, Take, run
from openppu_verif.memory_model import MemoryModel

CONFIG = CommandConfig(semaphores=8, buffer=8, in_flight=4, loops=2)
QUEUES = (("copy", "copier"), ("sum", "adder"))
REGISTERS = {register.name: register for register in registers(CONFIG, [name for name, _ in QUEUES])}
RECORDS = 0x8000


def ring(number: int) -> int:
    return 0x1000 * (number + 1)


class Bench:
    """A processor with two queues, its memory, and two engines; registers are written first."""

    def __init__(self, programs, *, seed=1, rate=1.0, log2=5, delay=5, raw=None, wait_first=()):
        self.chance = random.Random(seed)
        self.design = CommandProcessor(CONFIG, INSTRUCTIONS, QUEUES)
        self.programs = programs
        self.memory = MemoryModel(self.design.memory, self.chance, rate=rate, delay=delay)
        self.engines = [
            Engine(self.design.issue[n], self.design.finished[n], self.chance, rate=rate) for n in range(len(QUEUES))
        ]
        self.remote = Take(self.design.remote, self.chance, rate)
        self.signals = Put(self.design.signals, self.chance, rate)
        self.remotes: list[tuple[int, int, int]] = []
        self.writes: list[tuple[str, int]] = []
        self.log2 = log2
        for number, program in enumerate(programs):
            for place, command in enumerate(program):
                image = command if isinstance(command, bytes) else command.encode(INSTRUCTIONS)
                self.memory.load(ring(number) + 64 * (place % (1 << log2)), image)

    def start(self) -> list[tuple[str, int]]:
        """Register writes that begin the programs."""
        writes = [("records.base0", RECORDS), ("records.log2", 6), ("records.enable", 1), ("interrupt_enable", 3)]
        for number, (name, _) in enumerate(QUEUES):
            writes += [(f"{name}.base0", ring(number)), (f"{name}.log2", self.log2)]
            writes += [(f"{name}.tail", len(self.programs[number])), (f"{name}.enable", 1)]
        return writes

    def play(self, script, *, most=20_000, quiet=120):
        """Write or read registers one after the other, then run until nothing has moved for a while."""
        axi = self.design.axi
        pending = list(script)
        state = {"busy": False, "still": 0, "moved": 0}
        read: list[int] = []

        def each_cycle(ctx, cycle):
            ctx.set(axi.bready, 1)
            ctx.set(axi.rready, 1)
            if pending and not state["busy"]:
                name, value = pending[0]
                if callable(name):
                    if name(ctx, self):
                        pending.pop(0)
                else:
                    offset = REGISTERS[name].offset
                    if value is None:
                        ctx.set(axi.araddr, offset)
                        ctx.set(axi.arvalid, 1)
                    else:
                        ctx.set(axi.awaddr, offset)
                        ctx.set(axi.awvalid, 1)
                        ctx.set(axi.wdata, value)
                        ctx.set(axi.wstrb, 15)
                        ctx.set(axi.wvalid, 1)
                    state["busy"] = True
            for end in (self.memory, *self.engines, self.signals, self.remote):
                end.drive(ctx)
            self.memory.sample(ctx)
            before = [len(engine.taken) for engine in self.engines], len(self.memory.written), len(self.remotes)
            for engine in self.engines:
                engine.sample(ctx)
            self.signals.sample(ctx)
            remote = self.remote.sample(ctx)
            if remote is not None:
                self.remotes.append((remote.chip, remote.semaphore, remote.value))
            if ctx.get(axi.bvalid) or ctx.get(axi.rvalid):
                name, value = pending.pop(0)
                assert ctx.get(axi.bresp if value is not None else axi.rresp) == Response.OKAY, name
                if value is None:
                    read.append(ctx.get(axi.rdata))
                state["busy"] = False
            self.drop = [
                (valid, ready)
                for valid, ready in ((axi.awvalid, axi.awready), (axi.wvalid, axi.wready), (axi.arvalid, axi.arready))
                if ctx.get(valid) and ctx.get(ready)
            ]
            after = [len(engine.taken) for engine in self.engines], len(self.memory.written), len(self.remotes)
            busy = pending or before != after or any(engine.running for engine in self.engines)
            state["still"] = 0 if busy else state["still"] + 1
            return state["still"] > quiet

        def wrapped(ctx, cycle):
            for valid, _ in getattr(self, "drop", []):
                ctx.set(valid, 0)
            return each_cycle(ctx, cycle)

        run(self.design, wrapped, most=most)
        return read

    def records(self):
        """Those in memory, in their order."""
        found = {}
        for address in self.memory.written:
            record = record_layout().from_bits(int.from_bytes(self.memory.dump(address, 32), "little"))
            found[record.number] = record
        return [found[number] for number in sorted(found)]


def expected(programs, errors=({}, {})):
    """What the reference gives the engines, its state at the end, and whether all went well."""
    taken: list[list[tuple[int, int]]] = [[], []]

    def engine(number):
        def do(name, fields):
            instruction = INSTRUCTIONS.by_name[name]
            taken[number].append((instruction.opcode, instruction.pack(fields)))
            return errors[number].get(len(taken[number]) - 1, 0)

        return do

    interpreter = Interpreter(
        INSTRUCTIONS,
        programs,
        [engine(0), engine(1)],
        semaphores=CONFIG.semaphores,
        buffer=CONFIG.buffer,
        loops=CONFIG.loops,
    )
    well = interpreter.run()
    return taken, interpreter, well


def parse(text: str) -> tuple[Command, ...]:
    return parse_program(text, INSTRUCTIONS)


TILED = """
SET register=1 value=0x100
SET register=2 value=0x40
LOOP count=3
    LOOP count=4
        COPY source=0x10+r1 target=0x8+r2 rows=7 mode=2 signal 1 1
        ADD register=1 value=0x20
    END
    ADD register=2 value=0x1000
END
7: NOTHING signal chip5.3 9 record interrupt
"""
SUMS = """
LOOP count=4
    SUM a=0x1 b=0x2 c=0x3 to=0x4 count=5 wait 1 3
END
"""


def test_a_tiled_program_runs_as_the_reference_says():
    programs = [parse(TILED), parse(SUMS)]
    bench = Bench(programs)
    bench.play(bench.start())
    taken, interpreter, well = expected(programs)
    assert well
    assert [engine.taken for engine in bench.engines] == taken
    assert len(taken[0]) == 12
    assert len(taken[1]) == 4
    assert bench.remotes == interpreter.remote == [(5, 3, 9)]
    (record,) = bench.records()
    assert (record.tag, record.queue, record.opcode, record.error, record.index) == (7, 0, 0, Error.OKAY, 9)
    assert 0 < record.begun < record.ended


def random_program(chance, engine, *, raises, waits, commands):
    """A legal program with loops; it signals ``raises`` and waits for ``waits``."""
    program: list[Command] = []
    depth = body = 0
    for _ in range(commands):
        kind = chance.random()
        if kind < 0.2 and depth < CONFIG.loops:
            program.append(Command(name="LOOP", fields={"count": chance.randint(1, 3)}))
            depth, body = depth + 1, body if depth else 0
            continue
        if depth and (kind < 0.35 or body >= CONFIG.buffer - 1 - depth):
            program.append(Command(name="END"))
            depth, body = depth - 1, body + 1
            continue
        given: dict = {}
        if chance.random() < 0.3:
            given["signal"] = (raises, chance.randint(1, 5))
        if chance.random() < 0.2:
            given["wait"] = (waits, chance.randint(0, 4))
        if chance.random() < 0.2:
            given["record"] = True
        if chance.random() < 0.1:
            given["fence"] = True
        given["tag"] = chance.randrange(1 << 16)
        if kind < 0.6:
            name = chance.choice(("SET", "ADD"))
            fields = {"register": chance.randint(1, 3), "value": chance.randrange(1 << 12)}
        else:
            (instruction,) = INSTRUCTIONS.of(engine)
            name = instruction.name
            fields = {each.name: chance.randrange(1 << min(each.bits, 16)) for each in instruction.operands}
            given["registers"] = {
                address: chance.randint(1, 3) for address in instruction.addresses if chance.random() < 0.5
            }
        program.append(Command(name=name, fields=fields, **given))
        body += 1
    program += [Command(name="END")] * depth
    return program


@pytest.mark.parametrize("seed", range(8))
def test_random_programs_give_engines_what_the_reference_gives(seed):
    chance = random.Random(seed)
    programs = [
        random_program(chance, "copier", raises=1, waits=2, commands=18),
        random_program(chance, "adder", raises=2, waits=1, commands=18),
    ]
    bench = Bench(programs, seed=seed, rate=chance.choice((1.0, 0.6, 0.3)), delay=chance.choice((1, 30)))
    script = [*bench.start()]
    for semaphore in range(CONFIG.semaphores):
        script += [("semaphore", semaphore), ("value", None)]
    script = [*script[: len(bench.start())], (_still(), 0), *script[len(bench.start()) :]]
    values = bench.play(script)
    taken, interpreter, _ = expected(programs)
    shown = f"seed {seed}:\n" + "\n".join(print_program(program, INSTRUCTIONS) for program in programs)
    assert [engine.taken for engine in bench.engines] == taken, shown
    assert values == interpreter.values, shown


def _still(cycles=150):
    """A step of a script: until nothing has moved for so many cycles."""
    state = {"count": 0, "last": None}

    def step(ctx, bench):
        now = [len(engine.taken) for engine in bench.engines], len(bench.memory.written), bench.memory.idle
        now = (*now, sum(len(engine.running) for engine in bench.engines))
        state["count"] = state["count"] + 1 if now == state["last"] else 0
        state["last"] = now
        return state["count"] >= cycles

    return step


WRONG = [
    ("opcode", 9, Error.OPCODE),
    ("opcode", 20, Error.OPCODE),
    ("header", 1 << 127, Error.FIELD),
    ("operands", 1 << (128 + 383), Error.FIELD),
    ("slot", 5 << 88, Error.FIELD),
]


@pytest.mark.parametrize(("kind", "value", "error"), WRONG, ids=[f"{kind}-{error.name}" for kind, _, error in WRONG])
def test_a_command_with_bits_that_mean_nothing_is_refused(kind, value, error):
    word = parse("3: COPY rows=1 source=0x20")[0].word(INSTRUCTIONS)
    word = word & ~0xFF | value if kind == "opcode" else word ^ value
    programs = [[parse("COPY rows=2")[0], word.to_bytes(64, "little"), parse("COPY rows=3")[0]], parse("SUM count=1")]
    bench = Bench(programs)
    shown = bench.play(
        [*bench.start(), (_still(), 0), ("copy.error", None), ("copy.index", None), ("interrupts", None)]
    )
    assert shown == [error.value, 1, 1]
    assert len(bench.engines[0].taken) == 1
    assert len(bench.engines[1].taken) == 1
    (record,) = bench.records()
    assert (record.tag, record.error, record.index, record.queue) == (3, error, 1, 0)


BAD_PROGRAMS = {
    "end without a loop": ("COPY rows=1\nEND", Error.FIELD, 1),
    "too many loops": ("LOOP count=1\nLOOP count=1\nLOOP count=1\nEND\nEND\nEND", Error.FIELD, 2),
    "no such semaphore": ("COPY rows=1 wait 8 0", Error.FIELD, 0),
    "no such semaphore to signal": ("COPY rows=1 signal 8 1", Error.FIELD, 0),
    "no times": ("LOOP\nEND", Error.FIELD, 0),
    "register 0": ("SET value=5", Error.FIELD, 0),
    "a sum that does not fit": ("SET register=1 value=0xFFFFFF\nCOPY target=1+r1", Error.BOUNDS, 1),
    "a long loop": ("LOOP count=2\n" + "COPY rows=1\n" * 8 + "END", Error.FIELD, 9),
}


@pytest.mark.parametrize("name", BAD_PROGRAMS)
def test_a_bad_program_stops_its_queue_alone(name):
    text, error, place = BAD_PROGRAMS[name]
    programs = [parse(text), parse("SUM count=1\nSUM count=2")]
    bench = Bench(programs)
    shown = bench.play(
        [*bench.start(), (_still(), 0), ("copy.stopped", None), ("copy.error", None), ("copy.index", None)]
    )
    assert shown == [1, error.value, place]
    taken, interpreter, _ = expected(programs)
    assert interpreter.queues[0].error == (error.value, place)
    assert [engine.taken for engine in bench.engines] == taken


def test_an_engines_error_stops_signals_and_a_restart_goes_on():
    text = "COPY rows=1 signal 1 1\n5: COPY rows=2 signal 1 1\nCOPY rows=3 signal 1 1 fence\nCOPY rows=4"
    programs = [parse(text), parse("SUM count=1")]
    bench = Bench(programs)
    bench.engines[0].errors = {1: Error.MEMORY.value}

    def more(ctx, bench):
        image = parse("COPY rows=9 interrupt")[0].encode(INSTRUCTIONS)
        bench.memory.load(ring(0) + 4 * 64, image)
        return True

    shown = bench.play(
        [
            *bench.start(),
            (_still(), 0),
            *[(name, None) for name in ("copy.error", "copy.tag", "copy.stopped", "copy.head")],
            ("semaphore", 1),
            ("value", None),
            ("interrupts", None),
            ("seen", 1),
            ("interrupts", None),
            ("restart", 1),
            (more, 0),
            ("copy.tail", 5),
            (_still(), 0),
            *[(name, None) for name in ("copy.stopped", "copy.head", "interrupts", "copy.busy")],
            ("clear", 1),
            ("value", None),
        ]
    )
    assert shown[:4] == [Error.MEMORY.value, 5, 1, 2]
    assert shown[4:7] == [1, 1, 0]
    assert shown[7:] == [0, 5, 1, 0, 0]
    rows = [operands >> 80 & 0xFFF for _, operands in bench.engines[0].taken]
    assert rows == [1, 2, 9]


def test_wrong_data_in_a_ring_is_not_run():
    programs = [parse("COPY rows=1\nCOPY rows=2"), parse("SUM count=1")]
    bench = Bench(programs)
    bench.memory.bad.add(ring(0) + 64 + 32)
    assert bench.play([*bench.start(), (_still(), 0), ("copy.error", None)]) == [Error.MEMORY.value]
    assert len(bench.engines[0].taken) == 1


def test_the_host_and_other_chips_signal():
    programs = [parse("COPY rows=1 wait 6 3"), parse("SUM count=1 wait 7 2")]
    bench = Bench(programs)
    bench.signals.waiting += [{"semaphore": 7, "value": 1}] * 2
    shown = bench.play([*bench.start(), (_still(), 0), ("copy.waiting", None), ("copy.semaphore", None)])
    assert shown == [1, 6]
    assert [len(engine.taken) for engine in bench.engines] == [0, 1]
    bench = Bench(programs)
    bench.play([*bench.start(), ("semaphore", 6), ("raise", 2), ("raise", 1)])
    assert [len(engine.taken) for engine in bench.engines] == [1, 0]


def test_a_ring_is_read_round_and_nothing_beyond_it():
    programs = [parse("COPY rows=1\n" * 4), parse("SUM count=1")]
    bench = Bench(programs, log2=2)

    def again(ctx, bench):
        return len(bench.engines[0].taken) == 4

    bench.play([*bench.start(), (again, 0), ("copy.tail", 8), (_still(), 0)])
    assert len(bench.engines[0].taken) == 8
    rings = {ring(n) + 32 * k for n in range(2) for k in range(8)}
    assert bench.memory.read <= rings
