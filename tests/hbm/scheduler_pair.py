"""Both schedulers of a channel on their row bus, with a front end that is plain Python, and every command checked."""

import random
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amaranth import Module
from amaranth.sim import Simulator
from openppu.hbm.accounts import QUEUES
from openppu.hbm.commands import ColumnCommand, RowCommand
from openppu.hbm.config import ChannelConfig
from openppu.hbm.pseudo_channel import PseudoChannel
from openppu.hbm.row_bus import RowArbiter
from openppu.hbm.settings import Settings
from openppu_verif.hbm.checker import Checker
from openppu_verif.hbm.constraints import Issued

FILL = 6
"""Clocks from the acceptance of a write to its data."""
MERGE = 20
"""Clocks from the last read of a merge to its data."""


@dataclass
class Run:
    """What a run of the pair saw.

    Parameters
    ----------
    commands : list of Issued
        In order of time.
    accesses : list of tuple
        (clock, PC, write, bank, row, column), in order of time.
    taken : list of tuple
        (clock, PC, entry) in order.
    counters : list of dict
        One for each PC.
    checker : Checker
    """

    checker: Checker
    commands: list[Issued] = field(default_factory=list)
    accesses: list[tuple[int, int, bool, int, int, int]] = field(default_factory=list)
    taken: list[tuple[int, int, dict[str, Any]]] = field(default_factory=list)
    counters: list[dict[str, int]] = field(default_factory=list)
    queued: list[list[int]] = field(default_factory=list)

    def violations(self) -> str:
        """Those of the checker, in words."""
        return "\n".join(violation.text for violation in self.checker.violations)


def run_pair(
    config: ChannelConfig,
    settings: Settings,
    entries: list[list[dict[str, Any]]],
    *,
    clocks: int,
    seed: int,
    build_root: Path,
    pace: float = 1.0,
) -> Run:
    """Feed ``entries`` (a list for each PC), each offered with probability ``pace`` a clock, until all are served.

    ``clocks`` is the most that it may take.
    """
    accesses = sum((1 + entry["masked"]) * (entry["last"] + 1) for of_pc in entries for entry in of_pc)
    chance = random.Random(seed)
    m = Module()
    pcs = [PseudoChannel(config) for _ in range(2)]
    m.submodules.bus = bus = RowArbiter(config.organisation)
    for index, pc in enumerate(pcs):
        m.submodules[f"pc_{index}"] = pc
        m.d.comb += [pc.pc.eq(index), bus.requests[index].eq(pc.row_request), pc.row_grant.eq(bus.grants[index])]
    run = Run(Checker(settings.timing, config.organisation, build_root))

    async def bench(ctx: Any) -> None:
        waiting = [deque(of_pc) for of_pc in entries]
        offering = [False, False]
        fills: list[deque[tuple[int, int]]] = [deque(), deque()]
        merges: list[deque[tuple[int, int]]] = [deque(), deque()]
        rows: dict[tuple[int, int], int] = {}
        for pc in pcs:
            ctx.set(pc.settings, settings.values())
            ctx.set(pc.enable, 1)
            ctx.set(pc.temperature, 3)
        for clock in range(clocks):
            for index, pc in enumerate(pcs):
                offering[index] |= bool(waiting[index]) and chance.random() < pace
                ctx.set(pc.entries.valid, offering[index])
                if offering[index]:
                    ctx.set(pc.entries.payload, waiting[index][0])
                for member, due in ((pc.filled, fills[index]), (pc.merged, merges[index])):
                    there = bool(due) and due[0][0] <= clock
                    ctx.set(member, {"valid": there, "slot": due.popleft()[1] if there else 0})
                issue = ctx.get(pc.write_issue)
                ctx.set(pc.released, {"valid": issue.valid & issue.last, "slot": issue.slot})
                read = ctx.get(pc.read_issue)
                if read.valid and read.last and read.source.merge:
                    merges[index].append((clock + MERGE, read.source.slot))
                if offering[index] and ctx.get(pc.entries.ready):
                    entry = waiting[index].popleft()
                    offering[index] = False
                    run.taken.append((clock, index, entry))
                    if entry["write"]:
                        fills[index].append((clock + FILL, ctx.get(pc.accepted.slot)))
            _record(ctx, clock, pcs, bus, rows, run)
            await ctx.tick()
            if len(run.accesses) == accesses:
                break
        for pc in pcs:
            run.counters.append({name: ctx.get(pc.counters[name]) for name, _ in pc.counters.shape()})
        await ctx.tick().repeat(3)
        for pc in pcs:
            run.queued.append([ctx.get(pc.counters[name]) for name in QUEUES])

    simulator = Simulator(m)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()
    run.checker.run(run.commands)
    return run


def _record(ctx: Any, clock: int, pcs: list[Any], bus: Any, rows: dict[tuple[int, int], int], run: Run) -> None:
    """Note the commands of this clock, a column slot's before the row's."""
    for slot in range(2):
        column = ctx.get(pcs[slot].column)
        if column.command != ColumnCommand.NOP:
            run.commands.append(Issued(2 * clock + slot, column.command.name, slot, column.bank))
            write = column.command in (ColumnCommand.WR, ColumnCommand.WRA)
            run.accesses.append((clock, slot, write, column.bank, rows.get((slot, column.bank), -1), column.column))
        row = ctx.get(bus.row[slot])
        if row.command != RowCommand.NOP:
            run.commands.append(Issued(2 * clock + slot, row.command.name, row.pc, row.bank))
            if row.command == RowCommand.ACT:
                rows[row.pc, row.bank] = row.row
