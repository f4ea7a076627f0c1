"""Requests, and how they are cut into pieces for the pseudo-channels."""

from dataclasses import dataclass

import numpy as np
from openppu.hbm.config import GRANULE, ChannelConfig
from openppu.hbm.settings import Settings

from openppu_sim.cycles.hbm.address import LOWER, split

ACCESS = 32
"""Bytes of an access."""

_KINDS = {"i": "integers", "b": "truth values", "f": "floats"}


@dataclass(frozen=True)
class Requests:
    """Reads and writes in the order in which they are made.

    Parameters
    ----------
    address : array of int64, (n,)
        Bytes.
    size : array of int64, (n,)
        Bytes, at least 1.
    write : array of bool, (n,)
    arrival : array of float64, (n,), or None
        Nanoseconds from the start, which never fall; without, each comes as soon as it is taken.

    Raises
    ------
    ValueError
        If they are not such arrays.
    """

    address: np.ndarray
    size: np.ndarray
    write: np.ndarray
    arrival: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name, kind in (("address", "i"), ("size", "i"), ("write", "b"), ("arrival", "f")):
            array = getattr(self, name)
            if name == "arrival" and array is None:
                continue
            if not isinstance(array, np.ndarray) or array.dtype.kind != kind or array.shape != (len(self.address),):
                raise ValueError(f"{name} of requests: give an array of {_KINDS[kind]}, one for each request")
        if (self.address < 0).any() or (self.size < 1).any():
            raise ValueError("requests below address 0, or of no byte")
        if self.arrival is not None and not (np.isfinite(self.arrival).all() and (np.diff(self.arrival) >= 0).all()):
            raise ValueError("requests whose arrivals fall, or are no numbers")

    def __len__(self) -> int:
        return len(self.address)

    @property
    def end(self) -> int:
        """The first byte after the highest one."""
        return int((self.address + self.size).max(initial=0))

    def take(self, indices: np.ndarray) -> "Requests":
        """Some of them."""
        arrival = None if self.arrival is None else self.arrival[indices]
        return Requests(self.address[indices], self.size[indices], self.write[indices], arrival)


class Piece:
    """A part of a request that lies in one granule: ``words`` accesses of a row of a bank of a pseudo-channel."""

    __slots__ = (
        "bank",
        "granule",
        "last",
        "masked",
        "pc",
        "port",
        "ready_at",
        "request",
        "row",
        "tag",
        "words",
        "write",
    )

    def __init__(
        self,
        request: int,
        write: bool,
        pc: int,
        bank: int,
        row: int,
        granule: int,
        words: int,
        masked: bool,
        last: bool,
    ) -> None:
        self.request = request
        self.write = write
        self.pc = pc
        self.bank = bank
        self.row = row
        self.granule = granule
        self.words = words
        self.masked = masked
        self.last = last
        self.port = self.tag = 0
        self.ready_at = -1


def pieces(requests: Requests, config: ChannelConfig, settings: Settings) -> list[Piece]:
    """Cut requests, whose addresses are of one channel, into pieces in their order."""
    first = requests.address // ACCESS
    final = (requests.address + requests.size - 1) // ACCESS
    granules = final // GRANULE - first // GRANULE + 1
    owner = np.repeat(np.arange(len(requests)), granules)
    index = np.arange(len(owner)) - np.repeat(np.cumsum(granules) - granules, granules)
    start = np.maximum(first[owner], (first[owner] // GRANULE + index) * GRANULE)
    stop = np.minimum(final[owner], start // GRANULE * GRANULE + GRANULE - 1)
    places = split(start, config, settings)
    # A write that covers only a part of an access has to be merged with the old bytes.
    ragged_front = (requests.address % ACCESS != 0)[owner] & (start == first[owner])
    ragged_end = ((requests.address + requests.size) % ACCESS != 0)[owner] & (stop == final[owner])
    masked = requests.write[owner] & (ragged_front | ragged_end) & (config.ecc != "none")
    columns = (
        owner,
        requests.write[owner],
        places.pc,
        places.bank,
        places.row,
        start >> LOWER,
        stop - start + 1,
        masked,
        index == granules[owner] - 1,
    )
    return [Piece(*values) for values in zip(*(column.tolist() for column in columns), strict=True)]
