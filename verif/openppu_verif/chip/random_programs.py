"""Random programs on a whole chip's RTL: ``python -m openppu_verif.chip.random_programs``.

Each is put into the rings of all queues at once. Legal ones must leave memory, scratchpad, semaphores, records and
interrupts as the references of the engines behind the interpreter of queues do; one in three has a command that is to
be refused, and must show the error that is due and change nothing else.
"""

import argparse
import random
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from openppu.command.error import Error
from openppu.command.layouts import RECORD_BYTES, record_layout
from openppu.config import ChipConfig, load
from openppu_sim.cli import Parser, guarded
from openppu_sim.device.backend import Backend
from openppu_sim.device.device import Device
from openppu_sim.device.driver import RECORDS, Driver, rings_base
from openppu_sim.errors import SimulationError, UserError
from openppu_sim.program.command import Command
from openppu_sim.program.text import print_command
from openppu_sim.reference.command import Interpreter

from openppu_verif.chip import native
from openppu_verif.chip.broken_commands import BrokenCommands
from openppu_verif.chip.coverage import all_points, points
from openppu_verif.chip.native import device_place
from openppu_verif.chip.program_source import CODE, QUEUES, Program, ProgramSource
from openppu_verif.chip.twin import WINDOW, Twin

COMMAND = "python -m openppu_verif.chip.random_programs"
SESSION = 50
"""Programs of one simulation; each simulation has a seed of its own."""

PROGRESS = 1000
FRESH = 6
"""Every so many programs all of memory is written anew."""

RECORDS_LOG2 = 9
STEP, LIMIT = 300, 200_000
SLOWER = 5
"""Times that a chip is slower whose streams stall, at most."""
EVERY = 1 << len(QUEUES)
_RECORD = record_layout()


class Stress(StrEnum):
    """What a chip goes through meanwhile."""

    NOTHING = "nothing"
    STALLS = "stalls"
    """The host is slow on every stream of its ports, and memory wants refreshes at other rates, again and again."""
    STREAMS = "streams"
    """Streams within the chip stall: commands and their ends, the scratchpad's ports, those of memory."""
    FAULTS = "faults"
    """Single bits of the scratchpad's SRAM and of memory turn over."""
    RESETS = "resets"
    """Each program is begun, broken off by a reset, and run again."""


class Session:
    """A chip on the RTL that runs programs one after the other, and its twin.

    Parameters
    ----------
    chip : ChipConfig
    seed : int
    build_root : Path
    stress : Stress
    backend : Backend, optional
        A chip that has just been reset; else one is made.
    limit : int
        Clocks that a program may take.
    engine : str
        Only commands of this one.
    """

    def __init__(
        self,
        chip: ChipConfig,
        seed: int,
        build_root: Path,
        stress: Stress = Stress.NOTHING,
        backend: Backend | None = None,
        limit: int = LIMIT,
        engine: str = "",
    ) -> None:
        self.chip, self.seed, self.stress, self.limit = chip, seed, stress, limit
        # A reset leaves in the vector unit's registers what a program that it breaks off has put there.
        self.source = ProgramSource(chip, seed, vectors=stress != Stress.RESETS, engine=engine)
        self.trouble = random.Random(seed)
        self.wrong_words: set[int] = set()
        self.flips = 0
        self.broken = BrokenCommands(self.source)
        self.twin = Twin(chip)
        if stress == Stress.STREAMS:
            backend = Driver(native.Session(chip, build_root, stalled=True), chip, None)
            self.limit *= SLOWER
        self.device = Device(chip, backend or "rtl", build_root=build_root)
        made: Any = self.device.backend
        self.backend = made
        self.registers = made.registers[0]
        self.number = 0
        self.tails = dict.fromkeys(QUEUES, 0)
        self.ended = dict.fromkeys(QUEUES, 0)
        self.seen = 0
        self._set_up()
        # All rows of memory that programs may write exist from now on, so that one more can be told.
        rings = rings_base(chip)
        made.write(0, rings, bytes(len(QUEUES) * 64 * 256))
        made.write(0, self._records, bytes(RECORD_BYTES << RECORDS_LOG2))
        made.write(0, 0, bytes(WINDOW))
        self.pages = made.hardware.pages(0)

    def _set_up(self) -> None:
        self.registers["command.records.base"] = self._records
        self.registers["command.records.log2"] = RECORDS_LOG2
        self.registers["command.records.enable"] = 1

    @property
    def _records(self) -> int:
        return self.chip.hbm.capacity - RECORDS

    def run(self, steps: int, *, spoil: bool, show: bool = False) -> list[str]:
        """One program; the points of coverage that it has reached.

        Raises
        ------
        SimulationError
            If anything differs from the reference.
        """
        program = self.source.draw(steps, fresh=self.number % FRESH == 0)
        self.number += 1
        if spoil:
            self.broken.spoil(program)
        if show:
            print(text(program, self.source), flush=True)
        self.twin.put(program.window, program.pad)
        self._prepare(program)
        machine = self._expected(program)
        self._submit(program)
        if self.stress == Stress.RESETS:
            self._break_off(program)
        self._settle(machine)
        self._compare(program, machine)
        for name in QUEUES:
            self.tails[name] += len(program.queues[name])
        self.source.twin.follow(self.twin)
        return points(program, machine, self.source.known)

    def close(self) -> None:
        """End the simulation."""
        self.device.close()

    def _prepare(self, program: Program) -> None:
        """Address registers and semaphores are 0, and memory holds what the program says."""
        registers = self.registers
        registers["command.restart"] = EVERY - 1
        registers["command.clear"] = 1
        self.backend.hardware.run(STEP)
        registers["command.seen"] = EVERY - 1
        if program.fresh:
            self.device.write(0, program.window)
            self.device.write(self.device.scratchpad(), program.pad)
        else:
            self.device.write(CODE, program.window[CODE:])

    def _submit(self, program: Program) -> None:
        for name in QUEUES:
            self.device.submit(name, program.queues[name])  # type: ignore[arg-type]

    def _break_off(self, program: Program) -> None:
        """Reset the chip in the middle of a program, and begin it anew."""
        self.backend.hardware.run(self.trouble.randint(1, 1500))
        self.backend.reset(0)
        self._set_up()
        self.tails, self.ended, self.seen = dict.fromkeys(QUEUES, 0), dict.fromkeys(QUEUES, 0), 0
        self._prepare(replace(program, fresh=True))
        self._submit(program)

    def _trouble(self) -> None:
        """What a stress does while a program runs."""
        chance, hardware = self.trouble, self.backend.hardware
        if self.stress == Stress.STALLS:
            hardware.set_pauses(chance.choice([0, 200, 700]))
            hardware.inject(0, 0, f"temperature {chance.choice([0, 1, 2, 3])}")
        if self.stress == Stress.FAULTS:
            pad = self.chip.scratchpad
            for _ in range(chance.randint(1, 6)):
                # A word with a wrong bit already, not read since, would have two.
                place = chance.randrange(self.twin.pad_bytes // 8)
                if place not in self.wrong_words:
                    self.wrong_words.add(place)
                    group = place % (pad.word_bytes // 8)
                    hardware.flip(0, 8 * place, 1 << 72 * group + chance.randrange(72))
                    self.flips += 1
            place = chance.randrange(WINDOW // 32)
            if -1 - place not in self.wrong_words:
                self.wrong_words.add(-1 - place)
                hardware.inject(0, 0, f"flip_bit {device_place(self.chip, 32 * place)} {chance.randrange(256)}")
                self.flips += 1

    def _expected(self, program: Program) -> Interpreter:
        twin = self.twin
        config = self.chip.command
        machine = Interpreter(
            self.source.known,
            [program.queues[name] for name in QUEUES],
            [lambda name, given, engine=engine: twin.run(engine, name, given) for engine in QUEUES],  # type: ignore[misc]
            kinds=QUEUES,
            semaphores=config.semaphores,
            buffer=config.buffer,
            loops=config.loops,
        )
        whole = machine.run()
        if program.broken is None:
            same = (twin.pad == self.source.twin.pad).all()
            same &= (twin.memory[:WINDOW] == self.source.twin.memory[:WINDOW]).all()
            if not whole or not same:
                raise SimulationError("the interpreter does not come where the source of programs came to")
        return machine

    def _settle(self, machine: Interpreter) -> None:
        """Until all that is to end has ended, and no queue goes on."""
        end = self.device.cycles + self.limit
        while True:
            self._trouble()
            self.backend.hardware.run(self.trouble.randint(1, STEP) if self.stress != Stress.NOTHING else STEP)
            left = {}
            for name, queue in zip(QUEUES, machine.queues, strict=True):
                of = f"command.{name}"
                ended = self.registers[f"{of}.ended"] - self.ended[name] & 0xFFFFFFFF
                rests = (
                    not self.registers[f"{of}.busy"]
                    or self.registers[f"{of}.stopped"]
                    or self.registers[f"{of}.waiting"]
                )
                if ended != queue.noted or not rests:
                    left[name] = f"{ended} of {queue.noted} ended"
            if not left:
                break
            if self.device.cycles > end:
                raise SimulationError(f"after {self.limit} clocks there is still work: {left}")
        # What should not have begun shows itself.
        self.backend.hardware.run(STEP)
        self.ended = {name: self.registers[f"command.{name}.ended"] for name in QUEUES}

    def _compare(self, program: Program, machine: Interpreter) -> None:
        wrong = []
        if self.number % FRESH == 0:
            self.wrong_words.clear()  # all is written anew
        memory = self.device.read(0, WINDOW, np.uint8)
        pad = self.device.read(self.device.scratchpad(), self.twin.pad_bytes, np.uint8)
        for what, found, expected in (
            ("memory", memory, self.twin.memory[:WINDOW]),
            ("the scratchpad", pad, self.twin.pad),
        ):
            places = np.flatnonzero(found != expected)
            if places.size:
                first = places[0]
                wrong.append(
                    f"{places.size} bytes of {what} differ, from {first:#x} to {places[-1]:#x}: "
                    f"{found[first]:#x} instead of {expected[first]:#x}"
                )
        if self.backend.hardware.pages(0) != self.pages:
            wrong.append("memory was written that no command named")
        wrong += self._compare_queues(machine)
        wrong += self._compare_records(machine)
        if self.backend.hardware.problems:
            wrong.append("rules of the memory device were broken")
        if wrong:
            raise SimulationError("; ".join(wrong))

    def _compare_queues(self, machine: Interpreter) -> list[str]:
        registers, wrong = self.registers, []
        interrupts = registers["command.interrupts"]
        expected = sum(queue.interrupted << number for number, queue in enumerate(machine.queues))
        if interrupts != expected:
            wrong.append(f"interrupts are {interrupts:#x} instead of {expected:#x}")
        for name, queue in zip(QUEUES, machine.queues, strict=True):
            code, place = queue.error or (0, 0)
            found = 0
            if registers[f"command.{name}.stopped"]:
                found = registers[f"command.{name}.error"]
                index = registers[f"command.{name}.index"]
                if index != self.tails[name] + place:
                    wrong.append(f"{name} stopped at command {index - self.tails[name]} instead of {place}")
            if found != code:
                wrong.append(f"{name} ended with {Error(found).name} instead of {Error(code).name}")
        for number, value in enumerate(machine.values):
            registers["command.semaphore"] = number
            found = registers["command.value"]
            if found != value:
                wrong.append(f"semaphore {number} is {found} instead of {value}")
        return wrong

    def _compare_records(self, machine: Interpreter) -> list[str]:
        """Of each queue its records, in order; those of different queues come in any order."""
        count = self.registers["command.records.count"]
        raw = self.backend.read(0, self._records, RECORD_BYTES << RECORDS_LOG2)
        found: list[list[tuple[int, int, int | None, int]]] = [[] for _ in QUEUES]
        wrong = []
        ends = [0] * len(QUEUES)
        for number in range(self.seen, count):
            place = RECORD_BYTES * (number % (1 << RECORDS_LOG2))
            record: Any = _RECORD.from_bits(int.from_bytes(raw[place : place + RECORD_BYTES], "little"))
            queue = record.queue
            if record.number != number or not record.begun <= record.ended <= self.device.cycles:
                wrong.append(f"record {number} says number {record.number}, {record.begun} to {record.ended}")
            if record.ended < ends[queue]:
                wrong.append(f"record {number} of {QUEUES[queue]} ended before the one before it")
            ends[queue] = record.ended
            found[queue].append(
                (record.index - self.tails[QUEUES[queue]], record.opcode, record.tag, record.error.value)
            )
        self.seen = count
        for name, queue, mine in zip(QUEUES, machine.queues, found, strict=True):
            expected = [(each.place, each.opcode, each.tag, each.error) for each in queue.records]
            mine = [
                (place, opcode, None if at < len(expected) and expected[at][2] is None else tag, error)
                for at, (place, opcode, tag, error) in enumerate(mine)
            ]
            if mine != expected:
                wrong.append(f"records of {name} are {mine} instead of {expected}")
        return wrong


def text(program: Program, source: ProgramSource) -> str:
    """A program as text; what is no command, in hexadecimal."""
    lines = []
    for name, commands in program.queues.items():
        lines.append(f"{name}:")
        for number, each in enumerate(commands):
            line = print_command(each, source.known) if isinstance(each, Command) else each.hex()
            mark = " <- broken" if program.broken == (name, number) else ""
            lines.append(f"  {number} {line}{mark}")
    return "\n".join(lines)


def check(
    chip: ChipConfig,
    count: int,
    seed: int,
    build_root: Path,
    *,
    steps: int = 10,
    stress: Stress = Stress.NOTHING,
    show: bool = False,
    config: str = "",
) -> Counter[str]:
    """Run programs, in simulations of `SESSION`, each with the next seed; how often each point of coverage was reached.

    ``config`` is what names the chip on the command line, if its name does not.

    Raises
    ------
    SimulationError
        At the first difference; it says how to repeat it.
    """
    kinds: Counter[str] = Counter()
    for first in range(0, count, SESSION):
        own = seed + first // SESSION
        session = Session(chip, own, build_root, stress)
        chance, done = session.source.chance, 0
        try:
            while done < min(SESSION, count - first):
                done += 1
                last = done == min(SESSION, count - first)
                length, spoil = chance.randint(1, steps), chance.random() < 1 / 3
                kinds.update(session.run(length, spoil=spoil, show=show and last))
        except SimulationError as error:
            again = f"{COMMAND} --config {config or chip.name} --count {done} --seed {own} --steps {steps}"
            again += f" --stress {stress} --show" if stress != Stress.NOTHING else " --show"
            raise SimulationError(f"program {done} of seed {own}: {error}; to repeat it: {again}") from None
        finally:
            session.close()
        if (first + SESSION) % PROGRESS == 0 and first + SESSION < count:
            print(f"{first + SESSION} programs", file=sys.stderr, flush=True)
    return kinds


def main(arguments: Sequence[str] | None = None) -> int:
    """Run random programs; 0, 1 if one differs, 2 for a mistake in the arguments."""
    return guarded(lambda: _run(_parse(arguments)))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(prog=COMMAND, description="random programs on a chip's RTL, against the references")
    parser.add_argument("--config", default="tiny", help="a preset or TOML file (default: %(default)s)")
    parser.add_argument("--count", type=int, default=100, help="programs (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help=f"of the first {SESSION} (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=10, help="of a program, at most (default: %(default)s)")
    stresses = [each.value for each in Stress]
    parser.add_argument("--stress", choices=stresses, default=Stress.NOTHING.value, help=Stress.__doc__)
    parser.add_argument("--cover", type=float, default=0, help="per cent of coverage to reach (default: %(default)s)")
    parser.add_argument("--show", action="store_true", help="print the last program, before it runs")
    parser.add_argument("--build-dir", type=Path, default=Path("build"), help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _run(options: argparse.Namespace) -> int:
    for name, least in (("count", 1), ("steps", 1), ("seed", 0)):
        if getattr(options, name) < least:
            raise UserError(f"--{name} {getattr(options, name)}: give a number of at least {least}")
    if not 0 <= options.cover <= 100:
        raise UserError(f"--cover {options.cover}: give 0 to 100 per cent")
    chip = load(options.config)
    given = dict(steps=options.steps, stress=Stress(options.stress), show=options.show, config=options.config)
    kinds = check(chip, options.count, options.seed, options.build_dir, **given)
    print(f"{options.count} programs do what the references say:")
    wanted = all_points(chip)
    for name in wanted:
        print(f"  {kinds[name]:7} {name}")
    missing = [name for name in wanted if not kinds[name]]
    reached = 100 * (1 - len(missing) / len(wanted))
    print(f"{reached:.1f} % of {len(wanted)} points reached")
    if reached < options.cover:
        print(f"FAILED: {options.cover} % were asked for; missing: {', '.join(missing)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
