"""Wrong words for random runs: of one kind a run, so that it can be said what must come of them."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from openppu_verif.hbm.native import Event

KINDS = {
    "none": ("lost word",),
    "secded": ("flipped bit", "wrong in memory", "stuck bit", "two bits", "lost word"),
    "symbol": ("flipped bit", "wrong in memory", "broken wire", "two symbols", "byte lane", "lost word"),
}
"""By the code: first what it corrects (wires that are wrong now and then, or broken for good, words that are wrong in
memory), then what it only finds."""

SPOIL = frozenset({"two bits", "two symbols", "byte lane", "lost word"})
"""Kinds that make a word wrong beyond correction."""

MOST = 40
SYMBOLS = 36
LANES = 9


@dataclass(frozen=True, kw_only=True)
class Faults:
    """What goes wrong in a run."""

    kind: str
    events: list[Event]

    @property
    def spoils(self) -> bool:
        """Words may come that are wrong beyond correction, and must be answered as such."""
        return self.kind in SPOIL


def wrong_words(rng: random.Random, ecc: str, addresses: range, clocks: int) -> Faults:
    """Up to 40 wrong words, all of one kind that the code has an answer to, in words read or at addresses."""
    kinds = KINDS[ecc]
    mild = [kind for kind in kinds if kind not in SPOIL]
    # Where errors are allowed, one that should not be there would go unseen: most runs have none.
    kind = rng.choice(mild if mild and rng.random() < 0.8 else [kind for kind in kinds if kind in SPOIL])
    count = rng.randrange(MOST) if mild or rng.random() < 0.3 else 0
    times = [rng.randrange(clocks) for _ in range(count)]

    def on_wires(bits: Callable[[], list[int]]) -> list[Event]:
        return [(at, "flip_reads", [rng.randrange(2), 0, 1, *bits()]) for at in times]

    def some_of_symbol(symbol: int) -> list[int]:
        places = _wire_bits(2 * symbol) + _wire_bits(2 * symbol + 1)
        return rng.sample(places, rng.randint(1, len(places)))

    def correctable() -> list[int]:
        return [rng.randrange(288)] if ecc == "secded" else some_of_symbol(rng.randrange(SYMBOLS))

    def two_of_a_beat() -> list[int]:
        beat = rng.randrange(4)
        return [64 * beat + bit if bit < 64 else 256 + 8 * beat + bit - 64 for bit in rng.sample(range(72), 2)]

    def two_symbols() -> list[int]:
        return [bit for symbol in rng.sample(range(SYMBOLS), 2) for bit in some_of_symbol(symbol)]

    words = rng.sample(addresses, count)
    events: list[Event] = []
    if kind == "flipped bit":
        events = on_wires(correctable)
    elif kind == "two bits":
        events = on_wires(two_of_a_beat)
    elif kind == "two symbols":
        events = on_wires(two_symbols)
    elif kind == "byte lane":
        events = [(at, "flip_lane", [rng.randrange(2), rng.randrange(LANES), 0, 1]) for at in times]
    elif kind == "lost word":
        events = [(at, "lose_strobes", [rng.randrange(2), 0, rng.choice((1, 1, 4))]) for at in times]
    elif kind == "broken wire":
        events = [(rng.randrange(clocks), "flip_reads", [pc, 0, 1 << 40, *correctable()]) for pc in range(2)]
    elif kind == "stuck bit":
        events = [
            (at, "stick_stored", [word, rng.randrange(288), rng.randrange(2)])
            for at, word in zip(times, words, strict=True)
        ]
    elif kind == "wrong in memory":
        events = [
            (at, "flip_stored", [word, bit]) for at, word in zip(times, words, strict=True) for bit in correctable()
        ]
    return Faults(kind=kind, events=events)


def _wire_bits(wire: int) -> list[int]:
    """What a wire carries in a burst: 0 to 63 of the data, 64 to 71 of the check bits."""
    return [64 * beat + wire if wire < 64 else 256 + 8 * beat + wire - 64 for beat in range(4)]
