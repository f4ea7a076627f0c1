"""Proofs of how long a pseudo-channel's refresh waits, and its oldest entry, beside what the row bus adds."""

from dataclasses import asdict, replace
from typing import Any

from amaranth import Array, Const, Mux, Signal, Value, ValueLike
from amaranth.hdl import Assume
from amaranth.utils import exact_log2
from openppu.hbm.bounds import ALONE, BESIDE
from openppu.hbm.commands import RowCommand
from openppu.hbm.config import ChannelConfig
from openppu.hbm.device import BURST, Organisation, Timing
from openppu.hbm.row_bus import RowArbiter
from openppu.hbm.settings import Refresh

from openppu_verif.formal.harness import Harness
from openppu_verif.formal.hbm_channel import ChannelHarness
from openppu_verif.formal.hbm_timing import SMALL, TIMING, with_timing
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
    """A refresh of a bank waits no longer than `openppu.hbm.bounds` says, its bank's last refresh not counted.

    Nor could it go, and disturb others, for longer than that says.
    """
    h = ChannelHarness(CONFIG, settings=with_timing(TIMING))
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
    # For so many of them it, or the PRE before it, could go, and disturbs others.
    disturbs = Signal(6)
    could_go = rows.refresh.valid | refresh.hold
    m.d.sync += disturbs.eq(Mux(goes | ~chosen.any(), 0, disturbs + could_go))
    h.check(disturbs + could_go <= bus + 1 + spacing + alone)
    h.check(~could_go, when=~chosen.any())

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
    still = Mux(opened, bus - passed + 1 + after, Mux(until_act > 1, after, spaced + alone - passed))
    h.check(disturbs + still <= bus + 1 + after, when=chosen.any())
    h.check(passed <= Mux(refresh.hold, bus_alone, bus))
    h.check(chosen.any(), rows.refresh.valid, when=passed != 0)
    return h


def refresh_all_waits() -> Harness:
    """A REF waits no longer than `openppu.hbm.bounds` says, from when all banks are to close."""
    h = ChannelHarness(CONFIG, settings=with_timing(TIMING, refresh=Refresh(Refresh.ALL_BANK)))
    m, dut, probe = h.m, h.dut, h.probe
    t, of = asdict(TIMING), FEW.banks
    refresh, banks, rows = probe.part("refresh"), probe.part("banks"), probe.part("rows")
    m.d.comb += [Assume(dut.enable), Assume(~dut.stop)]
    bus, passed = h.fixed("bus", 2), Signal(3)
    request, grant = dut.row_request, dut.row_grant
    asks = rows.refresh.valid & ~grant.short
    m.d.sync += passed.eq(Mux(asks, passed + 1, 0))
    m.d.comb += [
        Assume(~asks | (passed < bus)),
        Assume(~grant.act | request.act.early | grant.act_slot),
        Assume(~grant.short | request.short.early | grant.short_slot),
    ]
    closing = probe.signal("refresh", "closing")
    access = max(t["WL"] + BURST + t["tWR"], t["tRTP"])
    closed = max(t["tRC"], access + t["tRP"])
    most = max(half(max(t["tRAS"] + 1, access)), half(t["tRFC"])) + bus + 1 + half(closed) + bus + 1
    waits = Signal(7)
    goes = grant.short & rows.refresh.valid & (refresh.command == RowCommand.REF)
    m.d.sync += waits.eq(Mux(goes | ~closing, 0, waits + 1))
    h.check(waits + 1 <= most, when=closing)
    h.check(~request.act.valid, when=closing)

    # Invariants.
    rest = probe.signal("banks.row_gate", "rest")
    is_open = Value.cast(banks.states.open)
    longest_act, longest_pre = Const(0), Const(0)
    for bank in range(of):
        act, pre = (probe.signal(f"banks.bank_{bank}", name) for name in ("until_act", "until_pre"))
        h.check(pre < max(t["tRAS"] + 1, access), act < closed)
        longest_act = larger(act, longest_act)
        longest_pre = larger(Mux(is_open[bank], pre, 0), longest_pre)
    last = bus + 1
    left = Mux(
        is_open.any(),
        half(larger(longest_pre, rest)) + last - passed + half(closed) + last,
        half(larger(longest_act, rest)) + last - passed,
    )
    h.check(rest < t["tRFC"], probe.signal("refresh", "chosen") == 0)
    h.check(waits + left <= most, passed <= bus, when=closing)
    h.check(closing, rows.refresh.valid, when=passed != 0)
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


WIDE = replace(FEW, banks_per_group=2)
"""Eight banks, two a group."""


class PairedBanks(ChannelConfig):
    """A pseudo-channel of eight banks, for proofs."""

    @property
    def organisation(self) -> Organisation:
        """As no stack has."""
        return WIDE


class PairedSids(ChannelConfig):
    """A pseudo-channel of eight banks, four in each of two SIDs, for proofs."""

    @property
    def organisation(self) -> Organisation:
        """As no stack has."""
        return replace(FEW, sids=2)


def oldest_waits() -> Harness:
    """Without refreshes, an access of the oldest entry, once aged and of the target direction, comes in so many clocks.

    Others may send whatever they like meanwhile: their ACTs and accesses keep this one off for their distances only.
    """
    return _oldest_waits(PairedBanks(height=4, reads=8, writes=8, slots=8), TIMING)


def oldest_waits_sids() -> Harness:
    """Likewise with several SIDs, and accesses to different ones further apart than those to different groups."""
    return _oldest_waits(PairedSids(height=4, reads=8, writes=8, slots=8), replace(TIMING, tCCDR=5))


def oldest_waits_refreshes() -> Harness:
    """Likewise beside refreshes of one bank, but for the clocks in which these disturb it.

    That is while a refresh, or the PRE before it, could go; while its own bank is refreshed, after which it begins
    anew; and for tRREFD and the waits for the row bus afterwards.
    """
    return _oldest_waits(PairedBanks(height=4, reads=8, writes=8, slots=8), TIMING, refreshes=True)


def _oldest_waits(config: ChannelConfig, timing: Timing, *, refreshes: bool = False) -> Harness:
    h = ChannelHarness(config, settings=with_timing(timing, refresh_enable=refreshes))
    m, dut, probe = h.m, h.dut, h.probe
    t, of = asdict(timing), config.organisation.banks
    groups = config.organisation.sids * config.organisation.bank_groups
    apart = max(t["tCCDL"], t["tCCDR"] if config.organisation.sids > 1 else 0)
    direction, banks, columns = probe.part("direction"), probe.part("banks"), probe.part("columns")
    request, grant = dut.row_request, dut.row_grant
    m.d.comb += [Assume(dut.enable), Assume(~dut.stop)]

    # The entry: the oldest of its queue, and that is the target. It goes first where it is permitted (`queue_oldest`).
    mine, bank, row = h.fixed("mine", 1), h.fixed("bank", 3), h.fixed("row", 1)
    live = Signal()
    is_open = (Value.cast(banks.states.open) >> bank)[0]
    hit = is_open & (Array([probe.signal(f"banks.bank_{number}", "row") for number in range(of)])[bank] == row)
    queues = [probe.part(path) for path in ("reads", "writes")]
    goes = Signal()
    for write, queue in enumerate(queues):
        here = live & (mine == write)
        m.d.comb += [
            Assume(~here | (queue.head_valid & queue.head_aged & (queue.head_hit == hit))),
            Assume(
                ~here | ((queue.head.bank == bank) & (queue.head.row == row) & queue.needs.ready.bit_select(bank, 1))
            ),
        ]
        m.d.comb += Assume(~(here & hit) | queue.needs.hit.bit_select(bank, 1))
        for permits, valid, place, wants in (
            (queue.column_ok, queue.column_valid, queue.column.place, hit),
            (queue.act_ok, queue.act_valid, queue.act, ~hit),
            (queue.pre_ok, queue.pre_valid, queue.pre, ~hit),
        ):
            may = permits.head | permits.banks.bit_select(bank, 1)
            first = valid & (place.bank == bank) & (place.row == row)
            m.d.comb += Assume(~(here & wants & may) | first)
    m.d.comb += Assume(~live | (direction.target == mine))
    chosen = columns.chosen
    # It has accesses left, and has had one.
    more, went = Signal(), Signal()
    m.d.comb += [
        goes.eq(live & chosen.valid & (chosen.place.bank == bank) & (chosen.write == mine)),
        more.eq(goes & ~chosen.last),
    ]
    refresh, rows = probe.part("refresh"), probe.part("rows")
    refreshed = probe.signal("refresh", "chosen")
    resting = Value.cast(banks.states.refreshing)
    taken = ((refreshed | resting) >> bank)[0]
    m.d.sync += [
        live.eq((live | h.free("begins")) & (~goes | more)),
        went.eq((more | (went & ~goes)) & ~taken),
    ]
    # The bus of the data follows as soon as it has an open row (`direction`).
    turned = Signal()
    m.d.sync += turned.eq(live & hit & (~goes | more))
    m.d.comb += Assume(~turned | (direction.writing == mine))

    # The row bus, as `row_bus_waits` and `row_bus_spaced` say, with any small numbers.
    bus_act, bus = h.fixed("bus_act", 2), h.fixed("bus", 2)
    waits_of = []
    for name, limit in (("act", bus_act), ("short", bus)):
        passed = Signal(3, name=f"passed_{name}")
        asks = live & request[name].valid & (request[name].bank == bank) & ~grant[name]
        m.d.sync += passed.eq(Mux(asks, passed + 1, 0))
        early = request[name].early | grant[f"{name}_slot"]
        m.d.comb += [Assume(~asks | (passed < limit)), Assume(~grant[name] | early)]
        waits_of.append(passed)
    passed_act, passed = waits_of

    # Clocks that refreshes disturb.
    quiet = Signal(4, init=15)
    refreshing = rows.refresh.valid | refresh.hold | taken
    m.d.sync += quiet.eq(Mux(refreshing, 0, quiet + ~quiet.all()))
    disturbed = refreshing | (quiet < half(t["tRREFD"]) + larger(bus, bus_act) + 1)

    access = max(t["WL"] + BURST + t["tWR"], t["tRTP"])
    turn = max(t["WL"] + BURST + t["tWTRL"], t["tRTW"])
    column = 1 + max(half(max(t["tRCDRD"], t["tRCDWR"]) + 1), half(turn)) + half(apart) + 1
    crowd = half(max(t["tRRDS"], t["tFAW"], t["tRREFD"]))
    spacing = half(t["tRRDL"]) + crowd
    opening = bus_act + 1 + column
    closed = max(t["tRC"], access + t["tRP"])
    closing = half(max(t["tRAS"] + 1, access))
    most = closing + bus + 1 + half(closed) + spacing + opening
    waits = Signal(8)
    m.d.sync += waits.eq(Mux(live & ~goes & ~taken, waits + ~disturbed, 0))
    h.check(waits + 1 <= most, when=live & ~disturbed)
    # Once its row is open, it is sooner.
    waits_open = Signal(5)
    m.d.sync += waits_open.eq(Mux(live & hit & ~goes & ~taken, waits_open + 1, 0))
    h.check(waits_open + 1 <= column, when=live & hit & ~taken)
    # Each further access comes as soon as tCCD lets it.
    following = half(apart) + 1
    waits_next = Signal(5)
    m.d.sync += waits_next.eq(Mux(went & ~goes & ~taken, waits_next + 1, 0))
    h.check(waits_next + 1 <= following, when=went & ~taken)

    # Invariants: what the counters hold at most, and with it, what is left to wait.
    def at(name: str) -> Value:
        return Array([probe.signal(f"banks.bank_{number}", name) for number in range(of)])[bank]

    group = bank >> exact_log2(config.organisation.banks_per_group)
    common = probe.signal("banks.row_gate", "space")
    own = Array([probe.signal("banks.row_gate", f"space_{number}") for number in range(groups)])[group]
    window = probe.signal("banks.row_gate", "window")
    for number in range(of):
        act, pre = (probe.signal(f"banks.bank_{number}", name) for name in ("until_act", "until_pre"))
        rests = resting[number]
        h.check(pre < max(t["tRAS"] + 1, access), Mux(rests, act < t["tRFCSB"], act < closed))
        h.check(~(Value.cast(banks.states.open)[number] & rests))
        for name in ("rd", "wr"):
            h.check(probe.signal(f"banks.bank_{number}", f"until_{name}") <= max(t["tRCDRD"], t["tRCDWR"]))
    for number in range(groups):
        h.check(probe.signal("banks.row_gate", f"space_{number}") < t["tRRDL"])
        h.check(probe.signal("banks.column_gate", f"space_{number}") < apart)
        h.check(probe.signal("banks.column_gate", f"turn_{number}") < turn)
    for number in range(4):
        h.check(probe.signal("banks.row_gate", f"window_{number}") < t["tFAW"])
    h.check(common < max(t["tRRDS"], t["tRREFD"]), probe.signal("banks.column_gate", "turn") < turn)
    h.check(probe.signal("banks.row_gate", "rest") == 0)
    if config.organisation.sids > 1:
        h.check(probe.signal("columns", "lets_it_pass"))
    h.check((refreshed & (refreshed - 1)[:of]) == 0, ~probe.signal("refresh", "closing"))
    if not refreshes:
        h.check(refreshed == 0, resting == 0, quiet.all())
    h.check((common < t["tRRDS"]) | (common + (quiet << 1) < t["tRREFD"]) | refreshing)
    until = Mux(mine, at("until_wr"), at("until_rd"))
    turn_own = Array([probe.signal("banks.column_gate", f"turn_{number}") for number in range(groups)])[group]
    turn_left = Mux(mine, probe.signal("banks.column_gate", "turn"), turn_own)
    space = Array([probe.signal("banks.column_gate", f"space_{number}") for number in range(groups)])[group]

    def clocks(left: Value) -> Value:
        return Mux(left > dut.pc, half(left - dut.pc), 0)

    later = larger(clocks(until), clocks(turn_left))
    at_column = Mux(
        direction.writing != mine,
        1 + larger(clocks(until), Const(half(turn))) + half(apart) + 1,
        Mux(later != 0, later + half(apart), clocks(space)) + 1,
    )
    at_act = Mux(
        at("until_act") > 1,
        half(at("until_act")) + spacing,
        Mux(own > 1, half(own) + crowd, half(larger(common, window))),
    )
    at_pre = half(at("until_pre")) + bus - passed + 1 + half(closed) + spacing + opening
    left = Mux(hit, at_column, Mux(is_open, at_pre, at_act + opening - passed_act))
    # What is left falls in each clock that is not disturbed, and in the first one after others it is as if they had not
    # been: what was about to be sent is granted before.
    counts = live & ~taken
    best = Signal(8)
    m.d.sync += best.eq(Mux(counts & ~goes, Mux(disturbed, best, left - 1), most))
    sends_pre = (at("until_pre") <= 1) & (refreshing | (passed >= quiet))
    spaced = (half(window) + opening <= best) | (
        (window <= 1) & (refreshing | (passed_act + half(t["tRREFD"]) >= quiet))
    )
    sends_act = (at("until_act") <= 1) & (own <= 1) & spaced
    as_before = (left <= best) | Mux(is_open, ~hit & sends_pre, sends_act)
    h.check(waits + left <= most, when=counts & ~disturbed)
    h.check(waits + best <= most, as_before, when=counts & disturbed)
    h.check(best >= half(closed) + spacing + opening, when=counts & is_open & ~hit)
    h.check(best >= column, when=counts & ~is_open)
    h.check(waits_open + at_column <= column, when=counts & hit)
    h.check(live & hit, when=waits_open != 0)
    h.check(waits_next + at_column <= following, direction.writing == mine, hit, later == 0, when=went & ~taken)
    h.check(live, when=went)
    h.check(went, when=waits_next != 0)
    h.check(passed <= bus, passed_act <= bus_act)
    h.check(live, is_open, ~hit, request.short.valid, request.short.bank == bank, when=(passed != 0) & ~refreshing)
    h.check(live, ~is_open, request.act.valid, request.act.bank == bank, when=(passed_act != 0) & ~refreshing)
    return h
