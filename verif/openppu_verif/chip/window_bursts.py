"""Bursts of every kind by the host's window: what `openppu_verif.chip.native.Session.read` and ``write`` never ask for.

Addresses and lanes of a burst's beats are those of the AMBA AXI Protocol Specification, ARM IHI 0022H, A3.4.1.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from openppu.common.memory import ADDRESS_BITS, WORD_BYTES
from openppu_sim.device.driver import Driver
from openppu_sim.errors import SimulationError

from openppu_verif.chip.native import BURST, FOUND, GIVEN, Session

FIXED, INCR, WRAP = range(3)
OKAY, SLVERR = 0, 2
"""As AXI encodes them."""

PAGE = 4096
BASE, PAGES = 0x12_3000, 8
"""Of each batch every burst has a page of its own, for nothing is said of those that are on their way together."""

BATCHES, PAUSES = 6, (0, 300)
SIZES = range(WORD_BYTES.bit_length())
IDS = 64
TAGS, IN_A_ROW = 4, 6
"""Remainders of an ID by which the chip tells reads apart, and batches of reads that have the same one."""


def burst_all(backend: Driver) -> None:
    """Write by bursts of every kind and size, and read by others; then some to where there is no memory.

    Raises
    ------
    SimulationError
        If a beat is not what AXI says.
    """
    hardware = backend.hardware
    assert isinstance(hardware, Session)
    rng = np.random.default_rng(17)
    image = rng.integers(0, 256, PAGE * PAGES, dtype=np.uint8)
    hardware.write(0, BASE, image.tobytes())
    for batch in range(BATCHES):
        hardware.set_pauses(PAUSES[batch % len(PAUSES)])
        _write(hardware, _draw(rng, batch), image, rng)
        _read(hardware, _draw(rng, batch + 1), image)
    hardware.set_pauses(0)
    if hardware.read(0, BASE, image.size) != image.tobytes():
        raise SimulationError("bursts wrote something else than they were given")
    _beyond(hardware, backend.chip.hbm.capacity)


def read_in_a_row(backend: Driver) -> None:
    """Read by more bursts of the same remainder of their ID than the chip has room for; errors as of `burst_all`."""
    hardware = backend.hardware
    assert isinstance(hardware, Session)
    rng = np.random.default_rng(107)
    image = rng.integers(0, 256, PAGE * PAGES, dtype=np.uint8)
    hardware.write(0, BASE, image.tobytes())
    hardware.set_pauses(PAUSES[1])
    for tag in range(TAGS):
        bursts = np.concatenate([_draw(rng, batch) for batch in range(IN_A_ROW)])
        bursts["id"] = bursts["id"] // TAGS * TAGS + tag
        _read(hardware, bursts, image)


def addresses(burst: np.void) -> Iterator[int]:
    """Of each beat of a burst."""
    size, length = 1 << int(burst["size"]), int(burst["length"]) + 1
    start = int(burst["address"])
    aligned = start // size * size
    bottom = start // (size * length) * size * length
    for beat in range(length):
        if burst["kind"] == FIXED or beat == 0:
            yield start
        elif burst["kind"] == WRAP:
            yield bottom + (aligned + beat * size - bottom) % (size * length)
        else:
            yield aligned + beat * size


def lanes(address: int, size: int) -> range:
    """The lanes of the bus on which a beat's bytes are."""
    first = address % WORD_BYTES
    return range(first, first // size * size + size)


def _draw(rng: np.random.Generator, batch: int) -> NDArray[np.void]:
    """A burst in each page, of any kind and ID."""
    bursts = np.zeros(PAGES, BURST)
    for page, burst in enumerate(bursts):
        kind = int(rng.integers(3))
        size = int(rng.choice(SIZES))
        most = min(256 if page == batch else 40, PAGE >> size) if kind == INCR else 16
        length = int(rng.choice([2, 4, 8, 16])) if kind == WRAP else int(rng.integers(1, most + 1))
        place = int(rng.integers(0, PAGE - (length << size) + 1))
        # What wraps begins at a whole beat; what does not wrap may begin within one, and ends in its page.
        place = place >> size << size if kind == WRAP or (place + (length << size)) > PAGE else place
        burst["address"], burst["kind"] = BASE + PAGE * page + place, kind
        burst["size"], burst["length"], burst["id"] = size, length - 1, rng.integers(IDS)
    return bursts


def _write(hardware: Session, bursts: NDArray[np.void], image: NDArray[np.uint8], rng: np.random.Generator) -> None:
    beats = []
    for burst in bursts:
        for address in addresses(burst):
            beat = np.zeros((), GIVEN)
            beat["data"] = rng.integers(0, 256, WORD_BYTES, dtype=np.uint8)
            used = [lane for lane in lanes(address, 1 << int(burst["size"])) if rng.random() < 0.8]
            beat["strobes"] = sum(1 << lane for lane in used)
            for lane in used:
                image[address // WORD_BYTES * WORD_BYTES - BASE + lane] = beat["data"][lane]
            beats.append(beat)
    found = hardware.write_bursts(0, bursts, np.array(beats, GIVEN))
    _same_ids(bursts, found)
    if found["response"].any():
        raise SimulationError("a burst that writes is refused")


def _read(hardware: Session, bursts: NDArray[np.void], image: NDArray[np.uint8]) -> None:
    found = hardware.read_bursts(0, bursts)
    for number in set(bursts["id"].tolist()):  # beats of one ID come in order
        mine = iter(found[found["id"] == number])
        for burst in bursts[bursts["id"] == number]:
            places = list(addresses(burst))
            for beat, address in enumerate(places):
                got = next(mine, np.zeros((), FOUND))
                word = address // WORD_BYTES * WORD_BYTES - BASE
                at = list(lanes(address, 1 << int(burst["size"])))
                if (got["data"][at] != image[word:][at]).any() or got["response"] != OKAY:
                    raise SimulationError(f"beat {beat} of a burst of {burst} is {got}")
                if got["last"] != (beat == len(places) - 1):
                    raise SimulationError(f"beat {beat} of a burst of {burst} has last = {got['last']}")


def _same_ids(bursts: NDArray[np.void], found: NDArray[np.void]) -> None:
    if sorted(bursts["id"]) != sorted(found["id"]):
        raise SimulationError(f"bursts of {sorted(bursts['id'])} are answered to {sorted(found['id'])}")


def _beyond(hardware: Session, capacity: int) -> None:
    """There is no memory behind the end, whichever bit of an address says so."""
    places = [capacity - WORD_BYTES, *(1 << bit for bit in range(capacity.bit_length() - 1, ADDRESS_BITS - 1))]
    bursts = np.zeros(len(places), BURST)
    bursts["address"], bursts["size"], bursts["kind"] = places, 5, INCR
    bursts["id"] = 3 + np.arange(len(places))
    beats = np.zeros(len(places), GIVEN)
    for found in (hardware.read_bursts(0, bursts), hardware.write_bursts(0, bursts, beats)):
        _same_ids(bursts, found)
        refused = sorted(found["id"][found["response"] == SLVERR].tolist())
        if refused != bursts["id"][1:].tolist():
            raise SimulationError(f"of bursts at {[hex(place) for place in places]}, {refused} are refused")
