"""How long a schedule of a product takes: loads, products and stores side by side, each engine one after the other."""

from openppu.config import ChipConfig

from openppu_sim.kernels.matmul_job import SUM_BYTES, MatmulJob, Operand
from openppu_sim.kernels.matmul_tiling import Load, Product, Schedule, Span, Store, up
from openppu_sim.kernels.memory_timing import Bandwidth, MemoryTiming, Rows

FIRST_WORD = 90
"""Cycles from a load that begins to its first word."""

ACKNOWLEDGED = 60
"""Cycles from the last word of a store to its end."""

WAKES = 14
"""Cycles from an end that is signalled to the engine that waits for it."""

RESULT = 60
"""Cycles from the last row that a product takes to its end."""

COMMAND = 8
"""Cycles of a command, at least."""


def load_rows(job: MatmulJob, load: Load) -> Rows:
    """What a load reads."""
    if load.matrix == "c":
        size = SUM_BYTES * job.n
        return Rows(begin=job.c or 0, size=size, stride=size, count=1)
    return _rows(job.a if load.matrix == "a" else job.b, job.element_bytes, load.rows, load.columns)


def store_rows(job: MatmulJob, store: Store) -> Rows:
    """What a store writes."""
    return _rows(job.d, job.result_bytes, store.rows, store.columns)


def _rows(at: Operand, element: int, rows: Span, columns: Span) -> Rows:
    begin = at.address + rows.first * at.stride + columns.first * element
    return Rows(begin=begin, size=columns.count * element, stride=at.stride, count=rows.count)


def product_cycles(chip: ChipConfig, job: MatmulJob, product: Product) -> int:
    """Of the tile: a row a cycle of each block, or a row of its weights; a transposed A is read in whole blocks."""
    tile = chip.tile
    rows = up(product.rows.count, tile.rows) if job.transpose_a else product.rows.count
    blocks = -(-product.columns.count // tile.columns) * -(-product.depth.count // tile.rows)
    return blocks * max(rows, tile.rows)


def predict(chip: ChipConfig, job: MatmulJob, schedule: Schedule, bandwidth: Bandwidth) -> int:
    """Cycles from the first load to the end of the last store."""
    memory = MemoryTiming(chip, bandwidth)
    ended: list[float] = []  # products
    stored: list[float] = []
    load_free = store_free = tile_free = 0.0
    loaded: list[float] = []
    loads = iter(schedule.loads)
    stores = iter(schedule.stores)
    waiting = next(stores, None)

    def store(before: float | None) -> None:
        """Those that can begin by then."""
        nonlocal waiting, store_free, load_free
        while waiting is not None and waiting.after <= len(ended):
            begin = max(store_free, ended[waiting.after - 1] + WAKES)
            if before is not None and begin > before:
                return
            if bandwidth.shared:
                begin = max(begin, load_free)
            store_free = begin + max(COMMAND, memory.copy(store_rows(job, waiting), write=True))
            if bandwidth.shared:
                load_free = store_free
            stored.append(store_free + ACKNOWLEDGED)
            waiting = next(stores, None)

    for product in schedule.products:
        while len(loaded) < product.loads:
            load = next(loads)
            begin = max(load_free, (ended[load.after - 1] + WAKES if load.after else 0.0) + FIRST_WORD)
            if bandwidth.shared:
                store(begin)
                begin = max(begin, load_free)
            load_free = begin + max(COMMAND, memory.copy(load_rows(job, load)))
            loaded.append(load_free)
        if product.stores > len(stored):
            store(None)
        begin = max(tile_free, loaded[product.loads - 1] + WAKES)
        if product.stores:
            begin = max(begin, stored[product.stores - 1] + WAKES)
        tile_free = begin + max(COMMAND, product_cycles(chip, job, product))
        ended.append(tile_free + RESULT)
    store(None)
    return round(stored[-1])
