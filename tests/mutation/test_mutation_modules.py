"""Mutations of a netlist of several modules: chosen by one input, and proved of one module alone."""

from pathlib import Path

import broken_adder as adder
import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from openppu.common.shared import shared
from openppu.verilog import Emission
from openppu_verif.mutation.equivalence import Equivalence
from openppu_verif.mutation.hierarchy import instances_of, module_alone, module_ports, with_control
from openppu_verif.mutation.netlist import CONTROL, Area, Mutation, mutate, run_yosys
from openppu_verif.mutation.scopes import Scopes, settle
from openppu_verif.native.model import Port
from openppu_verif.native.model import module_ports as verilog_ports

TOP = "pair"
COUNT = 24
FLATTEN = """\
read_rtlil whole.il
hierarchy -top pair
setattr -mod -unset keep_hierarchy *
flatten
write_rtlil mutated.il
"""


class Pair(wiring.Component):
    """Two adders, which add up the same in other ways."""

    def __init__(self):
        super().__init__({"a": In(8), "b": In(8), "total": Out(9), "same": Out(8)})

    def elaborate(self, platform):
        m = Module()
        parts = [adder.Adder() for _ in range(2)]
        for number, part in enumerate(parts):
            m.submodules[f"adder_{number}"] = shared(part, platform)
            m.d.comb += [part.a.eq(self.a), part.b.eq(self.b), part.enable.eq(self.b[number])]
        m.d.comb += [self.total.eq(parts[0].total + parts[1].total), self.same.eq(parts[0].same)]
        return m


@pytest.fixture(scope="module")
def rtlil() -> str:
    """Of a pair."""
    return "\n".join(text for _, text in Emission(TOP).rtlil(Pair()))


@pytest.fixture(scope="module")
def broken(rtlil: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[Mutation, ...]]:
    """A folder with a pair whose adder has mutations."""
    folder = tmp_path_factory.mktemp("pair")
    (folder / "pair.il").write_text(with_control(rtlil, {"pair_adder": "sums"}.get, top=TOP))
    areas = (Area("sums", "A:area=sums", 1.0),)
    found = mutate(folder / "pair.il", top=TOP, areas=areas, count=COUNT, seed=1, folder=folder)
    return folder, found


def test_every_module_passes_the_choice_on(rtlil: str) -> None:
    assert instances_of(rtlil) == {"pair": {"pair_adder"}, "pair_adder": set()}
    controlled = with_control(rtlil, {}.get, top=TOP)
    assert {CONTROL in ports for ports in module_ports(controlled).values()} == {True}
    assert controlled.count(f"connect \\{CONTROL} \\{CONTROL}") == 2
    assert "keep_hierarchy" not in controlled


def test_an_instance_of_no_module_is_told(rtlil: str) -> None:
    with pytest.raises(ValueError, match="module pair: no module other"):
        with_control(rtlil.replace("cell \\pair_adder", "cell \\other"), {}.get, top=TOP)


def test_of_a_box_the_ports_stay_and_what_is_not_used_goes(rtlil: str) -> None:
    ports = module_ports(rtlil)
    boxed = with_control(rtlil, {}.get, top=TOP, boxes=["pair_adder"])
    assert module_ports(boxed)["pair_adder"] == ports["pair_adder"]
    assert "blackbox" in boxed
    assert boxed.count("$add") == 1
    assert f"connect \\{CONTROL}" not in boxed
    assert set(module_ports(with_control(rtlil, {}.get, top="pair_adder"))) == {"pair_adder"}


def test_a_module_stays_a_module_and_is_broken_once_for_all_its_uses(broken: tuple[Path, tuple[Mutation, ...]]) -> None:
    folder, found = broken
    assert len(found) == COUNT
    assert {mutation.module for mutation in found} == {"pair_adder"}
    modules = verilog_ports((folder / "mutated.v").read_text(encoding="ascii"))
    assert set(modules) == {"pair", "pair_adder"}
    assert Port("input", "[11:0]", CONTROL) in modules["pair"]
    assert Port("output", "[7:0]", "total") in modules["pair_adder"]


def test_a_module_alone_has_the_ports_of_what_it_used(broken: tuple[Path, tuple[Mutation, ...]]) -> None:
    whole = (broken[0] / "mutated.il").read_text(encoding="ascii")
    alone = module_ports(module_alone(whole, TOP))
    assert set(alone) == {TOP}
    assert alone[TOP]["cut_1_a"] == ("output", 8)
    assert alone[TOP]["cut_2_total"] == ("input", 8)
    assert not any(CONTROL in name for name in alone[TOP] if name.startswith("cut"))


def test_a_proof_is_about_a_module_then_about_those_that_use_it(broken: tuple[Path, tuple[Mutation, ...]]) -> None:
    text = settle(broken[0], TOP)
    scopes = Scopes(text, most=len(text))
    alone, above = ("pair_adder", frozenset()), ("pair", frozenset({"pair_adder"}))
    assert [scopes.of("pair_adder", level) for level in range(4)] == [[alone], [alone], [above], []]
    assert Scopes(text, most=100).of("pair_adder", 2) == []


@pytest.mark.parametrize("level", [0, 2])
def test_what_is_proved_of_a_module_is_so_of_the_whole(broken: tuple[Path, tuple[Mutation, ...]], level: int) -> None:
    folder, found = broken
    text = settle(folder, TOP)
    ((top, kept),) = Scopes(text, most=len(text)).of("pair_adder", level)
    alone = Equivalence(top=top, folder=folder, alone=True, kept=kept)
    assert alone.prove(0) == "the same gates"
    proved = {each.number for each in found if alone.prove(each.number, seconds=2)}
    assert proved
    assert proved < {each.number for each in found}
    flat = folder / "flat"
    flat.mkdir(exist_ok=True)
    (flat / "whole.il").write_bytes((folder / "mutated.il").read_bytes())
    run_yosys(FLATTEN, flat)
    whole = Equivalence(top=TOP, folder=flat)
    assert all(whole.prove(number, seconds=2) for number in proved), proved
