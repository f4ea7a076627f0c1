"""Distances between commands, kept as counters of memory clocks.

A counter says how many memory clocks (CK) after slot 0 of the present controller clock a command may come: one in slot
``f`` is allowed if the counter is at most ``f``. A command in slot ``f``, with latency ``L`` to what the counter
guards, leaves ``L + f - 2`` for the next clock; so odd latencies cost nothing.
"""

from amaranth import Module, Mux, Signal, Value, ValueLike
from amaranth.lib import data

from openppu.hbm.device import BURST

BITS = 10
"""Width of a counter: latencies up to 1023 - 1 CK, but for tRFC's, which has TIMING_BITS."""


def countdown(m: Module, name: str, *events: tuple[ValueLike, Value, ValueLike], bits: int = BITS) -> Signal:
    """A counter in module ``m``; the strictest of its events holds.

    Parameters
    ----------
    m : Module
    name : str
        Of the register.
    events : tuple of strobe, latency in CK, and slot (0 or 1)
        A command in this clock.
    bits : int
        Width.

    Returns
    -------
    Signal
        CK from slot 0 of this clock until the command it guards is allowed.
    """
    left = Signal(bits, name=name)
    after = Mux(left > 2, left - 2, 0)[:bits]
    for place, (strobe, latency, slot) in enumerate(events):
        start = Signal(bits + 1, name=f"{name}_start_{place}")
        m.d.comb += start.eq(Mux(latency + slot > 2, latency + slot - 2, 0))
        after = Mux(strobe & (start > after), start, after)[:bits]
    m.d.sync += left.eq(after)
    return left


def allowed(left: Value, slot: int | Value) -> Value:
    """Whether a counter lets a command into slot 0 or 1 of this clock."""
    if isinstance(slot, int):
        return left[slot:] == 0
    return (left[1:] == 0) & (slot | ~left[0])


def latencies_layout() -> data.StructLayout:
    """Latencies of a bank, in CK: from one command to another, as in the table of ``docs/hbm.md``."""
    return data.StructLayout(
        {
            "act_act": BITS,
            "act_rd": BITS,
            "act_wr": BITS,
            "act_pre": BITS,
            "pre_act": BITS,
            "rd_pre": BITS,
            "wr_pre": BITS,
            "rda_act": BITS,
            "wra_act": BITS,
            "refsb_act": BITS,
        }
    )


def bank_latencies(timing: data.View) -> dict[str, Value]:
    """The fields of `latencies_layout` from the settings' ``timing``."""
    write_end = timing.WL + BURST
    return {
        "act_act": timing.tRC,
        "act_rd": timing.tRCDRD + 1,
        "act_wr": timing.tRCDWR + 1,
        "act_pre": timing.tRAS + 1,
        "pre_act": timing.tRP,
        "rd_pre": timing.tRTP,
        "wr_pre": write_end + timing.tWR,
        "rda_act": timing.tRTP + timing.tRP,
        "wra_act": write_end + timing.tWR + timing.tRP,
        "refsb_act": timing.tRFCSB,
    }
