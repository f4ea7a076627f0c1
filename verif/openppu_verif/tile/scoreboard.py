"""What the tile must do with a workload, to the last bit: the loop nest of ``docs/tile.md`` on the numpy reference."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from openppu.config import TileConfig
from openppu.formats.spec import FORMATS, Format
from openppu_sim.lowering.tile import Addend, TileCommand
from openppu_sim.reference.formats import bits_dtype
from openppu_sim.reference.matmul import matmul
from openppu_sim.simulator.tile import Workload

FORMAT_OF_CODE = {fmt.code: fmt for fmt in FORMATS.values()}


@dataclass(frozen=True)
class Expected:
    """What must be seen on the streams out of the tile, and what is left inside.

    Parameters
    ----------
    activation_requests, weight_requests : ndarray of int64
        Addresses, in order.
    results : ndarray of uint32, shape (rows, C)
        The beats of ``results``, in order.
    last : ndarray of bool, shape (rows,)
        Their ``last`` flags.
    accumulators : ndarray of uint32, shape (accumulators, C)
        The accumulator memory afterwards.
    """

    activation_requests: np.ndarray
    weight_requests: np.ndarray
    results: np.ndarray
    last: np.ndarray
    accumulators: np.ndarray


def expect(workload: Workload, config: TileConfig, accumulators: np.ndarray) -> Expected:
    """Go through a workload's commands, one after the other.

    Parameters
    ----------
    workload : Workload
    config : TileConfig
    accumulators : ndarray of uint32, shape (accumulators, C)
        The accumulator memory before.
    """
    store = accumulators.copy()
    addends = np.asarray(workload.addends, np.uint32)
    taken = 0
    activation_requests, weight_requests, results, last = [], [], [], []
    for command in workload.commands:
        if command.is_refused(config):
            continue
        fmt = FORMAT_OF_CODE[command.format]
        for k_block in range(command.k_blocks):
            is_last = k_block == command.k_blocks - 1
            used = command.k_last if is_last else config.rows
            rows = activation_addresses(command, config, k_block)
            a = _operands(workload.activations, rows, fmt)[:, :used]
            for n_block, piece in _pieces(command, config):
                if piece.start == 0:
                    block = weight_addresses(command, config, k_block, n_block)
                    weight_requests.append(block)
                    b = _operands(workload.weights, block, fmt)
                activation_requests.append(rows[piece])
                place = (command.accumulator + n_block * command.m + np.arange(command.m)[piece]) % config.accumulators
                if k_block > 0 or command.addend == Addend.ACCUMULATOR:
                    start = store[place]
                elif command.addend == Addend.ZERO:
                    start = np.zeros((place.size, config.columns), np.uint32)
                else:
                    start = addends[taken : taken + place.size]
                    taken += place.size
                store[place] = matmul(a[piece], b, start, fmt)
                if command.emit and is_last:
                    results.append(store[place])
                    flags = np.zeros(place.size, bool)
                    flags[-1] = n_block == command.n_blocks - 1 and piece.stop >= command.m
                    last.append(flags)
    return Expected(
        activation_requests=np.concatenate([*activation_requests, np.zeros(0, np.int64)]),
        weight_requests=np.concatenate([*weight_requests, np.zeros(0, np.int64)]),
        results=np.concatenate([*results, np.zeros((0, config.columns), np.uint32)]),
        last=np.concatenate([*last, np.zeros(0, bool)]),
        accumulators=store,
    )


def activation_addresses(command: TileCommand, config: TileConfig, k_block: int) -> np.ndarray:
    """Addresses of a block's activation rows."""
    offsets = k_block * command.a_k_stride + np.arange(command.m, dtype=np.int64) * command.a_row_stride
    return (command.a_base + offsets) % (1 << config.address_bits)


def weight_addresses(command: TileCommand, config: TileConfig, k_block: int, n_block: int) -> np.ndarray:
    """Addresses of a block's weight rows."""
    rows = command.k_last if k_block == command.k_blocks - 1 else config.rows
    base = command.b_base + k_block * command.b_k_stride + n_block * command.b_n_stride
    return (base + np.arange(rows, dtype=np.int64) * command.b_row_stride) % (1 << config.address_bits)


def accumulator_rows(command: TileCommand, config: TileConfig) -> np.ndarray:
    """The accumulator rows that a command uses."""
    return (command.accumulator + np.arange(command.m * command.n_blocks)) % config.accumulators


def _pieces(command: TileCommand, config: TileConfig) -> Iterator[tuple[int, slice]]:
    """N blocks, each in pieces of rows that do not share an accumulator."""
    for n_block in range(command.n_blocks):
        for row in range(0, command.m, config.accumulators):
            yield n_block, slice(row, row + config.accumulators)


def _operands(memory: np.ndarray, addresses: np.ndarray, fmt: Format) -> np.ndarray:
    """Beats of operands as the format's bits: an 8-bit format uses the low byte."""
    return memory[addresses % len(memory)].astype(bits_dtype(fmt))
