"""The code corrects every single wrong bit and detects every two, in hardware and reference alike."""

import random
from itertools import combinations

import numpy as np
import pytest
from amaranth import Module, Signal
from amaranth.sim import Simulator
from openppu.common.secded import COLUMNS, SecdedCorrect, check_bits
from openppu.hbm.error_code import POISON
from openppu_sim.reference import secded

SINGLES = [1 << bit for bit in range(72)]
DOUBLES = [a | b for a, b in combinations(SINGLES, 2)]


def through_hardware(words: list[tuple[int, int]]) -> list[tuple[int, int, int, int, int]]:
    """For each data and check word: check bits of the data, corrected data, syndrome, corrected, uncorrectable."""
    m = Module()
    data, check = Signal(64), Signal(8)
    computed, syndrome = Signal(8), Signal(8)
    m.submodules.correct = correct = SecdedCorrect()
    m.d.comb += [
        computed.eq(check_bits(data)),
        syndrome.eq(computed ^ check),
        correct.i.eq(data),
        correct.syndrome.eq(syndrome),
    ]
    found = []

    async def bench(ctx):  # type: ignore[no-untyped-def]
        for word, bits in words:
            ctx.set(data, word)
            ctx.set(check, bits)
            shown = (computed, correct.o, syndrome, correct.corrected, correct.uncorrectable)
            found.append(tuple(ctx.get(signal) for signal in shown))

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
    return found  # type: ignore[return-value]


def reference(words: list[tuple[int, int]]) -> list[tuple[int, int, int, int, int]]:
    """The same by numpy."""
    data = np.array([word for word, _ in words], dtype=np.uint64)
    check = np.array([bits for _, bits in words], dtype=np.uint8)
    columns = [secded.encode(data), *secded.decode(data, check)]
    return [tuple(int(value) for value in row) for row in zip(*columns, strict=True)]  # type: ignore[misc]


def test_the_code_is_a_hsiao_code() -> None:
    columns = [int(sum(int(bit) << row for row, bit in enumerate(column))) for column in secded.MATRIX.T]
    assert len(set(columns)) == 72
    assert all(column.bit_count() % 2 for column in columns)
    # As few ones as there can be: all of weight one and three, the rest of weight five; the same number in each row.
    assert sorted(column.bit_count() for column in columns) == [1] * 8 + [3] * 56 + [5] * 8
    assert set(secded.MATRIX.sum(axis=1)) == {27}
    assert columns[:64] == list(COLUMNS)


def test_hardware_equals_reference_for_any_word() -> None:
    chance = random.Random(1)
    words = [(chance.getrandbits(64), chance.getrandbits(8)) for _ in range(1500)]
    words += [(1 << bit, 0) for bit in range(64)] + [(0, bits) for bits in range(256)]
    assert through_hardware(words) == reference(words)


def broken(errors: list[int], seed: int) -> tuple[list[int], list[tuple[int, int]]]:
    """Right words, and what is left of them once each error has hit one."""
    chance = random.Random(seed)
    right = [chance.getrandbits(64) for _ in errors]
    check = secded.encode(np.array(right, dtype=np.uint64)).tolist()
    mask = (1 << 64) - 1
    return right, [(w ^ (e & mask), c ^ (e >> 64)) for w, c, e in zip(right, check, errors, strict=True)]


@pytest.mark.parametrize("decoder", [through_hardware, reference])
def test_every_single_error_is_corrected(decoder) -> None:  # type: ignore[no-untyped-def]
    right, words = broken([0, *SINGLES], seed=2)
    found = decoder(words)
    assert [row[1] for row in found] == right
    assert [row[3:] for row in found] == [(0, 0)] + [(1, 0)] * 72


@pytest.mark.parametrize("decoder", [through_hardware, reference])
def test_every_two_errors_are_detected(decoder) -> None:  # type: ignore[no-untyped-def]
    assert len(DOUBLES) == 2556
    _, words = broken(DOUBLES, seed=3)
    found = decoder(words)
    assert {row[3:] for row in found} == {(0, 1)}
    # What cannot be corrected is left alone.
    assert [row[1] for row in found] == [word for word, _ in words]


@pytest.mark.parametrize("beat", range(4))
def test_poison_is_uncorrectable_also_with_any_wrong_bit_on_top(beat: int) -> None:
    poison = POISON >> 8 * beat & 0xFF
    _, words = broken([error ^ poison << 64 for error in [0, *SINGLES]], seed=4)
    found = through_hardware(words)
    assert found[0][2:] == (poison, 0, 1)
    assert all(row[4] for row in found)


def test_wrong_types_are_refused() -> None:
    with pytest.raises(ValueError, match="give words as uint64, not int64"):
        secded.encode(np.array([1]))
    with pytest.raises(ValueError, match="give words as uint8, not uint64"):
        secded.decode(np.array([1], dtype=np.uint64), np.array([1], dtype=np.uint64))
