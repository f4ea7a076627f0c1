"""The command's help, its exit codes, and one line on standard error for everything the user can mend."""

import os
import subprocess
import sys

import pytest
from openppu.config import ConfigError
from openppu_sim import cli
from openppu_sim.errors import SimulationError, UserError

BAD_ARGUMENTS = {
    ("info", "--config", "nope"): "configuration 'nope': no such file or preset; give a TOML file or a preset: demo,",
    ("info", "--set", "tile.rows=0"): "demo.toml --set tile.rows=0: tile.rows = 0: give an integer from 1 to 256",
    ("info", "--set", "tile.row=4"): "unknown key, did you mean rows?",
    ("info", "--set", "tile.rows"): "not of the form section.key=value",
    ("info", "--set"): "argument --set: expected one argument; see openppu info --help",
    ("info", "--conf", "tiny"): "unrecognized arguments: --conf tiny; see openppu --help",
    ("inof",): "argument COMMAND: invalid choice: 'inof'",
    (): "the following arguments are required: COMMAND; see openppu --help",
}


@pytest.mark.parametrize(("arguments", "told"), BAD_ARGUMENTS.items(), ids=lambda value: " ".join(value)[:40])
def test_bad_arguments_give_one_line_and_exit_code_2(arguments, told):
    result = subprocess.run(
        [sys.executable, "-m", "openppu_sim.cli", *arguments], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("openppu")
    assert told in result.stderr


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (UserError("a file\nis missing"), 2, "openppu: error: a file is missing\n"),
        (ConfigError("tile.rows"), 2, "openppu: error: tile.rows\n"),
        (SimulationError("seed 3"), 1, "openppu: simulation failed: seed 3\n"),
        (KeyboardInterrupt(), 130, "openppu: interrupted\n"),
    ],
)
def test_what_is_raised_becomes_a_message_and_a_code(error, code, told, capsys):
    def work() -> int:
        raise error

    assert cli.guarded(work) == code
    assert capsys.readouterr() == ("", told)


def test_a_chip_that_is_refused_half_way_gives_one_line(tmp_path):
    """Amaranth has a word to say of each part that was made and never used."""
    command = [sys.executable, "-m", "openppu_sim.cli", "verilog", "--part", "chip", "--config", "tiny"]
    command += ["--set", "tile.rows=3", "--build-dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    first, failed, told = done.stderr.splitlines()
    assert (first, failed[:44]) == (
        "writing the Verilog of the chip ...",
        "writing the Verilog of the chip: failed afte",
    )
    assert told == "openppu: error: tile.rows = 3: the matmul engine needs a power of two"


def test_a_mistake_of_ours_is_not_hidden():
    def work() -> int:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        cli.guarded(work)


def test_a_closed_pipe_is_no_traceback():
    command = f"{sys.executable} -m openppu_sim.cli info | true"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert result.stderr == ""


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_outputs_are_no_error(closed: str):
    command = f"{sys.executable} -m openppu_sim.cli info {closed}"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_output_that_cannot_be_written_is_no_traceback():
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    command = f"{sys.executable} -m openppu_sim.cli info > /dev/full"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr == "openppu: error: cannot write the output: No space left on device; make room\n"


def test_what_the_terminal_cannot_show_is_shown_by_its_number():
    result = subprocess.run(
        [sys.executable, "-m", "openppu_sim.cli", "info", "--set", "chip.description=gr\u00fcn"],
        env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "gr\\xfcn" in result.stdout


def test_the_version_is_the_project_s(capsys, project_root):
    with pytest.raises(SystemExit) as leave:
        cli.main(["--version"])
    assert leave.value.code == 0
    version = capsys.readouterr().out.split()[1]
    assert f'\nversion = "{version}"\n' in (project_root / "pyproject.toml").read_text()


def commands() -> dict[str, cli.Parser]:
    """Each subcommand's own parser."""
    (subparsers,) = (action for action in cli.parser()._actions if isinstance(action.choices, dict))
    return dict(subparsers.choices)


def test_info_is_a_command():
    assert "info" in commands()


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_has_help_and_the_common_options(name, capsys):
    with pytest.raises(SystemExit) as leave:
        cli.main([name, "--help"])
    assert leave.value.code == 0
    text = capsys.readouterr().out
    for option in ("--config NAME|FILE", "--set KEY=VALUE", "--build-dir DIR"):
        assert option in text
    assert commands()[name].description, "say in a sentence what the command does"
    assert commands()[name].get_default("run") is not None
