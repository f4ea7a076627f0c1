"""Both ends of a stream, on wires without a simulator: the checker must catch what it is there for."""

import random
from types import SimpleNamespace

import pytest
from cocotb.handle import Immediate
from openppu_verif.streams import ProtocolError, Sink, Source


class Wire:
    """Stands in for a handle."""

    def __init__(self) -> None:
        self.value = 0

    def __len__(self) -> int:
        return 8

    def set(self, action: Immediate) -> None:
        self.value = action.value


@pytest.fixture
def dut() -> SimpleNamespace:
    return SimpleNamespace(s__valid=Wire(), s__ready=Wire(), s__payload=Wire())


def offer(dut: SimpleNamespace, valid: int, payload: int = 0) -> None:
    dut.s__valid.value, dut.s__payload.value = valid, payload


def test_a_sink_takes_where_its_pattern_allows_and_tells_what_it_held(dut: SimpleNamespace) -> None:
    sink = Sink(dut, "s")
    sink.begin()
    sink.allow([False, False, True, False])
    taken = []
    for cycle in range(6):
        sink.drive(cycle)
        offer(dut, 1, 7 if cycle < 3 else cycle)
        if cycle == 4:
            dut.s__payload.value = 3
        taken.append(sink.sample(cycle))
    assert taken == [None, None, 7, None, 3, 5]
    assert sink.held == [0, 1, 3]


def test_a_sink_catches_an_offer_that_is_withdrawn(dut: SimpleNamespace) -> None:
    sink = Sink(dut, "s")
    sink.allow([False] * 9)
    offer(dut, 1, 7)
    sink.drive(0)
    sink.sample(0)
    offer(dut, 0, 7)
    with pytest.raises(ProtocolError, match="s: valid fell in cycle 1 before"):
        sink.sample(1)


def test_a_sink_catches_a_payload_that_changes_while_it_waits(dut: SimpleNamespace) -> None:
    sink = Sink(dut, "s")
    sink.allow([False])
    offer(dut, 1, 7)
    sink.drive(0)
    sink.sample(0)
    sink.drive(1)
    offer(dut, 1, 6)
    with pytest.raises(ProtocolError, match="s: payload 0x7 became 0x6 while it waited"):
        sink.sample(1)


def test_a_sink_forgets_what_waited_at_a_reset(dut: SimpleNamespace) -> None:
    sink = Sink(dut, "s")
    sink.allow([False])
    offer(dut, 1, 7)
    sink.drive(0)
    sink.sample(0)
    sink.begin()
    offer(dut, 0)
    assert sink.sample(1) is None


def test_a_source_holds_its_offer_until_it_is_taken_and_shows_noise_between(dut: SimpleNamespace) -> None:
    source = Source(dut, "s", random.Random(1))
    source.begin()
    source.allow([False, True, False, False, False])
    source.put(5)
    source.put(6, cycle=8)
    seen = []
    for cycle in range(10):
        source.drive(cycle)
        dut.s__ready.value = int(cycle in (0, 3, 9))
        valid, payload = dut.s__valid.value, dut.s__payload.value
        seen.append((valid, payload if valid else None, source.sample()))
    waits, nothing = (0, None, False), (1, 5, False)
    assert seen[:5] == [waits, nothing, nothing, (1, 5, True), waits]
    assert seen[5:8] == [waits] * 3
    assert seen[8:] == [(1, 6, False), (1, 6, True)]
    assert source.held == [0]
    assert not source.waiting
