"""A chip's memory at a port, in Amaranth's simulator."""

import random
from collections import deque
from typing import Any

from openppu_verif.ends import Put, Take


class MemoryModel:
    """Answers a port's requests after a while: in order within a tag, in any order between tags.

    Writes take effect when they are acknowledged, reads when they are answered, so that what is not ordered by answers
    comes in another order now and then.

    Parameters
    ----------
    port
        A `openppu.common.memory.MemorySignature`, from the user's side.
    chance : random.Random
    rate : float
        How often a stream's other side is ready, or something is offered.
    delay : int
        Cycles from a request to its answer: so many at least, twice as many at most.
    size : int, optional
        Bytes of the memory: what reaches beyond is answered with an error.
    """

    def __init__(
        self, port: Any, chance: random.Random, *, rate: float = 1.0, delay: int = 5, size: int | None = None
    ) -> None:
        self.chance, self.delay, self.size = chance, delay, size
        self.requests, self.words = Take(port.requests, chance, rate), Take(port.words, chance, rate)
        self.responses = Put(port.responses, chance, rate)
        self.acknowledges = Put(port.acknowledges, chance, rate)
        self.bytes: dict[int, int] = {}
        self.bad: set[int] = set()
        """Words, by the address of their first byte, that are read with an error."""
        self.read: set[int] = set()
        self.written: set[int] = set()
        """Words that were read or written, likewise."""
        self.cycle = 0
        self._writes: deque[dict[str, Any]] = deque()
        self._waiting: dict[int, deque[dict[str, Any]]] = {}

    def load(self, address: int, data: bytes) -> None:
        """Put bytes there."""
        self.bytes.update(enumerate(data, start=address))

    def dump(self, address: int, count: int) -> bytes:
        """The bytes there; zeros where nothing was written."""
        return bytes(self.bytes.get(address + number, 0) for number in range(count))

    @property
    def idle(self) -> bool:
        """Nothing is on its way."""
        queues = (self._writes, self.responses.waiting, self.acknowledges.waiting, *self._waiting.values())
        return not any(queues)

    def drive(self, ctx: Any) -> None:
        """Before anything is looked at in a cycle."""
        self.cycle += 1
        if not self.responses.waiting or not self.acknowledges.waiting:
            self._answer()
        for end in (self.requests, self.responses, self.acknowledges):
            end.drive(ctx)
        self.words.drive(ctx, allowed=bool(self._writes))

    def _answer(self) -> None:
        ready = [
            queue
            for queue in self._waiting.values()
            if queue and queue[0]["when"] <= self.cycle and queue[0].get("left", 0) == 0
        ]
        if not ready:
            return
        queue = self.chance.choice(ready)
        request = queue.popleft()
        reaches = request["address"] + 32 * request["count"]
        error = self.size is not None and reaches > self.size
        if request["write"]:
            for place, byte in request["bytes"].items():
                if not error:
                    self.bytes[place] = byte
            self.acknowledges.waiting.append({"tag": request["tag"], "error": error})
            return
        for number in range(request["count"]):
            address = request["address"] + 32 * number
            self.responses.waiting.append(
                {
                    "data": int.from_bytes(self.dump(address, 32), "little"),
                    "tag": request["tag"],
                    "last": number == request["count"] - 1,
                    "error": error or address in self.bad,
                    "corrected": 0,
                }
            )

    def sample(self, ctx: Any) -> None:
        """After everything is driven."""
        self.responses.sample(ctx)
        self.acknowledges.sample(ctx)
        asked = self.requests.sample(ctx)
        if asked is not None:
            assert asked.address % 32 == 0, f"a request at {asked.address:#x}"
            request = {
                "write": asked.write,
                "address": asked.address,
                "count": asked.last + 1,
                "tag": asked.tag,
                "when": self.cycle + self.delay + self.chance.randint(0, self.delay),
            }
            touched = self.written if asked.write else self.read
            touched |= {asked.address + 32 * number for number in range(asked.last + 1)}
            if asked.write:
                request |= {"bytes": {}, "left": asked.last + 1}
                self._writes.append(request)
            self._waiting.setdefault(asked.tag, deque()).append(request)
        word = self.words.sample(ctx)
        if word is not None:
            request = self._writes[0]
            place = request["address"] + 32 * (request["count"] - request["left"])
            data = word.data.to_bytes(32, "little")
            request["bytes"] |= {place + n: data[n] for n in range(32) if word.mask >> n & 1}
            request["left"] -= 1
            if not request["left"]:
                self._writes.popleft()
