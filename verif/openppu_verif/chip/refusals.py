"""Words that every queue must refuse, bit by bit; and records of all queues at a time."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from openppu.command.error import Error
from openppu.command.instructions import instructions
from openppu.command.layouts import OPERAND_BITS, REGISTERS, SLOTS
from openppu.config import ChipConfig
from openppu.formats.spec import BINARY32
from openppu.vector.command import ACCUMULATORS
from openppu_sim.device.device import Device
from openppu_sim.device.driver import Driver
from openppu_sim.device.records import read_records, set_records
from openppu_sim.errors import SimulationError
from openppu_sim.kernels.vector.commands import SetStream, fields_of
from openppu_sim.lowering.matmul import Addend, Result
from openppu_sim.program.command import Command
from openppu_sim.reference.command import Interpreter
from openppu_sim.reference.dma import INT32_CODE

from openppu_verif.chip.broken_commands import OPERANDS_AT, UNUSED_HEADER_BITS, BrokenCommands
from openppu_verif.chip.program_source import ProgramSource
from openppu_verif.chip.twin import Twin
from openppu_verif.dma.commands import copy

STEP = 50
"""Clocks, after so many of which at the latest a queue has found out."""

STEPS = 20

DRAWN = 48
"""Commands of each engine that are wrong."""

RECORDS = 60
REGISTERS_AT = 80
"""Of a word's header: four bits for each address."""

KNOWN = instructions()
Program = list[Command | bytes]


def refuse_words(backend: Driver) -> None:
    """Each bit that a word must not have, and loops that are none; errors as of `refuse`."""
    refuse(backend, lambda queue: [*_wrong(queue), *_long(backend.chip)])


def refuse_bits(backend: Driver) -> None:
    """Each bit of the operands of a command that has none; errors as of `refuse`."""
    plain = Command(name="NOTHING").word(KNOWN)
    refuse(backend, lambda queue: [_of(plain | 1 << OPERANDS_AT + bit) for bit in range(OPERAND_BITS)])


def refuse_addresses(backend: Driver) -> None:
    """Each address of a command, odd by each register; errors as of `refuse`."""
    refuse(backend, lambda queue: list(_misaligned(queue)))


def refuse_commands(backend: Driver) -> None:
    """Commands of engines that are wrong in any way, and some that go just too far; errors as of `refuse`."""
    broken = BrokenCommands(ProgramSource(backend.chip, 37))
    device = Device(backend.chip, backend)
    device.write(device.scratchpad(), np.zeros(backend.chip.scratchpad.capacity, np.uint8))

    def draw(queue: str) -> list[Program]:
        found: list[Program] = [[broken.of_engine(queue)] for _ in range(DRAWN)]
        return [*found, *_too_far(queue, backend.chip)]

    refuse(backend, draw)


def refuse(backend: Driver, draw: Callable[[str], list[Program]]) -> None:
    """Give each queue programs that end with something wrong, and see it refused with the error that is due.

    Raises
    ------
    SimulationError
        If one is not.
    """
    registers, names = backend.registers[0], list(backend.queues)
    everyone = (1 << len(names)) - 1
    twin = Twin(backend.chip)
    programs = {name: draw(name) for name in names}
    places = dict.fromkeys(names, 0)
    for turn in range(max(map(len, programs.values()))):
        given = {name: each[turn % len(each)] for name, each in programs.items()}
        for name, program in given.items():
            # As bytes, for the device itself refuses some of them.
            words = [each if isinstance(each, bytes) else each.encode(KNOWN) for each in program]
            backend.submit(0, name, words)
        due = {name: _due(name, program, backend.chip, twin) for name, program in given.items()}
        for _ in range(STEPS):
            backend.hardware.run(STEP)
            if all(registers[f"command.{name}.stopped"] for name in names if due[name][0]):
                break
        for name, program in given.items():
            of, found = f"command.{name}", (0, 0)
            if registers[f"{of}.stopped"]:
                found = registers[f"{of}.error"], registers[f"{of}.index"] - places[name]
            if found != due[name]:
                told, asked = (f"{Error(error).name} at {place}" for error, place in (found, due[name]))
                raise SimulationError(f"{name}: {program[-1]!r} ends with {told}, not {asked}")
            places[name] += len(program)
        registers["command.restart"] = everyone
        backend.hardware.run(STEP)
        registers["command.seen"] = everyone


def record(backend: Driver) -> None:
    """Let all queues write records as fast as they can.

    Raises
    ------
    SimulationError
        If one is missing, or says something else.
    """
    device, rng = Device(backend.chip, backend), random.Random(3)
    set_records(device)
    programs = {
        name: [
            Command(
                name="NOTHING",
                tag=rng.getrandbits(16),
                record=rng.random() < 0.9,
                signal=(number, 1) if rng.random() < 0.3 else None,
            )
            for _ in range(RECORDS)
        ]
        for number, name in enumerate(backend.queues)
    }
    for name, program in programs.items():
        device.submit(name, program)
    device.wait(20_000)
    found = read_records(device)
    for number, (name, program) in enumerate(programs.items()):
        mine = [(each.place, each.tag, each.error) for each in found if each.queue == name]
        expected = [(place, each.tag, "OKAY") for place, each in enumerate(program) if each.record]
        if mine != expected:
            raise SimulationError(f"records of {name} are {mine} instead of {expected}")
        backend.registers[0]["command.semaphore"] = number
        signals = sum(each.signal is not None for each in program)
        if (value := backend.registers[0]["command.value"]) != signals:
            raise SimulationError(f"{name} has signalled {value} times instead of {signals}")


def _wrong(queue: str) -> Iterator[Program]:
    """Words with one bit that is wrong."""
    plain = Command(name="NOTHING", tag=0x5A5A).word(KNOWN)
    for bit in UNUSED_HEADER_BITS:
        yield _of(plain | 1 << bit)
    mine = [each for each in KNOWN.instructions if each.engine in ("", queue)]
    codes = {each.opcode for each in mine}
    for code in sorted({each.opcode ^ 1 << bit for each in mine for bit in range(8)} - codes):
        yield _of(plain & ~0xFF | code)
    for each in mine:
        free = [bit for bit in range(OPERAND_BITS) if each.unused >> bit & 1]
        fields = {"register": 3} if each.name in ("SET", "ADD") else {"count": 1} if each.name == "LOOP" else {}
        word = each.opcode if each.engine else Command(name=each.name, fields=fields).word(KNOWN)
        ends = [bit for bit in free if bit - 1 not in free or bit + 1 not in free]
        places = free[:1] + free[-1:] if each.engine else sorted({*ends, *free[:: max(1, len(free) // 6)]})
        for bit in places:
            yield _of(word | 1 << OPERANDS_AT + bit)
        for slot in set(range(SLOTS)) - {operand.slot for operand in each.operands}:
            yield _of(word | 1 << REGISTERS_AT + 4 * slot + each.opcode % 4)


def _long(chip: ChipConfig) -> Iterator[Program]:
    """More loops than there may be within each other, and one that is too long for the buffer."""
    loop = Command(name="LOOP", fields={"count": 2})
    yield [loop] * (chip.command.loops + 1)
    yield [Command(name="SET", fields={"register": 1}), loop, *[Command(name="NOTHING")] * chip.command.buffer]


def _misaligned(queue: str) -> Iterator[Program]:
    """Commands one of whose addresses is made odd by a register: each address, each register."""
    whole = copy(memory=0x100, scratchpad=0x100, row=4, source=INT32_CODE, target=INT32_CODE, transpose=1)
    gather = {"memory": 0x100, "scratchpad": 0x100, "indices": 0x100, "row": 4, "count": 1, "rows": 1}
    product = {
        **{"m": 4, "n": 4, "k": 4, "a_address": 0, "a_stride": 8, "b_address": 64, "b_stride": 8},
        **{"c_address": 128, "c_stride": 32, "d_address": 256, "d_stride": 16},
        **{"addend": Addend.SCRATCHPAD, "result": Result.SUMS},
    }
    pattern = fields_of(SetStream(stream=0, base=0x100, format=BINARY32.code, counts=[1], strides=[0]))
    commands: dict[str, list[tuple[str, dict[str, int], tuple[str, ...]]]] = {
        "load": [("LOAD", whole, ("memory", "scratchpad")), ("GATHER", gather, ("indices",))],
        "store": [("STORE", whole, ("memory", "scratchpad")), ("SCATTER", gather, ("indices",))],
        "matmul": [("MATMUL", product, ("a_address", "b_address", "c_address", "d_address"))],
        "vector": [("VECTOR_STREAM", pattern, ("base",))],
        "link": [("SEND", {"source": 0x100, "target": 0x100, "bytes": 32, "chip": 1}, ("source", "target"))],
    }
    for name, fields, addresses in commands[queue]:
        for address in addresses:
            for register in range(1, REGISTERS):
                odd = Command(name="SET", fields={"register": register, "value": 1})
                yield [odd, Command(name=name, fields=fields, registers={address: register})]


def _too_far(queue: str, chip: ChipConfig) -> Iterator[Program]:
    """Commands that go a byte or a few beyond the end of memory, of the scratchpad or of the accumulators."""
    memory, pad = chip.hbm.capacity, chip.scratchpad.capacity
    for beyond in (1, 2, 4):
        row = 8 + beyond
        if queue in ("load", "store"):
            name = queue.upper()
            yield [Command(name=name, fields=copy(memory=memory - 8, scratchpad=0, row=row))]
            yield [Command(name=name, fields=copy(memory=0, scratchpad=pad - 8, row=row))]
        if queue == "matmul":
            for operand in "ab":
                sizes = {"m": 1, "n": 1, "k": row} if operand == "a" else {"m": 1, "n": row, "k": 1}
                places = {"a_address": 0, "b_address": 0x400, "d_address": 0x800, f"{operand}_address": pad - 8}
                strides = {f"{each}_stride": 64 for each in "abd"}
                yield [Command(name="MATMUL", fields={**sizes, **places, **strides, "result": Result.SUMS})]
        if queue == "vector":
            word = chip.scratchpad.word_bytes
            pattern = SetStream(stream=0, base=pad - word, format=BINARY32.code, counts=[1 + beyond], strides=[word])
            yield [Command(name="VECTOR_STREAM", fields=fields_of(pattern))]
            rows = chip.tile.accumulators
            for changes in (
                {"base": ACCUMULATORS + (rows - 1) * word},
                {"base": ACCUMULATORS - word},
                {"base": ACCUMULATORS, "counts": [1], "stream": beyond | 1},
            ):
                each = replace(pattern, **changes)
                yield [Command(name="VECTOR_STREAM", fields=fields_of(each))]
        if queue == "link":
            given = {"source": memory - 32, "target": 0, "bytes": 32 + 32 * beyond, "chip": 1}
            yield [Command(name="SEND", fields=given)]


def _of(word: int) -> Program:
    return [word.to_bytes(64, "little")]


def _due(queue: str, program: Program, chip: ChipConfig, twin: Twin) -> tuple[int, int]:
    """The error of a program alone in its queue, and its place."""
    config = chip.command
    machine = Interpreter(
        KNOWN,
        [program],
        [lambda name, given: twin.run(queue, name, given)],
        kinds=[queue],
        semaphores=config.semaphores,
        buffer=config.buffer,
        loops=config.loops,
    )
    machine.run()
    return machine.queues[0].error or (0, 0)
