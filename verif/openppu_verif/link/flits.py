"""Finds the flits in what two ports sent each other, from `openppu_verif.link.native.run` with ``record``.

Written from docs/link.md, with the lanes of `openppu_sim.reference.link_lane` and the trailers of
`openppu_sim.reference.link_flit`. For one training without a wrong bit, lanes without skew that arrive as themselves,
and flits without FEC.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

import numpy as np
from openppu.link.config import CRC_FIELD_BYTES, LinkConfig
from openppu_sim.errors import SimulationError
from openppu_sim.reference.link_flit import FLIT_BYTES, Trailer
from openppu_sim.reference.link_lane import FIELDS, MASK, SKIP_INTERVAL, SYNC, scrambling

from openppu_verif.link.native import Run

BLOCK_BITS = 128
SYNC_BITS = 64
KEY_BITS = 1 << 21
"""Of each lane's scrambling: enough for runs of 130,000 clocks with 16 bits a lane."""


@dataclass(frozen=True, kw_only=True)
class Flit:
    """A flit as it was sent, and whether it arrived without a wrong bit. The zeros behind the CRC do not count.

    Parameters
    ----------
    begins, ends : int
        Clocks in which its first and last words were sent.
    tells : int
        The clock in which the first word of its trailer was.
    arrives : int
        The clock in which its last word was received.
    """

    begins: int
    ends: int
    tells: int
    arrives: int
    right: bool
    payload: bytes
    trailer: Trailer
    check: int
    """The CRC's field."""


@lru_cache(maxsize=16)
def _keys(lane: int, bits: int) -> np.ndarray:
    """What a lane's data words are XORed with."""
    stream = np.zeros(KEY_BITS, dtype=np.uint8)
    start = 23
    stream[:start] = list(islice(scrambling(lane), start))
    # A recurrence over the bits also holds with all distances doubled, and so on: more and more bits at a time.
    taps, known = np.array([2, 5, 8, 16, 21, 23]), start
    while known < KEY_BITS:
        scale = 1
        while 2 * scale * taps[-1] <= known:
            scale *= 2
        more = min(scale * int(taps[0]), KEY_BITS - known)
        places = known + np.arange(more)
        stream[known : known + more] = np.bitwise_xor.reduce([stream[places - scale * tap] for tap in taps])
        known += more
    words = stream[: KEY_BITS - KEY_BITS % bits].reshape(-1, bits // 8, 8)
    return np.packbits(words, axis=2, bitorder="little")[:, :, 0]


@dataclass(frozen=True)
class _Start:
    """Where a lane's data begin: the clock behind the block that counts down to nothing, and the lane's place."""

    clock: int
    place: int


def _start(words: np.ndarray) -> _Start | None:
    """Where an active lane's data begin."""
    size = BLOCK_BITS // 8
    line = words.tobytes()
    sync = SYNC.to_bytes(SYNC_BITS // 8, "little")
    found = line.find(sync)
    while found >= 0:
        half = int.from_bytes(line[found + len(sync) : found + size], "little") ^ MASK
        fields, place = {}, 0
        for name, width in FIELDS.items():
            fields[name] = half >> place & (1 << width) - 1
            place += width
        if fields["start"] and fields["active"] and fields["countdown"] == 0:
            return _Start((found + size) // words.shape[1], fields["logical"])
        found = line.find(sync, found + 1)
    return None


def _data(words: bytes, config: LinkConfig) -> tuple[int, list[int], np.ndarray]:
    """The clock in which data begin, the lanes that carry them, in order, and their words from then on.

    Raises
    ------
    SimulationError
        If data never begin, or not on all lanes at once, or no power of two of lanes carries them.
    """
    lanes = np.frombuffer(words, dtype=np.uint8).reshape(-1, config.lanes, config.lane_bits // 8)
    starts = {lane: start for lane in range(config.lanes) if (start := _start(lanes[:, lane]))}
    order = sorted(starts, key=lambda lane: starts[lane].place)
    clocks = {start.clock for start in starts.values()}
    if len(clocks) != 1 or [starts[lane].place for lane in order] != list(range(len(order))):
        raise SimulationError(f"data of the lanes begin so: {starts}")
    (clock,) = clocks
    return clock, order, lanes[clock:, order]


def flits(done: Run, side: str) -> list[Flit]:
    """Those that a side sent and that had the time to arrive, in order.

    Raises
    ------
    SimulationError
        If data never begin on a lane, or not on all at once.
    """
    config, far = done.config, "b" if side == "a" else "a"
    start, lanes, sent = _data(done.words[side, "sent"], config)
    arrival, same, came = _data(done.words[far, "received"], config)
    if lanes != same:
        raise SimulationError(f"lanes {lanes} from {side} arrive as {same}")
    index = np.arange(min(len(sent), len(came)))
    index = index[index % SKIP_INTERVAL != SKIP_INTERVAL - 1]
    keys = np.stack([_keys(lane, config.lane_bits)[: len(index)] for lane in lanes], axis=1)
    plain, wrong = sent[index] ^ keys, sent[index] ^ came[index]
    clocks = FLIT_BYTES // plain[0].size
    size, seen = config.payload_bytes, config.crc_place + config.crc_bits // 8
    found = []
    for first in range(0, len(index) - clocks + 1, clocks):
        here = index[first : first + clocks]
        whole = plain[first : first + clocks].tobytes()
        found.append(
            Flit(
                begins=int(start + here[0]),
                ends=int(start + here[-1]),
                tells=int(start + here[size // plain[0].size]),
                arrives=int(arrival + here[-1]),
                right=not wrong[first : first + clocks].reshape(-1)[:seen].any(),
                payload=whole[:size],
                trailer=Trailer.from_bytes(whole[size : size + 6]),
                check=int.from_bytes(whole[config.crc_place : config.crc_place + CRC_FIELD_BYTES], "little"),
            )
        )
    return found
