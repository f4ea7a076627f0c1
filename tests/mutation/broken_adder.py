"""A part to break in many ways: small, with logic that changes nothing, and tests that are as good as one likes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from openppu.config import load
from openppu.verilog import emit
from openppu_verif.formal.harness import Harness
from openppu_verif.mutation.aig import FALSE, TRUE, Graph
from openppu_verif.mutation.claims import mutated
from openppu_verif.mutation.netlist import Area
from openppu_verif.mutation.score import Notice, Subject
from openppu_verif.mutation.solver import build_mutation, make_graph

TOP = "adder"
BITS = 8


class Adder(wiring.Component):
    """Adds ``a`` to ``total`` where ``enable``; ``same`` is ``a``, in a long-winded way.

    Latency: 1 cycle. Throughput: every cycle.
    """

    def __init__(self):
        super().__init__(
            {"a": In(BITS), "b": In(BITS), "enable": In(1), "total": Out(BITS), "same": Out(BITS)}
        )  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.same.eq(self.a & (self.a | self.b))
        with m.If(self.enable):
            m.d.sync += self.total.eq(self.total + self.a)
        return m


def subject(*, largest: int, claims: dict[str, Callable[[], Harness]] | None = None) -> Subject:
    """The adder, tested with values of ``a`` up to ``largest``, in forty cycles with a reset among them."""

    def write(folder: Path) -> Path:
        path = folder / f"{TOP}.v"
        emit(Adder(), top=TOP, config=load("tiny")).write(path)
        return path

    return Subject(
        top=TOP,
        areas=(Area("all", "c:*", 1.0),),
        emit=write,
        tests=lambda netlist, _: tests(netlist.parent, largest),
        claims=claims or {},
    )


def tests(folder: Path, largest: int) -> Notice:
    """Runs a netlist as a graph whose inputs are all known."""
    netlist = make_graph(f"read_rtlil mutated.il\nhierarchy -top {TOP}\n", folder)
    rng = np.random.default_rng(1)
    operands = [(int(a), int(b), int(rng.random() < 0.7)) for a, b in rng.integers(0, [largest + 1, 256], (40, 2))]

    def notice(number: int) -> str | None:
        graph = Graph()
        registers = [FALSE] * len(netlist.registers)
        total = 0
        for cycle, (a, b, enable) in enumerate([(0, 0, 0), *operands]):
            reset = int(cycle in (0, 20))
            given = {"a": a, "b": b, "enable": enable, "rst": reset}
            inputs = [TRUE if given.get(name, 0) >> bit & 1 else FALSE for name, bit in netlist.inputs]
            registers, outputs = build_mutation(netlist, graph, number, inputs, registers)
            if cycle and outputs != _literals(total, a):
                return f"cycle {cycle}: wrong"
            total = 0 if reset else (total + a * enable) % (1 << BITS)
        return None

    return notice


def sums() -> Harness:
    """From any state, the total is the one before and what was added."""
    h = Harness()
    adder = Adder()
    h.m.submodules.adder = mutated(h, adder, TOP)
    h.drive(a=adder.a, b=adder.b, enable=adder.enable)
    expected, _ = h.history(adder.total + (adder.a & adder.enable.replicate(BITS)), 1, "expected")[::-1]
    h.check(adder.total == expected[:BITS])
    return h


def _literals(total: int, same: int) -> list[int]:
    return [TRUE if value >> bit & 1 else FALSE for value in (total, same) for bit in range(BITS)]
