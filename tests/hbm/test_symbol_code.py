"""The code over a burst corrects every single wrong symbol and detects every two and three; hardware and reference."""

import random
from itertools import combinations

import numpy as np
import pytest
from amaranth import Module, Signal
from amaranth.sim import Simulator
from numpy.typing import NDArray
from openppu.common.symbol_code import COLUMNS, MASKS, SymbolCorrect, check_bits
from openppu.hbm.error_code import POISON
from openppu_sim.reference import symbol_code

Bursts = NDArray[np.uint8]
SYMBOLS = 36


def pattern(symbol: int, value: int) -> int:
    """A symbol's bits among the 288 of a burst: data, then check bits."""
    bits = [bit for bit in range(8) if value >> bit & 1]
    if symbol < 32:
        return sum(1 << 64 * (bit // 2) + 2 * symbol + bit % 2 for bit in bits)
    return sum(1 << 256 + 8 * (bit // 2) + 2 * (symbol - 32) + bit % 2 for bit in bits)


def several(symbols: tuple[int, ...], chance: random.Random) -> int:
    """Symbols with any wrong values."""
    return sum(pattern(symbol, chance.randrange(1, 256)) for symbol in symbols)


def bursts(numbers: list[int]) -> tuple[Bursts, Bursts]:
    """Data and check bytes."""
    raw = np.frombuffer(b"".join(number.to_bytes(36, "little") for number in numbers), np.uint8).reshape(-1, 36)
    return raw[:, :32], raw[:, 32:]


def right(count: int, seed: int) -> list[int]:
    """Random words with their check bits, by the reference."""
    data = np.random.default_rng(seed).integers(0, 256, (count, 32), dtype=np.uint8)
    check = symbol_code.encode(data)
    return [int.from_bytes(d.tobytes() + c.tobytes(), "little") for d, c in zip(data, check, strict=True)]


Found = list[tuple[int, bool, int, bool]]
"""Of each word: data, corrected, which symbol, uncorrectable."""


def through_hardware(words: list[int]) -> Found:
    """What the component makes of words as they were read."""
    m = Module()
    word = Signal(288)
    m.submodules.correct = correct = SymbolCorrect()
    m.d.comb += [correct.i.eq(word[:256]), correct.syndrome.eq(check_bits(word[:256]) ^ word[256:])]
    found: Found = []

    async def bench(ctx):  # type: ignore[no-untyped-def]
        for each in words:
            ctx.set(word, each)
            shown = (correct.corrected, correct.symbol, correct.uncorrectable)
            found.append((ctx.get(correct.o), *(ctx.get(signal) for signal in shown)))

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
    return found


def reference(words: list[int]) -> Found:
    """The same by numpy."""
    data, corrected, symbol, uncorrectable = symbol_code.decode(*bursts(words))
    rows = zip(data, corrected.tolist(), symbol.tolist(), uncorrectable.tolist(), strict=True)
    return [(int.from_bytes(each.tobytes(), "little"), *rest) for each, *rest in rows]  # type: ignore[misc]


def product(a: Bursts, b: Bursts) -> Bursts:
    """In the field, without tables."""
    result, a = np.zeros(np.broadcast(a, b).shape, np.uint16), a.astype(np.uint16)
    for bit in range(8):
        result ^= np.where(b >> bit & 1, a, 0).astype(np.uint16)
        a = a << 1 ^ np.where(a & 128, 0x11D, 0).astype(np.uint16)
    return result.astype(np.uint8)


def determinants(matrices: Bursts) -> Bursts:
    """Of (..., n, n), by the first row."""
    if matrices.shape[-1] == 1:
        return matrices[..., 0, 0]
    places = range(matrices.shape[-1])
    parts = [
        product(matrices[..., 0, place], determinants(matrices[..., 1:, [p for p in places if p != place]]))
        for place in places
    ]
    return np.bitwise_xor.reduce(parts, axis=0)


CHECK_MATRIX = np.array([*COLUMNS, *np.eye(4)], dtype=np.uint8).T
"""What a word is multiplied by to give its syndrome: 4 x 36 elements of the field."""


def test_any_two_words_differ_in_five_symbols_or_more() -> None:
    chosen = np.array(list(combinations(range(SYMBOLS), 4)))
    assert len(chosen) == 58_905
    assert determinants(CHECK_MATRIX.T[chosen]).all(), "four columns that depend on each other"


def test_check_bits_equal_the_reference() -> None:
    words = [*right(300, seed=1), *(1 << bit for bit in range(256))]
    data, _ = bursts(words)
    check = [int.from_bytes(each.tobytes(), "little") for each in symbol_code.encode(data)]
    mask = (1 << 256) - 1
    assert check == [sum(((word & mask & m).bit_count() & 1) << row for row, m in enumerate(MASKS)) for word in words]
    assert not symbol_code.values_at_roots(data, symbol_code.encode(data)).any()


EXHAUSTIVE = pytest.param(through_hardware, 1, id="all in hardware", marks=pytest.mark.slow)


@pytest.mark.parametrize(("decoder", "step"), [(through_hardware, 26), (reference, 1), EXHAUSTIVE])
def test_every_single_wrong_symbol_is_corrected(decoder, step: int) -> None:  # type: ignore[no-untyped-def]
    errors = [(symbol, value) for symbol in range(SYMBOLS) for value in range(1, 256)][::step]
    words = right(len(errors), seed=step)
    found = decoder([word ^ pattern(*error) for word, error in zip(words, errors, strict=True)])
    mask = (1 << 256) - 1
    assert found == [(word & mask, True, symbol, False) for word, (symbol, _) in zip(words, errors, strict=True)]
    assert decoder(words[:1]) == [(words[0] & mask, False, 0, False)]


@pytest.mark.parametrize(("decoder", "step"), [(through_hardware, 60), (reference, 1), EXHAUSTIVE])
def test_two_and_three_wrong_symbols_are_detected(decoder, step: int) -> None:  # type: ignore[no-untyped-def]
    chance = random.Random(step)
    places = [*combinations(range(SYMBOLS), 2), *list(combinations(range(SYMBOLS), 3))[::step]]
    errors = [several(symbols, chance) for symbols in places]
    wrong = [word ^ error for word, error in zip(right(len(errors), seed=step), errors, strict=True)]
    # What cannot be corrected is left alone.
    assert decoder(wrong) == [(word & (1 << 256) - 1, False, 0, True) for word in wrong]


def test_poison_is_uncorrectable_also_with_any_wrong_symbol_on_top() -> None:
    errors = [0, *(pattern(symbol, value) for symbol in range(SYMBOLS) for value in range(1, 256))]
    poisoned = [word ^ POISON << 256 for word in right(len(errors), seed=7)]
    found = reference([word ^ error for word, error in zip(poisoned, errors, strict=True)])
    assert all(row[3] for row in found)


def test_hardware_equals_reference_for_any_word() -> None:
    chance = random.Random(6)
    words = [chance.getrandbits(288) for _ in range(100)]
    words += [word ^ several((0, 1, 2, 3), chance) for word in right(100, seed=6)]
    assert through_hardware(words) == reference(words)


@pytest.mark.parametrize("lane", [0, 5, 8])
def test_of_all_patterns_of_a_byte_lane_8160_pass_for_a_single_wrong_symbol(lane: int) -> None:
    """Four columns are independent, so each single error elsewhere has one pattern of the lane with its syndrome."""
    ours = np.arange(4 * lane, 4 * lane + 4)
    others = np.setdiff1d(np.arange(SYMBOLS), ours)
    values = np.arange(1, 256, dtype=np.uint8)
    syndromes = product(CHECK_MATRIX.T[others][:, np.newaxis], values[:, np.newaxis]).reshape(-1, 4)
    square = CHECK_MATRIX[:, ours]
    scale = determinants(square)
    inverse = next(np.uint8(each) for each in range(1, 256) if product(scale, np.array(each, np.uint8)) == 1)
    lane_values = []
    for place in range(4):
        replaced = np.repeat(square[np.newaxis], len(syndromes), axis=0)
        replaced[:, :, place] = syndromes
        lane_values.append(product(determinants(replaced), inverse))
    wrong = np.stack(lane_values, axis=-1)
    assert wrong.all(), "all four symbols are wrong: with three it would have been detected"
    assert len(np.unique(wrong, axis=0)) == 32 * 255 == 8160
    words = [sum(pattern(int(s), int(v)) for s, v in zip(ours, row, strict=True)) for row in wrong[::37]]
    assert {row[1:2] for row in reference(words)} == {(True,)}


def test_wrong_types_are_refused() -> None:
    with pytest.raises(ValueError, match=r"give bursts as uint8 \(..., 32\), not int64 \(1,\)"):
        symbol_code.encode(np.array([1]))
    with pytest.raises(ValueError, match=r"give bursts as uint8 \(..., 4\), not uint8 \(2, 3\)"):
        symbol_code.decode(np.zeros((2, 32), np.uint8), np.zeros((2, 3), np.uint8))
