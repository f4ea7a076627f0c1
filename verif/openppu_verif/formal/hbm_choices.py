"""Proofs of the memory controller's choices: only allowed commands are sent, and an entry keeps its place and words."""

from amaranth import Const, Mux, Signal, Value
from amaranth.hdl import Assume
from amaranth.lib import data
from openppu.hbm.column_choice import ColumnChoice
from openppu.hbm.commands import RowCommand
from openppu.hbm.config import ChannelConfig
from openppu.hbm.queue import EntryQueue, work_layout
from openppu.hbm.row_choice import RowChoice

from openppu_verif.formal.harness import Harness, choose, ones
from openppu_verif.formal.probe import Probe

CONFIG = ChannelConfig(height=4, reads=8, writes=8, slots=8)


def _bit(mask: Value, place: Value) -> Value:
    return (mask >> place)[0]


def choices() -> Harness:
    """Of what queues offer by their permits, only what the banks' states allow is sent; a reserved bank is spared."""
    h = Harness()
    m = h.m
    m.submodules.rows = rows = RowChoice(CONFIG)
    m.submodules.columns = columns = ColumnChoice(CONFIG)
    states, reserved, blocked = rows.states, rows.reserved, rows.blocked
    h.drive(target=rows.target, writing=rows.writing, reserved=reserved, blocked=blocked)
    # A register, since the provers want one.
    m.d.sync += states.eq(h.free("states", len(states.as_value())))
    h.drive(head_hit=rows.head_hit, hold=rows.hold, refresh=rows.refresh, grant=rows.grant, page=columns.settings.page)
    for name in ("target", "writing", "states", "reserved", "blocked"):
        m.d.comb += getattr(columns, name).eq(getattr(rows, name))
    m.d.comb += Assume((reserved & (reserved - 1)[: len(reserved)]) == 0)

    def permitted(permits: data.View, bank: Value) -> Value:
        return _bit(permits.banks, bank) | (permits.head & _bit(reserved, bank))

    for index in range(2):
        wish, work = rows.wishes[index], columns.works[index]
        h.drive(**{f"needs_{index}": rows.needs[index], f"wish_{index}": wish, f"work_{index}": work})
        h.drive(**{f"valid_{index}": columns.valid[index], f"wanted_row_{index}": columns.wanted_row[index]})
        h.drive(**{f"wanted_other_{index}": columns.wanted_other[index]})
        m.d.comb += [
            Assume(~wish.act_valid | permitted(rows.act_ok[index], wish.act.bank)),
            Assume(~wish.pre_valid | permitted(rows.pre_ok[index], wish.pre.bank)),
            Assume(~columns.valid[index] | permitted(columns.permits[index], work.place.bank)),
        ]

    # What `refresh_rules` and `row_bus` prove.
    request, grant, sent, refresh = rows.request, rows.grant, rows.sent, rows.refresh
    lonely = [RowCommand.REFSB, RowCommand.REF, RowCommand.PREA]
    m.d.comb += Assume(~(refresh.valid & refresh.command.as_value().matches(*lonely)) | rows.hold)
    for kind in ("act", "short"):
        asked = request[kind].valid & (request[kind].early | grant[f"{kind}_slot"])
        m.d.comb += Assume(~grant[kind] | asked)

    def allows(name: str, bank: Value, slot: Value) -> Value:
        late, early = states[name], states[f"{name}_early"]
        return Mux(slot, late, early) if len(late) == 1 else _bit(Mux(slot, late, early), bank)

    bank = sent.act_bank
    act = [allows(name, bank, sent.act_slot) for name in ("settled", "row_spaced", "may_act")]
    h.check(*act, ~_bit(states.open, bank), ~_bit(blocked, bank), ~rows.hold, when=sent.act)
    mine = choose(list(rows.wishes), rows.target)
    wishes = data.View(rows.wishes[0].shape(), Value.cast(mine))
    h.check(wishes.act_valid & (wishes.act.bank == bank), when=sent.act & _bit(reserved, bank))
    bank = sent.short_bank
    own = grant.short & ~refresh.valid
    pre = [allows(name, bank, sent.short_slot) for name in ("may_close", "rested")]
    h.check(*pre, _bit(states.open, bank), ~_bit(blocked, bank), sent.short == RowCommand.PRE, when=own)
    h.check(sent.short == refresh.command, bank == refresh.bank, when=grant.short & refresh.valid)
    h.check(~sent.act, when=sent.short.as_value().matches(*lonely))

    column = columns.sent
    for write, name in enumerate(("read", "write")):
        ready = _bit(states[f"may_{name}"], column.bank) & _bit(states.column_spaced, column.bank)
        turn = states.may_turn_to_write if write else _bit(states.may_turn_to_read, column.bank)
        h.check(ready, turn, ~_bit(blocked, column.bank), rows.writing == write, when=column[name])
        h.check(rows.target == write, when=column[name] & _bit(reserved, column.bank))
    return h


def _queue() -> tuple[Harness, Probe, EntryQueue, list[data.View]]:
    """A queue with free inputs that keep to its rules; its entries."""
    h = Harness()
    probe = Probe(EntryQueue(CONFIG, depth=CONFIG.reads))
    h.m.submodules.dut = probe.fragment
    dut = probe.part("")
    free = (
        "arrival",
        "arrives",
        "column_ok",
        "act_ok",
        "pre_ok",
        "issue",
        "opened",
        "opens",
        "closes",
        "bank",
        "filled",
        "merged",
    )
    h.drive(**{name: getattr(dut, name) for name in free}, tick=dut.tick)
    h.m.d.comb += [Assume(~(dut.arrives & dut.full)), Assume(~dut.issue | dut.column_valid)]
    layout = work_layout(CONFIG)
    entries = [data.View(layout, probe.signal("", f"entry_{place}")) for place in range(CONFIG.reads)]
    valid = probe.signal("", "valid")
    marks = [probe.signal("", name) for name in ("hit", "unfilled", "unmerged", "waited", "aged")]
    h.check((valid & (valid + 1)) == 0, *((mark & ~valid) == 0 for mark in marks))
    return h, probe, dut, entries


def queue_rows() -> Harness:
    """An entry is offered for an access only if its row is open, for an ACT or PRE only if not, and as permitted."""
    h, probe, dut, entries = _queue()
    m = h.m
    bank, row = h.fixed("bank", len(dut.opened.bank)), h.fixed("row", len(dut.opened.row))
    valid, hit = probe.signal("", "valid"), probe.signal("", "hit")

    def here(place: data.View) -> Value:
        return (place.bank == bank) & (place.row == row)

    is_open, after = Signal(), Signal()
    opens = dut.opens & (dut.opened.bank == bank)
    closes = (dut.closes.access & (dut.bank == bank)) | (dut.closes.row & (dut.closes.bank == bank)) | dut.closes.all
    m.d.comb += [
        after.eq((is_open & ~closes) | (opens & (dut.opened.row == row))),
        # A bank is closed before it is activated; an arrival knows what is open.
        Assume(~(opens & (is_open | closes))),
        Assume(~(dut.arrives & here(dut.arrival.work.place)) | (dut.arrival.hit == after)),
    ]
    m.d.sync += is_open.eq(after)
    for place, entry in enumerate(entries):
        h.check(hit[place] == is_open, when=valid[place] & here(entry.place))
    h.check(is_open, when=dut.column_valid & here(dut.column.place))
    h.check(~is_open, when=dut.act_valid & here(dut.act))
    h.check(~is_open, when=dut.pre_valid & here(dut.pre))
    for permits, of, wanted in (
        (dut.column_ok, dut.column.place.bank, dut.column_valid),
        (dut.act_ok, dut.act.bank, dut.act_valid),
        (dut.pre_ok, dut.pre.bank, dut.pre_valid),
    ):
        h.check(_bit(permits.banks, of) | (permits.head & (of == dut.head.bank)), when=wanted)
    bank_of = dut.column.place.bank
    h.check(_bit(dut.needs.hit, bank_of), _bit(dut.column_ok.banks, bank_of) | dut.head_hit, when=dut.column_valid)
    return h


def queue_oldest() -> Harness:
    """The oldest entry is counted among those that need its bank, and goes first wherever it is permitted."""
    h, _, dut, _ = _queue()
    head = dut.head
    h.check(_bit(dut.needs.ready, head.bank), _bit(dut.needs.hit, head.bank) | ~dut.head_hit, when=dut.head_valid)
    for permits, wanted, place, valid in (
        (dut.column_ok, dut.head_hit, dut.column.place, dut.column_valid),
        (dut.act_ok, ~dut.head_hit, dut.act, dut.act_valid),
        (dut.pre_ok, ~dut.head_hit, dut.pre, dut.pre_valid),
    ):
        goes = dut.head_valid & wanted & (permits.head | _bit(permits.banks, head.bank))
        h.check(valid, place.as_value() == head.as_value(), when=goes)
    return h


def queue_order() -> Harness:
    """An entry's accesses are sent once each, in order, when its data is there; it only moves up; it ages."""
    h, probe, dut, entries = _queue()
    m = h.m
    depth = CONFIG.reads
    valid, picked = probe.signal("", "valid"), probe.signal("", "column_chosen")
    count = ones(valid)
    inside = Signal()
    place = Signal(range(depth))
    work = Signal(work_layout(CONFIG))
    unfilled, unmerged = Signal(), Signal()
    ticks = Signal(2)
    leave = dut.issue & (dut.column.last == 0)
    mine = inside & _bit(picked, place)
    before = (picked & ((Const(1, depth) << place) - 1)[:depth]).any()
    with m.If(inside):
        m.d.sync += [
            unfilled.eq(unfilled & ~(dut.filled.valid & (dut.filled.slot == work.source.slot))),
            unmerged.eq(unmerged & ~(dut.merged.valid & (dut.merged.slot == work.source.slot))),
            ticks.eq(ticks + (dut.tick & (ticks != 2))),
            place.eq(place - (leave & before)),
        ]
        with m.If(mine & dut.issue):
            m.d.sync += [inside.eq(work.last != 0), work.last.eq(work.last - 1)]
            m.d.sync += work.place.column[:3].eq(work.place.column[:3] + 1)
    with m.Elif(dut.arrives & h.free("chosen")):
        arrival = dut.arrival
        m.d.sync += [inside.eq(1), place.eq(count - leave), work.eq(arrival.work), ticks.eq(0)]
        m.d.sync += [unfilled.eq(arrival.unfilled), unmerged.eq(arrival.unmerged)]
    h.check(dut.column.as_value() == work.as_value(), ~unfilled, ~unmerged, when=mine & dut.issue)
    h.check(dut.head_aged == (ticks == 2), when=inside & (place == 0))
    # Invariants: the entry is where its place says, with its marks.
    h.check(_bit(valid, place), when=inside)
    h.check(choose([entry.as_value() for entry in entries], place) == work.as_value(), when=inside)
    for name, mark in (("unfilled", unfilled), ("unmerged", unmerged), ("waited", ticks != 0), ("aged", ticks == 2)):
        h.check(_bit(probe.signal("", name), place) == mark, when=inside)
    h.check(ticks != 3)
    return h
