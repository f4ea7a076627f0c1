"""Commands that a chip must refuse, put into programs that are right otherwise."""

from collections.abc import Callable
from dataclasses import replace

from openppu.config import ChipConfig
from openppu.vector.instruction import INPUTS
from openppu_sim.kernels.vector.commands import Run, SetStream, Unknown, fields_of
from openppu_sim.program.command import Command
from openppu_sim.reference import dma

from openppu_verif.chip.program_source import QUEUES, VECTOR_NAMES, Program, ProgramSource
from openppu_verif.chip.twin import Twin, matmul_fields
from openppu_verif.dma.commands import RandomCommands as DmaCommands

HEADER_BITS, OPERANDS_AT = 128, 128
UNUSED_HEADER_BITS = (14, 15, *range(102, 128))


class BrokenCommands:
    """Spoils programs: one command more, of any kind that a queue or an engine must refuse.

    Parameters
    ----------
    source : ProgramSource
        Of the programs.
    """

    def __init__(self, source: ProgramSource) -> None:
        self.source, self.chance = source, source.chance
        self.chip: ChipConfig = source.chip
        self.known = source.known
        self.trial = Twin(source.chip)
        whole = dma.Memories(self.trial.memory, self.trial.pad, [self.trial.pad])
        formats = self.trial.formats
        self._copies = {
            engine: DmaCommands(self.chance, engine == "store", formats, whole) for engine in ("load", "store")
        }

    def spoil(self, program: Program) -> None:
        """Put one bad command somewhere; what follows it in its queue may not begin."""
        chance = self.chance
        queue = chance.choice(QUEUES)
        commands = program.queues[queue]
        place = chance.randint(0, len(commands))
        bad = self.draw(queue)
        # Those behind it that an engine has already when it finds out are done, which is right too, but not certain.
        for number in range(place, len(commands)):
            each = commands[number]
            if isinstance(each, Command):
                commands[number] = replace(each, fence=True)
        commands[place:place] = bad
        program.broken = (queue, place + len(bad) - 1)

    def draw(self, queue: str) -> list[Command | bytes]:
        """A command that its queue, or its engine, must refuse; before it what it takes to be refused."""
        return [self.of_engine(queue)] if self.chance.random() < 0.5 else self._of_queue(queue)

    def of_engine(self, queue: str) -> Command:
        """A command that a queue's engine must refuse."""
        engine: dict[str, Callable[[], Command]] = {
            "load": lambda: self._copy("load"),
            "store": lambda: self._copy("store"),
            "matmul": self._product,
            "vector": self._vector,
            "link": self._send,
        }
        return engine[queue]()

    # What engines refuse.

    def _copy(self, engine: str) -> Command:
        while True:
            name, fields = self._copies[engine].some(legal=False)
            instruction = self.known.by_name[name]
            if all(each.least <= fields.get(each.name, 0) <= each.most for each in instruction.operands):
                return self._command(name, fields)

    def _product(self) -> Command:
        products = self.source._products
        while True:
            command = products._broken(products._legal())
            fields = matmul_fields(command)
            fits = all(each.least <= fields[each.name] <= each.most for each in self.known.by_name["MATMUL"].operands)
            if fits and products.reference.refusal(command) != 0:
                return self._command("MATMUL", fields)

    def _vector(self) -> Command:
        vectors = self.source._vectors
        while True:
            number = self.chance.randrange(2 * INPUTS)
            whole: SetStream | Run = vectors.stream(number) if self.chance.random() < 0.6 else vectors.run(4)
            spoilt = vectors._spoilt(whole)
            if isinstance(spoilt, Unknown):
                continue
            self.trial.follow(self.source.twin)
            name, fields = VECTOR_NAMES[type(spoilt).__name__], fields_of(spoilt)
            instruction = self.known.by_name[name]
            fits = all(each.least <= fields[each.name] <= each.most for each in instruction.operands)
            # A run is refused for what it says itself, whatever the program.
            if name == "VECTOR_RUN":
                counts = [fields[f"count_{n}"] for n in range(4)]
                most = self.chip.vector.strip_rows
                if 1 <= fields["rows"] <= most and 0 not in counts and fields["start"] < self.chip.vector.program_words:
                    continue
            if fits and self.trial.run("vector", name, fields):
                return self._command(name, fields)

    def _send(self) -> Command:
        chance, grain = self.chance, max(32, self.chip.link.beat_bytes)
        fields = {"source": 0, "target": 0, "bytes": grain, "chip": 0}
        change = chance.choice(
            [
                {"bytes": 0},
                {"bytes": grain + chance.randrange(1, grain)},
                {"source": chance.randrange(1, grain)},
                {"target": chance.randrange(1, grain)},
                {"source": self.chip.hbm.capacity},
                {"source": self.chip.hbm.capacity - grain, "bytes": 2 * grain},
                {"bytes": (1 << 32) - grain},
            ]
        )
        return self._command("SEND", {**fields, **change})

    def _command(self, name: str, fields: dict[str, int]) -> Command:
        return Command(name=name, fields=fields, **self.source._marks())

    # What queues refuse.

    def _of_queue(self, queue: str) -> list[Command | bytes]:
        chance = self.chance
        kinds = [
            self._opcode,
            self._stray_operand,
            self._stray_header,
            self._useless_register,
            self._absent_semaphore,
            self._remote_without_signal,
            self._control,
            self._loops,
        ]
        if queue != "link":
            kinds.append(self._beyond_address)
        return chance.choice(kinds)(queue)

    def _word(self, queue: str) -> int:
        """A right command of the queue as a number."""
        name = self.chance.choice([each.name for each in self.known.of(queue)] + ["NOTHING", "SET"])
        fields = {"register": 3} if name == "SET" else {}
        return Command(name=name, fields=fields, **self.source._marks()).word(self.known)

    def _bytes(self, word: int) -> list[Command | bytes]:
        return [word.to_bytes(64, "little")]

    def _opcode(self, queue: str) -> list[Command | bytes]:
        mine = {each.opcode for each in self.known.instructions if each.engine in ("", queue)}
        opcode = self.chance.choice([code for code in range(256) if code not in mine])
        others = [each.opcode for each in self.known.instructions if each.opcode not in mine]
        opcode = self.chance.choice([opcode, self.chance.choice(others)])
        return self._bytes(self._word(queue) & ~0xFF | opcode | self.chance.getrandbits(384) << OPERANDS_AT)

    def _stray_operand(self, queue: str) -> list[Command | bytes]:
        while True:
            word = self._word(queue)
            unused = self.known.by_opcode[word & 0xFF].unused
            if unused:
                places = [bit for bit in range(384) if unused >> bit & 1]
                return self._bytes(word | 1 << OPERANDS_AT + self.chance.choice(places))

    def _stray_header(self, queue: str) -> list[Command | bytes]:
        return self._bytes(self._word(queue) | 1 << self.chance.choice(UNUSED_HEADER_BITS))

    def _useless_register(self, queue: str) -> list[Command | bytes]:
        while True:
            word = self._word(queue)
            instruction = self.known.by_opcode[word & 0xFF]
            slots = {each.slot for each in instruction.operands}
            free = [slot for slot in range(4) if slot not in slots]
            if free:
                return self._bytes(word | self.chance.randint(1, 15) << 80 + 4 * self.chance.choice(free))

    def _absent_semaphore(self, queue: str) -> list[Command | bytes]:
        number = self.chance.randint(self.chip.command.semaphores, 255)
        given = {self.chance.choice(["wait", "signal"]): (number, self.chance.randint(0, 9))}
        return [replace(Command(name="NOTHING", **self.source._marks()), **given)]  # type: ignore[arg-type]

    def _remote_without_signal(self, queue: str) -> list[Command | bytes]:
        return self._bytes(self._word(queue) | 1 << 10)

    def _control(self, queue: str) -> list[Command | bytes]:
        name = self.chance.choice(["SET", "ADD", "LOOP"])
        fields = {} if name == "LOOP" else {"value": self.chance.getrandbits(40)}
        return [Command(name=name, fields=fields, **self.source._marks())]

    def _loops(self, queue: str) -> list[Command | bytes]:
        """More loops than there may be within each other, or one that is too long for the buffer."""
        loop = Command(name="LOOP", fields={"count": 2})
        if self.chance.random() < 0.5:
            return [loop] * (self.chip.command.loops + 1)
        return [loop, *[Command(name="NOTHING", **self.source._marks())] * self.chip.command.buffer]

    def _beyond_address(self, queue: str) -> list[Command | bytes]:
        """An address and its register that do not fit the field, or the memory."""
        chance = self.chance
        instructions = [each for each in self.known.of(queue) if each.addresses]
        instruction = chance.choice(instructions)
        operand = chance.choice([each for each in instruction.operands if each.slot is not None])
        # Of addresses in memory, beyond all of it: behind its end, or a scratchpad that there is not.
        value = chance.choice([(1 << 40) - 64, 1 << 39 | 1 << 24, 1 << 38])
        bad = self._whole(queue, instruction.name)
        if bad is None:
            return self._stray_header(queue)
        given = replace(bad, fields={**bad.fields, operand.name: 0}, registers={operand.name: 9})
        return [Command(name="SET", fields={"register": 9, "value": value}), given]

    def _whole(self, queue: str, name: str) -> Command | None:
        """A command of an engine with something in every field that takes part; None: not of these."""
        if queue in ("load", "store"):
            for _ in range(200):
                found, fields = self._copies[queue].some()
                if found == name and name not in ("GATHER", "SCATTER"):
                    return self._command(name, fields)
        if queue == "vector" and name == "VECTOR_PROGRAM":
            return self._command(name, {"count": 1})
        return None
