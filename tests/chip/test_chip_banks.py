"""Engines that meet in a scratchpad's banks: a chip's cycle model has each command's clocks as the RTL has them."""

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from openppu.config import load
from openppu.formats.spec import FORMATS
from openppu.vector.command import ACCUMULATORS
from openppu.vector.instruction import ACCUMULATOR_STREAMS
from openppu_sim.device.device import Device
from openppu_sim.device.records import read_records, set_records
from openppu_sim.kernels.vector.assembly import image, parse
from openppu_sim.kernels.vector.commands import LoadProgram, Run, SetStream, fields_of, name_of
from openppu_sim.lowering.matmul import Ending, MatmulCommand
from openppu_sim.program.command import Command
from openppu_sim.reference.matmul_engine import MatmulEngineReference
from openppu_verif.matmul.random_commands import REGION, RandomCommands, random_memory

TINY = load("tiny")
LANES = TINY.scratchpad.word_bytes // 4
CODE_AT = 5 * REGION
"""Behind all that is written."""

BEGIN = 3
"""The semaphore on which all wait until a long fill is over: by then all commands are there."""

LONG = 500
"""Rows of that."""

PROGRAMS = (
    """
loop 0
  r1 = ADD s0, s1
  s4 = MULTIPLY r1, s2
  r2 = ADD r1, s3
  s5 = COPY r2
end
stop
""",
    """
loop 0
  r1, s4 = ADD_INTEGER s0, s0
  release 2
  r2.packed = COPY r1^1
  s6 = ADD_INTEGER r2.spread, s2
end
stop
""",
    """
loop 0
  loop 1
    r3 = MAXIMUM s1, s3
    s7 = COPY r3 : 4
    r4 = MULTIPLY r3, r3
  end
  s4 = COPY r4
end
stop
""",
)
HELD = {1: (2,)}
"""Streams of a program that are held."""


def random_stream(chance: random.Random, number: int, rows: int, *, held: bool) -> SetStream:
    """A pattern anywhere in what may be written, or in the accumulators."""
    name = chance.choice(["binary32", "binary32", "bf16", "fp8_e4m3"])
    sums = number in ACCUMULATOR_STREAMS and chance.random() < 0.3
    first, end = (ACCUMULATORS, ACCUMULATORS + 4 * LANES * TINY.tile.accumulators) if sums else (0, CODE_AT)
    code, size = (7, 4) if name == "binary32" else (FORMATS[name].code, FORMATS[name].bits // 8)
    single = chance.random() < 0.25
    unit = size if single else LANES * size
    counts = (rows, chance.randint(1, 3), chance.randint(1, 3)) if not held else (rows, 1, chance.randint(1, 4))
    room = (end - first) // unit - 1
    strides = []
    for count in counts:
        stride = chance.choice([0, 1, 1, chance.randint(0, 40)])
        stride = min(stride, room // max(1, count - 1))
        room -= stride * (count - 1)
        strides.append(stride * unit)
    return SetStream(
        stream=number,
        base=first + chance.randint(0, room) * unit,
        counts=counts,
        strides=strides,
        format=code,
        single=single,
        held=held,
        tail=0 if single or chance.random() < 0.6 else chance.randint(1, LANES),
        tail_dimension=chance.randrange(3),
    )


def vector_program(chance: random.Random, runs: int) -> list[Command]:
    """Loads all programs, then runs some with streams anywhere."""
    words = [parse(each) for each in PROGRAMS]
    starts = [sum(map(len, words[:n])) for n in range(len(words))]
    load_all = LoadProgram(source=CODE_AT, count=sum(map(len, words)))
    commands = [Command(name=name_of(load_all), fields=fields_of(load_all), wait=(BEGIN, 1))]
    for _ in range(runs):
        which = chance.randrange(len(PROGRAMS))
        rows = chance.randint(1, TINY.vector.strip_rows)
        run = Run(start=starts[which], rows=rows, counts=(chance.randint(1, 5), chance.randint(1, 3)))
        streams = [
            random_stream(chance, number, rows, held=number in HELD.get(which, ()))
            for number in range(8)
            if f"s{number}" in PROGRAMS[which]
        ]
        commands += [Command(name=name_of(each), fields=fields_of(each)) for each in (*streams, run)]
    return commands


def matmul_program(chance: random.Random, count: int) -> list[Command]:
    """Products of matrices anywhere, none of which is refused."""
    drawn = RandomCommands(TINY, chance.randrange(1 << 30))
    reference = MatmulEngineReference(TINY, random_memory(1))
    commands: list[MatmulCommand] = []
    while len(commands) < count:
        each = drawn.draw()
        if reference.run(each) is Ending.OKAY:
            commands.append(each)
    names = MatmulCommand.__dataclass_fields__
    return [
        Command(
            name="MATMUL",
            fields={name: int(getattr(each, name)) for name in names if name != "reserved"},
            wait=(BEGIN, 1) if not place else None,
        )
        for place, each in enumerate(commands)
    ]


def load_program(chance: random.Random, count: int) -> list[Command]:
    """Fills of rows anywhere, of any bytes."""
    fill = {"row": 32, "count_0": LONG, **{f"count_{d}": 1 for d in (1, 2, 3)}}
    commands = [Command(name="FILL_SCRATCHPAD", fields=fill, signal=(BEGIN, 2), record=True)]
    for _ in range(count):
        row, rows = chance.randint(1, 100), chance.randint(1, 30)
        stride = chance.randint(0, 3) * 32 + chance.choice([0, 0, 1, 8])
        fields = {"row": row, "format": 0, "value": chance.randrange(256), "count_0": rows, "stride_0": stride}
        fields["address"] = chance.randint(0, CODE_AT - row - stride * (rows - 1))
        fields |= {f"count_{d}": 1 for d in (1, 2, 3)}
        commands.append(Command(name="FILL_SCRATCHPAD", fields=fields))
    return commands


def outcomes(build_root, programs: Callable[[], dict[str, list[Command]]]) -> list[list[tuple[str, int, int, int]]]:
    """Of the recorded commands their queue, place, begin and end, on the RTL and on the cycle model.

    Clocks count from the first one's end on: when the host has written all is a matter of memory.
    """
    found = []
    for backend in ("rtl", "model"):
        with Device(TINY, backend, build_root=build_root) as device:
            device.write(0, np.zeros(32, np.uint8))  # over when all memory is up
            device.write(device.scratchpad(), random_memory(2))
            words = [word for each in PROGRAMS for word in parse(each)]
            device.write(device.scratchpad(CODE_AT), np.frombuffer(bytes(image(words)), np.uint8))
            set_records(device)
            for queue, program in programs().items():
                device.submit(queue, program)
            device.wait(400_000)
            records = read_records(device)
        assert all(record.error == "OKAY" for record in records)
        first = min(record.ended for record in records)
        found.append(sorted((each.queue, each.place, each.begun - first, each.ended - first) for each in records))
    return found


def last_recorded(program: list[Command]) -> list[Command]:
    """The last command leaves a record, too; more would wait for memory."""
    return [*program[:-1], replace(program[-1], record=True)]


@pytest.mark.parametrize("seed", range(4))
def test_streams_of_the_vector_unit_that_meet_in_a_bank_take_the_very_cycles(build_root, seed):
    def programs() -> dict[str, list[Command]]:
        chance = random.Random(seed)
        return {"vector": [replace(each, record=True, wait=None) for each in vector_program(chance, 10)]}

    rtl, model = outcomes(build_root, programs)
    assert model == rtl


@pytest.mark.parametrize("seed", range(8))
def test_engines_that_meet_in_a_bank_take_the_very_cycles(build_root, seed):
    def programs() -> dict[str, list[Command]]:
        chance = random.Random(100 + seed)
        vector, matmul = vector_program(chance, 2)[:15], matmul_program(chance, 14)
        return {
            "vector": last_recorded(vector),
            "matmul": last_recorded(matmul),
            "load": last_recorded(load_program(chance, 12)),
        }

    rtl, model = outcomes(build_root, programs)
    assert model == rtl
