"""Random programs for all queues of a chip with one compute unit, which cannot block each other for ever.

Steps are drawn one after the other, each for some queue, and done at once by a twin of the chip. Where a step touches
what a step of another queue reads or writes, that queue signals behind all it has so far, and this one waits for it: on
a semaphore of the pair's own. So the order in which the steps were drawn is always possible, and every other that the
chip may choose has the same result. Within a queue, a fence or the engine's own order does that.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from openppu.command.error import Error
from openppu.command.instruction import InstructionSet
from openppu.command.instructions import instructions
from openppu.config import ChipConfig
from openppu.vector.command import ACCUMULATORS
from openppu.vector.instruction import ACCUMULATOR_STREAMS, INPUTS, OUTPUTS
from openppu_sim.errors import UserError
from openppu_sim.kernels.vector.assembly import image
from openppu_sim.kernels.vector.commands import LoadProgram, SetStream, fields_of
from openppu_sim.lowering.matmul import Addend, MatmulCommand
from openppu_sim.program.command import Command
from openppu_sim.reference import dma

from openppu_verif.chip.twin import WINDOW, Reach, Twin, matmul_fields
from openppu_verif.dma.commands import RandomCommands as DmaCommands
from openppu_verif.dma.commands import copy
from openppu_verif.matmul.random_commands import MEMORY_BYTES
from openppu_verif.matmul.random_commands import RandomCommands as MatmulCommands
from openppu_verif.vector.random_programs import PROGRAM_BYTES, RandomPrograms

QUEUES = ("load", "store", "matmul", "vector", "link")
IN_ORDER = {"load": False, "store": False, "matmul": False, "vector": True, "link": True}
"""Engines that begin a command when the one before has ended."""

PAIRS = [(a, b) for a in QUEUES[:4] for b in QUEUES[:4] if a != b]
COPIES = {
    "load": ("LOAD", "LOAD", "LOAD", "GATHER", "IM2COL", "FILL_SCRATCHPAD"),
    "store": ("STORE", "STORE", "STORE", "SCATTER", "FILL_MEMORY"),
}
"""What is wanted of each engine, the more often the more it can do."""

SEMAPHORES = {pair: number for number, pair in enumerate([*PAIRS, *((engine, "link") for engine in QUEUES[:4])])}
"""Of each pair: who signals, who waits."""

LOOPS = 2
"""Within each other."""

CODE = WINDOW - PROGRAM_BYTES
"""Where the host puts a program of the vector unit; a LOAD takes it to the scratchpad."""

VECTOR_NAMES = {"LoadProgram": "VECTOR_PROGRAM", "SetStream": "VECTOR_STREAM", "Run": "VECTOR_RUN"}
ADDRESS_MASK = (1 << 40) - 1


def _check_chip(chip: ChipConfig) -> None:
    """Raise UserError unless a chip has what these programs use."""
    if chip.compute_units != 1:
        raise UserError(f"chip.compute_units = {chip.compute_units}: random programs are for a chip with one")
    for key, has, least in (
        ("link.ports", chip.link.ports, 1),
        ("command.semaphores", chip.command.semaphores, len(SEMAPHORES)),
        ("command.loops", chip.command.loops, LOOPS),
        ("scratchpad.banks x bank_words: bytes", chip.scratchpad.capacity, MEMORY_BYTES),
    ):
        if has < least:
            raise UserError(f"{key} = {has}: random programs need {least} or more")


@dataclass
class Program:
    """What is put into the rings, and what memory holds before.

    ``broken``: the queue, and the place in it, of a command that must be refused.
    """

    queues: dict[str, list[Command | bytes]]
    window: NDArray[np.uint8]
    pad: NDArray[np.uint8]
    kinds: list[str] = field(default_factory=list)
    """Of the steps that are more than a command."""

    fresh: bool = True
    """All of memory is new; else only what is behind `CODE`."""

    broken: tuple[str, int] | None = None


class ProgramSource:
    """Draws programs for a chip, one after the other; it is left in the state that the last one leads to.

    Parameters
    ----------
    chip : ChipConfig
    seed : int
    vectors : bool
        With programs of the vector unit; some of them read registers that hold what earlier ones left.
    engine : str
        Only commands of this one.
    """

    def __init__(self, chip: ChipConfig, seed: int, *, vectors: bool = True, engine: str = "") -> None:
        self.vectors = vectors
        self.engines = (engine,) if engine else ("load", "store", "matmul")
        _check_chip(chip)
        self.chip = chip
        self.chance = random.Random(seed)
        self.numbers = np.random.default_rng(seed)
        self.known: InstructionSet = instructions()
        self.twin, self.trial = Twin(chip), Twin(chip)
        window = dma.Memories(self.twin.memory[:WINDOW], self.twin.pad, [self.twin.pad])
        self._copies = {
            engine: DmaCommands(self.chance, engine == "store", self.twin.formats, window, most_bytes=300)
            for engine in ("load", "store")
        }
        self._products = MatmulCommands(chip, seed, most=9)
        self._vectors = RandomPrograms(chip, seed)

    def draw(self, steps: int, *, fresh: bool = True) -> Program:
        """A program of so many steps, on new bytes or on what the program before has left."""
        if fresh:
            window, pad = self._bytes(WINDOW), self._bytes(self.twin.pad_bytes)
        else:
            window, pad = self.twin.memory[:WINDOW].copy(), self.twin.pad.copy()
        self._products.last = None
        kinds = [self._plain] * 8 + [self._loop] * 2
        if len(self.engines) > 1:
            kinds += [self._relay, self._talk]
            kinds += [self._vector_run] if self.vectors else []
        elif self.engines == ("vector",):
            kinds = [self._vector_run]
        chosen = self.chance.choices(kinds, k=steps)
        if self._vector_run in chosen:
            code, self._vector_steps = self._code()
            window[CODE : CODE + len(code)] = code
            self._code_bytes = len(code)
        self.twin.put(window, pad)
        self._program = Program(queues={name: [] for name in QUEUES}, window=window, pad=pad, fresh=fresh)
        self._registers: dict[str, dict[int, int]] = {name: {} for name in QUEUES}
        nothing = np.zeros(self.twin.reached, bool)
        self._since = {(a, b): [nothing.copy(), nothing.copy()] for a in QUEUES for b in QUEUES}
        for step in chosen:
            step()
        return self._program

    # What memory holds.

    def _bytes(self, count: int) -> NDArray[np.uint8]:
        """Numbers near 1 mostly, small integers here and there, which a gather takes as its list."""
        data = self.numbers.integers(0, 256, count, dtype=np.uint8)
        halves = data.view("<u2")
        tame = self.numbers.random(halves.size) < 0.7
        halves[tame] = (halves[tame] & 0x83FF) | 0x3C00
        words = data.view("<u4").reshape(-1, 16)
        rows = self.numbers.random(len(words)) < 0.3
        words[rows] = self.numbers.integers(0, 24, (int(rows.sum()), 16))
        return data

    def _code(self) -> tuple[NDArray[np.uint8], list[tuple[str, dict[str, int]]]]:
        """A program of the vector unit, and the commands that set and run it."""
        vectors = self._vectors
        streams: list[SetStream] = [vectors.stream(number) for number in range(INPUTS + OUTPUTS)]
        program = vectors.program(streams)
        data = image(program)
        steps: list[Any] = [LoadProgram(source=0, count=len(program)), *streams]
        most = self.chance.choice([2, 4, self.chip.vector.strip_rows])
        steps += [vectors.run(self.chance.randint(1, most)) for _ in range(self.chance.randint(1, 2))]
        return data, [(VECTOR_NAMES[type(each).__name__], fields_of(each)) for each in steps]

    # Steps.

    def _plain(self) -> None:
        """One command of an engine."""
        engine = self.chance.choice(self.engines)
        name, fields = self._engine_command(engine)
        self._do(engine, [(name, fields)])

    def _engine_command(self, engine: str) -> tuple[str, dict[str, int]]:
        if engine == "matmul":
            return "MATMUL", self._product()
        wanted = self.chance.choice(COPIES[engine])
        while True:
            name, fields = self._copies[engine].some()
            if name != wanted and self.chance.random() < 0.98:
                continue
            if "memory" in fields and name in ("LOAD", "STORE") and self.chance.random() < 0.15:
                fields = {**fields, "memory": dma.REMOTE | fields["memory"]}
            if self._right(engine, name, fields):
                return name, fields

    def _right(self, engine: str, name: str, fields: Mapping[str, int]) -> bool:
        """Whether a copy is done and does not write what it reads."""
        of = {**dict.fromkeys(("source", "target", "saturate", "transpose", "value"), 0), **fields}
        if name.startswith("FILL"):
            of["source"] = of["target"] = of["format"]
        memories = self._copies[engine].memories
        store = engine == "store"
        if dma.check(name, of, memories, store=store, formats=self.twin.formats, compute_units=1) != Error.OKAY:
            return False
        if "indices" in fields:
            places = fields["indices"] + 4 * np.arange(fields["count"])
            if (self.twin.pad.view("<u4")[places // 4] >= fields["rows"]).any():
                return False
        if fields.get("memory", 0) < dma.REMOTE:
            return True
        reads: set[int] = set()
        writes: set[int] = set()
        for row in dma.rows(name, of, memories):
            reads |= {address % dma.REMOTE for address in row.read or ()}
            writes |= {address % dma.REMOTE for address in row.written}
        return reads.isdisjoint(writes)

    def _product(self) -> dict[str, int]:
        products, chance = self._products, self.chance
        command = products._legal()
        last = products.last
        if last is not None and chance.random() < 0.3:
            command = products.placed(
                replace(command, m=last.m, n=last.n, accumulator=last.accumulator, addend=Addend.ACCUMULATORS)
            )
        if products.reference.refusal(command) != 0:
            return self._product()
        products.last = command
        return matmul_fields(command)

    def _vector_run(self) -> None:
        """A program of the vector unit: from memory to the scratchpad, to the unit; streams; a run or two."""
        # A program may wait for a block of a held stream that it never releases.
        load = copy(memory=CODE, scratchpad=0, row=self._code_bytes)
        self.trial.follow(self.twin)
        self.trial.reach("load", "LOAD", load)
        steps = self._on_accumulators(self._vector_steps)
        if any(self.trial.run("vector", name, fields) for name, fields in steps):
            return
        self._do("load", [("LOAD", load)])
        for name, fields in steps:
            self._do("vector", [(name, fields)])

    def _on_accumulators(self, steps: list[tuple[str, dict[str, int]]]) -> list[tuple[str, dict[str, int]]]:
        """The same, maybe with a stream from accumulators whose sums are known, and there."""
        there = np.flatnonzero(self.twin.summed & self.twin.landed)
        if not there.size or self.chance.random() < 0.3:
            return steps
        first = end = int(self.chance.choice(there.tolist()))
        while end in there:
            end += 1
        number = self.chance.choice(ACCUMULATOR_STREAMS)
        ends = [ACCUMULATORS + row * self.chip.scratchpad.word_bytes for row in (first, end)]
        mine = fields_of(self._vectors.stream_in(number, *ends))
        return [(name, mine if fields.get("stream") == number else fields) for name, fields in steps]

    def _loop(self) -> None:
        """Commands that a loop repeats with other addresses, maybe in a loop within a loop."""
        chance = self.chance
        engine = chance.choice(self.engines)
        name, fields = self._engine_command(engine)
        last, self._products.last = self._products.last, None
        if name in ("GATHER", "SCATTER"):
            return
        rounds = chance.randint(1, 4)
        inner = chance.randint(1, 2) if chance.random() < 0.4 else 0
        slot = chance.choice([n for n in self._addresses(name) if n in fields])
        step = chance.choice([-2, -1, 1, 2, 5]) * chance.choice([16, 64, 128])
        every = [{**fields, slot: fields[slot] + step * turn} for turn in range(rounds) for _ in range(max(1, inner))]
        if not all(self._allowed(engine, name, each) for each in every):
            return
        if engine == "matmul":
            # What is added to the accumulators in each turn is fine; what overlaps in a product is not.
            every = [{**each, "after": 0} for each in every]
        register = chance.randint(1, 15)
        place = fields[slot]
        base = place - chance.randint(0, min(place, 1 << 12))
        first = {**every[0], slot: base}
        reach = self._all(engine, [(name, each) for each in every])
        self._products.last = last
        fence = self._clash or self._meets(engine, engine, reach)
        body = Command(name=name, fields=first, registers={slot: register}, fence=fence, **self._marks())
        add = Command(name="ADD", fields={"register": register, "value": step & ADDRESS_MASK})
        commands = [
            Command(name="SET", fields={"register": register, "value": place - base}),
            Command(name="LOOP", fields={"count": rounds}),
            *([Command(name="LOOP", fields={"count": inner}), body, Command(name="END")] if inner else [body]),
            add,
            Command(name="END"),
        ]
        self._wait_for(engine, reach)
        self._program.queues[engine] += commands
        self._note(engine, reach)
        self._registers[engine].pop(register, None)
        self._program.kinds.append("loop in a loop" if inner else "loop")

    def _relay(self) -> None:
        """Load and store in loops of their own, each turn handed over and back: memory to memory."""
        chance = self.chance
        size, turns = chance.choice([32, 57, 128]), chance.randint(2, 5)
        source = chance.randrange(CODE - size * turns)
        target = chance.randrange(CODE - size * turns)
        buffer = chance.randrange(self.twin.pad_bytes - size)
        if abs(source - target) < size * turns:
            return
        reads, writes = np.zeros((2, self.twin.reached), bool)
        for turn in range(turns):
            loads = copy(memory=source + turn * size, scratchpad=buffer, row=size)
            stores = copy(memory=target + turn * size, scratchpad=buffer, row=size)
            for engine, name, fields in (("load", "LOAD", loads), ("store", "STORE", stores)):
                found = self.twin.reach(engine, name, fields)
                reads, writes = reads | found.reads, writes | found.writes
        reach = Reach(error=0, reads=reads, writes=writes)
        there, back = SEMAPHORES["load", "store"], SEMAPHORES["store", "load"]
        for engine in ("load", "store"):
            self._wait_for(engine, reach)
        queues = self._program.queues
        queues["load"] += [
            Command(name="SET", fields={"register": 1, "value": source}, fence=True),
            Command(name="LOOP", fields={"count": turns}),
            Command(
                name="LOAD",
                fields=copy(memory=0, scratchpad=buffer, row=size),
                registers={"memory": 1},
                wait=(back, 1),
                signal=(there, 1),
                **self._marks(),
            ),
            Command(name="ADD", fields={"register": 1, "value": size}),
            Command(name="END"),
        ]
        queues["store"] += [
            Command(name="SET", fields={"register": 2, "value": target}, fence=True, signal=(back, 1)),
            Command(name="LOOP", fields={"count": turns - 1}),
            self._handed(buffer, size, there, back),
            Command(name="ADD", fields={"register": 2, "value": size}),
            Command(name="END"),
            self._handed(buffer, size, there, None),
        ]
        for engine in ("load", "store"):
            self._registers[engine].clear()
            self._note(engine, reach)
        self._program.kinds.append("relay")

    def _handed(self, buffer: int, size: int, there: int, back: int | None) -> Command:
        return Command(
            name="STORE",
            fields=copy(memory=0, scratchpad=buffer, row=size),
            registers={"memory": 2},
            wait=(there, 1),
            signal=None if back is None else (back, 1),
            **self._marks(),
        )

    def _talk(self) -> None:
        """Commands without an engine, in loops too; the link's queue takes part."""
        chance = self.chance
        engine = chance.choice(QUEUES[:4])
        number, value = SEMAPHORES[engine, "link"], chance.randint(0, 300)
        rounds = chance.choice([0, 0, 1, 3])
        for queue, given in ((engine, {"signal": (number, value)}), ("link", {"wait": (number, value)})):
            fence = chance.random() < 0.3
            command = Command(name="NOTHING", fence=fence, **given, **self._marks())  # type: ignore[arg-type]
            if not rounds:
                self._program.queues[queue].append(command)
                continue
            register = chance.randint(1, 15)
            self._registers[queue].pop(register, None)
            self._program.queues[queue] += [
                Command(name="SET", fields={"register": register, "value": value}, **self._marks()),
                Command(name="LOOP", fields={"count": rounds}, **self._marks()),
                command,
                Command(name="ADD", fields={"register": register, "value": chance.getrandbits(40)}, **self._marks()),
                Command(name="END", **self._marks()),
            ]
        self._program.kinds.append("semaphore")

    # A step's place in the queues.

    def _do(self, engine: str, commands: list[tuple[str, dict[str, int]]]) -> None:
        """Do commands, and put them behind what is in their queue, and behind what they need of other queues."""
        reach = self._all(engine, commands)
        self._wait_for(engine, reach)
        fence = not IN_ORDER[engine] and self._meets(engine, engine, reach)
        for name, fields in commands:
            given = dict(fields)
            if fence and engine == "matmul" and self.chance.random() < 0.5:
                given["after"], fence = 1, False
            self._program.queues[engine].append(self._with_registers(engine, name, given, fence=fence))
        self._note(engine, reach, fenced=fence or bool(engine == "matmul" and given.get("after")))

    def _all(self, engine: str, commands: list[tuple[str, dict[str, int]]]) -> Reach:
        reads, writes = np.zeros((2, self.twin.reached), bool)
        self._clash = False
        for name, fields in commands:
            complete = {operand.name: fields.get(operand.name, 0) for operand in self.known.by_name[name].operands}
            reach = self.twin.reach(engine, name, complete)
            if reach.error:
                raise ValueError(f"{name} {complete}: error {reach.error} of a command that was to be right")
            clash = (reach.writes & (reads | writes)) | (reach.reads & writes)
            self._clash |= bool(clash[: WINDOW + self.twin.pad_bytes].any())
            reads, writes = reads | reach.reads, writes | reach.writes
        return Reach(error=0, reads=reads, writes=writes)

    def _meets(self, engine: str, other: str, reach: Reach) -> bool:
        # The tile keeps its sums in order itself.
        own = slice(WINDOW + self.twin.pad_bytes if engine == other else None)
        read, written = (mask[own] for mask in self._since[engine, other])
        reach = Reach(error=0, reads=reach.reads[own], writes=reach.writes[own])
        return bool((reach.writes & (read | written)).any() or (reach.reads & written).any())

    def _wait_for(self, engine: str, reach: Reach) -> None:
        """Let a queue wait for all others that a step's bytes concern, and now and then for one that they do not."""
        for other in QUEUES[:4]:
            if other == engine or not (self._meets(engine, other, reach) or self.chance.random() < 0.03):
                continue
            number, value = SEMAPHORES[other, engine], self.chance.choice([1, 1, 2, 7])
            self._signal(other, (number, value))
            self._program.queues[engine].append(Command(name="NOTHING", wait=(number, value), **self._marks()))
            for mask in self._since[engine, other]:
                mask[:] = False

    def _signal(self, engine: str, signal: tuple[int, int]) -> None:
        """By the queue's last command, if it can, or by one more."""
        queue = self._program.queues[engine]
        last = queue[-1] if queue else None
        if (
            isinstance(last, Command)
            and last.name not in ("END", "LOOP")
            and last.signal is None
            and self.chance.random() < 0.8
        ):
            queue[-1] = replace(last, signal=signal)
            return
        queue.append(Command(name="NOTHING", signal=signal, **self._marks()))

    def _note(self, engine: str, reach: Reach, *, fenced: bool = False) -> None:
        """Remember what a queue has touched, for all others, and for itself."""
        if fenced:
            for mask in self._since[engine, engine]:
                mask[:] = False
        for other in QUEUES:
            read, written = self._since[other, engine]
            read |= reach.reads
            written |= reach.writes

    def _with_registers(self, engine: str, name: str, fields: dict[str, int], *, fence: bool) -> Command:
        """A command, some of whose addresses come from address registers."""
        chance, registers = self.chance, {}
        for address in self._addresses(name):
            if chance.random() > 0.25:
                continue
            known = self._registers[engine]
            bits = next(each.bits for each in self.known.by_name[name].operands if each.name == address)
            fits = [n for n, value in known.items() if bits == 40 or value <= fields.get(address, 0)]
            if fits and chance.random() < 0.5:
                number = chance.choice(fits)
            else:
                number = chance.randint(1, 15)
                value = chance.randint(0, fields.get(address, 0))
                self._set(engine, number, value)
            registers[address] = number
        # A register that was chosen for one address may have been set anew for another.
        for address, number in registers.items():
            fields[address] = (fields.get(address, 0) - self._registers[engine][number]) & ADDRESS_MASK
            bits = next(each.bits for each in self.known.by_name[name].operands if each.name == address)
            if fields[address] >> bits:
                fields[address] = (fields[address] + self._registers[engine][number]) & ADDRESS_MASK
                registers[address] = 0
        kept = {address: number for address, number in registers.items() if number}
        return Command(name=name, fields=fields, registers=kept, fence=fence, **self._marks())

    def _set(self, engine: str, number: int, value: int) -> None:
        known = self._registers[engine]
        if number in known and self.chance.random() < 0.5:
            step = (value - known[number]) & ADDRESS_MASK
            command = Command(name="ADD", fields={"register": number, "value": step}, **self._marks())
        else:
            command = Command(name="SET", fields={"register": number, "value": value}, **self._marks())
        self._program.queues[engine].append(command)
        known[number] = value

    def _addresses(self, name: str) -> list[str]:
        return [each.name for each in self.known.by_name[name].operands if each.slot is not None]

    def _allowed(self, engine: str, name: str, fields: dict[str, int]) -> bool:
        if any(value < 0 for key, value in fields.items() if key in self._addresses(name)):
            return False
        if engine == "matmul":
            command = MatmulCommand(**fields)
            if self._products.reference.refusal(command) != 0:
                return False
            ranges = self._products.reference.ranges(command)
            if "d" not in ranges:
                return True
            return not self._overlap(ranges)
        return self._right(engine, name, fields)

    def _overlap(self, ranges: Mapping[str, tuple[int, int, int, int, int]]) -> bool:
        """Whether D lies in A, B or C."""
        spans = {name: (a, a + (rows - 1) * s + row) for name, (a, s, rows, row, _) in ranges.items()}
        first, end = spans.pop("d")
        return any(first < other_end and start < end for start, other_end in spans.values())

    def _marks(self) -> dict[str, Any]:
        chance = self.chance
        return {
            "record": chance.random() < 0.4,
            "interrupt": chance.random() < 0.1,
            "tag": chance.choice([0, chance.getrandbits(16)]),
        }
