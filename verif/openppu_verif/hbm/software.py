"""The software of a controller in the native bench: its register accesses, as lines for `openppu_verif.hbm.native.run`.

A line is an access and what must come of it: ``control.h`` explains them.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from openppu.hbm.accounts import IDLE_CAUSES, counters_layout
from openppu.hbm.config import ChannelConfig
from openppu.hbm.controller import Controller
from openppu.hbm.latency import histogram_layout
from openppu.hbm.power import POWER_COUNTERS
from openppu.hbm.registers import registers
from openppu.hbm.self_test import Operation
from openppu.hbm.settings import GROUPS, Settings
from openppu_sim.errors import SimulationError

from openppu_verif.hbm.native import TOP, Measurement, Pattern, build_channel, run
from openppu_verif.native.model import cached_verilog

FLAGS = ("lost", "stray", "test_stray", "hammer_overflow", "parity_failed")
WHOLE = (1 << 32) - 1


class Software:
    """Knows the registers of a controller.

    Parameters
    ----------
    config : ChannelConfig
    """

    def __init__(self, config: ChannelConfig) -> None:
        self.config = config
        self.table = registers(config)
        self.at = {register.name: register.offset for register in self.table}

    def write(self, name: str, value: int) -> str:
        """Write a register."""
        return f"write {self.at[name]} {value} 0"

    def read(self, name: str) -> str:
        """Read a register, and keep what it holds."""
        return f"read {self.at[name]} 0 0"

    def check(self, name: str, value: int) -> str:
        """Read a register that must hold a value."""
        return f"check {self.at[name]} {value} {WHOLE}"

    def wait(self, name: str) -> str:
        """Read a flag until it is set."""
        return f"wait {self.at[name]} 1 1"

    @staticmethod
    def refuse(offset: int, value: int | None = None) -> str:
        """A read, or the write of a value, that is an error."""
        return f"refuse_read {offset} 0 0" if value is None else f"refuse {offset} {value} 0"

    def values(self, settings: Settings) -> dict[str, int]:
        """What the registers of the settings hold, by name."""
        given = settings.values(self.config)
        groups = {f"{group}.{name}": value for group in GROUPS for name, value in given.pop(group).items()}
        return groups | {name: int(value) for name, value in given.items()}

    def set_up(self, settings: Settings, fill: int) -> list[str]:
        """Stop the channel, set all settings, start it, and wait until its memory is filled."""
        values = self.values(settings) | {"fill": fill, "run": 1}
        return [self.write("run", 0), *(self.write(*each) for each in values.items()), self.wait("ready")]

    def self_test(self, operation: str, expected: dict[str, int] | None = None, **values: int) -> list[str]:
        """Run a self-test once none runs, and look at its record."""
        values["operation"] = Operation.__members__[operation].value
        lines = [self.wait("idle"), *(self.write(f"test.{name}", value) for name, value in values.items())]
        lines += [self.write("start", 1), self.wait("idle")]
        return lines + [self.check(f"found.{name}", value) for name, value in (expected or {}).items()]

    def last(self) -> list[str]:
        """Wait for the self-test, and read all counters and status."""
        found = [self.wait("idle"), self.write("freeze", 1)]
        return found + [f"read {r.offset} 0 0" for r in self.table if r.readable]


def build_controller(config: ChannelConfig, build_root: Path) -> Path:
    """The executable for a controller, from an earlier build if there is one; see `build_channel`."""
    verilog = cached_verilog(lambda: Controller(config), TOP, f"controller {config}", build_root)
    return build_channel(config, build_root, netlist=verilog)


def run_controller(
    executable: Path,
    config: ChannelConfig,
    patterns: Sequence[Pattern],
    *,
    settings: Settings | None = None,
    fill: int = 0,
    **options: Any,
) -> Measurement:
    """Run traffic on a whole controller, whose software sets it up, and reads its counters at the end.

    Arguments are those of `openppu_verif.hbm.native.run`; in what it gives, the counters are of the time since the
    channel was last started, or software took them last.

    Raises
    ------
    SimulationError
        If the simulator itself fails, or the counters contradict each other.
    """
    settings = settings or Settings()
    software = Software(config)
    found = run(
        executable,
        config,
        patterns,
        settings=settings,
        setup=software.set_up(settings, fill),
        last=software.last(),
        fill=fill,
        **options,
    )
    if found.wrong or found.violations or found.problems:
        return found
    held = {register.name: found.registers[register.offset] for register in software.table if register.readable}
    for name, value in software.values(settings).items():
        if held[name] != value:
            raise SimulationError(f"register {name} holds {held[name]} at the end, not {value}")
    counters = [{str(name): held[f"pc{pc}.{name}"] for name in counters_layout().members} for pc in range(2)]
    for pc, each in enumerate(counters):
        if each["reads"] + each["writes"] + sum(each[name] for name in IDLE_CAUSES) != each["clocks"]:
            raise SimulationError(f"the clocks of PC {pc} do not add up: {each}")
    return replace(
        found,
        counters=counters,
        power={name: held[f"power.{name}"] for name in POWER_COUNTERS},
        lost_or_stray=sum(held[name].bit_count() for name in ("lost", "stray")),
        parity_failed=bool(held["parity_failed"]),
    )


def answered_reads(config: ChannelConfig, measured: Measurement) -> int:
    """The users' reads in the histogram of latencies."""
    at = Software(config).at
    return sum(measured.registers[at[f"latency.{name}"]] for name in histogram_layout().members)
