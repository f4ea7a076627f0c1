"""Proofs of equivalence where a difference first comes many cycles after the reset."""

from pathlib import Path

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from openppu.config import load
from openppu.verilog import emit
from openppu_verif.mutation.equivalence import Equivalence
from openppu_verif.mutation.netlist import Area, mutate

TOP, BITS, LATE = "late", 4, 63


class Late(wiring.Component):
    """Holds words from some cycles after the reset on, and shows one whenever both bits of a ring are set: never."""

    def __init__(self):
        super().__init__({"i": In(BITS), "j": In(BITS), "o": Out(BITS)})

    def elaborate(self, platform):
        m = Module()
        count, held, ring = Signal(range(LATE + 1)), Signal(BITS), Signal(2, init=1)
        m.d.sync += ring.eq(Cat(ring[1], ring[0]))
        with m.If(count == LATE):
            m.d.sync += held.eq(self.i & self.j)
        with m.Else():
            m.d.sync += count.eq(count + 1)
        m.d.comb += self.o.eq(Mux(ring == 3, held, 0))
        return m


def test_what_differs_late_and_is_never_seen_is_proved_to_be_so(tmp_path: Path) -> None:
    path = tmp_path / f"{TOP}.v"
    emit(Late(), top=TOP, config=load("tiny")).write(path)
    found = mutate(path, top=TOP, areas=(Area("all", "t:$and", 1.0),), count=2, seed=1, folder=tmp_path)
    equivalence = Equivalence(top=TOP, folder=tmp_path)
    assert {equivalence.prove(each.number, seconds=4) for each in found} == {"reachability"}
