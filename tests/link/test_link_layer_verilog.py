"""The link layer is emitted as Verilog without warnings."""

from pathlib import Path
from typing import Any

import pytest
from openppu.config import load
from openppu.link.config import LinkConfig
from openppu.link.link_layer import LinkLayer
from openppu.verilog import emit
from openppu_sim.simulator.lint import lint


@pytest.mark.parametrize(
    "options",
    [
        {"lanes": 2, "window": 8, "credits": 2},
        {"lanes": 4, "lane_bits": 32, "fec": True, "crc_bits": 64},
        {"lanes": 1, "retry": "go_back_n", "crc_bits": 16},
    ],
)
def test_the_link_layer_lints(options: Any, tmp_path: Path) -> None:
    path = tmp_path / "link_layer.v"
    emit(LinkLayer(LinkConfig(ports=1, **options)), top="link_layer", config=load("tiny")).write(path)
    assert lint(path, "link_layer") == []
