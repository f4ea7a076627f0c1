"""The latency of reads under rising load: measured on a small channel, and drawn."""

import re
from pathlib import Path

from openppu.hbm.config import ChannelConfig
from openppu_sim.report.hbm_load import picture
from openppu_sim.report.json_report import benchmark_json
from openppu_verif.hbm.load_curve import run


def test_latency_and_bandwidth_rise_with_the_load(build_root: Path, tmp_path: Path) -> None:
    config = ChannelConfig(height=4, reads=8, writes=8, slots=8)
    rows = run(build_root, config=config, reads=(1.0, 0.5), pauses=(200, 20, 0), clocks=5000)
    assert [(row["reads"], row["pause"]) for row in rows] == [(r, p) for r in (1.0, 0.5) for p in (200, 20, 0)]
    for lowest, middle, highest in (rows[:3], rows[3:]):
        assert lowest["reached"] < 5 < 25 < middle["reached"] < 45 < 60 < highest["reached"]
        assert 31 + 14 < lowest["value"] < 75, "an unloaded word takes 31 clocks, the eighth 14 more"
        assert highest["value"] > 1.2 * max(lowest["value"], middle["value"])
        assert highest["latency_p50"] <= highest["latency_p99"]
    benchmark_json("hbm_load", rows, folder=tmp_path)


def test_the_picture_has_a_line_for_each_share_of_reads() -> None:
    rows = [
        {"reads": share, "reached": reached, "value": 50 + reached, "latency_p99": 90 + reached}
        for share in (1.0, 0.67, 0.5)
        for reached in (5, 50, 95)
    ]
    drawn = picture(rows)
    assert drawn == picture(rows), "the same figures give the same file"
    for text in ("100 %", "67 %", "50 %", "tRCD + RL + 7 tCCDL + burst", "share of the data bus, %"):
        assert f">{text}</text>" in drawn
    assert "<dc:date>" not in drawn
    lines = re.findall(r'<g id="line2d_\d+">\n    <path d="(M [^"]+)" clip-path', drawn)
    assert len([path for path in lines if path.count("L") == 2]) == 2 * 3
