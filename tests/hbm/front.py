"""What the front of a channel is held against: a pseudo-channel that does its work in any order, and a scoreboard."""

import random
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from openppu.hbm.config import GRANULE, ChannelConfig
from openppu.hbm.settings import Settings
from places import split

FULL_MASK = (1 << 32) - 1

Place = tuple[int, int, int, int]
"""PC, row, bank, column."""


def initial(place: Place) -> int:
    """What the memory holds before anything is written: something else everywhere."""
    return random.Random(hash(place)).getrandbits(256)


def is_bad(place: Place) -> bool:
    """Whether the memory reports an error there: at a few places, always."""
    return sum(place) % 29 == 3


def blend(new: int, old: int, mask: int) -> int:
    """Bytes of ``new`` where the mask is set, else of ``old``."""
    if mask == FULL_MASK:
        return new
    return sum((new if mask >> byte & 1 else old) & 0xFF << 8 * byte for byte in range(32))


class PseudoChannel:
    """Takes entries; keeps order between those that touch each other by keeping it between writes and all else.

    Reads are answered in any order, their words one by one, in order within an entry.
    """

    def __init__(self, number: int, chance: random.Random, rate: float, delay: int) -> None:
        self.number, self.chance, self.rate, self.delay = number, chance, rate, delay
        self.memory: dict[Place, int] = {}
        self.entries: deque[dict[str, Any]] = deque()
        self.answers: list[dict[str, Any]] = []
        self.slots: set[tuple[int, int]] = set()

    def place(self, entry: Any, word: int) -> Place:
        """Of a word of an entry."""
        return self.number, entry.place.row, entry.place.bank, entry.place.column + word

    @property
    def wants(self) -> bool:
        """A write that was taken misses words."""
        return any(item["entry"].write and len(item["words"]) <= item["entry"].last for item in self.entries)

    def accept(self, entry: Any, cycle: int) -> None:
        """Take an entry."""
        if not entry.write:
            slot = entry.port, entry.slot
            assert slot not in self.slots, f"slot {slot} is given to a second read"
            self.slots.add(slot)
        self.entries.append({"entry": entry, "cycle": cycle, "words": []})
        self.settle()

    def word(self, word: int, mask: int) -> None:
        """Take the next word of the oldest write that misses some."""
        item = next(i for i in self.entries if i["entry"].write and len(i["words"]) <= i["entry"].last)
        item["words"].append((word, mask))
        self.settle()

    def settle(self) -> None:
        """Do all work, in order, up to a write that misses words."""
        while self.entries:
            item = self.entries[0]
            entry = item["entry"]
            if entry.write:
                if len(item["words"]) <= entry.last:
                    return
                assert entry.masked == any(mask != FULL_MASK for _, mask in item["words"])
                for number, (word, mask) in enumerate(item["words"]):
                    place = self.place(entry, number)
                    self.memory[place] = blend(word, self.memory.get(place, initial(place)), mask)
            else:
                places = [self.place(entry, number) for number in range(entry.last + 1)]
                values = [(self.memory.get(place, initial(place)), is_bad(place)) for place in places]
                self.answers.append({"entry": entry, "values": values, "next": 0, "cycle": item["cycle"]})
            self.entries.popleft()

    def answer(self, cycle: int) -> tuple[int, dict[str, Any]] | None:
        """Port and what returns to it in this cycle, if anything."""
        able = [item for item in self.answers if item["cycle"] + self.delay <= cycle]
        if not able or self.chance.random() >= self.rate:
            return None
        # At full rate in the order of the reads, so that one is complete before the next begins.
        item = able[0] if self.rate == 1 else self.chance.choice(able)
        entry, word = item["entry"], item["next"]
        value, bad = item["values"][word]
        item["next"] += 1
        last = word == entry.last
        if last:
            self.answers.remove(item)
            self.slots.remove((entry.port, entry.slot))
        column = (entry.place.column + word) % GRANULE
        fields = {"valid": 1, "slot": entry.slot, "word": column, "last": last, "error": bad, "data": value}
        return entry.port, fields


@dataclass
class Expected:
    """What must come of one port's requests."""

    entries: tuple[list[Any], list[Any]] = field(default_factory=lambda: ([], []))
    words: list[tuple[int, int]] = field(default_factory=list)
    beats: dict[int, deque[tuple[int, bool, bool, bool]]] = field(default_factory=dict)
    """By tag: data, last of the request, error, last of its granule."""
    acknowledges: deque[tuple[int, bool, tuple[int, int]]] = field(default_factory=deque)
    """Tag, error, and how many write entries each PC must have taken by then."""


def expect(
    config: ChannelConfig,
    settings: Settings,
    requests: list[dict[str, int]],
    chance: random.Random,
    memory: dict[Place, int],
) -> Expected:
    """Carry out requests in order."""
    result = Expected()
    of = config.organisation
    capacity = 2 * of.banks * of.rows * of.columns
    writes = [0, 0]
    for request in requests:
        addresses = range(request["address"], request["address"] + request["last"] + 1)
        refused = addresses[-1] >= capacity
        data = []
        for address in addresses if request["write"] else ():
            mask = FULL_MASK if (address >> 3) % 3 else chance.getrandbits(32)
            data.append((chance.getrandbits(256), mask))
        result.words += data
        beats = result.beats.setdefault(request["tag"], deque())
        pieces: list[Any] = []
        for address in addresses:
            end = address == addresses[-1]
            piece_end = end or address % GRANULE == GRANULE - 1
            if refused:
                if not request["write"]:
                    beats.append((0, end, True, piece_end))
                continue
            pc, fields = split(address, config.height, settings.mapping, settings.hash_banks)
            place = (pc, fields["row"], fields["bank"], fields["column"])
            if address == addresses[0] or address % GRANULE == 0:
                pieces.append([pc, fields, 0, False])
                writes[pc] += request["write"]
            pieces[-1][2] += 1
            if request["write"]:
                word, mask = data[address - addresses[0]]
                memory[place] = blend(word, memory.get(place, initial(place)), mask)
                pieces[-1][3] |= mask != FULL_MASK
            else:
                beats.append((memory.get(place, initial(place)), end, is_bad(place), piece_end))
        for pc, fields, count, masked in pieces:
            result.entries[pc].append((request["write"], masked, fields, count - 1))
        if request["write"]:
            result.acknowledges.append((request["tag"], refused, (writes[0], writes[1])))
    return result


class Responses:
    """Compares responses with those expected: in order within a tag, a granule at a time between them."""

    def __init__(self, expected: Expected) -> None:
        self.expected = expected
        self.within: int | None = None
        self.count = 0

    def check(self, beat: Any) -> None:
        """One beat."""
        assert self.within in (None, beat.tag), f"tag {beat.tag} in the middle of a granule of tag {self.within}"
        data, last, bad, piece_end = self.expected.beats[beat.tag].popleft()
        assert (beat.last, beat.error) == (last, bad), f"beat {self.count} of tag {beat.tag}"
        assert beat.data == data, f"beat {self.count} of tag {beat.tag}: {beat.data:#x}, not {data:#x}"
        self.within = None if piece_end else beat.tag
        self.count += 1

    @property
    def done(self) -> bool:
        """Nothing is missing."""
        return not any(self.expected.beats.values())
