"""The model of the controller: it keeps the device's rules, serves every request and accounts for every clock."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from model_patterns import CAPACITY, scattered, stream
from openppu.hbm.config import ChannelConfig
from openppu.hbm.device import device
from openppu.hbm.settings import Mapping, Page, Refresh, Settings
from openppu_sim.cycles.hbm.channel import run_channel
from openppu_sim.cycles.hbm.memory import Memory, run, unloaded_ns
from openppu_sim.cycles.hbm.pseudo_channel import Sent
from openppu_sim.cycles.hbm.requests import Requests
from openppu_verif.hbm.checker import Checker
from openppu_verif.hbm.constraints import Issued

CONFIG = ChannelConfig()
SETTINGS = Settings(hash_banks=True)


def memory(**changes) -> Memory:
    return Memory(device=device("HBM2E_3200"), config=CONFIG, settings=replace(SETTINGS, **changes))


CASES = {
    "stream": (CONFIG, Settings(), stream(400, 256, writes=0.4)),
    "column lowest": (CONFIG, Settings(mapping=Mapping.COLUMN_LOWEST), stream(400, 256)),
    "random": (CONFIG, SETTINGS, scattered(500, 32, writes=0.5)),
    "one bank": (CONFIG, Settings(), Requests(np.arange(150) * (1 << 16), np.full(150, 64), np.arange(150) % 3 == 0)),
    "merges": (CONFIG, SETTINGS, scattered(300, 100, writes=0.7, step=4, capacity=1 << 14)),
    "closed pages": (CONFIG, replace(SETTINGS, page=Page.CLOSED), scattered(300, 128, writes=0.3, capacity=1 << 20)),
    "open pages": (CONFIG, replace(SETTINGS, page=Page.OPEN), scattered(300, 128, writes=0.3, capacity=1 << 20)),
    "all-bank refresh": (CONFIG, replace(SETTINGS, refresh=Refresh.ALL_BANK), scattered(9000, 256, writes=0.1)),
    "4-high": (ChannelConfig(height=4), SETTINGS, scattered(400, 64, writes=0.2, capacity=CAPACITY // 2)),
    "12-high, no ECC": (ChannelConfig(height=12, ecc="none"), SETTINGS, scattered(400, 40, writes=0.4, step=8)),
    "small and impatient": (
        ChannelConfig(height=4, reads=8, writes=8, slots=8, tags=1, ports=1),
        replace(SETTINGS, write_high=6, write_low=2, age_limit=60),
        scattered(400, 512, writes=0.4, capacity=1 << 17),
    ),
    "another device": (CONFIG, Settings(timing=device("HBM2_2000").timing), stream(300, 64, writes=0.5)),
}


@pytest.mark.parametrize("case", CASES)
def test_commands_keep_the_device_s_rules_and_every_request_is_served(case: str, build_root: Path) -> None:
    config, settings, requests = CASES[case]
    log: list[Sent] = []
    result = run_channel(requests, config, settings, log=log)
    assert (result.finished >= result.offered).all(), "a request was never served"
    assert (result.offered >= 0).all()

    checker = Checker(settings.timing, config.organisation, build_root)
    row = {"ACT", "PRE", "PREA", "REF", "REFSB"}
    log.sort(key=lambda sent: (sent.ck, sent.name in row))
    checker.run(Issued(*sent) for sent in log)
    assert checker.total == 0, "\n".join(violation.text for violation in checker.violations)

    total = result.accounts[0] + result.accounts[1]
    assert total.clocks == 2 * result.clocks
    assert total.clocks == total.accesses + sum(total.idle.values())
    events = total.events
    assert events["row_hits"] + events["row_misses"] + events["row_conflicts"] == total.accesses
    assert events["row_misses"] + events["row_conflicts"] <= events["activates"]
    words = (requests.address + requests.size - 1) // 32 - requests.address // 32 + 1
    assert events["writes"] == words[requests.write].sum()
    assert events["reads"] >= words[~requests.write].sum()
    if config.ecc == "none" or case != "merges":
        assert events["reads"] == words[~requests.write].sum()
    refreshes = result.clocks * 2 * config.organisation.banks // settings.timing.tREFI * 2
    whole = settings.refresh == Refresh.ALL_BANK
    assert (
        events["refreshes"] * (config.organisation.banks if whole else 1) > refreshes - 16 * config.organisation.banks
    )


def test_two_runs_are_equal() -> None:
    requests = scattered(300, 96, writes=0.5, seed=9)
    first, second = (run_channel(requests, CONFIG, SETTINGS) for _ in range(2))
    assert first.accounts == second.accounts
    assert (first.finished == second.finished).all()


def test_the_warm_up_is_left_out() -> None:
    requests = stream(2000, 256)
    whole = run_channel(requests, CONFIG, Settings(), clocks=5000)
    late = run_channel(requests, CONFIG, Settings(), clocks=5000, warm_up=1000)
    assert (whole.clocks, late.clocks) == (5000, 4000)
    for one, other in zip(whole.accounts, late.accounts, strict=True):
        assert one.clocks - other.clocks == 1000
        assert 900 < one.accesses - other.accesses < 1000


def test_an_unloaded_read_takes_the_sum_of_its_latencies() -> None:
    timing, ns = SETTINGS.timing, 0.625
    latencies = unloaded_ns(memory())
    column = timing.RL + 2
    for name, least in (
        ("row hit", column),
        ("closed bank", timing.tRCDRD + column),
        ("row conflict", timing.tRP + timing.tRCDRD + column),
    ):
        assert least * ns < latencies[name] <= (least + 16) * ns, name


@pytest.mark.parametrize("writes", [0.0, 0.5])
def test_random_accesses_keep_below_what_the_activation_window_allows(writes: float) -> None:
    result = run_channel(scattered(20000, 32, writes=writes), CONFIG, SETTINGS, warm_up=2000, clocks=12000)
    accesses = sum(account.accesses for account in result.accounts)
    assert 0.24 < accesses / (2 * result.clocks) < 2 / 7


def test_a_stream_is_nearly_free_of_idle_clocks_and_a_single_bank_is_not() -> None:
    fast = run(stream(2000, 256), memory())
    assert fast.efficiency > 0.97
    assert fast.gbs == pytest.approx(fast.efficiency * 51.2)
    one_bank = Requests(np.arange(300) << 16, np.full(300, 32), np.zeros(300, bool))
    slow = run(one_bank, memory(hash_banks=False))
    # One access of 32 bytes each tRC.
    assert slow.gbs == pytest.approx(32 / (76 * 0.625), rel=0.05)
    assert max(slow.accounts.idle, key=slow.accounts.idle.get) in ("bank", "no_request")


def test_without_refresh_nothing_is_refreshed_and_bandwidth_does_not_fall() -> None:
    requests = scattered(6000, 32)
    results = [run(requests, memory(refresh_enable=on)) for on in (False, True)]
    assert results[0].accounts.events["refreshes"] == 0
    assert results[0].gbs > results[1].gbs


def test_arrivals_are_kept_to() -> None:
    times = np.arange(100) * 200.0
    requests = replace(scattered(100, 64), arrival=times)
    outcome = run(requests, memory())
    assert outcome.offered.tolist() == np.ceil(times / 1.25).astype(int).tolist()
    assert outcome.seconds > 99 * 200e-9
    assert outcome.latencies_ns.max() < 400


@pytest.mark.parametrize("kind", list(Refresh))
def test_long_pauses_cost_no_time_and_no_refresh(kind: Refresh) -> None:
    of, timing = CONFIG.organisation, SETTINGS.timing
    for pause in (1e6, 1e11):
        requests = replace(scattered(4, 64), arrival=np.array([0.0, 10.0, pause, pause + 10.0]))
        outcome = run(requests, memory(refresh=kind))
        assert outcome.offered.tolist()[2] == np.ceil(pause / 1.25)
        assert outcome.latencies_ns.max() < 1000
        accounts = outcome.accounts
        assert accounts.clocks == accounts.accesses + sum(accounts.idle.values()) == 2 * outcome.clocks
        due = 2 * outcome.clocks * 2 / timing.tREFI * (1 if kind == Refresh.ALL_BANK else of.banks)
        ahead = 0 if kind == Refresh.ALL_BANK else 2 * 8 * of.banks
        assert abs(accounts.events["refreshes"] - due - ahead) <= 4, f"pause {pause}"


def test_many_channels_share_a_trace_evenly_and_their_clocks_add_up() -> None:
    requests = stream(600, 4096)
    outcome = run(requests, replace(memory(), channels=48))
    assert outcome.memory.peak_gbs == pytest.approx(2457.6)
    assert {account.accesses for account in outcome.channels} == {600 * 128 // 48}
    assert {account.clocks for account in outcome.channels} == {2 * outcome.clocks}
    assert (outcome.finished > outcome.offered).all()
    assert outcome.efficiency > 0.9


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"size": np.array([64])}, "size of requests: give an array of integers, one for each"),
        ({"address": np.array([0.0, 64.0])}, "address of requests: give an array of integers"),
        ({"write": np.array([0, 1])}, "write of requests: give an array of truth values"),
        ({"address": np.array([0, -64])}, "below address 0"),
        ({"size": np.array([0, 64])}, "of no byte"),
        ({"arrival": np.array([1.0, 0.0])}, "arrivals fall"),
        ({"arrival": np.array([1.0, np.nan])}, "are no numbers"),
    ],
)
def test_arrays_that_are_no_requests_are_refused(fields: dict, told: str) -> None:
    good = {"address": np.array([0, 64]), "size": np.array([64, 64]), "write": np.array([False, True])}
    with pytest.raises(ValueError, match=told):
        Requests(**good | fields)


def test_what_the_memory_does_not_have_is_refused() -> None:
    beyond = Requests(np.array([memory().capacity - 32]), np.array([64]), np.array([False]))
    with pytest.raises(ValueError, match="beyond the capacity of 0x80000000 bytes"):
        run(beyond, memory())
    with pytest.raises(ValueError, match="with retry"):
        replace(memory(), command_errors=10.0)
