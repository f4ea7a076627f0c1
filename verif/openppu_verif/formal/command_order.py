"""More proofs of the command processor: in which order a queue goes, and turns that are kept."""

from amaranth import Mux, Signal
from amaranth.hdl import Assume
from openppu.command.config import CommandConfig
from openppu.command.controls import END, LOOP
from openppu.command.error import Error
from openppu.command.layouts import FIRST_ENGINE_OPCODE
from openppu.command.sequencer import Sequencer
from openppu.common.choose import KeptTurns
from openppu.dma.instructions import LOAD_INSTRUCTIONS

from openppu_verif.formal.harness import Harness
from openppu_verif.formal.probe import Probe

CONFIG = CommandConfig(semaphores=16, buffer=8, in_flight=4, loops=2)


def order() -> Harness:
    """Without loops, commands begin one after the other as in the ring, each once, none before it is there."""
    h = Harness()
    m = h.m
    probe = Probe(Sequencer(CONFIG, LOAD_INSTRUCTIONS))
    m.submodules.dut = probe.fragment
    dut = probe.part("")
    h.drive(
        now=dut.now,
        word=dut.word,
        damaged=dut.damaged,
        run=dut.run,
        ended=dut.ended,
        restart=dut.restart,
        tail=dut.tail,
        fetched=dut.fetched,
        waits_ready=dut.waits.ready,
        issue_ready=dut.issue.ready,
        notes_ready=dut.notes.ready,
    )
    opcode = dut.word.header.opcode
    m.d.comb += Assume((opcode != LOOP.opcode) & (opcode != END.opcode))
    # One command of the ring, freely chosen, and its tag.
    chosen, tag = h.fixed("chosen", 32), h.fixed("tag", 16)
    read_before = Signal(32)
    m.d.sync += read_before.eq(dut.read)
    m.d.comb += Assume((read_before != chosen) | (dut.word.header.tag == tag))
    # Commands come, and stay.
    ahead = Signal(4)
    expected = Signal(32)
    goes = probe.signal("", "goes")
    m.d.comb += [Assume(dut.fetched == expected + ahead), Assume(ahead <= CONFIG.buffer)]
    more = Signal(4)
    h.drive(more=more)
    m.d.comb += Assume(ahead + more <= CONFIG.buffer)
    with m.If(dut.restart):
        m.d.sync += [expected.eq(dut.tail), ahead.eq(0)]
    with m.Else():
        m.d.sync += [expected.eq(expected + goes), ahead.eq(ahead + more - goes)]

    place, state = probe.signal("", "place"), probe.signal("", "state")
    note = dut.notes.payload
    noted, issued = dut.notes.valid & dut.notes.ready, dut.issue.valid & dut.issue.ready
    h.check(place == expected, probe.signal("", "depth") == 0)
    h.check(ahead != 0, when=state != 0)
    h.check(read_before == place, when=state == 1)
    h.check(note.opcode != LOOP.opcode, note.opcode != END.opcode, when=state >= 2)
    h.check(note.tag == tag, when=(state >= 2) & (place == chosen))
    h.check(note.index == expected, goes, when=noted)
    h.check(note.tag == tag, when=noted & (note.index == chosen))
    h.check(noted, note.engine, note.opcode >= FIRST_ENGINE_OPCODE, note.error == Error.OKAY, when=issued)
    h.check(dut.issue.payload.opcode == note.opcode, when=issued)
    h.check(dut.run, dut.ended | ~note.flags.fence, when=dut.waits.valid)
    return h


def kept_turns() -> Harness:
    """A pick stays until it is served; while a request waits, every other one is picked once at most."""
    h = Harness()
    m = h.m
    width = 4
    m.submodules.dut = dut = KeptTurns(width)
    h.drive(requests=dut.requests, served=dut.served)
    waited, picked = Signal(), Signal(range(width))
    m.d.sync += [waited.eq(dut.valid & ~dut.served), picked.eq(dut.pick)]
    m.d.comb += Assume(~waited | (dut.requests >> picked)[0])
    h.check(dut.valid, dut.pick == picked, when=waited)
    h.check(dut.valid == dut.requests.any())
    h.check((dut.requests >> dut.pick)[0], when=dut.valid)

    chosen = h.fixed("chosen", 2)
    before, now = Signal(width), Signal(width)
    m.d.comb += now.eq(Mux(dut.valid & ~waited, 1 << dut.pick, 0))
    waits = (dut.requests >> chosen)[0] & ~(dut.valid & (dut.pick == chosen))
    m.d.sync += before.eq(Mux(waits, before | now, 0))
    h.check((now & before) == 0, when=waits)
    return h
