"""Both ends of a stream in cocotb: what offers to a design, what takes from it, and the rules of the handshake.

Neither end is a coroutine. A testbench has one coroutine that goes through the clock's cycles; in each it first lets
every end `drive`, lets the logic settle, and then lets every end `sample`. Payloads go through whole, as integers.

Before anything else, but after time 0, each end is told to `begin`: Icarus loses what is written at once at time 0.
"""

import random
from collections import deque
from collections.abc import Iterable
from typing import Any

import numpy as np
from cocotb.handle import Immediate

HIGH, LOW = Immediate(1), Immediate(0)

Pattern = Iterable[bool] | np.ndarray
"""Booleans, one a cycle; past its end everything is allowed."""


class ProtocolError(AssertionError):
    """A design broke the rules of a stream."""


class _End:
    """One end of the stream ``name`` of ``dut``; ``held`` are the cycles in which the pattern held something back."""

    def __init__(self, dut: Any, name: str) -> None:
        self.name = name
        self.valid: Any = getattr(dut, f"{name}__valid")
        self.ready: Any = getattr(dut, f"{name}__ready")
        self.payload: Any = getattr(dut, f"{name}__payload")
        self.held: list[int] = []
        self._allowed = b""

    def allow(self, pattern: Pattern) -> None:
        """Follow a new pattern from cycle 0 on."""
        self._allowed = np.asarray(pattern, dtype=bool).tobytes()
        self.held = []


class Source(_End):
    """Offers payloads to a design, in order.

    Where the pattern is True it may begin to offer its next payload; an offered one stays until it is taken. While it
    offers nothing, the payload is noise.

    Parameters
    ----------
    dut : cocotb handle
        The top, with ports ``<name>__valid``, ``__ready`` and ``__payload``.
    name : str
        The stream.
    noise : random.Random
        Source of the noise.
    """

    def __init__(self, dut: Any, name: str, noise: random.Random) -> None:
        super().__init__(dut, name)
        self.waiting: deque[tuple[int, int]] = deque()
        self._noise = noise
        self._bits = len(self.payload)
        self._offered = self._shown = False

    def put(self, payload: int, cycle: int = 0) -> None:
        """Queue a payload that may be offered from ``cycle`` on."""
        self.waiting.append((cycle, payload))

    def drive(self, cycle: int) -> None:
        """Offer the next payload in this cycle if it is there and the pattern allows it."""
        if self._offered:
            return
        if self.waiting and self.waiting[0][0] <= cycle:
            if cycle >= len(self._allowed) or self._allowed[cycle]:
                self.payload.set(Immediate(self.waiting[0][1]))
                if not self._shown:
                    self.valid.set(HIGH)
                self._offered = self._shown = True
                return
            self.held.append(cycle)
        if self._shown:
            self._show_noise()

    def sample(self) -> bool:
        """Whether the design takes the payload in this cycle."""
        if not self._offered or not self.ready.value:
            return False
        self.waiting.popleft()
        self._offered = False
        return True

    def begin(self) -> None:
        """Forget everything, also what is offered: for a reset, since no stream allows it."""
        self.waiting.clear()
        self._offered = False
        self._show_noise()

    def _show_noise(self) -> None:
        self.valid.set(LOW)
        self.payload.set(Immediate(self._noise.getrandbits(self._bits)))
        self._shown = False


class Sink(_End):
    """Takes payloads from a design where the pattern is True, and checks that what waits stays as it is."""

    def __init__(self, dut: Any, name: str) -> None:
        super().__init__(dut, name)
        self._waits: int | None = None
        self._ready = False

    def begin(self) -> None:
        """Be not ready, and expect nothing of what waited: for a reset."""
        self._waits = None
        self._ready = False
        self.ready.set(LOW)

    def drive(self, cycle: int) -> None:
        """Be ready in this cycle, or not."""
        ready = cycle >= len(self._allowed) or self._allowed[cycle] != 0
        if ready != self._ready:
            self._ready = ready
            self.ready.set(HIGH if ready else LOW)

    def sample(self, cycle: int) -> int | None:
        """The payload that is taken in this cycle, or None.

        Raises
        ------
        ProtocolError
            If a payload that waited is gone or has changed.
        ValueError
            If ``valid``, or the payload of a valid offer, holds an unknown bit.
        """
        if not self.valid.value:
            if self._waits is not None:
                raise ProtocolError(f"{self.name}: valid fell in cycle {cycle} before the payload was taken")
            return None
        payload = int(self.payload.value)
        if self._waits is not None and payload != self._waits:
            raise ProtocolError(f"{self.name}: payload {self._waits:#x} became {payload:#x} while it waited ({cycle})")
        if self._ready:
            self._waits = None
            return payload
        self._waits = payload
        self.held.append(cycle)
        return None
