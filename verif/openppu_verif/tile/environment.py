"""The surroundings of the tile in cocotb: operand memories, command and addend sources, a taker of results.

One coroutine goes through the cycles. Inputs change while the clock falls and are taken when it rises; outputs are
read in between, so the tile sees the same on every simulator. All follows the cycle model's rules
(`openppu_sim.cycles.tile.simulate`): an operand request taken in cycle q may be answered from q + latency on.
"""

import random
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from cocotb.triggers import Timer
from openppu.config import TileConfig
from openppu.tile.command import command_layout
from openppu.tile.counters import COUNTERS
from openppu_sim.cycles.tile import Cause, Stalls
from openppu_sim.lowering.tile import TileCommand
from openppu_sim.simulator.tile import Workload

from openppu_verif.streams import HIGH, LOW, Sink, Source

STREAMS = tuple(field.name for field in fields(Stalls))
QUIET_CYCLES = 4
"""Cycles without any event that must follow a run."""


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What was seen on the tile's ports in one run.

    Parameters
    ----------
    start : int
        Cycle in which the first command was taken; cycle 0 is the run's first.
    timeline : ndarray of uint8
        ``cause`` of each cycle from ``start`` to the last before the tile was idle for good, or was stopped.
    cycles : int
        First command taken to last result taken, both included; all of ``timeline`` when nothing is emitted.
    activation_requests, weight_requests : ndarray of int64
        Addresses requested, in order.
    results : ndarray of uint32, shape (rows, C)
        The beats of ``results``.
    last : ndarray of bool, shape (rows,)
        Their ``last`` flags.
    counters : dict of str to int
        What each counter counted from ``start`` to the end of ``timeline``.
    left : dict of str to int
        Payloads that the tile has not taken, by stream.
    held : dict of str to ndarray of int64
        By stream, the cycles of ``timeline`` in which a stall held something back.
    """

    start: int
    timeline: np.ndarray
    cycles: int
    activation_requests: np.ndarray
    weight_requests: np.ndarray
    results: np.ndarray
    last: np.ndarray
    counters: dict[str, int]
    left: dict[str, int]
    held: dict[str, np.ndarray]


class Memory:
    """Beats as payloads: rows of a matrix with ``bits`` a lane, lane 0 in the least significant ones."""

    def __init__(self, beats: np.ndarray, bits: int) -> None:
        lanes = np.ascontiguousarray(beats, dtype=f"<u{bits // 8}")
        self._data = lanes.tobytes()
        self._size = lanes.shape[1] * lanes.itemsize

    def beat(self, address: int) -> int:
        """The payload at an address; addresses past the end wrap around."""
        place = address * self._size % len(self._data)
        return int.from_bytes(self._data[place : place + self._size], "little")


class Environment:
    """Drives all ports of a tile.

    Parameters
    ----------
    dut : cocotb handle
        The emitted tile.
    config : TileConfig
        What it was emitted for.
    seed : int
        Seed of the noise on payloads that are not valid.
    """

    def __init__(self, dut: Any, config: TileConfig, seed: int = 0) -> None:
        self.config = config
        noise = random.Random(seed)
        self._half = Timer(1, "ns")
        self._clk: Any = dut.clk
        self._rst: Any = dut.rst
        self._cause: Any = dut.cause
        self._counters: Any = dut.counters
        self.commands = Source(dut, "commands", noise)
        self.activations = Source(dut, "activations", noise)
        self.weights = Source(dut, "weights", noise)
        self.addends = Source(dut, "addends", noise)
        self.activation_requests = Sink(dut, "activation_requests")
        self.weight_requests = Sink(dut, "weight_requests")
        self.results = Sink(dut, "results")
        self.sources = (self.commands, self.activations, self.weights, self.addends)
        self.sinks = (self.activation_requests, self.weight_requests, self.results)

    async def power_up(self) -> None:
        """Give every input a value, and reset."""
        await self._half
        for end in (*self.sources, *self.sinks):
            end.begin()
        await self.reset()

    async def reset(self) -> None:
        """Reset for one cycle, with every input as it is; afterwards nothing is offered or taken."""
        self._rst.set(HIGH)
        await self._fall()
        await self.rise()
        self._rst.set(LOW)
        for end in (*self.sources, *self.sinks):
            end.begin()

    async def rise(self) -> None:
        """The second half of a cycle: the clock's edge."""
        self._clk.set(HIGH)
        await self._half

    def read_counters(self) -> dict[str, int]:
        """The tile's counters by name; they count each cycle one cycle later."""
        bits = int(self._counters.value)
        return {str(name): bits >> place.offset & ((1 << place.width) - 1) for name, place in COUNTERS}

    async def run(
        self,
        workload: Workload,
        stalls: Stalls | None = None,
        *,
        memory_latency: int = 1,
        most_cycles: int,
        stop_at: int | None = None,
    ) -> Observation:
        """Run a workload on an idle tile until it is idle again, and see that it stays so.

        Parameters
        ----------
        workload : Workload
        stalls : Stalls, optional
            Free streams when absent.
        memory_latency : int
            Cycles from a request to its answer.
        most_cycles : int
            Stop after so many, whatever the tile does.
        stop_at : int, optional
            Stop before this cycle, in the middle of everything; the tile needs a reset then.

        Raises
        ------
        ProtocolError
            If a stream out of the tile breaks the rules.
        AssertionError
            If something happens after the tile is idle.
        """
        for name in STREAMS:
            getattr(self, name).allow(getattr(stalls, name) if stalls else ())
        for command in workload.commands:
            self.commands.put(pack_command(command, self.config))
        addends = Memory(workload.addends, 32)
        for place in range(len(workload.addends)):
            self.addends.put(addends.beat(place))
        activation_memory = Memory(workload.activations, self.config.operand_bits)
        weight_memory = Memory(workload.weights, self.config.operand_bits)
        activation_addresses: list[int] = []
        weight_addresses: list[int] = []
        results: list[int] = []
        timeline = bytearray()
        before: dict[str, int] = {}
        start = last_result = -1
        limit = most_cycles if stop_at is None else stop_at

        cycle = 0
        while cycle < limit:
            await self.drive(cycle)
            if start >= 0 and not before:
                before = self.read_counters()
            cause = int(self._cause.value)
            if self.commands.sample() and start < 0:
                start = cycle
            if cause == Cause.IDLE and not self.commands.waiting:
                break
            timeline.append(cause)
            self.activations.sample()
            self.weights.sample()
            self.addends.sample()
            address = self.activation_requests.sample(cycle)
            if address is not None:
                activation_addresses.append(address)
                self.activations.put(activation_memory.beat(address), cycle + memory_latency)
            address = self.weight_requests.sample(cycle)
            if address is not None:
                weight_addresses.append(address)
                self.weights.put(weight_memory.beat(address), cycle + memory_latency)
            result = self.results.sample(cycle)
            if result is not None:
                results.append(result)
                last_result = cycle
            await self.rise()
            cycle += 1
        else:
            await self.drive(cycle)

        start = max(start, 0)
        held = {end.name: np.array(end.held, np.int64) - start for end in (*self.sources, *self.sinks)}
        await self.rise()
        counted = {name: value - before.get(name, value) for name, value in self.read_counters().items()}
        if cycle < limit:
            await self._stay_idle(cycle + 1)
        beats, last = unpack_results(results, self.config)
        return Observation(
            start=start,
            timeline=np.frombuffer(bytes(timeline[start:]), np.uint8),
            cycles=last_result + 1 - start if results else len(timeline) - start,
            activation_requests=np.array(activation_addresses, np.int64),
            weight_requests=np.array(weight_addresses, np.int64),
            results=beats,
            last=last,
            counters=counted,
            left={source.name: len(source.waiting) for source in self.sources if source.waiting},
            held=held,
        )

    async def drive(self, cycle: int) -> None:
        """Let every end act, and the outputs follow: the first half of a cycle."""
        for source in self.sources:
            source.drive(cycle)
        for sink in self.sinks:
            sink.drive(cycle)
        await self._fall()

    async def _fall(self) -> None:
        self._clk.set(LOW)
        await self._half

    async def _stay_idle(self, cycle: int) -> None:
        for sink in self.sinks:
            sink.allow(())
        for now in range(cycle, cycle + QUIET_CYCLES):
            await self.drive(now)
            taken = [sink.name for sink in self.sinks if sink.sample(now) is not None]
            cause = int(self._cause.value)
            assert not taken, f"{', '.join(taken)}: something came in cycle {now}, after the tile was idle"
            assert cause == Cause.IDLE, f"cause {cause} in cycle {now}, after the tile was idle"
            await self.rise()


def pack_command(command: TileCommand, config: TileConfig) -> int:
    """A command as its payload."""
    layout = command_layout(config)
    payload = 0
    for field in fields(command):
        value, place = getattr(command, field.name), layout[field.name]
        if not 0 <= value < 1 << place.width:
            raise ValueError(f"{field.name} = {value} does not fit the command's {place.width} bits")
        payload |= value << place.offset
    return payload


def unpack_results(payloads: list[int], config: TileConfig) -> tuple[np.ndarray, np.ndarray]:
    """Beats of ``results`` as (rows, C) uint32 and their ``last`` flags."""
    size = config.columns * 4
    data = b"".join((payload & (1 << size * 8) - 1).to_bytes(size, "little") for payload in payloads)
    last = [payload >> size * 8 for payload in payloads]
    return np.frombuffer(data, "<u4").reshape(-1, config.columns), np.array(last, bool)
