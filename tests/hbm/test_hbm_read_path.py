"""Words read: each to whom it is for, corrected, and a lost one never shifts the others."""

import random

import numpy as np
import pytest
from openppu.hbm.config import ChannelConfig
from openppu.hbm.device import device
from openppu.hbm.read_path import ReadPath
from openppu.hbm.settings import Settings
from openppu_sim.reference.memory_code import encode
from openppu_verif.ends import run


def with_check(word: int, ecc: str) -> tuple[int, int]:
    """A word and its check bits, by numpy."""
    check = encode(np.frombuffer(word.to_bytes(32, "little"), np.uint8), ecc)
    return word, int.from_bytes(check.tobytes(), "little")


def wrong_symbol(symbol: int, value: int) -> list[tuple[int, int]]:
    """Its wrong bits (beat, bit of 72): two wires, of data or of check bits."""
    return [(bit // 2, 2 * symbol + bit % 2) for bit in range(8) if value >> bit & 1]


def flips(bits: list[tuple[int, int]]) -> tuple[int, int]:
    """What to XOR onto data and check bits, for wrong bits (beat, bit of 72)."""
    data = check = 0
    for beat, bit in bits:
        if bit < 64:
            data ^= 1 << 64 * beat + bit
        else:
            check ^= 1 << 8 * beat + bit - 64
    return data, check


@pytest.mark.parametrize(
    ("name", "pc", "read_delay", "ecc"),
    [
        ("HBM2E_3200", 0, 0, "secded"),
        ("HBM2E_3200", 0, 0, "symbol"),
        ("HBM2_2000", 1, 3, "none"),
        ("HBM2_2000", 1, 3, "symbol"),
        ("HBM2E_3600", 1, 15, "secded"),
    ],
)
def test_words_go_to_whom_they_are_for(name: str, pc: int, read_delay: int, ecc: str) -> None:
    config = ChannelConfig(ports=3, slots=8, writes=8, ecc=ecc)
    dut = ReadPath(config)
    settings = Settings(timing=device(name).timing, read_delay=read_delay)
    delay = -(-(pc + settings.timing.RL + 2) // 2) + read_delay
    chance = random.Random(delay)
    due: dict[int, dict] = {}
    answers: dict[int, dict] = {}
    counts = {"returned": 0, "merge": 0, "corrected": 0, "uncorrectable": 0, "lost": 0}

    def step(ctx, cycle):  # type: ignore[no-untyped-def]
        where = f"{name}, PC {pc}, {ecc}, cycle {cycle}"
        ctx.set(dut.settings, settings.values())
        ctx.set(dut.pc, pc)
        # Each word as it was issued, in any density.
        issue = {
            "valid": chance.random() < (1.0 if cycle // 50 % 2 else 0.4),
            "source": {"merge": chance.random() < 0.3, "port": chance.randrange(3), "slot": chance.randrange(8)},
            "place": {"column": chance.randrange(32), "bank": chance.randrange(32), "row": chance.randrange(32768)},
            "word": chance.randrange(8),
            "last": chance.randrange(2),
        }
        ctx.set(dut.issue, issue)
        if issue["valid"]:
            due[cycle + delay] = issue

        # What the PHY returns.
        ask = due.pop(cycle, None)
        fate = chance.choices(("right", "one", "two", "lost"), (8, 2, 1, 1))[0]
        data, check = with_check(chance.getrandbits(256), ecc)
        wrong: list[tuple[int, int]] = []
        if ecc == "secded" and fate in ("one", "two"):
            beat = chance.randrange(4)
            wrong = [(beat, bit) for bit in chance.sample(range(72), 1 if fate == "one" else 2)]
            if fate == "one":
                wrong += [
                    (other, chance.randrange(72)) for other in range(4) if other != beat and chance.random() < 0.3
                ]
        symbols: list[int] = []
        if ecc == "symbol" and fate in ("one", "two"):
            symbols = chance.sample(range(36), 1 if fate == "one" else chance.randint(2, 3))
            wrong = [bit for symbol in symbols for bit in wrong_symbol(symbol, chance.randrange(1, 256))]
        flip_data, flip_check = flips(wrong)
        came = ask is not None and fate != "lost"
        ctx.set(dut.read_valid, came)
        ctx.set(dut.read, {"data": data ^ flip_data, "check": check ^ flip_check})
        if ask is not None:
            bad = fate == "lost" or (fate == "two" and bool(wrong))
            symbol = symbols[0] if fate == "one" and symbols else 0
            answers[cycle + ReadPath.LATENCY] = {
                "ask": ask, "data": data, "wrong": wrong, "fate": fate, "bad": bad, "symbol": symbol
            }  # fmt: skip

        answer = answers.pop(cycle, None)
        to_port = [ctx.get(returned.valid) for returned in dut.returned]
        assert sum(to_port) + ctx.get(dut.merge.valid) == (answer is not None), where
        if answer is None:
            assert not ctx.get(dut.record.valid), where
            return cycle == 600
        source = answer["ask"]["source"]
        out = dut.merge if source["merge"] else dut.returned[source["port"]]
        counts["merge" if source["merge"] else "returned"] += 1
        assert ctx.get(out.valid), where
        if not source["merge"]:
            assert ctx.get(out.corrected) == (bool(answer["wrong"]) and not answer["bad"]), where
        shown = {name: ctx.get(getattr(out, name)) for name in ("slot", "word", "last", "error")}
        expected = {"slot": source["slot"], "word": answer["ask"]["word"], "last": answer["ask"]["last"]}
        assert shown == expected | {"error": answer["bad"]}, where
        if not answer["bad"]:
            assert ctx.get(out.data) == answer["data"], where

        record = bool(answer["bad"] or answer["wrong"])
        assert ctx.get(dut.record.valid) == record, where
        if record:
            place = answer["ask"]["place"]
            column = place["column"] & 24 | answer["ask"]["word"]
            shown = {name: ctx.get(getattr(dut.record.place, name)) for name in place}
            assert shown == place | {"column": column}, where
            kinds = {name: bool(ctx.get(getattr(dut.record, name))) for name in ("lost", "corrected", "uncorrectable")}
            fate = answer["fate"]
            assert kinds == {"lost": fate == "lost", "corrected": fate == "one", "uncorrectable": fate == "two"}, where
            counts[next(name for name, value in kinds.items() if value)] += 1
            assert ctx.get(dut.record.symbol) == answer["symbol"], where
            syndromes = ctx.get(dut.record.syndromes)
            touched = {beat for beat, _ in answer["wrong"]}
            if ecc == "secded":
                assert {beat for beat in range(4) if syndromes >> 8 * beat & 255} == touched, where
            else:
                assert bool(syndromes) == bool(touched), where
        assert ctx.get(dut.lost) == (counts["lost"] > 0), where
        assert not ctx.get(dut.stray), where
        return cycle == 600

    run(dut, step, most=602)
    wanted = counts if ecc != "none" else ("returned", "merge", "lost")
    assert min(counts[kind] for kind in wanted) > 10, counts


def test_a_word_that_nobody_asked_for_is_told_and_goes_nowhere() -> None:
    dut = ReadPath(ChannelConfig())

    def step(ctx, cycle):  # type: ignore[no-untyped-def]
        ctx.set(dut.settings, Settings().values())
        ctx.set(dut.read_valid, cycle == 5)
        assert ctx.get(dut.stray) == (cycle > 5)
        assert not ctx.get(dut.merge.valid)
        assert not any(ctx.get(returned.valid) for returned in dut.returned)
        return cycle == 30

    run(dut, step, most=31)


def test_after_a_reset_nothing_is_due() -> None:
    dut = ReadPath(ChannelConfig())

    def issue(ctx, cycle):  # type: ignore[no-untyped-def]
        ctx.set(dut.settings, Settings().values())
        ctx.set(dut.issue.valid, 1)
        ctx.set(dut.read_valid, cycle % 3 == 0)

    def nothing(ctx, cycle):  # type: ignore[no-untyped-def]
        ctx.set(dut.issue.valid, 0)
        ctx.set(dut.read_valid, 0)
        assert not any(ctx.get(returned.valid) for returned in dut.returned), f"cycle {cycle}"
        assert not ctx.get(dut.lost), f"cycle {cycle}"
        assert not ctx.get(dut.stray), f"cycle {cycle}"
        return cycle == 40

    run(dut, nothing, most=41, noise=issue)
