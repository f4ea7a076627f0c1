"""Runs Verilated chips with memory devices and lanes between them: no Python per clock.

The model is built once for each configuration; `Session` starts it as a process of its own and talks to it over a pipe,
so that a simulator that fails takes nothing with it. Requests and answers are little-endian; chip_bench.cpp reads them.
"""

import contextlib
import struct
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
from amaranth import Shape
from openppu.chip.chip import Chip
from openppu.chip.compute_unit import ENGINES
from openppu.chip.engine_registers import CAUSES
from openppu.common.memory import WORD_BYTES
from openppu.common.secded import DATA_BITS
from openppu.config import ChipConfig
from openppu.hbm.settings import first_settings
from openppu.hbm.status import PowerUp
from openppu.link.topology import Topology
from openppu.scratchpad.sram import GROUP_BITS
from openppu_sim.cycles.hbm.address import Interleave, split
from openppu_sim.device.driver import Driver
from openppu_sim.errors import SimulationError
from openppu_sim.reference.memory_code import encode

from openppu_verif.chip.limited_chip import LimitedChip
from openppu_verif.chip.stalled_chip import StalledChip
from openppu_verif.hbm.memory_file import memory_lines
from openppu_verif.native.model import Cells, Probe, build_bench, build_model

FOLDER = Path(__file__).parent
SOURCES = (
    FOLDER / "chip_bench.cpp",
    FOLDER / "host.cpp",
    FOLDER.parent / "hbm" / "device.cpp",
    FOLDER.parent / "hbm" / "checker.cpp",
    FOLDER.parent / "hbm" / "faults.cpp",
    FOLDER.parent / "link" / "channel.cpp",
)
HEADERS = tuple(
    FOLDER.parent / part / f"{name}.h"
    for part, name in (
        ("chip", "host"),
        ("chip", "causes"),
        ("hbm", "device"),
        ("hbm", "checker"),
        ("hbm", "faults"),
        ("hbm", "phy_bus"),
        ("link", "channel"),
    )
)
TOP = "chip"
RESET_CLOCKS = 32
"""Of memory, instead of its 200 us."""

GROUPS = 8
"""Files of C++: each takes the compiler some seconds."""

CLOCKS = {"hbm_clk": ("phy__", "hbm_rst"), "link_clk": ("serdes__", "link_rst")}
"""Of the inputs of a chip with separate clocks."""

FEMTOSECONDS = 1e9
"""Of a microsecond: the period of 1 MHz."""

RESPONSES = {2: "is refused (SLVERR)", 3: "leads nowhere (DECERR)"}


class Life(IntEnum):
    """What a lane is: ``DARK``: no signal; ``STUCK``: the same bits for ever; ``NOISE``: any bits."""

    ALIVE = 0
    DARK = 1
    STUCK = 2
    NOISE = 3


def simulated(chip: ChipConfig, word_cycles: int = 1, *, stalled: bool = False) -> Chip:
    """A chip as it is simulated: memory is up after a short reset, and is not filled with zeros, which it holds."""
    start = PowerUp(settings=first_settings(chip.hbm), fill=0)
    if word_cycles > 1:
        return LimitedChip(chip, word_cycles, start=start, reset_clocks=RESET_CLOCKS)
    return (StalledChip if stalled else Chip)(chip, start=start, reset_clocks=RESET_CLOCKS)


def build_chip(
    chip: ChipConfig,
    build_root: Path,
    *,
    waves: bool = False,
    word_cycles: int = 1,
    stalled: bool = False,
    netlist: Path | None = None,
) -> Path:
    """The executable for a chip, from an earlier build if there is one.

    Parameters
    ----------
    chip : ChipConfig
    build_root : Path
    waves : bool
        Build with VCD tracing.
    word_cycles : int
        More than one slows the memory down, as `openppu_verif.chip.limited_chip` says.
    stalled : bool
        Inner streams stall at random, as `openppu_verif.chip.stalled_chip` says.
    netlist : Path, optional
        As of `openppu_verif.native.model.build_model`.

    Raises
    ------
    UserError
        If a tool is missing or rejects its input.
    """
    key = chip.fingerprint() + (f" {word_cycles}" if word_cycles > 1 else "") + (" stalled" if stalled else "")

    def make() -> Chip:
        return simulated(chip, word_cycles, stalled=stalled)

    clocks = CLOCKS if chip.clocks.separate else {}
    cells = cells_of(chip)
    return build_model(
        make,
        TOP,
        key,
        build_root,
        clocks=clocks,
        waves=waves,
        netlist=netlist,
        groups=GROUPS,
        cells=cells,
        probes=probes_of(chip),
    )


PLACE = np.dtype([(name, "<u4") for name in ("channel", "pc", "bank", "row", "column")])
CODED = np.dtype([("data", "u1", WORD_BYTES), ("check", "u1", WORD_BYTES // 8)])
PLACED = np.dtype([("place", PLACE), ("coded", CODED)])
"""A word's place, what is there, and both: as chip_bench.cpp has them."""

BURST = np.dtype([("address", "<u8"), *((name, "<u4") for name in ("id", "length", "size", "kind"))])
GIVEN = np.dtype([("data", "u1", WORD_BYTES), ("strobes", "<u4")])
FOUND = np.dtype([*((name, "<u4") for name in ("id", "response", "last")), ("data", "u1", WORD_BYTES)])
"""Of the host's window: a burst by AXI's names, a beat that is written, and a beat that is read or an answer."""

SPAN = np.dtype([(name, "<u8") for name in ("cause", "begin", "end")])
"""Of an engine: a cause, its first clock, and the one behind its last."""

CHUNK = 1 << 18
"""Words that are loaded or dumped at a time."""


def places_of(chip: ChipConfig, words: np.ndarray) -> np.ndarray:
    """Where words of memory lie, by their numbers: an array of `PLACE`."""
    settings = first_settings(chip.hbm)
    channel, local = Interleave(chip.hbm.stacks * chip.hbm.channels).locate(words.astype(np.int64) * WORD_BYTES)
    found = split(local // WORD_BYTES, chip.hbm.channel, settings)
    places = np.empty(words.shape, PLACE)
    places["channel"] = channel
    for name in ("pc", "bank", "row", "column"):
        places[name] = getattr(found, name)
    return places


def device_place(chip: ChipConfig, address: int) -> str:
    """Pseudo-channel, bank, row and column of an address, of a chip with one channel, as faults name them."""
    (place,) = places_of(chip, np.array([address // WORD_BYTES]))
    return " ".join(str(place[name]) for name in ("pc", "bank", "row", "column"))


def cells_of(chip: ChipConfig) -> list[Cells]:
    """The memories of the scratchpads: bank after bank, compute unit after compute unit."""
    pad = chip.scratchpad
    bits = GROUP_BITS * pad.word_bytes * 8 // DATA_BITS
    return [
        Cells(f"unit_{unit}.scratchpad.bank_{bank}.sram.cells", pad.bank_words, bits)
        for unit in range(chip.compute_units)
        for bank in range(pad.banks)
    ]


def probes_of(chip: ChipConfig) -> list[Probe]:
    """What each engine's cycle goes to: engine after engine, compute unit after compute unit."""
    return [
        Probe(f"unit_{unit}.{engine}.cause", Shape.cast(CAUSES[engine]).width)
        for unit in range(chip.compute_units)
        for engine in ENGINES
    ]


class Session:
    """Chips that run when they are told to.

    Parameters
    ----------
    chip : ChipConfig
    topology : Topology, optional
        Of several chips; one by default.
    build_root : Path
        Folder of all that is generated.
    checks : bool
        Hold every command to the memory to the device's timing.
    bit_errors : float
        Chance of each bit on the lanes.
    delay : int
        Bits of a lane's way.
    seed : int
        Of all that is random.
    word_cycles, stalled
        As of `build_chip`.
    executable : Path, optional
        Another model of the chip.
    pins : sequence of (int, str, int)
        Inputs that the bench leaves alone: chip, name, value.
    limit : int
        Clocks after which the simulator ends, with an error.
    seconds : float, optional
        After which it is ended.
    """

    def __init__(
        self,
        chip: ChipConfig,
        build_root: Path,
        *,
        topology: Topology | None = None,
        checks: bool = True,
        bit_errors: float = 0.0,
        delay: int | None = None,
        seed: int = 1,
        word_cycles: int = 1,
        stalled: bool = False,
        executable: Path | None = None,
        pins: Sequence[tuple[int, str, int]] = (),
        limit: int = 1 << 62,
        seconds: float | None = None,
    ) -> None:
        self.chip = chip
        self.chips = topology.chips if topology else 1
        executable = executable or build_chip(chip, build_root, word_cycles=word_cycles, stalled=stalled)
        library = build_bench("chip", SOURCES, HEADERS, build_root)
        link, channels = chip.link, chip.hbm.stacks * chip.hbm.channels
        settings = first_settings(chip.hbm)
        lines = [
            *memory_lines(chip.hbm.channel, settings),
            *(f"chips {self.chips}", f"channels {channels}", f"ports {link.ports}", f"checks {int(checks)}"),
            *(f"clock {name} {round(FEMTOSECONDS / rate)}" for name, rate in chip.clock_rates.items()),
            f"lanes {link.lanes if link.ports else 0}",
            f"lane_bits {link.lane_bits}",
            f"delay {delay or link.lane_bits}",
            f"bit_errors {bit_errors}",
            f"seed {seed}",
            f"limit {limit}",
            *(f"pin {number} {name} {value}" for number, name, value in pins),
            *(
                f"link {number} {port} {peer[0]} {peer[1]}"
                for number, ports in enumerate(topology.peers if topology else ())
                for port, peer in enumerate(ports)
                if peer is not None
            ),
        ]
        self._folder = tempfile.TemporaryDirectory(prefix="openppu-")
        given = Path(self._folder.name) / "parameters"
        given.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self._process = subprocess.Popen(
            [executable, library, given], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.said = ""
        """On its standard error, after `close`."""
        self._answers = False
        """It is in the midst of an answer."""
        self._alarm = threading.Timer(seconds, self._process.kill) if seconds else None
        if self._alarm:
            self._alarm.start()

    def read_register(self, chip: int, address: int) -> int:
        """A register of a chip.

        Raises
        ------
        SimulationError
            If it is refused, or the simulator fails.
        """
        response, value = self._ask("r", struct.pack("<II", chip, address), "<II")
        _check(response, f"reading the register at {address:#x} of chip {chip}")
        return int(value)

    def write_register(self, chip: int, address: int, value: int) -> None:
        """Write a register of a chip; errors as of `read_register`."""
        response, _ = self._ask("w", struct.pack("<III", chip, address, value), "<II")
        _check(response, f"writing {value:#x} to the register at {address:#x} of chip {chip}")

    def read(self, chip: int, address: int, count: int) -> bytes:
        """Bytes of a chip's memory, through its window; errors as of `read_register`."""
        response, found = self._ask("R", struct.pack("<IQI", chip, address, count), "<I", lambda _: count)
        _check(response, f"reading {count} bytes at {address:#x} of chip {chip}")
        return bytes(found)

    def write(self, chip: int, address: int, data: bytes) -> None:
        """Write bytes to a chip's memory, through its window; errors as of `read_register`."""
        (response,) = self._ask("W", struct.pack("<IQI", chip, address, len(data)) + data, "<I")
        _check(response, f"writing {len(data)} bytes at {address:#x} of chip {chip}")

    def read_bursts(self, chip: int, bursts: np.ndarray) -> np.ndarray:
        """Bursts of the window, of `BURST`, all on their way together: their beats, of `FOUND`, as they come."""
        _, found = self._ask("A", struct.pack("<II", chip, bursts.nbytes) + bursts.tobytes(), "<I", int)
        return np.frombuffer(found, FOUND)

    def write_bursts(self, chip: int, bursts: np.ndarray, beats: np.ndarray) -> np.ndarray:
        """The same of writes, whose beats are an array of `GIVEN`; their answers as they come."""
        numbers = struct.pack("<II", chip, bursts.nbytes) + bursts.tobytes()
        numbers += struct.pack("<I", beats.nbytes) + beats.tobytes()
        _, found = self._ask("a", numbers, "<I", int)
        return np.frombuffer(found, FOUND)

    def load(self, chip: int, address: int, data: bytes) -> None:
        """Put bytes into a chip's memory devices, with their check bits, without the chip: that takes no clocks."""
        before, end = address % WORD_BYTES, address + len(data)
        # Whole words: what is beside the bytes stays.
        data = self.dump(chip, address - before, before) + data + self.dump(chip, end, -end % WORD_BYTES)
        image = np.frombuffer(data, np.uint8).reshape(-1, WORD_BYTES)
        done = 0
        for first, count in _chunks(address, end - address):
            given = np.empty(count, PLACED)
            given["place"] = places_of(self.chip, np.arange(first, first + count))
            given["coded"]["data"] = image[done : done + count]
            given["coded"]["check"] = encode(image[done : done + count], self.chip.hbm.ecc)
            self._ask("L", struct.pack("<II", chip, given.nbytes) + given.tobytes(), "<")
            done += count

    def dump(self, chip: int, address: int, count: int) -> bytes:
        """Bytes that a chip's memory devices hold, without the chip; errors of bits in them are not seen."""
        parts = []
        for first, words in _chunks(address, count):
            places = places_of(self.chip, np.arange(first, first + words))
            size = words * CODED.itemsize
            given = struct.pack("<II", chip, places.nbytes) + places.tobytes()
            (found,) = self._ask("D", given, "<", lambda size=size: size)
            parts.append(np.frombuffer(found, CODED)["data"].tobytes())
        return b"".join(parts)[address % WORD_BYTES :][:count]

    def run(self, clocks: int, *, until: int = 0) -> int:
        """Let so many clocks pass, or fewer: until a chip of the mask ``until`` interrupts. A bit a chip that does."""
        _, interrupts, _ = self._ask("g", struct.pack("<QQ", clocks, until), "<QQQ")
        return int(interrupts)

    def watch_causes(self, chip: int, *, on: bool) -> None:
        """Remember from now on, or no longer, what each cycle of the engines goes to."""
        self._ask("c", struct.pack("<II", chip, on), "<")

    def causes(self, chip: int, unit: int, engine: str) -> list[tuple[int, int, int]]:
        """What was remembered of an engine: spans, each a cause, its first clock since the reset, as records count, and
        the one behind its last."""
        number = unit * len(ENGINES) + ENGINES.index(engine)
        _, found = self._ask("C", struct.pack("<II", chip, number), "<I", int)
        return [tuple(each) for each in np.frombuffer(found, SPAN).tolist()]

    def pages(self, chip: int) -> int:
        """Rows of a chip's memory that were ever written."""
        return int(self._ask("p", struct.pack("<I", chip), "<Q")[0])

    def inject(self, chip: int, channel: int, fault: str) -> None:
        """A fault or event of a memory device, as ``hbm/faults.h`` names them: a word and numbers."""
        text = fault.encode()
        self._ask("f", struct.pack("<III", chip, channel, len(text)) + text, "<")

    def set_lanes(self, chip: int, port: int, life: Life) -> None:
        """What the lanes are from now on that a port sends on."""
        self._ask("l", struct.pack("<III", chip, port, life), "<")

    def flip(self, chip: int, address: int, bits: int, *, unit: int = 0) -> None:
        """Turn over bits of the SRAM of a scratchpad: ``bits`` is a mask of the code words of the word at ``address``.

        A code word is eight bytes and above them eight check bits.
        """
        pad = self.chip.scratchpad
        bank, place = divmod(address // pad.word_bytes, pad.bank_words)
        mask = bits.to_bytes(GROUP_BITS * pad.word_bytes // 64 + 1, "little")
        memory = unit * pad.banks + bank
        self._ask("b", struct.pack("<IIII", chip, memory, place, len(mask)) + mask, "<")

    def reset(self, chip: int) -> None:
        """Reset a chip; its memory holds what it held."""
        self._ask("x", struct.pack("<I", chip), "<")

    def set_pauses(self, rate: int) -> None:
        """Of so many thousandths of the clocks the host is not there, on each stream of its two ports."""
        self._ask("s", struct.pack("<Q", rate), "<")

    @property
    def now(self) -> int:
        """Clocks since the start."""
        return int(self._ask("g", struct.pack("<QQ", 0, 0), "<QQQ")[0])

    @property
    def problems(self) -> int:
        """Rules of the memory devices that were broken."""
        return int(self._ask("g", struct.pack("<QQ", 0, 0), "<QQQ")[2])

    def digest(self, chip: int) -> dict[str, str]:
        """Of what a chip's outputs to its memory and its lanes did in every clock so far."""
        found = self._ask("d", struct.pack("<I", chip), "<QQ")
        return {name: f"{value:016x}" for name, value in zip(("memory", "lanes"), found, strict=True)}

    def close(self) -> None:
        """End the process."""
        if self._alarm:
            self._alarm.cancel()
        if self._process.stdin:
            with contextlib.suppress(BrokenPipeError):  # what it was to be told still, it has ended without
                self._process.stdin.close()
        self._process.wait()
        if self._process.stderr and not self._process.stderr.closed:
            self.said = self._process.stderr.read().decode(errors="replace")
        for stream in (self._process.stdout, self._process.stderr):
            if stream:
                stream.close()
        self._folder.cleanup()

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(
        self, letter: str, numbers: bytes, answer: str, behind: Callable[..., int] | None = None
    ) -> tuple[Any, ...]:
        """The numbers of an answer, and as many bytes behind them as ``behind`` says of them.

        The next answer would be read from the midst of one that was interrupted; so there is none.
        """
        if self._answers:
            raise SimulationError("the simulator was interrupted in an answer, and has no more: open another device")
        pipe = self._process.stdin
        assert pipe is not None
        self._answers = True
        try:
            pipe.write(letter.encode() + numbers)
            pipe.flush()
        except BrokenPipeError:
            pass  # what it has to say of it can be read
        if self._take(1) != b"\0":
            (length,) = struct.unpack("<I", self._take(4))
            text = self._take(length).decode()
            self._answers = False
            raise SimulationError(f"the simulator: {text}")
        found = struct.unpack(answer, self._take(struct.calcsize(answer)))
        if behind is not None:
            found = (*found, self._take(behind(*found)))
        self._answers = False
        return found

    def _take(self, count: int) -> bytes:
        assert self._process.stdout is not None
        found = self._process.stdout.read(count)
        if len(found) != count:
            self._answers = False
            text = self._process.stderr.read().decode(errors="replace").strip() if self._process.stderr else ""
            raise SimulationError(f"the simulator ended (exit code {self._process.wait()}): {text}")
        return found


def _chunks(address: int, count: int) -> Iterator[tuple[int, int]]:
    """First word and number of words of each part of so many bytes."""
    end = -(-(address + count) // WORD_BYTES)
    for first in range(address // WORD_BYTES, end, CHUNK):
        yield first, min(CHUNK, end - first)


def _check(response: int, what: str) -> None:
    if response:
        raise SimulationError(f"{what} {RESPONSES.get(response, 'failed')}")


def open_rtl(chip: ChipConfig, topology: Topology | None, build_root: Path) -> Driver:
    """The backend ``rtl`` of `openppu_sim.device.backend`."""
    return Driver(Session(chip, build_root, topology=topology), chip, topology)
