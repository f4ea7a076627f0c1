"""What comes into the queues of a pseudo-channel: in order, each where it belongs, with a slot that nobody has."""

import random
from collections import Counter
from typing import Any

import pytest
from amaranth.sim import Simulator
from openppu.hbm.admission import Admission
from openppu.hbm.config import ChannelConfig

READS, WRITES = 0, 1


@pytest.mark.parametrize("ecc", ["secded", "none"])
def test_entries_go_where_they_belong(ecc: str) -> None:
    chance = random.Random(1)
    config = ChannelConfig(height=4, reads=8, writes=8, slots=8, ecc=ecc)
    admission = Admission(config)
    used: set[int] = set()
    seen: Counter[str] = Counter()

    async def bench(ctx: Any) -> None:
        entry: dict[str, Any] = {}
        for clock in range(1500):
            if not entry:
                place = {"column": chance.randrange(32), "bank": chance.randrange(16), "row": chance.randrange(1 << 15)}
                numbers = {"last": chance.randrange(8), "port": chance.randrange(2), "slot": chance.randrange(8)}
                kind = {"write": chance.randrange(2), "masked": chance.randrange(2)}
                entry = {"place": place, **numbers, **kind}
            offered = chance.random() < 0.8
            probed = [chance.random() < 0.3 for _ in range(2)]
            full = [chance.random() < 0.3 for _ in range(2)]
            unmerged = probed[WRITES] and chance.random() < 0.5
            hit = chance.randrange(2)
            released = chance.choice(sorted(used)) if used and chance.random() < 0.15 else None
            enable = clock > 3
            ctx.set(admission.enable, enable)
            ctx.set(admission.entries.valid, offered)
            ctx.set(admission.entries.payload, entry)
            ctx.set(admission.hit, hit)
            ctx.set(admission.unmerged, unmerged)
            ctx.set(admission.released, {"valid": released is not None, "slot": released or 0})
            for queue in range(2):
                ctx.set(admission.probed[queue], probed[queue])
                ctx.set(admission.full[queue], full[queue])

            merge = entry["write"] and entry["masked"] and ecc == "secded"
            behind = entry["write"] and not merge and not unmerged
            clash = [bool(probed[READS] and entry["write"]), probed[WRITES] and not behind]
            room = not full[WRITES] and len(used) < 8 and not (merge and full[READS])
            ready = enable and not any(clash) and (room if entry["write"] else not full[READS])
            taken = offered and ready
            where = f"clock {clock}, {entry}, used {used}"
            assert ctx.get(admission.entries.ready) == ready, where
            assert [ctx.get(admission.conflicts[queue]) for queue in range(2)] == [offered and one for one in clash], (
                where
            )
            arrives = [taken and (not entry["write"] or merge), taken and entry["write"]]
            assert [ctx.get(admission.arrives[queue]) for queue in range(2)] == arrives, where
            accepted = ctx.get(admission.accepted)
            assert accepted.valid == taken, where
            if taken:
                slot = accepted.slot
                assert accepted.write == entry["write"], where
                assert not entry["write"] or slot not in used, where
                for queue in range(2):
                    if arrives[queue]:
                        arrival = ctx.get(admission.arrivals[queue])
                        work = arrival.work
                        found = {name: work.place[name] for name in ("column", "bank", "row")}
                        assert (found, work.last, arrival.hit) == (entry["place"], entry["last"], hit), where
                        assert work.source.slot == (slot if entry["write"] else entry["slot"]), where
                        assert arrival.unfilled == entry["write"], where
                        assert arrival.unmerged == (queue == WRITES and merge), where
                        if queue == READS:
                            assert work.source.merge == merge, where
                            assert merge or work.source.port == entry["port"], where
                if entry["write"]:
                    used.add(slot)
                seen["merge" if merge else "write" if entry["write"] else "read"] += 1
                entry = {}
            seen["no slot"] += len(used) == 8
            await ctx.tick()
            used.discard(released if released is not None else -1)

    simulator = Simulator(admission)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()
    assert min(seen[name] for name in ("read", "write", "no slot")) > 20, seen
    assert bool(seen["merge"]) == (ecc == "secded")
