"""What goes wrong in a chip that runs is put right and counted, or told by the command that met it; never silent."""

import numpy as np
import pytest
from openppu.command.error import Error
from openppu.config import load
from openppu_sim.device.backend import CommandError
from openppu_sim.device.device import Device
from openppu_sim.device.records import read_records, set_records
from openppu_sim.lowering.matmul import Result
from openppu_sim.program.command import Command
from openppu_verif.chip.native import device_place
from openppu_verif.chip.random_programs import Session, Stress, check
from openppu_verif.dma.commands import copy

TINY = load("tiny")
ONE, TWO = 1, 0b101
"""Wrong bits of eight bytes."""

SOURCE, TARGET, PLACE, SIZE = 0x4000, 0x8000, 0x600, 512


@pytest.fixture(scope="module")
def device(build_root):
    """A chip that all tests here use, one after the other."""
    with Device(TINY, "rtl", build_root=build_root) as made:
        yield made


@pytest.fixture
def data(device):
    """Bytes in memory and in the scratchpad; the counts of errors are 0."""
    found = np.random.default_rng(11).integers(0, 256, SIZE, dtype=np.uint8)
    device.write(SOURCE, found)
    device.write(TARGET, np.zeros(SIZE, np.uint8))
    device.write(device.scratchpad(PLACE), found)
    registers = device.backend.registers[0]
    registers["scratchpad.clear"] = 1
    set_records(device)
    return found


def memory_errors(device, what):
    return sum(device.backend.registers[0][f"hbm0.errors{pc}.{what}"] for pc in (0, 1))


def load_from(address, *, to=PLACE, size=SIZE, **marks):
    return Command(name="LOAD", fields=copy(memory=address, scratchpad=to, row=size), **marks)


def store_from(place, *, to=TARGET, size=SIZE, **marks):
    return Command(name="STORE", fields=copy(memory=to, scratchpad=place, row=size), **marks)


def flip_memory(device, address, bits):
    device.backend.hardware.run(1000)  # until what was written has left the controller
    for bit in bits:
        device.backend.hardware.inject(0, 0, f"flip_bit {device_place(TINY, address)} {bit}")


def failed(device, queue, error):
    """The queue's program ends with the error, all others' well, and the queue goes on after a restart."""
    with pytest.raises(CommandError, match=f"queue {queue}, .*: {error.name}, "):
        device.wait(50_000)
    while any(device.backend.registers[0][f"command.{name}.busy"] for name in ("load", "store") if name != queue):
        device.backend.hardware.run(500)
    device.backend.restart(0, queue)


def test_a_wrong_bit_of_memory_is_put_right_and_counted(device, data):
    before = memory_errors(device, "corrected")
    for word in range(0, SIZE, 32):
        flip_memory(device, SOURCE + word, [word % 256])
    device.submit("load", [load_from(SOURCE, to=0x2000, signal=(0, 1))])
    device.submit("store", [store_from(0x2000, wait=(0, 1))])
    device.wait(50_000)
    assert (device.read(TARGET, SIZE, np.uint8) == data).all()
    assert memory_errors(device, "corrected") - before == SIZE // 32


def test_two_wrong_bits_of_memory_end_the_command_and_no_wrong_byte_is_written(device, data):
    before = memory_errors(device, "uncorrectable")
    flip_memory(device, SOURCE + 128, [3, 40])
    old = device.read(device.scratchpad(0x2000), SIZE, np.uint8)
    device.submit("load", [load_from(SOURCE, to=0x2000, signal=(1, 1)), load_from(SOURCE, to=0x2000, fence=True)])
    device.submit("store", [store_from(PLACE, record=True)])
    failed(device, "load", Error.MEMORY)
    found = device.read(device.scratchpad(0x2000), SIZE, np.uint8)
    assert ((found == data) | (found == old)).all()
    assert (found[:128] == data[:128]).all()
    assert (device.read(TARGET, SIZE, np.uint8) == data).all(), "the other queue did its work"
    assert {(each.queue, each.error) for each in read_records(device)} == {("load", "MEMORY"), ("store", "OKAY")}
    assert memory_errors(device, "uncorrectable") > before
    registers = device.backend.registers[0]
    registers["command.semaphore"] = 1
    assert registers["command.value"] == 0, "nothing is signalled"
    # What is written anew is right.
    device.write(SOURCE, data)
    device.submit("load", [load_from(SOURCE, to=0x2000)])
    device.wait(50_000)
    assert (device.read(device.scratchpad(0x2000), SIZE, np.uint8) == data).all()


def test_a_ring_with_two_wrong_bits_stops_its_queue_alone(device, data):
    backend = device.backend
    place = backend._tails[0]["load"] % 256
    good = load_from(SOURCE, to=0x2000)
    address = backend._ring("load") + 64 * place
    # The bell is rung when the bits are wrong already.
    backend.registers[0]["command.load.enable"] = 0
    device.submit("load", [good])
    flip_memory(device, address, [70, 75])
    backend.registers[0]["command.load.enable"] = 1
    device.submit("store", [store_from(PLACE)])
    failed(device, "load", Error.MEMORY)
    assert (device.read(TARGET, SIZE, np.uint8) == data).all()
    assert (device.read(device.scratchpad(0x2000), SIZE, np.uint8) == device.read(SOURCE, SIZE, np.uint8)).all()


PRODUCT = {
    **{"m": 4, "n": 4, "k": 4, "a_address": PLACE, "a_stride": 8, "b_address": PLACE + 64, "b_stride": 8},
    **{"d_address": 0x7000, "d_stride": 16, "result": Result.SUMS},
}
READERS = {
    "store": store_from(PLACE),
    "load": load_from(1 << 39 | PLACE, to=0x5000),
    "matmul": Command(name="MATMUL", fields=PRODUCT),
    "vector": Command(name="VECTOR_PROGRAM", fields={"source": PLACE, "count": 4}),
}


@pytest.mark.parametrize("queue", READERS)
def test_a_wrong_bit_of_the_scratchpad_is_put_right_and_counted(device, data, queue):
    registers, hardware = device.backend.registers[0], device.backend.hardware
    hardware.flip(0, PLACE + 8, ONE << 72)
    assert registers["scratchpad.log_corrected"] == 0
    device.submit(queue, [READERS[queue]])
    device.wait(50_000)
    assert registers["scratchpad.log_corrected"] >= 1
    assert registers["scratchpad.log_record_valid"] == 1
    assert registers["scratchpad.log_record_address"] == (PLACE + 8) // 8
    assert registers["scratchpad.log_uncorrectable"] == 0
    if queue == "store":
        assert (device.read(TARGET, SIZE, np.uint8) == data).all()
    hardware.run(500)
    assert registers["scratchpad.log_repaired"] == 1


@pytest.mark.parametrize("queue", READERS)
def test_two_wrong_bits_of_the_scratchpad_end_the_command_that_reads_them(device, data, queue):
    registers, hardware = device.backend.registers[0], device.backend.hardware
    hardware.flip(0, PLACE, TWO)
    device.submit(queue, [READERS[queue]])
    failed(device, queue, Error.MEMORY)
    assert registers["scratchpad.log_uncorrectable"] >= 1
    assert registers["scratchpad.log_record_uncorrectable"] == 1
    if queue == "store":
        found = device.read(TARGET, SIZE, np.uint8)
        assert ((found == data) | (found == 0)).all(), "what is known to be wrong is not written"
    device.write(device.scratchpad(PLACE), data)
    device.submit(queue, [READERS[queue]])
    device.wait(50_000)


@pytest.mark.parametrize("stress", [Stress.FAULTS, Stress.RESETS, Stress.STALLS])
def test_random_programs_end_right_whatever_the_chip_goes_through(build_root, stress):
    check(TINY, 3, 21, build_root, steps=5, stress=stress)


@pytest.mark.slow
@pytest.mark.parametrize("stress", [Stress.FAULTS, Stress.RESETS, Stress.STALLS, Stress.STREAMS])
def test_many_random_programs_end_right_whatever_the_chip_goes_through(build_root, stress):
    check(TINY, 300, 500, build_root, steps=8, stress=stress)


def test_faults_are_made_and_met(build_root):
    session = Session(TINY, 4, build_root, Stress.FAULTS)
    try:
        for _ in range(2):
            session.run(4, spoil=False)
        assert session.flips > 5
        assert session.registers["scratchpad.log_corrected"] > 0
    finally:
        session.close()
