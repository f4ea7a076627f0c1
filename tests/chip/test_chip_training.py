"""Two whole chips on the RTL learn: every bit of a step is the reference backend's, and they answer alike."""

from dataclasses import replace

from openppu.config import load
from openppu_sim.device.device import Cluster
from openppu_sim.digits.chip_training import Schedule
from openppu_sim.digits.network import load_digits
from openppu_verif.chip.training import report, run

TINY = load("tiny")
STEPS = 2
TEST_IMAGES = 10


def test_two_steps_equal_the_reference(build_root, tmp_path, capsys):
    digits = load_digits()
    few = replace(digits, test_pixels=digits.test_pixels[:TEST_IMAGES], test_labels=digits.test_labels[:TEST_IMAGES])
    with Cluster(TINY, build_root=build_root) as cluster:
        done = run(cluster, few, Schedule(batch=6), STEPS)
        assert cluster[0].backend.hardware.problems == 0
    assert not done.differences
    assert 1.5 < done.losses[0] < 4
    for records in done.records:
        assert {record.error for record in records} == {"OKAY"}
        assert {record.queue for record in records} == {"load", "store", "matmul", "vector", "link"}
    assert done.predicted is not None
    assert abs(done.predicted / done.first_cycles - 1) < 0.05, (done.predicted, done.first_cycles)
    report(done, TINY, tmp_path)
    told = capsys.readouterr().out
    assert "on both chips equal the numpy reference" in told
    assert f"Where the {done.elapsed:,} cycles of each engine went" in told
    assert all(sum(cycles.values()) >= done.elapsed for cycles in done.engines.values())
    assert f"The first step takes {done.first_cycles:,} clocks, of the model {done.predicted:,} (" in told
    assert (tmp_path / "training.png").stat().st_size > 5_000
