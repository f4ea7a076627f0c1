"""What random runs of two ports have covered, in bins; a test fails where too little is."""

from collections.abc import Iterable

from openppu.link.config import CHANNELS, LinkConfig
from openppu.link.layouts import Operation
from openppu.link.link_counters import COUNTS
from openppu.link.port import port_status_layout
from openppu.link.training import Cause, State

from openppu_verif.link.native import SIDES, Run

UNSEEN_STATES = ("FAILED",)
"""Of ports whose lanes come back in time."""


def all_bins(config: LinkConfig) -> set[str]:
    """Everything that runs of a configuration can come to.

    Operations of whole packets by virtual channel; states of the training, causes of it, and widths, on each side;
    what the link layer counts; and faults of the channel.
    """
    bins = {f"{name}, channel {channel}" for name in Operation.__members__ for channel in range(CHANNELS)}
    for side in SIDES:
        bins |= {f"{side}: state {name}" for name in State.__members__ if name not in UNSEEN_STATES}
        bins |= {f"{side}: cause {name}" for name in Cause.__members__}
        bins |= {f"{side}: sends on {1 << width} lanes" for width in range(config.lanes.bit_length())}
        bins |= {f"{side}: {name}" for name in COUNTS if config.fec or name != "corrected"}
    return bins | {"wrong bits", "lost words", "packets lost to a reset"}


def bins_of(done: Run) -> set[str]:
    """What a run came to."""
    found = set()
    for number, flow in enumerate(done.flows):
        for name, operation in Operation.__members__.items():
            if flow.operations >> Operation(operation).value & 1:
                found.add(f"{name}, channel {number % CHANNELS}")
    for _, path, value in done.notes:
        side, _, name = path.partition(".physical.")
        if name == "state":
            found.add(f"{side}: state {State(value).name}")
        elif name == "cause":
            found.add(f"{side}: cause {Cause(value).name}")
        else:
            found.add(f"{side}: sends on {1 << value} lanes")
    layout = port_status_layout(done.config)
    for side in SIDES:
        status = layout.from_bits(int.from_bytes(done.pins[f"{side}.status"], "little"))
        found |= {f"{side}: {name}" for name in COUNTS if status.link.counts[name]}
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
