"""Proofs of the scratchpad: turns, answers, and how long a port waits."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.hdl import Assume, Elaboratable
from openppu.scratchpad.arbiter import BankArbiter
from openppu.scratchpad.config import ScratchpadConfig
from openppu.scratchpad.scratchpad import Scratchpad
from openppu.scratchpad.sram import Sram
from openppu_sim.cycles.scratchpad import most_wait

from openppu_verif.formal.harness import Harness, ones
from openppu_verif.formal.probe import Probe

PORTS = 3


def turns() -> Harness:
    """What passes to a bank is one port's request, as that offers it; while a port waits, every other passes once."""
    h = Harness()
    m = h.m
    m.submodules.dut = dut = BankArbiter(ports=PORTS, words=4, word_bytes=8)
    for port, request in enumerate(dut.requests):
        h.source(f"request_{port}", request)
    h.drive(ready=dut.accesses.ready)
    passes = Cat(request.valid & request.ready for request in dut.requests)
    h.check(ones(passes) == (dut.accesses.valid & dut.accesses.ready))
    h.check(dut.accesses.valid == Cat(request.valid for request in dut.requests).any())
    access = dut.accesses.payload.as_value()
    for port, request in enumerate(dut.requests):
        whole = Cat(request.payload.as_value(), Const(port, len(dut.accesses.payload.port)))
        h.check(access == whole, when=passes[port])
        others = Signal(range(PORTS + 1), name=f"others_{port}")
        waits = request.valid & ~request.ready
        m.d.sync += others.eq(Mux(waits, others + passes.any(), 0))
        h.check(others + passes.any() <= PORTS - 1, when=waits)
    return h


def answers() -> Harness:
    """Each port has a result for each read of its own, at its cycle, and no other; none waits longer than is said.

    The SRAMs give anything, so words may be repaired at any time.
    """
    h = Harness()
    m = h.m
    probe = Probe(Scratchpad(ScratchpadConfig(banks=2, bank_words=16, word_bytes=32), ports=2))
    count = 0

    def anything(sram: Elaboratable) -> Module:
        nonlocal count
        count += 1
        stand_in = Module()
        stand_in.d.comb += sram.read_data.eq(h.free(f"read_{count}", len(sram.read_data)))
        return stand_in

    assert probe.replace(Sram, anything) == 2
    m.submodules.dut = probe.fragment
    dut = probe.part("")
    h.drive(clear=dut.clear, clear_log=dut.clear_log, scrub_interval=dut.scrub_interval)
    bound = most_wait(dut.ports, merges=True)
    for number, port in enumerate(dut.port):
        h.source(f"request_{number}", port.requests)
        reads = port.requests.valid & port.requests.ready & ~port.requests.payload.write
        h.check(port.results.valid == h.history(reads, Scratchpad.LATENCY, f"reads_{number}")[-1])
        # It keeps asking for the same bank until it is served.
        waited = Signal(range(bound + 2), name=f"waited_{number}")
        before = Signal.like(port.requests.payload.as_value(), name=f"before_{number}")
        waits = port.requests.valid & ~port.requests.ready & ~dut.filling
        m.d.sync += [before.eq(port.requests.payload.as_value()), waited.eq(Mux(waits, waited + 1, 0))]
        m.d.comb += Assume((waited == 0) | (port.requests.valid & (before == port.requests.payload.as_value())))
        h.check(waited + waits <= bound)
    return h
