"""The queue of a pseudo-channel against a plain list, clock for clock."""

import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest
from amaranth.sim import Simulator
from openppu.hbm.config import ChannelConfig
from openppu.hbm.queue import MANY, NEAR, EntryQueue

CONFIG = ChannelConfig(height=4, reads=8, writes=8, slots=8)
DEPTH = 8
BANKS = 4
CLOCKS = 1500


@dataclass(eq=False)
class Entry:
    """What the model knows of an entry."""

    bank: int
    row: int
    column: int
    last: int
    slot: int
    hit: bool
    unfilled: bool
    unmerged: bool
    ticks: int = 0

    @property
    def ready(self) -> bool:
        return not (self.unfilled or self.unmerged)

    def place(self) -> dict[str, int]:
        return {"column": self.column, "bank": self.bank, "row": self.row}


def mask(banks: Any) -> int:
    return sum(1 << bank for bank in set(banks))


def values(view: Any) -> dict[str, int]:
    return {name: view[name] for name in ("column", "bank", "row")}


@pytest.mark.parametrize("seed", [1, 2])
def test_queue_equals_a_list(seed: int) -> None:
    chance = random.Random(seed)
    queue = EntryQueue(CONFIG, depth=DEPTH)
    model: list[Entry] = []
    seen: Counter[str] = Counter()

    async def bench(ctx: Any) -> None:
        for clock in range(CLOCKS):
            where = f"seed {seed}, clock {clock}, {model}"
            filling = clock // 100 % 2
            # What the clock brings.
            permits = {name: (chance.randrange(1 << BANKS), chance.random() < 0.2) for name in ("column", "act", "pre")}
            for name, (banks, head) in permits.items():
                ctx.set(getattr(queue, f"{name}_ok"), {"banks": banks, "head": head})
            unfilled = [entry.slot for entry in model if entry.unfilled]
            unmerged = [entry.slot for entry in model if entry.unmerged]
            filled = chance.choice(unfilled) if unfilled and chance.random() < 0.5 else None
            merged = chance.choice(unmerged) if unmerged and chance.random() < 0.5 else None
            ctx.set(queue.filled, {"valid": filled is not None, "slot": filled or 0})
            ctx.set(queue.merged, {"valid": merged is not None, "slot": merged or 0})
            opened = (chance.randrange(BANKS), chance.randrange(2)) if chance.random() < 0.5 else None
            ctx.set(queue.opens, opened is not None)
            ctx.set(queue.opened, {"column": 0, "bank": opened[0], "row": opened[1]} if opened else {})
            tick = chance.random() < 0.1
            ctx.set(queue.tick, tick)
            bank, leaving = chance.randrange(BANKS), chance.random() < 0.5
            ctx.set(queue.bank, bank)
            closes = {name: int(chance.random() < 0.05) for name in ("access", "row", "all")}
            closes["bank"] = chance.randrange(BANKS)
            closed = {bank} if closes["access"] else set()
            closed |= {closes["bank"]} if closes["row"] else set()
            closed |= set(range(BANKS)) if closes["all"] else set()
            ctx.set(queue.closes, closes)
            ctx.set(queue.leaving, leaving)
            probe = (chance.randrange(BANKS), chance.randrange(2), chance.randrange(16))
            ctx.set(queue.probe, {"column": probe[2], "bank": probe[0], "row": probe[1]})

            # What the queue says.
            def oldest(name: str, hit: bool, permits: Any = permits) -> Entry | None:
                banks, head = permits[name]
                for place, entry in enumerate(model):
                    allowed = banks >> entry.bank & 1 or (head and place == 0)
                    if entry.ready and entry.hit == hit and allowed:
                        return entry
                return None

            column, act, pre = oldest("column", True), oldest("act", False), oldest("pre", False)
            assert ctx.get(queue.column_valid) == (column is not None), where
            assert ctx.get(queue.act_valid) == (act is not None), where
            assert ctx.get(queue.pre_valid) == (pre is not None), where
            if column:
                work = ctx.get(queue.column)
                assert values(work.place) == column.place(), where
                assert (work.last, work.source.slot) == (column.last, column.slot), where
            if act:
                assert values(ctx.get(queue.act)) == act.place(), where
            if pre:
                assert ctx.get(queue.pre).bank == pre.bank, where
            needs = ctx.get(queue.needs)
            ready = [entry for entry in model if entry.ready]
            hits = [entry for entry in ready if entry.hit]
            assert needs.any == mask(entry.bank for entry in model), where
            assert needs.ready == mask(entry.bank for entry in ready), where
            assert needs.hit == mask(entry.bank for entry in hits), where
            assert needs.near == mask(entry.bank for entry in model[: int(NEAR * DEPTH)]), where
            assert ctx.get(queue.some) == bool(model), where
            assert ctx.get(queue.full) == (len(model) == DEPTH), where
            assert ctx.get(queue.level) == len(ready), where
            assert ctx.get(queue.some_hits) == bool(hits), where
            assert ctx.get(queue.many_hits) == (len(hits) >= MANY), where
            others = [entry for entry in model if entry.bank == bank and not (leaving and entry is column)]
            assert ctx.get(queue.wanted_row) == any(entry.hit for entry in others), where
            assert ctx.get(queue.wanted_other) == any(entry.ready and not entry.hit for entry in others), where
            near = [(entry.bank, entry.row, entry.column // 8) for entry in model]
            assert ctx.get(queue.probed) == ((probe[0], probe[1], probe[2] // 8) in near), where
            near = [place for place, entry in zip(near, model, strict=True) if entry.unmerged]
            assert ctx.get(queue.probed_unmerged) == ((probe[0], probe[1], probe[2] // 8) in near), where
            if model:
                assert values(ctx.get(queue.head)) == model[0].place(), where
                assert ctx.get(queue.head_valid) == model[0].ready, where
                assert ctx.get(queue.head_hit) == model[0].hit, where
                assert ctx.get(queue.head_aged) == (model[0].ticks >= 2), where

            # What becomes of it.
            issue = column is not None and chance.random() < (0.4 if filling else 0.9)
            free = [slot for slot in range(DEPTH) if slot not in [entry.slot for entry in model]]
            arrives = len(model) < DEPTH and chance.random() < (0.7 if filling else 0.02)
            new = Entry(
                *(chance.randrange(BANKS), chance.randrange(2), chance.randrange(0, 32, 8), chance.randrange(4)),
                slot=chance.choice(free or [0]),
                hit=chance.random() < 0.3,
                unfilled=chance.random() < 0.4,
                unmerged=chance.random() < 0.2,
            )
            ctx.set(queue.issue, issue)
            ctx.set(queue.arrives, arrives)
            work = {"place": new.place(), "last": new.last, "source": {"merge": 0, "port": 0, "slot": new.slot}}
            marks = {"hit": new.hit, "unfilled": new.unfilled, "unmerged": new.unmerged}
            ctx.set(queue.arrival, {"work": work, **marks})
            leaves = issue and column is not None and column is model[0] and column.last == 0
            assert ctx.get(queue.head_leaves) == leaves, where
            await ctx.tick()
            for entry in model:
                entry.hit = (entry.hit and entry.bank not in closed) or (entry.bank, entry.row) == opened
                entry.unfilled &= entry.slot != filled
                entry.unmerged &= entry.slot != merged
                entry.ticks += tick
            if issue and column:
                if column.last:
                    column.last -= 1
                    column.column += 1
                else:
                    seen["removed from the head" if column is model[0] else "removed from behind"] += 1
                    model.remove(column)
            if arrives:
                model.append(new)
            seen["full"] += len(model) == DEPTH
            seen["empty"] += not model

    simulator = Simulator(queue)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()
    assert min(seen[name] for name in ("removed from the head", "removed from behind", "full", "empty")) > 5, seen
