"""The proof of the power states: the memory sleeps undisturbed, and wakes for what is to be done."""

from amaranth import Const, Mux, Signal, Value
from amaranth.hdl import Assume
from openppu.hbm.commands import RowCommand
from openppu.hbm.device import BURST
from openppu.hbm.power import Power

from openppu_verif.formal.harness import Harness
from openppu_verif.formal.probe import Probe

BITS = 3
"""Of each latency: any value that they hold."""

FOREVER = 63
"""CK, more than any sum of two latencies."""


def power() -> Harness:
    """Entries and exits keep all distances, nothing else comes between them or too early after, and requests wake."""
    h = Harness()
    m = h.m
    probe = Probe(Power())
    m.submodules.dut = probe.fragment
    dut = probe.part("")
    settings, timing, command = dut.settings, dut.settings.timing, dut.command
    inputs = ("enable", "work", "requests", "update", "catastrophic", "closed", "stopped")
    h.drive(**{name: getattr(dut, name) for name in (*inputs, "urgent", "paid", "reads", "writes")})
    for name in ("power_down_after", "self_refresh_after"):
        m.d.comb += settings[name].eq(h.fixed(name, 2))
    latency = {name: h.fixed(name, BITS) for name in ("RL", "WL", "tWR", "tCKE", "tXP", "tXS")}
    m.d.comb += [timing[name].eq(value) for name, value in latency.items()]
    m.d.comb += [Assume(value != 0) for value in latency.values()]

    # What the pseudo-channels do: one accesses only for work; and one that is stopped and closed stays so (`stop`).
    worked, sealed, settled, enabled = Signal(), Signal(), Signal(), Signal()
    m.d.sync += [
        worked.eq(dut.work),
        sealed.eq(dut.stop & dut.closed),
        settled.eq(dut.stop & dut.stopped),
        enabled.eq(dut.enable),
    ]
    m.d.comb += [
        Assume(worked | ~(dut.reads | dut.writes).any()),
        Assume(~(sealed & dut.stop) | dut.closed),
        Assume(~(settled & dut.stop) | dut.stopped),
        Assume(~dut.stopped | dut.closed),
        Assume(dut.enable | ~enabled),
    ]

    # How long ago things were, in CK, from their slot to slot 0 of this clock.
    def age(name: str, strobe: Value, slot: Value) -> Signal:
        since = Signal(range(FOREVER + 1), init=FOREVER, name=name)
        m.d.sync += since.eq(Mux(strobe, 2 - slot, Mux(since > FOREVER - 2, FOREVER, since + 2)))
        return since

    is_command = {
        "PDE": command.command == RowCommand.PDE,
        "PDX": command.command == RowCommand.PDX,
        "SRE": command.command == RowCommand.SRE,
        "SRX": command.command == RowCommand.SRX,
    }
    entered = age("since_entry", is_command["PDE"] | is_command["SRE"], command.slot)
    woken = {name: age(f"since_{name}", is_command[name], command.slot) for name in ("PDX", "SRX")}
    needs = {"PDX": latency["tXP"], "SRX": latency["tXS"]}
    # Data is on the bus a clock before a command that is chosen together with it.
    passed = []
    for name, strobes, length in (
        ("read", dut.reads, latency["RL"] + BURST),
        ("write", dut.writes, latency["WL"] + BURST + latency["tWR"]),
    ):
        for pc in range(2):
            passed.append((age(f"since_{name}_{pc}", strobes[pc], Const(pc)), length))

    down, sleeps = Signal(), Signal()
    with m.If(is_command["PDE"]):
        m.d.sync += down.eq(1)
    with m.Elif(is_command["PDX"]):
        m.d.sync += down.eq(0)
    with m.If(is_command["SRE"]):
        m.d.sync += sleeps.eq(1)
    with m.Elif(is_command["SRX"]):
        m.d.sync += sleeps.eq(0)

    slot = command.slot
    enters, leaves = is_command["PDE"] | is_command["SRE"], is_command["PDX"] | is_command["SRX"]
    h.check(~down & ~sleeps, dut.closed, dut.stop, when=enters)
    h.check(dut.stopped, when=is_command["SRE"])
    h.check(~(dut.reads | dut.writes).any(), *(since + 2 + slot >= length for since, length in passed), when=enters)
    h.check(*(woken[name] + slot >= needs[name] for name in woken), when=enters)
    h.check(Mux(is_command["PDX"], down, sleeps), entered + slot >= latency["tCKE"], when=leaves)
    h.check(dut.cke == ~(down | sleeps), dut.asleep == sleeps)
    h.check(dut.stop, when=down | sleeps)
    h.check(*(woken[name] >= needs[name] for name in woken), when=~dut.stop)
    h.check((command.command == RowCommand.NOP) | enters | leaves)

    # A request, or whatever else is to be done, wakes the memory.
    wants = dut.enable & Mux(dut.overheated, dut.work & ~dut.update, dut.work | dut.update | dut.requests)
    longest = Mux(latency["tXP"] > latency["tXS"], latency["tXP"], latency["tXS"])
    most = (latency["tCKE"] + 1) // 2 + (longest + 1) // 2 + 1
    waits = Signal(6)
    m.d.sync += waits.eq(Mux(wants & dut.stop, waits + (waits != 63), 0))
    h.check(waits <= most)
    return h
