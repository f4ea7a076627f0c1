"""Proofs of how long a pseudo-channel's refresh waits, and its oldest entry, beside what the row bus adds."""

from dataclasses import asdict
from typing import Any

from amaranth import Array, Mux, Signal, Value, ValueLike
from amaranth.hdl import Assume
from openppu.hbm.bounds import ALONE, BESIDE
from openppu.hbm.commands import RowCommand
from openppu.hbm.config import ChannelConfig
from openppu.hbm.device import BURST, Organisation
from openppu.hbm.row_bus import RowArbiter
from openppu.hbm.settings import Settings

from openppu_verif.formal.harness import Harness
from openppu_verif.formal.hbm_channel import ChannelHarness
from openppu_verif.formal.hbm_timing import SMALL, TIMING
from openppu_verif.formal.hbm_waiting import FEW


class FewBanks(ChannelConfig):
    """A pseudo-channel of four banks, for proofs."""

    @property
    def organisation(self) -> Organisation:
        """As no stack has."""
        return FEW


CONFIG = FewBanks(height=4, reads=8, writes=8, slots=8)


def larger(one: ValueLike, other: ValueLike) -> Value:
    """Of two."""
    return Mux(Value.cast(one) > other, one, other)


def half(clocks: Any) -> Any:
    """Controller clocks, rounded up, of so many memory clocks."""
    return (clocks + 1) >> 1


def refresh_waits() -> Harness:
    """A refresh of a bank waits no longer than `openppu.hbm.bounds` says, its bank's last refresh not counted."""
    h = ChannelHarness(CONFIG, settings=Settings(timing=TIMING))
    m, dut, probe = h.m, h.dut, h.probe
    t = asdict(TIMING)
    refresh, banks, rows = probe.part("refresh"), probe.part("banks"), probe.part("rows")
    chosen = probe.signal("refresh", "chosen")
    m.d.comb += [Assume(dut.enable), Assume(~dut.stop)]

    # The row bus: a command that goes on asking comes within so many clocks, within fewer without ACTs beside it.
    bus, bus_alone = h.fixed("bus", 2), h.fixed("bus_alone", 2)
    request, grant = dut.row_request, dut.row_grant
    passed = Signal(3)
    asks = rows.refresh.valid & ~grant.short
    m.d.sync += passed.eq(Mux(asks, passed + 1, 0))
    m.d.comb += [
        Assume(~asks | (passed < Mux(refresh.hold, bus_alone, bus))),
        Assume(~grant.act | request.act.early | grant.act_slot),
        Assume(~grant.short | request.short.early | grant.short_slot),
    ]

    of = FEW.banks

    def at(path: str, name: str) -> Value:
        return Array([probe.signal(f"banks.{path}_{bank}", name) for bank in range(of)])[refresh.bank]

    access = max(t["WL"] + BURST + t["tWR"], t["tRTP"])
    closing = half(max(t["tRAS"] + 1, access))
    spacing = half(max(t["tRRDS"], t["tRRDL"], t["tRREFD"]))
    alone = bus_alone + 1
    closed = larger(closing + bus + 1 + half(t["tRP"]), half(t["tRC"]))
    most = closed + spacing + alone

    resting = (Value.cast(banks.states.refreshing) & chosen).any()
    counts = chosen.any() & ~resting
    waits = Signal(7)
    goes = grant.short & rows.refresh.valid & (refresh.command == RowCommand.REFSB)
    m.d.sync += waits.eq(Mux(goes | ~chosen.any(), 0, waits + counts))
    h.check(waits + counts <= most)

    # After an ACT, none for as long as `row_bus_spaced` wants.
    gone = h.history(grant.act, 3, "act")
    common = probe.signal("banks.row_gate", "space")
    for clocks in range(1, 4):
        soon = gone[clocks] & (clocks + 1 <= t["tRRDS"] >> 1)
        h.check(~request.act.valid, when=soon)
        h.check(common + 2 * clocks >= t["tRRDS"], when=gone[clocks])

    # It rests for the bank's last refresh only while its round is young, which counts once a round.
    done = probe.signal("refresh", "done")
    age = Signal(4)
    m.d.sync += age.eq(Mux(goes & probe.signal("refresh", "done_next").all(), 0, age + ~age.all()))
    h.check((age << 1) < t["tRFCSB"], when=resting)

    # Invariants: what the counters hold at most, and with it, what is left to wait.
    until_act, until_pre = at("bank", "until_act"), at("bank", "until_pre")
    for bank in range(of):
        act, pre = (probe.signal(f"banks.bank_{bank}", name) for name in ("until_act", "until_pre"))
        is_open = Value.cast(banks.states.open)[bank]
        rests = Value.cast(banks.states.refreshing)[bank]
        h.check(pre < max(t["tRAS"] + 1, access))
        h.check(act < max(t["tRC"], access + t["tRP"]), when=~rests)
        h.check(act < t["tRC"], when=is_open)
        h.check(~(is_open & rests))
        h.check((age << 1) + act < t["tRFCSB"], when=rests & ~done[bank])
        h.check(act < t["tRFCSB"], when=rests)
    space = [probe.signal("banks.row_gate", f"space_{group}") for group in range(of)]
    h.check(common < max(t["tRRDS"], t["tRREFD"]), *(own < t["tRRDL"] for own in space))
    h.check(probe.signal("banks.row_gate", "rest") == 0)
    spaced = half(larger(common, Array(space)[refresh.bank]))
    h.check((chosen & ((chosen - 1)[:of] | done)) == 0, ~done.all())
    h.check(~probe.signal("refresh", "closing"))
    opened = (Value.cast(banks.states.open) & chosen).any()
    after = spacing + alone
    left = Mux(
        opened,
        larger(half(until_pre) + bus - passed + 1 + half(t["tRP"]), half(until_act)) + after,
        Mux(resting, after, Mux(until_act > 1, half(until_act) + after, spaced + alone - passed)),
    )
    h.check(waits + left <= most, when=chosen.any())
    h.check(passed <= Mux(refresh.hold, bus_alone, bus))
    h.check(chosen.any(), rows.refresh.valid, when=passed != 0)
    return h


def row_bus_spaced() -> Harness:
    """With so many clocks from ACT to ACT of a pseudo-channel, other commands wait as `openppu.hbm.bounds` says."""
    h = Harness()
    m = h.m
    m.submodules.dut = dut = RowArbiter(SMALL)
    h.drive(requests=dut.requests)
    gap, pc = h.fixed("gap", 2), h.fixed("pc", 1)
    for number, request in enumerate(dut.requests):
        gone = h.history(dut.grants[number].act, len(BESIDE) - 1, f"act_{number}")
        for clocks in range(1, len(BESIDE)):
            m.d.comb += Assume(~(gone[clocks] & request.act.valid & (gap >= clocks)))
    request, grant = dut.requests[pc], dut.grants[pc]
    for name, table in (("beside", BESIDE), ("alone", ALONE)):
        waits = Signal(range(max(table) + 2), name=f"waits_{name}")
        asks = request.short.valid & ~grant.short & (~request.act.valid if name == "alone" else 1)
        m.d.sync += waits.eq(Mux(asks, waits + (waits <= max(table)), 0))
        h.check(waits <= Array(table)[gap])
    asked = Signal()
    m.d.sync += asked.eq(request.short.valid & ~grant.short)
    # What could have come in slot 1 may come in slot 0 of the next clock.
    m.d.comb += Assume(~asked | (request.short.valid & request.short.early))
    return h
