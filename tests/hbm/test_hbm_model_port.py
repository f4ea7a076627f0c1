"""What a port holds for a pseudo-channel that takes nothing: the memory's model, and the RTL."""

import random

import numpy as np
import pytest
from openppu.hbm.config import ChannelConfig
from openppu.hbm.port import Port
from openppu.hbm.settings import Settings
from openppu_sim.cycles.hbm import port as model
from openppu_sim.cycles.hbm.address import LOWER, split
from openppu_sim.cycles.hbm.policy import Policy
from openppu_sim.cycles.hbm.requests import Piece
from openppu_sim.cycles.hbm.write_buffer import WriteBuffer
from openppu_verif.ends import Put, Take, run

CONFIG, SETTINGS = ChannelConfig(ports=1), Settings()
TAKEN = 50
"""The clock in which the pseudo-channel takes a piece."""

END = 100


def of_the_model(words):
    """The clocks in which writes of these words are handed on, if the first one is taken at `TAKEN`, others never."""
    buffers = [WriteBuffer(8), WriteBuffer(8)]
    pieces = [Piece(n, True, 0, 0, 0, n, count, False, True) for n, count in enumerate(words)]
    port = model.Port(CONFIG, pieces, None, Policy(), number=0, buffers=buffers)
    crossbar = model.Crossbar([port], 0)
    found = []
    for clock in range(END):
        if clock == TAKEN:
            piece = crossbar.offer()
            crossbar.taken(clock)
            buffers[0].fill([], clock, piece.words, piece.port)
        before = port.next
        port.step(clock)
        found += [clock] * (port.next - before)
    return found


def of_the_rtl(words):
    """Likewise: a write's words go from the clock behind it on."""
    dut, chance = Port(CONFIG), random.Random(1)
    granules = np.arange(64)
    first = granules[split(granules << LOWER, CONFIG, SETTINGS).pc == 0]
    ask, data = Put(dut.requests, chance), Put(dut.words, chance)
    ask.waiting.extend(
        {"write": 1, "address": int(granule) << LOWER, "last": count - 1, "tag": 0}
        for granule, count in zip(first, words, strict=False)
    )
    data.waiting.extend([{"data": 1, "mask": (1 << 32) - 1}] * sum(words))
    entries, entry_words = Take(dut.entries[0], chance), Take(dut.entry_words[0], chance)
    found = []

    def step(ctx, clock):
        ctx.set(dut.settings, SETTINGS.values())
        for end in (ask, data):
            end.drive(ctx)
        entries.drive(ctx, allowed=clock == TAKEN)
        entry_words.drive(ctx, allowed=TAKEN < clock <= TAKEN + words[0])
        for end in (data, entries, entry_words):
            end.sample(ctx)
        if ask.sample(ctx) is not None:
            found.append(clock)
        return clock == END

    run(dut, step, most=END + 1)
    return found


@pytest.mark.parametrize("clocks", [of_the_model, of_the_rtl])
@pytest.mark.parametrize(
    ("words", "handed_on"),
    [
        # Four granules of words: the first goes in the clock behind the piece, another comes in the one behind that.
        ([8] * 5, [7, 15, 23, 31, TAKEN + 9]),
        ([8, 8, 8, 7, 2], [7, 15, 23, 30, TAKEN + 2]),
        # Four pieces.
        ([1] * 6, [0, 1, 2, 3, TAKEN + 1]),
    ],
)
def test_a_port_holds_four_pieces_and_the_words_of_four_granules(clocks, words, handed_on):
    assert clocks(words) == handed_on
