"""Which mutations a run of the netlist as it was would have met."""

import subprocess
from pathlib import Path

import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from openppu.common.shared import shared
from openppu.verilog import Emission
from openppu_sim.simulator.verilator import build
from openppu_verif.mutation.hierarchy import joined_again, module_ports, with_control
from openppu_verif.mutation.netlist import CONTROL, Area, Mutation, mutate
from openppu_verif.mutation.reach import WATCH, mutations_of, told, watched

TOP = "sums"
COUNT = 30
MAIN = """\
#include <cstdio>
#include <cstdlib>
#include "Vtop.h"
#include "verilated.h"
int main(int, char** arguments) {
  VerilatedContext context;
  Vtop top(&context);
  unsigned random = 1;
  top.mutsel = static_cast<unsigned>(std::atoi(arguments[1]));
  for (int cycle = 0; cycle < 60; ++cycle) {
    random = random * 1103515245 + 12345;
    top.a = random >> 16 & static_cast<unsigned>(std::atoi(arguments[2]));
    top.rst = cycle == 0;
    for (int level : {0, 1}) top.clk = level, top.eval();
    std::printf("%u\\n", static_cast<unsigned>(top.total));
  }
}
"""


class Double(wiring.Component):
    """Twice a number, without a register."""

    def __init__(self):
        super().__init__({"a": In(8), "twice": Out(9)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.twice.eq(self.a + self.a)
        return m


class Sums(wiring.Component):
    """Adds up twice what it is given; above 100 it begins anew."""

    def __init__(self):
        super().__init__({"a": In(8), "total": Out(12)})

    def elaborate(self, platform):
        m = Module()
        double = Double()
        m.submodules.double = shared(double, platform)
        m.d.comb += double.a.eq(self.a)
        m.d.sync += self.total.eq(self.total + double.twice)
        with m.If(self.a > 100):
            m.d.sync += self.total.eq(self.a ^ self.total)
        return m


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[Mutation, ...]]:
    """A folder with the sums, both of whose modules have mutations."""
    folder = tmp_path_factory.mktemp("reach")
    rtlil = "\n".join(text for _, text in Emission(TOP).rtlil(Sums()))
    (folder / "sums.il").write_text(with_control(rtlil, lambda module: module, top=TOP))
    areas = tuple(Area(name, f"A:area={name}", 0.5) for name in (TOP, "sums_double"))
    return folder, mutate(folder / "sums.il", top=TOP, areas=areas, count=COUNT, seed=3, folder=folder)


@pytest.fixture(scope="module")
def executable(broken: tuple[Path, tuple[Mutation, ...]], build_root: Path) -> Path:
    """A model that takes a mutation and a mask of its numbers, and prints all sums."""
    (broken[0] / "main.cpp").write_text(MAIN)
    return build([watched(broken[0])], TOP, build_root, cpp_main=broken[0] / "main.cpp")


def run(executable: Path, number: int, mask: int) -> tuple[str, set[int]]:
    """What it prints, and which mutations it tells of."""
    done = subprocess.run([executable, str(number), str(mask)], capture_output=True, text=True, check=True)
    return done.stdout, told(done.stderr)


def test_a_module_without_a_register_has_a_clock_too(broken: tuple[Path, tuple[Mutation, ...]]) -> None:
    ports = module_ports((broken[0] / "mutated.il").read_text())
    assert {"clk", CONTROL} <= set(ports["sums_double"])


def test_the_clock_and_the_choice_are_joined_again(broken: tuple[Path, tuple[Mutation, ...]]) -> None:
    pins = [f"    connect \\{name} \\{name}\n" for name in ("clk", CONTROL)]
    whole = joined_again((broken[0] / "mutated.il").read_text())
    assert [whole.count(pin) for pin in pins] == [1, 1]
    assert joined_again(whole.replace(pins[0], "").replace(pins[1], "    connect \\mutsel 12'x\n")) == whole


def test_each_mutation_is_in_its_module(broken: tuple[Path, tuple[Mutation, ...]]) -> None:
    folder, found = broken
    of = mutations_of((folder / "mutated.il").read_text())
    assert {each.module for each in found} == {TOP, "sums_double"}
    assert all(each.number in of[each.module] for each in found)


@pytest.mark.parametrize("mask", [0, 1, 255])
def test_what_changes_a_result_is_told_of(
    executable: Path, broken: tuple[Path, tuple[Mutation, ...]], mask: int
) -> None:
    plain, nothing = run(executable, 0, mask)
    assert not nothing
    watching, reached = run(executable, WATCH, mask)
    assert watching == plain
    changing = {each.number for each in broken[1] if run(executable, each.number, mask)[0] != plain}
    assert changing
    assert changing <= reached


def test_what_makes_no_difference_is_not_told_of(executable: Path, broken: tuple[Path, tuple[Mutation, ...]]) -> None:
    every = {each.number for each in broken[1]}
    few, many = (run(executable, WATCH, mask)[1] for mask in (0, 255))
    assert few < many <= every
