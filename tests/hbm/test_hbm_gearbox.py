"""The gearbox to a PHY at the memory clock: slots, halves of words, and a latency that ``read_delay`` makes up for."""

import random
from dataclasses import replace
from typing import Any

import pytest
from amaranth import Module
from amaranth.sim import Simulator
from openppu.hbm.config import ChannelConfig
from openppu.hbm.device import device, organisation
from openppu.hbm.gearbox import LATENCY, CkPhySignature, Gearbox
from openppu.hbm.phy import PhySignature
from openppu.hbm.read_path import ReadPath
from openppu.hbm.settings import Settings

OF = organisation(8)
TIMING = device("HBM2E_3200").timing
CLOCKS = 400
NS = 1e-9


def simulate(design: Any, controller: Any, phy: Any) -> None:
    """Run the two testbenches, the second of which sees the memory clock, with the edges of both clocks aligned."""
    simulator = Simulator(design)
    simulator.add_clock(2 * NS, domain="sync", phase=2 * NS)
    simulator.add_clock(NS, domain="ck", phase=NS)
    simulator.add_testbench(controller)
    simulator.add_testbench(phy, background=True)
    simulator.run()


def both_halves(data: int, check: int, mask: int = 0) -> list[tuple[int, int, int]]:
    """What passes the pins in the two memory clocks of a word."""
    return [
        (data >> 128 * half & (1 << 128) - 1, check >> 16 * half & 0xFFFF, mask >> 16 * half & 0xFFFF)
        for half in range(2)
    ]


@pytest.mark.parametrize("seed", [1, 2])
def test_commands_and_words_come_out_a_memory_clock_later(seed: int) -> None:
    chance = random.Random(seed)
    gearbox = Gearbox(OF)
    near, far = gearbox.controller, gearbox.phy
    rows: list[tuple[int, ...]] = []
    columns: list[tuple[int, ...]] = []
    levels: list[int] = []
    halves: dict[tuple[int, int], tuple[int, int, int]] = {}
    begins: set[tuple[int, int]] = set()
    seen: list[Any] = []

    async def controller(ctx: Any) -> None:
        for clock in range(CLOCKS):
            for slot in range(2):
                row = {"command": chance.randrange(10), "pc": chance.randrange(2), "bank": chance.randrange(OF.banks)}
                row["row"] = chance.randrange(OF.rows)
                column = {"command": chance.randrange(6), "bank": chance.randrange(OF.banks)}
                column |= {"column": chance.randrange(OF.columns), "operand": chance.randrange(256)}
                ctx.set(near.row[slot], row)
                ctx.set(near.column[slot], column)
                rows.append(tuple(row.values()))
                columns.append((slot, *column.values()))
            level = chance.randrange(16)
            levels.append(level)
            for place, name in enumerate(("cke", "reset_n", "init_start", "update_acknowledge")):
                ctx.set(getattr(near, name), level >> place & 1)
            valid = 0
            for pc in range(2):
                data, check, mask = chance.getrandbits(256), chance.getrandbits(32), chance.getrandbits(32)
                ctx.set(near.write[pc], {"data": data, "check": check})
                ctx.set(near.write_mask[pc], mask)
                if chance.random() < 0.7:
                    valid |= 1 << pc
                    begins.add((pc, 2 * clock + pc))
                    for half, value in enumerate(both_halves(data, check, mask)):
                        halves[pc, 2 * clock + pc + half] = value
            ctx.set(near.write_valid, valid)
            await ctx.tick()
        await ctx.tick()

    async def phy(ctx: Any) -> None:
        while True:
            level = sum(
                ctx.get(getattr(far, name)) << place
                for place, name in enumerate(("cke", "reset_n", "init_start", "update_acknowledge"))
            )
            row, column = ctx.get(far.row), ctx.get(far.column)
            seen.append(
                (
                    (row.command.value, row.pc, row.bank, row.row),
                    (ctx.get(far.column_pc), column.command.value, column.bank, column.column, column.operand),
                    level,
                    [
                        (ctx.get(far.write[pc].data), ctx.get(far.write[pc].check), ctx.get(far.write_mask[pc]))
                        for pc in range(2)
                    ],
                    ctx.get(far.write_valid),
                )
            )
            await ctx.tick("ck")

    simulate(gearbox, controller, phy)
    assert len(seen) >= 2 * CLOCKS + 1
    for ck in range(2 * CLOCKS):
        row, column, level, words, valid = seen[ck + 1]
        where = f"seed {seed}, CK {ck}"
        assert (row, column, level) == (rows[ck], columns[ck], levels[ck // 2]), where
        for pc in range(2):
            assert (valid >> pc & 1) == ((pc, ck) in begins), where
            if (pc, ck) in halves:
                assert words[pc] == halves[pc, ck], where


@pytest.mark.parametrize("rl", [TIMING.RL, TIMING.RL + 1])
@pytest.mark.parametrize("extra", [0, 2])
def test_words_read_come_in_time_with_the_latency_in_read_delay(rl: int, extra: int) -> None:
    """RDs of random clocks, answered as a PHY with ``extra`` CK of its own does; one strobe in fifty is lost."""
    chance = random.Random(rl + extra)
    config = ChannelConfig(reads=8, writes=8, slots=8, ecc="none")
    m = Module()
    m.submodules.gearbox = gearbox = Gearbox(OF)
    near, far = gearbox.controller, gearbox.phy
    paths = [ReadPath(config) for _ in range(2)]
    for pc, path in enumerate(paths):
        m.submodules[f"path_{pc}"] = path
        m.d.comb += [
            path.pc.eq(pc),
            path.read.eq(near.read[pc]),
            path.read_valid.eq(near.read_valid[pc]),
            near.column[pc].command.eq(path.issue.valid),  # RD
            near.column[pc].column.eq(path.issue.word),
        ]
    timing = replace(TIMING, RL=rl, tRTW=TIMING.tRTW + 1)
    settings = Settings(timing=timing, read_delay=LATENCY + extra // 2).values()
    asked: list[list[int]] = [[], []]
    answered: list[list[tuple[int, int, int]]] = [[], []]
    words: list[list[tuple[int, bool]]] = [[], []]

    async def controller(ctx: Any) -> None:
        for path in paths:
            ctx.set(path.settings, settings)
        for clock in range(CLOCKS):
            for pc, path in enumerate(paths):
                go = clock < CLOCKS - 60 and chance.random() < 0.7
                word = chance.randrange(8)
                ctx.set(path.issue, {"valid": go, "word": word})
                if go:
                    asked[pc].append(word)
                returned = ctx.get(path.returned[0])
                if returned.valid:
                    answered[pc].append((returned.word, returned.data, returned.error))
                assert not ctx.get(path.stray), f"PC {pc}, clock {clock}: a word that was not due"
            await ctx.tick()

    async def phy(ctx: Any) -> None:
        pins: dict[tuple[int, int], tuple[int, bool]] = {}
        ck = 0
        while True:
            if ctx.get(far.column).command.value == 1:
                pc = ctx.get(far.column_pc)
                data, lost = chance.getrandbits(256), chance.random() < 0.02
                words[pc].append((data, lost))
                for half, (value, _, _) in enumerate(both_halves(data, 0)):
                    pins[pc, ck + rl + 1 + extra + half] = (value, not half and not lost)
            valid = 0
            for pc in range(2):
                value, begins = pins.pop((pc, ck), (chance.getrandbits(128), False))
                ctx.set(far.read[pc], {"data": value, "check": 0})
                valid |= begins << pc
            ctx.set(far.read_valid, valid)
            ck += 1
            await ctx.tick("ck")

    simulate(m, controller, phy)
    for pc in range(2):
        assert len(asked[pc]) > 200
        assert any(lost for _, lost in words[pc])
        wanted = [(word, lost) for word, (_, lost) in zip(asked[pc], words[pc], strict=True)]
        assert [(word, error) for word, _, error in answered[pc]] == wanted
        for place, ((data, lost), (_, found, _)) in enumerate(zip(words[pc], answered[pc], strict=True)):
            assert lost or found == data, f"RL {rl}, PC {pc}, read {place}"


def test_levels_and_events_of_the_phy_reach_the_controller() -> None:
    gearbox = Gearbox(OF)
    near, far = gearbox.controller, gearbox.phy
    chance = random.Random(3)
    given: list[tuple[int, ...]] = []
    seen: list[tuple[int, ...]] = []
    names = ("catastrophic", "address_error", "temperature", "init_complete", "update_request")

    async def controller(ctx: Any) -> None:
        for _ in range(CLOCKS):
            seen.append(tuple(ctx.get(getattr(near, name)) for name in names))
            await ctx.tick()

    async def phy(ctx: Any) -> None:
        while True:
            values = (chance.random() < 0.1, chance.random() < 0.1, *(chance.randrange(2) for _ in range(3)))
            given.append(tuple(map(int, values)))
            for name, value in zip(names, values, strict=True):
                ctx.set(getattr(far, name), value)
            await ctx.tick("ck")

    simulate(gearbox, controller, phy)
    for clock in range(CLOCKS - 1):
        early, late = given[2 * clock : 2 * clock + 2]
        events = (early[0] | late[0], early[1] | late[1] << 1)
        assert seen[clock + 1] == (*events, *late[2:]), f"clock {clock}"


def test_every_member_of_the_boundary_passes() -> None:
    assert set(CkPhySignature(OF).members) == set(PhySignature(OF).members) | {"column_pc"}
