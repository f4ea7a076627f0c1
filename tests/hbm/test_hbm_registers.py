"""The registers: what is read, what a write reaches, what is refused, and the pages made of their description."""

import random
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from amaranth import Value
from amaranth.sim import Simulator
from openppu.common.register_map import Register
from openppu.hbm.config import ChannelConfig
from openppu.hbm.device import device
from openppu.hbm.register_block import Registers
from openppu.hbm.registers import ADDRESS_BITS, header, page, registers
from openppu.hbm.settings import GROUPS, Settings, limits
from openppu.hbm.status import PowerUp, counted_layout
from openppu_verif.ends import Put, Take, run

CONFIG = ChannelConfig(height=12, ports=1, reads=16)
START = PowerUp(settings=Settings(timing=device("HBM2_2400").timing, write_low=3), run=False, fill=77)
ALL = registers(CONFIG, START)
AT = {register.name: register for register in ALL}
HELD = [register for register in ALL if register.held]
COUNTERS = [(group, name) for group, place in counted_layout() for name in place.shape.members]
Access = tuple[int, int, int, int]
"""Address, write, data, strobes."""


def read(register: Register) -> Access:
    return (register.offset, 0, 0, 0)


def write(register: Register, value: int, strobes: int = 0b1111) -> Access:
    return (register.offset, 1, value, strobes)


def play(accesses: list[Access], *, seed: int = 1, rates: tuple[float, float] = (1, 1)) -> tuple[list[Any], Registers]:
    """Data and error of each access, made in this order at the given rates of requests and responses."""
    dut, chance = Registers(CONFIG, START), random.Random(seed)
    put, take = Put(dut.requests, chance, rates[0]), Take(dut.responses, chance, rates[1])
    put.waiting.extend(dict(zip(("address", "write", "data", "strobes"), access, strict=True)) for access in accesses)
    answers: list[Any] = []

    def cycle(ctx: Any, _: int) -> bool:
        put.drive(ctx)
        take.drive(ctx)
        put.sample(ctx)
        if (answer := take.sample(ctx)) is not None:
            answers.append((answer.data, answer.error))
        return len(answers) == len(accesses)

    run(dut, cycle, most=20 * len(accesses) + 20)
    return answers, dut


def script(body: Callable[[Any, Registers, Callable[[Access], Any]], Any]) -> None:
    """Run ``body(context, registers, access)``; ``await access(...)`` gives data and error two clocks later."""
    dut = Registers(CONFIG, START)

    async def bench(ctx: Any) -> None:
        async def access(of: Access) -> tuple[int, int]:
            ctx.set(dut.requests.payload, dict(zip(("address", "write", "data", "strobes"), of, strict=True)))
            ctx.set(dut.requests.valid, 1)
            ctx.set(dut.responses.ready, 1)
            assert ctx.get(dut.requests.ready)
            await ctx.tick()
            ctx.set(dut.requests.valid, 0)
            assert not ctx.get(dut.responses.valid)
            await ctx.tick()
            assert ctx.get(dut.responses.valid)
            answer = ctx.get(dut.responses.payload)
            await ctx.tick()
            return answer.data, answer.error

        await body(ctx, dut, access)

    simulator = Simulator(dut)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()


def driven(ctx: Any, dut: Registers, register: Register) -> int:
    member, *path = register.source
    value = getattr(dut, member)
    for name in path:
        value = value[name]
    value = ctx.get(value)
    return int(getattr(value, "value", value))


def test_every_address_answers_its_reset_value_or_an_error() -> None:
    expected = {r.offset: (r.reset, 0) for r in ALL if r.readable}
    addresses = range(1 << ADDRESS_BITS)
    answers, _ = play([(address, 0, 0, 0) for address in addresses])
    assert answers == [expected.get(address, (0, 1)) for address in addresses]


def test_the_settings_start_as_their_defaults_say() -> None:
    values = START.settings.values(CONFIG)
    flat = {f"{group}.{name}": value for group in GROUPS for name, value in values.pop(group).items()}
    flat |= values | {"fill": 77}

    async def body(ctx: Any, dut: Registers, access: Any) -> None:
        assert {r.name: driven(ctx, dut, r) for r in HELD} == flat
        assert not ctx.get(dut.control.run)

    script(body)


def test_what_is_written_is_read_back_and_drives_its_setting_alone() -> None:
    async def body(ctx: Any, dut: Registers, access: Any) -> None:
        expected = {r.name: r.reset for r in HELD}
        for r in HELD:
            for value in (r.allowed[0], r.allowed[-1]):
                expected[r.name] = value
                assert await access(write(r, value)) == (0, 0), r.name
                assert await access(read(r)) == (value, 0), r.name
                assert {of.name: driven(ctx, dut, of) for of in HELD} == expected
            for value in (r.allowed[0] - 1, r.allowed[-1] + 1, 1 << 31):
                if value >= 0:
                    assert await access(write(r, value)) == (0, 1), f"{r.name} took {value}"
            assert await access(read(r)) == (r.allowed[-1], 0), r.name

    script(body)


def test_a_test_is_described_and_begun_only_when_it_can_be() -> None:
    async def body(ctx: Any, dut: Registers, access: Any) -> None:
        parts = [r for r in ALL if r.name.startswith("test.")]
        for value in ("least", "most"):
            expected = {r.name: r.allowed[0 if value == "least" else -1] for r in parts}
            for r in parts:
                assert await access(write(r, expected[r.name])) == (0, 0), r.name
            assert {r.name: driven(ctx, dut, r) for r in parts} == expected
        assert await access(write(AT["test.pattern"], 3)) == (0, 1)
        begun = []
        for idle, value in ((0, 1), (0, 0), (1, 0), (1, 1)):
            ctx.set(dut.status.idle, idle)
            ctx.set(dut.requests.payload, {"address": AT["start"].offset, "write": 1, "data": value, "strobes": 1})
            ctx.set(dut.requests.valid, 1)
            await ctx.tick()
            ctx.set(dut.requests.valid, 0)
            begun.append(ctx.get(dut.start_test))
            await ctx.tick()
            assert not ctx.get(dut.start_test)
            assert ctx.get(dut.responses.payload.error) == (value and not idle)
            await ctx.tick()
        assert begun == [0, 0, 0, 1]

    script(body)


def test_without_a_word_the_controller_runs_and_fills_memory_that_has_a_code() -> None:
    for ecc, fill in (("secded", CONFIG.accesses), ("none", 0)):
        at = {r.name: r.reset for r in registers(replace(CONFIG, ecc=ecc))}
        assert (at["run"], at["fill"], at["timing.tRC"]) == (1, fill, Settings().timing.tRC)


def test_only_strobed_bytes_are_written() -> None:
    register = AT["age_limit"]

    async def body(ctx: Any, dut: Registers, access: Any) -> None:
        for value, strobes, left in (
            (0x1234, 0b1111, 0x1234),
            (0xAA56, 0b0001, 0x1256),
            (0xFFFF78BB, 0b0010, 0x7856),
            (0xFFFFFFFF, 0b0000, 0x7856),
        ):
            assert await access(write(register, value, strobes)) == (0, 0)
            assert await access(read(register)) == (left, 0)
        assert await access(write(register, 0x00010000, 0b0100)) == (0, 1), "beyond its width"
        assert driven(ctx, dut, register) == 0x7856

    script(body)


def test_settings_are_held_while_the_channel_runs() -> None:
    async def body(ctx: Any, dut: Registers, access: Any) -> None:
        assert await access(write(AT["run"], 1)) == (0, 0)
        assert ctx.get(dut.control.run)
        for r in HELD:
            assert await access(write(r, r.allowed[0])) == (0, 1), r.name
            assert driven(ctx, dut, r) == r.reset
        assert await access(write(AT["run"], 0)) == (0, 0)
        assert not ctx.get(dut.control.run)
        assert await access(write(HELD[0], HELD[0].allowed[0])) == (0, 0)

    script(body)


def test_what_cannot_be_written_or_read_is_an_error() -> None:
    async def body(ctx: Any, dut: Registers, access: Any) -> None:
        for r in ALL:
            if not r.writable:
                assert await access(write(r, r.reset)) == (0, 1), r.name
            if not r.readable:
                assert await access(read(r)) == (0, 1), r.name
        for address in (AT["page"].offset + 1, AT["page"].offset + 2, 0xFFC):
            assert await access((address, 1, 0, 0b1111)) == (0, 1)
        assert driven(ctx, dut, AT["page"]) == AT["page"].reset

    script(body)


def test_status_shows_the_channels_pins() -> None:
    async def body(ctx: Any, dut: Registers, access: Any) -> None:
        chance = random.Random(3)
        whole = ctx.get(Value.cast(dut.status)) ^ chance.getrandbits(len(Value.cast(dut.status)))
        ctx.set(Value.cast(dut.status), whole)
        shown = [r for r in ALL if r.source and r.source[0] == "status"]
        assert sum(r.bits for r in shown) == len(Value.cast(dut.status)), "a part has no register"
        for r in shown:
            expected = driven(ctx, dut, r) >> r.low & (1 << r.bits) - 1
            assert await access(read(r)) == (expected, 0), r.name

    script(body)


def test_a_set_of_counters_is_of_one_clock_and_counts_from_the_set_before() -> None:
    async def body(ctx: Any, dut: Registers, access: Any) -> None:
        chance = random.Random(5)

        def count() -> dict[tuple[str, str], int]:
            counts = {counter: chance.randrange(1 << 32) for counter in COUNTERS}
            for (group, name), value in counts.items():
                ctx.set(dut.counted[group][name], value)
            return counts

        await access(write(AT["run"], 1))
        before = dict.fromkeys(COUNTERS, 0)
        for _ in range(3):
            now = count()
            assert await access(write(AT["freeze"], 1)) == (0, 0)
            count()
            for group, name in COUNTERS:
                difference = (now[group, name] - before[group, name]) % (1 << 32)
                assert await access(read(AT[f"{group}.{name}"])) == (difference, 0), f"{group}.{name}"
                ctx.set(dut.counted[group][name], chance.randrange(1 << 32))
            before = now
            assert await access(write(AT["freeze"], 0)) == (0, 0), "does nothing"
        await access(write(AT["run"], 0))
        for r in (AT["pc0.clocks"], AT["pc1.row"], AT["latency.from_64"], AT["power.power_down"]):
            assert await access(read(r)) == (0, 0)

    script(body)


def test_a_freeze_that_waits_for_its_turn_is_done_once() -> None:
    async def body(ctx: Any, dut: Registers, access: Any) -> None:
        await access(write(AT["run"], 1))
        ctx.set(dut.counted.pc0.clocks, 100)
        ctx.set(dut.responses.ready, 0)
        ctx.set(dut.requests.valid, 1)
        for address, value in ((AT["identity"].offset, 0), (AT["freeze"].offset, 1)):
            ctx.set(dut.requests.payload, {"address": address, "write": value, "data": value, "strobes": 0b1111})
            await ctx.tick()
        ctx.set(dut.requests.valid, 0)
        await ctx.tick().repeat(4)
        ctx.set(dut.responses.ready, 1)
        await ctx.tick().repeat(3)
        assert await access(read(AT["pc0.clocks"])) == (100, 0)

    script(body)


@pytest.mark.parametrize("seed", range(3))
def test_answers_keep_their_order_under_backpressure(seed: int) -> None:
    chance = random.Random(seed)
    registers_used = [AT["timing.tREFI"], AT["age_limit"], AT["timing.tRFC"]]
    values = {r.offset: r.reset for r in registers_used}
    accesses, expected = [], []
    for _ in range(200):
        r = chance.choice(registers_used)
        if chance.random() < 0.5:
            values[r.offset] = chance.randrange(2, 1 << 16)
            accesses.append(write(r, values[r.offset]))
            expected.append((0, 0))
        else:
            accesses.append(read(r))
            expected.append((values[r.offset], 0))
    rates = (chance.choice((0.3, 1)), chance.choice((0.3, 0.6)))
    assert play(accesses, seed=seed, rates=rates)[0] == expected, f"seed {seed}, rates {rates}"


def test_an_access_a_clock() -> None:
    dut, clocks = Registers(CONFIG, START), []
    put, take = Put(dut.requests, random.Random(0)), Take(dut.responses, random.Random(0))
    put.waiting.extend({"address": 4 * place} for place in range(32))

    def cycle(ctx: Any, clock: int) -> bool:
        put.drive(ctx)
        take.drive(ctx)
        put.sample(ctx)
        if take.sample(ctx) is not None:
            clocks.append(clock)
        return len(clocks) == 32

    run(dut, cycle, most=100)
    assert clocks == list(range(2, 34))


def test_registers_stand_apart_and_hold_what_they_start_with() -> None:
    assert len({r.offset for r in ALL}) == len({r.name for r in ALL}) == len(ALL)
    for r in ALL:
        assert r.offset % 4 == 0
        assert r.offset < 1 << ADDRESS_BITS
        assert max([r.reset, *r.allowed[-1:]]) < 1 << r.bits <= 1 << 32
        assert not r.writable or r.reset in r.allowed
    assert {r.name.split(".")[-1] for r in HELD if r.name != "fill"} == set(limits())


def test_the_documentation_page_is_the_generated_one(project_root: Path) -> None:
    assert (project_root / "docs" / "hbm-registers.md").read_text() == page(ChannelConfig()), "run `make docs`"


def test_the_header_gives_every_offset_and_compiles(tmp_path: Path) -> None:
    text = header(CONFIG)
    for r in ALL:
        assert re.search(rf"^#define OPENPPU_HBM_{r.symbol} {r.offset:#05x}u$", text, re.MULTILINE), r.name
    assert "#define OPENPPU_HBM_PAGE_ADAPTIVE 2u\n" in text
    if (compiler := shutil.which("cc")) is None:
        pytest.skip("no C compiler")
    (tmp_path / "registers.h").write_text(text)
    checks = "".join(f"_Static_assert(OPENPPU_HBM_{r.symbol} == {r.offset}, {chr(34)}{chr(34)});\n" for r in ALL)
    (tmp_path / "check.c").write_text('#include "registers.h"\n#include "registers.h"\n' + checks)
    command = [compiler, "-std=c11", "-Wall", "-Werror", "-fsyntax-only", "check.c"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
