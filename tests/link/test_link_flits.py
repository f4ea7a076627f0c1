"""Flits as they are sent and taken apart are those of the reference, byte for byte."""

import random
from typing import Any

import pytest
from amaranth.sim import Simulator
from openppu.link.config import LinkConfig
from openppu.link.flit_receive import FlitReceive
from openppu.link.flit_transmit import FlitTransmit, Kind
from openppu_sim.reference.link_flit import Trailer, assemble

SHAPES = [
    {"lanes": 1, "lane_bits": 16},
    {"lanes": 1, "lane_bits": 16, "fec": True, "crc_bits": 64},
    {"lanes": 2, "lane_bits": 64, "fec": True},
    {"lanes": 8, "lane_bits": 64, "fec": True, "crc_bits": 64},
    {"lanes": 8, "lane_bits": 64, "crc_bits": 16},
    {"lanes": 16, "lane_bits": 64, "fec": True, "crc_bits": 16},
]


def config_of(shape: dict[str, Any]) -> LinkConfig:
    """A port of this shape."""
    return LinkConfig(ports=1, window=8, credits=2, skew_words=8, **shape)


def simulate(dut: Any, bench: Any) -> None:
    """Run a bench to its end."""
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("shape", SHAPES)
def test_flits_sent_are_the_references(shape: dict[str, Any]) -> None:
    config = config_of(shape)
    dut = FlitTransmit(config)
    chance = random.Random(1)
    size, payload_bytes = config.beat_bytes, config.payload_bytes
    told = {"acknowledge": 0x5A, "missing_valid": 1, "missing": 0xC3, "credit_channel": 4, "credit": 0xE7}

    async def bench(ctx: Any) -> None:
        ctx.set(dut.trailer, told)
        ctx.set(dut.may_send, 0b111111)
        ctx.set(dut.sending, 1)
        for kind in (Kind.NEW, Kind.CONTROL, Kind.AGAIN, Kind.NEW):
            number, channel, cut = chance.getrandbits(24), chance.randrange(6), chance.randrange(2)
            used = chance.randint(1, payload_bytes // 2)
            payload = chance.randbytes(2 * used).ljust(payload_bytes, b"\0")
            behind = chance.randbytes(config.payload_beats * size - payload_bytes)
            has_data = kind != Kind.CONTROL
            fields = {"channel": channel, "used": used, "cut": cut} if has_data else {}
            flit = assemble(
                payload if has_data else b"",
                Trailer(data=has_data, sequence=number & 0xFF, **fields, **told),
                number=number,
                crc_bits=config.crc_bits,
                fec=config.fec,
            )
            sent, taken = bytearray(), 0
            again = {"valid": kind == Kind.AGAIN, "number": number, "channel": channel, "used": used, "cut": cut}
            ctx.set(dut.next_number, number)
            while len(sent) < 256:
                beats = (payload + behind)[taken * size :][:size]
                word = int.from_bytes(beats, "little")
                offers = kind == Kind.NEW and taken < config.payload_beats
                first, last = taken == 0, taken == config.payload_beats - 1
                ctx.set(dut.send.valid, offers)
                ctx.set(
                    dut.send.payload,
                    # What counts with the last beat alone is anything before.
                    {
                        "data": word,
                        "channel": channel,
                        "used": used if last else 0,
                        "cut": cut if last else not cut,
                        "first": first,
                        "last": last,
                    },
                )
                ctx.set(dut.again, again | {"data": word, "valid": again["valid"] and taken == 0})
                ready = chance.random() < 0.8
                ctx.set(dut.transmit.ready, ready)
                if ctx.get(dut.transmit.valid) and ready:
                    beat = ctx.get(dut.transmit.payload)
                    assert (beat["first"], beat["last"]) == (len(sent) == 0, len(sent) + size == 256)
                    sent += beat["data"].to_bytes(size, "little")
                moved = ctx.get(dut.send.ready) and offers
                if kind == Kind.AGAIN:
                    moved = ctx.get(dut.again_index) != (taken if taken < config.beats else 0) and taken < config.beats
                await ctx.tick()
                taken += bool(moved)
            assert bytes(sent) == flit, kind
            ctx.set(dut.sending, 0)
            ctx.set(dut.send.valid, 0)
            # What began behind it is lost; wait for its end.
            await ctx.tick().repeat(2 * config.beats)
            ctx.set(dut.sending, 1)

    simulate(dut, bench)


@pytest.mark.parametrize("shape", SHAPES)
def test_flits_received_are_understood(shape: dict[str, Any]) -> None:
    config = config_of(shape)
    dut = FlitReceive(config)
    chance = random.Random(2)
    size = config.beat_bytes
    latency = 2 if config.fec else 1

    async def bench(ctx: Any) -> None:
        ctx.set(dut.receiving, 1)
        ctx.set(dut.slot.valid, 1)
        await ctx.tick()
        following = 0
        seen = {"right": 0, "wrong": 0, "fixed": 0}
        for turn in range(12 if size < 8 else 30):
            number, payload = chance.getrandbits(24), chance.randbytes(config.payload_bytes)
            trailer = Trailer(
                data=1,
                channel=chance.randrange(6),
                used=chance.randrange(121),
                sequence=number & 0xFF,
                acknowledge=chance.randrange(256),
                missing=chance.randrange(256),
                credit=chance.randrange(256),
                cut=chance.randrange(2),
            )
            flit = bytearray(assemble(payload, trailer, number=number, crc_bits=config.crc_bits, fec=config.fec))
            # Up to two wrong bytes, in different code words or in the same one.
            places = chance.sample(range(config.crc_place + config.crc_bits // 8), turn % 3)
            for place in places:
                flit[place] ^= chance.randrange(1, 256)
            mendable = config.fec and len({place % 3 for place in places}) == len(places)
            # The next flit's slot.
            slot, beats = following, bytearray()
            following = chance.randrange(16)
            ctx.set(dut.slot.payload, following)
            for index in range(config.beats):
                ctx.set(
                    dut.beats,
                    {
                        "data": int.from_bytes(flit[index * size :][:size], "little"),
                        "first": index == 0,
                        "last": index == config.beats - 1,
                    },
                )
                ctx.set(dut.valid, 1)
                assert ctx.get(dut.write.valid)
                assert (ctx.get(dut.write.index), ctx.get(dut.write.slot)) == (index, slot)
                beats += ctx.get(dut.write.data).to_bytes(size, "little")
                await ctx.tick()
                ctx.set(dut.valid, 0)
                assert not (ctx.get(dut.arrival.valid) and latency == 1 and index < config.beats - 1)
                if chance.random() < 0.2 and index < config.beats - 1:
                    await ctx.tick()
            if latency == 2:
                assert not ctx.get(dut.arrival.valid)
                await ctx.tick()
            assert ctx.get(dut.arrival.valid)
            assert ctx.get(dut.arrival.slot) == slot
            assert beats == flit
            right = ctx.get(dut.arrival.residue) == number >> 8
            assert right == (mendable or not places), places
            if right:
                found = ctx.get(dut.arrival.trailer)
                assert all(found[name] == getattr(trailer, name) for name in ("data", "channel", "used", "sequence"))
                assert all(
                    found[name] == getattr(trailer, name) for name in ("acknowledge", "missing", "credit", "cut")
                )
                for fix in ctx.get(dut.arrival.fixes) if config.fec else []:
                    beats[fix["byte"]] ^= fix["change"]
                assert beats[: config.payload_bytes] == payload
            seen["right" if not places else "fixed" if right else "wrong"] += 1
            await ctx.tick()
        assert seen["right"] > 2
        assert seen["fixed" if config.fec else "wrong"] > 2

    simulate(dut, bench)


def test_a_flit_with_too_few_or_too_many_beats_is_broken() -> None:
    config = config_of({"lanes": 8, "lane_bits": 64})
    dut = FlitReceive(config)
    flit = assemble(b"x", Trailer(), number=0, crc_bits=32, fec=False)
    words = [int.from_bytes(flit[64 * beat :][:64], "little") for beat in range(4)]

    async def bench(ctx: Any) -> None:
        ctx.set(dut.receiving, 1)
        ctx.set(dut.slot.valid, 1)
        await ctx.tick()
        for order, outcome in (
            ([0, 1, 2, 3], "arrival"),
            ([0, 1, 3], "broken"),
            ([0, 1, 2, 2, 3], "broken"),
            ([1, 2, 3], "nothing"),
            ([0, 1, 0, 1, 2, 3], "arrival"),
            ([0, 1, None, 2, 3], "nothing"),
            ([0, 1, 2, 3], "arrival"),
        ):
            seen = []
            for beat in [*order, -1]:
                ctx.set(dut.receiving, beat is not None)
                ctx.set(dut.valid, beat != -1 and beat is not None)
                if beat is not None and beat >= 0:
                    ctx.set(dut.beats, {"data": words[beat], "first": beat == 0, "last": beat == 3})
                await ctx.tick()
                if ctx.get(dut.arrival.valid):
                    assert ctx.get(dut.arrival.residue) == 0
                    seen.append("arrival")
                if ctx.get(dut.broken):
                    seen.append("broken")
            assert seen == ([] if outcome == "nothing" else [outcome]), order

    simulate(dut, bench)
