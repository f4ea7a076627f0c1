"""A network gives every request to its memory, and every answer to who asked, in order."""

from typing import Any

import pytest
from noc_bench import SCRATCHPADS, Bench, scratchpad_address
from openppu.hbm.stacks import HbmConfig
from openppu.noc.config import NocConfig
from openppu.noc.layouts import request_flit_layout
from openppu.noc.plan import Plan
from openppu.noc.router import Router
from openppu.noc.target import Target
from openppu.noc.turns import Turns
from openppu.scratchpad.config import ScratchpadConfig
from openppu.section import ConfigError
from openppu_verif.ends import run

PAD = ScratchpadConfig(banks=2, bank_words=16, word_bytes=64)
ONE = HbmConfig(stacks=1, channels=1, height=4, ports=1, tags=2)
SIX = HbmConfig(stacks=3, channels=1, height=4, ports=2, tags=2)
"""Three channels, which no power of two divides among them, with six ports."""
TWELVE = HbmConfig(stacks=3, channels=2, height=4, ports=2, tags=4)


def plan(columns: int, rows: int, hbm: HbmConfig, *, initiators: int, units: int, **noc: int) -> Plan:
    """A network with small scratchpads."""
    config = NocConfig(columns=columns, rows=rows, **noc)
    return Plan(noc=config, hbm=hbm, scratchpad=PAD, initiators=initiators, units=units, tags=2)


PLANS = {
    "one to one": plan(1, 1, ONE, initiators=1, units=0),
    "crossbar": plan(1, 1, SIX, initiators=2, units=1, slots=4, writes=2),
    "2x1": plan(2, 1, ONE, initiators=2, units=2, queue=3),
    "2x1, 2 planes": plan(2, 1, SIX, initiators=1, units=1, queue=3, planes=2),
}


def random_requests(bench: Bench, count: int) -> None:
    """To a few places that each user and tag has alone, in the HBM and in a scratchpad; some outside of all memory."""
    chance, plan = bench.chance, bench.plan
    streams = len(bench.users) * plan.tags
    for _ in range(count):
        for user in range(len(bench.users)):
            tag = chance.randrange(plan.tags)
            number = user * plan.tags + tag
            words = chance.choice((1, 1, 2, 7, 8, 9, 20, 33))
            place = chance.random()
            if place < 0.1:
                address = chance.choice(
                    (32 * plan.hbm_words - 32 * (words - 1), scratchpad_address(plan.units), SCRATCHPADS - 32, 17)
                )
                if bench.inside(address, words):
                    continue
            elif place < 0.4 and plan.units:
                size = plan.scratchpad.capacity // 32 // streams
                words = min(words, size)
                start = number * size + chance.randrange(size - words + 1)
                address = scratchpad_address(chance.randrange(plan.units), 32 * start)
            else:
                address = 32 * (chance.choice((0, 5000, plan.hbm_words - 64 * 64)) + 64 * number + chance.randrange(8))
            if chance.random() < 0.5:
                bench.ask_read(user, tag, address, words)
            else:
                masks = [chance.choice((0xFFFFFFFF, chance.getrandbits(32))) for _ in range(words)]
                bench.ask_write(user, tag, address, chance.randbytes(32 * words), masks=masks)


CASES = [
    ("one to one", 1, 1.0),
    ("one to one", 2, 0.4),
    ("crossbar", 3, 0.4),
    ("2x1", 4, 1.0),
    ("2x1, 2 planes", 5, 0.6),
]


@pytest.mark.parametrize(("name", "seed", "rate"), CASES)
def test_every_request_is_answered_as_if_memory_were_one(name: str, seed: int, rate: float) -> None:
    bench = Bench(PLANS[name], seed, rate=rate)
    random_requests(bench, 12)
    bench.run()
    assert all(channel.idle for channel in bench.channels)


def test_what_follows_in_a_tag_finds_what_was_written() -> None:
    """Though the memory takes its time, and answers requests of different tags in any order."""
    bench = Bench(PLANS["one to one"], seed=9, delay=15)
    for turn in range(16):
        tag = turn // 2 % 2
        bench.ask_write(0, tag, 4096 * tag, bench.chance.randbytes(32))
        bench.ask_read(0, tag, 4096 * tag, 1)
    bench.run()


def test_a_mesh_of_four_answers_everything() -> None:
    bench = Bench(plan(2, 2, ONE, initiators=4, units=2, queue=3), seed=2, rate=0.6)
    random_requests(bench, 6)
    bench.run()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_mesh_of_16_under_load_answers_everything(seed: int) -> None:
    """16 initiators, 12 ports of channels, 16 scratchpads, small queues, backpressure everywhere."""
    bench = Bench(
        plan(4, 4, TWELVE, initiators=16, units=16, planes=2, queue=3, slots=8, writes=4), seed, rate=0.7, delay=8
    )
    random_requests(bench, 30)
    bench.run(most=20_000)
    assert all(channel.idle for channel in bench.channels)
    assert all(len(user.at["responses"]) > 30 for user in bench.users)


def test_what_is_acknowledged_is_seen_by_everybody() -> None:
    """Whoever reads it, through whatever port."""
    bench = Bench(PLANS["2x1"], seed=3)
    words = {}
    for user in range(2):
        for address in (32 * 64 * user, scratchpad_address(user)):
            words[address] = bench.chance.randbytes(32 * 12)
            bench.ask_write(user, user % 2, address, words[address])

    asked = False

    def step(ctx: Any, cycle: int) -> bool:
        nonlocal asked
        done = bench.cycle(ctx, cycle)
        if done and not asked:
            asked = True
            for user in range(2):
                for address in words:
                    bench.ask_read(user, 0, address, 12)
            return False
        return done

    run(bench.dut, step, most=3000)
    assert sum(len(user.at["responses"]) for user in bench.users) == 2 * 4 * 12


@pytest.mark.parametrize("write", [0, 1])
def test_what_is_outside_of_all_memory_is_answered_with_an_error_and_goes_nowhere(write: int) -> None:
    bench = Bench(PLANS["crossbar"], seed=4)
    size, pad = 32 * bench.plan.hbm_words, bench.plan.scratchpad.capacity
    places = [(size - 32, 2), (size, 1), (SCRATCHPADS - 32, 128), (scratchpad_address(0, pad - 32), 2)]
    places += [
        (scratchpad_address(1), 1),
        (scratchpad_address(0, 0xFFFFE0), 1),
        (scratchpad_address(0x7FFF), 9),
        (1, 1),
    ]
    for address, count in places:
        if write:
            bench.ask_write(0, 1, address, bytes(32 * count))
        else:
            bench.ask_read(0, 1, address, count)
    bench.run()
    assert not any(bench.begun)
    assert not any(channel.written or channel.read for channel in bench.channels)
    assert not bench.pads[0].requests.waits


@pytest.mark.parametrize(("name", "routers"), [("one to one", 0), ("crossbar", 0), ("2x1", 2)])
def test_the_way_there_and_back_takes_the_cycles_that_are_said(name: str, routers: int) -> None:
    """From the end opposite to the memory, through all routers."""
    bench = Bench(PLANS[name], seed=5, delay=20)
    user = len(bench.users) - 1
    bench.ask_read(user, 0, 0, 1)
    bench.run()
    (asked,) = bench.users[user].at["requests"]
    (begun,) = {cycles[0] for cycles in bench.begun if cycles}
    (answered,) = bench.users[user].at["responses"]
    offered = next(cycle for cycle in bench.offered if cycle > begun)
    assert begun - asked == bench.plan.request_latency + routers
    assert answered - offered == bench.plan.response_latency + routers


@pytest.mark.parametrize("write", [0, 1])
def test_an_initiator_moves_a_word_a_cycle(write: int) -> None:
    """Long requests one after the other, over several channels, through a mesh."""
    bench = Bench(plan(2, 1, SIX, initiators=1, units=0), seed=6, delay=2)
    count = 3
    for number in range(count):
        if write:
            bench.ask_write(0, 0, 4096 * number, bytes(4096))
        else:
            bench.ask_read(0, 0, 4096 * number, 128)
    cycles = bench.run()
    assert 128 * count <= cycles <= 128 * count + (60 if write else 100)
    # It begins with granules that come in another order; then there is one each cycle.
    words = bench.users[0].at["responses"]
    assert write or words[-1] - words[-201] == 200


def test_two_initiators_use_two_ports_at_once() -> None:
    bench = Bench(plan(1, 1, SIX, initiators=2, units=0), seed=7, delay=2)
    for user in range(2):
        for number in range(2):
            bench.ask_read(user, 0, 8192 * user + 4096 * number, 128)
    # The granules of each lie in all channels: they meet in some.
    assert bench.run() < 1.5 * 256
    assert sum(len(user.at["responses"]) for user in bench.users) == 512


def test_who_is_late_with_its_words_holds_up_nobody_else() -> None:
    bench = Bench(PLANS["2x1"], seed=8)
    bench.ask_write(0, 0, 0, bytes(32 * 8))
    late = [bench.users[0].words.waiting.pop() for _ in range(3)][::-1]
    for number in range(4):
        bench.ask_write(1, 0, 4096 + 512 * number, bench.chance.randbytes(512))
        bench.ask_read(1, 0, 4096 + 512 * number, 16)

    def step(ctx: Any, cycle: int) -> bool:
        done = bench.cycle(ctx, cycle)
        if late and bench.users[1].done:
            assert not bench.users[0].at["acknowledges"]
            bench.users[0].words.waiting.extend(late)
            late.clear()
        return done

    run(bench.dut, step, most=2000)
    assert not late


def test_wrong_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match="Plan initiators = 0, units = 0, tags = 4"):
        Plan(noc=NocConfig(), hbm=ONE, scratchpad=PAD, initiators=0)
    with pytest.raises(ValueError, match="Router queue = 0: a router with neighbours has one"):
        Router(request_flit_layout(PLANS["2x1"]), arrives=("east",), leaves=(), sources=1, sinks=1, whole=True, queue=0)
    with pytest.raises(ValueError, match="Target tags = 3: give one of 1, 2, 4, 8, 16"):
        Target(PLANS["2x1"], tags=3)
    with pytest.raises(ValueError, match="Turns count = 0"):
        Turns(8, count=0, whole=True)
    with pytest.raises(ConfigError, match=r"noc\.planes = 2: give at most one for each target: 1"):
        plan(1, 1, ONE, initiators=1, units=0, planes=2)
    with pytest.raises(ConfigError, match=r"noc\.queue = 1: give an integer from 3 to 32"):
        NocConfig(queue=1)
