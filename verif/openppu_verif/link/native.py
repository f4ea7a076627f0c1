"""Runs two ports of the RTL with a channel between them, natively: no Python in each clock."""

import json
import math
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amaranth.lib import data
from openppu.link.config import CHANNELS, LinkConfig
from openppu.link.failover import Failover
from openppu.link.layouts import BRINGS_DATA, Header, Operation, packet_layout
from openppu.link.port import Port, port_status_layout
from openppu.link.settings import TrainingSettings, settings_layout
from openppu.link.tunnel import tunnel_control_layout
from openppu_sim.errors import SimulationError

from openppu_verif.native.model import build_bench, build_model

FOLDER = Path(__file__).parent
SOURCES = tuple(FOLDER / f"{name}.cpp" for name in ("port_bench", "channel", "packets"))
HEADERS = tuple(FOLDER / f"{name}.h" for name in ("channel", "packets"))
TOP = "link_port"
RX_PORTS = ("serdes__receive", "serdes__signal", "rx_rst")
WHOLE = 65536
SIDES = ("a", "b")
ALL_OPERATIONS = tuple(Operation)


@dataclass(frozen=True, kw_only=True)
class Lane:
    """A lane of the channel: bits of delay (a word at least), where it arrives, and whether it is inverted there."""

    delay: int
    arrives_as: int
    inverted: bool = False


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """What one end offers on a virtual channel.

    Parameters
    ----------
    sizes : (int, int)
        Least and most bytes of data.
    operations : sequence of Operation
        Drawn evenly; none: no packets.
    pause, stall, hold : float
        Share of clocks in which a packet or its next word is not offered; in which the other end takes nothing.
    packets : int, optional
        At most so many.
    """

    sizes: tuple[int, int] = (1, 4096)
    operations: Sequence[Any] = ALL_OPERATIONS
    pause: float = 0.0
    stall: float = 0.0
    hold: float = 0.0
    packets: int | None = None

    def words(self) -> str:
        """As the bench reads it."""
        operations = sum(1 << Operation(operation).value for operation in self.operations)
        shares = (round(share * WHOLE) for share in (self.pause, self.stall, self.hold))
        packets = 2**63 if self.packets is None else self.packets
        return " ".join(map(str, (*self.sizes, operations, *shares, packets)))


NO_TRAFFIC = Traffic(operations=())
MOST_NOTES = 10_000
"""That the bench keeps of a run: later ones are left out."""


def chance_word(chance: float) -> str:
    """A chance as the benches read it: without an exponent, so that none is too small for them."""
    return f"{chance:.30f}"


@dataclass(frozen=True, kw_only=True)
class Faults:
    """What goes wrong on each lane: chances a bit (``bit_errors``, ``bursts``) or a word (the others)."""

    bit_errors: float = 0.0
    bursts: float = 0.0
    burst_bits: int = 16
    dropped: float = 0.0
    doubled: float = 0.0
    swapped: float = 0.0

    def words(self) -> str:
        """As the bench reads it."""
        chances = (self.bit_errors, self.bursts, self.dropped, self.doubled, self.swapped)
        bits, bursts, *words = (chance_word(chance) for chance in chances)
        return " ".join([bits, bursts, str(self.burst_bits), *words])


ALIVE, DARK, STUCK, NOISE = range(4)
"""What an event makes of a lane: no signal; the same bits for ever; any bits."""


@dataclass(frozen=True, kw_only=True)
class Flow:
    """What went one way on a virtual channel.

    ``operations`` are those of whole packets, a bit each; ``window_bytes`` are headers and data, ``window_data`` data
    alone; ``longest_gap`` are clocks from one word out to the next.
    """

    packets_in: int
    packets_out: int
    lost: int
    wrong: int
    operations: int
    longest_gap: int
    window_bytes: int
    window_data: int
    latencies: tuple[tuple[int, int], ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a run did: ``flows`` from a, channel by channel, then from b; ``pins`` as bytes at the end, by name.

    With ``record``, ``words`` are those of all lanes that a side ("a", "b") has "sent" and "received", clock by clock.
    """

    config: LinkConfig
    clocks: int
    simulated: int
    seconds: float
    left: bool
    wrong_bits: int
    window_wrong_bits: int
    lost_words: int
    flows: tuple[Flow, ...]
    notes: tuple[tuple[int, str, int], ...]
    pins: Mapping[str, bytes]
    files: Mapping[int, bytes] = field(default_factory=dict)
    words: Mapping[tuple[str, str], bytes] = field(default_factory=dict)

    def check(self) -> None:
        """Raise SimulationError if anything arrived wrong, or did not arrive."""
        self.check_words()
        if self.left:
            on_the_way = sum(flow.packets_in - flow.packets_out - flow.lost for flow in self.flows)
            raise SimulationError(
                f"packets did not arrive in time: {on_the_way} that a port has taken, and those that wait before it"
            )

    def check_words(self) -> None:
        """Raise SimulationError if anything arrived wrong; what has not arrived may still be on its way."""
        problems = [problem for flow in self.flows for problem in flow.problems]
        if problems:
            raise SimulationError(f"{sum(flow.wrong for flow in self.flows)} wrong words: {'; '.join(problems[:5])}")

    def share(self, side: str, *, data: bool = False) -> float:
        """Headers and data, or ``data`` alone, from a side, of the raw bits in the measuring window."""
        first = SIDES.index(side) * CHANNELS
        flows = self.flows[first : first + CHANNELS]
        count = sum(flow.window_data if data else flow.window_bytes for flow in flows)
        return count / (self.clocks * self.config.beat_bytes)


def build_port(config: LinkConfig, build_root: Path, *, waves: bool = False, netlist: Path | None = None) -> Path:
    """The executable for a port, from an earlier build if there is one; for `run`.

    Raises
    ------
    UserError
        If a tool is missing or rejects its input.
    """
    return build_model(
        lambda: Port(config),
        TOP,
        repr(config),
        build_root,
        clocks={"rx_clk": RX_PORTS} if config.recovered_clock else {},
        waves=waves,
        netlist=netlist,
    )


def straight(config: LinkConfig, *, words: int = 1) -> list[Lane]:
    """Lanes without skew, of so many words of delay."""
    return [Lane(delay=words * config.lane_bits, arrives_as=lane) for lane in range(config.lanes)]


def run(
    executable: Path,
    config: LinkConfig,
    *,
    traffic: Sequence[Sequence[Traffic]],
    lanes: Sequence[Sequence[Lane]] | None = None,
    faults: Sequence[Faults] = (Faults(), Faults()),
    ppm: tuple[int, int] = (0, 0),
    jitter: float = 0.0,
    rx_rate: float = 1.0,
    gaps: float = 0.0,
    gap_words: int = 0,
    failover: Failover | None = None,
    tunnel: bool = False,
    warmup: int = 2_000,
    clocks: int = 20_000,
    drain: int = 100_000,
    seed: int = 1,
    events: Sequence[tuple[int, str, Sequence[object]]] = (),
    settings: TrainingSettings | None = None,
    pins: Sequence[tuple[str, str, int]] = (),
    watch: Sequence[str] = (),
    note: Sequence[str] = (),
    files: Mapping[int, Path] = {},
    record: bool = False,
    waves: Path | None = None,
    timeout: float | None = None,
) -> Run:
    """Run traffic between two ports, from reset on.

    Parameters
    ----------
    executable : Path
        From `build_port`.
    config : LinkConfig
        What it was built for.
    traffic : two sequences of Traffic
        From a and from b, for each virtual channel.
    lanes : two sequences of Lane, optional
        From a and from b; by default straight ones, a word long.
    faults : two of Faults
        On the way from a and from b.
    ppm : (int, int)
        Of each side's clock, parts per million off. Only with `LinkConfig.recovered_clock`, as is
    jitter : float
        Share of a half period by which words come later than they might.
    rx_rate : float
        Clocks in which words are received, of those in which they are sent; likewise.
    gaps : float, gap_words : int
        Share of clocks in which a lane has no word, each for itself, as long as not so many words wait.
    failover : Failover, optional
        What becomes of a port without lanes, on both sides.
    tunnel : bool
        What the ports send into their tunnels arrives at the other one.
    warmup, clocks, drain : int
        Clocks before the measuring window, within it, and at most for the last packets.
    events : sequence of (int, str, words)
        After so many clocks: "faults" (side, six numbers), "life" (side, lane, state), "reset" (side, clocks), "pin"
        (side, name, value), "pause" (clocks without new packets).
    settings : TrainingSettings, optional
        Of both sides.
    pins : sequence of (str, str, int)
        Side, input and value from the start.
    watch : sequence of str
        Outputs whose value at the end is wanted.
    note : sequence of str
        Fields of ``status`` whose changes are wanted, such as ``physical.state``.
    files : mapping of int to Path
        What a flow (channel, or ``CHANNELS`` + channel from b) carries as its data.
    record : bool
        Keep the words on the lanes.

    Raises
    ------
    SimulationError
        If the simulator itself fails. What it found is in the result: see `Run.check`.
    """
    library = build_bench("link-bench", SOURCES, HEADERS, executable.parents[2])
    layout, header = packet_layout(config), Header.as_shape()
    lines = [f"seed {seed}", f"lane_bits {config.lane_bits}", f"warmup {warmup}", f"clocks {clocks}", f"drain {drain}"]
    lines[3] = f"clocks {'recovered' if config.recovered_clock else 'common'}"
    lines += [
        f"record {int(record)}",
        f"window {clocks}",
        f"jitter_percent {math.floor(100 * jitter)}",
        f"tunnel {int(tunnel)}",
    ]
    lines += [f"rx_rate_percent {round(100 * rx_rate)}", f"gap_share {round(gaps * WHOLE)}", f"gap_words {gap_words}"]
    lines += [f"brings_data {sum(1 << Operation(operation).value for operation in BRINGS_DATA)}"]
    for name in ("header", "data", "count", "filled", "cut", "first", "last"):
        lines.append(f"field.packet.{name} {layout[name].offset} {layout[name].width}")
    for name in ("operation", "length"):
        place = header[name]
        lines.append(f"field.packet.{name} {layout['header'].offset + place.offset} {place.width}")
    status = port_status_layout(config)
    for path in ("resets", "gone", *note):
        offset, width = _place(status, path)
        lines += [f"field.status.{path} {offset} {width}", f"field.{path} {offset} {width}"]
    for number, side in enumerate(SIDES):
        lines += [f"ppm.{side} {ppm[number]}"]
        for lane in (lanes or (straight(config), straight(config)))[number]:
            lines.append(f"lane.{side} {lane.delay} {lane.arrives_as} {int(lane.inverted)}")
        lines += [f"traffic.{side} {each.words()}" for each in traffic[number]]
        lines += [f"waves.{side} {waves.absolute().with_suffix(f'.{side}.vcd')}"] if waves else []
    started = [(0, "faults", [side, each.words()]) for side, each in zip(SIDES, faults, strict=True)]
    for clock, name, words in sorted([*started, *events], key=lambda event: event[0]):
        lines.append(f"event {clock} {name} {' '.join(map(str, words))}")
    for side in SIDES:
        lines.append(
            _pin(side, "settings", settings_layout().const((settings or TrainingSettings()).values()).as_bits())
        )
    if failover is not None:
        value = tunnel_control_layout().const(failover.values()).as_bits()
        lines += [_pin(side, "tunnel", value) for side in SIDES]
    lines += [_pin(*each) for each in pins]
    lines += [f"watch {name}" for name in watch] + [f"note {name}" for name in note]
    lines += [f"file {flow} {path.absolute()}" for flow, path in files.items()]
    with tempfile.TemporaryDirectory(prefix="openppu-") as folder:
        given, got = Path(folder) / "parameters", Path(folder) / "result.json"
        given.write_text("\n".join(lines) + "\n", encoding="utf-8")
        try:
            process = subprocess.run(
                [executable, library, given, got], capture_output=True, text=True, check=False, timeout=timeout
            )
        except subprocess.TimeoutExpired:
            raise SimulationError(f"the simulator did not end within {timeout} s") from None
        if process.returncode != 0:
            raise SimulationError(f"the simulator failed (exit code {process.returncode}): {process.stderr.strip()}")
        result: dict[str, Any] = json.loads(got.read_text(encoding="utf-8"))
        arrived = {flow: got.with_name(f"{got.name}.{flow}") for flow in files}
        ways = [(side, way) for side in SIDES for way in ("sent", "received") if record]
        kept = {(side, way): got.with_name(f"{got.name}.{side}.{way}").read_bytes() for side, way in ways}
        carried = {flow: path.read_bytes() if path.exists() else b"" for flow, path in arrived.items()}
    flows = []
    for each in result.pop("flows"):
        pairs = tuple((clock, count) for clock, count in each.pop("latencies"))
        flows.append(Flow(**each | {"latencies": pairs, "problems": tuple(each["problems"])}))
    notes = tuple((clock, name, value) for clock, name, value in result.pop("notes"))
    values = {name: bytes(value) for name, value in result.pop("pins").items()}
    return Run(config=config, flows=tuple(flows), notes=notes, pins=values, files=carried, words=kept, **result)


def _place(layout: data.StructLayout, path: str) -> tuple[int, int]:
    """Offset and width of a field's field."""
    offset, width = 0, 0
    for name in path.split("."):
        place = layout[name]
        offset, width = offset + place.offset, place.width
        layout = place.shape
    return offset, width


def _pin(side: str, name: str, value: int) -> str:
    """An input's value from the start, as bytes."""
    count = max(1, -(-value.bit_length() // 8))
    return f"pin {side} {name} {' '.join(map(str, value.to_bytes(count, 'little')))}"
