"""The solver for many chips: a step at a time, all its messages at once.

A message begins when its chip has what it is made of (where chips stream: the first packet of it) and the chip's
messages before are sent. It takes its way's
latency, and of each link on its way the time in which that link passes all that it has to in the step: messages that
share a link share it fairly. It works on any network, slow and dead links included, and takes no symmetry for granted;
only that what shares a link in a step does so from its beginning. `events.solve`, which does not assume that, says how
good this is.
"""

from dataclasses import dataclass

import numpy as np

from openppu_sim.cycles.link.network import Floats, Network
from openppu_sim.cycles.link.network import latency as way_latency
from openppu_sim.cycles.link.schedule import Schedule, Step


@dataclass
class Progress:
    """Nanoseconds at which each chip has all that it was sent; has enough of it to send on; has sent all.

    Each of shape (chips,).
    """

    received: Floats
    first: Floats
    sent: Floats

    @property
    def end(self) -> float:
        """When the last chip is done."""
        return float(max(self.received.max(), self.sent.max()))


def begin(network: Network, first: Step) -> Progress:
    """All chips at the start of a collective, when the first byte of its first step leaves."""
    start = np.full(network.chips, start_ns(network, first))
    return Progress(start, start.copy(), start.copy())


def start_ns(network: Network, first: Step) -> float:
    """Nanoseconds from the start of a collective to the first byte of its first step."""
    sends, comes = first.busiest
    return network.endpoint.begin_ns(sends=sends, comes=comes, reduces=first.reduces, token=first.token)


def solve(schedule: Schedule, network: Network, *, store_and_forward: bool = False) -> float:
    """Nanoseconds that a schedule takes.

    Parameters
    ----------
    schedule : list of Step
        What is sent.
    network : Network
        Over which links.
    store_and_forward : bool
        A switch sends a message on once the whole of it is there.
    """
    progress = begin(network, schedule[0])
    for step in schedule:
        advance(progress, step, network, store_and_forward=store_and_forward)
    return progress.end


def advance(progress: Progress, step: Step, network: Network, *, store_and_forward: bool = False) -> None:
    """Do a step, as often as it is repeated, and note when each chip is done with it."""
    if not step.source.size:
        return
    duration, latency = durations(step, network, store_and_forward=store_and_forward)
    arrival = latency + after_ns(network, step)
    if step.reduces:
        arrival = arrival + network.endpoint.reduce_ns(step.size)
    pass_on(progress, step, duration, arrival, first_share(network, step))


def pass_on(progress: Progress, step: Step, duration: Floats, arrival: Floats, first: Floats | float = 1.0) -> None:
    """Do a step whose messages take a time each to be sent, and a time more to arrive.

    ``first`` is the share of a message that is enough to be sent on. The last of it is sent on as much later as the
    first of it could be.
    """
    source, destination = step.source, step.destination
    lead = duration * first
    for _ in range(step.times):
        begun = np.maximum(progress.first[source], progress.sent[source])
        passed = np.maximum(begun + duration, progress.received[source] + lead)
        updates = ((progress.received, passed + arrival), (progress.first, begun + lead + arrival))
        if step.one_each:
            progress.sent[source] = passed
            for times, values in updates:
                times[destination] = np.maximum(times[destination], values)
        else:
            np.maximum.at(progress.sent, source, passed)
            for times, values in updates:
                np.maximum.at(times, destination, values)


def first_share(network: Network, step: Step) -> Floats:
    """Of each message of a step, the share that must be there before its receiver can send any of it on."""
    return np.ones(step.size.shape) if step.whole else network.endpoint.first(step.size)


def after_ns(network: Network, step: Step) -> float:
    """Nanoseconds from the last byte of a step's message to what is done with it."""
    return network.endpoint.after_ns(operands=step.operands * step.reduces, stored=step.stored, token=step.token)


def durations(step: Step, network: Network, *, store_and_forward: bool = False) -> tuple[Floats, Floats]:
    """Of each message of a step: the time in which its bytes pass, and the latency of its way."""
    paths = network.paths(step.source, step.destination)
    wire = network.endpoint.wire(step.size) * network.stretch(step.source, step.destination)
    on_way = paths >= 0
    load = np.bincount(paths[on_way], np.broadcast_to(wire[:, None], paths.shape)[on_way], len(network.rate))
    busy = np.where(on_way, (load / network.rate)[paths], 0.0)
    duration = busy.max(axis=1)
    if store_and_forward:
        alone = np.where(on_way, wire[:, None] / network.rate[paths], 0.0)
        duration = duration + alone.sum(axis=1) - alone.max(axis=1)
    return duration, way_latency(network, paths)
