"""A whole chip, Verilated, with its memory: what it does equals the reference, and its cycles are counted."""

import numpy as np
import pytest
from ml_dtypes import bfloat16
from openppu.command.error import Error
from openppu.config import load
from openppu.formats.spec import FORMATS
from openppu_sim.device.backend import CommandError
from openppu_sim.device.device import Device
from openppu_sim.errors import SimulationError, UserError
from openppu_sim.kernels.matmul import MatmulJob, Operand, matmul_programs
from openppu_sim.program.command import Command
from openppu_sim.reference.matmul import matmul as exact

TINY = load("tiny")
ROWS = {f"count_{dimension}": 1 for dimension in range(4)}


@pytest.fixture(scope="module")
def device(build_root):
    """A chip that all tests here use, one after the other."""
    with Device(TINY, "rtl", build_root=build_root) as made:
        yield made
        assert made.backend.hardware.problems == 0, "rules of the memory devices were broken"


def test_registers_say_what_the_chip_is(device):
    registers = device.backend.registers[0]
    assert registers["chip.identity"] == 0x50505531
    assert registers["chip.tile_rows"] == TINY.tile.rows
    assert registers["chip.hbm_bytes"] | registers["chip.hbm_bytes_high"] << 32 == TINY.hbm.capacity
    assert registers["command.queues"] == 5
    assert registers["hbm0.identity"] == 0x48424D32
    assert registers["link.identity"] == 0x4C4E4B31


@pytest.mark.parametrize("address", [0x1003, TINY.hbm.capacity - 5000, 1 << 39 | 0x7E1])
def test_the_window_reaches_memory_and_scratchpad(device, address):
    data = np.random.default_rng(address).integers(0, 256, 4500, dtype=np.uint8)
    device.write(address, data)
    assert (device.read(address, 4500, np.uint8) == data).all()


@pytest.mark.parametrize(("address", "count"), [(0x3_0003, 4500), (TINY.hbm.capacity // 2, 1 << 20), (0x7, 1)])
def test_memory_devices_are_loaded_and_dumped_without_the_chip(device, address, count):
    rng = np.random.default_rng(address)
    data, news = rng.integers(0, 256, (2, count), dtype=np.uint8)
    device.write(address - 3, np.full(count % 5000 + 6, 0x55, np.uint8))
    device.dump(0, 1, np.uint8)  # lets the write arrive
    before = device.cycles
    device.load(address, data)
    assert (device.dump(address, count, np.uint8) == data).all()
    assert device.cycles == before
    assert (device.read(address, min(count, 5000), np.uint8) == data[:5000]).all()
    assert (device.dump(address - 3, 3, np.uint8) == 0x55).all(), "what is beside it"
    device.write(address, news[:3000])
    assert (device.dump(address, min(count, 3000), np.uint8) == news[:3000]).all()
    for name in ("corrected", "uncorrectable"):
        assert not device.backend.registers[0][f"hbm0.errors0.{name}"], "check bits are the code's"


def test_memory_devices_are_left_alone_while_a_queue_works(device):
    device.submit("load", [Command(name="LOAD", fields={"memory": 0, "scratchpad": 0, "row": 4096, **ROWS})])
    with pytest.raises(UserError, match="load"):
        device.load(0, np.zeros(4, np.uint8))
    device.wait()
    with pytest.raises(UserError, match="scratchpad"):
        device.dump(device.scratchpad(), 4, np.uint8)
    with pytest.raises(UserError, match="bytes"):
        device.dump(TINY.hbm.capacity - 2, 4, np.uint8)


@pytest.mark.parametrize(("m", "k", "n", "fmt"), [(16, 16, 16, "int8"), (21, 37, 11, "int8"), (18, 40, 13, "bf16")])
def test_products_from_memory_to_memory(device, m, k, n, fmt):
    rng = np.random.default_rng(m + k + n)
    if fmt == "int8":
        a, b = (rng.integers(-128, 128, shape).astype(np.int8) for shape in ((m, k), (k, n)))
        expected = (a.astype(np.int32) @ b.astype(np.int32)).view(np.uint32)
    else:
        a, b = (rng.standard_normal(shape).astype(bfloat16) for shape in ((m, k), (k, n)))
        expected = exact(a.view(np.uint16), b.view(np.uint16), None, FORMATS["bf16"])
    size = a.dtype.itemsize
    job = MatmulJob(
        m=m,
        n=n,
        k=k,
        format=fmt,
        a=Operand(address=0x20_0000, stride=k * size),
        b=Operand(address=0x30_0000, stride=n * size),
        d=Operand(address=0x40_0000, stride=4 * n),
    )
    device.write(0x20_0000, a)
    device.write(0x30_0000, b)
    for queue, program in matmul_programs(TINY, job).items():
        device.submit(queue, program)
    device.wait(100_000)
    assert (device.read(0x40_0000, (m, n), np.uint32) == expected).all()


def test_a_loop_in_a_ring_gathers_and_counts(device):
    """Sixteen rows, one a turn, by address registers; a record tells when."""
    data = np.arange(16 * 64, dtype=np.uint16)
    device.write(0x5_0000, data)
    loop = [
        Command(name="SET", fields={"register": 1, "value": 0x5_0000}),
        Command(name="SET", fields={"register": 2, "value": 0x400}),
        Command(name="LOOP", fields={"count": 16}),
        Command(name="LOAD", fields={"row": 128, **ROWS}, registers={"memory": 1, "scratchpad": 2}),
        Command(name="ADD", fields={"register": 1, "value": 128}),
        Command(name="ADD", fields={"register": 2, "value": (1 << 40) - 64}),
        Command(name="ADD", fields={"register": 2, "value": 192}),
        Command(name="END"),
        Command(name="NOTHING", signal=(9, 4), fence=True),
    ]
    device.submit("load", loop)
    device.submit(
        "store",
        [Command(name="STORE", fields={"memory": 0x6_0000, "scratchpad": 0x400, "row": 2048, **ROWS}, wait=(9, 4))],
    )
    device.wait(50_000)
    assert (device.read(0x6_0000, data.shape, np.uint16) == data).all()


BAD = [
    ("load", {"memory": TINY.hbm.capacity - 8, "scratchpad": 0, "row": 64}, "LOAD", Error.BOUNDS),
    ("store", {"memory": 0, "scratchpad": TINY.scratchpad.capacity - 8, "row": 64}, "STORE", Error.BOUNDS),
    ("load", {"memory": 0, "scratchpad": 0, "row": 0}, "LOAD", Error.FIELD),
    ("matmul", {"m": 1, "n": 1, "k": 1, "a_address": 4, "result": 1}, "MATMUL", Error.ALIGNMENT),
    ("vector", {"source": 8, "count": 1}, "VECTOR_PROGRAM", Error.ALIGNMENT),
    ("link", {"source": 0, "target": 0, "bytes": 0, "chip": 0}, "SEND", Error.FIELD),
]


@pytest.mark.parametrize(("queue", "fields", "name", "error"), BAD, ids=[f"{b[2]}-{b[3].name}" for b in BAD])
def test_a_bad_command_stops_its_queue_and_changes_nothing(device, queue, fields, name, error):
    image = np.random.default_rng(7).integers(0, 256, 2048, dtype=np.uint8)
    device.write(0, image)
    device.write(device.scratchpad(), image)
    counts = ROWS if name in ("LOAD", "STORE") else {}
    device.submit(queue, [Command(name=name, fields={**counts, **fields}, tag=77)])
    with pytest.raises(CommandError, match=f"queue {queue}, command .* {name}.*: {error.name}, ") as told:
        device.wait(20_000)
    assert told.value.command.startswith("77: ")
    device.restart(queue)
    assert (device.read(0, 2048, np.uint8) == image).all()
    assert (device.read(device.scratchpad(), 2048, np.uint8) == image).all()
    # The queue goes on.
    device.submit(queue, [Command(name="NOTHING")])
    device.wait(10_000)


PICTURE = {
    **{"memory": 0, "scratchpad": 4096, "row": 8, "images": 1, "height": 6, "width": 6, "out_height": 6},
    **{"out_width": 6, "kernel_height": 3, "kernel_width": 3, "pad_top": 1, "pad_left": 1, "stride_height": 1},
    **{"stride_width": 1, "dilation_height": 1, "dilation_width": 1, "image_stride": 288, "row_stride": 48},
    **{"pixel_stride": 8, "scratchpad_stride": 72, "value": 0},
}
GATHERED = {"memory": 0, "scratchpad": 3072, "indices": 1024, "row": 32, "count": 8, "rows": 16}
STEPS = {**ROWS, "memory_stride_0": 21, "scratchpad_stride_0": 17}
MATRIX = {**ROWS, "memory_stride_0": 16, "scratchpad_stride_0": 16}
FILLED = {**ROWS, "row": 2, "value": 77, "format": 4}
LOADS = {
    "rows": ("LOAD", {**STEPS, "scratchpad": 2048, "row": 13, "count_0": 9}),
    "backwards": ("FILL_SCRATCHPAD", {**FILLED, "address": 730, "count_0": 2, "stride_0": -235}),
    "gather": ("GATHER", {**GATHERED, "memory_stride": 64, "scratchpad_stride": 32}),
    "im2col": ("IM2COL", PICTURE),
    "transpose": ("LOAD", {**MATRIX, "scratchpad": 6976, "row": 16, "count_0": 8, "transpose": 1}),
}


@pytest.mark.parametrize("kind", LOADS)
def test_loads_of_every_kind_equal_the_reference(device, kind):
    rng = np.random.default_rng(len(kind))
    image = rng.integers(0, 256, 4096, dtype=np.uint8)
    pad = rng.integers(0, 256, TINY.scratchpad.capacity, dtype=np.uint8)
    pad[1024 : 1024 + 64] = rng.permutation(16).astype(np.int32).view(np.uint8)
    name, fields = LOADS[kind]
    found = []
    with Device(TINY, "reference") as reference:
        for each in (device, reference):
            each.write(0, image)
            each.write(each.scratchpad(), pad)
            each.submit("load", [Command(name=name, fields=fields)])
            each.wait(20_000)
            found.append(each.read(each.scratchpad(), len(pad), np.uint8))
    assert (found[0] == found[1]).all()
    assert (found[1] != pad).any()


def test_an_answer_that_was_interrupted_is_not_taken_for_the_next_one(build_root, monkeypatch):
    with Device(TINY, "rtl", build_root=build_root) as device:
        device.write(0x1000, np.arange(16, dtype=np.int32))
        session = device.backend.hardware

        def interrupted(count):
            monkeypatch.undo()
            raise KeyboardInterrupt

        monkeypatch.setattr(session, "_take", interrupted)
        with pytest.raises(KeyboardInterrupt):
            device.read(0x1000, 16, np.int32)
        for _ in range(2):
            with pytest.raises(SimulationError, match=r"^the simulator was interrupted in an answer"):
                device.read(0x1000, 16, np.int32)
