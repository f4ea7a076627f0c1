"""What users do wrong with a device: each time one line that says what was given and what to do."""

import numpy as np
import pytest
from openppu.chip.chip import queues_of
from openppu.config import ConfigError, load
from openppu.link.topology import mesh
from openppu_sim.device.backend import CommandError
from openppu_sim.device.device import Cluster, Device
from openppu_sim.device.driver import rings_base
from openppu_sim.device.records import set_records
from openppu_sim.device.watched import Watched
from openppu_sim.errors import SimulationError, UserError
from openppu_sim.kernels.matmul import MatmulJob, Operand, matmul_programs, plan_matmul
from openppu_sim.kernels.vector import jobs
from openppu_sim.kernels.vector.memory import Array, vector_programs
from openppu_sim.program.command import Command

TINY = load("tiny")
END = TINY.hbm.capacity
ROWS = {f"count_{dimension}": 1 for dimension in range(4)}
NUMBERS = np.zeros(4, np.int32)


@pytest.fixture(params=["reference", "model"])
def device(request):
    with Device(TINY, request.param) as made:
        yield made


def refused(message):
    return pytest.raises(UserError, match=f"^{message}")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Device(None, "reference"), r"config None: give a preset \(demo, ecp5, ppu810e, tiny\), a TOML file"),
        (lambda: Device(TINY, None), "backend None: give the name of one"),
        (lambda: Device(TINY, "fpga"), "backend 'fpga': give one of model, reference, rtl"),
        (lambda: Cluster([], backend="reference"), "a cluster of 0 chips: give 2 or more"),
        (lambda: Cluster(["tiny"], backend="reference"), "a cluster of 1 chips: give 2 or more"),
        (lambda: Cluster(["tiny", "demo"], backend="reference"), "the chips of a cluster are alike"),
        (
            lambda: Cluster(["tiny"] * 3, backend="reference"),
            "topology ring of 3 needs 2 ports of a chip, tiny has 1: set link.ports=2",
        ),
        (lambda: Cluster(["tiny"] * 3, mesh(4), "reference"), "3 chips: topology mesh of 4 has 4"),
        (lambda: Cluster("ecp5", backend="reference"), "topology pair needs 1 ports of a chip, ecp5 has 0"),
        (lambda: Cluster(TINY, 4, "reference"), "topology 4: give one of openppu.link.topology"),
        (lambda: Cluster(TINY, None, None), "backend None: give the name of one"),
    ],
)
def test_chips_that_cannot_be(make, message):
    with refused(message):
        make()


def test_a_list_says_how_many_chips_there_are():
    with Cluster(["tiny", TINY], backend="reference") as pair:
        assert len(pair) == 2
        with pytest.raises(IndexError, match=r"^chip 2: there are chips 0 to 1$"):
            pair[2]
    with Cluster([load("tiny", ["link.ports=2"])] * 4, backend="reference") as four:
        four[0].write(0, np.arange(16, dtype=np.int32))
        four[0].submit("link", [Command(name="SEND", fields={"target": 0x1000, "bytes": 64, "chip": 3})])
        four.wait()
        assert four[3].read(0x1000, 16, np.int32)[15] == 15


@pytest.mark.parametrize(
    ("array", "message"),
    [
        ([1, 2, 3], "list: give a numpy array"),
        (3.5, "float: give a numpy array"),
        (None, "NoneType: give a numpy array"),
        (np.array([object()]), "elements of type object: give numbers"),
        (np.array(["a"]), "elements of type <U1: give numbers"),
        (np.array(["2026-01-01"], "datetime64[D]"), r"elements of type datetime64\[D\]: give numbers"),
    ],
)
def test_what_is_no_array_of_numbers_is_not_written(device, array, message):
    for write in (device.write, device.load):
        with refused(message):
            write(0, array)


@pytest.mark.parametrize("backend", ["model", "reference", "rtl"])
def test_a_vector_unit_of_too_many_lanes_is_refused_by_every_backend(backend):
    with pytest.raises(ConfigError, match=r"^scratchpad\.word_bytes = 256: .* 32 at most; give up to 128$"):
        Device(load("tiny", ["scratchpad.word_bytes=256"]), backend)


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        (-1, np.int32, "shape = -1: give sizes of 0 or more"),
        ((2, -1), np.int32, r"shape = \(2, -1\): give sizes of 0 or more"),
        (2.5, np.int32, "shape = 2.5: give a whole number"),
        (2, "wobble", "dtype = 'wobble': data type 'wobble' not understood; give one of numpy's"),
        (2, object, "elements of type object: give numbers"),
        ((1 << 32, 1 << 32), np.int32, "73786976294838206464 bytes at 0x0: memory has 0x0 to 0x3fffffff"),
    ],
)
def test_arrays_that_cannot_be_are_not_read(device, shape, dtype, message):
    for read in (device.read, device.dump):
        with refused(message):
            read(0, shape, dtype)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (-1, "16 bytes at -0x1: memory has 0x0 to 0x3fffffff"),
        (END - 8, "16 bytes at 0x3ffffff8: memory has 0x0 to 0x3fffffff"),
        (
            1 << 39 | 0x7FF8,
            "16 bytes at 0x8000007ff8: the scratchpad of compute unit 0 has 0x8000000000 to 0x8000007fff",
        ),
        (1 << 40, "address 0x10000000000: there is no compute unit 32768: give 0 to 0"),
        (0.5, "address = 0.5: give a whole number"),
        ("0x10", "address = '0x10': give a whole number"),
    ],
)
def test_addresses_that_are_not_there(device, address, message):
    with refused(message):
        device.write(address, NUMBERS)


def test_the_drivers_rings_are_left_alone():
    with Device(TINY, "model") as device:
        first = rings_base(TINY)
        end = first + len(queues_of(TINY)) * 64 * 256
        for address in (first - 8, first, end - 8):
            for write in (device.write, device.load):
                with refused(
                    f"16 bytes at {address:#x}: the driver's rings of commands are at {first:#x} to {end - 1:#x}"
                ):
                    write(address, NUMBERS)
        for address in (first - 16, end):
            device.write(address, NUMBERS + 7)
            assert device.read(address, 4, np.int32)[3] == 7


def test_places_in_scratchpads_are_there(device):
    with refused("unit 1: give 0 to 0"):
        device.scratchpad(0, 1)
    for address in (-1, TINY.scratchpad.capacity):
        with refused(f"address {address:#x} of a scratchpad: give 0 to 0x7fff"):
            device.scratchpad(address)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (None, "a program of NoneType: give a list of Command"),
        ("NOTHING", "a program of str: give a list of Command"),
        (Command(name="NOTHING"), "a program of Command: give a list of Command"),
        (["NOTHING"], "command 0: 'NOTHING': give a Command"),
        ([Command(name="NOTHING"), Command(name="FLY")], "command 1: FLY: no such command"),
        ([Command(name="LOAD", fields={"row": 1.5})], "command 0: LOAD row = 1.5: give a whole number"),
        ([Command(name="LOAD", fields={"row": "x"})], "command 0: LOAD row = 'x': give a whole number"),
        ([Command(name="NOTHING", wait=1)], "command 0: NOTHING wait = 1: give a semaphore's number and a value"),
        ([Command(name="NOTHING", wait=(1, 2, 3))], r"command 0: NOTHING wait = \(1, 2, 3\): give a semaphore's"),
        ([Command(name="NOTHING", signal=(1, 1), chip=1)], "command 0: NOTHING chip = 1: there is chip 0 alone"),
        ([Command(name="NOTHING", record="no")], "command 0: NOTHING record = 'no': give True or False"),
        ([Command(name=["NOTHING"])], r"command 0: \['NOTHING'\]: no such command"),
        ([Command(name="SEND", fields={"bytes": 32, "chip": 9})], "command 0: SEND chip = 9: there is chip 0 alone"),
    ],
)
def test_programs_that_cannot_be_name_the_command(device, program, message):
    with refused(message):
        device.submit("load", program)
    device.wait()


def test_numbers_of_numpy_are_numbers(device):
    device.write(np.int64(0x1000), np.arange(16, dtype=np.int32))
    fields = {"memory": np.int64(0x1000), "row": np.uint16(64), **ROWS}
    device.submit("load", [Command(name="LOAD", fields=fields, signal=(np.int8(1), np.int8(1)))])
    device.wait()
    assert device.read(device.scratchpad(), 16, np.int32)[15] == 15


def test_a_command_keeps_the_fields_that_it_was_made_with(device):
    device.write(0x1000, np.arange(64, dtype=np.int32))
    fields = {"row": 64, **ROWS}
    for place in range(4):
        fields |= {"memory": 0x1000 + 64 * place, "scratchpad": 64 * place}
        device.submit("load", [Command(name="LOAD", fields=fields)])
    device.wait()
    assert (device.read(device.scratchpad(), 64, np.int32) == np.arange(64)).all()


def test_commands_that_cannot_be():
    for given in ({"fields": None}, {"fields": [1]}, {"registers": 3}):
        with refused(r"LOAD (fields|registers) = .*: give names and numbers"):
            Command(name="LOAD", **given)


def test_elements_lie_in_memory_with_the_low_byte_first(device):
    numbers = np.arange(1, 9, dtype=">i4").reshape(2, 4)[:, ::-1]
    device.write(0x1000, numbers)
    device.load(0x2000, numbers)
    for found in (device.read(0x1000, (2, 4), np.int32), device.dump(0x2000, (2, 4), ">i4")):
        assert (found == numbers).all()
    assert device.read(0x1000, 2, np.uint8).tolist() == [4, 0]


@pytest.mark.parametrize("backend", ["reference", "model"])
def test_chips_of_a_cluster_end_together(backend):
    pair = Cluster(TINY, backend=backend)
    pair[0].close()
    for use in (lambda: pair[1].write(0, NUMBERS), pair.wait):
        with refused("the device is closed: open another one"):
            use()
    pair.close()
    with refused("number 1: a backend of its own has chip 0 alone"):
        Device(TINY, backend, number=1)


@pytest.mark.parametrize("backend", ["reference", "model"])
def test_a_chip_that_cannot_be_built_runs_nowhere(backend):
    with pytest.raises(ConfigError, match=r"^tile.rows = 3: the matmul engine needs a power of two$"):
        Device(load("tiny", ["tile.rows=3"]), backend)


def test_a_limit_is_cycles(device):
    for limit, message in ((-1, "limit = -1: give at least 0"), ("x", "limit = 'x': give a whole number")):
        with refused(message):
            device.wait(limit)


def test_a_closed_device_says_so(device):
    device.close()
    device.close()
    for use in (
        lambda: device.write(0, NUMBERS),
        lambda: device.read(0, 4, np.int32),
        lambda: device.submit("load", []),
        device.wait,
        lambda: device.cycles,
    ):
        with refused("the device is closed: open another one"):
            use()


def test_a_queue_is_restarted_on_every_backend(device):
    """What it had is forgotten, the other queues' work is not, and what is submitted next is done."""
    bad = Command(name="LOAD", fields={"memory": END, "row": 64, **ROWS})
    device.submit("load", [Command(name="SET", fields={"register": 1, "value": 0x40}), bad, Command(name="NOTHING")])
    device.submit("store", [Command(name="NOTHING", wait=(2, 1), signal=(3, 1))])
    for _ in range(2):
        with pytest.raises(CommandError, match=r"^chip 0, queue load, command 1 \(LOAD .*\): BOUNDS, a range"):
            device.wait()
    with refused("queue 'sing': give one of load, store"):
        device.restart("sing")
    device.restart("load")
    device.write(0x2000, np.arange(16, dtype=np.int32))
    good = Command(name="LOAD", fields={"memory": 0x2000, "row": 64, **ROWS}, registers={"memory": 1}, signal=(2, 1))
    device.submit("load", [good, Command(name="NOTHING", wait=(3, 1))])
    device.wait()
    assert device.read(device.scratchpad(), 16, np.int32)[15] == 15


def test_registers_and_places_last_from_one_wait_to_the_next(device):
    device.write(0x2040, np.arange(16, dtype=np.int32))
    device.submit("load", [Command(name="SET", fields={"register": 1, "value": 0x40})])
    device.wait()
    device.submit("load", [Command(name="LOAD", fields={"memory": 0x2000, "row": 64, **ROWS}, registers={"memory": 1})])
    device.wait()
    assert device.read(device.scratchpad(), 16, np.int32)[15] == 15
    device.submit("load", [Command(name="END")])
    with pytest.raises(CommandError, match="queue load, command 2 "):
        device.wait()


def test_what_waits_for_ever_still_waits_the_next_time(device):
    device.submit("store", [Command(name="NOTHING", wait=(3, 1))])
    for _ in range(2):
        with pytest.raises(SimulationError, match="still work in: chip 0 store"):
            device.wait(5_000)
    device.submit("load", [Command(name="NOTHING", signal=(3, 1))])
    device.wait()


def test_a_command_of_another_queue_is_refused(device):
    device.submit("store", [Command(name="LOAD", fields={"row": 64, **ROWS})])
    with pytest.raises(CommandError, match=r"queue store, command 0 \(LOAD .*\): OPCODE, this queue has no such"):
        device.wait()


@pytest.mark.parametrize("backend", ["reference", "model"])
@pytest.mark.parametrize("target", [END - 512, 1 << 37, 1 << 39])
def test_nothing_is_sent_to_where_the_other_chip_has_no_memory(backend, target):
    with Cluster(TINY, backend=backend) as pair:
        pair[0].submit("link", [Command(name="SEND", fields={"target": target, "bytes": 1024, "chip": 1})])
        with pytest.raises(CommandError, match=r"chip 0, queue link, command 0 \(SEND .*\): LINK, another chip"):
            pair.wait(200_000)


@pytest.mark.parametrize("backend", ["reference", "model"])
def test_chips_and_their_semaphores_are_there(backend):
    with Cluster(TINY, backend=backend) as pair:
        for command, message in (
            (Command(name="SEND", fields={"bytes": 64, "chip": 5}), "command 0: SEND chip = 5: there are chips 0 to 1"),
            (Command(name="NOTHING", signal=(1, 1), chip=9), "command 0: NOTHING chip = 9: there are chips 0 to 1"),
            (
                Command(name="NOTHING", signal=(99, 1), chip=1),
                "command 0: NOTHING signal semaphore = 99: a chip has 0 to",
            ),
        ):
            with refused(message):
                pair[0].submit("link", [command])


def test_records_and_traces_need_time():
    with Device(TINY, "reference") as device:
        with refused("registers and records need a backend in which time passes: rtl or model"):
            set_records(device)
        with refused("a trace needs a backend in which time passes: rtl or model"):
            Watched([device])
    with refused("no devices to be watched"):
        Watched([])


def product(**changes):
    given = {
        **{"m": 8, "n": 8, "k": 8, "format": "int8"},
        **{name: Operand(address=0x1000 * place, stride=8) for place, name in enumerate("ab")},
        "d": Operand(address=0x2000, stride=32),
    }
    return MatmulJob(**given | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"m": 1.5}, "matmul m = 1.5: give a whole number"),
        ({"n": -1}, "matmul n = -1: give at least 1"),
        ({"format": "int4"}, "matmul format = 'int4': give one of int8"),
        ({"result_format": "bf17"}, "matmul result_format = 'bf17': give one of int8"),
        ({"result_format": "bf16"}, "matmul result_format = 'bf16': sums of int8 become int8, or stay as they are"),
        ({"k": 1 << 17}, "matmul k = 131072: sums of int8 may wrap beyond 131071"),
        (
            {"a": Operand(address=END, stride=8)},
            "matmul a: bytes 0x40000000 to 0x4000003f: memory has 0x0 to 0x3fffffff",
        ),
        ({"b": Operand(address=0x1000, stride=-0x1000)}, "matmul b: bytes -0x6000 to 0x1007: memory has"),
        ({"c": END}, "matmul c: bytes 0x40000000 to 0x4000001f: memory has"),
        ({"d": Operand(address=0x2000, stride=24)}, "matmul d: rows of 32 bytes, 24 apart, lie on each other"),
        ({"d": Operand(address=0, stride=32)}, "matmul d lies on matmul a, from byte 0x0 on; move one"),
        ({"d": Operand(address=0x1020, stride=32)}, "matmul d lies on matmul b, from byte 0x1020 on; move one"),
    ],
)
def test_products_that_cannot_be(changes, message):
    with refused(message):
        plan_matmul(TINY, product(**changes))


def test_products_side_by_side_in_the_same_rows_may_be():
    wide = {"a": Operand(address=0, stride=64), "b": Operand(address=0x1000, stride=8)}
    plan_matmul(TINY, product(**wide, d=Operand(address=8, stride=64)))
    with refused("matmul d lies on matmul a"):
        plan_matmul(TINY, product(**wide, d=Operand(address=4, stride=64)))
    with refused("matmul d lies on matmul a"):
        plan_matmul(TINY, product(**wide, d=Operand(address=40, stride=64)))
    plan_matmul(
        TINY,
        product(
            k=1 << 17,
            m=1,
            a=Operand(address=0, stride=8),
            b=Operand(address=0x100000, stride=8),
            d=Operand(address=0x300000, stride=32),
            allow_wrap=True,
        ),
    )


def test_addresses_of_operands_are_numbers():
    with refused("matmul address = -8: give at least 0"):
        Operand(address=-8, stride=8)
    with refused("matmul stride = 0.5: give a whole number"):
        Operand(address=0, stride=0.5)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint64])
def test_sizes_of_numpy_are_computed_with_as_others(kind):
    sizes = {"m": kind(100), "k": kind(120), "n": kind(90)}
    strides = {"a": kind(120), "b": kind(90), "d": 360}
    places = {name: Operand(address=0x10_0000 * n, stride=stride) for n, (name, stride) in enumerate(strides.items())}
    plain = {
        "m": 100,
        "k": 120,
        "n": 90,
        **{name: Operand(address=each.address, stride=int(each.stride)) for name, each in places.items()},
    }
    given, expected = (MatmulJob(format="int8", **each) for each in (sizes | places, plain))
    assert matmul_programs(TINY, given) == matmul_programs(TINY, expected)
    x, y = (Array(address=address, rows=kind(100), columns=kind(75)) for address in (0x10_0000, 0x20_0000))
    a, b = (Array(address=address, rows=100, columns=75) for address in (0x10_0000, 0x20_0000))
    assert (
        vector_programs(TINY, jobs.softmax(x, y), code_at=kind(0)).queues
        == vector_programs(TINY, jobs.softmax(a, b), code_at=0).queues
    )


def test_numbers_of_the_vector_units_jobs_that_cannot_be():
    x, y, z, u = (Array(address=0x1_0000 * n, rows=4, columns=16) for n in range(4))
    small = Array(address=0x4_0000, rows=4, columns=16, format="int8")
    for make, message in (
        (lambda: jobs.binary("ADD", x, y, z), "binary 'ADD': give one of openppu.vector.operation.Operation"),
        (lambda: jobs.requantise(x, y, scale=1.0), "requantise: a result of binary32: give one of int8"),
        (lambda: jobs.requantise(x, small, scale=1.0, zero_point=128), "requantise zero_point = 128: give -128 to 127"),
        (lambda: jobs.requantise(x, small, scale=1e300), r"1e\+300: give a number that binary32 can hold"),
        (lambda: jobs.requantise(x, small, scale=None), "None: give a number that binary32 can hold"),
        (lambda: jobs.scaled_function("step", x, y), "function 'step': give one of identity, relu"),
        (lambda: jobs.scaled_function("exp", x, y, scale="1"), "exp scale = '1': give a number"),
        (lambda: jobs.scaled_function("exp", x, small, zero_point=-129), "exp zero_point = -129: give -128 to 127"),
        (lambda: jobs.scaled_function("exp", x, y, zero_point=1), "exp: result_scale and zero_point are of int8"),
        (lambda: jobs.adamw(x, y, z, u, step=0, rate=0.1), "adamw step = 0: give at least 1"),
        (lambda: jobs.adamw(x, y, z, u, step=1, rate="1"), "adamw rate = '1': give a number"),
        (lambda: jobs.adamw(x, y, z, u, step=1, rate=1, betas=(0.9, 1)), r"adamw betas = \(0.9, 1\): give two"),
    ):
        with refused(message):
            vector_programs(TINY, make(), code_at=0x8_0000)


def test_matrices_of_the_vector_unit_that_cannot_be():
    for given, message in (
        ({"address": -1}, "array address = -1: give at least 0"),
        ({"rows": 0}, "array rows = 0: give at least 1"),
        ({"columns": 2.5}, "array columns = 2.5: give a whole number"),
        ({"format": "bf17"}, "format 'bf17': give one of binary32, int8"),
    ):
        with refused(message):
            Array(**{"address": 0, "rows": 4, "columns": 4} | given)
    x = Array(address=0, rows=4, columns=16)
    for result, message in (
        (Array(address=END - 8, rows=4, columns=16), "softmax: a result: bytes 0x3ffffff8 to"),
        (Array(address=0x1000, rows=4, columns=16, stride=32), "softmax: a result: rows of 64 bytes, 32 apart, lie on"),
    ):
        with refused(message):
            vector_programs(TINY, jobs.softmax(x, result), code_at=0x8000)
