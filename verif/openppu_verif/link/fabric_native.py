"""Runs the links of whole chips, RTL, joined port to port: transactions, collective packets, and links that die."""

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.lib import data
from openppu.link.config import LinkConfig
from openppu.link.fabric import Fabric
from openppu.link.failover import Failover
from openppu.link.layouts import Header, Operation, packet_layout
from openppu.link.memory_port import access_layout
from openppu.link.port import port_status_layout
from openppu.link.route_table import table_of, table_write_layout
from openppu.link.router import engine_layout
from openppu.link.settings import TrainingSettings, settings_layout
from openppu.link.topology import Topology
from openppu.link.tunnel import tunnel_control_layout
from openppu_sim.errors import SimulationError

from openppu_verif.link.native import Traffic
from openppu_verif.native.model import build_bench, build_model

FOLDER = Path(__file__).parent
SOURCES = tuple(FOLDER / f"{name}.cpp" for name in ("fabric_bench", "channel", "packets"))
HEADERS = tuple(FOLDER / f"{name}.h" for name in ("channel", "packets"))
TOP = "link_fabric"
CHIPS = 4
"""At most: each has its tags, and its semaphore."""

TAGS = 4
"""Of each chip to each other one."""

SIZES = {"tags": CHIPS * TAGS, "mailboxes": 1, "mailbox_bytes": 64, "semaphores": CHIPS}
REGION = 1024
"""Bytes that each chip has of each other one's memory."""

COLLECTIVES = Traffic(sizes=(1, 400), operations=(Operation.COLLECTIVE,), pause=0.9, hold=0.2)
NOTED = ("physical.state", "tunnel.active", "gone", "resets")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run did.

    ``answered`` and ``unreachable`` are requests by asking and asked chip; ``flows``: of the collective packets over a
    link, by chip and port, those in, out and lost; ``notes``: clock, chip, port, field of `NOTED` and its new value;
    ``ports``: their status at the end, by chip and port.
    """

    simulated: int
    wrong_bits: int
    answered: tuple[tuple[int, ...], ...]
    unreachable: tuple[tuple[int, ...], ...]
    flows: Mapping[tuple[int, int], tuple[int, int, int]]
    notes: tuple[tuple[int, int, int, str, int], ...]
    ports: tuple[tuple[Any, ...], ...]

    def times(self, chip: int, port: int, name: str, value: int) -> list[int]:
        """The clocks in which a field took a value."""
        return [note[0] for note in self.notes if note[1:] == (chip, port, name, value)]


def build_fabric(config: LinkConfig, build_root: Path) -> Path:
    """The executable for a chip's link, from an earlier build if there is one; for `run`.

    Raises
    ------
    UserError
        If a tool is missing or rejects its input.
    """
    return build_model(lambda: Fabric(config, **SIZES), TOP, repr((config, SIZES)), build_root)


def run(
    executable: Path,
    config: LinkConfig,
    topology: Topology,
    *,
    failover: bool | None,
    patience: int = 4096,
    timeout: int = 0,
    clocks: int = 60_000,
    drain: int = 60_000,
    bit_errors: float = 0.0,
    words: int = 3,
    collectives: Traffic = COLLECTIVES,
    events: Sequence[tuple[int, str, Sequence[object]]] = (),
    settings: TrainingSettings | None = None,
    seed: int = 1,
) -> Outcome:
    """Let every chip ask every other one, and send collective packets over every link.

    Parameters
    ----------
    executable : Path
        From `build_fabric`.
    failover : bool, optional
        Ports without lanes send around; False: they give up; None: they wait.
    patience : int
        Until then.
    timeout : int
        Of the initiators; 0: an answer may take for ever.
    clocks, drain : int
        With new traffic, and at most for the rest of it.
    words : int
        Of a lane's delay.
    events : sequence of (int, str, words)
        After so many clocks: "life" (chip, port, what becomes of all lanes that it sends on), "reset" (chip), "quiet"
        and "resume" (new requests; and all that is unanswered by then is given up).

    Raises
    ------
    SimulationError
        If anything was lost, came twice, out of order or wrong, but for what a port that has given up or was reset may
        lose, and requests that were answered as unreachable.
    """
    library = build_bench("link-fabric", SOURCES, HEADERS, executable.parents[2])
    settings = settings or TrainingSettings()
    lines = [
        *(f"chips {topology.chips}", f"ports {config.ports}", f"lanes {config.lanes}"),
        *(f"lane_bits {config.lane_bits}", f"beat_bytes {config.beat_bytes}", f"bit_errors {bit_errors}"),
        *(f"seed {seed}", f"region {REGION}", f"tags {TAGS}", f"clocks {clocks}", f"drain {drain}"),
        *(f"collectives {collectives.words()}", f"brings_data {1 << Operation(Operation.COLLECTIVE).value}"),
        *(f"field.{name} {offset} {width}" for name, (offset, width) in _fields(config).items()),
        *(f"note {name}" for name in NOTED),
        *(f"event {at} {name} {' '.join(map(str, about))}" for at, name, about in sorted(events, key=lambda e: e[0])),
    ]
    for chip, peers in enumerate(topology.peers):
        for line in table_of(topology, chip):
            lines.append(f"route {chip} {_bytes(table_write_layout().const(line).as_bits())}")
        pins = {"chip": chip, "memory_bytes": REGION * topology.chips, "timeout": timeout}
        pins["settings"] = settings_layout().const(settings.values()).as_bits()
        for port, peer in enumerate(peers):
            if peer is None:
                continue
            lines.append(f"link {chip} {port} {peer[0]} {peer[1]} {words * config.lane_bits}")
            goes = {"direct": {"valid": 1, "port": port}, "peer": peer[1]}
            pins[f"engines.{port}"] = engine_layout().const(goes).as_bits()
            if failover is not None:
                around = Failover.around(topology, chip, port, patience=patience, settings=settings)
                values = around.values() | ({} if failover else {"enable": 0})
                pins[f"failover.{port}"] = tunnel_control_layout().const(values).as_bits()
        lines += [f"pin {chip} {name} {_bytes(value)}" for name, value in pins.items()]
    result = _simulate(executable, library, lines)
    if result["problems"]:
        raise SimulationError("; ".join(result["problems"][:5]))
    if result["left"]:
        raise SimulationError(f"not all has arrived after {result['simulated']} clocks")
    status = port_status_layout(config)
    return Outcome(
        simulated=result["simulated"],
        wrong_bits=result["wrong_bits"],
        answered=tuple(tuple(chip["answered"]) for chip in result["chips"]),
        unreachable=tuple(tuple(chip["unreachable"]) for chip in result["chips"]),
        flows={
            (flow["chip"], flow["port"]): (flow["packets_in"], flow["packets_out"], flow["lost"])
            for flow in result["flows"]
        },
        notes=tuple((at, chip, port, name, value) for at, chip, port, name, value in result["notes"]),
        ports=tuple(
            tuple(status.from_bits(int.from_bytes(bytes(port), "little")) for port in chip["ports"])
            for chip in result["chips"]
        ),
    )


def _simulate(executable: Path, library: Path, lines: Sequence[str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="openppu-") as folder:
        given, got = Path(folder) / "parameters", Path(folder) / "result.json"
        given.write_text("\n".join(lines) + "\n", encoding="utf-8")
        process = subprocess.run([executable, library, given, got], capture_output=True, text=True, check=False)
        if process.returncode != 0:
            raise SimulationError(f"the simulator failed (exit code {process.returncode}): {process.stderr.strip()}")
        result: dict[str, Any] = json.loads(got.read_text(encoding="utf-8"))
    return result


def _fields(config: LinkConfig) -> dict[str, tuple[int, int]]:
    """Where the bench finds things."""
    packet, header, access = packet_layout(config), Header.as_shape(), access_layout(config)
    start = packet["header"].offset
    names = ("header", "data", "count", "filled", "cut", "first", "last")
    accesses = ("write", "address", "data", "mask")
    return {
        **{f"packet.{name}": (packet[name].offset, packet[name].width) for name in names},
        **{f"packet.{name}": (start + header[name].offset, header[name].width) for name in ("operation", "length")},
        **{
            f"header.{name}": (header[name].offset, header[name].width)
            for name in ("status", "destination", "tag", "address")
        },
        **{f"access.{name}": (access[name].offset, access[name].width) for name in accesses},
        **{name: _place(port_status_layout(config), name) for name in NOTED},
    }


def _place(layout: data.Layout, path: str) -> tuple[int, int]:
    """Offset and width of a field's field."""
    offset, width = 0, 0
    for name in path.split("."):
        place = data.Layout.cast(layout)[name]
        offset, width = offset + place.offset, place.width
        layout = place.shape
    return offset, width


def _bytes(value: int) -> str:
    """A number as bytes, the lowest first."""
    return " ".join(map(str, value.to_bytes(max(1, -(-value.bit_length() // 8)), "little")))
