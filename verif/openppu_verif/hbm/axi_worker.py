"""Random AXI4 bursts in a page of memory, and what they must read."""

import random

import cocotb

from openppu_verif.hbm.axi_burst import BUS_BYTES, INCR, PAGE, Burst, random_burst
from openppu_verif.hbm.axi_manager import OKAY, SLVERR, Manager, from_bus, to_bus


class Worker:
    """One burst after the other, of every kind, each answer checked.

    Parameters
    ----------
    manager : Manager
    number : int
        Its ID.
    page : int
        Address of its 4 KiB, which no other worker touches.

    Attributes
    ----------
    bad : set of int
        Accesses (of 32 bytes) that are read with an error.
    beyond : bool
        The page lies beyond the capacity.
    kinds : set
        Which kinds and sizes of bursts there were.
    """

    def __init__(self, manager: Manager, number: int, page: int) -> None:
        self.manager, self.number, self.page = manager, number, page
        self.bad: set[int] = set()
        self.beyond = False
        self.kinds: set[tuple[int, int]] = set()
        self.chance = random.Random(number * 1000 + cocotb.RANDOM_SEED)
        self.held: dict[int, int] = {}

    async def fill(self) -> None:
        """Write the whole page."""
        await self.write(Burst(self.page, PAGE // BUS_BYTES, BUS_BYTES, INCR), whole=True)

    async def run(self, turns: int) -> None:
        """Write and read."""
        for _ in range(turns):
            burst = random_burst(self.page, self.chance)
            self.kinds.add((burst.kind, burst.size))
            if self.chance.randrange(2):
                await self.write(burst, whole=self.chance.random() < 0.5)
            else:
                await self.read(burst)

    async def write(self, burst: Burst, *, whole: bool) -> None:
        """Write a burst: every byte of it, or some."""
        writes = [
            {address: self.chance.randrange(256) for address in lanes if whole or self.chance.randrange(2)}
            for lanes in burst.lanes()
        ]
        beats = [to_bus(lanes, values) for lanes, values in zip(burst.lanes(), writes, strict=True)]
        response = await self.manager.write(burst, beats, number=self.number, lock=self.chance.random() < 0.1)
        assert response == (SLVERR if self.beyond else OKAY), f"{self.where}: write {burst}, response {response}"
        for values in writes:
            self.held.update(values)

    async def read(self, burst: Burst) -> None:
        """Read a burst."""
        beats = await self.manager.read(burst, number=self.number, lock=self.chance.random() < 0.1)
        for lanes, (word, response) in zip(burst.lanes(), beats, strict=True):
            wrong = self.beyond or lanes[0] // BUS_BYTES in self.bad
            assert response == (SLVERR if wrong else OKAY), f"{self.where}: read {burst}, response {response}"
            expected = {address: 0 if self.beyond else self.held.get(address, 0) for address in lanes}
            assert from_bus(lanes, word) == expected, f"{self.where}: {burst} at {lanes}"

    @property
    def where(self) -> str:
        """For messages."""
        return f"seed {cocotb.RANDOM_SEED}, ID {self.number}"
