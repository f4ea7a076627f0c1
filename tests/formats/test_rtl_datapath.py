"""Unpack, multiply and fused addition on RTL against the reference, bit for bit, at the latencies they state."""

import numpy as np
import pytest
from compare import assert_same_bits
from openppu.config import load
from openppu.formats.fused_add import FusedAdd
from openppu.formats.spec import BF16, BINARY32, FORMATS, INT8
from openppu.formats.unpack import Unpack
from openppu.tile.cell import Cell
from openppu_sim.reference.arithmetic import fma
from openppu_sim.reference.corners import random_triples
from openppu_sim.reference.formats import to_binary32
from openppu_verif.formats.datapath import Datapath
from openppu_verif.formats.pipeline_bench import PipelineBench

# A component that refuses its parameters is never used.
pytestmark = pytest.mark.filterwarnings("ignore:.*created but never used")

LATENCIES = (1, 2, 3, 4, 5)
ALL = tuple(FORMATS.values())
TRIPLES = 1_050_000
"""A format; a million of them reach the addition, the others are pads."""
CHUNKS = 3


@pytest.fixture(scope="module")
def mixed(build_root):
    """All formats in one datapath, for each latency of the addition."""
    parts = {f"latency_{n}": Datapath(formats=ALL, add_latency=n) for n in LATENCIES}
    return PipelineBench("mixed_datapath", {name: (part, part.latency) for name, part in parts.items()}, build_root)


@pytest.fixture(scope="module")
def single(build_root):
    """Each format alone, floats at the two ends of latency. The addition of int8 alone is the cell's own."""
    floats = {f"{fmt.name}_{n}": Datapath(formats=(fmt,), add_latency=n) for fmt in ALL if fmt.is_float for n in (1, 5)}
    parts = {name: (part, part.latency) for name, part in floats.items()}
    tile = load("tiny", ["tile.formats=int8", "tile.latency=1"]).tile
    parts |= {
        "int8_unpack": (Unpack(formats=(INT8,)), Unpack.LATENCY),
        "int8_cell": (Cell(tile), Cell.PARTIAL_AFTER_ACTIVATION + tile.latency),
    }
    return PipelineBench("single_datapaths", parts, build_root)


def triples(fmt, n, rng):
    """Random operands, one in 32 a pad, and what the addition must give."""
    a, b, c = random_triples(fmt, n, rng)
    pad = rng.random(n) < 1 / 32
    kept = to_binary32(c, BINARY32) if fmt.is_float else c
    return a, b, c, pad, np.where(pad, kept, fma(a, b, c, fmt))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FusedAdd(width=16, latency=0), "FusedAdd latency 0: give 1, 2, 3, 4 or 5"),
        (lambda: FusedAdd(width=16, latency=6), "FusedAdd latency 6"),
        (lambda: Unpack(formats=()), "Unpack needs at least one format"),
        (lambda: Unpack(formats=(BF16,), latency=3), "Unpack latency 3: give 1 or 2"),
    ],
)
def test_wrong_parameters_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("seed", range(CHUNKS))
def test_every_latency_equals_the_reference_while_formats_change_every_cycle(mixed, seed):
    rng = np.random.default_rng(seed)
    n = TRIPLES // CHUNKS
    order = rng.permutation(n * len(ALL))
    columns = np.concatenate([np.stack(triples(fmt, n, rng), dtype=np.uint32, casting="unsafe") for fmt in ALL], axis=1)
    a, b, c, pad, expected = columns[:, order]
    code = np.repeat([fmt.code for fmt in ALL], n)[order]
    ports = {"a": a, "b": b, "format": code, "pad": pad, "addend": c}
    results = mixed.run({f"latency_{n}.{port}": values for n in LATENCIES for port, values in ports.items()})
    for latency in LATENCIES:
        what = f"mixed formats, latency {latency}, seed {seed}"
        assert_same_bits(results[f"latency_{latency}.total"], expected, what, **ports)


def test_a_datapath_of_one_format_equals_the_reference(single):
    seed = 100
    rng = np.random.default_rng(seed)
    cases = {fmt: triples(fmt, TRIPLES, rng) for fmt in ALL if fmt.is_float}
    inputs = {}
    for fmt, (a, b, c, pad, _) in cases.items():
        ports = {"a": a, "b": b, "format": np.full(TRIPLES, fmt.code), "pad": pad, "addend": c}
        inputs |= {f"{fmt.name}_{n}.{port}": values for n in (1, 5) for port, values in ports.items()}
    results = single.run(inputs)
    for fmt, (a, b, c, pad, expected) in cases.items():
        for n in (1, 5):
            what = f"{fmt.name} alone, latency {n}, seed {seed}"
            assert_same_bits(results[f"{fmt.name}_{n}.total"], expected, what, a=a, b=b, c=c, pad=pad)


def test_a_cell_of_int8_alone_equals_the_reference(single):
    seed = 101
    a, b, c, pad, expected = triples(INT8, TRIPLES, np.random.default_rng(seed))
    unpacked = single.run({"int8_unpack.bits": a, "int8_unpack.pad": pad})["int8_unpack.operand"]
    # A weight is loaded a cycle before the activation that it meets comes; the sum follows two cycles behind that.
    inputs = {
        "int8_cell.load": np.ones(TRIPLES + 3),
        "int8_cell.weight": np.pad(b, (0, 3)),
        "int8_cell.swap": np.ones(TRIPLES + 3),
        "int8_cell.activation": np.pad(unpacked, (1, 2)),
        "int8_cell.partial": np.pad(c, (3, 0)),
    }
    total = single.run(inputs)["int8_cell.partial_next"]
    assert_same_bits(total[1:-2], expected, f"int8 alone, seed {seed}", a=a, b=b, c=c, pad=pad)
