"""Who a chip is waiting for."""

from amaranth import Array, Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.choose import lowest
from openppu.link.config import CHANNELS
from openppu.link.layouts import CHIP_BITS, HOP_BITS

PERIOD_BITS = 24


def waiting_layout() -> data.StructLayout:
    """Of the lowest ``port`` and ``channel`` whose packet has waited for a period, if ``valid``: where it goes."""
    return data.StructLayout(
        {"valid": 1, "port": HOP_BITS, "channel": range(CHANNELS), "destination": CHIP_BITS, "source": CHIP_BITS}
    )


def departure_layout() -> data.StructLayout:
    """A channel of a port: whether a word is ``offered``, ``taken``, the ``first`` of a packet, and its two chips."""
    return data.StructLayout({"offered": 1, "taken": 1, "first": 1, "destination": CHIP_BITS, "source": CHIP_BITS})


class Waiting(wiring.Component):
    """Finds the channels of ports in which nothing has moved for a period, though there is something to send.

    Parameters
    ----------
    ports : int, at least 1

    Members
    -------
    departures : In(departure_layout()), array by port and channel
    period : In(PERIOD_BITS)
        In clocks; 0: it is not watched.
    stuck : Out, a bit for each channel of each port
        It has waited for one to two periods.
    who : Out(waiting_layout())
        A clock later.
    """

    def __init__(self, ports: int):
        if ports < 1:
            raise ValueError(f"Waiting ports = {ports}: give at least 1")
        self.ports = ports
        super().__init__(
            {
                "departures": In(departure_layout()).array(ports, CHANNELS),
                "period": In(PERIOD_BITS),
                "stuck": Out(data.ArrayLayout(CHANNELS, ports)),
                "who": Out(waiting_layout()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        time = Signal(PERIOD_BITS)
        tick = Signal()
        m.d.comb += tick.eq((self.period != 0) & (time + 1 >= self.period))
        with m.If(tick | (self.period == 0)):
            m.d.sync += time.eq(0)
        with m.Else():
            m.d.sync += time.eq(time + 1)

        # A channel that has not moved since a tick is old; at the next one it is stuck.
        chips = data.StructLayout({"destination": CHIP_BITS, "source": CHIP_BITS})
        sources, stuck = [], []
        for port in range(self.ports):
            for channel in range(CHANNELS):
                one = self.departures[port][channel]
                waits, old, is_stuck = (Signal(name=f"{name}_{port}_{channel}") for name in ("waits", "old", "stuck"))
                ends = Signal(chips, name=f"chips_{port}_{channel}")
                m.d.comb += waits.eq(one.offered & ~one.taken)
                with m.If(one.offered & one.first):
                    m.d.sync += [ends.destination.eq(one.destination), ends.source.eq(one.source)]
                with m.If(~waits):
                    m.d.sync += [old.eq(0), is_stuck.eq(0)]
                with m.Elif(tick):
                    m.d.sync += [old.eq(1), is_stuck.eq(old)]
                sources.append(ends)
                stuck.append(is_stuck)
        m.d.comb += self.stuck.eq(Cat(stuck))

        index = lowest(m, stuck, name="first_stuck")
        who = Signal(waiting_layout())
        ends = Signal(chips)
        m.d.comb += [
            ends.eq(Array(sources)[index]),
            who.valid.eq(Cat(stuck).any()),
            who.port.eq(Array(place // CHANNELS for place in range(len(stuck)))[index]),
            who.channel.eq(Array(place % CHANNELS for place in range(len(stuck)))[index]),
            who.destination.eq(ends.destination),
            who.source.eq(ends.source),
        ]
        m.d.sync += self.who.eq(who)
        return m
