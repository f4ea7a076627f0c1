"""The pictures of ``docs/hbm-timing.md``: scenes that the RTL plays in cocotb, as WaveJSON, drawn by WaveDrom.

A column is a memory clock (CK). Where nothing happens for long, the columns between are left out. Every distance that a
picture names is measured in the run, and held against the rule beside it.
"""

import json
import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from openppu.config import load
from openppu.hbm.channel import Channel
from openppu.hbm.config import ChannelConfig
from openppu.hbm.device import BURST
from openppu.hbm.settings import Settings
from openppu.verilog import emit
from openppu_sim.cli import Parser, guarded
from openppu_sim.report.json_report import make_folder
from openppu_sim.simulator.cocotb_runner import simulate

CONFIG: dict[str, Any] = {"height": 4, "ports": 1, "tags": 1, "reads": 8, "writes": 8, "slots": 8}
COMMAND = "python -m openppu_verif.hbm.timing_pictures"
FOLDER = Path("docs/images")
PREFIX = "hbm-timing-"
ROWS = ("ACT", "PRE", "PREA", "REF", "REFSB")
TWO_SLOTS = ("ACT",)
AFTER = 3
"""CK that are shown behind the last event."""
COLOURS = ("3", "5")
"""WaveDrom's boxes for the two pseudo-channels: yellow, blue."""
T = Settings().timing

End = tuple[str, int] | tuple[str, int, int]
"""The so-many-th of a pseudo-channel's commands of a name, or of its words (``read``, ``write``); PC 0 if not named."""


class Event(NamedTuple):
    """A command or a word: its first CK, how many it takes, and what is written on it."""

    ck: int
    width: int
    pc: int
    name: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Span:
    """A distance that a picture shows: between what, by which rule, of how many CK (at least, if ``slack``)."""

    start: End
    end: End
    rule: str
    clocks: int
    slack: int = 0


@dataclass(frozen=True, kw_only=True)
class Picture:
    """What is drawn of a scene: the lines of which pseudo-channels, and which distances; ``until``: its last CK."""

    title: str
    spans: tuple[Span, ...]
    pcs: tuple[int, ...] = (0,)
    until: int | None = None


def _word(pc: int, latency: int) -> int:
    """CK from the slot of a command of this PC to the controller clock with its word, which begins on an even CK."""
    return 2 * -(-(pc + latency) // 2) - pc


PICTURES = {
    "read-hit": Picture(
        title="Two reads of an open row",
        spans=(
            Span(start=("RD", 0), end=("RD", 1), rule="tCCDL", clocks=T.tCCDL),
            Span(start=("RD", 0), end=("read", 0), rule="RL + burst", clocks=T.RL + BURST, slack=1),
        ),
    ),
    "page-miss": Picture(
        title="A read of another row than the open one",
        spans=(
            Span(start=("PRE", 0), end=("ACT", 0), rule="tRP", clocks=T.tRP),
            Span(start=("ACT", 0), end=("RD", 0), rule="tRCDRD + 1", clocks=T.tRCDRD + 1, slack=1),
            Span(
                start=("PRE", 0),
                end=("read", 0),
                rule="tRP + tRCDRD + 1 + RL + burst",
                clocks=T.tRP + T.tRCDRD + 1 + T.RL + BURST,
                slack=2,
            ),
        ),
    ),
    "turnarounds": Picture(
        title="A write, a read, a write, in one open row",
        spans=(
            Span(start=("WR", 0), end=("RD", 0), rule="WL + burst + tWTRL", clocks=T.WL + BURST + T.tWTRL, slack=1),
            Span(start=("RD", 0), end=("WR", 1), rule="tRTW", clocks=T.tRTW),
        ),
    ),
    "activates": Picture(
        title="Rows opened in both pseudo-channels",
        pcs=(0, 1),
        until=31,
        spans=(
            Span(start=("ACT", 0), end=("ACT", 1), rule="tRRDS", clocks=T.tRRDS),
            Span(start=("ACT", 0), end=("RD", 0), rule="tRCDRD + 1", clocks=T.tRCDRD + 1),
            Span(start=("ACT", 0), end=("ACT", 4), rule="tFAW", clocks=T.tFAW, slack=2),
        ),
    ),
    "refresh": Picture(
        title="Banks that are refreshed as soon as their reads have left them",
        spans=(
            Span(start=("ACT", 0), end=("REFSB", 0), rule="tRC", clocks=T.tRC),
            Span(start=("REFSB", 0), end=("REFSB", 1), rule="tRREFD", clocks=T.tRREFD),
            Span(start=("REFSB", 0), end=("ACT", 2), rule="tRFCSB", clocks=T.tRFCSB),
        ),
        until=342,
    ),
    "words": Picture(
        title="Words to and from the PHY",
        pcs=(0, 1),
        spans=(
            Span(start=("WR", 0), end=("write", 0), rule="2 (WL // 2)", clocks=2 * (T.WL // 2)),
            Span(start=("RD", 0), end=("read", 0), rule="2 ceil((RL + burst) / 2)", clocks=_word(0, T.RL + BURST)),
            Span(
                start=("RD", 0, 1),
                end=("read", 0, 1),
                rule="2 ceil((1 + RL + burst) / 2) - 1",
                clocks=_word(1, T.RL + BURST),
            ),
        ),
    ),
}


def play(build_root: Path, *, sim: str = "verilator") -> dict[str, list[dict[str, Any]]]:
    """Play every scene on the RTL of a small channel; give what stood at the PHY in each of its clocks.

    Raises
    ------
    SimulationError
        If a scene fails, or a rule of the device is broken.
    """
    with tempfile.TemporaryDirectory(prefix="openppu-") as name:
        folder = Path(name)
        emit(Channel(ChannelConfig(**CONFIG)), top="channel", config=load("tiny")).write(folder / "channel.v")
        simulate(
            folder / "channel.v",
            top="channel",
            test_module="openppu_verif.hbm.test_timing",
            build_root=build_root,
            sim=sim,
            parameters={"config": CONFIG, "build_root": str(build_root.absolute()), "scenes": name},
        )
        return {scene: json.loads((folder / f"{scene}.json").read_text(encoding="utf-8")) for scene in PICTURES}


def wave(picture: Picture, clocks: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The WaveJSON of a scene.

    Raises
    ------
    ValueError
        If a distance is not the one of its rule.
    """
    events = [each for each in _events(clocks) if each.pc in picture.pcs]
    first = events[0].ck // 2 * 2 - 2
    events = [
        each._replace(ck=each.ck - first)
        for each in events
        if picture.until is None or each.ck - first <= picture.until
    ]
    spans = [(span, _find(events, span.start), _find(events, span.end)) for span in picture.spans]
    for span, start, end in spans:
        if not span.clocks <= end - start <= span.clocks + span.slack:
            raise ValueError(f"{picture.title}: {span.rule} is {span.clocks} CK, but {end - start} were seen")
    last = max(each.ck + each.width for each in events) + AFTER
    column = _columns({each.ck + extra for each in events for extra in range(each.width + 1)}, last)
    lanes: list[dict[str, Any]] = [_numbers(column)]
    lines = {
        "row bus": [each for each in events if each.name in ROWS],
        "column bus": [each for each in events if each.name[:2] in ("RD", "WR")],
    }
    for kind in ("write", "read"):
        for pc in picture.pcs:
            lines[f"{kind} words, PC {pc}"] = [each for each in events if (each.pc, each.name) == (pc, kind)]
    lanes += [_lane(name, column, own) for name, own in lines.items() if own]
    edges = []
    for number, (span, start, end) in enumerate(spans):
        left, right = "ABCDEFGH"[number], "IJKLMNOP"[number]  # WaveDrom shows small letters
        places = ["."] * len(column)
        places[column.index(start)], places[column.index(end)] = left, right
        lanes.append({"node": "".join(places)})
        exactly = "" if end - start == span.clocks else f", here {end - start}"
        edges.append(f"{left}<->{right} {span.rule} = {span.clocks}{exactly}")
    return {"signal": lanes, "edge": edges, "head": {"text": picture.title}, "config": {"hscale": 1}}


def _events(clocks: Sequence[dict[str, Any]]) -> list[Event]:
    events: list[Event] = []
    for number, clock in enumerate(clocks):
        for slot, name, pc, bank in clock["commands"]:
            text, width = f"{name} {bank}", 2 if name in TWO_SLOTS else 1
            events.append(Event(2 * number + slot, width, pc, name, text if len(text) <= 5 * width else name))
        for kind in ("write", "read"):
            events += [Event(2 * number, 2, pc, kind, "word") for pc in (0, 1) if clock[f"{kind}_valid"] >> pc & 1]
    return sorted(events)


def _find(events: Sequence[Event], end: End) -> int:
    name, number, *pcs = end
    pc = pcs[0] if pcs else 0
    return [each.ck for each in events if each.pc == pc and each.name.removesuffix("A") == name][number]


def _columns(shown: set[int], last: int) -> list[int | None]:
    """The CK of each column; None stands for columns that are left out."""
    columns: list[int | None] = []
    for ck in range(last):
        if ck in shown or ck == 0 or ck == last - 1:
            columns.append(ck)
        elif columns[-1] is not None:
            columns.append(None)
    return columns


def _numbers(column: Sequence[int | None]) -> dict[str, Any]:
    wave = "".join("|" if ck is None else "=" for ck in column)
    return {"name": "CK", "wave": wave, "data": [str(ck) for ck in column if ck is not None]}


def _lane(name: str, column: Sequence[int | None], events: Sequence[Event]) -> dict[str, Any]:
    starts = {each.ck: each for each in events}
    wave, busy, before = "", 0, ""
    for ck in column:
        if ck in starts:
            busy = starts[ck].width
            state = COLOURS[starts[ck].pc]
        else:
            state = "|" if ck is None else "." if busy > 0 else "z"
        wave += "." if state == before == "z" else state
        before = state if state != "." else before
        busy -= 1
    return {"name": name, "wave": wave, "data": [each.text for each in events]}


def draw(source: dict[str, Any]) -> str:
    """The picture of a WaveJSON source, as SVG, without the shapes that it does not use."""
    # Imported here: it comes with an extra of its own.
    import wavedrom

    text: str = wavedrom.render(json.dumps(source)).tostring()
    used = set(re.findall(r'xlink:href="#([^"]+)"', text))
    shapes, end, rest = text.partition("</defs>")
    shapes = re.sub(r'<g id="([^"]+)">.*?</g>', lambda found: found[0] if found[1] in used else "", shapes)
    return shapes + end + rest + "\n"


def main() -> int:
    """Play the scenes on the RTL, and write the pictures and their WaveJSON sources."""
    parser = Parser(prog=COMMAND, description=main.__doc__)
    parser.add_argument("--build-dir", type=Path, default=Path("build"), help="default: build")
    parser.add_argument("--output", type=Path, default=FOLDER, help=f"default: {FOLDER}")
    args = parser.parse_args()
    make_folder(args.output)
    for name, clocks in play(args.build_dir).items():
        source = wave(PICTURES[name], clocks)
        path = args.output / f"{PREFIX}{name}"
        path.with_suffix(".json").write_text(json.dumps(source, indent=1) + "\n", encoding="utf-8")
        path.with_suffix(".svg").write_text(draw(source), encoding="utf-8")
        print(f"Wrote {path}.json and {path}.svg")
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
