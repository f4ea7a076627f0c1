"""Distances between commands, kept as counters of memory clocks.

A counter says how many memory clocks (CK) after slot 0 of the present controller clock a command may come: one in slot
``f`` is allowed if the counter is at most ``f``. A command in slot ``f``, with latency ``L`` to what the counter
guards, leaves ``L + f - 2`` for the next clock; so odd latencies cost nothing.
"""

from operator import or_

from amaranth import Cat, Const, Module, Mux, Signal, Value, ValueLike
from amaranth.lib import data

from openppu.hbm.device import BURST
from openppu.hbm.pick import tree

BITS = 10
"""Width of a counter: latencies up to 1023 - 1 CK, but for tRFC's, which has TIMING_BITS."""


def first_slot(latency: Value, slot: ValueLike, *, bits: int = BITS) -> Value:
    """What a counter starts with after a command in ``slot`` (0 or 1), with that latency in CK."""
    return Mux(latency + slot > 2, latency + slot - 2, 0)[:bits]


def counter(m: Module, name: str, *events: tuple[ValueLike, Value], bits: int = BITS) -> Signal:
    """A counter in module ``m`` of which the strictest of all commands so far holds.

    Parameters
    ----------
    m : Module
    name : str
        Of the register.
    events : tuple of strobe and start
        A command in this clock, at most one, and what the counter starts with, from `first_slot`.
    bits : int
        Width.

    Returns
    -------
    Signal
        CK from slot 0 of this clock until the command it guards is allowed.
    """
    begun = Cat(strobe for strobe, _ in events).any()
    start = tree(or_, [Mux(strobe, value, 0) for strobe, value in events])
    # Of commands of one kind, the last is the strictest.
    return _counter(m, name, begun, start, compare=len(events) > 1, bits=bits)


def countdown(m: Module, name: str, *events: tuple[ValueLike, Value, ValueLike], bits: int = BITS) -> Signal:
    """A `counter` whose commands, tuples of strobe, latency in CK, and slot (0 or 1), may come at the same time."""
    starts = [Mux(strobe, first_slot(latency, slot, bits=bits), 0) for strobe, latency, slot in events]
    return _counter(m, name, Const(1), tree(lambda a, b: Mux(a > b, a, b), starts), compare=True, bits=bits)


def _counter(m: Module, name: str, begun: Value, start: Value, *, compare: bool, bits: int) -> Signal:
    left = Signal(bits, name=name)
    less = Signal(bits, name=f"{name}_less")
    new = Signal(bits, name=f"{name}_new")
    m.d.comb += [
        less.eq(Mux(left[1:] == 0, 0, left - 2)),
        new.eq(start),
    ]
    m.d.sync += left.eq(Mux(begun & (new > less) if compare else begun, new, less))
    return left


def allowed(left: Value, slot: int | Value) -> Value:
    """Whether a counter lets a command into slot 0 or 1 of this clock."""
    if isinstance(slot, int):
        return left[slot:] == 0
    return (left[1:] == 0) & (slot | ~left[0])


def starts_layout() -> data.StructLayout:
    """What the counters of a bank start with after a command of this clock, from `first_slot`.

    The first part of a name is the command: ``short`` a PRE or REFSB, ``access`` an RD or WR. The second is the command
    that the counter guards; ``access_act`` holds if the access precharges the bank.
    """
    return data.StructLayout(
        {name: BITS for name in ("act_act", "act_rd", "act_wr", "act_pre", "short_act", "access_act", "access_pre")}
    )


def bank_starts(
    timing: data.View,
    *,
    act_slot: ValueLike,
    refresh: ValueLike,
    short_slot: ValueLike,
    write: ValueLike,
    slot: ValueLike,
) -> dict[str, Value]:
    """The fields of `starts_layout`, from the settings' ``timing`` and the slots of the commands.

    ``refresh``: the other row command is a REFSB, else a PRE. ``write``: the access is a write, in ``slot``.
    """
    write_end = timing.WL + BURST
    recovery = Mux(write, write_end + timing.tWR, timing.tRTP)
    return {
        "act_act": first_slot(timing.tRC, act_slot),
        "act_rd": first_slot(timing.tRCDRD + 1, act_slot),
        "act_wr": first_slot(timing.tRCDWR + 1, act_slot),
        "act_pre": first_slot(timing.tRAS + 1, act_slot),
        "short_act": first_slot(Mux(refresh, timing.tRFCSB, timing.tRP), short_slot),
        "access_act": first_slot(recovery + timing.tRP, slot),
        "access_pre": first_slot(recovery, slot),
    }
