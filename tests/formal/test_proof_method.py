"""The provers themselves: what holds, what does not, and what they say of it."""

from pathlib import Path

import pytest
from amaranth import Module, Signal
from amaranth.hdl import Assume
from openppu.tile.loop_nest import LoopNest, nest_layout
from openppu_verif.formal.harness import Harness
from openppu_verif.formal.probe import Probe
from openppu_verif.formal.proof import Method, Proof, Verdict, prove


def counting(most: int, *, at_most: int, invariant: bool = True) -> Harness:
    """A counter that steps when told, up to ``most``, and is claimed to reach no more than ``at_most``."""
    h = Harness()
    step = h.free("step")
    count = Signal(4)
    with h.m.If(step & (count != most)):
        h.m.d.sync += count.eq(count + 1)
    if invariant:
        h.check(count <= at_most)
    else:
        h.check(count != at_most + 2)
    return h


def proof(method: Method, harness: Harness, depth: int) -> Proof:
    """A proof of a harness."""
    return Proof(name="count", claim="it stops", harness=lambda: harness, method=method, depth=depth, search=depth)


@pytest.mark.parametrize("method", Method)
def test_what_holds_is_proved(method: Method, tmp_path: Path) -> None:
    assert prove(proof(method, counting(5, at_most=5), 8), tmp_path).verdict is Verdict.HOLDS


@pytest.mark.parametrize("method", Method)
def test_what_does_not_hold_is_shown(method: Method, tmp_path: Path) -> None:
    outcome = prove(proof(method, counting(5, at_most=4), 8), tmp_path)
    assert outcome.verdict is Verdict.BROKEN
    lines = outcome.trace.splitlines()
    assert len(lines) >= 5
    assert all("step=1" in line for line in lines[:5])


def test_a_search_that_is_too_short_finds_nothing(tmp_path: Path) -> None:
    assert prove(proof(Method.BOUNDED, counting(5, at_most=4), 5), tmp_path).verdict is Verdict.HOLDS


def test_induction_without_its_invariant_stays_open_and_reachability_finds_it(tmp_path: Path) -> None:
    for method, verdict in ((Method.INDUCTION, Verdict.OPEN), (Method.REACHABILITY, Verdict.HOLDS)):
        folder = tmp_path / method.value
        folder.mkdir()
        harness = counting(5, at_most=5, invariant=False)
        assert prove(proof(method, harness, 1), folder).verdict is verdict


def test_assumptions_are_kept(tmp_path: Path) -> None:
    harness = counting(5, at_most=4)
    harness.m.d.comb += Assume(~harness.ports[0])
    assert prove(proof(Method.INDUCTION, harness, 3), tmp_path).verdict is Verdict.HOLDS


def test_reset_comes_at_any_time(tmp_path: Path) -> None:
    h = Harness()
    age = Signal(3)
    h.m.d.sync += age.eq(age + (age != 7))
    ever = h.history(age == 3, 1, "ever", forget=False)[1]
    h.check(age != 0, when=ever)
    outcome = prove(proof(Method.BOUNDED, h, 8), tmp_path)
    assert outcome.verdict is Verdict.BROKEN
    assert "rst=1" in outcome.trace


def test_a_defect_of_no_wire_is_an_error(tmp_path: Path) -> None:
    harness = counting(5, at_most=5)
    wrong = Proof(
        name="count", claim="", harness=lambda: harness, method=Method.BOUNDED, depth=3, faults={"no": "no.wire"}
    )
    with pytest.raises(RuntimeError, match=r"no verdict in .*no\.wire"):
        prove(wrong, tmp_path, fault="no")


def test_a_tool_that_gives_no_verdict_is_an_error(tmp_path: Path) -> None:
    h = counting(5, at_most=5)
    h.taps["step"] = "no.such.register"
    with pytest.raises(RuntimeError, match=r"no verdict in .*no\.such\.register"):
        prove(proof(Method.BOUNDED, h, 3), tmp_path)


def nest() -> LoopNest:
    """A small design with inner signals."""
    return LoopNest(nest_layout(outer=2, middle=2, inner=2, address=4, context=1))


def test_the_probe_finds_parts_and_signals() -> None:
    m = Module()
    m.submodules.loops = loops = nest()
    probe = Probe(m)
    assert probe.part("loops") is loops
    assert probe.names("") == ["loops"]
    assert len(probe.signal("loops", "outer_base")) == 4
    with pytest.raises(LookupError, match="no part 'loop' of 'loop': there are loops"):
        probe.part("loop")
    with pytest.raises(LookupError, match="loops drives 0 signals called nothing"):
        probe.signal("loops", "nothing")


def test_the_probe_replaces_parts() -> None:
    m = Module()
    m.submodules.one = nest()
    m.submodules.two = two = nest()
    probe = Probe(m)
    assert probe.replace(LoopNest, lambda part: Module()) == 2
    assert probe.part("two") is two
    with pytest.raises(LookupError):
        probe.signal("two", "outer_base")
