"""The backend ``model``: what commands do, by the references, and when, by the cycle models.

It has the registers that the driver of `openppu_sim.device.driver` uses, so all that runs on the RTL runs here.
"""

import re
from collections.abc import Callable
from pathlib import Path

from openppu.chip.chip import queues_of
from openppu.command.error import Error
from openppu.common.memory import WORD_BYTES
from openppu.config import ChipConfig
from openppu.host.blocks import blocks
from openppu.link.topology import Topology

from openppu_sim.cycles.chip.chip import RESET, ChipCycles, join
from openppu_sim.cycles.chip.events import Events
from openppu_sim.cycles.chip.window import WindowRead, WindowWrite
from openppu_sim.device.driver import Driver
from openppu_sim.errors import UserError

REGISTER_CLOCKS = 6
"""Of an access to a register, as the driver's program makes it."""

READ, WRITTEN = 3, 4
"""Clocks from an access's beginning to when a register is read; to when it holds what was written."""

COUNTED = 2
"""Clocks from the last one that is counted to when counters are taken."""

BEGUN = RESET
"""The first clock that is counted."""

ACKNOWLEDGE_CLOCKS = 1
"""From memory's acknowledge to the end of a write through the window; a read ends with its last word."""

BURST = 4096
"""Bytes of an access through the window, at most."""

ACTIVE = 5
"""A link's state when it is up."""


class ModelHardware:
    """Chips that are as fast as the cycle models say.

    Parameters
    ----------
    chip : ChipConfig
    topology : Topology, optional
        Of several chips.
    """

    problems = 0
    """Rules of the memory devices that were broken: there are none here."""

    def __init__(self, chip: ChipConfig, topology: Topology | None = None) -> None:
        self.events = Events()
        self.events.now = RESET
        count = topology.chips if topology else 1
        self.chips = [ChipCycles(chip, self.events, number) for number in range(count)]
        if topology and chip.link.ports:
            join(self.chips, topology)
        names = [name for name, _ in queues_of(chip)]
        self._names: dict[int, tuple[str, int]] = {}
        self._resets: dict[str, int] = {}
        for block in blocks(chip, names):
            for register in block.registers:
                whole = f"{block.name}.{register.part_of or register.name}"
                low = register.low if register.part_of else 0
                self._names[block.base + register.offset] = (whole, low)
                self._resets[whole] = self._resets.get(whole, 0) | register.reset << low
        self._values: list[dict[str, int]] = [{} for _ in range(count)]
        self._taken: list[dict[str, int]] = [{} for _ in range(count)]
        """Of each chip, the counters of a compute unit, by the names of their registers, as they were taken."""

    @property
    def now(self) -> int:
        """Clocks since the start."""
        return self.events.now

    def run(self, clocks: int, *, until: int = 0) -> int:
        """Let so many clocks pass."""
        self.events.run(self.events.now + clocks)
        return 0

    def read(self, chip: int, address: int, count: int) -> bytes:
        """Bytes of a chip's memory, through its window."""
        self._access(chip, address, count, write=False)
        return self.chips[chip].image(address, count)

    def write(self, chip: int, address: int, data: bytes) -> None:
        """Write bytes to a chip's memory, through its window."""
        self.chips[chip].write(address, data)
        self._access(chip, address, len(data), write=True)

    def load(self, chip: int, address: int, data: bytes) -> None:
        """Put bytes into a chip's memory, in no time."""
        self.chips[chip].write(address, data)

    def dump(self, chip: int, address: int, count: int) -> bytes:
        """Bytes of a chip's memory, in no time."""
        return self.chips[chip].image(address, count)

    def _access(self, chip: int, address: int, count: int, *, write: bool) -> None:
        """Let an access through the window take its time: burst after burst."""
        end = address + count
        while address < end:
            after = min(end, address // BURST * BURST + BURST)
            words = -(-after // WORD_BYTES) - address // WORD_BYTES
            ragged = bool(address % WORD_BYTES), bool(after % WORD_BYTES)
            self._burst(self.chips[chip], address // WORD_BYTES, words, write=write, ragged=ragged)
            address = after

    def _burst(self, chip: ChipCycles, word: int, words: int, *, write: bool, ragged: tuple[bool, bool]) -> None:
        burst: WindowWrite | WindowRead
        burst = WindowWrite(chip.window, word, words, ragged) if write else WindowRead(chip.window, word, words)
        while burst.over is None:
            self.events.run(self.events.now + 1)
        self.events.run(burst.over + (ACKNOWLEDGE_CLOCKS if write else 0))

    def read_register(self, chip: int, address: int) -> int:
        """A register of a chip."""
        self.run(READ)
        name, low = self._names[address]
        value = self._value(chip, name) >> low & 0xFFFF_FFFF
        self.run(REGISTER_CLOCKS - READ)
        return value

    def write_register(self, chip: int, address: int, value: int) -> None:
        """Write a register of a chip."""
        name, low = self._names[address]
        values = self._values[chip]
        values[name] = values.get(name, 0) & ~(0xFFFF_FFFF << low) | value << low
        self.run(WRITTEN)
        self._set(self.chips[chip], name, values[name])
        self.run(REGISTER_CLOCKS - WRITTEN)

    def flows(self, chip: int) -> tuple[tuple[int, int, int, int], ...]:
        """What a chip's ports have sent: port, first and last clock, bytes."""
        link = self.chips[chip].link
        return tuple(link.busy) if link is not None else ()

    def watch_causes(self, chip: int, *, on: bool) -> None:
        """Remember from now on, or no longer, what each cycle of the engines goes to."""
        for engines in self.chips[chip].accounts:
            for account in engines.values():
                account.watch(self.now if on else None)

    def causes(self, chip: int, unit: int, engine: str) -> list[tuple[int, int, int]]:
        """What was remembered of an engine: spans, each a cause, its first clock since the reset, as records count, and
        the one behind its last."""
        spans = self.chips[chip].accounts[unit][engine].spans(self.now)
        return [(cause, begin - RESET, end - RESET) for cause, begin, end in spans]

    def close(self) -> None:
        """Nothing is left to end."""

    def _set(self, chip: ChipCycles, name: str, value: int) -> None:
        block, _, rest = name.partition(".")
        part, _, field = rest.partition(".")
        if block.startswith("hbm") and rest == "freeze":
            chip.network.channels[int(block.removeprefix("hbm"))].freeze(self.events.now)
        if block == "engines" and rest == "freeze" and value:
            unit = self._values[chip.number].get("engines.unit", 0)
            self._taken[chip.number] = _engine_counters(chip, unit, self.events.now - COUNTED)
        if block != "command":
            return
        if part == "records":
            setattr(chip.records, field, value)
            return
        for queue in chip.queues:
            if queue.name != part:
                continue
            if field == "tail":
                queue.set_tail(value)
            else:
                setattr(queue, field, value)
        if rest == "raise":
            semaphores, number = chip.semaphores, self._values[chip.number].get("command.semaphore", 0)
            semaphores.signal(semaphores.others + 1, number, value, lambda: None)
        if rest == "clear" and value:
            chip.semaphores.values = [0] * len(chip.semaphores.values)
        if rest == "restart":
            for queue in chip.queues:
                if value >> queue.number & 1:
                    queue.restart()

    def _value(self, number: int, name: str) -> int:
        chip = self.chips[number]
        block, _, rest = name.partition(".")
        part, _, field = rest.partition(".")
        if block == "link" and field == "physical_state":
            return ACTIVE
        if name in self._taken[number]:
            return self._taken[number][name]
        if rest == "records.count":
            return chip.records.count
        if found := re.fullmatch(r"hbm(\d+)\.pc(\d)\.(\w+)", name):
            return _counter(chip, int(found[1]), int(found[2]), found[3])
        if (found := re.fullmatch(r"link\.port(\d+)\.link_counts_new", name)) and chip.link is not None:
            return chip.link.flits(int(found[1]), self.events.now)
        if rest == "value" and block == "command":
            return chip.semaphores.values[self._values[number].get("command.semaphore", 0)]
        if block == "command":
            for queue in chip.queues:
                if queue.name == part:
                    return _status(queue)[field]() if field in _status(queue) else int(getattr(queue, field))
        return self._values[number].get(name, self._resets[name])


def _status(queue) -> dict[str, Callable[[], int]]:
    first = queue.first
    return {
        "head": lambda: queue.kept,
        "busy": lambda: int(queue.busy),
        "waiting": lambda: int(queue.waits_for is not None),
        "semaphore": lambda: queue.waits_for or 0,
        "error": lambda: first.error if first else int(Error.OKAY.value),  # type: ignore[attr-defined]
        "opcode": lambda: first.opcode if first else 0,
        "tag": lambda: first.command.tag if first else 0,
        "index": lambda: first.place if first else 0,
    }


def _counter(chip: ChipCycles, channel: int, pc: int, name: str) -> int:
    """A counter of a pseudo-channel."""
    accounts = chip.network.channels[channel].counted[pc]
    if name == "clocks":
        return accounts.clocks
    if name == "row":
        return accounts.idle["activation"] + accounts.idle["bank"]
    return accounts.events.get(name, accounts.idle.get(name, 0))


def _engine_counters(chip: ChipCycles, unit: int, now: int) -> dict[str, int]:
    """The counters of a compute unit's engines, before a clock."""
    found = {"engines.clocks": now - BEGUN}
    for engine, account in chip.accounts[unit].items():
        found |= {f"engines.{engine}.{name}": count for name, count in account.counts(now).items()}
    return {name: count & 0xFFFF_FFFF for name, count in found.items()}


def open_model(chip: ChipConfig, topology: Topology | None, build_root: Path) -> Driver:
    """The backend of `openppu_sim.device.backend`.

    Raises
    ------
    UserError
        If memory and link have clocks of their own.
    """
    if chip.clocks.separate:
        raise UserError("backend model: clocks.domains = separate: it counts one clock; take one, or rtl")
    return Driver(ModelHardware(chip, topology), chip, topology)
