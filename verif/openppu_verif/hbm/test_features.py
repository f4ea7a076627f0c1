"""The channel in cocotb: a directed test of each thing that settings choose, or that the memory asks for."""

import random
from dataclasses import replace
from typing import Any

import cocotb
from openppu.hbm.device import device
from openppu.hbm.retry import MOST_RETRIES
from openppu.hbm.settings import Mapping, Page, Refresh

from openppu_verif.hbm.channel_bench import Bench
from openppu_verif.hbm.memory_file import ADDRESS_ERROR_CLOCKS

TIMING = device("HBM2E_3200").timing
ROW = 1024
"""Accesses from a row to the next of the same bank, 4-high, interleaved."""

HERE = 100 * ROW


async def commands_of_a_read(bench: Bench, address: int, rest: int = 60) -> list[str]:
    """What the memory was told for a read and behind it, in the rest."""
    await bench.rest(1)
    await bench.read(address, 1)
    commands, bench.commands = bench.commands, []
    for _ in range(rest):
        await bench.step()
    return commands + bench.commands


@cocotb.test()
async def the_mode_registers_hold_what_the_settings_say(dut: Any) -> None:
    """Those of a device with other latencies, and parity of commands."""
    bench = Bench(dut, timing=device("HBM2E_3600").timing, parity_latency=ADDRESS_ERROR_CLOCKS)
    await bench.begin()
    held = tuple(bench.memory.device.mode_register(number) for number in range(16))
    assert held == bench.settings.mode_registers(bench.config)
    assert held[:5] == (0x44, 0x1D, 0xC0, 0xFC, 0x13)
    word = random.Random(cocotb.RANDOM_SEED).getrandbits(256)
    await bench.write(9, [word])
    assert await bench.read(9, 1) == [(word, False)]


@cocotb.test()
async def every_mapping_puts_words_where_it_says(dut: Any) -> None:
    """Both mappings, hashed and not: by the memory's own contents."""
    chance = random.Random(cocotb.RANDOM_SEED)
    for mapping in map(Mapping, range(2)):
        for hashed in (False, True):
            bench = Bench(dut, mapping=mapping, hash_banks=hashed, read_delay=chance.randrange(16))
            await bench.begin()
            for address in (3, 77 * ROW + 13, bench.config.accesses - 1):
                word = chance.getrandbits(256)
                await bench.write(address, [word])
                assert await bench.read(address, 1) == [(word, False)]
                stored, _ = bench.memory.device.dump(*bench.place(address), 1)
                assert stored.tobytes() == word.to_bytes(32, "little"), f"{mapping}, hashed {hashed}, {address}"


@cocotb.test()
async def an_open_page_stays_open(dut: Any) -> None:
    """A second access needs no ACT; another row closes the first with a PRE of its own."""
    bench = Bench(dut, page=Page.OPEN, refresh_enable=False)
    await bench.begin()
    assert await commands_of_a_read(bench, HERE) == ["ACT", "RD"]
    assert await commands_of_a_read(bench, HERE) == ["RD"]
    assert await commands_of_a_read(bench, HERE + ROW) == ["PRE", "ACT", "RD"]
    assert bench.counter(0, "row_hits") == 1
    assert (bench.counter(0, "row_misses"), bench.counter(0, "row_conflicts")) == (1, 1)


@cocotb.test()
async def a_closed_page_is_closed_by_its_access(dut: Any) -> None:
    """Each access opens its row, and closes it."""
    bench = Bench(dut, page=Page.CLOSED, refresh_enable=False)
    await bench.begin()
    for address in (HERE, HERE, HERE + ROW):
        assert await commands_of_a_read(bench, address) == ["ACT", "RDA"]
    await bench.write(HERE, [1])
    await bench.rest(60)
    assert await commands_of_a_read(bench, HERE) == ["ACT", "RDA"], "the WRA closed it"
    assert bench.counter(0, "row_misses") == 5
    assert bench.counter(0, "precharges") == 0


@cocotb.test()
async def an_adaptive_page_follows_what_its_bank_sees(dut: Any) -> None:
    """Rows in turns make it close them at once; the same row again and again makes it leave that open."""
    bench = Bench(dut, page=Page.ADAPTIVE, refresh_enable=False)
    await bench.begin()
    for turn in range(6):
        told = await commands_of_a_read(bench, HERE + ROW * (turn % 2))
    assert told == ["ACT", "RDA"]
    for _ in range(6):
        told = await commands_of_a_read(bench, HERE)
    assert told == ["RD"]
    elsewhere = HERE + 16
    assert bench.place(elsewhere)[1] != bench.place(HERE)[1]
    for turn in range(6):
        await commands_of_a_read(bench, elsewhere + ROW * (turn % 2))
    assert await commands_of_a_read(bench, HERE) == ["RD"], "each bank has a mind of its own"


@cocotb.test()
async def neighbours_of_a_hammered_row_are_refreshed(dut: Any) -> None:
    """At the threshold, up to the reach on both sides, an ACT each; no other row is touched, and no word changes."""
    for reach in (1, 2):
        bench = Bench(dut, page=Page.CLOSED, hammer_threshold=8, hammer_reach=reach, refresh_enable=False)
        await bench.begin()
        pc, bank, row, _ = bench.place(HERE)
        near = [HERE + ROW * apart for apart in range(-3, 4)]
        for address in near:
            await bench.write(address, [address])
        await bench.rest(400)
        before = bench.counter(pc, "activates")
        for _ in range(6):  # the write was the first
            await commands_of_a_read(bench, HERE)
        assert bench.counter(pc, "victims") == 0, "below the threshold"
        await bench.rest(1)
        await bench.read(HERE, 1)
        for _ in range(300):
            await bench.step()
        victims = [row + apart for apart in range(-reach, reach + 1) if apart]
        first, *between, last = bench.activations
        assert first == last == (pc, bank, row), "the read opens its row again once the neighbours are refreshed"
        assert sorted(between) == [(pc, bank, each) for each in victims]
        assert bench.counter(pc, "victims") == len(victims)
        assert bench.counter(1 - pc, "victims") == 0
        assert bench.counter(pc, "activates") == before + 6 + len(bench.activations)
        assert not int(dut.hammer_overflow__0.value)
        for address in near:
            assert await bench.read(address, 1) == [(address, False)]


@cocotb.test()
async def commands_of_wrong_parity_are_sent_again(dut: Any) -> None:
    """An ACT, a PRE, a read and a write are lost, one after the other, with all that stood in their slot."""
    bench = Bench(dut, page=Page.OPEN, parity_latency=ADDRESS_ERROR_CLOCKS, refresh_enable=False)
    await bench.begin()
    chance = random.Random(cocotb.RANDOM_SEED)
    # Of a write to another row of the bank: PRE, ACT, WR; of a read of it: RD.
    for number, (column_bus, skip) in enumerate(((False, 0), (False, 1), (True, 0), (True, 1))):
        words = [chance.getrandbits(256) for _ in range(2)]
        bench.memory.device.spoil_command(column_bus=column_bus, skip=skip)
        before = bench.alarms, bench.counter(0, "retries")
        await bench.write(HERE + number * ROW, words)
        assert await bench.read(HERE + number * ROW, 2) == [(word, False) for word in words]
        await bench.rest(100)
        assert (bench.alarms, bench.counter(0, "retries")) == (before[0] + 1, before[1] + 1), (column_bus, skip)
    assert not int(dut.parity_failed__0.value)


@cocotb.test()
async def parity_that_stays_wrong_is_given_up(dut: Any) -> None:
    """After so many errors in a row every read is answered as an error, and the flag stays."""
    bench = Bench(dut, parity_latency=ADDRESS_ERROR_CLOCKS, refresh_enable=False)
    await bench.begin()
    for column_bus in (False, True):
        for skip in range(MOST_RETRIES + 20):
            bench.memory.device.spoil_command(column_bus=column_bus, skip=skip)
    assert [error for _, error in await bench.read(HERE, 3)] == [True] * 3
    assert (int(dut.parity_failed__0.value), int(dut.parity_failed__1.value)) == (1, 1), "the wire is the channel's"
    assert bench.counter(0, "retries") == MOST_RETRIES + 1


QUICK = replace(TIMING, tREFI=1600, tRFC=100, tXS=100, tRFCSB=30)
"""A bank is due each 100 CK."""

RATES = {0: 1, 1: 2, 3: 4, 2: 8, 6: 16, 4: 16, 5: 16, 7: 16}
"""Quarters of the table's rate, by the temperature code; those that are reserved have the highest."""


@cocotb.test()
async def refreshes_follow_the_temperature(dut: Any) -> None:
    """Each code's rate, one bank at a time, once all that may be done ahead is done."""
    bench = Bench(dut, timing=QUICK)
    await bench.begin()
    bench.memory.device.signals(temperature=0)
    banks = bench.config.organisation.banks
    await bench.rest(60)
    while bench.commands:
        await bench.rest(60)
    assert max(bench.memory.checker.owed(pc) for pc in range(2)) < -7 * banks
    clocks = 500
    for code, rate in RATES.items():
        bench.memory.device.signals(temperature=code)
        await bench.rest(clocks)
        due = 2 * banks * clocks * rate / (2 * QUICK.tREFI)
        assert abs(bench.commands.count("REFSB") - due) <= 2, f"code {code}: {bench.commands.count('REFSB')}, not {due}"
        assert not bench.commands.count("REF")


@cocotb.test()
async def all_banks_are_refreshed_together_if_so_set(dut: Any) -> None:
    """At the table's rate and four times it."""
    bench = Bench(dut, timing=QUICK, refresh=Refresh.ALL_BANK)
    await bench.begin()
    for code, count in ((3, 2), (6, 8)):
        bench.memory.device.signals(temperature=code)
        await bench.rest(QUICK.tREFI)
        assert abs(bench.commands.count("REF") - 2 * count) <= 2
        assert not bench.commands.count("REFSB")


@cocotb.test()
async def the_bus_is_quiet_while_the_phy_wants_it(dut: Any) -> None:
    """Banks close, nothing is sent, a read waits; then it is answered."""
    bench = Bench(dut, page=Page.OPEN)
    await bench.begin()
    await bench.write(HERE, [5])
    await bench.rest(60)
    bench.memory.device.signals(update_request=True)
    while not int(dut.phy__update_acknowledge.value):
        await bench.step()
    pc, bank, *_ = bench.place(HERE)
    assert not bench.memory.device.is_open(pc, bank)
    bench.ask_read(HERE, 1)
    await bench.rest(500)
    assert not bench.commands
    assert not bench.beats
    bench.memory.device.signals(update_request=False)
    while not bench.beats:
        await bench.step()
    assert bench.beats == [(5, False)]


@cocotb.test()
async def an_old_write_is_served_among_reads(dut: Any) -> None:
    """Reads of another row of its bank keep a write off until it is as old as the limit."""
    served = []
    for age_limit in (100, 600):
        bench = Bench(dut, page=Page.OPEN, age_limit=age_limit, refresh_enable=False)
        await bench.begin()
        await bench.read(HERE, 1)
        for number in range(150):
            bench.ask_read(HERE + number % 8, 8 - number % 8)
            if number == 10:
                bench.ask_write(HERE + ROW, [7])
        bench.commands, start = [], bench.clock
        while not {"WR", "WRA"} & set(bench.commands):
            await bench.step()
        served.append(bench.clock - start)
    assert served[0] + 200 < served[1], served
