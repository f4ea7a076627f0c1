"""The cycle model of a whole chip beside the RTL: exact on the scratchpad, near on whole kernels."""

from collections.abc import Sequence

import numpy as np
import pytest
from openppu.config import load
from openppu_sim.device.device import Cluster, Device
from openppu_sim.device.records import Record, read_records, set_records
from openppu_sim.digits.deploy import deploy_int8
from openppu_sim.digits.network import load_digits, train
from openppu_sim.kernels.matmul import MatmulJob, Operand, matmul_programs
from openppu_sim.kernels.vector.memory import vector_programs
from openppu_sim.program.command import Command
from openppu_verif.chip.demo import run
from openppu_verif.vector.job_cases import CODE, SMALL, Memory

TINY, DEMO = load("tiny"), load("demo")
BACKENDS = ("rtl", "model")
IMAGES = 12
WITHIN = 0.001
"""From memory to memory, on one chip."""

COPIES = {
    ("STORE", 16, 24): 2_134,
    ("STORE", 16, 120): 4_456,
    ("STORE", 16, 360): 9_677,
    ("STORE", 32, 360): 1_884,
    ("STORE", 40, 360): 8_548,
    ("LOAD", 16, 360): 2_263,
    ("LOAD", 32, 360): 2_233,
    ("LOAD", 40, 360): 2_497,
}
"""Command, bytes of a row, rows that lie behind each other: its clocks, from the reset, on the RTL of `DEMO`.

A port of its memory holds few parts of words, which have to be merged, and those for the other port wait behind them;
the answers of both ports have one way to the engine.
"""

LINKED_WITHIN = 0.03
"""Of two linked chips: the link is not clock for clock, and some refreshes more or fewer count."""


@pytest.fixture
def devices(build_root):
    """A chip of each kind, from the reset on: refreshes of memory come at the same times."""
    with Device(TINY, "rtl", build_root=build_root) as rtl, Device(TINY, "model") as model:
        yield rtl, model


def begun(records: Sequence[Record]) -> list[tuple[int, int]]:
    """When each command began and ended, from the first one on."""
    return [(record.begun - records[0].begun, record.ended - records[0].begun) for record in records]


def clocks(records: Sequence[Record]) -> int:
    """From the first beginning to the last end."""
    return max(record.ended for record in records) - min(record.begun for record in records)


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
    """Its own commands do; the whole, from memory to memory, is near."""
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
    vector = [[each.ended - each.begun for each in records if each.queue == "vector"] for records in found]
    assert vector[0] == vector[1]
    assert clocks(found[1]) == pytest.approx(clocks(found[0]), rel=WITHIN)


@pytest.mark.parametrize(
    ("m", "k", "n"), [(16, 16, 16), (21, 37, 11), (200, 16, 10), pytest.param(64, 64, 64, marks=pytest.mark.slow)]
)
def test_products_from_memory_to_memory_are_near(devices, m, k, n):
    rng = np.random.default_rng(m + k + n)
    a, b = (rng.integers(-128, 128, shape).astype(np.int8) for shape in ((m, k), (k, n)))
    job = MatmulJob(
        m=m,
        n=n,
        k=k,
        format="int8",
        a=Operand(address=0x20_0000, stride=k),
        b=Operand(address=0x30_0000, stride=n),
        d=Operand(address=0x40_0000, stride=4 * n),
    )
    found = []
    for device in devices:
        device.write(0x20_0000, a)
        device.write(0x30_0000, b)
        set_records(device)
        for queue, program in matmul_programs(TINY, job, record=True).items():
            device.submit(queue, program)
        device.wait(1_000_000)
        assert (device.read(0x40_0000, (m, n), np.int32) == a.astype(np.int32) @ b.astype(np.int32)).all()
        found.append(clocks(read_records(device)))
    assert found[1] == pytest.approx(found[0], rel=WITHIN)


def copy(device: Device, name: str, row: int, rows: int) -> int:
    """Clocks of a load or a store of rows that lie behind each other."""
    fields = {"memory": 0x10_0000, "row": row, "memory_stride_0": row, "scratchpad_stride_0": row}
    counts = {"count_0": rows, "count_1": 1, "count_2": 1, "count_3": 1}
    set_records(device)
    device.submit(name.lower(), [Command(name=name, fields=fields | counts, record=True)])
    device.wait(100_000)
    return clocks(read_records(device))


@pytest.mark.parametrize(("row", "rows"), [(16, 24), (16, 96), (40, 48)])
def test_stores_of_parts_of_words_take_the_very_cycles(devices, row, rows):
    rtl, model = devices
    assert copy(model, "STORE", row, rows) == copy(rtl, "STORE", row, rows)


@pytest.mark.parametrize(("name", "row", "rows"), COPIES)
def test_what_goes_to_two_ports_waits_for_each_other(name, row, rows):
    with Device(DEMO, "model") as device:
        assert copy(device, name, row, rows) == pytest.approx(COPIES[name, row, rows], rel=WITHIN)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "row", "rows"), COPIES)
def test_copies_of_two_ports_take_what_the_model_is_held_to(build_root, name, row, rows):
    with Device(DEMO, "rtl", build_root=build_root) as device:
        assert copy(device, name, row, rows) == COPIES[name, row, rows]


@pytest.mark.slow
def test_two_linked_chips_are_near(build_root):
    digits = load_digits()
    network = train(digits, epochs=3)
    deployment = deploy_int8(network, digits.train_pixels, digits.test_pixels[:IMAGES])
    found = []
    for backend in BACKENDS:
        with Cluster(TINY, backend=backend, build_root=build_root) as cluster:
            outcome = run(cluster, deployment, digits.test_labels[:IMAGES])
            assert outcome.equal
            found.append(outcome.cycles)
    assert found[1] == pytest.approx(found[0], rel=LINKED_WITHIN)
