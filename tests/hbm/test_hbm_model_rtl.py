"""The model of the controller against the RTL: the same commands at the same times, and so the same figures."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openppu.hbm import direction, hammer_table, port, queue, refresh, row_bus
from openppu.hbm.config import ChannelConfig
from openppu.hbm.device import Organisation, organisation
from openppu.hbm.settings import Mapping, Page, Refresh, Settings
from openppu_sim.cycles.hbm.accounts import EVENTS, IDLE_CAUSES
from openppu_sim.cycles.hbm.channel import ChannelRun, run_channel
from openppu_sim.cycles.hbm.policy import Policy
from openppu_sim.cycles.hbm.pseudo_channel import PseudoChannel, Sent
from openppu_sim.cycles.hbm.requests import Piece, Requests
from openppu_sim.cycles.hbm.row_bus import RowBus
from openppu_sim.cycles.hbm.write_buffer import Fill, WriteBuffer
from openppu_verif.hbm.efficiency import CASES, Case
from openppu_verif.hbm.memory_file import ADDRESS_ERROR_CLOCKS
from openppu_verif.hbm.native import Measurement, Pattern, build_channel, run
from openppu_verif.hbm.soak import CONFIGS
from scheduler_pair import FILL, MERGE, run_pair

CONFIG = ChannelConfig(height=4, reads=8, writes=8, slots=8)
SETTINGS = Settings(write_high=6, write_low=1)
CLOCKS = 220


class TwoSids(ChannelConfig):
    """As many banks, in two SIDs."""

    @property
    def organisation(self) -> Organisation:
        """As no stack has."""
        return replace(organisation(4), banks_per_group=2, sids=2)


def test_the_policy_is_the_hardware_s() -> None:
    assert Policy() == Policy(
        near=queue.NEAR,
        many=queue.MANY,
        turn=direction.TURN,
        refresh_limit=refresh.LIMIT,
        patience=row_bus.PATIENCE,
        port_entries=port.ENTRIES,
        port_words=port.WORDS,
    )


class PairBuffer(WriteBuffer):
    """The write buffer of the front end in `scheduler_pair`."""

    def schedule(self, fill: Fill) -> None:
        fill.ready_at = fill.begin + FILL

    def store(self, clock: int) -> None:
        """Nothing waits for it."""


def entries(seed: int, *, in_order: bool, writes: float, masked: float) -> list[dict[str, Any]]:
    """More entries than a run takes, in the order of their addresses or anywhere in a few rows."""
    chance = random.Random(seed)
    found = []
    for number in range(CLOCKS):
        write = chance.random() < writes
        place = {"bank": chance.randrange(16), "row": chance.randrange(40), "column": 8 * chance.randrange(4)}
        if in_order:
            place = {"bank": number % 16, "row": number // 64 + 100 * write, "column": number // 16 % 4 * 8}
        found.append(
            {
                "write": write,
                "masked": write and chance.random() < masked,
                "place": place,
                "last": 7 if in_order else chance.randrange(8),
                "port": 0,
                "slot": 0,
            }
        )
    return found


def run_model(
    settings: Settings,
    given: list[list[dict[str, Any]]],
    *,
    seed: int,
    pace: float,
    config: ChannelConfig = CONFIG,
    clocks: int = CLOCKS,
) -> tuple[list[Sent], list[PseudoChannel]]:
    """What `run_pair` does, on the model."""
    pcs = [
        PseudoChannel(config, settings, Policy(), index=index, returned=lambda piece, clock: None) for index in (0, 1)
    ]
    log: list[Sent] = []
    for pc in pcs:
        pc.log = log
        pc.buffer = PairBuffer(config.writes)
        if config.hammer_entries:
            # The tables are cleared first, a word a clock; whole channels are brought up meanwhile.
            pc.banks.act_at = [2 * (min(config.hammer_entries, hammer_table.WORDS) + 1)] * pc.banks.count
        pc.release, pc.merge_latency = 2, MERGE + 2
    waiting = []
    for index in (0, 1):
        waiting.append([])
        for entry in given[index]:
            place = entry["place"]
            granule = (place["bank"] << 20) + (place["row"] << 2) + place["column"] // 8
            words, write, masked = entry["last"] + 1, entry["write"], entry["masked"]
            waiting[index].append(
                Piece(0, write, index, place["bank"], place["row"], granule, words, masked, last=True)
            )
    bus = RowBus(Policy().patience)
    chance = random.Random(seed)
    offering = [False, False]
    for clock in range(clocks):
        active = []
        for pc in pcs:
            before = offering[pc.index]
            offering[pc.index] |= bool(waiting[pc.index]) and chance.random() < pace
            # As in a whole channel, only when it asked for it, or something new is there.
            if pc.wake <= clock or offering[pc.index] != before:
                active.append((pc, waiting[pc.index][0] if offering[pc.index] else None))
        for pc, offer in active:
            pc.decide(clock, offer)
        acts = [pc.act_wish if pc.clock == clock else None for pc in pcs]
        shorts = [pc.short_wish if pc.clock == clock else None for pc in pcs]
        act_slots, short_slots = [-1, -1], [-1, -1]
        if acts != [None, None] or shorts != [None, None]:
            act_slots, short_slots = bus.grant(clock, acts, shorts)
        for pc, offer in active:
            pc.act(clock, act_slots[pc.index], short_slots[pc.index], offer)
            if pc.accepts and offer is not None:
                waiting[pc.index].pop(0)
                offering[pc.index] = False
    for pc in pcs:
        pc.idle.settle(clocks)
    return sorted(log), pcs


@pytest.mark.parametrize(
    ("seed", "in_order", "writes", "masked", "settings"),
    [
        (1, False, 0.4, 0.3, replace(SETTINGS, timing=replace(SETTINGS.timing, tREFI=800))),
        (2, True, 0.3, 0.0, replace(SETTINGS, page=Page.CLOSED)),
        (4, False, 0.5, 0.2, replace(SETTINGS, age_limit=30)),
        (5, False, 0.3, 0.0, replace(SETTINGS, timing=replace(SETTINGS.timing, tREFI=600, tRFCSB=30))),
        (
            3,
            False,
            0.2,
            0.0,
            replace(
                SETTINGS,
                page=Page.OPEN,
                refresh=Refresh.ALL_BANK,
                timing=replace(SETTINGS.timing, tREFI=300, tRFC=100, tXS=100),
            ),
        ),
    ],
    ids=["random with merges, often refreshed", "stream, closed pages", "impatient", "sparse", "all-bank refresh"],
)
def test_commands_and_counters_are_those_of_the_rtl(
    seed: int, in_order: bool, writes: float, masked: float, settings: Settings, build_root: Path
) -> None:
    _compare(seed, in_order, writes, masked, settings, build_root, config=CONFIG)


@pytest.mark.slow
def test_an_old_entry_goes_before_others_of_another_sid_when_the_rtl_lets_it(build_root: Path) -> None:
    settings = replace(SETTINGS, age_limit=30, timing=replace(SETTINGS.timing, tCCDR=9))
    config = TwoSids(height=4, reads=8, writes=8, slots=8)
    _compare(4, False, 0.5, 0.2, settings, build_root, config=config)


def _compare(
    seed: int,
    in_order: bool,
    writes: float,
    masked: float,
    settings: Settings,
    build_root: Path,
    *,
    config: ChannelConfig,
) -> None:
    pace = 0.06 if seed == 5 else 1.0
    given = [entries(2 * seed + index, in_order=in_order, writes=writes, masked=masked) for index in (0, 1)]
    rtl = run_pair(config, settings, given, clocks=CLOCKS, seed=seed, pace=pace, build_root=build_root)
    log, pcs = run_model(settings, given, seed=seed, pace=pace, config=config)
    expected = sorted((each.ck, each.name, each.pc, each.bank) for each in rtl.commands)
    # The model logs a command as it is chosen; the last ones are on the bus only after the RTL's run.
    got = [tuple(sent) for sent in log if sent.ck < 2 * CLOCKS]
    differ = next((place for place, (a, b) in enumerate(zip(got, expected, strict=False)) if a != b), len(expected))
    assert got == expected, (
        f"from command {differ} on: model {got[differ : differ + 3]}, RTL {expected[differ : differ + 3]}"
    )
    assert len(got) > (100 if pace < 1 else CLOCKS // 2)
    for pc, counters in zip(pcs, rtl.counters, strict=True):
        assert {name: pc.accounts.events[name] for name in EVENTS} == {name: counters[name] for name in EVENTS}
        idle = dict(pc.accounts.idle)
        idle["row"] = idle.pop("activation") + idle.pop("bank")
        if settings.refresh == Refresh.SINGLE_BANK:
            assert idle == {name: counters[name] for name in (*IDLE_CAUSES[:-2], "row")}


@pytest.mark.parametrize("reach", [1, 2])
def test_neighbours_of_hammered_rows_are_activated_when_the_rtl_does(reach: int, build_root: Path) -> None:
    # Requests come one by one, for those of one row that wait together need one ACT.
    config, clocks, pace = replace(CONFIG, hammer_entries=8), 360, 0.09
    quick = replace(SETTINGS.timing, tRC=24, tRAS=15, tRCDRD=8, tRCDWR=8, tRP=8, tRTP=4, tREFI=1500)
    settings = replace(
        SETTINGS,
        timing=quick,
        page=Page.OPEN,
        refresh_enable=False,
        hammer_threshold=8,
        hammer_window=100,
        hammer_reach=reach,
    )
    chance = random.Random(reach)
    given: list[list[dict[str, Any]]] = [[], []]
    for number in range(clocks):
        for index in range(2):
            hot = index == 0 or number % 4
            place = {"bank": 5 if hot else chance.randrange(16), "row": number % 2 * 10 if hot else 3, "column": 0}
            given[index].append({"write": 0, "masked": 0, "place": place, "last": 0, "port": 0, "slot": 0})
    rtl = run_pair(config, settings, given, clocks=clocks, seed=reach, pace=pace, build_root=build_root)
    log, pcs = run_model(settings, given, seed=reach, pace=pace, config=config, clocks=clocks)
    expected = sorted((each.ck, each.name, each.pc, each.bank) for each in rtl.commands)
    assert [tuple(sent) for sent in log if sent.ck < 2 * clocks] == expected
    for pc, counters in zip(pcs, rtl.counters, strict=True):
        assert {name: pc.accounts.events[name] for name in EVENTS} == {name: counters[name] for name in EVENTS}
    assert rtl.counters[0]["victims"] >= 2 * reach


WITHIN = 0.03
"""How far the model's share of the data bus may be from the RTL's, as docs/hbm-model.md says."""


@pytest.mark.parametrize(
    ("order", "size", "reads", "hashed"),
    [
        ("sequential", 8, 1.0, False),
        ("sequential", 8, 0.5, True),
        ("random", 1, 1.0, False),
        ("random", 8, 0.67, True),
        ("random", 4, 0.5, False),
    ],
)
def test_bandwidth_is_within_three_percent_of_a_small_channel_s(
    order: str, size: int, reads: float, hashed: bool, build_root: Path
) -> None:
    settings = replace(SETTINGS, hash_banks=hashed, mapping=Mapping(hashed))
    pattern = Pattern(order=order, lengths=(size, size), reads=reads, tags=CONFIG.tags)
    compare_shares(pattern, CONFIG, settings, build_root, warm_up=3000, clocks=12_000)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bandwidth_is_within_three_percent_in_every_row_of_the_table(case: Case, build_root: Path) -> None:
    compare_shares(case.pattern, case.config, case.settings, build_root, warm_up=8000, clocks=65_000)


def compare_shares(
    pattern: Pattern, config: ChannelConfig, settings: Settings, build_root: Path, *, warm_up: int, clocks: int
) -> None:
    """The same kind of traffic on every port, on the RTL and the model."""
    measured = run(
        build_channel(config, build_root),
        config,
        [pattern] * config.ports,
        settings=settings,
        warmup=warm_up,
        clocks=clocks,
        seed=1,
    )
    measured.check()
    size = pattern.lengths[1]
    count = 2 * (warm_up + clocks) // size + 100
    chance = np.random.default_rng(1)
    place = np.arange(count) if pattern.order == "sequential" else chance.integers(0, config.accesses // size, count)
    requests = Requests(place * size * 32, np.full(count, size * 32), chance.random(count) >= pattern.reads)
    modelled = run_channel(requests, config, settings, warm_up=warm_up, clocks=warm_up + clocks)
    same_share(modelled, measured, WITHIN)


def same_share(modelled: ChannelRun, measured: Measurement, error: float) -> None:
    """The model's share of the data bus is the RTL's, within a relative error."""
    share = sum(account.accesses for account in modelled.accounts) / (2 * modelled.clocks)
    assert share == pytest.approx(measured.bus_efficiency, rel=error), (
        f"model {share:.4f}, RTL {measured.bus_efficiency:.4f}"
    )


GUARDED = CONFIGS["small"]
"""As `CONFIG`, with protection from row hammer and retries."""

GUARDED_WITHIN = 0.05
"""As `WITHIN`, with these at work: the RTL itself differs by up to 4 % from seed to seed."""


@pytest.mark.parametrize(("reads", "size"), [(1.0, 8), (0.6, 1)])
def test_wrong_parity_costs_what_it_costs_the_rtl(reads: float, size: int, build_root: Path) -> None:
    settings = replace(SETTINGS, parity_latency=ADDRESS_ERROR_CLOCKS)
    warm_up, clocks = 2000, 20_000
    chance = np.random.default_rng(1)
    spoiled = np.sort(chance.integers(warm_up, warm_up + clocks, 70)).tolist()
    measured = run(
        build_channel(GUARDED, build_root),
        GUARDED,
        [Pattern(order="random", lengths=(size, size), reads=reads, tags=GUARDED.tags)] * GUARDED.ports,
        settings=settings,
        warmup=warm_up,
        clocks=clocks,
        events=[(at, "spoil_command", [1, 0]) for at in spoiled],
    )
    measured.check()
    count = 2 * (warm_up + clocks) // size + 100
    places = chance.integers(0, GUARDED.accesses // size, count)
    requests = Requests(places * size * 32, np.full(count, size * 32), chance.random(count) >= reads)
    modelled = run_channel(requests, GUARDED, settings, warm_up=warm_up, clocks=warm_up + clocks, spoiled=spoiled)
    same_share(modelled, measured, GUARDED_WITHIN)
    for account, counters in zip(modelled.accounts, measured.counters, strict=True):
        assert account.events["retries"] == pytest.approx(counters["retries"], abs=5)
        assert counters["retries"] > 60
    quiet = run_channel(requests, GUARDED, settings, warm_up=warm_up, clocks=warm_up + clocks)
    assert sum(account.accesses for account in quiet.accounts) > 1.1 * sum(a.accesses for a in modelled.accounts)


def test_hammered_rows_cost_what_they_cost_the_rtl(build_root: Path) -> None:
    settings = replace(SETTINGS, page=Page.CLOSED, hammer_threshold=75, hammer_window=8, hammer_reach=2)
    warm_up, clocks = 2000, 20_000
    two_rows = 2 * GUARDED.accesses // GUARDED.organisation.rows
    pattern = Pattern(order="random", size=two_rows, lengths=(1, 1), reads=1.0, tags=GUARDED.tags)
    measured = run(
        build_channel(GUARDED, build_root),
        GUARDED,
        [pattern] * GUARDED.ports,
        settings=settings,
        warmup=warm_up,
        clocks=clocks,
    )
    measured.check()
    chance = np.random.default_rng(1)
    count = 2 * (warm_up + clocks)
    requests = Requests(chance.integers(0, two_rows, count) * 32, np.full(count, 32), np.zeros(count, bool))
    modelled = run_channel(requests, GUARDED, settings, warm_up=warm_up, clocks=warm_up + clocks)
    same_share(modelled, measured, GUARDED_WITHIN)
    for account, counters in zip(modelled.accounts, measured.counters, strict=True):
        assert account.events["victims"] == pytest.approx(counters["victims"], rel=0.15)
        assert counters["victims"] > 50
