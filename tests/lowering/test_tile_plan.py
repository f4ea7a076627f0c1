"""Plans of matrix products: run by the letter of the command's loop nest, they give the product."""

import random

import numpy as np
import pytest
from openppu.config import TileConfig, load
from openppu_sim.cycles.tile_fast import predict
from openppu_sim.errors import UserError
from openppu_sim.lowering.tile import Addend, TilePlan, plan

TINY = load("tiny").tile
STEP = np.uint64(3)


def in_order(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """A product whose value depends on the order of k: d = 3*d + a*b for each k, from d = c, modulo 2**64."""
    d = c.copy()
    for k in range(a.shape[1]):
        d = STEP * d + a[:, k : k + 1] * b[k : k + 1]
    return d


def run(planned: TilePlan, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Run a plan as docs/tile.md describes a command, on buffers that hold garbage outside the images."""
    config = planned.config
    room = 1 << config.address_bits
    rng = np.random.default_rng(0)
    activations = rng.integers(0, 1000, (room, config.rows), np.uint64)
    weights = rng.integers(0, 1000, (room, config.columns), np.uint64)
    image = planned.activation_image(a)
    activations[planned.a_base : planned.a_base + len(image)] = image
    image = planned.weight_image(b)
    weights[planned.b_base : planned.b_base + len(image)] = image
    addends = iter(planned.addend_rows(c))
    accumulators = rng.integers(0, 1000, (config.accumulators, config.columns), np.uint64)
    results = []
    for one in planned.commands:
        assert not one.is_refused(config)
        assert one.m * one.n_blocks <= config.accumulators
        for kb in range(one.k_blocks):
            lanes = one.k_last if kb == one.k_blocks - 1 else config.rows
            for nb in range(one.n_blocks):
                first = one.b_base + kb * one.b_k_stride + nb * one.b_n_stride
                block = weights[(first + np.arange(lanes) * one.b_row_stride) % room]
                for row in range(one.m):
                    index = (one.accumulator + nb * one.m + row) % config.accumulators
                    if kb > 0 or one.addend == Addend.ACCUMULATOR:
                        addend = accumulators[index]
                    else:
                        addend = next(addends) if one.addend == Addend.STREAM else np.zeros_like(accumulators[index])
                    lane = activations[(one.a_base + kb * one.a_k_stride + row * one.a_row_stride) % room]
                    accumulators[index] = in_order(lane[None, :lanes], block, addend[None])[0]
                    if one.emit and kb == one.k_blocks - 1:
                        results.append(accumulators[index].copy())
    assert next(addends, None) is None or planned.commands[0].addend != Addend.STREAM
    return planned.assemble(np.array(results))


@pytest.mark.parametrize("seed", range(60))
def test_plans_compute_the_product_in_increasing_k(seed: int) -> None:
    rng = random.Random(seed)
    config = TileConfig(
        rows=rng.randint(1, 6),
        columns=rng.randint(1, 6),
        formats=("bf16",),
        latency=rng.randint(2, 4),
        accumulators=rng.choice((8, 16, 64)),
        address_bits=12,
        count_bits=4,
    )
    # With 4-bit counts a command holds at most 15 blocks of K and of N.
    m, k, n = rng.randint(1, 40), rng.randint(1, rng.choice((10, 120))), rng.randint(1, rng.choice((10, 60)))
    if rng.random() < 0.5:
        m, k, n = rng.choice(((1, k, n), (m, k, 1), (m, 1, n)))
    addend = rng.choice((Addend.ZERO, Addend.STREAM))
    bases = {"accumulator": rng.randrange(config.accumulators), "a_base": rng.randint(0, 50), "b_base": 7}
    planned = plan(m, k, n, "bf16", config, addend=addend, **bases)

    data = np.random.default_rng(seed)
    a, b, c = (data.integers(0, 2**16, shape, np.uint64) for shape in ((m, k), (k, n), (m, n)))
    expected = in_order(a, b, c if addend == Addend.STREAM else np.zeros_like(c))
    np.testing.assert_array_equal(run(planned, a, b, c), expected, err_msg=f"seed {seed}: {m}x{k}x{n} on {config}")


def test_images_keep_the_operands_type_and_pad_with_zeros() -> None:
    planned = plan(2, 5, 3, "bf16", TINY)
    a = planned.activation_image(np.full((2, 5), 9, np.uint16))
    b = planned.weight_image(np.full((5, 3), 9, np.uint16))
    assert (a.dtype, b.dtype) == (np.uint16, np.uint16)
    assert a.tolist() == [[9, 9, 9, 9]] * 2 + [[9, 0, 0, 0]] * 2
    assert b.tolist() == [[9, 9, 9, 0]] * 5


@pytest.mark.parametrize("latency", [2, 4])
@pytest.mark.parametrize("m", [1, 4, 9, 33, 64, 65, 200])
@pytest.mark.parametrize("n", [20, 37, 100])
def test_no_row_waits_where_blocks_or_rows_suffice(m: int, n: int, latency: int) -> None:
    config = TileConfig(rows=4, columns=4, formats=("bf16",), latency=latency, accumulators=64)
    planned = plan(m, 64, n, "bf16", config)
    report = predict(planned.commands, config)
    assert report.by_cause()["dependence"] == 0
    # The first weights, the command and the way out are all that comes on top.
    assert report.cycles == planned.bound_cycles + 4 + 4 * latency + 4 + 9 - max(0, 4 - planned.commands[-1].m)


@pytest.mark.parametrize("m", range(1, 70))
def test_chunks_are_even_and_cost_no_more_blocks_than_needed(m: int) -> None:
    config = TileConfig(rows=8, columns=8, formats=("bf16",), latency=2, accumulators=16)
    planned = plan(m, 8, 8, "bf16", config)
    sizes = [size for _, size in planned.chunks]
    assert sum(sizes) == m
    assert max(sizes) - min(sizes) <= 1
    assert planned.bound_cycles == max(m, 8 * -(-m // 16))


def test_only_the_count_of_k_blocks_is_limited_by_its_bits() -> None:
    config = load("tiny", ["tile.count_bits=4", "tile.accumulators=64"]).tile
    planned = plan(1, 20 * config.rows, 40 * config.columns, "int8", config)
    assert [(one.k_blocks, one.n_blocks) for one in planned.commands] == [(15, 40), (5, 40)]


def test_commands_use_the_accumulators_as_a_ring() -> None:
    planned = plan(20, 4, 40, "bf16", TINY, accumulator=60)
    bases = [one.accumulator for one in planned.commands]
    sizes = [one.m * one.n_blocks for one in planned.commands]
    assert len(bases) > 2
    assert [*bases[1:], planned.next_accumulator] == [(b + s) % 64 for b, s in zip(bases, sizes, strict=True)]


def test_the_bound_counts_every_block_whole() -> None:
    assert plan(10, 9, 9, "bf16", TINY).bound_cycles == 3 * 3 * 10
    assert plan(1, 9, 9, "bf16", TINY).bound_cycles == 3 * 3 * 4


@pytest.mark.parametrize(
    ("shape", "bases", "message"),
    [
        ((0, 4, 4), {}, "M = 0: a matrix product needs M, K and N of at least 1; give non-empty arrays"),
        ((4, 0, 4), {}, "K = 0"),
        ((4, 4, -1), {}, "N = -1"),
        (
            (40000, 8, 4),
            {},
            r"A \(40000 x 8\) needs 80000 beats of the activation buffer, which has 65536 \(tile.address_bits = 16\): "
            "set tile.address_bits to 17, or cut the problem along M or K",
        ),
        ((4, 32768, 9), {}, r"B \(32768 x 9\) needs 98304 beats of the weight buffer, .* to 17, or .* along N or K"),
        ((4, 4, 4), {"a_base": 65533}, r"4 beats of the activation buffer from address 65533 on, .* to 17"),
    ],
)
def test_what_cannot_be_planned_is_said(shape: tuple[int, int, int], bases: dict[str, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        plan(*shape, "bf16", TINY, **bases)


def test_a_format_that_is_not_built_in_is_said() -> None:
    with pytest.raises(UserError, match=r"format 'fp16' is not built in \(tile.formats = int8, bf16\)"):
        plan(4, 4, 4, "fp16", load("demo").tile)


def test_buffers_may_be_outgrown_for_predictions() -> None:
    assert len(plan(40000, 8, 4, "bf16", TINY, resident=False).commands) == 625


def test_arrays_of_another_shape_are_named() -> None:
    planned = plan(2, 5, 3, "bf16", TINY)
    for method, name in (
        (planned.activation_image, "A"),
        (planned.weight_image, "B"),
        (planned.addend_rows, "C"),
        (planned.assemble, "the results"),
    ):
        with pytest.raises(ValueError, match=rf"{name} has shape \(9, 9\), the plan is for"):
            method(np.zeros((9, 9)))


def test_an_impossible_addend_is_named() -> None:
    with pytest.raises(ValueError, match="starts from zero or from the stream"):
        plan(2, 5, 3, "bf16", TINY, addend=Addend.ACCUMULATOR)
