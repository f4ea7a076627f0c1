"""`openppu link bench`, `ber` and `train-trace`: two ports of the RTL, and one line for what cannot be."""

import pytest
from openppu_sim import cli


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """The lines of `openppu link` on the small chip."""
    assert cli.main(["link", *arguments, "--config", "tiny"]) == 0
    return capsys.readouterr().out.splitlines()


def test_bench_prints_rates_by_size_latency_and_recovery(capsys):
    lines = printed(capsys, "bench", "--clocks", "20000")
    rows = {line.split()[0]: [float(cell) for cell in line.split()[1:]] for line in lines if line.startswith("  ")}
    assert list(rows) == ["4,096", "1,024", "256", "64", "32"]
    for payload, _, data, _ in rows.values():
        assert 93 < payload <= 93.8
        assert data < payload
    (latency,) = (line for line in lines if line.startswith("latency"))
    assert latency.split(": ")[1].startswith(f"{12 + 64 + 2} link clocks at least"), "2: a header is three beats"
    assert latency.endswith("a flit is 64")
    assert any(line.startswith("a lane dies under load") for line in lines)


def test_goodput_falls_with_the_error_rate(capsys):
    lines = printed(capsys, "ber", "--clocks", "30000", "--rates", "0,1e-5,1e-4", "--round-trip", "4")
    rows = [line.split() for line in lines if line.startswith("selective")]
    assert [row[1] for row in rows] == ["0", "1e-05", "0.0001"]
    goodput = [float(row[3]) for row in rows]
    assert goodput[0] > 0.93 > goodput[1] > goodput[2] > 0.5


def test_a_rate_at_which_nothing_gets_on_is_said_to_be_stuck(capsys):
    lines = printed(capsys, "ber", "--clocks", "5000", "--rates", "1e-320,0.01", "--round-trip", "8")
    first, last = (line.split() for line in lines if line.startswith("selective"))
    assert first[1:3] == ["9.99989e-321", "0"]
    assert last[1:3] == ["0.01,", "stuck"]
    assert float(first[-2]) > 0.8 > 0.1 > float(last[-2])
    assert "link.window = 32, link.credits = 8: a channel alone has 8 flits on their way, of the 8" in lines[-1]


def test_a_training_is_traced_until_the_port_is_degraded(capsys):
    lines = printed(capsys, "train-trace", "--dies", "3000", "--clocks", "8000")
    states = [line.split()[2:] for line in lines if line.split()[1:2] == ["a"]]
    assert [state for state, _ in states][:5] == ["disabled", "detect", "align", "width", "start"]
    assert [state for state, _ in states][-5:] == ["retrain", "align", "width", "start", "degraded"]
    assert states[-1] == ["degraded", "1"]


def test_a_trace_that_is_cut_off_says_so(capsys, monkeypatch):
    monkeypatch.setattr("openppu_verif.link.commands.train_trace.MOST_NOTES", 8)
    assert printed(capsys, "train-trace", "--clocks", "400")[-1].startswith(
        "The rest is left out: there were more than 8"
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["ber", "--rates", "0,x"], "--rates x: give numbers from 0 to 0.01"),
        (["ber", "--rates", "1"], "--rates 1: give numbers from 0 to 0.01"),
        (["ber", "--round-trip", "0"], "--round-trip 0: give 1 to 100"),
        (["ber", "--round-trip", "100"], "--round-trip 100: 3,124 words a way with 64 clocks a flit; give one of at"),
        (["bench", "--clocks", "1"], "--clocks 1: give 1,000 to 1,000,000,000"),
        (["train-trace", "--skew", "65"], "--skew 65: give 0 to 64"),
        (["train-trace", "--dies", "-1"], "--dies -1: give 0 to 20,000"),
        (["bench", "--set", "link.ports=0"], "tiny has no link ports (link.ports = 0): give another --config"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(arguments, told, capsys):
    assert cli.main(["link", *arguments, "--config", "tiny"]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
