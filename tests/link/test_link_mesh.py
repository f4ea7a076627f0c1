"""All-reduce on chips' links, RTL to RTL over real ports: bits of the reference, clocks of the closed form."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from openppu.link.collective.instruction import Instruction, Opcode
from openppu.link.collective.wiring import pair
from openppu_sim.errors import SimulationError
from openppu_verif.link import mesh as figures
from openppu_verif.link.mesh import all_reduce_run, expected
from openppu_verif.link.mesh_native import About, build_node, run

NODE = replace(figures.CONFIG, link=replace(figures.CONFIG.link, ports=1))


@pytest.mark.parametrize("size", [32, 4100, 20_000])
def test_both_chips_get_the_bits_of_the_reference(size: int, build_root: Path) -> None:
    outcome, made = all_reduce_run(size, NODE, pair(), About(seed=size), build_root)
    assert outcome.wrong_bits == outcome.counts["bad"] == 0
    least = expected(made.algorithm, size, NODE, 2, About())
    # A flit that is being sent is sent to its end first, on each of the hops.
    assert 0.95 * least <= outcome.clocks <= 1.05 * least + 2 * NODE.link.beats


def test_wrong_bits_on_the_lanes_change_no_bit_of_the_sums(build_root: Path) -> None:
    outcome, _ = all_reduce_run(20_000, NODE, pair(), About(bit_errors=2e-5, seed=3), build_root)
    assert outcome.wrong_bits > 0
    assert outcome.counts["bad"] > 0
    assert outcome.counts["replayed"] > 0


def test_a_chip_that_waits_in_vain_is_an_error(build_root: Path) -> None:
    end = Instruction(opcode=Opcode.END)
    programs = [[Instruction(opcode=Opcode.WAIT, ports=1), end], [end]]
    memories = [np.zeros(64, np.uint8)] * 2
    with pytest.raises(SimulationError, match=r"no end after .*chip 0: .*'stalled': 1"):
        run(build_node(NODE, build_root), NODE, pair(), programs, memories, About(patience=200))


@pytest.mark.slow
def test_the_figures_of_eight_chips(build_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert figures.main(["--build-dir", str(build_root)]) == 0
    assert "Goals missed" not in capsys.readouterr().out
    rows = json.loads((build_root / "bench" / "link_mesh.json").read_text())["rows"]
    assert rows[-1]["wrong_bits"] > 0
    for row in rows[1:]:
        assert abs(row["clocks"] - row["closed_form"]) <= 0.05 * row["closed_form"]
