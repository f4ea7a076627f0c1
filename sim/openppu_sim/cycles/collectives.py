"""Clocks of an all-reduce on collective engines, in closed form: docs/collectives.md derives it."""

from dataclasses import dataclass

from openppu.link.collective.config import CollectiveConfig
from openppu.link.config import HEADER_BYTES

FIRST_WORD = 5
"""Clocks from the program's first instruction to the first word on a port, beside those of memory."""

INTO_UNIT = 1
"""From a word's coming to its being an operand."""

UNIT_OF_4 = 12
UNIT_OF_2 = 8
"""From operands to sums."""

OUT = 2
"""From sums to a port."""

THROUGH_MEMORY = 4
"""From a beat's being taken by memory to its leaving on another port, beside memory's own clocks."""

DONE = 2
"""From the last write's being done to the program's end."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What is about the engines, in link clocks.

    Parameters
    ----------
    hop : float
        From a word's leaving an engine to its coming to the next one.
    rate : float
        Bytes of packets that a port moves a clock.
    read, write : float
        From an address to its beat; from a beat to the word that it is in memory.
    """

    hop: float
    rate: float
    read: float
    write: float


def carried(size: float, config: CollectiveConfig, timing: Timing, *, comes: float = 1.0) -> float:
    """Clocks in which a port moves so many bytes of data.

    A packet has the beats that are there when it begins, up to ``config.packet``: the first has one, the next ones what
    has come in the meantime, ``comes`` beats a clock.
    """
    beat = config.beat_bytes
    count, clocks, there = -(-size // beat), 0.0, 1.0
    while count > 0:
        beats = min(count, config.packet, max(int(there), 1))
        time = max((beats * beat + HEADER_BYTES) / timing.rate, beats)
        there += time * comes - beats
        clocks, count = clocks + time, count - beats
    return clocks


def all_reduce_clocks(algorithm: str, ranks: int, size: int, config: CollectiveConfig, timing: Timing) -> float:
    """Clocks from the first rank's first instruction to the last one's end, of binary32 or int32.

    Parameters
    ----------
    algorithm : str
        one_shot, direct, ring.
    size : int
        Bytes of the vector.

    Raises
    ------
    ValueError
        If the algorithm is another one.
    """
    begin = FIRST_WORD + timing.read
    end = timing.write + DONE
    unit = UNIT_OF_4 if ranks <= 4 else UNIT_OF_4 + UNIT_OF_2
    beat = config.beat_bytes
    part = -(-size // (beat * ranks)) * beat
    if algorithm == "one_shot":
        return begin + timing.hop + INTO_UNIT + unit + carried(size, config, timing) - 1 + end
    if algorithm == "direct":
        busy = carried(part, config, timing)
        first_sum = timing.hop + INTO_UNIT + unit + OUT
        # Sums come as fast as what they are made of; if they come before the port is free, they have piled up by then.
        comes = part / beat / busy if first_sum > busy else part
        again = carried(part, config, timing, comes=comes)
        return begin + ranks - 2 + max(busy, first_sum) + again + timing.hop + end
    if algorithm == "ring":
        busy = carried(-(-part // (2 * beat)) * beat, config, timing)
        copy = timing.hop + timing.write + THROUGH_MEMORY + timing.read
        reduce = copy + INTO_UNIT + UNIT_OF_4
        return begin + (ranks - 1) * max(busy, reduce) + (ranks - 2) * max(busy, copy) + busy + timing.hop + end
    raise ValueError(f"algorithm = {algorithm}: the closed form has one_shot, direct, ring")
