"""A whole memory: channels that share the addresses, each run on its own."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from openppu.hbm.config import ChannelConfig
from openppu.hbm.device import Device
from openppu.hbm.settings import Settings

from openppu_sim.cycles.hbm.accounts import Accounts
from openppu_sim.cycles.hbm.address import UNIT, Interleave
from openppu_sim.cycles.hbm.channel import run_channel
from openppu_sim.cycles.hbm.policy import Policy
from openppu_sim.cycles.hbm.requests import ACCESS, Requests


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Channels of one device behind an interleave.

    Parameters
    ----------
    device : Device
        The memory clock counts; the timing is in ``settings``.
    config : ChannelConfig
    settings : Settings
    channels : int
        As in `Interleave`.
    policy : Policy
    command_errors : float
        Accesses that a channel's memory does not take for wrong parity, per million clocks, at random times; only with
        ``config.retry`` and ``settings.parity_latency``.

    Raises
    ------
    ValueError
        If there are such errors, and nothing to see them.
    """

    device: Device
    config: ChannelConfig
    settings: Settings
    channels: int = 1
    policy: Policy = field(default_factory=Policy)
    command_errors: float = 0.0

    def __post_init__(self) -> None:
        if self.command_errors and not (self.config.retry and self.settings.parity_latency):
            raise ValueError(f"{self.command_errors} command errors: give a channel with retry, and a parity_latency")

    @property
    def capacity(self) -> int:
        """Bytes."""
        of = self.config.organisation
        return self.channels * of.pseudo_channels * of.pseudo_channel_bytes

    @property
    def clock_ns(self) -> float:
        """Period of a controller's clock: two memory clocks."""
        return float(2 * self.device.clock_ns)

    @property
    def peak_gbs(self) -> float:
        """GB/s (10**9 bytes) of all data buses."""
        return self.channels * 2 * ACCESS / self.clock_ns


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a trace came to.

    Parameters
    ----------
    memory : Memory
    requests : Requests
    clocks : int
        Controller clocks from the start to the last response and write.
    channels : list of Accounts
        Of each channel, both pseudo-channels together, over these clocks.
    offered, finished : array of int64, (requests,)
        Clock in which each request was there and could be taken; that of a read's last response, or of the
        acceptance of a write's last word.
    """

    memory: Memory
    requests: Requests
    clocks: int
    channels: list[Accounts]
    offered: np.ndarray
    finished: np.ndarray

    @cached_property
    def accounts(self) -> Accounts:
        """Of all channels."""
        return sum(self.channels[1:], self.channels[0])

    @property
    def bytes(self) -> int:
        """That were asked for."""
        return int(self.requests.size.sum())

    @property
    def seconds(self) -> float:
        """From the start to the end."""
        return self.clocks * self.memory.clock_ns * 1e-9

    @property
    def gbs(self) -> float:
        """Bandwidth, GB/s."""
        return self.bytes / self.seconds / 1e9

    @property
    def efficiency(self) -> float:
        """Bandwidth as a share of the peak."""
        return self.gbs / self.memory.peak_gbs

    @cached_property
    def latencies_ns(self) -> np.ndarray:
        """Of each read, in their order."""
        reads = ~self.requests.write
        return (self.finished[reads] - self.offered[reads]) * self.memory.clock_ns


def run(requests: Requests, memory: Memory) -> Outcome:
    """Run a trace.

    Raises
    ------
    ValueError
        If a request reaches beyond the capacity.
    """
    if requests.end > memory.capacity:
        raise ValueError(f"requests up to {requests.end:#x}, beyond the capacity of {memory.capacity:#x} bytes")
    owner, parts, channel = _spread(requests, memory.channels)
    arrival = None
    if parts.arrival is not None:
        arrival = np.ceil(parts.arrival / memory.clock_ns).astype(np.int64)
    offered = np.full(len(requests), np.iinfo(np.int64).max)
    finished = np.full(len(requests), -1)
    clocks = 1
    accounts = []
    for number in range(memory.channels):
        own = np.flatnonzero(channel == number)
        if not len(own):
            accounts.append(Accounts())
            continue
        result = run_channel(
            parts.take(own),
            memory.config,
            memory.settings,
            arrival=None if arrival is None else arrival[own],
            policy=memory.policy,
            spoiled=_errors(memory, number),
        )
        np.minimum.at(offered, owner[own], result.offered)
        np.maximum.at(finished, owner[own], result.finished)
        clocks = max(clocks, result.clocks)
        accounts.append(result.accounts[0] + result.accounts[1])
    for account in accounts:
        account.idle["no_request"] += 2 * clocks - account.clocks
        account.clocks = 2 * clocks
    return Outcome(
        memory=memory, requests=requests, clocks=clocks, channels=accounts, offered=offered, finished=finished
    )


def _errors(memory: Memory, channel: int) -> Iterable[int]:
    """The clocks of a channel from which on its next access has an error: without end, the same in each run."""
    clock, chance = 0.0, np.random.default_rng(channel)
    while memory.command_errors:
        clock += chance.exponential(1e6 / memory.command_errors)
        yield int(clock)


def _spread(requests: Requests, channels: int) -> tuple[np.ndarray, Requests, np.ndarray]:
    """Requests cut where the channel changes: of which each part is, the parts, and the channel of each."""
    if channels == 1:
        return np.arange(len(requests)), requests, np.zeros(len(requests), np.int64)
    first = requests.address // UNIT
    counts = (requests.address + requests.size - 1) // UNIT - first + 1
    owner = np.repeat(np.arange(len(requests)), counts)
    unit = first[owner] + np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    start = np.maximum(requests.address[owner], unit * UNIT)
    stop = np.minimum((requests.address + requests.size)[owner], (unit + 1) * UNIT)
    channel, local = Interleave(channels).locate(start)
    arrival = None if requests.arrival is None else requests.arrival[owner]
    return owner, Requests(local, stop - start, requests.write[owner], arrival), channel


def unloaded_ns(memory: Memory) -> dict[str, float]:
    """Latency of a read of 32 bytes with nothing else going on: of a closed bank, an open row, another row than it."""
    settings = replace(
        memory.settings, refresh_enable=False, hash_banks=False, power_down_after=0, self_refresh_after=0
    )
    of = memory.config.organisation
    row = of.pseudo_channels * of.columns * of.access_bytes * of.banks
    if of.sids & (of.sids - 1):
        row //= of.sids
    alone = replace(memory, settings=settings, channels=1)
    times = np.array([0.0, 1000.0, 2000.0])
    trace = Requests(np.array([0, 0, row]), np.full(3, ACCESS), np.zeros(3, bool), times)
    latencies = run(trace, alone).latencies_ns
    return dict(zip(("closed bank", "row hit", "row conflict"), latencies.tolist(), strict=True))
