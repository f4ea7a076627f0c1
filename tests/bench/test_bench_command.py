"""``openppu bench``: its tables, its files, its page, and one line for bad input."""

import json
from pathlib import Path
from types import ModuleType

import pytest
from openppu_sim import cli
from openppu_sim.bench import benchmarks
from openppu_sim.commands import bench
from openppu_sim.errors import UserError
from openppu_sim.report import benchmark_table
from openppu_sim.report.json_report import benchmark_json

ROWS = [
    {"name": "fast", "value": 3, "unit": "s", "goal": 4, "better": "lower", "command": "openppu bench first"},
    {"name": "slow", "value": 5, "unit": "s", "goal": 4, "better": "lower", "command": "openppu bench first"},
]


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Path]]:
    """Two benchmarks in the place of the real ones; the build folders that each was called with."""
    calls: dict[str, list[Path]] = {"first": [], "second": []}
    modules = {}
    for name, seen in calls.items():
        modules[name] = ModuleType(name, f"What {name}\nmeasures.\n\nAnd more.")
        modules[name].run = lambda build_root, seen=seen: seen.append(build_root) or ROWS  # type: ignore[attr-defined]
    for user in (bench, benchmark_table):
        monkeypatch.setattr(user, "benchmarks", lambda: modules)
    return calls


def test_the_named_benchmark_runs_prints_its_table_and_writes_its_file(
    two: dict[str, list[Path]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["bench", "first", "--build-dir", str(tmp_path)]) == 0
    assert two == {"first": [tmp_path], "second": []}
    report = json.loads((tmp_path / "bench" / "first.json").read_text())
    assert report["rows"] == ROWS
    assert report["schema"] == 1
    assert report["commit"]
    assert report["machine"]["cores"] >= 1
    shown = capsys.readouterr().out
    assert "first: What first measures." in shown
    assert ["slow", "5", "s", "<=", "4", "NO"] in [line.split() for line in shown.splitlines()]
    assert "Goals missed: slow" in shown


@pytest.mark.parametrize("names", [[], ["all"], ["second", "all"]])
def test_all_benchmarks_run_once(two: dict[str, list[Path]], names: list[str], tmp_path: Path) -> None:
    assert cli.main(["bench", *names, "--build-dir", str(tmp_path)]) == 0
    assert two == {"first": [tmp_path], "second": [tmp_path]}


def test_an_unknown_benchmark_gives_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leave:
        cli.main(["bench", "speed"])
    assert leave.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "invalid choice: 'speed' (choose from" in error
    assert "simulation" in error


def test_a_folder_that_cannot_be_written_is_found_before_anything_runs(
    two: dict[str, list[Path]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert cli.main(["bench", "first", "--build-dir", str(tmp_path / "file")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"cannot write {tmp_path / 'file' / 'bench'}: Not a directory" in error
    assert two["first"] == []


def test_the_page_is_made_of_the_files(two: dict[str, list[Path]], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no figures in .*: run `openppu bench` first"):
        benchmark_table.page(tmp_path)
    benchmark_json("first", ROWS, folder=tmp_path)
    page = benchmark_table.page(tmp_path)
    assert page.startswith(benchmark_table.INTRODUCTION)
    assert "\n## first\n\nWhat first\nmeasures.\n\nAnd more.\n\nCommit `" in page
    assert page.endswith("\n| fast | 3 | s | <= 4 | yes |\n| slow | 5 | s | <= 4 | NO |\n")
    assert "## second" not in page
    (tmp_path / "first.json").write_text("{")
    with pytest.raises(UserError, match=r"first\.json: cannot be read .*run `openppu bench first` again"):
        benchmark_table.page(tmp_path)


def test_figures_of_a_changed_tree_are_shown_to_be() -> None:
    assert benchmark_table.short_commit("0123456789abcdef") == "0123456789ab"
    assert benchmark_table.short_commit("0123456789abcdef-dirty") == "0123456789ab-dirty"
    assert benchmark_table.short_commit("unknown") == "unknown"


def test_the_page_in_the_documents_is_what_is_generated(project_root: Path) -> None:
    """Every benchmark's section, text and table are as the generator makes them; the figures are another machine's."""
    text = (project_root / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    introduction, *sections = text.split("\n## ")
    assert introduction.strip() == benchmark_table.INTRODUCTION
    known = benchmarks()
    named = {section.split("\n")[0]: section for section in sections}
    assert list(named) == sorted({*known, "chip"})
    assert "`python -m openppu_verif.chip.figures`" in named["chip"]
    for name, module in known.items():
        section = named[name]
        prose, header, *lines = section.strip().replace("\n| name", "\x00| name").replace("\n|", "\x00|").split("\x00")
        rows = [{"name": "any", "value": 1, "unit": "s", "goal": 1, "better": "lower", "peer": "any"}]
        headers = benchmark_table.table(module, rows)[0]
        shown = [cell.strip() for cell in header.strip("|").split("|")]
        assert set(shown) <= set(headers)
        assert shown == [word for word in headers if word in shown]
        assert set(headers) - set(shown) <= {"goal", "peer", "met"}
        assert (module.__doc__ or "").strip() in prose
        assert f"`openppu bench {name}`" in prose
        assert len(lines) > 1
        assert {line.count("|") for line in lines} == {len(shown) + 1}, f"run {benchmark_table.COMMAND}"
