"""How products are cut: each schedule is legal whatever the tiling, and the planner's choice is a good one."""

import random

import pytest
from openppu.config import load
from openppu_sim.kernels.matmul import MatmulJob, Operand, plan_matmul
from openppu_sim.kernels.matmul_tiling import EIGHTHS, Tiling, as_stored, schedule
from openppu_sim.kernels.matmul_timing import load_rows, predict
from openppu_sim.kernels.memory_timing import Bandwidth


def job(m, k, n, fmt="bf16", **more) -> MatmulJob:
    size = 1 if fmt == "int8" else 2
    return MatmulJob(
        m=m,
        n=n,
        k=k,
        format=fmt,
        a=Operand(address=0, stride=k * size),
        b=Operand(address=1 << 20, stride=n * size),
        d=Operand(address=1 << 22, stride=4 * n),
        **more,
    )


def tilings(chip, rng):
    """Random ones that the accumulators have room for."""
    while True:
        rows, columns = rng.randint(1, 40), rng.randint(1, 5) * chip.tile.columns
        most = chip.tile.accumulators // (rows * columns // chip.tile.columns)
        if not most:
            continue
        a = rng.randint(1, EIGHTHS - 2)
        b = rng.randint(1, EIGHTHS - 1 - a)
        yield Tiling(
            rows=rows,
            columns=columns,
            depth=rng.randint(1, 9) * chip.tile.rows,
            group=rng.randint(1, most),
            rows_first=rng.random() < 0.5,
            keeps_a=rng.random() < 0.5,
            keeps_b=rng.random() < 0.5,
            shares=(a, b, EIGHTHS - a - b),
        )


def bytes_of(work, made, given):
    """The scratchpad's bytes of a load's or store's part."""
    stride = {"a": made.a_stride, "b": made.b_stride, "d": made.d_stride}[work]
    return range(given.place, given.place + stride * given.rows.count)


def check(chip, given, made, left_alone):
    """Every product has its operands in place, nothing is overwritten while it is in use, D is computed once."""
    holds = {}  # first byte of a place: what is there
    for each in made.loads:
        assert 0 <= each.place < chip.scratchpad.capacity - left_alone
        assert each.after <= len(made.products)
    afters = [load.after for load in made.loads]
    assert afters == sorted(afters)
    begun = 0
    sums = {}
    stores = iter(made.stores)
    for number, product in enumerate(made.products):
        # All loads that this product needs can have begun before it ends: no wait for itself.
        for each in made.loads[begun : product.loads]:
            assert each.after <= number
            holds[each.place] = (each.matrix, each.rows, each.columns)
        begun = max(begun, product.loads)
        assert holds[product.a] == ("a", *as_stored(given, "a", product.rows, product.depth))
        assert holds[product.b] == ("b", *as_stored(given, "b", product.depth, product.columns))
        blocks = -(-product.columns.count // chip.tile.columns)
        assert product.accumulator + product.rows.count * blocks <= chip.tile.accumulators
        key = (product.rows, product.columns)
        assert product.depth.first == (0 if product.first else sums[key][0])
        assert product.first or product.accumulator == sums[key][1]
        sums[key] = (product.depth.first + product.depth.count, product.accumulator)
        assert product.last == (sums[key][0] == given.k)
        if product.last:
            store = next(stores)
            assert (store.rows, store.columns, store.place, store.after) == (*key, product.d, number + 1)
            assert store.place + made.d_stride * store.rows.count <= chip.scratchpad.capacity - left_alone
    assert next(stores, None) is None
    assert begun == len(made.loads)
    assert sum(rows.count * columns.count for rows, columns in sums) == given.m * given.n
    overwritten(made)


def overwritten(made):
    """Loads begin once nothing uses what their place held; products write where the last result has been stored."""
    uses = {}
    number = 0
    used = {}
    for index, product in enumerate(made.products):
        while number < product.loads:
            loaded = made.loads[number]
            if loaded.matrix != "c":
                area = bytes_of(loaded.matrix, made, loaded)
                for place, (other, last) in list(used.items()):
                    if other.start < area.stop and area.start < other.stop:
                        assert loaded.after > last
                        del used[place]
                used[loaded.place] = (area, -1)
            number += 1
        for place in (product.a, product.b):
            used[place] = (used[place][0], index)
        if product.last:
            done = uses.get(product.d)
            assert done is None or product.stores > done
            uses[product.d] = sum(each.last for each in made.products[:index])


@pytest.mark.parametrize("preset", ["tiny", "demo"])
@pytest.mark.parametrize("seed", range(4))
def test_schedules_are_legal(preset, seed):
    chip = load(preset)
    rng = random.Random(seed)
    found = 0
    for tiling in tilings(chip, rng):
        given = job(
            rng.randint(1, 90),
            rng.randint(1, 90),
            rng.randint(1, 60),
            transpose_a=rng.random() < 0.5,
            transpose_b=rng.random() < 0.5,
            c=rng.choice((None, 1 << 23)),
        )
        left_alone = rng.choice((0, 1024))
        made = schedule(chip, given, tiling, left_alone=left_alone, apart=rng.random() < 0.5)
        if made is None:
            continue
        check(chip, given, made, left_alone)
        found += 1
        if found == 25:
            return


@pytest.mark.parametrize("preset", ["tiny", "demo", "ppu810e"])
def test_a_plan_fits_and_says_so(preset):
    chip = load(preset)
    given = job(512, 512, 512)
    plan = plan_matmul(chip, given, units=[0])
    check(chip, given, plan.units[0].schedule, 0)
    blocks = -(-512 // chip.tile.columns) * -(-512 // chip.tile.rows)
    assert plan.bound == blocks * 512
    assert plan.bound <= plan.cycles
    assert f"the tile computes {plan.bound:,} cycles, {plan.cycles:,} are expected in all" in str(plan)


@pytest.mark.parametrize(("m", "k", "n"), [(512, 512, 512), (128, 768, 768), (1, 576, 1536)])
def test_a_plan_keeps_the_tile_at_work(m, k, n):
    plan = plan_matmul(load("demo"), job(m, k, n, result_format="bf16"))
    assert plan.bound > 0.97 * plan.cycles


def test_slow_memory_is_read_once():
    chip = load("demo")
    given = job(128, 128, 128, "int8", result_format="int8")
    plan = plan_matmul(chip, given, bandwidth=Bandwidth(bytes=4, shared=True))
    assert plan.loaded == 2 * 128 * 128
    words = sum(load_rows(given, each).words for each in plan.units[0].schedule.loads)
    assert plan.cycles > 8 * words


def test_a_prediction_knows_what_is_slow():
    chip = load("demo")
    given = job(256, 256, 256, "int8", result_format="int8")
    made = plan_matmul(chip, given).units[0].schedule
    times = [predict(chip, given, made, Bandwidth(bytes=rate, shared=True)) for rate in (32, 4, 1)]
    assert times == sorted(times)
    moved = sum(each.rows.count * each.columns.count for each in (*made.loads, *made.stores))
    assert times[-1] >= moved


@pytest.mark.parametrize("chip", [["tile.rows=16", "tile.columns=16"], []])
def test_b_is_not_loaded_into_the_bank_that_a_product_reads_in_every_cycle(chip):
    """With one row of A the tile reads B always: any load that meets it there would hold it up."""
    config = load("demo", ["tile.formats=bf16", *chip])
    unit = config.scratchpad.capacity // EIGHTHS
    made = plan_matmul(config, job(1, 576, 768)).units[0].schedule
    banks = [product.b // unit for product in made.products]
    ends = [product.loads for product in made.products]
    for number, given in enumerate(made.loads):
        if given.matrix == "b":
            # Products that may be under way while it arrives: those behind `after`, before the first one that needs it.
            needs = next(index for index, count in enumerate(ends) if count > number)
            assert given.place // unit not in banks[given.after : needs]


def test_what_does_not_fit_has_no_schedule():
    chip = load("tiny")
    tiling = Tiling(
        rows=64, columns=4, depth=512, group=1, rows_first=False, keeps_a=False, keeps_b=False, shares=(2, 4, 2)
    )
    assert schedule(chip, job(64, 512, 4), tiling) is None


def test_what_is_added_begins_at_a_multiple_of_8_bytes_though_the_tile_has_one_column():
    chip = load("tiny", ["tile.columns=1"])
    for n in range(5, 60, 2):
        (plan,) = plan_matmul(chip, job(30, 30, n, c=0x60_0000)).units
        assert all(4 * each.columns.first % 8 == 0 for each in plan.schedule.products)
