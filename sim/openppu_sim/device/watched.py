"""Chips that are watched while they run: what a trace is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from openppu.chip.chip import queues_of
from openppu.chip.engine_registers import CAUSES
from openppu.command.instructions import instructions
from openppu.common.counters import COUNTER_BITS
from openppu.config import ChipConfig

from openppu_sim.device.device import Device
from openppu_sim.device.driver import Driver
from openppu_sim.device.records import LOG2, read_records, set_records
from openppu_sim.errors import UserError
from openppu_sim.program.command import Command
from openppu_sim.program.text import print_command
from openppu_sim.report.trace import MEMORY_CAUSES, MOVED, ChipRun, Ran, Sample

_causes: Any = CAUSES
NAMES = {engine: {each.value: each.name.lower() for each in causes} for engine, causes in _causes.items()}
"""Of each engine of a compute unit the causes of its cycles, by their codes."""


class Watched:
    """Lets every command that does something write a record, and looks at counters while the chips run.

    What each cycle of an engine goes to is looked at without the chip, and takes no time.

    Reading counters takes registers of the chip some clocks, in which nothing else is held up.

    Parameters
    ----------
    devices : sequence of Device
        All chips of one backend.

    Raises
    ------
    UserError
        If the backend has no time.
    """

    def __init__(self, devices: Sequence[Device]) -> None:
        if not devices:
            raise UserError("no devices to be watched: give all chips of one backend")
        self.devices = devices
        backend = devices[0].backend
        if not isinstance(backend, Driver):
            raise UserError("a trace needs a backend in which time passes: rtl or model")
        self.rings = backend
        self.samples: list[list[Sample]] = [[] for _ in devices]
        self.before = [cycles_of(device) for device in devices]
        for number, device in enumerate(devices):
            set_records(device)
            backend.hardware.watch_causes(number, on=True)
        backend.watch = self._look
        self._look()

    @property
    def most(self) -> int:
        """Commands whose records are kept."""
        return 1 << LOG2

    def submit(self, chip: int, queue: str, program: Sequence[Command]) -> None:
        """As of `Device.submit`."""
        known = instructions()
        self.devices[chip].submit(queue, [_recorded(each, bool(_engine(known, each))) for each in program])

    def finish(self) -> list[ChipRun]:
        """When all is done: what each chip did."""
        self.rings.watch = None
        self._look()
        known = instructions()
        runs = []
        for number, device in enumerate(self.devices):
            written = self.rings.written(number)
            ran = []
            for record in read_records(device):
                command = written[record.queue].get(record.place)
                if isinstance(command, Command):
                    text = print_command(command, known)
                    ran.append(
                        Ran(record=record, text=text, wait=command.wait, signal=command.signal, target=command.chip)
                    )
                else:
                    ran.append(Ran(record=record))
            flows = getattr(self.rings.hardware, "flows", lambda chip: ())(number)
            runs.append(
                ChipRun(
                    queues=self.rings.queues,
                    ran=ran,
                    samples=self.samples[number],
                    flows=flows,
                    causes=self._causes(number),
                    cycles=cycles_between(self.before[number], cycles_of(device)),
                )
            )
        return runs

    def _causes(self, chip: int) -> dict[str, list[tuple[str, int, int]]]:
        """Of each engine's queue what its cycles went to; then it is looked at no longer."""
        hardware = self.rings.hardware
        found = {}
        for unit, engine, queue in engines_of(self.rings.chip):
            spans = hardware.causes(chip, unit, engine)
            found[queue] = [(NAMES[engine][cause], begin, end) for cause, begin, end in spans]
        hardware.watch_causes(chip, on=False)
        return found

    def _look(self) -> None:
        """Take the counters of all chips."""
        config = self.rings.chip
        for number in range(len(self.devices)):
            registers = self.rings.registers[number]
            channels = []
            clock = self.rings.hardware.now
            for channel in range(config.hbm.stacks * config.hbm.channels):
                registers[f"hbm{channel}.freeze"] = 1
                channels.append(
                    {
                        name: sum(registers[f"hbm{channel}.pc{pc}.{name}"] for pc in (0, 1))
                        for name in ("clocks", *MOVED, *MEMORY_CAUSES)
                    }
                )
            flits = tuple(registers[f"link.port{port}.link_counts_new"] for port in range(config.link.ports))
            self.samples[number].append(Sample(clock=clock, channels=tuple(channels), flits=flits))


def engines_of(config: ChipConfig) -> list[tuple[int, str, str]]:
    """The engines of all compute units: unit, engine, the name of its queue."""
    queues = [queue for queue in queues_of(config) if queue[1] in NAMES]
    return [(place // len(NAMES), engine, name) for place, (name, engine) in enumerate(queues)]


Cycles = Mapping[str, Mapping[str, int]]
"""By the names of queues: cycles by cause."""


def cycles_of(device: Device) -> Cycles:
    """What the cycles of a chip's engines went to, since the reset."""
    units = [device.counters(unit) for unit in range(device.config.compute_units)]
    return {
        queue: {name: units[unit][engine][name] for name in NAMES[engine].values()}
        for unit, engine, queue in engines_of(device.config)
    }


def cycles_between(before: Cycles, after: Cycles) -> Cycles:
    """From one time to a later one; counters wrap."""
    return {
        queue: {cause: (count - before[queue][cause]) % (1 << COUNTER_BITS) for cause, count in causes.items()}
        for queue, causes in after.items()
    }


def _engine(known: Any, command: Command) -> str:
    instruction = known.by_name.get(command.name)
    return instruction.engine if instruction is not None else ""


def _recorded(command: Command, of_engine: bool) -> Command:
    does = of_engine or command.wait is not None or command.signal is not None
    return replace(command, record=True) if does else command
