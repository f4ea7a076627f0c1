"""``openppu matmul``: right accumulators and figures from the RTL, and one line for whatever is wrong in the input."""

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from openppu.config import load
from openppu_sim import cli
from openppu_sim.commands import matmul

M, K, N = 5, 7, 9


def run(*arguments: str | Path) -> int:
    """The exit code of ``openppu matmul``."""
    try:
        return cli.main(["matmul", *map(str, arguments)])
    except SystemExit as leave:
        return int(leave.code or 0)


def operands(dtype: type[np.generic], seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Small integers, so that every format and every order of additions is exact."""
    rng = np.random.default_rng(seed)
    a, b, c = (rng.integers(-8, 8, shape) for shape in ((M, K), (K, N), (M, N)))
    return a.astype(dtype), b.astype(dtype), c.astype(np.int32 if dtype is np.int8 else np.float32)


BAD_HEADERS = {
    "open_bracket": "{'descr': '<f4', 'fortran_order': False, 'shape': (5, 7",
    "deep": "(" * 5000,
    "dedent": "  1\n 2\n",
    "negative": "{'descr': '<f4', 'fortran_order': False, 'shape': (-5, -7)}",
    "huge": "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 7)}",
    "keys": "{'descr': '<f4', 1: 2}",
    "dtype": "{'descr': [('a', 3)], 'fortran_order': False, 'shape': (5, 7)}",
}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a good product of floats (a, b, c) and what is wrong in many ways."""
    monkeypatch.chdir(tmp_path)
    for name, array in zip("abc", operands(np.float32), strict=True):
        np.save(f"{name}.npy", array)
    np.save("float64.npy", np.ones((M, K)))
    np.save("int8.npy", np.ones((M, K), np.int8))
    np.save("cube.npy", np.ones((M, K, 1), np.float32))
    np.save("scalar.npy", np.float32(1))
    np.save("empty.npy", np.ones((0, K), np.float32))
    np.save("long_a.npy", np.ones((1, matmul.WRAPS_FROM), np.int8))
    np.save("long_b.npy", np.ones((matmul.WRAPS_FROM, 1), np.int8))
    np.save("objects.npy", np.array([[{}]], object), allow_pickle=True)
    np.savez("archive.npz", a=np.ones(1))
    whole = Path("a.npy").read_bytes()
    Path("cut.npy").write_bytes(whole[:-1])
    Path("garbled.npy").write_bytes(whole[:12] + b"garbage" + whole[19:])
    for name, header in BAD_HEADERS.items():
        Path(f"{name}.npy").write_bytes(whole[:8] + len(header).to_bytes(2, "little") + header.encode() + whole[128:])
    Path("text.npy").write_text("1 2 3")
    Path("none.npy").write_bytes(b"")
    Path("folder").mkdir()
    os.mkfifo("pipe")
    Path("link_to_pipe").symlink_to("pipe")
    Path("round").symlink_to("round")
    Path("kept.npy").write_text("kept")
    Path("kept.npy").chmod(0o444)
    Path("broken.toml").write_text("[tile\n")
    return tmp_path


@pytest.fixture
def tiny(build_root: Path) -> list[str]:
    """Options for the tiny tile, with models in the folder that all tests share."""
    return ["--config", "tiny", "--build-dir", str(build_root)]


@pytest.mark.parametrize("fmt", ["int8", "fp8_e4m3", "fp8_e5m2", "fp16", "bf16"])
def test_the_accumulators_are_the_product_and_the_figures_are_written(
    files: Path, tiny: list[str], fmt: str, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b, c = operands(np.int8 if fmt == "int8" else np.float32)
    for name, array in zip("abc", (a, b, c), strict=True):
        np.save(f"{name}.npy", array)
    outputs = ["-o", "d.npy", "--json", "d.json", "--timeline", "d.png"]
    assert run("a.npy", "b.npy", "--addend", "c.npy", "--format", fmt, *outputs, *tiny) == 0

    d = np.load("d.npy")
    assert d.dtype == c.dtype
    np.testing.assert_array_equal(d, a.astype(np.int64) @ b.astype(np.int64) + c.astype(np.int64))

    figures = json.loads(Path("d.json").read_text())
    assert (figures["m"], figures["k"], figures["n"], figures["format"]) == (M, K, N, fmt)
    assert figures["mismatches"] == 0
    assert figures["cycles"] == figures["predicted_cycles"] == sum(figures["causes"].values())
    assert figures["bound_cycles"] == 2 * 3 * M  # two K blocks, three N blocks of the 4 x 4 tile
    assert figures["config"]["fingerprint"] == load("tiny").fingerprint()
    assert Path("d.png").read_bytes().startswith(b"\x89PNG")

    shown = capsys.readouterr().out
    (line,) = (line.split() for line in shown.splitlines() if f"{M}x{K}x{N}" in line)
    cycles = f"{figures['cycles']:,}"
    assert line[:6] == ["a", "x", "b", f"{M}x{K}x{N}", fmt, cycles]
    assert (line[6], line[-1]) == (cycles, "0")
    assert "compute" in shown
    assert not list(files.glob(".*"))


@pytest.mark.parametrize(
    ("fmt", "value", "expected"),
    [
        ("fp8_e4m3", 1000, 448),
        ("fp8_e4m3", -np.inf, -448),
        ("fp8_e5m2", 1e9, 57344),
        ("fp16", 1e5, np.inf),
        ("bf16", 1 + 2**-8, 1),
        ("bf16", 1 + 3 * 2**-8, 1 + 2**-6),
        ("bf16", np.nan, np.nan),
    ],
)
def test_float32_rounds_to_nearest_even_and_fp8_saturates(
    files: Path, tiny: list[str], fmt: str, value: float, expected: float
) -> None:
    np.save("a.npy", np.array([[value]], np.float32))
    np.save("b.npy", np.ones((1, 1), np.float32))
    assert run("a.npy", "b.npy", "--format", fmt, "-o", "d.npy", *tiny) == 0
    np.testing.assert_array_equal(np.load("d.npy"), np.array([[expected]], np.float32))


def test_the_order_of_elements_and_bytes_in_a_file_does_not_matter(files: Path, tiny: list[str]) -> None:
    a, b, _ = operands(np.float32)
    np.save("a.npy", np.asfortranarray(a))
    np.save("b.npy", b.astype(">f4"))
    assert run("a.npy", "b.npy", "--format", "bf16", "-o", "d.npy", *tiny) == 0
    np.testing.assert_array_equal(np.load("d.npy"), a @ b)


def test_long_int8_sums_wrap_when_allowed_and_wide_addresses_hold_them(files: Path, build_root: Path) -> None:
    np.save("long_a.npy", np.full((1, matmul.WRAPS_FROM), -128, np.int8))
    np.save("long_b.npy", np.full((matmul.WRAPS_FROM, 1), -128, np.int8))
    chip = ["tile.formats=int8", "tile.latency=1", "tile.address_bits=17"]
    options = [word for value in chip for word in ("--set", value)]
    command = ["long_a.npy", "long_b.npy", "--format", "int8", "--allow-wrap", "-o", "d.npy", "--config", "tiny"]
    assert run(*command, *options, "--build-dir", build_root) == 0
    assert np.load("d.npy").tolist() == [[-(2**31)]]


GOOD = ("a.npy", "b.npy", "--format", "bf16")
LONG = ("long_a.npy", "long_b.npy", "--format", "int8")
BAD_INPUT = {
    ("a.npy", "b.npy"): "the following arguments are required: --format",
    ("a.npy", "b.npy", "--format", "fp4"): "argument --format: invalid choice: 'fp4'",
    ("a.npy", "a.npy", "--format", "bf16"): "a.npy of shape (5, 7) and a.npy of shape (5, 7) do not multiply: give",
    ("cube.npy", "b.npy", "--format", "bf16"): "cube.npy: shape (5, 7, 1): give a matrix, of at least 1 x 1",
    ("scalar.npy", "b.npy", "--format", "bf16"): "scalar.npy: shape (): give a matrix",
    ("empty.npy", "b.npy", "--format", "bf16"): "empty.npy: shape (0, 7): give a matrix",
    ("float64.npy", "b.npy", "--format", "bf16"): "float64.npy: holds float64; operands of bf16 must be float32: ",
    ("int8.npy", "b.npy", "--format", "bf16"): "int8.npy: holds int8; operands of bf16 must be float32",
    ("a.npy", "b.npy", "--format", "int8"): "a.npy: holds float32; operands of int8 must be int8",
    ("objects.npy", "b.npy", "--format", "bf16"): "objects.npy: holds Python objects, which are refused",
    ("archive.npz", "b.npy", "--format", "bf16"): "archive.npz: not a .npy file; write one with numpy.save",
    ("text.npy", "b.npy", "--format", "bf16"): "text.npy: not a .npy file",
    ("none.npy", "b.npy", "--format", "bf16"): "none.npy: not a .npy file",
    ("cut.npy", "b.npy", "--format", "bf16"): "cut.npy: damaged; write an array of float32 with numpy.save",
    ("garbled.npy", "b.npy", "--format", "bf16"): "garbled.npy: damaged",
    **{(f"{name}.npy", "b.npy", "--format", "bf16"): f"{name}.npy: damaged" for name in BAD_HEADERS},
    ("nothing.npy", "b.npy", "--format", "bf16"): "nothing.npy: cannot be read: No such file or directory",
    ("a.npy", "folder", "--format", "bf16"): "folder: cannot be read: Is a directory",
    (*GOOD, "--addend", "a.npy"): "a.npy: shape (5, 7): to be added to A x B it must be (5, 9)",
    (*GOOD, "--addend", "int8.npy"): "int8.npy: holds int8; accumulators of bf16 must be float32",
    ("a.npy", "b.npy", "--format", "fp16"): "--format fp16: not built into demo (tile.formats = int8, bf16); use one "
    "of these, or add --set tile.formats=int8,bf16,fp16",
    LONG: "long_a.npy: k = 131072: int8 sums of 131072 products or more may not fit an int32; cut k, or say "
    "--allow-wrap",
    (*LONG, "--allow-wrap"): "takes 131,072 operand rows, but tile.address_bits = 16 addresses 65,536: add --set "
    "tile.address_bits=17",
    (*GOOD, "-o", "a.npy"): "--output a.npy: the same file as A; choose another",
    (*GOOD, "-o", "folder/../b.npy"): "--output folder/../b.npy: the same file as B",
    (*GOOD, "-o", "d", "--json", "d"): "--json d: the same file as --output",
    (*GOOD, "-o", "folder"): "cannot write folder: it is a folder; choose another place",
    (*GOOD, "-o", "missing/d.npy"): "cannot write missing/d.npy: there is no folder missing; make it",
    (*GOOD, "-o", "pipe"): "cannot write pipe: it is not a regular file; choose another place",
    (*GOOD, "--json", "link_to_pipe"): "cannot write link_to_pipe: it is not a regular file",
    (*GOOD, "--timeline", "pipe"): "cannot write pipe: it is not a regular file",
    (*GOOD, "-o", "kept.npy"): "cannot write kept.npy: it is read-only",
    (*GOOD, "-o", "round"): "cannot write round: Too many levels of symbolic links",
    (*GOOD, "-o", "n" * 300): "nnn: File name too long; choose another place",
    (*GOOD, "--json", "n" * 300): "nnn: File name too long; choose another place",
    (*GOOD, "--json", "/proc/d.json"): "cannot write /proc/d.json: No such file or directory",
    (*GOOD, "--timeline", "d.jpg"): "--timeline d.jpg: the picture is a PNG; give a name that ends in .png",
    (*GOOD, "--config", "broken.toml"): "broken.toml: not valid TOML: Expected ']' at the end of a table declaration",
    (
        *GOOD,
        "--build-dir",
        "my builds",
    ): "build folder 'my builds': make cannot build below a path with spaces, '#', ':'",
    (*GOOD, "--set", "tile.rows=0"): "tile.rows = 0: give an integer from 1 to 256",
}


@pytest.mark.parametrize(("arguments", "told"), BAD_INPUT.items(), ids=[" ".join(words)[:60] for words in BAD_INPUT])
def test_bad_input_gives_one_line_and_writes_nothing(
    files: Path,
    arguments: tuple[str, ...],
    told: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(matmul, "run_matmul", never)
    refused(arguments, told, files, capsys)


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("CXX", "no-such-compiler", "CXX=no-such-compiler: no such program; install one with `apt-get install g++`"),
        ("OPENPPU_VERILATOR", "no-such-verilator", "OPENPPU_VERILATOR=no-such-verilator: no such program"),
        ("PATH", "", "perl is missing; install it"),
    ],
)
def test_a_missing_tool_gives_one_line_and_writes_nothing(
    files: Path,
    variable: str,
    value: str,
    told: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(variable, value)
    refused([*GOOD, "-o", "d.npy", "--json", "d.json"], told, files, capsys)


def test_a_build_folder_that_cannot_be_written_gives_one_line(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*GOOD, "-o", "d.npy", "--build-dir", "a.npy"]
    refused(arguments, "cannot write a.npy: File exists; choose another place", files, capsys)


@pytest.mark.parametrize(
    ("change", "told", "kept"),
    [
        ({"mismatches": 3}, "FAILED: a x b (bf16, 5x7x9): 3 of 45 elements differ from the numpy reference", False),
        ({"predicted_cycles": 1}, "FAILED: a x b (bf16, 5x7x9): the RTL took", True),
    ],
)
def test_a_wrong_bit_or_cycle_fails_and_no_wrong_result_is_kept(
    files: Path,
    tiny: list[str],
    change: dict[str, int],
    told: str,
    kept: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = matmul.run_matmul
    monkeypatch.setattr(matmul, "run_matmul", lambda *args, **options: replace(right(*args, **options), **change))
    assert run(*GOOD, "-o", "d.npy", "--json", "d.json", *tiny) == 1
    assert told in capsys.readouterr().err
    assert Path("d.npy").exists() == kept
    figures = json.loads(Path("d.json").read_text())
    assert {key: figures[key] for key in change} == change


def never(*args: object, **options: object) -> None:
    raise AssertionError("bad input must be found before anything runs")


def refused(arguments: Sequence[str], told: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Check that the command ends with exit code 2 and a line on standard error, and changes no file."""
    before = contents(folder)
    assert run(*arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert told in shown.err
    assert contents(folder) == before
    assert not (folder / "my builds").exists()


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
