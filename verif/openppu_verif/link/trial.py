"""A short run of two ports, and what it must come to."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openppu.link.config import CHANNELS, LinkConfig
from openppu.link.layouts import Operation
from openppu.link.physical import physical_control_layout
from openppu.link.port import port_status_layout
from openppu.link.training import Cause, State
from openppu_sim.errors import SimulationError

from openppu_verif.link.native import NO_TRAFFIC, Run, Traffic, run

SECONDS = 600.0
"""For a run; one that does not end has failed. Far more than any takes, on a machine that does much else, too."""
WRITES = Traffic(sizes=(96, 96), operations=(Operation.WRITE,))
STREAM = [[WRITES] + [NO_TRAFFIC] * (CHANNELS - 1)] * 2
EVERY = [[Traffic(sizes=(1, 300))] * CHANNELS] * 2
QUIET = [[Traffic(operations=(Operation.READ,), pause=0.98)] + [NO_TRAFFIC] * (CHANNELS - 1)] * 2
SILENT = [[NO_TRAFFIC] * CHANNELS] * 2
NOTED = ("physical.state", "physical.cause")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A short run: its arguments for `openppu_verif.link.native.run`, and what it must come to."""

    label: str
    may_lose: bool = False
    may_stay: bool = False
    """Packets may be left at the end."""
    slow: bool = False
    """Too long for `make test`."""
    arguments: Mapping[str, Any]
    expect: Callable[[Run], str | None] = field(default=lambda done: None)


def status(done: Run, side: str) -> Any:
    """What a port told of itself at the end."""
    return port_status_layout(done.config).from_bits(int.from_bytes(done.pins[f"{side}.status"], "little"))


def both(done: Run) -> tuple[Any, Any]:
    """`status` of a and of b."""
    return status(done, "a"), status(done, "b")


def control(config: LinkConfig, **fields: Any) -> int:
    """The port's input of that name."""
    return physical_control_layout(config).const(fields).as_bits()


def play(
    executable: Path, config: LinkConfig, trial: Trial, *, pins: Sequence[tuple[str, str, int]] = ()
) -> str | None:
    """Do a run on a native model, with ``pins`` set, too; the first thing that is wrong, or nothing."""
    arguments = {"warmup": 1_500, "drain": 60_000, "watch": ["status"], **trial.arguments}
    arguments["pins"] = [*arguments.get("pins", ()), *pins]
    try:
        done = run(executable, config, timeout=SECONDS, **arguments)
        if not trial.may_stay:
            done.check()
        if any(flow.lost for flow in done.flows) and not trial.may_lose:
            return "packets were lost"
        return trial.expect(done)
    except SimulationError as error:
        return str(error)


def healthy(done: Run) -> str | None:
    """Both ports came up at once, and are as they should be."""
    for side, each in zip("ab", both(done), strict=True):
        physical = each.physical
        widths = (physical.send_width, physical.receive_width, physical.send_lanes)
        if (
            physical.state != State.ACTIVE
            or widths != (1, 1, 3)
            or physical.retrains
            or physical.cause != Cause.POWER_UP
        ):
            return f"{side}: {physical.state}, widths {widths}, {physical.retrains} trainings, {physical.cause}"
        if physical.failed or physical.missing or each.resets or each.gone:
            return f"{side}: failed {physical.failed}, missing {physical.missing}, {each.resets} resets"
    return None
