"""The cycle model of a whole chip beside the RTL: exact on one chip, near on linked ones."""

from collections.abc import Sequence

import numpy as np
import pytest
from openppu.command.layouts import COMMAND_BYTES
from openppu.config import load
from openppu_sim.device.device import Device
from openppu_sim.device.records import Record, read_records, set_records
from openppu_sim.kernels.vector.memory import vector_programs
from openppu_sim.program.command import Command
from openppu_verif.chip.model_check import WITHIN, copy, programs
from openppu_verif.vector.job_cases import CODE, SMALL, Memory

TINY, DEMO = load("tiny"), load("demo")
COPIES = {
    ("STORE", 16, 24): 1_559,
    ("STORE", 16, 360): 1_895,
    ("STORE", 32, 360): 1_899,
    ("STORE", 40, 360): 2_258,
    ("STORE", 16, 24, 48): 1_748,
    ("STORE", 16, 360, 48): 5_084,
    ("STORE", 40, 360, 72): 3_239,
    ("LOAD", 16, 360): 2_263,
    ("LOAD", 32, 360): 2_233,
    ("LOAD", 40, 360): 2_497,
}
"""Command, bytes of a row, rows, how far apart in memory if not behind each other: its clocks, from the reset, on the
RTL of `DEMO`.

A port of its memory holds few parts of words, which have to be merged, and those for the other port wait behind them;
the answers of both ports have one way to the engine.
"""

DRAINED = 2_000
"""Clocks after which memory holds no write."""


@pytest.fixture
def devices(build_root):
    """A chip of each kind, from the reset on: refreshes of memory come at the same times."""
    with Device(TINY, "rtl", build_root=build_root) as rtl, Device(TINY, "model") as model:
        yield rtl, model


def begun(records: Sequence[Record]) -> list[tuple[int, int]]:
    """When each command began and ended, from the first one on."""
    return [(record.begun - records[0].begun, record.ended - records[0].begun) for record in records]


def test_products_on_the_scratchpad_take_the_very_cycles(devices):
    places = {"a_address": 0, "a_stride": 64, "b_address": 8192, "b_stride": 64, "d_address": 16384, "d_stride": 64}
    shapes = [(16, 16, 16, 0), (5, 7, 9, 0), (16, 4, 40, 0), (3, 12, 33, 1), (8, 8, 8, 2)]
    program = [
        Command(
            name="MATMUL",
            fields={"m": m, "n": n, "k": k, "result": 1, "transpose_a": t & 1, "transpose_b": t >> 1, **places},
            record=True,
        )
        for m, n, k, t in shapes
    ]
    found = []
    for device in devices:
        device.write(device.scratchpad(), np.arange(TINY.scratchpad.capacity, dtype=np.uint8))
        set_records(device)
        device.submit("matmul", program)
        device.wait(100_000)
        found.append((begun(read_records(device)), device.read(device.scratchpad(16384), 4096, np.uint8).tobytes()))
    assert found[0] == found[1]


def test_a_chain_of_the_vector_unit_takes_the_very_cycles(devices):
    found = []
    for device in devices:
        memory = Memory(device)
        case = SMALL["exp_bf16"](memory)
        programs = vector_programs(TINY, case.job, code_at=CODE, record=True)
        device.write(CODE, programs.code)
        set_records(device)
        for queue, program in programs.items():
            device.submit(queue, program)
        device.wait(400_000)
        case.check()
        found.append(read_records(device))
    assert found[0] == found[1]


def test_a_command_that_is_in_memory_begins_in_the_very_clock_after_its_register_is_written(devices):
    found = []
    for device in devices:
        set_records(device)
        device.submit("load", [Command(name="NOTHING", record=True)])
        device.wait(10_000)
        registers = device.backend.registers[0]
        ring = registers["command.load.base"]
        device.backend.write(0, ring + COMMAND_BYTES, device.read(ring, COMMAND_BYTES, np.uint8).tobytes())
        device.backend.hardware.run(DRAINED)
        registers["command.load.tail"] = 2
        device.backend.hardware.run(DRAINED)
        found.append(read_records(device))
    assert len(found[0]) == 2
    assert found[0] == found[1]


@pytest.mark.parametrize("rows", [(16, 24), (16, 24, 48), (16, 96, 40), (40, 48), (40, 48, 72)])
def test_stores_of_parts_of_words_take_the_very_cycles(devices, rows):
    rtl, model = devices
    assert copy(model, "STORE", *rows) == copy(rtl, "STORE", *rows)


@pytest.mark.parametrize("rows", COPIES)
def test_what_goes_to_two_ports_waits_for_each_other(rows):
    with Device(DEMO, "model") as device:
        assert copy(device, *rows) == COPIES[rows]


@pytest.mark.slow
@pytest.mark.parametrize("rows", COPIES)
def test_copies_of_two_ports_take_what_the_model_is_held_to(build_root, rows):
    with Device(DEMO, "rtl", build_root=build_root) as device:
        assert copy(device, *rows) == COPIES[rows]


PROGRAMS = {f"{each.preset}: {each.name}": each for each in programs()}
QUICK = [
    *(f"tiny: {name} int8" for name in ("16 x 16 x 16", "21 x 37 x 11", "1 x 96 x 96", "200 x 16 x 10")),
    *(f"tiny: {name}" for name in ("exp_bf16", "requantise_channels", "layer_norm")),
    *(f"tiny: 2 units: {name}" for name in ("21 x 37 x 11 int8", "softmax")),
    *(f"tiny: {name}" for name in ("load of 48 rows of 40 bytes", "two chips classify 12 digits, int8")),
]
"""Those that `make test` runs."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in PROGRAMS]
)
def test_every_program_takes_the_very_cycles_or_with_a_link_or_many_units_nearly_so(build_root, name):
    program = PROGRAMS[name]
    rtl, model = (program.clocks(backend, build_root) for backend in ("rtl", "model"))
    nearly = program.linked or program.config.compute_units > 2
    assert model == (pytest.approx(rtl, rel=WITHIN) if nearly else rtl)


def test_programs_that_are_run_quickly_are_there():
    assert set(QUICK) <= set(PROGRAMS)
