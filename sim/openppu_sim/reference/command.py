"""What queues of commands do, whatever the time it takes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from openppu.command.instruction import InstructionSet
from openppu.command.layouts import SLOTS, word_layout

from openppu_sim.program.bits import Bits
from openppu_sim.program.command import Command

Engine = Callable[[str, Mapping[str, int]], int | None]
"""Does a command, of which it gets the name and the fields, and says with which error it ended (0: none).

None: it has not ended, as it waits for others; it is given again in the next turn."""

OKAY, OPCODE, FIELD, BOUNDS = 0, 1, 2, 4
MOST_VALUE = (1 << 16) - 1
"""Of a semaphore; a signal that would not fit waits until it does."""
_ADDRESSES = 1 << 40
_WORD = Bits(word_layout())


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What a record says of a command; ``tag`` is None where none is promised."""

    place: int
    opcode: int
    tag: int | None
    error: int


@dataclass
class Queue:
    """A queue's state: where it is, its loops (first command, runs left), address registers, and its first error."""

    program: list[Command | bytes]
    place: int = 0
    loops: list[list[int]] = field(default_factory=list)
    registers: list[int] = field(default_factory=lambda: [0] * 16)
    error: tuple[int, int] | None = None
    """Code, and the command's place."""
    records: list[Ended] = field(default_factory=list)
    """Of the commands that ask for one, and of the one with the error."""
    interrupted: bool = False
    """A command that interrupts, or one with an error, has ended."""
    noted: int = 0
    """Commands with an engine, a signal, a record, an interrupt or an error that have ended."""

    @property
    def ended(self) -> bool:
        """Nothing more will be done."""
        return self.error is not None or self.place >= len(self.program)

    def restart(self) -> None:
        """Forget what is left, loops, address registers and the error."""
        self.place = len(self.program)
        self.loops.clear()
        self.registers = [0] * len(self.registers)
        self.error = None


class Interpreter:
    """Runs queues side by side: each as far as it comes, in turns, until none comes further.

    What a queue's engine is given does not depend on the order of the turns, as long as each semaphore is waited for by
    one queue alone.

    Parameters
    ----------
    instructions : InstructionSet
    programs : sequence of sequences of Command or bytes
        One a queue. The 64 bytes of a command are taken as they are, whatever is wrong with them.
    engines : sequence of Engine
        One a queue.
    kinds : sequence of str, optional
        Of each queue, the name of its engine in ``instructions``; without, all commands of engines are in every queue.
    semaphores : int
        How many there are.
    buffer, loops : int
        Commands of the longest loop behind its ``LOOP``, and how many loops may be within each other.
    """

    def __init__(
        self,
        instructions: InstructionSet,
        programs: Sequence[Sequence[Command | bytes]],
        engines: Sequence[Engine],
        *,
        kinds: Sequence[str] | None = None,
        semaphores: int = 64,
        buffer: int = 32,
        loops: int = 4,
    ) -> None:
        self.instructions = instructions
        self.queues = [Queue(list(program)) for program in programs]
        self.engines = tuple(engines)
        self.kinds = kinds
        self.values = [0] * semaphores
        self.buffer, self.most_loops = buffer, loops
        self.remote: list[tuple[int, int, int]] = []

    def run(self) -> bool:
        """Go on until nothing can; whether all queues have come to their end without an error."""
        moved = True
        while moved:
            moved = any([self._step(number) for number in range(len(self.queues))])
        return all(queue.ended and queue.error is None for queue in self.queues)

    def _step(self, number: int) -> bool:
        queue = self.queues[number]
        if queue.error is None and queue.loops and queue.place - queue.loops[0][0] >= self.buffer:
            queue.error = (FIELD, queue.place)
            loop = self.instructions.by_name["LOOP"].opcode
            queue.records.append(Ended(place=queue.place, opcode=loop, tag=None, error=FIELD))
            queue.interrupted = True
            queue.noted += 1
        if queue.ended:
            return False
        given, place = queue.program[queue.place], queue.place
        if isinstance(given, bytes):
            error, command = self.judge(given, self.kinds[number] if self.kinds else None)
            opcode, tag = given[0], int.from_bytes(given[8:10], "little")
        else:
            error, command = OKAY, given
            opcode, tag = self.instructions.by_name[given.name].opcode, given.tag
            if self.kinds and self.instructions.by_name[given.name].engine not in ("", self.kinds[number]):
                error = OPCODE
        fields: dict[str, int] = {}
        if error == OKAY:
            error, fields = self.check(command, queue.loops, queue.registers)
        if error == OKAY:
            if command.wait is not None:
                semaphore, value = command.wait
                if self.values[semaphore] < value:
                    return False
            if not self._fits(command):
                return False
            if self.instructions.by_name[command.name].engine:
                ended = self.engines[number](command.name, fields)
                if ended is None:
                    return False
                error = ended
            queue.place += 1
            if command.wait is not None:
                self.values[command.wait[0]] -= command.wait[1]
            if not self.instructions.by_name[command.name].engine:
                queue.place = self.control(command.name, fields, queue.loops, queue.registers, queue.place)
        if error != OKAY:
            queue.error = (error, place)
        elif command.signal is not None:
            semaphore, value = command.signal
            if command.chip is None:
                self.values[semaphore] += value
            else:
                self.remote.append((command.chip, semaphore, value))
        if error != OKAY or command.record:
            queue.records.append(Ended(place=place, opcode=opcode, tag=tag, error=int(error)))
        queue.interrupted |= error != OKAY or command.interrupt
        queue.noted += (
            error != OKAY
            or bool(self.instructions.by_name[command.name].engine)
            or command.signal is not None
            or command.record
            or command.interrupt
        )
        return True

    def _fits(self, command: Command) -> bool:
        """Whether the semaphore that a command signals has room for it, when what it waits for has been taken."""
        if command.signal is None or command.chip is not None:
            return True
        semaphore, value = command.signal
        taken = command.wait[1] if command.wait is not None and command.wait[0] == semaphore else 0
        return self.values[semaphore] - taken + value <= MOST_VALUE

    def judge(self, raw: bytes, kind: str | None) -> tuple[int, Any]:
        """What is wrong with a command's bytes as such, or the command."""
        of = _WORD.unpack(int.from_bytes(raw, "little"))
        instruction = self.instructions.by_opcode.get(of["header.opcode"])
        if instruction is None or (kind is not None and instruction.engine not in ("", kind)):
            return OPCODE, None
        registers = [of[f"header.registers.{slot}"] for slot in range(SLOTS)]
        slots = {operand.slot for operand in instruction.operands if operand.slot is not None}
        useless = any(register and slot not in slots for slot, register in enumerate(registers))
        remote, signal = of["header.flags.remote"], of["header.flags.signal"]
        unused = of["header.flags.unused"] or of["header.unused"]
        if of["operands"] & instruction.unused or useless or unused or (remote and not signal):
            return FIELD, None
        named = {operand.slot: operand.name for operand in instruction.operands if operand.slot is not None}
        return OKAY, Command(
            name=instruction.name,
            fields=instruction.unpack(of["operands"]),
            registers={named[slot]: register for slot, register in enumerate(registers) if register},
            wait=(of["header.wait_semaphore"], of["header.wait_value"]) if of["header.flags.wait"] else None,
            signal=(of["header.signal_semaphore"], of["header.signal_value"]) if signal else None,
            chip=of["header.chip"] if remote else None,
            record=bool(of["header.flags.record"]),
            interrupt=bool(of["header.flags.interrupt"]),
            fence=bool(of["header.flags.fence"]),
            tag=of["header.tag"],
        )

    def check(
        self, command: Command, loops: Sequence[list[int]], registers: Sequence[int]
    ) -> tuple[int, dict[str, int]]:
        """What is wrong with a command, or `OKAY`, and its fields with the address registers of its queue added."""
        instruction = self.instructions.by_name[command.name]
        fields = {operand.name: command.fields.get(operand.name, 0) for operand in instruction.operands}
        semaphores = [command.wait] if command.wait is not None else []
        if command.signal is not None and command.chip is None:
            semaphores.append(command.signal)
        if any(semaphore >= len(self.values) for semaphore, _ in semaphores):
            return FIELD, fields
        if command.name in ("SET", "ADD") and fields["register"] == 0:
            return FIELD, fields
        if command.name == "LOOP" and fields["count"] == 0:
            return FIELD, fields
        outside = False
        for operand in instruction.operands:
            register = command.registers.get(operand.name)
            if register:
                fields[operand.name] = (fields[operand.name] + registers[register]) % _ADDRESSES
                outside |= fields[operand.name] > operand.most
        if outside:
            return BOUNDS, fields
        # What depends on the queue's loops is looked at last.
        if (command.name == "LOOP" and len(loops) == self.most_loops) or (command.name == "END" and not loops):
            return FIELD, fields
        return OKAY, fields

    def control(
        self, name: str, fields: Mapping[str, int], loops: list[list[int]], registers: list[int], place: int
    ) -> int:
        """Do a command of the queue itself, ``place`` being that of the next one; the place where to go on."""
        if name == "SET":
            registers[fields["register"]] = fields["value"]
        elif name == "ADD":
            register = fields["register"]
            registers[register] = (registers[register] + fields["value"]) % _ADDRESSES
        elif name == "LOOP":
            loops.append([place, fields["count"]])
        elif name == "END":
            loops[-1][1] -= 1
            if loops[-1][1]:
                return loops[-1][0]
            loops.pop()
        return place
