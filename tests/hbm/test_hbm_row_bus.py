"""The row bus: what is granted was asked for and fits, no slot is wasted, nobody waits for ever."""

import random
from typing import Any

import pytest
from amaranth.sim import Simulator
from openppu.hbm.commands import RowCommand
from openppu.hbm.device import organisation
from openppu.hbm.row_bus import PATIENCE, RowArbiter

OF = organisation(8)
KINDS = ("act", "short")


def drive(bench: Any) -> None:
    arbiter = RowArbiter(OF)
    simulator = Simulator(arbiter)
    simulator.add_clock(1e-9)

    async def testbench(ctx: Any) -> None:
        await bench(ctx, arbiter)

    simulator.add_testbench(testbench)
    simulator.run()


def ask(ctx: Any, arbiter: RowArbiter, pc: int, act: dict[str, int], short: dict[str, int]) -> None:
    command = RowCommand(short.get("command", 0))
    ctx.set(arbiter.requests[pc], {"act": act, "short": {**short, "command": command}})


@pytest.mark.parametrize("rate", [0.2, 0.6, 1.0])
def test_grants_are_asked_for_fit_and_waste_no_slot(rate: float) -> None:
    chance = random.Random(3)

    async def bench(ctx: Any, arbiter: RowArbiter) -> None:
        taken = False
        for clock in range(600):
            wanted: list[dict[str, dict[str, int]]] = []
            for pc in range(2):
                act = {"valid": chance.random() < rate, "bank": chance.randrange(32), "row": chance.randrange(1 << 15)}
                short = {
                    "valid": chance.random() < rate,
                    "bank": chance.randrange(32),
                    "command": chance.choice([2, 4]),
                }
                for request in (act, short):
                    request["early"] = request["valid"] and chance.random() < 0.5
                ask(ctx, arbiter, pc, act, short)
                wanted.append({"act": act, "short": short})
            slots: list[tuple[int, str] | None] = [None, None]
            for pc in range(2):
                grant = ctx.get(arbiter.grants[pc])
                for kind in KINDS:
                    if getattr(grant, kind):
                        slot = getattr(grant, f"{kind}_slot")
                        request = wanted[pc][kind]
                        where = f"rate {rate}, clock {clock}, PC {pc}, {kind} in slot {slot} of {wanted}"
                        assert request["early"] if slot == 0 else request["valid"], where
                        assert slots[slot] is None, where
                        slots[slot] = (pc, kind)
            where = f"rate {rate}, clock {clock}, {slots} of {wanted}"
            assert not (taken and slots[0]), where
            long = slots[0] is not None and slots[0][1] == "act"
            assert not (long and slots[1]), where
            left = [
                request
                for pc, kinds in enumerate(wanted)
                for kind, request in kinds.items()
                if request["valid"] and (pc, kind) not in slots
            ]
            if slots[0] is None and not taken:
                assert not any(request["early"] for request in left), where
            if slots[1] is None and not long:
                assert not left, where
            await ctx.tick()
            for slot, given in enumerate(slots):
                row = ctx.get(arbiter.row[slot])
                if given is None:
                    assert row.command == RowCommand.NOP, where
                else:
                    pc, kind = given
                    request = wanted[pc][kind]
                    command = RowCommand.ACT if kind == "act" else RowCommand(request["command"])
                    assert (row.command, row.pc, row.bank) == (command, pc, request["bank"]), where
                    assert kind != "act" or row.row == request["row"], where
            taken = slots[1] is not None and slots[1][1] == "act"

    drive(bench)


def test_all_four_share_a_full_bus() -> None:
    served = {(pc, kind): [0] for pc in range(2) for kind in KINDS}

    async def bench(ctx: Any, arbiter: RowArbiter) -> None:
        for pc in range(2):
            ask(ctx, arbiter, pc, {"valid": 1, "early": 1}, {"valid": 1, "early": 1, "command": 2})
        for clock in range(200):
            for pc in range(2):
                grant = ctx.get(arbiter.grants[pc])
                for kind in KINDS:
                    if getattr(grant, kind):
                        served[pc, kind].append(clock)
            await ctx.tick()

    drive(bench)
    longest = {key: max(b - a for a, b in zip(times, [*times[1:], 200], strict=True)) for key, times in served.items()}
    assert max(longest[pc, "act"] for pc in range(2)) <= 4, longest
    assert max(longest[pc, "short"] for pc in range(2)) <= 2 * PATIENCE + 4, longest
