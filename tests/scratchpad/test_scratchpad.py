"""A scratchpad takes what its cycle model says, when it says, and answers what its reference holds."""

from typing import Any

import pytest
from openppu.scratchpad.config import ScratchpadConfig
from openppu.scratchpad.scratchpad import Scratchpad
from openppu_sim.cycles.scratchpad import most_wait
from pad_bench import Bench

SMALL = ScratchpadConfig(banks=4, bank_words=16, word_bytes=32)
CONFIGS = {
    "4 banks": (SMALL, 4),
    "1 bank": (ScratchpadConfig(banks=1, bank_words=16, word_bytes=32), 3),
    "2 banks, 1 port": (ScratchpadConfig(banks=2, bank_words=32, word_bytes=64), 1),
}


@pytest.mark.parametrize(("config", "ports"), CONFIGS.values(), ids=CONFIGS.keys())
@pytest.mark.parametrize(("seed", "rate"), [(1, 0.9), (2, 0.3)])
def test_any_accesses_are_taken_and_answered_in_their_cycles(
    config: ScratchpadConfig, ports: int, seed: int, rate: float
) -> None:
    bench = Bench(config, ports, seed, rate=rate)
    bench.random_requests(70)
    scrubs = 0

    def scrub(ctx: Any, cycle: int) -> bool:
        nonlocal scrubs
        ctx.set(bench.dut.scrub_interval, 3)
        log = ctx.get(bench.dut.log)
        scrubs = log["scrubbed"]
        assert not any(log[name] for name in ("corrected", "uncorrectable", "repaired"))
        return False

    bench.run(scrub)
    assert len(bench.results) > 20 * ports
    assert scrubs > 20 or config.banks == 1, "words are read for wrong bits beside all this"


def test_nobody_waits_longer_than_is_said() -> None:
    """All ports want the one bank, one of them now and then."""
    for merges in (0.0, 1.0):
        bench = Bench(ScratchpadConfig(banks=1, bank_words=16, word_bytes=32), 4, seed=3)
        bench.random_requests(40, merges=merges)
        waits = [0] * bench.ports
        longest = 0

        def watch(ctx: Any, cycle: int, bench: Bench = bench, waits: list[int] = waits) -> bool:
            nonlocal longest
            for port in range(bench.ports):
                waits[port] = waits[port] + 1 if bench.offered[port] and not ctx.get(bench.dut.filling) else 0
                longest = max(longest, waits[port] - 1)
            return False

        bench.run(watch)
        bound = most_wait(bench.ports, merges=merges > 0)
        assert bound // 2 < longest <= bound


def test_a_fill_leaves_nothing_but_zeros() -> None:
    """What was taken before is done before; what was not is done after."""
    bench = Bench(SMALL, 4, seed=4)
    bench.random_requests(40)
    fills = 0
    began = None

    def clear(ctx: Any, cycle: int) -> bool:
        nonlocal fills, began
        filling = bool(ctx.get(bench.dut.filling))
        if began is not None and not filling:
            assert SMALL.bank_words <= cycle - began <= SMALL.bank_words + 4
            fills, began = fills + 1, None
        ctx.set(bench.dut.clear, 0)
        if cycle in (40, 90) and not filling:
            ctx.set(bench.dut.clear, 1)
            began = cycle + 1
        elif began == cycle:
            bench.reference.clear()
        return fills < 2

    bench.run(clear)
    assert fills == 2
    assert len(bench.results) > 40


def test_wrong_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match="Scratchpad ports = 0: give 1 to 32"):
        Scratchpad(SMALL, ports=0)
    with pytest.raises(ValueError, match=r"config\.word_bytes = 0"):
        Scratchpad(ScratchpadConfig(), ports=1)
