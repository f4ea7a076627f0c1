"""Whole chips: a link dies under traffic, and goes through other links, or is given up; then it comes back."""

from pathlib import Path

import pytest
from openppu.link.config import LinkConfig
from openppu.link.topology import Topology, pair, ring
from openppu_sim.errors import SimulationError
from openppu_verif.link.fabric_native import build_fabric, run
from openppu_verif.link.native import ALIVE, DARK

CONFIG = LinkConfig(ports=2, lanes=2, lane_bits=64, credits=4, window=16)
DEATH, REVIVAL = 15_000, 40_000

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def executable(build_root: Path) -> Path:
    return build_fabric(CONFIG, build_root)


def life(clock: int, topology: Topology, state: int, chip: int = 0, port: int = 0) -> list[tuple[int, str, list[int]]]:
    """What becomes of all lanes of a link, both ways."""
    peer = topology.peers[chip][port]
    assert peer is not None
    return [(clock, "life", [*end, state]) for end in ((chip, port), peer)]


@pytest.mark.parametrize("topology", [pair(2), ring(3)], ids=["beside it", "over a third chip"])
def test_a_link_that_dies_goes_through_others_and_comes_back_without_loss(topology: Topology, executable: Path) -> None:
    events = [*life(DEATH, topology, DARK), *life(REVIVAL, topology, ALIVE)]
    done = run(executable, CONFIG, topology, failover=True, events=events, bit_errors=2e-6)
    assert done.wrong_bits > 0
    far = topology.peers[0][0]
    assert far is not None
    for end in ((0, 0), far):
        tunnel = done.ports[end[0]][end[1]].tunnel
        assert tunnel.sent > 100
        assert tunnel.received > 100
        assert not tunnel.active
        began, ended = done.times(*end, "tunnel.active", 1), done.times(*end, "tunnel.active", 0)[1:]
        assert len(began) == len(ended) == 1
        assert DEATH < began[0] < REVIVAL < ended[0] < REVIVAL + 1500
    assert not any(map(any, done.unreachable))
    assert all(each.resets == 0 for chip in done.ports for each in chip), "no link layer was reset"
    for chip, answered in enumerate(done.answered):
        assert all(count > 50 for other, count in enumerate(answered) if other != chip)
    for given, got, lost in done.flows.values():
        assert given == got > 50
        assert lost == 0


def test_a_link_that_stays_dead_carries_on_through_the_others(executable: Path) -> None:
    topology = ring(3)
    done = run(executable, CONFIG, topology, failover=True, events=life(DEATH, topology, DARK), seed=2)
    assert done.ports[0][0].tunnel.active
    assert done.flows[0, 0][0] == done.flows[0, 0][1] > 200


def test_without_another_way_a_dead_link_is_given_up_holds_up_nobody_and_begins_anew(executable: Path) -> None:
    """Requests over it are answered as unreachable, all others as ever; once it is back, everything goes on. Answers
    may take longer than a port takes to give up, for a chip's answers are one stream until then."""
    topology = ring(3)
    events = [
        *life(DEATH, topology, DARK),
        *life(REVIVAL, topology, ALIVE),
        (60_000, "quiet", []),
        (84_000, "resume", []),
    ]
    done = run(executable, CONFIG, topology, failover=False, timeout=10_000, clocks=100_000, events=events)
    for chip, port, other in ((0, 0, 1), (1, 1, 0)):
        assert done.unreachable[chip][other] > 0
        (gone,), (back,) = done.times(chip, port, "gone", 1), done.times(chip, port, "gone", 0)[1:]
        assert DEATH < gone < REVIVAL < back < REVIVAL + 30_000
        assert done.flows[chip, port][2] > 0, "collective packets are lost"
        assert done.ports[chip][port].resets > 0
        assert done.answered[chip][2] > 200
        assert done.answered[2][chip] > 200
        assert done.unreachable[chip][2] == done.unreachable[2][chip] == 0, "no other request is lost"
    for (given, got, lost), (chip, port) in zip(done.flows.values(), done.flows, strict=True):
        assert given == got + lost
        assert lost == 0 or (chip, port) in ((0, 0), (1, 1))


def test_a_dead_link_that_waits_for_ever_is_seen(executable: Path) -> None:
    topology = ring(3)
    events = life(5_000, topology, DARK)
    with pytest.raises(SimulationError, match=r"^not all has arrived after 30000 clocks$"):
        run(executable, CONFIG, topology, failover=None, events=events, clocks=15_000, drain=15_000)


def test_a_chip_that_is_reset_during_a_tunnel_is_back_behind_it(executable: Path) -> None:
    """The link stays dead; chip 0 begins anew, and what it asks after that arrives, through the tunnel."""
    topology = ring(3)
    events = [
        *life(DEATH, topology, DARK),
        (40_000, "quiet", []),
        (40_200, "reset", [0]),
        (60_000, "resume", []),
    ]
    done = run(executable, CONFIG, topology, failover=True, timeout=3000, clocks=90_000, events=events, seed=3)
    assert done.ports[0][0].tunnel.active
    assert done.ports[0][0].tunnel.received > 100
    assert done.ports[1][1].resets > 0
    assert done.answered[0][1] > 100
