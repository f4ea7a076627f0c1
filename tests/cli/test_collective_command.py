"""``openppu collective``: its table, its file, and one line for what cannot be."""

import json
from pathlib import Path

import pytest
from openppu_sim import cli


def test_the_table_names_the_fastest_its_formula_and_what_it_rests_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["collective", "--chips", "8", "--topology", "mesh", "--op", "allreduce", "--size", "64MiB"]) == 0
    shown = capsys.readouterr().out
    assert "7 of 7 ports a chip, each of 51.61 GB/s of flit payload one way" in shown
    lines = [line.split() for line in shown.splitlines()]
    assert ["64", "MiB", "direct", "2", "326.71", "205.41", "359.46", "99.49", "formula", "yes"] in lines
    assert "Fastest for 64 MiB: direct: s + T(2, S/n)" in shown
    kinds = {"port_clocks": "measured", "channel_ns": "assumed", "payload rate of a port": "derived"}
    for figure, kind in kinds.items():
        (line,) = (line for line in shown.splitlines() if line.startswith(figure))
        assert f"  {kind}  " in line


@pytest.mark.parametrize("operation", ["reducescatter", "allgather", "broadcast", "alltoall", "barrier"])
@pytest.mark.parametrize("place", [("pair", "2"), ("ring", "6"), ("groups", "8"), ("groups", "16")])
def test_every_operation_on_every_topology(
    operation: str, place: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    name, chips = place
    assert cli.main(["collective", "--chips", chips, "--topology", name, "--op", operation]) == 0
    assert "Fastest" in capsys.readouterr().out


def test_the_file_has_the_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.json"
    arguments = ["--size", "1MiB,64MiB,1MiB", "--algorithm", "ring", "--dead", "0-1", "--json", str(path)]
    assert cli.main(["collective", *arguments]) == 0
    record = json.loads(path.read_text())
    assert [row["bytes"] for row in record["rows"]] == [1 << 20, 64 << 20]
    assert {row["algorithm"] for row in record["rows"]} == {"ring"}
    assert record["dead"] == "0-1"
    assert {figure["kind"] for figure in record["basis"]} == {"derived", "measured", "assumed"}
    assert "link 0-1 is dead" in capsys.readouterr().out


def test_what_only_the_model_does_is_marked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.json"
    for arguments, able in (
        (["--chips", "7", "--algorithm", "halving-doubling", "--set", "link.ports=6"], False),
        (["--chips", "8", "--algorithm", "direct"], True),
    ):
        assert cli.main(["collective", *arguments, "--size", "1MiB", "--json", str(path)]) == 0
        assert [row["engine"] for row in json.loads(path.read_text())["rows"]] == [able], arguments
        assert ("  yes\n" if able else "  no\n") in capsys.readouterr().out


def test_on_the_rtl_the_bits_are_compared_and_the_clocks_stand_beside_the_model_s(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "c.json"
    arguments = ["--config", "tiny", "--chips", "2", "--topology", "pair", "--size", "32B,4KiB", "--json", str(path)]
    assert cli.main(["collective", "--rtl", *arguments, "--errors", "1e-5"]) == 0
    assert "every chip's memory is the reference's, bit for bit" in capsys.readouterr().out
    record = json.loads(path.read_text())
    assert record["rtl"] is True
    assert [(row["size"], row["algorithm"]) for row in record["rows"]] == [(32, "one_shot"), (4096, "direct")]
    for row in record["rows"]:
        assert row["clocks"] > row["size"] / 4
        assert row["microseconds"] == pytest.approx(row["clocks"] / 500)
        assert abs(row["difference_percent"]) < 25, "a lane of 32 bits: its flits, of 64 clocks, make short ones uneven"


def test_a_small_chip_s_pair(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["collective", "--config", "demo", "--chips", "2", "--topology", "pair", "--size", "1KiB"]) == 0
    assert "1 of 1 ports" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--topology", "torus"), "--topology 'torus': give one of pair, ring, mesh, groups"),
        (("--op", "reduce"), "--op 'reduce': give one of allreduce,"),
        (("--algorithm", "star"), "--algorithm 'star': give one of direct,"),
        (("--algorithm", "ring", "--op", "alltoall"), "--algorithm ring: does no alltoall on mesh; give one of direct"),
        (("--algorithm", "two-level"), "--algorithm two-level: does no allreduce on mesh"),
        (("--chips", "9"), "topology mesh of 9 chips: it has 2 to 8"),
        (("--chips", "1"), "--chips 1: a collective needs at least 2"),
        (("--chips", "-3"), "--chips -3: a collective needs at least 2"),
        (("--chips", "65", "--topology", "ring"), "topology ring of 65 chips: it has 3 to 64"),
        (("--chips", "7", "--topology", "groups"), "topology groups of 7 chips: it has 8 or 16"),
        (("--config", "demo"), "takes 7 ports a chip, but link.ports = 1"),
        (("--config", "ecp5"), "ecp5 has no link ports (link.ports = 0): give another --config"),
        (("--errors", "1e-6"), "--errors 1e-06: only with --rtl"),
        (("--format", "bf16"), "--format bf16: only with --rtl"),
        (("--hops", "bf16"), "--hops bf16: only with --rtl"),
        (("--op", "barrier", "--size", "much"), "--size much: a barrier has no data; leave it out"),
        (("--size", "0"), "--size '0': give 1 B to"),
        (("--size", "64M"), "did you mean 64MiB?"),
        (("--size", "1KiB,"), "--size '': give bytes"),
        (("--dead", "0"), "--dead '0': give two chips, such as 0-1"),
        (("--dead", "0-8"), "link 0-8: not a link of mesh of 8 chips"),
        (("--degraded", "x-y"), "--degraded 'x-y': give two chips"),
        (("--dead", "0-1", "--degraded", "0-1"), "--dead and --degraded: give one of them"),
        (("--calibration", "/nonexistent.toml"), "/nonexistent.toml: cannot be read"),
        (("--json", "/proc/none/x.json"), "/proc/none"),
        (("--rtl", "--size", "2MiB"), "--rtl --size 2,097,152 B: the RTL runs up to 1 MiB; leave out --rtl"),
        (("--rtl", "--size", "30B"), "--rtl --size 30 B: give a multiple of 4 B, elements of binary32"),
        (
            ("--rtl", "--op", "alltoall", "--size", "72B", "--format", "bf16"),
            "give a multiple of 16 B, elements of bf16",
        ),
        (("--rtl", "--format", "fp16"), "--format 'fp16': give one of binary32, bf16, int32"),
        (("--rtl", "--hops", "int32"), "--hops 'int32': give one of binary32, bf16"),
        (("--rtl", "--errors", "0.1"), "--errors 0.1: give 0 to 0.0001"),
        (("--rtl", "--dead", "0-1"), "--rtl: all links work; leave out --dead and --degraded"),
        (("--rtl", "--chips", "1"), "--chips 1: a collective needs at least 2"),
        (("--rtl", "--chips", "17", "--topology", "ring"), "--rtl --chips 17: the engines do up to 16"),
        (("--rtl", "--config", "demo"), "link.ports = 1: topology mesh of 8 needs 7"),
        (("--rtl", "--config", "ecp5"), "ecp5 has no link ports (link.ports = 0): give another --config"),
        (("--rtl", "--topology", "groups", "--chips", "12"), "topology groups: chips = 12: give 8 or 16"),
        (
            ("--rtl", "--algorithm", "double-tree"),
            "--algorithm double-tree: the engines cannot do it on mesh of 8; give",
        ),
        (("--chips", "x"), "argument --chips: invalid int value: 'x'"),
    ],
)
def test_bad_input_gives_one_line(arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = cli.main(["collective", *arguments])
    except SystemExit as leave:
        code = int(leave.code or 0)
    shown = capsys.readouterr()
    assert (code, shown.out, shown.err.count("\n")) == (2, "", 1)
    assert told in shown.err
