"""Beats that follow each other in memory, taken together."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.memory import ADDRESS_BITS, WORD_BYTES

BLOCK_BYTES = 256
"""A granule of the memory: what is cheapest to ask for at once."""

PATIENCE = 128
"""Cycles: longer than most gaps that flits, and packets for others, leave between the beats of a stream."""


def checked_beat(name: str, beat_bytes: int) -> int:
    """The bytes of a beat.

    Raises
    ------
    ValueError
        If they are no power of two from 2 to 1,024.
    """
    if not 2 <= beat_bytes <= 1024 or beat_bytes.bit_count() != 1:
        raise ValueError(f"{name} beat_bytes = {beat_bytes}: give a power of two from 2 to 1024")
    return beat_bytes


def checked_block(name: str, block_bytes: int) -> int:
    """The bytes of a block.

    Raises
    ------
    ValueError
        If they are no power of two from a word to `BLOCK_BYTES`.
    """
    if not WORD_BYTES <= block_bytes <= BLOCK_BYTES or block_bytes.bit_count() != 1:
        raise ValueError(f"{name} block_bytes = {block_bytes}: give a power of two from {WORD_BYTES} to {BLOCK_BYTES}")
    return block_bytes


def beats_of_block(beat_bytes: int, block_bytes: int) -> int:
    """The beats of a block, at least one."""
    return max(1, block_bytes // beat_bytes)


def place_layout() -> data.StructLayout:
    """Where a beat is, in bytes, a multiple of a beat; behind the ``last`` no more are to be waited for."""
    return data.StructLayout({"address": ADDRESS_BITS, "last": 1})


def run_layout(places: int) -> data.StructLayout:
    """Beats ``first`` to ``last`` of the block of ``places`` beats that begins at ``address``."""
    return data.StructLayout({"address": ADDRESS_BITS, "first": range(places), "last": range(places)})


class BeatRuns(wiring.Component):
    """Gathers beats, each right behind the one before, into runs that stay within an aligned block.

    A run ends with its block, when a beat goes elsewhere, when none comes in the cycle behind a ``last`` one, or in
    ``patience`` cycles.

    Latency: 1 cycle from a run's last beat, and ``patience`` more if nothing else ends it. Throughput: a beat a cycle.

    Parameters
    ----------
    beat_bytes : int, a power of two
    block_bytes : int, a power of two from 32 to 256
        Of a block, unless a beat has more.
    patience : int
        Cycles for which a run waits for more.

    Members
    -------
    beats : In(stream of place_layout())
    runs : Out(stream of run_layout)
    gathering : Out(1)
        There are beats of a run that has not been taken.
    """

    def __init__(self, *, beat_bytes: int, block_bytes: int = BLOCK_BYTES, patience: int = PATIENCE):
        self.beat_bytes = checked_beat("BeatRuns", beat_bytes)
        self.places = beats_of_block(beat_bytes, checked_block("BeatRuns", block_bytes))
        self.patience = patience
        super().__init__(
            {
                "beats": In(stream.Signature(place_layout())),
                "runs": Out(stream.Signature(run_layout(self.places))),
                "gathering": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        places = self.places
        low = (self.beat_bytes - 1).bit_length()
        high = low + (places - 1).bit_length()
        given, run = self.beats.payload, self.runs.payload
        place = Signal(range(places))
        full, ended, offered, joins, takes, goes = (
            Signal(name=name) for name in ("full", "ended", "offered", "joins", "takes", "goes")
        )
        waited = Signal(range(self.patience + 1))
        m.d.comb += [
            place.eq(given.address[low:high]),
            full.eq(run.last == places - 1),
            joins.eq(
                self.beats.valid
                & self.gathering
                & ~offered
                & ~full
                & (given.address[high:] == run.address[high:])
                & (place == (run.last + 1)[: len(place)])
            ),
            self.runs.valid.eq(
                self.gathering & (offered | (~joins & (full | ended | self.beats.valid | (waited == self.patience))))
            ),
            goes.eq(self.runs.valid & self.runs.ready),
            self.beats.ready.eq(~self.gathering | joins | goes),
            takes.eq(self.beats.valid & self.beats.ready),
        ]
        # What has been offered stays as it is.
        m.d.sync += [offered.eq(self.runs.valid & ~goes), waited.eq(Mux(waited == self.patience, waited, waited + 1))]
        with m.If(goes):
            m.d.sync += self.gathering.eq(0)
        with m.If(takes):
            m.d.sync += [self.gathering.eq(1), run.last.eq(place), ended.eq(given.last), waited.eq(0)]
            with m.If(~joins):
                m.d.sync += [run.address.eq(given.address[high:] << high), run.first.eq(place)]
        return m


def request_words(m, requests, run, beat_bytes: int, *, when):
    """Offer a request for the words of a run from the cycle after ``when`` on; returns their number less one."""
    if beat_bytes <= WORD_BYTES:
        low = (WORD_BYTES // beat_bytes).bit_length() - 1
        first, last = run.first[low:], run.last[low:]
    else:
        words = beat_bytes // WORD_BYTES
        first, last = run.first * words, run.last * words + (words - 1)
    with m.If(requests.ready):
        m.d.sync += requests.valid.eq(0)
    with m.If(when):
        m.d.sync += [
            requests.valid.eq(1),
            requests.payload.address.eq(run.address + first * WORD_BYTES),
            requests.payload.last.eq(last - first),
        ]
    return last - first
