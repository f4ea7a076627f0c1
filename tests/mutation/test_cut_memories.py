"""Proofs of equivalence with the memories cut out: never of what the whole netlist shows to be untrue."""

from pathlib import Path

import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from openppu.config import load
from openppu.verilog import emit
from openppu_verif.mutation.cut import cut_memories
from openppu_verif.mutation.equivalence import Equivalence
from openppu_verif.mutation.netlist import Area, Mutation, mutate

TOP, BITS, DEPTH = "store", 4, 4


class Store(wiring.Component):
    """A memory whose upper half of a word is never written; ``same`` is the place, in a long-winded way.

    Latency: 1 cycle. Throughput: a word in and one out a cycle.
    """

    def __init__(self):
        place = range(DEPTH)
        super().__init__(
            {"write": In(1), "to": In(place), "i": In(BITS), "at": In(place), "o": Out(BITS), "same": Out(place)}
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=BITS, depth=DEPTH, init=[])
        write, read = memory.write_port(granularity=BITS // 2), memory.read_port()
        m.d.comb += [
            write.addr.eq(self.to),
            write.data.eq(self.i),
            write.en.eq(self.write),
            read.addr.eq(self.at),
            self.o.eq(read.data),
            self.same.eq(self.at & (self.at | self.to)),
        ]
        return m


class Halves(wiring.Component):
    """A memory whose upper half of a word nobody reads.

    Latency: 1 cycle. Throughput: a word in and one out a cycle.
    """

    def __init__(self):
        place = range(DEPTH)
        super().__init__({"to": In(place), "i": In(BITS), "j": In(BITS), "at": In(place), "o": Out(BITS // 2)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=BITS, depth=DEPTH, init=[])
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [
            write.addr.eq(self.to),
            write.data.eq(self.i & self.j),
            write.en.eq(1),
            read.addr.eq(self.at),
            self.o.eq(read.data),
        ]
        return m


@pytest.fixture(scope="module")
def mutations(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[Mutation, ...]]:
    """A folder with the netlist, and its mutations."""
    folder = tmp_path_factory.mktemp("store")
    path = folder / f"{TOP}.v"
    emit(Store(), top=TOP, config=load("tiny")).write(path)
    areas = (Area("all", "c:* t:$memrd* %d", 1.0),)
    return folder, mutate(path, top=TOP, areas=areas, count=8, seed=2, folder=folder)


def test_no_memory_is_left(mutations: tuple[Path, tuple[Mutation, ...]]) -> None:
    whole = (mutations[0] / "mutated.il").read_text(encoding="ascii")
    left = cut_memories(whole)
    assert "$mem" in whole
    assert "cell $mem" not in left
    assert "memory " not in left
    assert left.count(" input 10") == whole.count("cell $memrd")


def test_what_is_proved_without_the_memories_is_so_with_them(mutations: tuple[Path, tuple[Mutation, ...]]) -> None:
    folder, found = mutations
    without = Equivalence(top=TOP, folder=folder, cut=True)
    proved = {each.number for each in found if without.prove(each.number, seconds=2)}
    assert without.prove(0) == "the same gates"
    whole = Equivalence(top=TOP, folder=folder)
    assert proved
    assert proved < {each.number for each in found}
    assert all(whole.prove(number, seconds=2) for number in proved), proved


def test_a_memory_may_be_told_something_else_if_nobody_looks_at_what_comes_of_it(tmp_path: Path) -> None:
    path = tmp_path / "halves.v"
    emit(Halves(), top="halves", config=load("tiny")).write(path)
    found = mutate(path, top="halves", areas=(Area("all", "t:$and", 1.0),), count=16, seed=1, folder=tmp_path)
    without = Equivalence(top="halves", folder=tmp_path, cut=True)
    unseen = {each.number for each in found if int(each.what.split("[")[1].split("]")[0]) >= BITS // 2}
    proved = {each.number for each in found if without.prove(each.number, seconds=2)}
    assert unseen
    assert unseen <= proved
    whole = Equivalence(top="halves", folder=tmp_path)
    assert all(whole.prove(number, seconds=2) for number in proved), proved
    assert proved < {each.number for each in found}
