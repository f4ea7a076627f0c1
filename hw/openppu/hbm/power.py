"""When a channel that has nothing to do goes to power-down or self-refresh, and when it wakes."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from openppu.hbm.accounts import COUNTER_BITS
from openppu.hbm.commands import RowCommand
from openppu.hbm.device import TIMING_BITS
from openppu.hbm.phy import PSEUDO_CHANNELS
from openppu.hbm.row_bus import power_command_layout
from openppu.hbm.settings import settings_layout
from openppu.hbm.timers import allowed, countdown

POWER_COUNTERS = ("power_down", "self_refresh", "power_downs", "self_refreshes")
"""Clocks in power-down, in self-refresh, and how often either was entered."""


def power_layout() -> data.StructLayout:
    """The counters of a channel's power states; each wraps round."""
    return data.StructLayout(dict.fromkeys(POWER_COUNTERS, COUNTER_BITS))


class Power(wiring.Component):
    """Sends a channel to sleep once nothing has come for as long as the settings say, and wakes it.

    It stops both pseudo-channels, and sends PDE when their banks are closed and the last word has passed, or SRE when
    the banks have settled, too. Power-down ends for work, for the PHY, for refreshes that are urgent, and for
    self-refresh; the channel goes back to it once these refreshes are done. Self-refresh ends for work and the PHY.
    Entry and exit stand in the slot from which the first command afterwards comes at the start of a clock, so they are
    whole clocks apart.

    Once the memory was too hot (``catastrophic``), the channel goes to self-refresh as soon as what it has taken in is
    done, whatever the settings say, and wakes for nothing but that.

    Latency: a command goes to the row bus in the same clock, and is there, with ``cke``, in the next.

    Members
    -------
    settings : In(settings_layout)
    enable : In(1)
        The device takes commands.
    work : In(1)
        A pseudo-channel has something to do.
    requests : In(1)
        A request waits at a port.
    update : In(1)
        The PHY asks for a quiet bus.
    catastrophic : In(1)
        As in `openppu.hbm.phy.PhySignature`.
    urgent, paid : In(a bit a pseudo-channel)
        As of `openppu.hbm.refresh.RefreshTimer`.
    closed, stopped : In(1)
        All banks are closed; and could be activated in slot 0: as of `openppu.hbm.refresh.RefreshTimer`.
    reads, writes : In(a bit a pseudo-channel)
        An RD, a WR is on the column bus.
    stop : Out(1)
        To both pseudo-channels.
    command : Out(power_command_layout)
        To the row bus.
    cke : Out(1)
        A register.
    asleep : Out(1)
        In self-refresh: no refresh becomes due.
    quiet : Out(1)
        The bus may be left to the PHY.
    overheated : Out(1)
        ``catastrophic`` has been seen. A register.
    counters : Out(power_layout)
    """

    def __init__(self):
        inputs = ("enable", "work", "requests", "update", "catastrophic", "closed", "stopped")
        super().__init__(
            {
                "settings": In(settings_layout()),
                **{name: In(1) for name in inputs},
                **{name: In(PSEUDO_CHANNELS) for name in ("urgent", "paid", "reads", "writes")},
                "stop": Out(1),
                "command": Out(power_command_layout()),
                "cke": Out(1, init=1),
                **{name: Out(1) for name in ("asleep", "quiet", "overheated")},
                "counters": Out(power_layout()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        settings, timing, command, counters = self.settings, self.settings.timing, self.command, self.counters

        # What is wanted.
        busy = Signal()
        idle = Signal(len(settings.self_refresh_after))
        owing = Signal()
        want_down, want_self, sleepy = Signal(), Signal(), Signal()
        m.d.comb += [
            busy.eq(self.work | self.update | (self.requests & ~self.overheated)),
            want_down.eq(settings.power_down_after.any() & (idle >= settings.power_down_after)),
            want_self.eq((settings.self_refresh_after.any() & (idle >= settings.self_refresh_after)) | self.overheated),
            sleepy.eq(~busy & ~owing & (want_down | want_self)),
        ]
        with m.If(self.catastrophic):
            m.d.sync += self.overheated.eq(1)
        with m.If(busy | ~self.enable):
            m.d.sync += idle.eq(0)
        with m.Elif(~idle.all()):
            m.d.sync += idle.eq(idle + 1)
        # Refreshes that were put off are done all together.
        with m.If(self.urgent.any()):
            m.d.sync += owing.eq(1)
        with m.Elif(self.paid.all()):
            m.d.sync += owing.eq(0)

        # When it may be.
        slots = {RowCommand.PDE: timing.tXP[0], RowCommand.SRE: timing.tXS[0]}
        slots |= {RowCommand.PDX: slots[RowCommand.PDE], RowCommand.SRX: slots[RowCommand.SRE]}
        is_command = {code: command.command == code for code in slots}
        with m.Switch(command.command):
            for code, slot in slots.items():
                with m.Case(code):
                    m.d.comb += command.slot.eq(slot)
        # What is chosen in this clock comes a clock after what is on the bus: so the burst, 2 CK, is left out.
        events = [
            (strobe[pc], latency, pc)
            for strobe, latency in ((self.reads, timing.RL), (self.writes, timing.WL + timing.tWR))
            for pc in range(PSEUDO_CHANNELS)
        ]
        data_left = countdown(m, "data_left", *events)
        least_left = countdown(
            m,
            "least_left",
            *((is_command[code], timing.tCKE, slots[code]) for code in (RowCommand.PDE, RowCommand.SRE)),
        )
        wake_left = countdown(
            m,
            "wake_left",
            (is_command[RowCommand.PDX], timing.tXP, slots[RowCommand.PDX]),
            (is_command[RowCommand.SRX], timing.tXS, slots[RowCommand.SRX]),
            bits=TIMING_BITS,
        )

        def send(code, following):
            m.d.comb += command.command.eq(code)
            m.d.sync += self.cke.eq(following == "wake")
            m.next = following

        m.d.comb += self.stop.eq(1)
        with m.FSM():
            with m.State("awake"):
                m.d.comb += [self.stop.eq(0), self.quiet.eq(1)]
                with m.If(sleepy & self.enable):
                    m.next = "stop"
            with m.State("stop"):
                with m.If(~sleepy):
                    m.next = "awake"
                with m.Elif(want_self & self.stopped & allowed(data_left, 0)):
                    send(RowCommand.SRE, "self_refresh")
                    m.d.sync += counters.self_refreshes.eq(counters.self_refreshes + 1)
                with m.Elif(~want_self & self.closed & allowed(data_left, 0)):
                    send(RowCommand.PDE, "power_down")
                    m.d.sync += counters.power_downs.eq(counters.power_downs + 1)
            with m.State("power_down"):
                m.d.sync += counters.power_down.eq(counters.power_down + 1)
                with m.If((busy | owing | want_self) & allowed(least_left, slots[RowCommand.PDX])):
                    send(RowCommand.PDX, "wake")
            with m.State("self_refresh"):
                m.d.sync += counters.self_refresh.eq(counters.self_refresh + 1)
                m.d.comb += [self.asleep.eq(1), self.quiet.eq(self.overheated)]
                leave = Mux(self.overheated, self.work & ~self.update, busy)
                with m.If(leave & allowed(least_left, slots[RowCommand.SRX])):
                    send(RowCommand.SRX, "wake")
            with m.State("wake"):
                # From the next clock on, any command may come.
                with m.If(wake_left <= 2):
                    with m.If(sleepy):
                        m.next = "stop"
                    with m.Else():
                        m.next = "awake"
        return m
