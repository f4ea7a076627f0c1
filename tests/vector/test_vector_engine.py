"""The vector unit does what its reference does, in the cycles that its model says; what it must not do it refuses."""

import dataclasses

import numpy as np
import pytest
from openppu.command.error import Error
from openppu.config import ChipConfig, ConfigError, load
from openppu.vector.command import ACCUMULATORS
from openppu.vector.engine import VectorEngine
from openppu_sim.cycles.vector import VectorCycles
from openppu_sim.kernels.vector.assembly import LAYOUT, image, parse, to_word
from openppu_sim.kernels.vector.commands import LoadProgram, Run, SetStream, Unknown
from openppu_sim.reference.vector import VectorReference
from openppu_sim.simulator.vector import Stalls
from openppu_verif.vector.simulation import Job, simulate
from vector_cases import CHIP, requantise, softmax

SLOW = Stalls(offers=30_000, accepts=20_000, reads=30_000, writes=20_000, seed=5)
BYTES = 4096
ROWS = CHIP.tile.accumulators
COUNT_UP = """
loop 0
  r1 = ADD_INTEGER s0, 1
  r2.packed = COPY r1^3
  s4 = ADD_INTEGER r2.spread, r1+1
end
stop
"""


def memory_of(program: str) -> np.ndarray:
    memory = np.random.default_rng(4).integers(0, 256, BYTES).astype(np.uint8)
    data = image(parse(program))
    memory[: data.size] = data
    return memory


def loading(program: str) -> LoadProgram:
    return LoadProgram(source=0, count=len(parse(program)))


def check(jobs: list[Job], *, exact: bool = False, chip: ChipConfig = CHIP) -> None:
    """Every job ends and leaves its scratchpad as the reference says."""
    cycles = VectorCycles(chip)
    unit = VectorReference(chip, jobs[0].memory, accumulators=jobs[0].accumulators)
    for job, run in zip(jobs, simulate(chip, jobs), strict=True):
        unit.memory, unit.wrong = job.memory.copy(), job.wrong
        assert [end.error for end in run.ends] == unit.do_all(job.commands)
        assert np.flatnonzero(run.memory != unit.memory).size == 0
        if exact:
            assert [(end.taken, end.finished) for end in run.ends] == cycles.predict(job.commands, job.memory)


def test_kernels_equal_the_reference_in_the_cycles_that_the_model_says():
    cases = [softmax(3, 9), requantise(True, True, -5, 5, 9)]
    jobs = [Job(commands=case.plan.commands, memory=case.memory) for case in cases]
    check(jobs, exact=True)


@pytest.mark.slow
def test_streams_that_wait_change_nothing_but_time():
    reads = SetStream(stream=0, base=1024, counts=(12, 3), strides=(32, 384), tail=5, fill=7)
    writes = SetStream(stream=4, base=2560, counts=(12, 4), strides=(8, 96), format=0, tail=3, tail_dimension=0)
    commands = [loading(COUNT_UP), reads, writes, Run(rows=12, counts=(4,))]
    check([Job(commands=commands, memory=memory_of(COUNT_UP), stalls=SLOW)])


SUMS = """
loop 0
  r1 = ADD_INTEGER s0, s1
  r2 = ADD_INTEGER s2, s3
  s4 = EXCLUSIVE_OR r1, r2
end
stop
"""


@pytest.mark.parametrize("chip", [CHIP, load("tiny")], ids=["for all lanes", "for half of them"])
def test_streams_from_the_accumulators_meet_those_from_the_scratchpad(chip):
    word, rows = chip.scratchpad.word_bytes, chip.tile.accumulators
    sums = np.random.default_rng(6).integers(0, 1 << 32, (rows, chip.tile.columns), dtype=np.uint32)
    some = SetStream(stream=0, base=ACCUMULATORS, counts=(6, 3), strides=(word, 3 * word), tail=3, fill=9)
    one = SetStream(stream=2, base=ACCUMULATORS + word * (rows - 18) + 4, counts=(18,), strides=(word,), single=True)
    others = [SetStream(stream=n, base=word * (40 + n), counts=(5, 2), strides=(word, 0)) for n in (1, 3)]
    result = SetStream(stream=4, base=64 * word, counts=(18,), strides=(word,))
    from_pad = dataclasses.replace(one, base=word * 10)
    run = Run(rows=6, counts=(3,))
    commands = [loading(SUMS), some, one, *others, result, run, from_pad, run]
    memory = np.resize(memory_of(SUMS), 128 * word)
    check([Job(commands=commands, memory=memory, accumulators=sums)], exact=True, chip=chip)
    check([Job(commands=commands, memory=memory, accumulators=sums, stalls=SLOW)], chip=chip)


HELD = """
r0 = COPY 1
s4 = COPY r0
release 0
s5 = COPY s0
s5 = COPY s0
stop
"""


@pytest.mark.slow
def test_what_is_wrong_is_refused_or_ends_alone_and_the_next_command_runs():
    memory = memory_of(HELD)
    base = 1024
    good = SetStream(stream=0, base=base, counts=(4,), strides=(32,))
    held = dataclasses.replace(good, held=True)
    outputs = [SetStream(stream=n, base=512 * n, counts=(16,), strides=(32,)) for n in (4, 5)]
    refused = [
        (Unknown(opcode=0), Error.OPCODE),
        (Run(start=3, rows=0), Error.FIELD),
        (Run(start=CHIP.vector.program_words), Error.FIELD),
        (Run(rows=4, counts=(1, 0)), Error.FIELD),
        (Run(rows=4), Error.FIELD),  # the streams that the program uses are not set yet
        (LoadProgram(source=0, count=0), Error.FIELD),
        (LoadProgram(source=8, count=1), Error.ALIGNMENT),
        (LoadProgram(source=BYTES - 16, count=2), Error.BOUNDS),
        (dataclasses.replace(good, stream=8), Error.FIELD),
        (dataclasses.replace(good, tail=9), Error.FIELD),
        (dataclasses.replace(good, format=5), Error.FORMAT),
        (dataclasses.replace(good, base=base + 16), Error.ALIGNMENT),
        (dataclasses.replace(good, base=base + 16, format=4), None),
        (dataclasses.replace(good, strides=(32, 4)), Error.ALIGNMENT),
        (dataclasses.replace(good, base=BYTES - 96), Error.BOUNDS),
        (dataclasses.replace(good, counts=(65535,) * 4, strides=(0xFFFFE0,) * 4), Error.BOUNDS),
        (dataclasses.replace(good, base=ACCUMULATORS, counts=(ROWS,)), None),
        (dataclasses.replace(good, base=ACCUMULATORS, counts=(ROWS + 1,)), Error.BOUNDS),
        (dataclasses.replace(good, base=ACCUMULATORS + 32 * ROWS), Error.BOUNDS),
        (dataclasses.replace(good, base=ACCUMULATORS - 32), Error.BOUNDS),
        (dataclasses.replace(good, base=0, counts=(2,), strides=(ACCUMULATORS,)), Error.BOUNDS),
        *((dataclasses.replace(good, base=ACCUMULATORS, stream=n), Error.BOUNDS) for n in (1, 3, 4, 7)),
        (LoadProgram(source=ACCUMULATORS, count=1), Error.BOUNDS),
        (good, None),
        *((each, None) for each in outputs),
        (Run(rows=4), None),
        (held, None),
        (Run(rows=2), None),
        (Run(rows=3), Error.FIELD),  # reads six rows of a block of four
        (good, None),
        (Run(rows=2), None),
    ]
    commands = [loading(HELD), *(command for command, _ in refused)]
    job = Job(commands=commands, memory=memory)
    (run,) = simulate(CHIP, [job])
    assert [end.error for end in run.ends] == [Error.OKAY, *(error or Error.OKAY for _, error in refused)]
    check([job, Job(commands=commands, memory=memory, wrong=[(base + 96) // 32])])


@pytest.mark.parametrize(
    "change",
    [
        ("unused", 1),
        ("operation", 5),
        ("target", CHIP.vector.registers),
        ("rows", CHIP.vector.strip_rows + 1),
        ("cross", 8),
        ("shift", CHIP.vector.strip_rows),
        ("kind", 7),
    ],
)
def test_the_reference_refuses_words_that_say_nothing(change):
    name, value = change
    word = to_word(parse("r1 = ADD r2, r3")[0])
    place = LAYOUT[name]
    word = word & ~((1 << place.width) - 1 << place.offset) | value << place.offset
    memory = memory_of("stop")
    memory[:16] = np.frombuffer(word.to_bytes(16, "little"), np.uint8)
    memory[16:32] = image(parse("stop"))
    unit = VectorReference(CHIP, memory)
    assert unit.do_all([LoadProgram(source=0, count=2), Run()]) == [Error.OKAY, Error.FIELD]


def test_a_word_of_more_than_128_bytes_is_refused():
    with pytest.raises(ConfigError, match=r"scratchpad\.word_bytes = 256"):
        VectorEngine(load("tiny", ["scratchpad.word_bytes=256"]))
