"""The network of the cycle model: turns of words and acknowledges, and routers that hold what cannot go on."""

from dataclasses import dataclass

import pytest
from openppu.config import load
from openppu.noc.config import NocConfig
from openppu.noc.plan import Place, Plan
from openppu_sim.cycles.chip.answers import Answer, Answers
from openppu_sim.cycles.chip.events import Events
from openppu_sim.cycles.chip.routers import Routers

TINY = load("tiny")


@pytest.fixture
def events():
    return Events()


def answers_of(events, ports=1, planes=1):
    chip = load("tiny", [f"hbm.ports={ports}", f"noc.planes={planes}"])
    plan = Plan(noc=chip.noc, hbm=chip.hbm, scratchpad=chip.scratchpad, initiators=3, units=1)
    return Answers(events, plan)


def answer(at, to, came):
    return Answer(at, to, True, lambda clock: None, came.append)


def test_an_acknowledge_keeps_the_words_behind_it_for_a_clock(events):
    answers, words, acknowledges = answers_of(events), [], []
    answers.read(0, 8, answer(10, 0, words))
    answers.acknowledge(0, answer(13, 1, acknowledges))
    events.run(30)
    assert (words, acknowledges) == ([10, 11, 12, 14, 15, 16, 17, 18], [13])


def test_acknowledges_and_words_take_turns(events):
    answers, words, acknowledges = answers_of(events), [], []
    answers.read(0, 4, answer(10, 0, words))
    for _ in range(3):
        answers.acknowledge(0, answer(10, 1, acknowledges))
    events.run(30)
    assert (words, acknowledges) == ([10, 12, 14, 16], [11, 13, 15])


@pytest.mark.parametrize("planes", [1, 2])
def test_an_initiator_takes_one_packet_after_the_other(events, planes):
    answers, first, second = answers_of(events, 2, planes), [], []
    answers.read(0, 3, answer(10, 2, first))
    answers.read(1, 3, answer(11, 2, second))
    events.run(30)
    assert (first, second) == ([10, 11, 12], [13, 14, 15])


def test_two_initiators_are_answered_at_once(events):
    answers, first, second = answers_of(events, 2), [], []
    answers.read(0, 3, answer(10, 1, first))
    answers.read(1, 3, answer(10, 2, second))
    events.run(30)
    assert first == second == [10, 11, 12]


@dataclass
class Flit:
    to: int
    end: bool = True


def test_a_router_takes_a_clock_and_holds_what_its_queue_has_room_for():
    mesh = Routers(NocConfig(columns=3, queue=3), [Place(0, 0, 0)], [Place(2, 0, 0)], whole=True)
    left, came = [], []
    for clock in range(20):
        reached = mesh.choose({0: Flit(0)})
        taken = set(reached) if clock >= 12 else set()
        came += [clock] * len(taken)
        left += [clock] * len(mesh.move(taken))
    # Nine flits fill three routers; once the first goes, room comes to the first router two clocks later.
    assert left[:9] == list(range(9))
    assert left[9] == 15
    assert came == list(range(12, 20))


def test_packets_of_requests_stay_together():
    mesh = Routers(NocConfig(columns=2), [Place(0, 0, 0), Place(0, 0, 1)], [Place(1, 0, 0)], whole=True)
    packets = [[Flit(0, False), Flit(0)], [Flit(0, False), Flit(0)]]
    waiting = [list(packet) for packet in packets]
    came = []
    for _ in range(12):
        reached = mesh.choose({source: flits[0] for source, flits in enumerate(waiting) if flits})
        came += reached.values()
        for source in mesh.move(reached):
            waiting[source].pop(0)
    assert [id(flit) for flit in came] == [id(flit) for packet in packets for flit in packet]
