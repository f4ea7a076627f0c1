"""Wrong bits in a scratchpad's SRAM are corrected, repaired and counted, or reported; never passed off as good."""

import random
from typing import Any

import numpy as np
import pytest
from openppu.scratchpad.config import ScratchpadConfig
from openppu_sim.reference.scratchpad import Scratchpad as Reference
from openppu_sim.reference.secded import decode
from pad_bench import Bench, Request

CONFIG = ScratchpadConfig(banks=2, bank_words=16, word_bytes=32)
FULL = (1 << 32) - 1


def stored(ctx: Any, bench: Bench, address: int) -> int:
    """A word in the SRAM, with its check bits."""
    bank, place = divmod(address, CONFIG.bank_words)
    return ctx.get(bench.dut.banks[bank].content[place])


def held(reference: Reference, address: int) -> int:
    """The same of the reference."""
    groups = zip(reference.data[address], reference.check[address], strict=True)
    return sum((int(data) | int(check) << 64) << 72 * place for place, (data, check) in enumerate(groups))


def flip(ctx: Any, bench: Bench, address: int, bit: int) -> None:
    """Turn a bit over in both."""
    bank, place = divmod(address, CONFIG.bank_words)
    ctx.set(bench.dut.banks[bank].content[place], stored(ctx, bench, address) ^ 1 << bit)
    bench.reference.flip(address, bit)


class Script:
    """A bench whose requests come after one another, with pauses in which bits are turned over."""

    def __init__(self, seed: int = 1) -> None:
        self.bench = Bench(CONFIG, 1, seed, exact=False)
        self.log: dict[str, Any] = {}

    def run(self, steps: Any) -> None:
        """``steps``: a generator function of the context that yields requests, or a number of cycles to pause."""
        todo: Any = None
        pause = 0

        def step(ctx: Any, cycle: int) -> bool:
            nonlocal todo, pause
            if todo is None:
                todo = steps(ctx)
            self.log = ctx.get(self.bench.dut.log)
            if ctx.get(self.bench.dut.filling) or not self.bench.done:
                return True
            if pause:
                pause -= 1
                return True
            asked = next(todo, None)
            if isinstance(asked, int):
                pause = asked
            elif asked is not None:
                self.bench.waiting[0].append(asked)
            return asked is not None

        self.bench.run(step)


def write(address: int, data: bytes, mask: int = FULL) -> Request:
    return Request(address, data, mask)


WORD = bytes(range(101, 133))


def test_any_one_wrong_bit_is_corrected_repaired_and_counted() -> None:
    script = Script()
    bench = script.bench

    def steps(ctx: Any) -> Any:
        yield write(5, WORD)
        yield 4
        for count, bit in enumerate((0, 63, 64, 71, 72, 200, 287), start=1):
            flip(ctx, bench, 5, bit)
            yield Request(5)
            yield 10
            assert stored(ctx, bench, 5) != held(bench.reference, 5)
            assert bench.reference.repair(5)
            assert stored(ctx, bench, 5) == held(bench.reference, 5)
            yield Request(5)
            yield 3
            assert (script.log["corrected"], script.log["repaired"], script.log["uncorrectable"]) == (count, count, 0)
        record = script.log["record"]
        assert (record["valid"], record["uncorrectable"], record["address"]) == (1, 0, 5 * 4)
        assert record["syndrome"] == 0b111  # of data bit 0

    script.run(steps)
    assert [(data, error, corrected) for _, _, data, error, corrected in bench.results] == [
        (WORD, False, True),
        (WORD, False, False),
    ] * 7


def test_two_wrong_bits_are_reported_until_all_is_written() -> None:
    script = Script()
    bench = script.bench

    def steps(ctx: Any) -> Any:
        yield write(20, WORD)
        yield 4
        flip(ctx, bench, 20, 3)
        yield Request(20)
        # Before the repair comes, a second: it stays as it is.
        flip(ctx, bench, 20, 72 + 9)
        flip(ctx, bench, 20, 72 + 70)
        yield 12
        bench.reference.repair(20)
        assert stored(ctx, bench, 20) == held(bench.reference, 20)
        yield Request(20)
        yield 3
        assert script.log["uncorrectable"] >= 1
        assert (script.log["record"]["uncorrectable"], script.log["record"]["address"]) == (1, 20 * 4 + 1)
        # Bytes of it, one after the other: wrong, however many of its other bits then go wrong; then all.
        for byte in range(8, 16):
            yield write(20, WORD[::-1], 1 << byte)
            yield 4
            assert stored(ctx, bench, 20) == held(bench.reference, 20)
            yield Request(20)
        flip(ctx, bench, 20, 72 + 31)
        yield Request(20)
        yield write(20, WORD, 0xFF << 8)
        yield Request(20)

    script.run(steps)
    errors = [error for _, _, _, error, _ in bench.results]
    assert errors == [False, *[True] * 10, False]
    assert bench.results[-1][2] == WORD
    assert bench.reference.read(20)[0].tobytes() == WORD


def test_scrubbing_finds_and_repairs_what_nobody_reads() -> None:
    script = Script()
    bench = script.bench
    broken = [(address, 7 * address % 288) for address in range(0, 32, 3)]

    def steps(ctx: Any) -> Any:
        for address in range(32):
            yield write(address, bytes([address]) * 32)
        yield 4
        for address, bit in broken:
            flip(ctx, bench, address, bit)
        flip(ctx, bench, 7, 10)
        flip(ctx, bench, 7, 11)
        ctx.set(bench.dut.scrub_interval, 8)
        yield 8 * 18
        for address, _ in broken:
            assert bench.reference.repair(address)
        for address in range(32):
            assert stored(ctx, bench, address) == held(bench.reference, address)
        assert script.log["repaired"] == len(broken)
        assert script.log["uncorrectable"] >= 1
        assert (script.log["record"]["address"], script.log["record"]["uncorrectable"]) == (7 * 4, 1)
        ctx.set(bench.dut.clear_log, 1)
        yield 1
        ctx.set(bench.dut.clear_log, 0)
        ctx.set(bench.dut.scrub_interval, 0)
        yield 3
        assert not any(script.log[name] for name in ("corrected", "uncorrectable", "repaired"))

    script.run(steps)


@pytest.mark.parametrize("seed", range(2))
def test_random_accesses_to_words_that_go_wrong(seed: int) -> None:
    """Rounds of accesses by several ports; between them bits are turned over, up to three of a code word."""
    bench = Bench(CONFIG, 3, seed, exact=False)
    chance = random.Random(seed)
    words = [1, 2, 17, 30]
    rounds, rest = 12, 0
    counted = 0

    def step(ctx: Any, cycle: int) -> bool:
        nonlocal rounds, rest, counted
        ctx.set(bench.dut.scrub_interval, 5)
        counted = ctx.get(bench.dut.log)["corrected"]
        if rounds == 0:
            return False
        if ctx.get(bench.dut.filling) or not bench.done:
            rest = 8
            return True
        if rest:
            rest -= 1
            return True
        for address in words:
            # Repaired, or not yet.
            found = stored(ctx, bench, address)
            if found != held(bench.reference, address):
                data = np.array([found >> 72 * place & (1 << 64) - 1 for place in range(4)], dtype=np.uint64)
                check = np.array([found >> 72 * place + 64 & 0xFF for place in range(4)], dtype=np.uint8)
                assert not decode(data, check)[2].any()
                assert bench.reference.repair(address)
                assert found == held(bench.reference, address)
            for _ in range(chance.choice((0, 0, 1, 2, 3))):
                flip(ctx, bench, address, chance.randrange(288))
        bench.random_requests(8, words=words, merges=0.5)
        rounds -= 1
        return rounds > 0

    bench.run(step)
    assert counted > 5
    assert sum(error for _, _, _, error, _ in bench.results) > 5
    assert sum(corrected for _, _, _, _, corrected in bench.results) > 5
