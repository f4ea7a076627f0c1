"""Proofs of a pseudo-channel without its queues: it stops when told; what was lost is sent again, once, in order."""

from collections.abc import Mapping
from typing import Any

from amaranth import Array, Module, Mux, Signal, Value
from amaranth.asserts import AnyConst
from amaranth.hdl import Assume
from amaranth.lib import data, wiring
from openppu.hbm.accounts import Accounts
from openppu.hbm.banks import Banks
from openppu.hbm.commands import RowCommand
from openppu.hbm.config import ChannelConfig
from openppu.hbm.direction import Direction
from openppu.hbm.hammer_table import HammerTable
from openppu.hbm.pseudo_channel import PseudoChannel
from openppu.hbm.queue import EntryQueue
from openppu.hbm.refresh import RefreshTimer
from openppu.hbm.retry import DEPTH

from openppu_verif.formal.harness import Harness, ones
from openppu_verif.formal.probe import Probe

PROTECTED = ChannelConfig(height=4, reads=8, writes=8, slots=8, hammer_entries=8, retry=True)
"""With everything that sends commands."""

RETRYING = ChannelConfig(height=4, reads=8, writes=8, slots=8, retry=True)


class ChannelHarness(Harness):
    """A pseudo-channel with free inputs, whose queues and direction may do anything that their proofs allow.

    Parameters
    ----------
    config : ChannelConfig
    *without : type
        Parts that may do anything, besides.
    settings : mapping, optional
        Any constant ones, if none are given.
    """

    def __init__(self, config: ChannelConfig, *without: type, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        m = self.m
        self.probe = probe = Probe(PseudoChannel(config))
        m.submodules.dut = probe.fragment
        self.dut = dut = probe.part("")
        for kind in (EntryQueue, Direction, HammerTable, Accounts, *without):
            probe.replace(kind, lambda part: Module())
        paths = ["reads", "writes", "direction"]
        if Banks in without:
            paths.append("banks")
        if RefreshTimer in without:
            paths.append("refresh")
        if config.hammer_entries:
            paths.extend(f"hammer.table_{number}" for number in range(config.organisation.banks))
        for path in paths:
            self.drive_outputs(path.replace(".", "_"), probe.part(path))
        for path, member, value in dut.signature.flatten(dut):
            if member.flow is wiring.In and path != ("settings",):
                self.drive(**{"_".join(map(str, path)): value})
        m.d.comb += Assume(dut.pc == AnyConst(1))
        if settings is None:
            m.d.comb += dut.settings.eq(self.fixed("settings", dut.settings.shape().size))
        else:
            m.d.comb += dut.settings.eq(dut.settings.shape().const(settings))

        # What the queues do (`queue_rows`), and the row bus (`row_bus`).
        def permitted(queue: EntryQueue, permits: data.View, bank: Value) -> Value:
            return (permits.banks >> bank)[0] | (permits.head & (bank == queue.head.bank))

        is_open = Value.cast(probe.part("banks").states.open)
        for path in ("reads", "writes"):
            queue = probe.part(path)
            m.d.comb += [
                Assume(~queue.column_valid | permitted(queue, queue.column_ok, queue.column.place.bank)),
                Assume(~queue.column_valid | ((is_open & queue.needs.hit) >> queue.column.place.bank)[0]),
                Assume(~queue.column_valid | (queue.column_ok.banks >> queue.column.place.bank)[0] | queue.head_hit),
                Assume(~queue.act_valid | permitted(queue, queue.act_ok, queue.act.bank)),
                Assume(~queue.pre_valid | permitted(queue, queue.pre_ok, queue.pre.bank)),
            ]
        m.d.comb += [
            Assume(~dut.row_grant.act | dut.row_request.act.valid),
            Assume(~dut.row_grant.short | dut.row_request.short.valid),
        ]


def stop() -> Harness:
    """A pseudo-channel that was told to stop, and has closed its banks, sends nothing until it may go on."""
    h = ChannelHarness(PROTECTED)
    m, dut, probe = h.m, h.dut, h.probe
    enabled, sealed, settled, quiet = (Signal(name=name) for name in ("enabled", "sealed", "settled", "quiet"))
    m.d.comb += [
        quiet.eq(dut.stop & dut.closed),
        # The device takes commands until a reset; and no error is due.
        Assume(dut.enable | ~enabled),
        Assume(~quiet | (dut.address_error == 0)),
    ]
    m.d.sync += [enabled.eq(dut.enable), sealed.eq(quiet), settled.eq(dut.stop & dut.stopped)]
    h.check(dut.closed, when=sealed & dut.stop)
    h.check(dut.stopped, when=settled & dut.stop)
    h.check(~dut.row_request.act.valid, ~dut.row_request.short.valid, ~probe.part("columns").chosen.valid, when=quiet)
    h.check(~probe.signal("banks", "is_open").any(), when=quiet)
    # Invariant.
    h.check(probe.signal("retry", "since") <= DEPTH)
    return h


NUMBER_BITS = 5
"""Of the number of an access; fewer are on their way."""


def retry() -> Harness:
    """Accesses from a lost one on, after a lost refresh, are sent again, once each, in order, and nothing else is."""
    h = ChannelHarness(RETRYING, Banks, RefreshTimer)
    m, dut, probe = h.m, h.dut, h.probe
    columns, rows, again = probe.part("columns"), probe.part("rows"), probe.part("retry")
    latency = dut.settings.parity_latency
    chosen, sent = columns.chosen, rows.sent
    repeats = again.again.valid
    fresh = chosen.valid & ~repeats
    m.d.comb += [Assume(latency != 0), Assume(dut.enable), Assume(~again.failed)]

    # Accesses bear numbers, so one tells which it is.
    head = Signal(NUMBER_BITS)
    number = chosen.place.row[:NUMBER_BITS]
    m.d.comb += Assume(~fresh | (number == head))
    m.d.sync += head.eq(head + fresh)
    heads = h.history(head, DEPTH + 1, "head")

    # The device loses any command, and says so in time.
    saturated = 15
    watched = h.fixed("watched", NUMBER_BITS)
    loses, loses_refresh = h.free("loses"), h.free("loses_refresh")
    error = dut.address_error
    lost, since = Signal(), Signal(4, init=saturated)
    this = chosen.valid & (number == watched)
    m.d.sync += since.eq(Mux(this, 1, since + (since != saturated)))
    with m.If(this):
        m.d.sync += lost.eq(loses)
    late = since == latency + 1
    m.d.comb += Assume(~(lost & late) | error.any())

    # What is to be sent next, once an error was seen.
    active, begins = again.active, again.begins
    due, out = Signal(NUMBER_BITS), Signal()
    confirmed = probe.signal("retry", "confirmed")
    with m.If(begins & ~active):
        m.d.sync += due.eq(Array(heads)[latency + 1])
    with m.Elif(confirmed):
        m.d.sync += due.eq(due + 1)
    with m.If(begins | confirmed):
        m.d.sync += out.eq(0)
    with m.Elif(repeats):
        m.d.sync += out.eq(1)
    was_active = Signal()
    m.d.sync += was_active.eq(active)
    owed = Signal(NUMBER_BITS)
    m.d.comb += owed.eq(head - due)
    h.check(~fresh, when=active)
    h.check(active, number == due, ~out, when=repeats)
    h.check(out, ~(lost & (watched == due)), when=confirmed)
    h.check(due == head, when=was_active & ~active)
    within = Signal()
    m.d.comb += within.eq((watched - due)[:NUMBER_BITS] < owed)
    h.check(active, within, when=lost & (since > latency + 1))

    # Row commands meanwhile.
    refreshes = (sent.short == RowCommand.REFSB) | (sent.short == RowCommand.REF)
    refresh_lost, refresh_since = Signal(), Signal(4, init=saturated)
    bank, slot, every, wrong = Signal(len(sent.short_bank)), Signal(), Signal(), Signal()
    m.d.sync += refresh_since.eq(Mux(refreshes, 1, refresh_since + (refresh_since != saturated)))
    told = (refresh_since == latency + 1) & (error >> slot)[0]
    with m.If(refreshes):
        m.d.sync += [refresh_lost.eq(loses_refresh), bank.eq(sent.short_bank), slot.eq(sent.short_slot)]
        m.d.sync += [every.eq(sent.short == RowCommand.REF), wrong.eq(0)]
    with m.Elif(told):
        m.d.sync += wrong.eq(1)
    m.d.comb += Assume(~(refresh_lost & (refresh_since == latency + 1)) | told)
    same = (every == (sent.short == RowCommand.REF)) & (every | (sent.short_bank == bank))
    h.check(sent.act_bank == again.again.place.bank, again.again.place.row[:NUMBER_BITS] == due, when=active & sent.act)
    h.check(refreshes | (sent.short == RowCommand.PREA) | (sent.short == RowCommand.NOP), when=active)
    h.check(wrong & same, when=active & refreshes)
    h.check(active, when=refresh_lost & (refresh_since > latency + 1))
    h.check(~refresh_lost & ~wrong, when=repeats)

    # Invariants.
    waits, quiet = probe.signal("retry", "waits"), probe.signal("retry", "since")
    accesses = [data.View(chosen.shape(), Value.cast(probe.signal("retry", f"access_{age}"))) for age in range(DEPTH)]
    window = probe.signal("retry", "window")
    state = {name: probe.state("retry", name) for name in ("stop", "close", "settle", "refresh", "again", "confirm")}
    clocks = probe.signal("retry", "clocks")
    later = state["refresh"] | state["again"] | state["confirm"]
    for age in range(DEPTH):
        newer = (head - ones(waits[: age + 1]))[:NUMBER_BITS]
        h.check(accesses[age].place.row[:NUMBER_BITS] == newer, when=waits[age])
        h.check(heads[age + 1] == newer, when=~active & window[age])
        h.check(heads[age + 1] == head, when=later & window[age])
        h.check(heads[age + 1] == head, when=state["settle"] & (quiet >= age))
        h.check(waits[age], accesses[age].place.row[:NUMBER_BITS] == watched, when=~active & lost & (since == age + 1))
    starts = state["stop"] & (clocks == 0)
    kept = waits & Mux(starts, window, -1)
    h.check(kept == waits & window, when=active)
    h.check(due == (head - ones(kept))[:NUMBER_BITS], when=active)
    h.check(within, when=active & lost)
    h.check(state["confirm"] == out, waits.any() | ~out)
    h.check(since <= latency + 1, when=out & lost & (watched == due))
    # The refreshes that were sent, the one that is to be sent again.
    for age in range(DEPTH):
        record = data.View(again.refresh.shape(), Value.cast(probe.signal("retry", f"refresh_{age}")))
        h.check(record.valid == (refresh_since == age + 1), when=window[age])
        here = window[age] & record.valid
        h.check(record.bank == bank, record.slot == slot, record.all == every, when=here)
    wanted = data.View(again.refresh.shape(), Value.cast(probe.signal("retry", "lost")))
    h.check(wanted.valid == wrong)
    h.check(wanted.bank == bank, wanted.all == every, when=wrong)
    h.check(active, when=wrong)
    h.check(~refresh_lost & ~wrong, when=state["again"] | state["confirm"])
    h.check(wrong, refresh_since > latency + 1, when=state["refresh"])
    h.check(wrong | (refresh_since <= latency + 1), when=refresh_lost)
    h.check((quiet < refresh_since) | (refresh_since == saturated))
    h.check(quiet <= DEPTH, (quiet < since) | (since == saturated), since != 0, refresh_since != 0)
    return h
