"""Proofs of the command processor: semaphores, and the ends of commands."""

from amaranth import Cat, Mux, Signal
from openppu.command.completion import Completion
from openppu.command.config import CommandConfig
from openppu.command.layouts import note_layout
from openppu.command.semaphores import MOST, Semaphores

from openppu_verif.formal.harness import Harness, Watch, choose
from openppu_verif.formal.probe import Probe

CONFIG = CommandConfig(semaphores=4, buffer=8, in_flight=4, loops=2)
OKAY = 0
"""Of `openppu.command.error.Error`: no error."""


def semaphores() -> Harness:
    """A semaphore is what was signalled less what was waited for: none lost, none made, none below zero."""
    h = Harness()
    m = h.m
    probe = Probe(Semaphores(count=4, waiters=2, signallers=2))
    m.submodules.dut = probe.fragment
    dut = probe.part("")
    for number in range(2):
        h.source(f"wait_{number}", dut.waits[number])
        h.source(f"signal_{number}", dut.signals[number])
    h.drive(clear=dut.clear)
    chosen = h.fixed("chosen", 2)
    value = choose(list(dut.values), chosen)

    def moved(streams):
        """What goes through for the chosen semaphore, and how many."""
        taken = [each.valid & each.ready for each in streams]
        own = [take & (each.payload.semaphore == chosen) for take, each in zip(taken, streams, strict=True)]
        total = sum((Mux(is_own, each.payload.value, 0) for is_own, each in zip(own, streams, strict=True)), start=0)
        return taken, total

    waited, less = moved(dut.waits)
    signalled, more = moved(dut.signals)
    before, lowered, raised, cleared, began = (
        h.history(each, 1, name)[1]
        for each, name in (
            (value, "value"),
            (less, "less"),
            (more, "more"),
            (dut.clear, "cleared"),
            (1, "began"),
        )
    )
    h.check(less <= value, value + more <= MOST)
    h.check(~Cat(waited).all(), ~Cat(signalled).all())
    h.check(value == Mux(cleared, 0, before - lowered + raised), when=began)
    for each in (*dut.waits, *dut.signals):
        h.check(each.payload.semaphore < 4, when=each.valid & each.ready)
    # Who can go on does, now or after the others that can have had their turn.
    able = Cat(each.valid & (each.payload.semaphore == chosen) & (each.payload.value <= value) for each in dut.waits)
    h.check(Cat(waited).any(), when=able.any())
    return h


def completion() -> Harness:
    """Commands end in order, each once; behind an error nothing is signalled."""
    h = Harness()
    m = h.m
    probe = Probe(Completion(CONFIG))
    m.submodules.dut = probe.fragment
    dut = probe.part("")
    h.source("notes", dut.notes)
    h.source("finished", dut.finished)
    h.drive(
        queue=dut.queue,
        now=dut.now,
        signals_ready=dut.signals.ready,
        remote_ready=dut.remote.ready,
        records_ready=dut.records.ready,
        restart=dut.restart,
    )
    note = dut.notes.payload
    enters = dut.notes.valid & dut.notes.ready
    ends = probe.signal("", "ending") & probe.signal("", "signalled") & probe.signal("", "recorded")
    watch = Watch(h, "note", Cat(note.tag, note.index), enters=enters, leaves=ends, most=CONFIG.in_flight + 2)
    head = note_layout()(probe.signal("", "head"))
    h.check(Cat(head.tag, head.index) == watch.item, when=watch.is_next & ends)
    h.check(watch.count != 0, when=ends)
    h.check(watch.count == 0, when=dut.ended)

    signals = (dut.signals.valid & dut.signals.ready) | (dut.remote.valid & dut.remote.ready)
    # The first error since the last restart.
    failed = Signal()
    with m.If(dut.restart):
        m.d.sync += failed.eq(0)
    with m.Elif(probe.signal("", "takes") & (probe.signal("", "error") != OKAY)):
        m.d.sync += failed.eq(1)
    h.check(dut.stopped == failed)
    h.check(head.flags.signal, head.error.as_value() == OKAY, when=signals)
    once = Signal()
    m.d.sync += once.eq((once | signals) & ~ends)
    h.check(~(once & signals))
    return h
