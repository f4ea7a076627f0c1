"""Proofs on the whole tile, of which only the array is cut out: commands, handshakes, streams, counters."""

from amaranth import Cat, Module, Signal, Value
from openppu.common.counters import COUNTER_BITS
from openppu.formats.spec import FORMATS
from openppu.tile.array import Array
from openppu.tile.command import Addend
from openppu.tile.tile import Tile
from openppu_sim.cycles.tile import Cause

from openppu_verif.formal.harness import Harness
from openppu_verif.formal.parts import SMALL
from openppu_verif.formal.probe import Probe


class WholeTile(Harness):
    """A tile with free inputs, and any sums from the array.

    Attributes
    ----------
    tile : Tile
    probe : Probe
        Of the tile.
    runs, refused : Signal
        A command is taken that can be run, or that cannot.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tile = Tile(SMALL)
        self.probe = Probe(self.tile)
        self.probe.replace(Array, lambda array: Module())
        self.m.submodules.tile = self.probe.fragment
        for name in ("commands", "activations", "weights", "addends"):
            self.source(name, getattr(self.tile, name))
        self.drive(sums=self.probe.part("array").partials_next)
        for name in ("activation_requests", "weight_requests", "results"):
            self.drive(**{f"{name}_ready": getattr(self.tile, name).ready})

        self.runs, self.refused = taken_commands(self.m, self.tile)


def taken_commands(m: Module, tile: Tile) -> tuple[Signal, Signal]:
    """A command is taken that can be run, or that cannot."""
    command = tile.commands.payload
    taken = tile.commands.valid & tile.commands.ready
    legal, runs, refused = Signal(name="legal"), Signal(name="runs"), Signal(name="refused")
    m.d.comb += [
        legal.eq(
            Cat(command[name] != 0 for name in ("m", "n_blocks", "k_blocks", "k_last")).all()
            & (command.k_last <= tile.config.rows)
            & (command.addend.as_value() <= 2)
            & Cat(command.format == FORMATS[name].code for name in tile.config.formats).any()
        ),
        runs.eq(taken & legal),
        refused.eq(taken & ~legal),
    ]
    return runs, refused


def handshakes() -> Harness:
    """Whatever enters the tile goes, in that cycle, to the one place where it is needed, and nothing else enters.

    A command to both fetchers; a row of weights to its tag; a row's tag, activations and addend to the array; a result
    to the drain, and from its accumulators to the stream.
    """
    h = WholeTile()
    tile, probe = h.tile, h.probe
    issue, drain = probe.part("issue"), probe.part("draining")
    fetch = {name: probe.part(f"{name}_fetch") for name in ("activation", "weight")}
    for name, part in fetch.items():
        requests = getattr(tile, f"{name}_requests")
        h.check((part.commands.valid & part.commands.ready) == h.runs)
        h.check(part.commands.payload.as_value() == tile.commands.payload.as_value(), when=h.runs)
        h.check((part.requests.valid & part.requests.ready) == (requests.valid & requests.ready))
        h.check(part.requests.payload == requests.payload, when=requests.valid)

    tags = fetch["weight"].tags
    h.check((tile.weights.valid & tile.weights.ready) == (tags.valid & tags.ready))

    row = fetch["activation"].tags.payload
    issued = fetch["activation"].tags.valid & fetch["activation"].tags.ready
    h.check(
        issued == (issue.rows.valid & issue.rows.ready), issued == (tile.activations.valid & tile.activations.ready)
    )
    h.check(issue.rows.payload.as_value() == row.as_value(), when=issue.rows.valid)
    h.check((tile.addends.valid & tile.addends.ready) == (issued & (row.source == Addend.STREAM)))

    h.check(drain.issued == (issued & row.emit), (issue.drained == drain.read))
    h.check((drain.row == row.row) & (drain.last == row.last), when=drain.issued)
    h.check(issue.drained_row == drain.read_row, when=drain.read)
    h.check((drain.valid & drain.ready) == (tile.results.valid & tile.results.ready))
    h.check(tile.results.payload.last == drain.result_last, when=drain.valid)
    for column in range(SMALL.columns):
        accumulator = probe.part(f"accumulator_{column}")
        h.check(accumulator.drain == drain.read, tile.results.payload.row[column] == accumulator.drained)
        h.check(accumulator.drain_row == drain.read_row, when=drain.read)
    return h


def streams() -> Harness:
    """What the tile offers on a stream waits unchanged until it is taken."""
    h = WholeTile()
    for name in ("activation_requests", "weight_requests", "results"):
        h.check_waits(name, getattr(h.tile, name))
    return h


def counters() -> Harness:
    """From any state, each counter counts what the ports show, modulo 2**32; a cycle has one cause."""
    h = WholeTile()
    # Invariant: what happened in the last cycle is what is being counted.
    for name, happened in check_counters(h, h.tile, runs=h.runs, refused=h.refused).items():
        h.check(h.probe.signal("counting", f"{name}_before") == happened)
    return h


def check_counters(h: Harness, tile: Tile, *, runs: Value, refused: Value) -> dict[str, Signal]:
    """Assert that a tile's counters count what its ports show, one cycle later; give what they count now."""
    events = {
        **{cause.name.lower(): Value.cast(tile.cause) == int(cause) for cause in Cause},
        "commands": runs,
        "refused": refused,
        "results": tile.results.valid & tile.results.ready,
    }
    happened = {name: Signal(name=f"happened_{name}") for name in events}
    for name, event in events.items():
        count = tile.counters[name]
        expected = Signal(COUNTER_BITS, name=f"expected_{name}")
        h.m.d.sync += [happened[name].eq(event), expected.eq(count + happened[name])]
        h.check(count == expected)
    h.check(Value.cast(tile.cause) < len(Cause))
    return happened
