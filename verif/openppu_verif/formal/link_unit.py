"""Proof that a SEND reads nothing of memory but what it names, which is in memory."""

from amaranth import Signal
from amaranth.hdl import Assume
from openppu.common.memory import WORD_BYTES
from openppu.link.config import LinkConfig
from openppu.link.layouts import ADDRESS_BITS
from openppu.link.unit.link_engine import LinkEngine

from openppu_verif.formal.harness import Harness
from openppu_verif.formal.probe import Probe

CONFIG = LinkConfig(ports=1)
INPUTS = ("commands", "responses", "remote", "answers")
OUTPUTS = ("finished", "requests", "packets", "program")


def sends() -> Harness:
    """What a SEND of memory asks for is next in its range, which ends in memory."""
    h = Harness()
    m = h.m
    probe = Probe(LinkEngine(CONFIG))
    m.submodules.dut = probe.fragment
    dut, sender = probe.part(""), probe.part("sender")
    for name in INPUTS:
        h.source(name, getattr(dut, name))
    h.drive(**{f"{name}_ready": getattr(dut, name).ready for name in OUTPUTS})
    h.drive(ended=dut.ended, broken=dut.broken, stalled=dut.stalled)
    memory = h.fixed("memory_bytes", ADDRESS_BITS + 1)
    m.d.comb += [dut.memory_bytes.eq(memory), Assume(memory <= 1 << (ADDRESS_BITS - 1))]
    working, source, left = (probe.signal("sender", name) for name in ("working", "source", "left"))

    of_memory, end = Signal(), Signal(ADDRESS_BITS + 1)
    given = sender.command
    with m.If(given.valid & given.ready):
        m.d.sync += [of_memory.eq(~given.payload.source[-1]), end.eq(given.payload.source + given.payload.bytes)]
    reads = working & of_memory
    h.check(source + left == end, end <= memory, left % WORD_BYTES == 0, when=reads)

    request = dut.requests.payload
    asks = dut.requests.valid
    words = request.last + 1
    h.check(working, ~request.write, when=asks)
    h.check(request.address == source, request.address + words * WORD_BYTES <= end, when=asks & of_memory)
    return h
