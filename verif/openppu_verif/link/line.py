"""The far end of a SerDes, in Python: the lanes of one direction as bits, with everything that goes wrong on them."""

import random
from collections import deque
from dataclasses import dataclass, field


@dataclass
class Lane:
    """One lane: which one it arrives as, how many bits later, inverted or not, and what becomes of it."""

    arrives_as: int
    delay: int
    inverted: bool = False
    error_rate: float = 0.0
    alive: bool = True
    """There is a signal."""
    stuck: bool = False
    """The signal is told to be there, but all words are alike."""
    noise: bool = False
    """The words are random."""
    sent: deque[int] = field(default_factory=deque)


class Line:
    """Words of all lanes go in, and come out cut at other bits, on other lanes, later.

    Parameters
    ----------
    lanes, bits : int
    seed : int
        Of the errors, and of the lanes' places, polarities and delays.
    skew : int
        Bits that lanes are apart, at most.
    delay : int
        Words of the fastest lane.
    shuffle : bool
        Lanes arrive in another order, some inverted, with other delays; else all alike, cut at the right bit.
    """

    def __init__(self, lanes: int, bits: int, *, seed: int = 0, skew: int = 0, delay: int = 1, shuffle: bool = True):
        self.bits = bits
        self.chance = random.Random(seed)
        places = list(range(lanes))
        if shuffle:
            self.chance.shuffle(places)
        self.lanes = [
            Lane(place, delay * bits + (self.chance.randrange(skew + 1) if shuffle else 0)) for place in places
        ]
        for lane in self.lanes:
            lane.inverted = shuffle and self.chance.random() < 0.5
        self.flipped = 0
        """Bits that were inverted by errors."""

    def clock(self, words: int, idle: int) -> tuple[int, int, int]:
        """The words sent in this clock, and which lanes rest, to words, valid bits and signals."""
        out = valid = signal = 0
        mask = (1 << self.bits) - 1
        for number, lane in enumerate(self.lanes):
            word = words >> number * self.bits & mask
            if lane.error_rate:
                errors = self._errors(lane.error_rate)
                self.flipped += errors.bit_count()
                word ^= errors
            lane.sent.appendleft(word ^ (mask if lane.inverted else 0))
            whole, part = divmod(lane.delay, self.bits)
            while len(lane.sent) < whole + 2:
                lane.sent.append(self.chance.getrandbits(self.bits))
            while len(lane.sent) > whole + 2:
                lane.sent.pop()
            # Later by some bits: its lowest bits are the last ones of the word before.
            word = (
                (lane.sent[whole] << self.bits | lane.sent[whole + 1]) >> self.bits - part & mask
                if part
                else lane.sent[whole]
            )
            if lane.noise:
                word = self.chance.getrandbits(self.bits)
            if lane.stuck or idle >> number & 1 or not lane.alive:
                word = 0
            out |= word << lane.arrives_as * self.bits
            valid |= 1 << lane.arrives_as
            signal |= (lane.alive and not idle >> number & 1) << lane.arrives_as
        return out, valid, signal

    def _errors(self, rate: float) -> int:
        # The chance that a word is right is taken first: nearly all are.
        if self.chance.random() < (1 - rate) ** self.bits:
            return 0
        while True:
            errors = sum((self.chance.random() < rate) << bit for bit in range(self.bits))
            if errors:
                return errors
