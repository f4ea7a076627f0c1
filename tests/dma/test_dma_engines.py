"""Each of the DMA's commands does what the reference does, touches nothing else, and ends as it should."""

import dataclasses
import random
from collections.abc import Mapping

import numpy as np
import pytest
from openppu.command.error import Error
from openppu.config import ChipConfig, load
from openppu.dma.config import DmaConfig
from openppu.formats.operand import formats_named
from openppu.scratchpad.config import ScratchpadConfig
from openppu_sim.cycles.dma_engine import predict_load, predict_store
from openppu_sim.reference.dma import INT32_CODE, Memories
from openppu_verif.dma.bench import Run, exercise, new_memories
from openppu_verif.dma.commands import RandomCommands, copy, fill
from openppu_verif.dma.models import Timing

INT8, BF16, BINARY32 = 0, 4, 7
PAD_BYTES = 4096
SLOW = pytest.mark.slow
SMALL = DmaConfig(outstanding=16, tags=2, burst_bytes=64)


def chip(*, word_bytes: int = 32, dma: DmaConfig = SMALL) -> ChipConfig:
    """A chip with a small scratchpad."""
    pad = ScratchpadConfig(banks=1, bank_words=PAD_BYTES // word_bytes, word_bytes=word_bytes)
    return dataclasses.replace(load("demo"), scratchpad=pad, dma=dma)


def memories(seed: int = 0) -> Memories:
    return new_memories(chip(), np.random.default_rng(seed))


def small_indices(found: Memories, chance: random.Random, most: int) -> None:
    """Make half of the scratchpad's words numbers below ``most``."""
    words = found.scratchpad.view("<u4")
    for place in range(len(words)):
        if chance.random() < 0.5:
            words[place] = chance.randrange(most)


def of_both(store: bool) -> list[tuple[str, Mapping[str, int]]]:
    """Commands that both engines have, or nearly so."""
    name, indexed = ("STORE", "SCATTER") if store else ("LOAD", "GATHER")
    return [
        (name, copy(memory=64, scratchpad=128, row=512)),
        (name, copy(memory=7048, scratchpad=8, row=16, dimensions=[(21, 16, 24)])),
        (name, copy(memory=7400, scratchpad=8, row=20, dimensions=[(9, 12, 24)])),
        (name, copy(memory=7700, scratchpad=0, row=8, dimensions=[(5, -8, 8), (3, 64, 80)])),
        (name, copy(memory=0, scratchpad=31, row=1)),
        (name, copy(memory=1067, scratchpad=133, row=45, dimensions=[(3, 100, 50), (2, -1000, 600), (2, 7, 170)])),
        (name, copy(memory=2, scratchpad=4, row=46, dimensions=[(21, 80, 80)], source=BF16, target=BF16, transpose=1)),
        (name, copy(memory=1, scratchpad=5, row=35, dimensions=[(34, 36, 36)], transpose=1)),
        (name, copy(memory=64, scratchpad=0, row=40, dimensions=[(9, 40, 44)], source=7, target=7, transpose=1)),
        (name, copy(memory=100, scratchpad=40, row=52, dimensions=[(2, 104, 104)], source=BF16, target=BINARY32)),
        (name, copy(memory=100, scratchpad=40, row=52, dimensions=[(2, 104, 104)], source=BINARY32, target=BF16)),
        (name, copy(memory=100, scratchpad=40, row=44, source=INT8, target=INT32_CODE)),
        (name, copy(memory=100, scratchpad=40, row=44, source=INT32_CODE, target=INT8)),
        (name, copy(memory=64, scratchpad=96, row=20, dimensions=[(5, 80, 80)], source=0, target=7, transpose=1)),
        (
            indexed,
            dict(memory=10, scratchpad=2000, indices=400, row=30, count=12, memory_stride=33, scratchpad_stride=31)
            | dict(rows=200, source=BF16, target=BF16),
        ),
    ]


IM2COL = dict(memory=100, scratchpad=11, row=6, source=BF16, target=BF16, images=2, height=6, width=5, value=0x8000)
IM2COL |= dict(out_height=3, out_width=5, kernel_height=3, kernel_width=2, pad_top=1, pad_left=1, stride_height=2)
IM2COL |= dict(stride_width=1, dilation_height=1, dilation_width=2, image_stride=400, row_stride=40, pixel_stride=7)
IM2COL |= dict(scratchpad_stride=40)
STRIPES = fill(address=200, row=46, value=0x1234, format=BF16, dimensions=[(3, 100), (1, 0), (2, -60)])


@pytest.mark.parametrize(
    ("store", "word_bytes"),
    [(False, 32), (True, 32), pytest.param(False, 128, marks=SLOW), pytest.param(True, 64, marks=SLOW)],
)
def test_every_command_does_what_the_reference_does_when_the_model_says(store: bool, word_bytes: int) -> None:
    found = memories()
    found.scratchpad[400:448].view("<u4")[:] = [3, 199, 0, 7, 7, 100, 42, 41, 40, 150, 3, 1]
    # The indices first: others write over them.
    commands = list(reversed(of_both(store)))
    commands.append(("FILL_MEMORY" if store else "FILL_SCRATCHPAD", STRIPES))
    if not store:
        commands.append(("IM2COL", IM2COL))
        commands.append(("IM2COL", {**IM2COL, "target": 7, "value": 0x80000000, "scratchpad_stride": 80, "row": 4}))
        for field in ("memory", "scratchpad", "image_stride", "row_stride", "pixel_stride"):
            commands[-1][1][field] &= ~3  # type: ignore[index]
    config = chip(word_bytes=word_bytes)
    predict = predict_store if store else predict_load
    expected = predict(config, commands, Memories(found.hbm.copy(), found.scratchpad.copy()), latency=20)
    run = exercise(config, commands, found, store=store, timing=Timing(latency=20))
    assert set(run.errors) == {Error.OKAY}
    assert (run.cycles, run.causes) == expected


def test_rows_that_share_words_of_memory_write_each_once() -> None:
    found = memories()
    config = chip()
    together = exercise(
        config, [("STORE", copy(memory=32, scratchpad=0, row=1024))], found, store=True, timing=Timing()
    )
    apart = copy(memory=32, scratchpad=0, row=16, dimensions=[(64, 16, 16)])
    rows = exercise(config, [("STORE", apart)], found, store=True, timing=Timing())
    assert rows.writes == together.writes


WRONG: list[tuple[str, Mapping[str, int], int]] = [
    ("STORE", copy(memory=0, scratchpad=0, row=32), Error.OPCODE),
    ("LOAD", copy(memory=0, scratchpad=0, row=0), Error.FIELD),
    ("LOAD", {**copy(memory=0, scratchpad=0, row=1), "count_2": 0}, Error.FIELD),
    ("LOAD", copy(memory=0, scratchpad=0, row=2, source=3, target=4), Error.FORMAT),
    ("LOAD", copy(memory=0, scratchpad=0, row=2, source=5, target=5), Error.FORMAT),
    ("LOAD", copy(memory=1, scratchpad=0, row=2, source=4, target=7), Error.ALIGNMENT),
    ("LOAD", copy(memory=0, scratchpad=2, row=2, source=4, target=7), Error.ALIGNMENT),
    ("LOAD", copy(memory=8191, scratchpad=0, row=2), Error.BOUNDS),
    ("LOAD", copy(memory=64, scratchpad=0, row=2, dimensions=[(2, -65, 2)]), Error.BOUNDS),
    ("LOAD", copy(memory=0, scratchpad=4095, row=2), Error.BOUNDS),
    ("LOAD", copy(memory=0, scratchpad=1 << 24, row=2), Error.BOUNDS),
    ("LOAD", copy(memory=1 << 38, scratchpad=0, row=2), Error.BOUNDS),
    ("LOAD", copy(memory=1 << 39 | 1 << 24, scratchpad=0, row=2), Error.BOUNDS),
    ("IM2COL", {**IM2COL, "images": 0}, Error.FIELD),
    ("IM2COL", {**IM2COL, "row": 5}, Error.ALIGNMENT),
    ("IM2COL", {**IM2COL, "out_height": 20}, Error.BOUNDS),
    ("IM2COL", {**IM2COL, "out_height": 65535, "images": 65535}, Error.BOUNDS),
    ("FILL_SCRATCHPAD", {**STRIPES, "stride_3": 1 << 28}, Error.FIELD),
]


def test_wrong_commands_change_nothing_and_say_why() -> None:
    found = memories()
    found.scratchpad[:8].view("<u4")[:] = [3, 5]
    gather = dict(memory=0, scratchpad=64, indices=0, row=4, count=2, memory_stride=4, scratchpad_stride=4, rows=6)
    wrong = [
        *WRONG,
        ("GATHER", {**gather, "rows": 5}, Error.BOUNDS),
        ("GATHER", {**gather, "indices": 4092}, Error.BOUNDS),
        ("GATHER", {**gather, "indices": 2}, Error.ALIGNMENT),
        ("GATHER", gather, Error.OKAY),
    ]
    run = exercise(chip(), [(name, of) for name, of, _ in wrong], found, store=False, timing=Timing())
    assert run.errors == [error for _, _, error in wrong]


@pytest.mark.parametrize(
    ("store", "channels", "rate", "noise"),
    [(False, 1, 0.5, True), (True, 1, 0.5, True), pytest.param(False, 2, 0.8, False, marks=SLOW)],
)
def test_random_commands_under_backpressure(store: bool, channels: int, rate: float, noise: bool) -> None:
    chance = random.Random(channels + store)
    config = chip(dma=dataclasses.replace(SMALL, channels=channels), word_bytes=32 * channels)
    found = memories()
    small_indices(found, chance, 60)
    formats = tuple(fmt for fmt in formats_named(config.tile.formats) if fmt.is_float)
    random_commands = RandomCommands(chance, store, formats, found, most_bytes=200)
    commands = [random_commands.some(legal=chance.random() < 0.7) for _ in range(8)]
    exercise(config, commands, found, store=store, timing=Timing(10, 30, rate), noise=noise)


@pytest.mark.parametrize("store", [False, True])
def test_wrong_data_ends_the_command_and_is_never_written(store: bool) -> None:
    name = "STORE" if store else "LOAD"
    run: Run | None = None
    for seed in range(8):
        command = (name, copy(memory=67, scratchpad=133, row=45, dimensions=[(12, 100, 50)]))
        run = exercise(chip(), [command], memories(), store=store, timing=Timing(wrong=0.03), seed=seed)
        if run.errors == [Error.MEMORY]:
            break
    assert run is not None
    assert run.errors == [Error.MEMORY]
