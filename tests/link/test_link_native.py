"""Two ports at native speed: random runs that lose nothing, figures, the file of `make sim`."""

import hashlib
import json
import random
from pathlib import Path

import pytest
from openppu.config import load
from openppu.link.config import CHANNELS, HEADER_BYTES
from openppu.link.layouts import Operation
from openppu.link.physical import physical_control_layout
from openppu.link.port import port_status_layout
from openppu.link.settings import TrainingSettings
from openppu.link.training import State
from openppu_sim.cycles.link.calibration import load_calibration
from openppu_sim.cycles.link.ports import reach
from openppu_sim.errors import SimulationError, UserError
from openppu_verif.link import demo, figures, soak
from openppu_verif.link.coverage import missing
from openppu_verif.link.native import (
    ALIVE,
    DARK,
    NO_TRAFFIC,
    NOISE,
    STUCK,
    Faults,
    Lane,
    Traffic,
    build_port,
    run,
    straight,
)

NARROW = load("tiny").link
COVERED = 0.95
MUST = ("FAILED", "gone", "tunnel", "in use")
LAST_RESORTS = ("tunnel.active", "gone")
WRITES = Traffic(sizes=(200, 200), operations=(Operation.WRITE,))
STREAM = [[WRITES] + [NO_TRAFFIC] * (CHANNELS - 1)] * 2


@pytest.fixture(scope="module")
def executable(build_root: Path) -> Path:
    return build_port(NARROW, build_root)


def test_random_runs_deliver_each_packet_once_in_order_whole_and_cover_what_there_is(build_root: Path) -> None:
    runs = [soak.play("narrow", seed, build_root, clocks=20_000) for seed in range(100, 160)]
    share, left = missing(runs, NARROW)
    assert share >= COVERED, f"{share:.1%} of the bins; not: {', '.join(left)}"
    assert not [name for name in left if name.endswith(MUST)], "ways that few runs take"
    # Those that neither fail over nor give up are too little.
    quiet = [run for run in runs if not any(value for _, name, value in run.notes if name.endswith(LAST_RESORTS))]
    assert 0 < len(quiet) < len(runs)
    assert missing(quiet, NARROW)[0] < COVERED


@pytest.mark.slow
@pytest.mark.parametrize("name", soak.CONFIGS)
def test_long_random_runs(name: str, build_root: Path) -> None:
    for seed in range(1, 41):
        soak.play(name, seed, build_root)


def test_wrong_bits_are_counted_by_the_port_as_by_the_channel(executable: Path) -> None:
    """Few enough that each is in a flit of its own: as many wrong flits as wrong bits, and each costs one flit."""
    rate = 1e-6
    done = run(
        executable,
        NARROW,
        traffic=STREAM,
        faults=(Faults(bit_errors=rate), Faults()),
        warmup=0,
        clocks=400_000,
        watch=["status"],
    )
    done.check()
    a, b = (port_status_layout(NARROW).from_bits(int.from_bytes(done.pins[f"{s}.status"], "little")) for s in "ab")
    sent = done.simulated * NARROW.lanes * NARROW.lane_bits
    assert 0.3 * rate * sent < done.wrong_bits < 3 * rate * sent
    assert b.link.counts.bad == done.wrong_bits
    assert a.link.counts.bad == 0
    assert 0 < a.link.counts.replayed <= b.link.counts.bad
    assert done.share("a") > 0.93


def test_a_stream_fills_its_flits(executable: Path) -> None:
    done = run(executable, NARROW, traffic=STREAM, clocks=100_000)
    done.check()
    assert done.share("a") == pytest.approx(240 / 256, rel=5e-4)
    assert done.share("b", data=True) == pytest.approx(240 / 256 * 200 / 210, rel=2e-3)


def _in_training(chance: random.Random) -> tuple[list[tuple[int, str, list[object]]], bool]:
    """What happens to two ports within the clocks that a training takes, and whether packets may be lost in that."""
    clock, side, lane = chance.randrange(2, 330), chance.choice("ab"), chance.randrange(NARROW.lanes)
    hot = 1 << physical_control_layout(NARROW)["hot_reset"].offset
    match chance.randrange(4):
        case 0:
            return [(clock, "reset", [side, chance.randrange(1, 100)])], True
        case 1:
            return [(clock + chance.randrange(100), "reset", [each, chance.randrange(1, 9)]) for each in "ab"], True
        case 2:
            asked = ((clock + wait, "pin", [each, "control", hot * (1 - wait)]) for wait in (0, 1) for each in "ab")
            return list(asked), True
    dead = [(clock, "life", [side, lane, chance.choice((DARK, STUCK, NOISE))])]
    return [*dead, (clock + chance.randrange(10, 900), "life", [side, lane, ALIVE])], False


def test_resets_and_dying_lanes_while_ports_train_lose_nothing_but_by_a_reset(executable: Path) -> None:
    chance = random.Random(1)
    layout = port_status_layout(NARROW)
    for number in range(30):
        events, may_lose = _in_training(chance)
        done = run(
            executable,
            NARROW,
            traffic=[[Traffic(sizes=(1, 300))] * CHANNELS] * 2,
            settings=TrainingSettings(revive_after=300),
            events=events,
            warmup=0,
            clocks=4_000,
            seed=number,
            watch=["status"],
        )
        done.check()
        assert may_lose or not any(flow.lost for flow in done.flows), events
        for side in "ab":
            physical = layout.from_bits(int.from_bytes(done.pins[f"{side}.status"], "little")).physical
            assert (physical.state, physical.missing) == (State.ACTIVE, 0), events


@pytest.mark.parametrize("alone", [False, True])
def test_the_way_over_which_a_port_never_pauses_is_as_long_as_is_said(alone: bool, executable: Path) -> None:
    writes = Traffic(sizes=(4096, 4096), operations=(Operation.WRITE,))
    way = int(reach(NARROW, load_calibration())[alone])
    shares = []
    for words in (way - 6, way + 12):
        lanes = straight(NARROW, words=words)
        traffic = [[writes] + [NO_TRAFFIC if alone else writes] * (CHANNELS - 1)] * 2
        done = run(executable, NARROW, traffic=traffic, lanes=(lanes, lanes), warmup=12_000, clocks=20_000)
        done.check()
        shares.append(min(done.share(side) for side in "ab"))
    assert shares[0] > 0.935
    assert shares[1] < 0.92


def test_latency_is_twelve_clocks_and_a_flit_once_the_header_is_there(build_root: Path) -> None:
    least, mean = figures.latency(NARROW, build_root)
    beats_of_a_header = -(-HEADER_BYTES // NARROW.beat_bytes)
    assert least["value"] <= 12 + NARROW.beats + beats_of_a_header - 1
    assert least["value"] < mean["value"] < least["value"] + NARROW.beats


def test_a_lane_that_dies_under_load_costs_no_packet_and_few_clocks(build_root: Path) -> None:
    assert figures.recovery(NARROW, build_root)["value"] <= 2000


def test_packets_that_cannot_arrive_are_missed(executable: Path) -> None:
    dead = [(3_000, "life", ["a", lane, DARK]) for lane in range(NARROW.lanes)]
    done = run(executable, NARROW, traffic=STREAM, events=dead, warmup=0, clocks=5_000, drain=2_000)
    with pytest.raises(SimulationError, match="packets did not arrive in time"):
        done.check()


def test_a_packet_that_nobody_sent_is_seen(executable: Path) -> None:
    """Each port hears itself: what it sent to the other one comes back."""
    near = physical_control_layout(NARROW)["near_loopback"].offset
    pins = [(side, "control", 1 << near) for side in "ab"]
    done = run(executable, NARROW, traffic=STREAM, pins=pins, warmup=0, clocks=5_000)
    with pytest.raises(SimulationError, match="wrong words"):
        done.check()


def test_with_skew_beyond_what_the_buffer_holds_nothing_wrong_arrives(executable: Path) -> None:
    lanes = straight(NARROW)
    late = [lanes[0], Lane(delay=40 * NARROW.lane_bits, arrives_as=1)]
    done = run(executable, NARROW, traffic=STREAM, lanes=(late, lanes), warmup=0, clocks=30_000, watch=["status"])
    b = port_status_layout(NARROW).from_bits(int.from_bytes(done.pins["b.status"], "little"))
    assert not any(flow.wrong for flow in done.flows)
    assert b.physical.retrains > 1
    assert done.left


def test_the_file_of_make_sim_arrives_whole_over_a_noisy_channel(build_root: Path, tmp_path: Path, capsys) -> None:
    file = tmp_path / "file"
    file.write_bytes(hashlib.sha256(b"x").digest() * 500 + b"end")
    assert demo.main(["--file", str(file), "--build-dir", str(build_root), "--output", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert out.count("  yes  ") == 2
    assert hashlib.sha256(file.read_bytes()).hexdigest()[:16] in out
    ways = json.loads((tmp_path / "report.json").read_text())["link"]["ways"]
    assert [way["equal"] for way in ways] == [True, True]
    assert min(way["bytes"] for way in ways) == file.stat().st_size
    assert sum(way["bad"] for way in ways) > 0


@pytest.mark.parametrize("given", ["missing", "."])
def test_a_file_that_cannot_be_sent_gives_one_line(given: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert demo.main(["--file", str(tmp_path / given), "--output", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_something_else_than_a_file_gives_one_line(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert demo.main(["--file", "/dev/zero", "--output", str(tmp_path)]) == 2
    assert "/dev/zero: cannot be read: not a regular file" in capsys.readouterr().err


def test_figures_of_no_clocks_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(UserError, match="--clocks 0: give 1,000 to 1,000,000,000"):
        figures.main(["--clocks", "0", "--build-dir", str(tmp_path)])
