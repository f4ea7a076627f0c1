"""What random runs of two ports have covered, in bins; a test fails where too little is."""

from collections.abc import Iterable

from openppu.link.config import CHANNELS, LinkConfig
from openppu.link.layouts import Operation
from openppu.link.link_counters import COUNTS
from openppu.link.port import port_status_layout
from openppu.link.training import Cause, State

from openppu_verif.link.native import SIDES, Run

TUNNEL = ("sent", "received")
"""Flits that went through a tunnel."""


def all_bins(config: LinkConfig) -> set[str]:
    """Everything that runs of a configuration can come to.

    Operations of whole packets by virtual channel; states of the training, causes of it, and widths, on each side;
    what the link layer counts; flits through tunnels; a port that has given up; and faults of the channel. That a beat
    is missing is no bin: `openppu_verif.link.soak` calls it an error.
    """
    bins = {f"{name}, channel {channel}" for name in Operation.__members__ for channel in range(CHANNELS)}
    for side in SIDES:
        bins |= {f"{side}: state {name}" for name in State.__members__}
        bins |= {f"{side}: cause {name}" for name in Cause.__members__}
        bins |= {f"{side}: sends on {1 << width} lanes" for width in range(config.lanes.bit_length())}
        bins |= {f"{side}: {name}" for name in COUNTS if config.fec or name != "corrected"}
        bins |= {f"{side}: {name} by tunnel" for name in TUNNEL} | {f"{side}: tunnel in use", f"{side}: gone"}
        bins.add(f"{side}: back from the tunnel")
    return bins | {"wrong bits", "lost words", "packets lost to a reset"}


def bins_of(done: Run) -> set[str]:
    """What a run came to."""
    found = set()
    for number, flow in enumerate(done.flows):
        for name, operation in Operation.__members__.items():
            if flow.operations >> Operation(operation).value & 1:
                found.add(f"{name}, channel {number % CHANNELS}")
    for clock, path, value in done.notes:
        side, _, name = path.partition(".")
        name = name.removeprefix("physical.")
        if name == "tunnel.active":
            found |= {f"{side}: tunnel in use" if value else f"{side}: back from the tunnel"} if clock > 1 else set()
        elif name == "gone":
            found |= {f"{side}: gone"} if value else set()
        elif name == "state":
            found.add(f"{side}: state {State(value).name}")
        elif name == "cause":
            found.add(f"{side}: cause {Cause(value).name}")
        else:
            found.add(f"{side}: sends on {1 << value} lanes")
    layout = port_status_layout(done.config)
    for side in SIDES:
        status = layout.from_bits(int.from_bytes(done.pins[f"{side}.status"], "little"))
        found |= {f"{side}: {name}" for name in COUNTS if status.link.counts[name]}
        found |= {f"{side}: {name} by tunnel" for name in TUNNEL if status.tunnel[name]}
    found |= {"wrong bits"} if done.wrong_bits else set()
    found |= {"lost words"} if done.lost_words else set()
    return found | ({"packets lost to a reset"} if any(flow.lost for flow in done.flows) else set())


def missing(runs: Iterable[Run], config: LinkConfig) -> tuple[float, list[str]]:
    """The share of all bins that runs have covered, and the names of the others."""
    covered: set[str] = set()
    for done in runs:
        covered |= bins_of(done)
    wanted = all_bins(config)
    return len(covered & wanted) / len(wanted), sorted(wanted - covered)
