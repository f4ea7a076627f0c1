"""Proofs of the network: packets stay whole, nothing is lost or doubled at an output, a read's slot is its own."""

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.hdl import Assume
from amaranth.lib import data
from openppu.hbm.stacks import HbmConfig
from openppu.noc.config import NocConfig
from openppu.noc.plan import Plan
from openppu.noc.reorder import Reorder
from openppu.noc.turns import Turns
from openppu.scratchpad.config import ScratchpadConfig

from openppu_verif.formal.harness import Harness, ones

STREAMS = 3
FLIT = data.StructLayout({"data": 3, "end": 1})


def _turns(*, whole: bool) -> tuple[Harness, Turns, Signal]:
    """An output of a router with any inputs; what passes in a cycle, a bit a stream."""
    h = Harness()
    m = h.m
    m.submodules.dut = dut = Turns(FLIT, count=STREAMS, whole=whole)
    for place, flits in enumerate(dut.flits):
        h.source(f"flits_{place}", flits)
        _keeps(h, m, f"flits_{place}", flits)
    h.drive(ready=dut.merged.ready)
    passes = Signal(STREAMS)
    m.d.comb += passes.eq(Cat(flits.valid & flits.ready for flits in dut.flits))
    h.check(ones(passes) == (dut.merged.valid & dut.merged.ready))
    for place, flits in enumerate(dut.flits):
        h.check(dut.merged.payload.as_value() == flits.payload.as_value(), when=passes[place])
    h.check_waits("merged", dut.merged)
    return h, dut, passes


def _keeps(h: Harness, m: Module, name: str, flits) -> None:
    """What is offered stays until it is taken."""
    waits, kept = Signal(name=f"{name}_waits"), Signal(FLIT.size, name=f"{name}_kept")
    payload = flits.payload.as_value()
    m.d.sync += [waits.eq(flits.valid & ~flits.ready), kept.eq(payload)]
    m.d.comb += Assume(~waits | (flits.valid & (payload == kept)))


def whole_packets() -> Harness:
    """From first to last flit of a packet those of no other pass; whoever waits is passed by one packet of each."""
    h, dut, passes = _turns(whole=True)
    m = h.m
    inside, owner = Signal(), Signal(range(STREAMS))
    for place, flits in enumerate(dut.flits):
        h.check(~inside | (owner == place), when=passes[place])
        with m.If(passes[place]):
            m.d.sync += [inside.eq(~flits.payload.end), owner.eq(place)]
    chosen = h.fixed("chosen", 2)
    m.d.comb += Assume(chosen < STREAMS)
    valid = Array(flits.valid for flits in dut.flits)[chosen]
    ends = passes.any() & dut.merged.payload.end
    others = Signal(range(STREAMS + 2))
    waits = valid & ~Array(passes)[chosen]
    m.d.sync += others.eq(Mux(waits, others + ends, 0))
    # The packet that was under way, and one of each other stream.
    h.check(others + ends <= STREAMS, when=waits)
    return h


def single_flits() -> Harness:
    """Every flit passes once, as it was offered; a packet goes on while it has a next flit."""
    h, dut, passes = _turns(whole=False)
    m = h.m
    goes_on, owner = Signal(), Signal(range(STREAMS))
    for place, flits in enumerate(dut.flits):
        with m.If(passes[place]):
            m.d.sync += [goes_on.eq(~flits.payload.end), owner.eq(place)]
    h.check(
        Array(passes)[owner],
        when=goes_on
        & passes.any()
        & Array(flits.valid for flits in dut.flits)[owner]
        & ~h.history(dut.merged.valid & ~dut.merged.ready, 1, "offered")[-1],
    )
    return h


PLAN = Plan(
    noc=NocConfig(slots=2, writes=2),
    hbm=HbmConfig(stacks=1, channels=1, height=4, ports=1, tags=2),
    scratchpad=ScratchpadConfig(banks=1, bank_words=16, word_bytes=32),
    initiators=1,
    tags=2,
)


def slots() -> Harness:
    """A slot is given again when all of its words are out; what goes out are the words of the oldest, in order."""
    h = Harness()
    m = h.m
    m.submodules.dut = dut = Reorder(PLAN)
    h.source("asks", dut.asks)
    h.drive(arrives=dut.arrives, arrival=dut.arrival, ready=dut.responses.ready)
    takes = dut.asks.valid & dut.asks.ready
    # What is asked for, per slot, as the network would know it: words that may still come.
    due = [Signal(8, name=f"due_{slot}") for slot in range(2)]
    words = Signal(8)
    m.d.comb += words.eq(((2 << dut.asks.payload.last) - 1)[:8])
    arrival = dut.arrival
    comes = Signal(8)
    m.d.comb += comes.eq(Mux(dut.arrives, 1 << arrival.word, 0))
    for slot, left in enumerate(due):
        given = takes & (dut.slot == slot)
        mine = dut.arrives & (arrival.slot == slot)
        m.d.comb += Assume(~mine | ((left & comes) != 0))
        h.check(left == 0, when=given)
        with m.If(given):
            m.d.sync += left.eq(Mux(dut.asks.payload.bad, 0, words))
        with m.Elif(mine):
            m.d.sync += left.eq(left & ~comes)
    # So many words are asked for and not out: those of both slots, and one that has left its slot.
    asked = Signal(range(32))
    goes = dut.responses.valid & dut.responses.ready
    m.d.sync += asked.eq(asked + Mux(takes, dut.asks.payload.last + 1, 0) - goes)
    h.check(asked != 0, when=dut.responses.valid)
    h.check(asked <= 17)
    h.check_waits("responses_tags", _Tags(dut.responses))
    return h


class _Tags:
    """A stream without its data, which a memory keeps."""

    def __init__(self, responses) -> None:
        self.valid, self.ready = responses.valid, responses.ready
        self.payload = Cat(responses.payload.tag, responses.payload.last)
