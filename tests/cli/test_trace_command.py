"""``openppu trace``: the file is one that viewers of the trace-event format take, and says what happened."""

import json

import pytest
from openppu_sim.cli import main

COPY = """\
[load]
LOAD memory=0x1000 scratchpad=0 row=64 count_0=4 count_1=1 count_2=1 count_3=1 memory_stride_0=64 signal 1 1
LOAD memory=0x4000 scratchpad=512 row=32 count_0=2 count_1=1 count_2=1 count_3=1 signal 1 1
[store]
3: STORE memory=0x2000 scratchpad=0 row=256 count_0=1 count_1=1 count_2=1 count_3=1 wait 1 2 signal 2 1
"""
LINKED = """\
[link]
SEND source=0x2000 target=0x3000 bytes=256 chip=1 wait 2 1 signal chip1.5 1
[chip1.load]
LOAD memory=0x3000 scratchpad=0 row=256 count_0=1 count_1=1 count_2=1 count_3=1 wait 5 1
"""


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    """Of two chips, one of which copies and sends."""
    folder = tmp_path_factory.mktemp("trace")
    (folder / "program.txt").write_text(COPY + LINKED)
    assert main(["trace", str(folder / "program.txt"), "-o", str(folder / "trace.json")]) == 0
    return json.loads((folder / "trace.json").read_text())


def test_every_event_is_one_of_the_format(trace):
    assert trace["displayTimeUnit"] == "ns"
    for event in trace["traceEvents"]:
        assert isinstance(event["name"], str)
        assert event["ph"] in ("X", "C", "M")
        assert isinstance(event["pid"], int)
        assert isinstance(event["tid"], int)
        assert event["ts"] >= 0
        if event["ph"] == "X":
            assert event["dur"] >= 0
        if event["ph"] == "C":
            assert all(isinstance(value, int | float) for value in event["args"].values())
    times = [event["ts"] for event in trace["traceEvents"] if event["ph"] != "M"]
    assert times == sorted(times)


def test_slices_of_a_track_do_not_overlap(trace):
    ends = {}
    for event in trace["traceEvents"]:
        if event["ph"] == "X":
            track = event["pid"], event["tid"]
            assert event["ts"] >= ends.get(track, 0) - 1e-9
            ends[track] = event["ts"] + event["dur"]
    named = {(event["pid"], event["tid"]) for event in trace["traceEvents"] if event["name"] == "thread_name"}
    assert set(ends) <= named


def test_it_says_what_ran_and_what_was_waited_for(trace):
    slices = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    commands = [(event["pid"], event["name"]) for event in slices if event["cat"] == "command"]
    assert sorted(commands) == [(0, "LOAD"), (0, "LOAD"), (0, "SEND"), (0, "STORE"), (1, "LOAD")]
    store = next(event for event in slices if event["name"] == "STORE")
    assert store["args"]["tag"] == 3
    assert store["args"]["command"].startswith("3: STORE memory=0x2000")
    waits = {(event["pid"], event["name"]): event for event in slices if event["cat"] == "wait"}
    assert set(waits) == {(0, "semaphore 1"), (0, "semaphore 2"), (1, "semaphore 5")}
    loads = [event for event in slices if event["name"] == "LOAD" and event["pid"] == 0]
    until = waits[0, "semaphore 1"]["args"]["ended"]
    assert max(event["args"]["ended"] for event in loads) <= until <= store["args"]["begun"]
    assert [event["args"]["bytes"] for event in slices if event["cat"] == "link"] == [256]
    counters = {event["name"] for event in trace["traceEvents"] if event["ph"] == "C"}
    for event in trace["traceEvents"]:
        if event["name"] == "HBM channel 0: idle, by cause":
            assert 0.5 < sum(event["args"].values()) <= 1
            assert min(event["args"].values()) >= 0
    assert {"semaphore 1", "HBM channel 0: words a clock", "HBM channel 0: idle, by cause"} <= counters


def test_it_says_what_the_cycles_of_engines_went_to(trace):
    slices = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    names = {(each["pid"], each["tid"]): each["args"]["name"] for each in trace["traceEvents"] if each["ph"] == "M"}
    causes = [each for each in slices if each["cat"] == "cause"]
    assert {names[each["pid"], each["tid"]] for each in causes} == {"load: cycles", "store: cycles"}
    for queue in ("load", "store"):
        mine = [each for each in causes if names[each["pid"], each["tid"]].startswith(queue) and each["pid"] == 0]
        commands = [each for each in slices if each["cat"] == "command" and each["name"] == queue.upper()]
        begun = min(each["args"]["begun"] for each in commands if each["pid"] == 0)
        ended = max(each["args"]["ended"] for each in commands if each["pid"] == 0)
        # A queue says that a command begins when the engine has checked it.
        assert begun - 8 <= min(each["args"]["begun"] for each in mine) <= begun
        assert max(each["args"]["ended"] for each in mine) == ended + 1
        moved = sum(each["args"]["ended"] - each["args"]["begun"] for each in mine if each["name"] == "move")
        assert moved == (4 * 2 + 2 if queue == "load" else 8)


def test_a_product_without_a_program(tmp_path, capsys):
    assert main(["trace", "--matmul", "8x8x8", "-o", str(tmp_path / "trace.json")]) == 0
    said, progress = capsys.readouterr()
    assert "running 8x8x8 on the model, 10,000,000 cycles at most" in progress
    assert "commands in" in said
    (matmul,) = [line.split() for line in said.splitlines() if " matmul " in line]
    assert "compute" in matmul
    shares = [float(word.strip(",")) for word in matmul[2:] if word[0].isdigit()]
    assert 99.5 < sum(shares) < 100.5
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert {"LOAD", "MATMUL", "STORE"} <= {event["name"] for event in events}


def test_a_failed_command_is_told_behind_its_trace(tmp_path, capsys):
    (tmp_path / "program.txt").write_text("[load]\nLOAD row=0\n")
    assert main(["trace", str(tmp_path / "program.txt"), "-o", str(tmp_path / "trace.json")]) == 1
    assert "queue load, command 0 (LOAD record): FIELD" in capsys.readouterr().err
    assert (tmp_path / "trace.json").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("LOAD row=4\n", "line 1: LOAD row=4: say first, in a line [QUEUE], which queue's command it is"),
        ("[sing]\n", "line 1: [sing]: give [QUEUE] or [chipN.QUEUE], of load, store, matmul, vector, link"),
        ("[load]\n\nFLY\n", "line 3: FLY: no such command; give one of NOTHING"),
        ("[chip7.load]\nLOAD row=4\n", "chip 7: give chip 0 or 1"),
        ("[load]\nNOTHING signal chip1.3 1\n", "command 0: NOTHING chip = 1: there is chip 0 alone"),
        ("[link]\nSEND bytes=64 chip=5\n[chip1.load]\nNOTHING\n", "SEND chip = 5: there are chips 0 to 1"),
        ("[load]\nNOTHING signal chip1.99 1\n[chip1.load]\nNOTHING\n", "signal semaphore = 99: a chip has 0 to 15"),
        ("[load]\nLOOP count=3\nNOTHING\n", "[chip0.load]: 1 LOOP without END"),
        ("# nothing\n[load]\n", "there is no command: give [QUEUE]"),
    ],
)
def test_a_wrong_program_gives_one_line(tmp_path, capsys, text, message):
    (tmp_path / "program.txt").write_text(text)
    assert main(["trace", str(tmp_path / "program.txt"), "-o", str(tmp_path / "trace.json")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "trace.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give a program or --matmul"),
        (["program.txt", "--matmul", "8x8x8"], "give a program or --matmul, one of them"),
        (["--matmul", "0x8x8"], "matmul m = 0: give at least 1"),
        (["--matmul", "4x200000x4"], "matmul k = 200000: sums of int8 may wrap beyond 131071"),
        (["--matmul", "40000x4x40000"], "matmul d: bytes 0x2fb000000 to 0x478783fff: memory has 0x0 to 0x3fffffff"),
        (["--matmul", "8x8x8", "--set", "command.semaphores=2"], "command.semaphores = 2: this kernel needs 4"),
        (["--matmul", "8x8"], "--matmul 8x8: give three sizes"),
        (["nowhere.txt"], "nowhere.txt: cannot be read"),
        (["--matmul", "8x8x8", "--limit", "0"], "--limit 0: give at least 1"),
    ],
)
def test_wrong_arguments_give_one_line(arguments, message, capsys):
    assert main(["trace", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_product_on_a_chip_of_several_units_is_done_by_all(tmp_path, capsys):
    path = tmp_path / "trace.json"
    assert main(["trace", "--matmul", "8x8x8", "--set", "chip.compute_units=2", "-o", str(path)]) == 0
    names = {each["args"]["name"] for each in json.loads(path.read_text())["traceEvents"] if each["ph"] == "M"}
    assert {name.split()[0] for name in names} >= {"matmul0", "matmul1"}
