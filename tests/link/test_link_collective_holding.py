"""What the planner knows of memory: blocks, what covers what, shares of beats, and copies that no queue blocks."""

import random
from collections import Counter

import pytest
from openppu.link.collective.block import Block, Holding
from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.instruction import Opcode, Thread
from openppu.link.collective.reductions import shares
from openppu.link.collective.schedule import Schedule
from openppu.link.collective.wiring import Wiring, mesh, pair, two_groups
from openppu.link.config import LinkConfig

BEAT = 8
GRAIN = 2


def schedule(wiring: Wiring, queue: int = 4) -> Schedule:
    """An empty one, of beats of 8 bytes."""
    link = LinkConfig(ports=max(map(len, wiring.peers)), lanes=4, lane_bits=16)
    return Schedule(wiring=wiring, config=CollectiveConfig(link=link, queue=queue), grain=GRAIN)


def block(low: int, elements: int, *, thread: int | None = None, rank: int = 0) -> Block:
    """Elements of four bytes that stand where the vector has them, from address 1024 on."""
    return Block(rank=rank, low=low, elements=elements, address=1024 + 4 * low, narrow=False, thread=thread, base=10)


def test_a_part_of_a_block_keeps_its_place_and_who_writes_it() -> None:
    part = block(4, 20, thread=3).part(10, 5, BEAT)
    assert (part.low, part.elements, part.address, part.thread, part.base) == (10, 5, 1024 + 40, 3, 13)
    there = block(4, 20).part(10, 5, BEAT)
    assert (there.thread, there.base) == (None, 0)
    for low, elements in ((5, 2), (2, 2), (20, 6)):  # no beat begins there; before it; beyond it
        with pytest.raises(AssertionError):
            block(4, 20).part(low, elements, BEAT)


def test_a_later_block_takes_the_place_of_what_it_covers() -> None:
    """Random blocks of whole beats, against a list with the owner of each element."""
    rng = random.Random(1)
    for _ in range(200):
        owners: list[int | None] = [None] * 40
        holding = Holding(BEAT, (block(0, 40),))
        for thread in range(1, 8):
            low, high = sorted(rng.sample(range(0, 41, GRAIN), 2))
            holding.put(block(low, high - low, thread=thread))
            owners[low:high] = [thread] * (high - low)
        low, high = sorted(rng.sample(range(0, 41, GRAIN), 2))
        found = holding.take(low, high - low)
        assert [each.thread for each in found for _ in range(each.elements)] == owners[low:high]
        assert [each.address for each in found] == [1024 + 4 * each.low for each in found]
    with pytest.raises(AssertionError):
        Holding(BEAT, (block(0, 4),)).take(0, 6)


@pytest.mark.parametrize(("elements", "count"), [(1, 4), (7, 2), (16, 4), (17, 4), (100, 7)])
def test_shares_are_whole_beats_and_follow_each_other(elements: int, count: int) -> None:
    spans = shares(schedule(pair()), (6, elements), count)
    assert len(spans) == count
    assert sum(size for _, size in spans) == elements
    at = 6
    for low, size in spans:
        assert low == at
        at += size
        assert (low - 6) % GRAIN == 0 or size == 0
    sizes = [size for _, size in spans]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("wiring", [mesh(8), two_groups()], ids=["mesh", "groups"])
@pytest.mark.parametrize("queue", [2, 4])
def test_copies_never_fill_a_queue_before_the_other_end_is_told(wiring: Wiring, queue: int) -> None:
    """Blocks from each rank to each neighbour: SENDs of a port that are not followed by the STOREs at the peer."""
    made = schedule(wiring, queue)
    moves = [
        (block(20 * number, 20, rank=rank), other, 8192 + 80 * number)
        for rank in range(wiring.ranks)
        for other in wiring.neighbours(rank)
        for number in range(5)
    ]
    order: list[tuple[Opcode, int, int]] = []
    add = made.add

    def note(rank: int, opcode: Opcode, **values: int) -> None:
        order.append((opcode, rank, values["ports"].bit_length() - 1))
        add(rank, opcode, **values)

    made.add = note  # type: ignore[method-assign,assignment]
    found = made.copies(moves)
    open_sends: Counter[tuple[int, int]] = Counter()
    for opcode, rank, port in order:
        if opcode is Opcode.SEND:
            open_sends[rank, port] += 1
            assert open_sends[rank, port] <= queue
        else:
            peer = wiring.peers[rank][port]
            assert peer is not None
            open_sends[peer] -= 1
    assert not any(open_sends.values())
    for (sent, other, address), blocks in zip(moves, found, strict=True):
        assert sum(each.elements for each in blocks) == sent.elements
        assert min(each.address for each in blocks) == address
        for each in blocks:
            assert each.rank == other
            assert each.thread is not None
            assert Thread.PORT <= each.thread < Thread.UNIT
