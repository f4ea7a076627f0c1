"""What queues of commands do, whatever the time it takes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from openppu.command.instruction import InstructionSet

from openppu_sim.program.command import Command

Engine = Callable[[str, Mapping[str, int]], int | None]
"""Does a command, of which it gets the name and the fields, and says with which error it ended (0: none).

None: it has not ended, as it waits for others; it is given again in the next turn."""

OKAY, FIELD, BOUNDS = 0, 2, 4
_ADDRESSES = 1 << 40


@dataclass
class Queue:
    """A queue's state: where it is, its loops (first command, runs left), address registers, and its first error."""

    program: Sequence[Command]
    place: int = 0
    loops: list[list[int]] = field(default_factory=list)
    registers: list[int] = field(default_factory=lambda: [0] * 16)
    error: tuple[int, int] | None = None
    """Code, and the command's place."""

    @property
    def ended(self) -> bool:
        """Nothing more will be done."""
        return self.error is not None or self.place >= len(self.program)


class Interpreter:
    """Runs queues side by side: each as far as it comes, in turns, until none comes further.

    What a queue's engine is given does not depend on the order of the turns, as long as each semaphore is waited for by
    one queue alone.

    Parameters
    ----------
    instructions : InstructionSet
    programs : sequence of sequences of Command
        One a queue.
    engines : sequence of Engine
        One a queue.
    semaphores : int
        How many there are.
    buffer, loops : int
        Commands of the longest loop behind its ``LOOP``, and how many loops may be within each other.
    """

    def __init__(
        self,
        instructions: InstructionSet,
        programs: Sequence[Sequence[Command]],
        engines: Sequence[Engine],
        *,
        semaphores: int = 64,
        buffer: int = 32,
        loops: int = 4,
    ) -> None:
        self.instructions = instructions
        self.queues = [Queue(tuple(program)) for program in programs]
        self.engines = tuple(engines)
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
        if queue.ended:
            return False
        command, place = queue.program[queue.place], queue.place
        error, fields = self._check(queue, command)
        if error == OKAY:
            if command.wait is not None:
                semaphore, value = command.wait
                if self.values[semaphore] < value:
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
                self._control(queue, command.name, fields)
        if error != OKAY:
            queue.error = (error, place)
        elif command.signal is not None:
            semaphore, value = command.signal
            if command.chip is None:
                self.values[semaphore] += value
            else:
                self.remote.append((command.chip, semaphore, value))
        return True

    def _check(self, queue: Queue, command: Command) -> tuple[int, dict[str, int]]:
        instruction = self.instructions.by_name[command.name]
        fields = {operand.name: command.fields.get(operand.name, 0) for operand in instruction.operands}
        semaphores = [command.wait] if command.wait is not None else []
        if command.signal is not None and command.chip is None:
            semaphores.append(command.signal)
        if any(semaphore >= len(self.values) for semaphore, _ in semaphores):
            return FIELD, fields
        if command.name in ("SET", "ADD") and fields["register"] == 0:
            return FIELD, fields
        if command.name == "LOOP" and (fields["count"] == 0 or len(queue.loops) == self.most_loops):
            return FIELD, fields
        if command.name == "END" and not queue.loops:
            return FIELD, fields
        for operand in instruction.operands:
            register = command.registers.get(operand.name)
            if register:
                fields[operand.name] = (fields[operand.name] + queue.registers[register]) % _ADDRESSES
                if fields[operand.name] > operand.most:
                    return BOUNDS, fields
        return OKAY, fields

    def _control(self, queue: Queue, name: str, fields: Mapping[str, int]) -> None:
        if name == "SET":
            queue.registers[fields["register"]] = fields["value"]
        elif name == "ADD":
            register = fields["register"]
            queue.registers[register] = (queue.registers[register] + fields["value"]) % _ADDRESSES
        elif name == "LOOP":
            queue.loops.append([queue.place, fields["count"]])
        elif name == "END":
            queue.loops[-1][1] -= 1
            if queue.loops[-1][1]:
                queue.place = queue.loops[-1][0]
            else:
                queue.loops.pop()
