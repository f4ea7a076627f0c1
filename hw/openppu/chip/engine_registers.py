"""The registers of what the engines of a chip's compute units do: cycles by cause, and events."""

from collections.abc import Iterator

from amaranth.lib import data

from openppu.common.counters import COUNTER_BITS, counters_layout
from openppu.common.register_map import Register, field_registers
from openppu.common.unit_registers import unit_registers
from openppu.dma.cause import Cause as DmaCause
from openppu.tile.command import Cause as TileCause
from openppu.tile.counters import EVENTS
from openppu.vector.cause import Cause as VectorCause

ADDRESS_BITS = 8
"""Of an address in bytes."""

_COUNTS = 0x040

CAUSES = {"load": DmaCause, "store": DmaCause, "matmul": TileCause, "vector": VectorCause}
"""What a cycle of an engine goes to."""

_COPIES = {
    "memory": "memory does not take a request or a word, has not sent the next word, or is to acknowledge",
    "scratchpad": "the scratchpad does not take an access",
    "work": "a command is checked, walked through, its bytes are taken apart and put together, its end is told",
    "idle": "there is no command",
}
_MEANING = {
    "load": {"move": "a word of the scratchpad is written", **_COPIES},
    "store": {"move": "a word of memory is written", **_COPIES},
    "matmul": {
        "compute": "the tile issues a row",
        "weights": "a row waits for its block's weights",
        "addends": "a row waits for its addend",
        "output": "a row waits for its accumulator, whose result is not taken",
        "dependence": "a row waits for its accumulator",
        "activations": "activations are asked for and not there",
        "fill": "a command has come, and asks for nothing yet",
        "drain": "results are on their way",
        "idle": "the tile has nothing to do",
        "commands": "commands of the tile",
        "refused": "commands that it refused",
        "results": "rows of results",
    },
    "vector": {
        "compute": "a row is issued",
        "dependence": "a row waits for what is not written yet",
        "input": "a row waits for a stream's element",
        "output": "a row waits for room in the queue of what is to be written",
        "sequence": "an instruction is fetched, or all that was written is waited for",
        "command": "a command is checked, done beside a run, or its end is told",
        "idle": "there is no command",
    },
}


def counts_layout() -> data.StructLayout:
    """The counters of a compute unit, by its engines."""
    events = {"matmul": EVENTS}
    return data.StructLayout({name: counters_layout(cause, events.get(name, ())) for name, cause in CAUSES.items()})


def strobes_layout() -> data.StructLayout:
    """What software starts."""
    return data.StructLayout({"freeze": 1})


def status_layout() -> data.StructLayout:
    """What software sees: of one compute unit, as it was when it was frozen."""
    return data.StructLayout({"clocks": COUNTER_BITS, "counts": counts_layout()})


def registers(units: int) -> tuple[Register, ...]:
    """All of them, for as many compute units."""
    return tuple(_registers(units))


def _registers(units: int) -> Iterator[Register]:
    yield from unit_registers(
        identity="ENG1",
        units=units,
        chosen="the one whose counters are taken",
        strobe="freeze",
        starts="1: take its counters, all in one clock; until then they are those taken before, or 0",
    )
    yield Register(
        name="clocks",
        offset=0x010,
        bits=COUNTER_BITS,
        source=("status", "clocks"),
        meaning="since the reset, modulo 2^32, as all counters: what the causes of each engine add up to",
    )
    offset = _COUNTS
    for engine, place in counts_layout():
        found = list(
            field_registers(
                place.shape,
                ("status", "counts", str(engine)),
                offset,
                _MEANING[engine].__getitem__,
                prefix=f"{engine}.",
            )
        )
        yield from found
        offset += 4 * len(found)
