"""Words of writes: kept, merged with old bytes, and at the PHY in time with their check bits."""

import random
from dataclasses import replace

import numpy as np
import pytest
from amaranth import Module
from openppu.hbm.config import ChannelConfig
from openppu.hbm.device import device
from openppu.hbm.error_code import POISON
from openppu.hbm.settings import Settings
from openppu.hbm.write_buffer import WriteBuffer
from openppu.hbm.write_path import WritePath
from openppu_sim.reference.memory_code import encode
from openppu_verif.ends import Put, run

CONFIG = ChannelConfig(writes=8)
WORDS = 8 * CONFIG.writes


def merged(new: int, old: int, mask: int) -> int:
    """Bytes of ``new`` where the mask is set, else of ``old``."""
    return sum((new if mask >> byte & 1 else old) & 0xFF << 8 * byte for byte in range(32))


def check_of(word: int, ecc: str) -> int:
    """Check bits of a word, by numpy."""
    check = encode(np.frombuffer(word.to_bytes(32, "little"), np.uint8), ecc)
    return int.from_bytes(check.tobytes(), "little")


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("rate", [0.3, 1.0])
def test_words_are_kept_and_merged(seed: int, rate: float) -> None:
    dut = WriteBuffer(CONFIG)
    chance = random.Random(seed)
    put = Put(dut.fill, chance, rate)
    store: dict[int, tuple[int, int, bool]] = {}
    expected: tuple[int, int, bool] | None = None
    storing: tuple[int, int] | None = None
    counts = {"fill": 0, "merge": 0, "read": 0, "poison": 0, "waited": 0}

    def step(ctx, cycle):  # type: ignore[no-untyped-def]
        nonlocal expected, storing
        where = f"seed {seed}, rate {rate}, cycle {cycle}"
        if expected is not None:
            assert (ctx.get(dut.data), ctx.get(dut.mask), bool(ctx.get(dut.poisoned))) == expected, where
        # The last cycle's merge is stored in this one.
        assert ctx.get(dut.merged.valid) == (storing is not None and storing[1]), where
        if storing is not None:
            assert ctx.get(dut.merged.slot) == storing[0] >> 3, where
        busy = {storing[0]} if storing is not None else set()

        place = chance.choice(sorted(store)) if store else 0
        merge = bool(store) and place not in busy and chance.random() < 0.3
        old, error, last = chance.getrandbits(256), chance.random() < 0.3, chance.random() < 0.3
        layout = {"valid": merge, "data": old, "slot": place >> 3, "word": place & 7, "last": last, "error": error}
        ctx.set(dut.merge, layout)

        if not put.waiting:
            free = chance.choice([number for number in range(WORDS) if number not in busy and number != place])
            mask = chance.choice([0, (1 << 32) - 1, chance.getrandbits(32)])
            data = chance.getrandbits(256)
            put.waiting.append({"data": data, "mask": mask, "slot": free >> 3, "word": free & 7})
        put.drive(ctx)
        fill = put.sample(ctx)
        assert storing is None or fill is None, where
        counts["waited"] += put.offered

        # A word can be read while it is neither filled nor merged.
        filled = fill["slot"] << 3 | fill["word"] if fill is not None else None
        still = [number for number in store if number not in busy and number != filled]
        expected = None
        if still:
            target = chance.choice(still)
            ctx.set(dut.read, {"slot": target >> 3, "word": target & 7})
            expected = store[target]
            counts["read"] += 1
        storing = (place, last) if merge else None
        if merge:
            data, mask, _ = store[place]
            poisoned = error and mask != (1 << 32) - 1
            store[place] = merged(data, old, mask), mask, poisoned
            counts["merge"] += 1
            counts["poison"] += poisoned
        if fill is not None:
            assert filled is not None
            store[filled] = fill["data"], fill["mask"], False
            counts["fill"] += 1
        return cycle == 700

    run(dut, step, most=701)
    assert min(counts.values()) > 20, f"seed {seed}, rate {rate}: {counts}"


def test_a_word_can_be_filled_in_every_cycle() -> None:
    dut = WriteBuffer(CONFIG)
    put = Put(dut.fill, random.Random(0))
    put.waiting.extend({"data": number, "mask": 0, "slot": number >> 3, "word": number & 7} for number in range(WORDS))

    def step(ctx, cycle):  # type: ignore[no-untyped-def]
        put.drive(ctx)
        return put.sample(ctx) is None

    assert run(dut, step, most=200) == WORDS


@pytest.mark.parametrize(
    ("wl", "ecc"), [(4, "secded"), (5, "none"), (8, "symbol"), (9, "secded"), (15, "none"), (16, "symbol")]
)
def test_words_are_at_the_phy_in_time(wl: int, ecc: str) -> None:
    config = ChannelConfig(writes=8, ecc=ecc)
    m = Module()
    m.submodules.buffer = buffer = WriteBuffer(config)
    m.submodules.path = path = WritePath(config)
    m.d.comb += [
        buffer.read.eq(path.read),
        path.data.eq(buffer.data),
        path.mask.eq(buffer.mask),
        path.poisoned.eq(buffer.poisoned),
    ]
    settings = Settings(timing=replace(device("HBM2E_3200").timing, WL=wl, tRTW=40))
    chance = random.Random(wl)
    put = Put(buffer.fill, chance)
    words = [(chance.getrandbits(256), chance.getrandbits(32)) for _ in range(WORDS)]
    put.waiting.extend(
        {"data": data, "mask": mask, "slot": place >> 3, "word": place & 7} for place, (data, mask) in enumerate(words)
    )
    poisoned = 5
    due: dict[int, int] = {}
    released: dict[int, int] = {}

    def step(ctx, cycle):  # type: ignore[no-untyped-def]
        where = f"WL {wl}, cycle {cycle}"
        ctx.set(path.settings, settings.values())
        put.drive(ctx)
        put.sample(ctx)
        # Then the old bytes of one word, which are known to be wrong.
        values = {"valid": cycle == WORDS + 1, "data": 0, "slot": 0, "word": poisoned, "last": 1, "error": 1}
        ctx.set(buffer.merge, values)

        issue = cycle > WORDS + 4 and chance.random() < (1.0 if cycle < WORDS + 100 else 0.5)
        place, last = chance.randrange(WORDS), chance.random() < 0.4
        ctx.set(path.issue, {"valid": issue, "slot": place >> 3, "word": place & 7, "last": last})
        if issue:
            due[cycle + wl // 2] = place
            if last:
                released[cycle + wl // 2 - 2] = place >> 3
        assert ctx.get(path.released.valid) == (cycle in released), where
        if cycle in released:
            assert ctx.get(path.released.slot) == released[cycle], where
        assert ctx.get(path.write_valid) == (cycle in due), where
        if cycle in due:
            data, mask = words[due[cycle]]
            if due[cycle] == poisoned:
                data = merged(data, 0, mask)
            assert ctx.get(path.write.data) == data, where
            if ecc != "none":
                poison = POISON if due[cycle] == poisoned else 0
                assert ctx.get(path.write.check) == check_of(data, ecc) ^ poison, where
                assert ctx.get(path.write_mask) == 0xFFFFFFFF, where
            else:
                assert ctx.get(path.write_mask) == mask, where
        return cycle == WORDS + 250

    run(m, step, most=WORDS + 300)
    assert len(due) > 150
    assert poisoned in due.values()
