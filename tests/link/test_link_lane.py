"""One lane, against its reference written bit by bit: scrambler, test sequences, blocks; and a receiver by itself."""

import random
from itertools import islice
from typing import Any

import pytest
from amaranth import Module
from amaranth.sim import Simulator
from openppu.link.block import SYNC, Fields
from openppu.link.config import SKIP_INTERVAL
from openppu.link.lane_receive import LaneReceive
from openppu.link.lane_transmit import LaneTransmit, Sends
from openppu.link.prbs import Pattern, PrbsChecker, PrbsGenerator
from openppu.link.scrambler import Scrambler
from openppu_sim.reference import link_lane as reference

WIDTHS = [16, 32, 64]
CODES = {16: 0, 32: 1, 64: 2}


def simulate(component: Any, testbench: Any) -> None:
    simulator = Simulator(component)
    simulator.add_clock(1e-9)
    simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize("bits", WIDTHS)
def test_each_lane_has_its_own_scrambler(bits: int) -> None:
    scrambler = Scrambler(bits)

    async def testbench(ctx: Any) -> None:
        for lane in range(16):
            ctx.set(scrambler.lane, lane)
            ctx.set(scrambler.restart, 1)
            ctx.set(scrambler.advance, 0)
            await ctx.tick()
            ctx.set(scrambler.restart, 0)
            await ctx.tick()
            for place, key in enumerate(islice(reference.words(reference.scrambling(lane), bits), 40)):
                assert ctx.get(scrambler.key) == key, f"lane {lane}, word {place}"
                # It waits while it is not asked.
                ctx.set(scrambler.advance, 0)
                await ctx.tick()
                ctx.set(scrambler.advance, 1)
                await ctx.tick()

    simulate(scrambler, testbench)


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("pattern", Pattern)
def test_a_sequence_is_that_of_the_standard_and_its_errors_are_counted(pattern: Pattern, bits: int) -> None:
    m = Module()
    m.submodules.generator = generator = PrbsGenerator(bits)
    m.submodules.checker = checker = PrbsChecker(bits)
    chance = random.Random(bits)
    length = int(pattern.name.removeprefix("PRBS"))
    # Cut at another bit than it was made at.
    moved = reference.prbs(length)
    for _ in range(5):
        next(moved)

    async def testbench(ctx: Any) -> None:
        ctx.set(generator.pattern, pattern)
        ctx.set(checker.pattern, pattern)
        ctx.set(generator.enable, 1)
        ctx.set(checker.enable, 1)
        for place, word in enumerate(islice(reference.words(reference.prbs(length), bits), 40)):
            assert ctx.get(generator.word) == word, f"word {place}"
            await ctx.tick()
        counted = flipped = 0
        for place, word in enumerate(islice(reference.words(moved, bits), 250)):
            errors = 0
            if 50 < place < 240 and chance.random() < 0.2:
                errors = chance.getrandbits(bits) & chance.getrandbits(bits)
                flipped += errors.bit_count()
            while chance.random() < 0.2:
                ctx.set(checker.word, chance.getrandbits(bits))
                ctx.set(checker.valid, 0)
                counted += ctx.get(checker.wrong)
                await ctx.tick()
            # The two lines of the pair are crossed.
            ctx.set(checker.word, ~(word ^ errors))
            ctx.set(checker.valid, 1)
            assert place < 30 or ctx.get(checker.locked)
            counted += ctx.get(checker.wrong)
            await ctx.tick()
        assert counted == flipped > 100

    simulate(m, testbench)


def test_zeros_are_no_sequence() -> None:
    checker = PrbsChecker(16)

    async def testbench(ctx: Any) -> None:
        ctx.set(checker.enable, 1)
        ctx.set(checker.valid, 1)
        for word in (0, 0xFFFF):
            ctx.set(checker.word, word)
            for _ in range(40):
                await ctx.tick()
                assert not ctx.get(checker.locked)

    simulate(checker, testbench)


@pytest.mark.parametrize("bits", WIDTHS)
def test_blocks_data_and_skip_words_are_as_described(bits: int) -> None:
    lane = LaneTransmit(bits)
    chance = random.Random(bits)
    sent: list[int] = []
    expected: list[int] = []

    def words(block: int) -> list[int]:
        return [block >> at & (1 << bits) - 1 for at in range(0, 128, bits)]

    async def testbench(ctx: Any) -> None:
        ctx.set(lane.lane, 11)
        ctx.set(lane.logical, 6)
        ctx.set(lane.active, 1)
        for _ in range(20):
            common = {"countdown": chance.randrange(16), "heard": chance.getrandbits(16), "epoch": chance.randrange(8)}
            block = reference.block(lane=11, logical=6, active=1, **common)
            # The common half, as the port makes it for all lanes.
            ctx.set(lane.half, reference.block(**common) >> 64 ^ reference.MASK)
            expected.extend(words(block))
            for place in range(128 // bits):
                ctx.set(lane.place, place)
                await ctx.tick()
                sent.append(ctx.get(lane.send))
        data = [chance.getrandbits(bits) for _ in range(60)]
        for word in data:
            ctx.set(lane.what, Sends.DATA)
            ctx.set(lane.word, word)
            await ctx.tick()
            sent.append(ctx.get(lane.send))
        expected.extend(reference.lane_words(11, data, bits))
        ctx.set(lane.what, Sends.SKIP)
        await ctx.tick()
        assert ctx.get(lane.send) == reference.SKIP & (1 << bits) - 1

    simulate(lane, testbench)
    assert sent == expected
    assert reference.SYNC == SYNC
    assert {name: field.width for name, field in Fields.as_shape()} == reference.FIELDS


class Sender:
    """The other end of a lane, from the reference: bits in a row, cut into words anywhere."""

    def __init__(self, bits: int, *, lane: int, offset: int, inverted: bool):
        self.bits = bits
        self.lane = lane
        self.line: list[int] = [0] * offset
        self.inverted = inverted

    def blocks(self, count: int, **fields: int) -> None:
        for _ in range(count):
            self._word(reference.block(lane=self.lane, word=CODES[self.bits], **fields), 128)

    def start(self, *, wrong: tuple[int, ...] = (), **fields: int) -> None:
        for left in range(7, -1, -1):
            block = reference.block(lane=self.lane, word=CODES[self.bits], start=1, countdown=left, active=1, **fields)
            self._word(block ^ (1 << 77 if left in wrong else 0), 128)

    def data(self, words: list[int]) -> None:
        for word in reference.lane_words(self.lane, words, self.bits):
            self._word(word, self.bits)

    def _word(self, word: int, bits: int) -> None:
        self.line += [word >> place & 1 ^ self.inverted for place in range(bits)]

    def words(self) -> list[int]:
        bits = self.bits
        whole = len(self.line) // bits
        return [
            sum(bit << place for place, bit in enumerate(self.line[n * bits : n * bits + bits])) for n in range(whole)
        ]


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize(("offset", "inverted"), [(0, False), (1, True), (15, False), (11, True)])
def test_a_receiver_finds_bits_polarity_and_the_first_data_word(bits: int, offset: int, inverted: bool) -> None:
    chance = random.Random(offset)
    sender = Sender(bits, lane=9, offset=offset + bits - 16, inverted=inverted)
    sender.blocks(40 + 3 * bits, epoch=3, echo=5, heard=0x8001)
    # Of the blocks that count down, one good one is enough.
    sender.start(epoch=3, echo=5, logical=2, width=3, wrong=tuple({*range(8)} - {1 + offset % 7}))
    data = [chance.getrandbits(bits) for _ in range(SKIP_INTERVAL + 50 if (bits, offset) == (64, 1) else 50)]
    sender.data(data)
    sender.data([0] * 3)
    lane = LaneReceive(bits)
    got: list[int] = []

    async def testbench(ctx: Any) -> None:
        ctx.set(lane.epoch, 5)
        ctx.set(lane.signal, 1)
        ctx.set(lane.accept, 1)
        ctx.set(lane.patience, 20)
        for word in sender.words():
            # Now and then no word comes.
            while chance.random() < 0.1:
                ctx.set(lane.raw_valid, 0)
                ctx.set(lane.raw, chance.getrandbits(bits))
                got.extend([ctx.get(lane.word)] * ctx.get(lane.word_valid))
                await ctx.tick()
            ctx.set(lane.raw_valid, 1)
            ctx.set(lane.raw, word)
            got.extend([ctx.get(lane.word)] * ctx.get(lane.word_valid))
            if ctx.get(lane.block):
                fields = ctx.get(lane.fields)
                assert (fields.lane, fields.epoch, fields.echo, fields.word) == (9, 3, 5, CODES[bits])
                assert fields.start or fields.heard == 0x8001
            await ctx.tick()
        assert ctx.get(lane.inverted) == inverted
        assert ctx.get(lane.slip) == (offset + bits - 16 - 1) % bits
        assert (ctx.get(lane.lane), ctx.get(lane.logical), ctx.get(lane.width)) == (9, 2, 3)
        assert ctx.get(lane.in_data)
        assert ctx.get(lane.skip_errors) == 0

    simulate(lane, testbench)
    assert got[: len(data)] == data


@pytest.mark.parametrize("change", ["echo", "accept", "inactive", "all wrong"])
def test_blocks_of_another_training_do_not_begin_data(change: str) -> None:
    sender = Sender(32, lane=1, offset=7, inverted=False)
    sender.blocks(40, epoch=1, echo=2)
    wrong = tuple(range(1, 8)) if change == "all wrong" else ()
    if change == "inactive":
        for left in range(7, -1, -1):
            sender.blocks(1, start=1, countdown=left, echo=2)
    else:
        sender.start(epoch=1, echo=3 if change == "echo" else 2, wrong=wrong)
    sender.data([0] * 40)
    lane = LaneReceive(32)

    async def testbench(ctx: Any) -> None:
        ctx.set(lane.epoch, 2)
        ctx.set(lane.signal, 1)
        ctx.set(lane.accept, change != "accept")
        ctx.set(lane.raw_valid, 1)
        for word in sender.words():
            ctx.set(lane.raw, word)
            assert not ctx.get(lane.in_data)
            await ctx.tick()
        assert ctx.get(lane.block_errors) > 0

    simulate(lane, testbench)


def test_blocks_instead_of_data_are_a_call_and_a_new_epoch_ends_data() -> None:
    sender = Sender(32, lane=1, offset=7, inverted=True)
    sender.blocks(40, epoch=1, echo=2)
    sender.start(epoch=1, echo=2)
    sender.data(list(range(30)))
    calls_at = len(sender.words())
    sender.blocks(2, epoch=2, echo=2)
    called_by = len(sender.words()) + 3
    sender.blocks(30, epoch=2, echo=2)
    lane = LaneReceive(32)

    async def testbench(ctx: Any) -> None:
        ctx.set(lane.epoch, 2)
        ctx.set(lane.signal, 1)
        ctx.set(lane.accept, 1)
        ctx.set(lane.raw_valid, 1)
        ctx.set(lane.patience, 100)
        for place, word in enumerate(sender.words()):
            ctx.set(lane.raw, word)
            if place <= calls_at:
                assert not ctx.get(lane.called)
            if place == called_by:
                assert ctx.get(lane.called)
                assert ctx.get(lane.in_data)
                ctx.set(lane.epoch, 3)
            if place == called_by + 2:
                assert not ctx.get(lane.in_data)
                assert not ctx.get(lane.heard)
                assert not ctx.get(lane.called)
            await ctx.tick()
        assert ctx.get(lane.heard)

    simulate(lane, testbench)


def test_two_wrong_skip_words_in_a_row_are_a_lost_place() -> None:
    sender = Sender(64, lane=0, offset=0, inverted=False)
    sender.blocks(10, epoch=1, echo=2)
    sender.start(epoch=1, echo=2)
    begin = len(sender.words())
    sender.data([5] * (3 * SKIP_INTERVAL))
    words = sender.words()
    lane = LaneReceive(64)
    # The first one has a wrong bit in three of its bytes; two are none.
    skips = [begin + SKIP_INTERVAL * (place + 1) - 1 for place in range(3)]
    words[skips[0]] ^= 0x010001000100
    words[skips[1]] ^= 0xFF00FF00FF00FF
    words[skips[2]] ^= 0xFF00FF00FF00FF

    async def testbench(ctx: Any) -> None:
        ctx.set(lane.epoch, 2)
        ctx.set(lane.signal, 1)
        ctx.set(lane.accept, 1)
        ctx.set(lane.raw_valid, 1)
        for place, word in enumerate(words[: skips[2] + 2]):
            ctx.set(lane.raw, word)
            if place in (skips[0] + 2, skips[1] + 2, skips[2]):
                assert ctx.get(lane.skip_errors) == (place > skips[0] + 2)
                assert not ctx.get(lane.lost)
            await ctx.tick()
        assert ctx.get(lane.lost)
        assert ctx.get(lane.skip_errors) == 2

    simulate(lane, testbench)


@pytest.mark.parametrize("fault", ["signal", "words", "none"])
def test_a_lane_is_alive_while_its_words_change(fault: str) -> None:
    lane = LaneReceive(16)
    chance = random.Random(1)

    async def testbench(ctx: Any) -> None:
        ctx.set(lane.signal, 1)
        ctx.set(lane.raw_valid, 1)
        for _ in range(60):
            ctx.set(lane.raw, chance.getrandbits(16))
            await ctx.tick()
        assert ctx.get(lane.alive)
        ctx.set(lane.signal, fault != "signal")
        ctx.set(lane.raw_valid, fault != "none")
        for _ in range(40):
            if fault == "signal":
                ctx.set(lane.raw, chance.getrandbits(16))
            await ctx.tick()
        assert not ctx.get(lane.alive)

    simulate(lane, testbench)
