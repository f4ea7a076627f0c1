"""Proofs that nothing in the memory controller waits for ever: refreshes, commands on the row bus, directions."""

from amaranth import Cat, Const, Mux, Signal, Value, signed
from amaranth.hdl import Assume
from openppu.hbm.commands import RowCommand
from openppu.hbm.device import Organisation
from openppu.hbm.direction import TURN, Direction
from openppu.hbm.refresh import LIMIT, RATES, RefreshTimer
from openppu.hbm.row_bus import PATIENCE, RowArbiter
from openppu.hbm.settings import Refresh

from openppu_verif.formal.harness import Harness, ones
from openppu_verif.formal.hbm_timing import SMALL
from openppu_verif.formal.probe import Probe

FEW = Organisation(
    height=4,
    channels=8,
    pseudo_channels=2,
    sids=1,
    bank_groups=4,
    banks_per_group=1,
    rows=2,
    columns=8,
    access_bytes=32,
)
"""Four banks."""

DUE = 5
"""Clocks in which a refresh of one bank becomes due, in `refresh_debt`."""

SLACK = 2
RESTS = SLACK * FEW.banks - 1
"""Clocks, likewise: by which a refresh comes before the next becomes due; of rests in a round."""

SHORT_WAIT = 2 * PATIENCE + 5
ACT_WAIT = 8
"""Clocks for which a command of either kind waits for the row bus at most."""


def _refresh() -> tuple[Harness, Probe, RefreshTimer, Value, Value]:
    """The timer with free inputs; whether it refreshes one bank, or all, in this clock."""
    h = Harness()
    probe = Probe(RefreshTimer(FEW))
    h.m.submodules.dut = probe.fragment
    dut = probe.part("")
    h.drive(idle=dut.idle, near=dut.near, states=dut.states, granted=dut.granted)
    h.m.d.comb += [
        dut.settings.refresh.eq(h.fixed("all_banks", 1)),
        dut.settings.refresh_enable.eq(1),
        # The hottest device: a refresh of one of the banks is due every `DUE` clocks.
        dut.temperature.eq(0b110),
        dut.settings.timing.tREFI.eq(DUE * 2 * FEW.banks * 4),
        dut.enable.eq(1),
        Assume(~dut.granted | dut.valid),
    ]
    one, every = Signal(), Signal()
    h.m.d.comb += [
        one.eq(dut.granted & (dut.command == RowCommand.REFSB)),
        every.eq(dut.granted & (dut.command == RowCommand.REF)),
    ]
    return h, probe, dut, one, every


def refresh_debt() -> Harness:
    """Never more than eight tREFI are owed, or done ahead, if refreshes wait no longer than `refresh_waits` proves.

    That is, of one bank, less than ``DUE`` by ``SLACK``, but in each round `RESTS` clocks more, for banks that still
    refresh; of all banks, less than a tREFI by two ``DUE``.
    """
    h, probe, dut, one, every = _refresh()
    banks = FEW.banks
    all_banks = dut.settings.refresh == Refresh.ALL_BANK
    elapsed, chosen, closing, done = (probe.signal("", name) for name in ("elapsed", "chosen", "closing", "done"))
    resting = ~all_banks & (chosen & dut.states.refreshing).any()
    waits, rested = Signal(range(banks * DUE)), Signal(range(RESTS + 1))
    wraps = one & ((done | chosen) == (1 << banks) - 1)
    h.m.d.sync += [
        waits.eq(Mux(one | every | ~dut.blocked.any(), 0, waits + ~resting)),
        rested.eq(Mux(wraps | every, 0, rested + resting)),
    ]
    h.m.d.comb += [
        Assume(waits < Mux(all_banks, (banks - 2) * DUE, DUE - SLACK)),
        Assume(~resting | (rested < RESTS)),
    ]
    most = LIMIT * banks
    h.check(dut.debt <= most, dut.debt >= -most)
    # Invariants: once the timer insists, what is owed grows no more, counted in clocks, but for the rests of a round,
    # and these it makes up for by the slack of as many refreshes as there are banks.
    step = 2 * banks * max(RATES.values())
    h.check(elapsed < DUE * step, elapsed % step == 0, ~done.all())
    owed = Signal(signed(len(dut.debt) + 3))
    h.m.d.comb += owed.eq(dut.debt * DUE + elapsed // step)
    insists = Mux(all_banks, (LIMIT - 1) * banks, LIMIT // 2 * banks) * DUE + DUE
    still = Mux(all_banks, 0, rested + SLACK * (banks - ones(done)))
    h.check(owed <= insists + Mux(dut.blocked.any(), 1 + waits, 0) + still)
    h.check(Mux(all_banks, chosen == 0, ~closing))
    h.check(rested <= RESTS, (rested == 0) | ~all_banks)
    h.check((chosen & ((chosen - 1)[:banks] | done)) == 0)
    h.check(dut.debt > -most, when=chosen.any())
    h.check(dut.debt >= banks, when=closing)
    return h


def refresh_round() -> Harness:
    """Each bank is refreshed once before any is again, and only a closed bank that is blocked for other commands."""
    h, _, dut, one, every = _refresh()
    h.drive(stop=dut.stop)
    banks = FEW.banks
    bank, done, after = Signal(banks), Signal(banks), Signal(banks)
    h.m.d.comb += [bank.eq(Const(1, banks) << dut.bank), after.eq(done | bank)]
    with h.m.If(every | (one & after.all())):
        h.m.d.sync += done.eq(0)
    with h.m.Elif(one):
        h.m.d.sync += done.eq(after)
    h.check((done & bank) == 0, (dut.blocked & bank).any(), when=one)
    h.check(dut.blocked.all(), when=every)
    return h


def refresh_rules() -> Harness:
    """What the timer asks for is allowed by the states of the banks, early or not, and no ACT goes beside it."""
    h, _, dut, _, _ = _refresh()
    h.drive(stop=dut.stop)
    s = dut.states

    def of_bank(name: str) -> Value:
        return (s[name] >> dut.bank)[0]

    for valid, early in ((dut.valid, ""), (dut.valid & dut.early, "_early")):
        here = of_bank(f"settled{early}") & of_bank(f"row_spaced{early}") & s[f"rested{early}"] & ~of_bank("open")
        h.check(here, when=valid & (dut.command == RowCommand.REFSB))
        h.check(of_bank(f"may_close{early}") & of_bank("open"), when=valid & (dut.command == RowCommand.PRE))
        h.check((~s.open | s[f"may_close{early}"]).all(), when=valid & (dut.command == RowCommand.PREA))
        every = s[f"settled{early}"].all() & s[f"rested{early}"] & ~s.open.any()
        h.check(every, when=valid & (dut.command == RowCommand.REF))
    refreshes = (dut.command == RowCommand.REFSB) | (dut.command == RowCommand.REF) | (dut.command == RowCommand.PREA)
    h.check(dut.hold, when=dut.valid & refreshes)
    return h


def row_bus() -> Harness:
    """A grant is of what was asked for; each slot has one command, an ACT two slots; no command waits for ever."""
    h = Harness()
    m = h.m
    m.submodules.dut = dut = RowArbiter(SMALL)
    h.drive(requests=dut.requests)
    for request in dut.requests:
        m.d.comb += Assume((request.short.command != RowCommand.NOP) & (request.short.command != RowCommand.ACT))
    first_slot, second_slot = dut.row[0].command, dut.row[1].command
    held = Signal()
    m.d.sync += held.eq(second_slot == RowCommand.ACT)
    h.check(first_slot == RowCommand.NOP, when=held)
    h.check(second_slot == RowCommand.NOP, when=first_slot == RowCommand.ACT)

    # What is granted is on the bus in the next clock, in its slot, and nothing else is.
    for slot in range(2):
        expected = [Signal(dut.row[slot].shape(), name=f"expected_{slot}_{number}") for number in range(4)]
        goes: list[Signal] = []
        for pc in range(2):
            for kind in ("act", "short"):
                request, grant = dut.requests[pc][kind], dut.grants[pc]
                go = Signal(name=f"goes_{slot}_{pc}_{kind}")
                m.d.sync += go.eq(grant[kind] & (grant[f"{kind}_slot"] == slot))
                command = RowCommand.ACT if kind == "act" else request.command
                wanted = expected[len(goes)]
                m.d.sync += [wanted.command.eq(command), wanted.pc.eq(pc), wanted.bank.eq(request.bank)]
                m.d.sync += wanted.row.eq(request.row if kind == "act" else 0)
                goes.append(go)
                shown = dut.row[slot]
                h.check(shown.command == wanted.command, shown.pc == pc, shown.bank == wanted.bank, when=go)
                if kind == "act":
                    h.check(shown.row == wanted.row, when=go)
                if slot == 0:
                    asked = request.valid & (request.early | grant[f"{kind}_slot"])
                    h.check(asked, when=grant[kind])
        h.check(dut.row[slot].command == RowCommand.NOP, when=~Cat(goes).any())
    return h


def row_bus_waits() -> Harness:
    """A command that goes on asking for the row bus gets it within so many clocks, whatever the others ask for."""
    h = Harness()
    m = h.m
    m.submodules.dut = dut = RowArbiter(SMALL)
    h.drive(requests=dut.requests)
    pc = h.fixed("pc", 1)
    request, grant = dut.requests[pc], dut.grants[pc]
    for kind, most in (("act", ACT_WAIT), ("short", SHORT_WAIT)):
        waits = Signal(range(most + 2), name=f"{kind}_waits")
        asks = request[kind].valid & ~grant[kind]
        m.d.sync += waits.eq(Mux(asks, waits + (waits <= most), 0))
        # What could have come in slot 1 may come in slot 0 of the next clock.
        m.d.comb += Assume((waits == 0) | (request[kind].valid & request[kind].early))
        h.check(waits <= most)
    # An ACT and another of one pseudo-channel keep their distance from the last ACT.
    return h


def direction() -> Harness:
    """A direction that cannot wait is the target before the other's next nine oldest entries have left, and then the
    bus's, as soon as it has an open row; and it stays the target until eight of its own have left."""
    h = Harness()
    m = h.m
    m.submodules.dut = dut = Direction()
    names = ("settings", "reads", "writes", "level", "full", "hits", "many_hits", "urgent", "head_leaves")
    h.drive(**{name: getattr(dut, name) for name in names})
    mine = h.fixed("mine", 1)
    waits = Mux(mine, dut.writes, dut.reads) & (dut.urgent >> mine)[0]
    left = Signal(range(TURN + 3))
    leaves = (dut.head_leaves >> ~mine)[0] & (dut.target != mine)
    m.d.sync += left.eq(Mux(waits & (dut.target != mine), left + (leaves & (left <= TURN + 1)), 0))
    h.check(left <= TURN + 1)
    turned = Signal()
    m.d.sync += turned.eq(waits & (dut.target == mine) & (dut.hits >> mine)[0])
    h.check(dut.writing == mine, when=turned)
    # Since it became the target, while it waited.
    begun, stood, served = Signal(), Signal(), Signal(range(TURN + 1))
    stands = begun & waits & (dut.target == mine)
    m.d.sync += [
        begun.eq((waits & (dut.target != mine)) | stands),
        stood.eq(stands),
        served.eq(Mux(stands, served + ((dut.head_leaves >> mine)[0] & (served < TURN)), 0)),
    ]
    h.check((dut.target == mine) | (served == TURN), when=stood)
    return h
