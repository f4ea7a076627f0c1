"""One channel: its ports, two pseudo-channels and their row bus."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from openppu.hbm.config import ChannelConfig
from openppu.hbm.settings import Settings

from openppu_sim.cycles.hbm.accounts import Accounts
from openppu_sim.cycles.hbm.policy import Policy
from openppu_sim.cycles.hbm.port import Crossbar, Port
from openppu_sim.cycles.hbm.power import Power
from openppu_sim.cycles.hbm.pseudo_channel import PseudoChannel, Sent
from openppu_sim.cycles.hbm.refresh import FAR, REF, REFSB
from openppu_sim.cycles.hbm.requests import Piece, Requests, pieces
from openppu_sim.cycles.hbm.row_bus import PCS, RowBus


@dataclass(frozen=True)
class ChannelRun:
    """What a channel did.

    Parameters
    ----------
    clocks : int
        Controller clocks from the start, or from the end of the warm-up, to the last response and write.
    accounts : list of Accounts
        Of each pseudo-channel, over these clocks.
    offered, finished : array of int64, (requests,)
        Clock in which each request was there and could be taken; that of a read's last response, or of a write's
        acceptance. -1 where the run ended before.
    """

    clocks: int
    accounts: list[Accounts]
    offered: np.ndarray
    finished: np.ndarray


def run_channel(
    requests: Requests,
    config: ChannelConfig,
    settings: Settings,
    *,
    arrival: np.ndarray | None = None,
    policy: Policy | None = None,
    warm_up: int = 0,
    clocks: int = FAR,
    spoiled: Iterable[int] = (),
    log: list[Sent] | None = None,
) -> ChannelRun:
    """Run requests, whose addresses are of one channel; request i goes to port i modulo ports, and tags take turns.

    Parameters
    ----------
    requests : Requests
        Within the channel's capacity.
    config : ChannelConfig
    settings : Settings
    arrival : array of int64, (n,), optional
        Clock from which each request is there; without, a port offers each as soon as the one before it is taken.
    policy : Policy, optional
        That of the hardware, if not given.
    warm_up, clocks : int
        Count from clock ``warm_up`` on, and stop at clock ``clocks`` at the latest.
    spoiled : iterable of int, optional
        Clocks, ascending, perhaps without end: the first access from each on is lost for wrong parity, and with it the
        row command of its memory clock. Only with ``config.retry`` and ``settings.parity_latency``.
    log : list of Sent, optional
        Gets every command, those of a clock in any order.
    """
    policy = policy or Policy()
    cut = pieces(requests, config, settings)
    of_ports: list[list[Piece]] = [[] for _ in range(config.ports)]
    for piece in cut:
        piece.port = piece.request % config.ports
        piece.tag = piece.request // config.ports % config.tags
        of_ports[piece.port].append(piece)
    times = None if arrival is None else arrival.tolist()

    def returned(piece: Piece, ready_at: int) -> None:
        piece.ready_at = ready_at

    pcs = [PseudoChannel(config, settings, policy, index=index, returned=returned) for index in PCS]
    for pc in pcs:
        pc.log = log
    ports = [
        Port(
            config,
            own,
            None if times is None else [times[piece.request] for piece in own],
            policy,
            number=number,
            buffers=[pc.buffer for pc in pcs],
        )
        for number, own in enumerate(of_ports)
    ]
    crossbars = [Crossbar(ports, index) for index in PCS]
    bus = RowBus(policy.patience)
    power = Power(settings)
    earlier = [pc.accounts.copy() for pc in pcs]
    warm = warm_up == 0
    losses = iter(spoiled if config.retry and settings.parity_latency else ())
    next_loss = next(losses, FAR)
    clock = 0
    while clock < clocks:
        if not warm and clock >= warm_up:
            warm = True
            for pc in pcs:
                pc.idle.settle(clock)
            warm_up = clock
            earlier = [pc.accounts.copy() for pc in pcs]
        slots = step(clock, pcs, crossbars, bus)
        if next_loss <= clock and _lose(clock, pcs, slots):
            next_loss = next(losses, FAR)
        for port in ports:
            if port.wake <= clock:
                port.step(clock)
                for pc, waiting in zip(pcs, port.waiting, strict=True):
                    if waiting:
                        pc.wake = min(pc.wake, clock + 1)
        if power.states:
            power.step(clock, pcs, busy=any(pc.busy for pc in pcs) or any(port.offers for port in ports))
        if all(port.done for port in ports) and not any(pc.busy for pc in pcs):
            break
        later = max(clock + 1, min(*(pc.wake for pc in pcs), *(port.wake for port in ports)))
        if log is None and warm and not any(pc.busy for pc in pcs) and not any(any(port.waiting) for port in ports):
            later = max(later, _rest(clock, min(clocks, *(port.wake for port in ports)), pcs, settings))
        clock = later if warm else min(later, max(warm_up, clock + 1))
    for port in ports:
        port.respond(FAR)
    finished = np.full(len(requests), -1)
    offered = np.full(len(requests), -1)
    for port in ports:
        for target, values in ((offered, port.offered), (finished, port.finished)):
            target[list(values)] = list(values.values())
    end = clock if clock >= clocks else max(clock + 1, int(finished.max(initial=0)))
    end = min(end, clocks)
    for pc in pcs:
        pc.idle.settle(end)
    accounts = [pc.accounts.since(start) for pc, start in zip(pcs, earlier, strict=True)]
    return ChannelRun(end - (warm_up if warm else 0), accounts, offered, finished)


def _rest(clock: int, until: int, pcs: list[PseudoChannel], settings: Settings) -> int:
    """Pass over a time in which nothing comes, by whole tREFI, once refreshes have become regular; return its end."""
    # A clock is two CK: so many clocks are twice as many tREFI.
    times = (until - clock) // settings.timing.tREFI - 1
    if times < 1 or not all(pc.refresher.regular(clock) for pc in pcs):
        return clock
    for pc in pcs:
        pc.accounts.events["refreshes"] += pc.refresher.pass_over(2 * times)
    return clock + times * settings.timing.tREFI


def _lose(clock: int, pcs: list[PseudoChannel], short_slots: list[int]) -> bool:
    """Lose the access that was chosen in this clock, if one was, and what else is in its slot."""
    slot = next((pc.index for pc in pcs if pc.clock == clock and pc.accesses), -1)
    if slot < 0:
        return False
    for pc, short in zip(pcs, short_slots, strict=True):
        wish = pc.short_wish
        refresh = short == slot and wish is not None and wish.command in (REF, REFSB)
        if pc.retry is not None:
            pc.retry.lose(clock, (wish.command, wish.bank) if refresh and wish is not None else None)
            pc.wake = min(pc.wake, pc.retry.wake)
    return True


def step(clock: int, pcs: list[PseudoChannel], crossbars: list[Crossbar], bus: RowBus) -> list[int]:
    """One clock of those pseudo-channels that may have something to do; the slots of their short row commands."""
    active = [(pc, crossbar) for pc, crossbar in zip(pcs, crossbars, strict=True) if pc.wake <= clock]
    if not active:
        return [-1, -1]
    offers = []
    for pc, crossbar in active:
        offer = crossbar.offer()
        offers.append(offer)
        pc.decide(clock, offer)
    acts = [pc.act_wish if pc.clock == clock else None for pc in pcs]
    shorts = [pc.short_wish if pc.clock == clock else None for pc in pcs]
    act_slots, short_slots = [-1, -1], [-1, -1]
    if acts != [None, None] or shorts != [None, None]:
        act_slots, short_slots = bus.grant(clock, acts, shorts)
    for (pc, crossbar), offer in zip(active, offers, strict=True):
        pc.act(clock, act_slots[pc.index], short_slots[pc.index], offer)
        if pc.accepts and offer is not None:
            crossbar.taken(clock)
    return short_slots
