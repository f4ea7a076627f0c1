"""Collectives on chips' links, RTL to RTL over real ports: bits of the reference, clocks of the closed form."""

import json
from pathlib import Path

import numpy as np
import pytest
from openppu.config import load
from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.instruction import Instruction, Opcode
from openppu_sim.errors import SimulationError
from openppu_verif.link import mesh as figures
from openppu_verif.link.collective_runs import Trial, place, run_trials
from openppu_verif.link.mesh import expected
from openppu_verif.link.mesh_native import About, Work, build_node, run

NODE = CollectiveConfig(link=load("tiny").link)
"""One port of 4 bytes a clock, a flit in 64 clocks; the model that `openppu collective --rtl --config tiny` builds."""
PAIR = place("pair", 2)
SIZES = (32, 4100, 20_000)


def test_both_chips_get_the_bits_of_the_reference_in_the_clocks_of_the_closed_form(build_root: Path) -> None:
    trials = [Trial(operation="all_reduce", size=size, pause=size % 64, seed=size) for size in SIZES]
    for run_ in run_trials(NODE, PAIR, trials, About(), build_root):
        assert run_.outcome.wrong_bits == run_.outcome.counts["bad"] == 0
        least = expected(run_.algorithm, run_.trial.size, NODE, 2, About(), waits=0)
        # A flit that is being sent is sent to its end first, on each of the hops.
        assert 0.95 * least <= run_.outcome.clocks <= 1.05 * least + 2 * NODE.link.beats


def test_the_wait_for_the_end_of_a_flit_is_within_its_range(build_root: Path) -> None:
    """Begun in each eighth of a flit: from no wait to a flit's beats less one."""
    trials = [Trial(operation="all_reduce", size=32, pause=pause) for pause in range(0, 64, 8)]
    clocks = [run_.outcome.clocks for run_ in run_trials(NODE, PAIR, trials, About(), build_root)]
    least, most = (expected("one_shot", 32, NODE, 2, About(), waits=waits) for waits in (0, NODE.link.beats - 1))
    assert least - 8 <= min(clocks) <= least + 16
    assert most - 8 <= max(clocks) <= most + 8
    assert sum(clocks) / 8 == pytest.approx((least + most) / 2, rel=0.05)


def test_wrong_bits_skewed_starts_and_slow_memory_change_no_bit_of_the_sums(build_root: Path) -> None:
    """Every operation and format, each chip beginning when it likes."""
    trials = [
        Trial(operation=operation, size=6000, format=fmt, hops=hops, root=1, begins=(17 * number, 40), seed=number)
        for number, (operation, fmt, hops) in enumerate(
            [
                ("all_reduce", "binary32", "binary32"),
                ("all_reduce", "bf16", "bf16"),
                ("reduce_scatter", "bf16", "binary32"),
                ("reduce_scatter", "int32", "binary32"),
                ("all_gather", "bf16", "binary32"),
                ("broadcast", "int32", "binary32"),
                ("all_to_all", "binary32", "binary32"),
                ("barrier", "binary32", "binary32"),
            ]
        )
    ]
    about = About(bit_errors=2e-5, memory_stall=0.3, reset_skew=500, seed=3)
    runs = run_trials(NODE, PAIR, trials, about, build_root)
    assert runs[-1].outcome.wrong_bits > 0
    assert runs[-1].outcome.counts["bad"] > 0
    assert runs[-1].outcome.counts["replayed"] > 0


def test_a_chip_that_waits_in_vain_is_an_error(build_root: Path) -> None:
    end = Instruction(opcode=Opcode.END)
    programs = [[Instruction(opcode=Opcode.WAIT, ports=1), end], [end]]
    work = Work(programs=programs, memories=[np.zeros(64, np.uint8)] * 2)
    with pytest.raises(SimulationError, match=r"no end after .*chip 0: .*'stalled': 1"):
        run(build_node(NODE, build_root), NODE, PAIR.topology, PAIR.wiring, [work], About(patience=200))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "chips"), [("ring", 4), ("mesh", 8), ("groups", 8), ("groups", 16)])
def test_collectives_over_real_ports(name: str, chips: int, build_root: Path) -> None:
    """All operations and formats, with wrong bits; of sixteen chips, by routing through others."""
    operations = ("all_reduce", "reduce_scatter", "all_gather", "broadcast", "all_to_all", "barrier")
    formats = (("binary32", "binary32"), ("bf16", "bf16"), ("int32", "binary32"), ("bf16", "binary32"))
    trials = [
        Trial(operation=operation, size=size, format=fmt, hops=hops, root=number % chips, seed=number)
        for number, operation in enumerate(operations)
        for size, (fmt, hops) in ((64 * chips, formats[number % 4]), (24_000, formats[(number + 1) % 4]))
    ]
    about = About(bit_errors=1e-6, memory_stall=0.2, reset_skew=500, seed=chips)
    runs = run_trials(figures.NARROW, place(name, chips), trials, about, build_root)
    assert len(runs) == len(trials)
    assert runs[-1].outcome.wrong_bits > 0


@pytest.mark.slow
def test_the_figures_of_eight_chips(build_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert figures.main(["--build-dir", str(build_root)]) == 0
    assert "Goals missed" not in capsys.readouterr().out
    found = json.loads((build_root / "bench" / "link.json").read_text())["rows"]
    rows = [row for row in found if row["command"] == figures.COMMAND]
    assert [row["algorithm"] for row in rows if row["clocks"] is None] == ["direct"]
    assert any(row["wrong_bits"] for row in rows)
    for row in rows:
        if row["wrong_bits"] == 0:
            assert abs(row["clocks"] - row["closed_form"]) <= 0.05 * row["closed_form"], row["name"]
