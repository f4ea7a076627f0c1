"""What `openppu_verif.mutation` needs to know of the tile."""

from pathlib import Path

from openppu.config import load
from openppu.tile.tile import Tile
from openppu_sim.simulator.tile import BENCH, TOP, emit_tile
from openppu_sim.simulator.verilator import build

from openppu_verif.formal.harness import Harness
from openppu_verif.formal.whole_tile import check_counters, taken_commands
from openppu_verif.mutation.claims import mutated
from openppu_verif.mutation.netlist import Area
from openppu_verif.mutation.score import Notice, Subject
from openppu_verif.tile.regression import play, predict, scenarios

MUTATED_TILE = (
    "tile.rows=3",
    "tile.columns=2",
    "tile.accumulators=16",
    "tile.outstanding=3",
    "tile.address_bits=8",
    "tile.count_bits=4",
)
"""What the tile under mutation changes of the preset ``tiny``: all formats, and few cells."""

AREAS = (
    Area("weight fetch", "c:*weight_fetch.*", 0.1),
    Area("activation fetch", "c:*activation_fetch.*", 0.1),
    Area("issue", "c:*issue.*", 0.1),
    Area("drain", "c:*draining.*", 0.1),
    Area("between the parts", "c:* c:$flatten* %d", 0.1),
    Area("counters", "c:*counting.*", 0.1),
    Area("edges", "c:*_edge.*", 0.1),
    Area("accumulators", "c:*accumulator_* c:*addend_line_* %u", 0.1),
    Area("cells", "c:*array.*", 0.2),
)
"""Control, counters and data path, whatever their sizes."""


def tile_subject() -> Subject:
    """A small tile: the scenarios of `openppu_verif.tile.regression`, and the proof of its counters."""
    return Subject(
        top=TOP,
        areas=AREAS,
        emit=lambda folder: emit_tile(load("tiny", MUTATED_TILE), folder),
        tests=tile_tests,
        claims={"counters": counters},
    )


def tile_tests(netlist: Path, build_root: Path) -> Notice:
    """The scenarios, on a model of the netlist."""
    config = load("tiny", MUTATED_TILE).tile
    executable = build([netlist], TOP, build_root, cpp_main=BENCH, defines={"MUTANTS": "1"})
    work = [(scenario, predict(scenario.case, config)) for scenario in scenarios(config)]

    def notice(number: int) -> str | None:
        for place, (scenario, prediction) in enumerate(work):
            if problem := play(executable, config, scenario, prediction, mutant=number):
                work.insert(0, work.pop(place))  # what noticed one is likely to notice the next
                return f"{scenario.label}: {problem}"
        return None

    return notice


def counters() -> Harness:
    """The proof of the counters, at their full 32 bits, which no simulation reaches."""
    h = Harness()
    tile = Tile(load("tiny", MUTATED_TILE).tile)
    h.m.submodules.tile = mutated(h, tile, TOP)
    for name in ("commands", "activations", "weights", "addends"):
        h.source(name, getattr(tile, name))
    for name in ("activation_requests", "weight_requests", "results"):
        h.drive(**{f"{name}_ready": getattr(tile, name).ready})
    runs, refused = taken_commands(h.m, tile)
    check_counters(h, tile, runs=runs, refused=refused)
    return h
