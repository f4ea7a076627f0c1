"""Proofs of small parts of the memory controller: the error-correcting code, slots, turns."""

from amaranth import Mux, Signal
from amaranth.hdl import Assume
from openppu.common.choose import RoundRobin
from openppu.common.secded import CHECK_BITS, DATA_BITS, SecdedCorrect, check_bits
from openppu.hbm.slots import Slots

from openppu_verif.formal.harness import Harness
from openppu_verif.formal.probe import Probe

WORD_BITS = DATA_BITS + CHECK_BITS


def secded() -> Harness:
    """Any word with none, any one, or any two of its 72 bits wrong is corrected, or told to be uncorrectable."""
    h = Harness()
    h.m.submodules.dut = correct = SecdedCorrect()
    # A register, since the provers want one.
    right = Signal(DATA_BITS)
    h.m.d.sync += right.eq(h.free("data", DATA_BITS))
    wrong = Signal(WORD_BITS)
    read = Signal(DATA_BITS)
    check = Signal(CHECK_BITS)
    places = [h.free(f"place_{number}", WORD_BITS) for number in range(2)]
    # Each place is no bit, or one.
    h.m.d.comb += [Assume((place & (place - 1)[:WORD_BITS]) == 0) for place in places]
    h.m.d.comb += [
        wrong.eq(places[0] ^ places[1]),
        read.eq(right ^ wrong),
        check.eq(check_bits(right) ^ wrong[DATA_BITS:]),
        correct.i.eq(read),
        correct.syndrome.eq(check_bits(read) ^ check),
    ]
    several = (wrong & (wrong - 1)[:WORD_BITS]) != 0
    h.check(correct.uncorrectable == several, correct.corrected == (wrong.any() & ~several))
    h.check(correct.o == Mux(several, read, right))
    return h


def slots() -> Harness:
    """A slot is offered only while nobody has it, and none is ever lost."""
    h = Harness()
    m = h.m
    count = 5
    probe = Probe(Slots(count))
    m.submodules.dut = probe.fragment
    dut = probe.part("")
    h.drive(ready=dut.free.ready, released=dut.released, slot=dut.slot)
    held = Signal(count)
    given, back = Signal(count), Signal(count)
    idle, offered, offer = (probe.signal("", name) for name in ("idle", "offered", "offer"))
    m.d.comb += [
        given.eq(Mux(dut.free.valid & dut.free.ready, 1 << dut.free.payload, 0)),
        back.eq(Mux(dut.released, 1 << dut.slot, 0)),
        # Only what was given comes back.
        Assume((back & ~held) == 0),
        Assume(~dut.released | (dut.slot < count)),
    ]
    m.d.sync += held.eq((held | given) & ~back)
    everywhere = Mux(offered, 1 << offer, 0)[:count]
    h.check((held & (1 << dut.free.payload)) == 0, when=dut.free.valid)
    h.check(idle & held == 0, idle & everywhere == 0, (idle | held | everywhere) == (1 << count) - 1)
    h.check(offer < count, when=offered)
    return h


def turns() -> Harness:
    """While a request waits, every other one is served at most once."""
    h = Harness()
    m = h.m
    width = 5
    m.submodules.dut = dut = RoundRobin(width)
    h.drive(requests=dut.requests, served=dut.served)
    chosen = h.fixed("chosen", 3)
    before = Signal(width)
    now = Signal(width)
    m.d.comb += [Assume(chosen < width), now.eq(Mux(dut.served & dut.valid, 1 << dut.pick, 0))]
    waits = (dut.requests >> chosen)[0]
    m.d.sync += before.eq(Mux(waits & ~(now >> chosen)[0], before | now, 0))
    h.check((now & before) == 0, when=waits)
    h.check(dut.valid == dut.requests.any())
    h.check((dut.requests >> dut.pick)[0], when=dut.valid)
    return h
