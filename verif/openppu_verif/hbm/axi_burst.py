"""The beats of an AXI4 burst, from the equations of ARM IHI 0022H, A3.4.2; nothing is shared with the hardware."""

import random
from dataclasses import dataclass

BUS_BYTES = 32
PAGE = 4096
FIXED, INCR, WRAP = range(3)


@dataclass(frozen=True)
class Burst:
    """A burst as AXI's address channels say it, with ``size`` in bytes a beat and ``length`` in beats."""

    address: int
    length: int
    size: int
    kind: int

    def addresses(self) -> list[int]:
        """The address of each beat."""
        aligned = self.address // self.size * self.size
        result = []
        for number in range(self.length):
            address = aligned + number * self.size if number else self.address
            if self.kind == FIXED:
                address = self.address
            elif self.kind == WRAP:
                total = self.size * self.length
                boundary = self.address // total * total
                if address >= boundary + total:
                    address -= total
            result.append(address)
        return result

    def lanes(self) -> list[range]:
        """The byte addresses that each beat carries."""
        return [range(address, address // self.size * self.size + self.size) for address in self.addresses()]


def random_burst(page: int, chance: random.Random) -> Burst:
    """Any burst that AXI allows within the 4 KiB from ``page`` on; some short, some as long as can be."""
    size = 1 << chance.choice([0, 1, 2, 3, 4, 5, 5, 5])
    kind = chance.choice([FIXED, INCR, INCR, INCR, WRAP])
    if kind == WRAP:
        length = chance.choice([2, 4, 8, 16])
        return Burst(page + chance.randrange(PAGE // size) * size, length, size, kind)
    # Mostly near the page's start, so that bursts meet.
    offset = chance.randrange(chance.choice([64, 300, PAGE]))
    if kind == FIXED:
        return Burst(page + offset, chance.randint(1, 16), size, kind)
    most = min(256, (PAGE - offset // size * size) // size)
    return Burst(page + offset, min(most, chance.choice([1, 2, 8, chance.randint(1, 256)])), size, kind)
