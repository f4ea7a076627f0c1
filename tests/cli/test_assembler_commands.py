"""Programs from text to bytes and back, by the command line."""

from pathlib import Path

import openppu
import pytest
from openppu.command.instructions import instructions
from openppu_sim.cli import main
from openppu_sim.program.text import parse_program

PRESET = Path(openppu.__file__).parent / "configs" / "tiny.toml"
PROGRAM = """\
7: LOAD memory=0x10000 scratchpad=0x100 row=64 record
LOOP count=3
    NOTHING signal 3 1
END
NOTHING wait 3 2 interrupt fence
"""


def assemble(text: str, folder: Path) -> Path:
    (folder / "program.txt").write_text(text)
    assert main(["assemble", str(folder / "program.txt"), "-o", str(folder / "new" / "ring.bin")]) == 0
    return folder / "new" / "ring.bin"


def test_disassembled_is_the_text_that_was_assembled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ring = assemble(PROGRAM, tmp_path)
    assert ring.read_bytes() == b"".join(c.encode(instructions()) for c in parse_program(PROGRAM, instructions()))
    assert "5 commands" in capsys.readouterr().out
    assert main(["disassemble", str(ring)]) == 0
    assert capsys.readouterr().out == PROGRAM


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("LOAD nothing=1\n", "program.txt, line 1: LOAD"),
        ("END\nPAUSE\n", "program.txt, line 2: PAUSE: no such command"),
        ("[load]\nEND\n", "program.txt, line 1: [load]: no such command"),
    ],
)
def test_a_wrong_line_is_told_and_nothing_written(
    text: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "program.txt").write_text(text)
    assert main(["assemble", str(tmp_path / "program.txt"), "-o", str(tmp_path / "ring.bin")]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not (tmp_path / "ring.bin").exists()


@pytest.mark.parametrize("command", ["assemble", "trace"])
def test_what_is_read_is_not_written_over(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    program, chip = tmp_path / "program.txt", tmp_path / "my.toml"
    program.write_text("[load]\nEND\n" if command == "trace" else "END\n")
    chip.write_text(PRESET.read_text())
    before = program.read_text(), chip.read_text()
    for output, read in (("program.txt", "PROGRAM"), ("my.toml", "--config")):
        assert main([command, str(program), "--config", str(chip), "-o", output]) == 2
        told = f"openppu: error: --output {output}: the same file as {read}; choose another\n"
        assert capsys.readouterr().err == told
    assert (program.read_text(), chip.read_text()) == before


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"x" * 65, "65 bytes; give a multiple of 64"),
        (b"\xff" * 64, "command 0: opcode 255: no such command"),
        (None, "cannot be read"),
    ],
)
def test_bytes_that_are_no_program_are_told(
    raw: bytes | None, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "ring.bin"
    if raw is not None:
        path.write_bytes(raw)
    assert main(["disassemble", str(path)]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
