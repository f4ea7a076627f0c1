"""Builds and runs the native bench of a DMA engine, and compares what came of it with the reference."""

import dataclasses
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from openppu.command.error import Error
from openppu.common.memory import WORD_BYTES
from openppu.config import ChipConfig
from openppu.dma.load_engine import LoadEngine
from openppu.dma.store_engine import StoreEngine
from openppu.formats.operand import formats_named
from openppu.scratchpad.scratchpad import Scratchpad
from openppu_sim.reference import dma as reference

from openppu_verif.dma.commands import encode
from openppu_verif.native.model import build_bench, build_model

SOURCE = Path(__file__).with_name("bench.cpp")
COMMAND_BYTES = 49
ALWAYS = 1 << 16
Bytes = NDArray[np.uint8]
Command = tuple[str, Mapping[str, int]]


@dataclass
class Case:
    """Commands on fresh memories.

    Parameters
    ----------
    commands : sequence of (name, fields)
    memories : Memories
        At the beginning.
    latency, spread : int
        Cycles from a request to its first word; at most so many more, at random, and then tags in any order.
    rate, pad_rate, wrong : float
        How often a stream goes on in a cycle; the scratchpad takes an access; a word read or an acknowledge is wrong.
    noise : int
        Cycles of the same commands before, which a reset cuts off.
    most : int
        Cycles.
    """

    commands: Sequence[Command]
    memories: reference.Memories
    seed: int = 1
    latency: int = 20
    spread: int = 0
    rate: float = 1.0
    pad_rate: float = 1.0
    wrong: float = 0.0
    noise: int = 0
    most: int = 50_000

    def binary(self) -> bytes:
        """As the bench reads it."""
        hbm, pad = self.memories.hbm, self.memories.scratchpad
        chances = [round(ALWAYS * value) for value in (self.rate, self.pad_rate, self.wrong)]
        numbers = [self.seed, self.latency, self.spread, *chances, self.noise, self.most, len(self.commands)]
        header = np.array([*numbers, len(hbm), len(pad)], dtype="<u4").tobytes()
        words = b""
        for name, fields in self.commands:
            command = encode(name, fields)
            words += (command["operands"] << 8 | command["opcode"]).to_bytes(COMMAND_BYTES, "little")
        return header + hbm.tobytes() + pad.tobytes() + words


@dataclass
class Result:
    """What came of a case; bitmaps hold a byte for each word read and for each byte written."""

    cycles: int
    faults: int
    words_read: int
    words_written: int
    pad_words: int
    complaint: str
    errors: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    bytes: list[Bytes] = field(default_factory=list)


def build(config: ChipConfig, store: bool, build_root: Path) -> Path:
    """The executable for an engine, from an earlier build if there is one.

    Raises
    ------
    UserError
        If a tool is missing or rejects its input.
    """
    engine = StoreEngine if store else LoadEngine
    key = repr((config.dma, config.scratchpad, config.tile.formats, config.compute_units))
    return build_model(lambda: engine(config), "dma_store" if store else "dma_load", key, build_root)


def run(executable: Path, config: ChipConfig, cases: Sequence[Case]) -> list[Result]:
    """Run cases, one after the other, each after a reset.

    Raises
    ------
    RuntimeError
        If the bench itself fails.
    """
    library = build_bench("dma-bench", [SOURCE], [], executable.parents[2])
    parameters = {
        "channels": config.dma.channels,
        "tag_bits": (config.dma.tags - 1).bit_length(),
        "pad_word": config.scratchpad.word_bytes,
        "pad_address_bits": config.scratchpad.address_bits,
        "pad_latency": Scratchpad.LATENCY,
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "parameters").write_text("".join(f"{key} {value}\n" for key, value in parameters.items()))
        (folder / "cases").write_bytes(b"".join(case.binary() for case in cases))
        command = [executable, library, *(folder / each for each in ("parameters", "cases", "results"))]
        finished = subprocess.run(command, capture_output=True, text=True, check=False)
        if finished.returncode:
            raise RuntimeError(finished.stderr)
        content = (folder / "results").read_bytes()
    results = []
    place = 0
    for case in cases:
        cycles, faults, read, written, pad_words, ended, length = np.frombuffer(content, "<u4", 7, place).tolist()
        place += 28
        pairs = np.frombuffer(content, "<u4", 2 * ended, place).reshape(-1, 2).tolist()
        place += 8 * ended
        complaint = content[place : place + length].decode()
        place += length
        result = Result(cycles, faults, read, written, pad_words, complaint)
        result.errors, result.ends = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        hbm, pad = len(case.memories.hbm), len(case.memories.scratchpad)
        width = config.scratchpad.word_bytes
        for size in (hbm, pad, hbm // WORD_BYTES, hbm, pad // width, pad):
            result.bytes.append(np.frombuffer(content, np.uint8, size, place))
            place += size
        results.append(result)
    return results


def check(config: ChipConfig, store: bool, case: Case, result: Result) -> None:
    """Hold a case's result against the reference.

    Without faults, both must agree byte for byte, and the engine may read no word and write no byte that the reference
    does not name. With faults, each byte of a single command's memories is what it was or what it should be.

    Raises
    ------
    AssertionError
        If they differ; it says what of.
    """
    assert not result.complaint, result.complaint
    formats = tuple(fmt for fmt in formats_named(config.tile.formats) if fmt.is_float)
    wanted = reference.Memories(case.memories.hbm.copy(), case.memories.scratchpad.copy())
    outcomes = [reference.run(name, of, wanted, store=store, formats=formats) for name, of in case.commands]
    hbm, pad, hbm_read, hbm_written, pad_read, pad_written = result.bytes
    for name, touched, step in (
        ("memory_read", hbm_read, WORD_BYTES),
        ("memory_written", hbm_written, 1),
        ("scratchpad_read", pad_read, config.scratchpad.word_bytes),
        ("scratchpad_written", pad_written, 1),
    ):
        named = np.zeros(len(touched), dtype=np.uint8)
        for outcome in outcomes:
            named[[address // step for address in getattr(outcome, name)]] = 1
        beyond = np.flatnonzero(touched > named)
        assert not len(beyond), f"{name} beyond what is named: {beyond[:8] * step}"
    errors = [outcome.error for outcome in outcomes]
    if not result.faults:
        assert result.errors == errors
        for name, found, want in (("memory", hbm, wanted.hbm), ("scratchpad", pad, wanted.scratchpad)):
            differ = np.flatnonzero(found != want)
            assert not len(differ), f"{name} differs at {differ[:8]}"
        return
    for ended, expected in zip(result.errors, errors, strict=True):
        assert ended in (expected, Error.MEMORY)
    if len(errors) == 1:
        for old, new, now in (
            (case.memories.hbm, wanted.hbm, hbm),
            (case.memories.scratchpad, wanted.scratchpad, pad),
        ):
            assert ((now == old) | (now == new)).all(), "a byte is neither old nor right"
        if Error.OKAY in result.errors:
            assert (hbm == wanted.hbm).all(), "wrong data, and nothing said"
            assert (pad == wanted.scratchpad).all(), "wrong data, and nothing said"


def small(config: ChipConfig, *, channels: int = 1, word_bytes: int = 32, pad_bytes: int = 4096) -> ChipConfig:
    """A chip's DMA, with so many channels, on a scratchpad of one bank."""
    words = pad_bytes // word_bytes
    pad = dataclasses.replace(config.scratchpad, banks=1, bank_words=words, word_bytes=word_bytes, fitted=False)
    return dataclasses.replace(config, scratchpad=pad, dma=dataclasses.replace(config.dma, channels=channels))
