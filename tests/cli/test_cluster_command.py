"""``openppu cluster``: its tables, its picture, its file, and one line for what cannot be."""

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from openppu_sim import cli


def test_the_tables_and_what_they_rest_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["cluster", "--cards", "128"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("128 cards of ppu810e, 118.8 TFLOP/s each, in nodes of 8 (mesh)")
    for title in (
        "Collectives over all of them",
        "Training steps: 70.55e9 parameters",
        "With failures",
        "what it rests on",
    ):
        assert title in shown
    lines = [line.split() for line in shown.splitlines()]
    (whole,) = (line for line in lines if line[:3] == ["128", "128", "4"])
    assert float(whole[-1]) > 95, "efficiency"
    for option, kind in (("--rail-gbs", "assumed"), ("--failure-rate", "reported"), ("payload", "derived")):
        (line,) = (line for line in lines if line and line[0] == option)
        assert kind in line


def test_what_is_given_counts_and_is_said_to_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["cluster", "--cards", "128", "--rail-gbs", "25", "--pipeline", "1"]) == 0
    slow = capsys.readouterr().out
    assert "--rail-gbs              25 GB/s                 given" in slow
    assert cli.main(["cluster", "--cards", "128", "--rail-gbs", "25", "--utilisation", "tile"]) == 0
    shown = capsys.readouterr().out
    (line,) = (line for line in shown.splitlines() if line.startswith("--utilisation"))
    assert "given" in line
    assert "Utilisation while computing: 0.99" in shown or "Utilisation while computing: 1." in shown


def test_the_file_and_the_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record_path, picture = tmp_path / "c.json", tmp_path / "c.svg"
    options = ["--model", "gpt3-175b", "--pipeline", "8", "--json", str(record_path), "--picture", str(picture)]
    assert cli.main(["cluster", "--cards", "512", *options]) == 0
    assert f"Wrote {record_path}, {picture}" in capsys.readouterr().out
    record = json.loads(record_path.read_text())
    assert record["model"]["parameters"] == pytest.approx(175.2e9, rel=1e-3)
    assert [step["cards"] for step in record["steps"]] == [64, 128, 256, 512]
    for step in record["steps"]:
        assert step["effective"] == pytest.approx(step["efficiency"] * step["link_factor"] * step["goodput"])
    assert {one["operation"] for one in record["collectives"]} == {
        "allreduce",
        "reducescatter",
        "allgather",
        "alltoall",
        "barrier",
    }
    assert {figure["kind"] for figure in record["basis"]} == {"derived", "measured", "reported", "assumed"}
    texts = "".join(ElementTree.parse(picture).getroot().itertext())
    assert "gpt3-175b" in texts
    assert cli.main(["cluster", "--cards", "64", "--picture", str(tmp_path / "c.png")]) == 0
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def test_a_model_of_one_s_own_that_does_not_fit_is_said_not_to(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--layers", "80", "--hidden", "8192", "--heads", "64", "--pipeline", "1", "--tensor", "1"]
    assert cli.main(["cluster", "--cards", "64", *options]) == 0
    shown = capsys.readouterr().out
    assert "IT DOES NOT FIT: give a larger --pipeline or --tensor, or --recompute." in shown


def test_the_largest_cluster_and_nodes_of_sixteen(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["cluster", "--cards", "65536"]) == 0
    assert "65,536 cards of ppu810e" in capsys.readouterr().out
    options = ["--node", "groups", "--node-chips", "16", "--global-batch", "4096", "--tensor", "4"]
    assert cli.main(["cluster", "--cards", "256", *options]) == 0
    assert "in nodes of 16 (groups)" in capsys.readouterr().out


def test_nothing_fails_where_nothing_is_to_fail(capsys: pytest.CaptureFixture[str]) -> None:
    rates = ["--failure-rate", "0", "--dead-link-rate", "0", "--degraded-link-rate", "0"]
    assert cli.main(["cluster", "--cards", "64", *rates]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "never" in line and line.split()[0] == "64")
    assert line.split()[1:4] == ["never", "never", "100.00"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--cards", "1"), "1 cards: give 2 to 65,536"),
        (("--cards", "70000"), "70,000 cards: give 2 to 65,536"),
        (("--cards", "100"), "100 cards in nodes of 8: give a multiple, such as 96, or nodes of another size"),
        (
            ("--cards", "16"),
            "needs --tensor x --pipeline = 32, in whole nodes 32; give more cards, or a smaller --tensor or",
        ),
        (("--cards", "x"), "argument --cards: invalid int value: 'x'"),
        (("--node", "torus"), "--node 'torus': give one of pair, ring, mesh, groups"),
        (("--node", "mesh", "--node-chips", "9"), "topology mesh of 9 chips: it has 2 to 8"),
        (("--model", "gpt5"), "--model 'gpt5': give one of llama3-8b,"),
        (("--heads", "60"), "hidden = 8192 is no multiple of heads = 60"),
        (("--tensor", "3"), "--tensor 3: give a divisor of a node's 8 cards"),
        (("--pipeline", "81"), "--pipeline 81 x --interleave 1: more than 80 layers"),
        (("--utilisation", "2"), "job: utilisation = 2: give 0.0001 to 1"),
        (("--utilisation", "most"), "--utilisation 'most': give a number, or tile"),
        (("--rail-gbs", "0"), "rail rate 0 GB/s: give 0.001 to 1,000,000"),
        (("--rail-gbs", "1e-308"), "rail rate 1e-308 GB/s: give 0.001 to 1,000,000"),
        (("--utilisation", "1e-320"), "give 0.0001 to 1"),
        (("--global-batch", "9" * 30), "give 1 to 1,000,000,000"),
        (("--global-batch", "64", "--replica-batch", "4"), "--replica-batch and --global-batch: give one of them"),
        (("--set", "link.lane_gbps=1e-300"), "link.lane_gbps = 1e-300: give a number above 0.0001, at most 128"),
        (("--rail-gbs", "nan"), "rail rate nan GB/s"),
        (("--radix", "4"), "3 tiers of switches with 4 ports reach 16"),
        (("--failure-rate", "-1"), "failure rate -1 per hour: give 0 to 1,000,000"),
        (("--dead-link-rate", "-1"), "dead links -1 per hour: give 0 to 1,000,000"),
        (("--degraded-link-rate", "1e300"), "slow links 1e+300 per hour: give 0 to 1,000,000"),
        (("--mend-hours", "1e300"), "hours to mend 1e+300: give 0 to 1,000,000"),
        (("--mend-hours", "inf"), "hours to mend inf: give 0 to 1,000,000"),
        (("--interval-s", "0"), "checkpoint interval 0 s: give 0.001 to 1,000,000,000"),
        (("--size", "1G"), "did you mean 1GiB?"),
        (("--config", "demo"), "link.ports = 1"),
        (("--config", "ecp5"), "ecp5 has no link ports"),
        (("--picture", "x.gif"), "--picture x.gif: give a name that ends in .svg or .png"),
        (("--picture", "x.svg", "--json", "x.svg"), "--json x.svg: the same file as --picture"),
        (("--json", "/proc/none/x.json"), "/proc/none"),
        (("--calibration", "none.toml"), "none.toml: cannot be read"),
    ],
)
def test_bad_input_gives_one_line(
    arguments: tuple[str, ...],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        code = cli.main(["cluster", *arguments])
    except SystemExit as leave:
        code = int(leave.code or 0)
    shown = capsys.readouterr()
    assert (code, shown.out, shown.err.count("\n")) == (2, "", 1)
    assert told in shown.err
