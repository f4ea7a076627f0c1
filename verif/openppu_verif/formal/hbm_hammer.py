"""The proof that no row is activated more often than its table knows, and that its neighbours are refreshed in time."""

from amaranth import Const, Mux, Signal, Value
from amaranth.hdl import Assume
from openppu.hbm.hammer_table import COUNT_BITS, HammerTable

from openppu_verif.formal.harness import Harness
from openppu_verif.formal.probe import Probe

ROWS = 8
WORDS, WAYS = 2, 2
"""Four entries: two words of two."""

MOST_ROUNDS = 4
"""Activations of one row while its bank is for refreshes only: each of its neighbours has one round at most."""


def hammer_table() -> Harness:
    """A row's count is its activations or more, until its neighbours are refreshed; none has ``threshold`` at rest."""
    h = Harness()
    m = h.m
    table = HammerTable(entries=WORDS * WAYS, rows=ROWS)
    table.words, table.ways = WORDS, WAYS
    probe = Probe(table)
    m.submodules.dut = probe.fragment
    dut = probe.part("")
    h.drive(act=dut.act, row=dut.row, clear=dut.clear, served=dut.served)
    threshold = h.fixed("threshold", COUNT_BITS - 2)
    row = h.fixed("watched", len(dut.row))
    m.d.comb += [dut.threshold.eq(threshold), Assume(threshold >= 8)]

    # How often the row was activated since its neighbours were refreshed, or the window began; and how often of these
    # while its bank was for refreshes only.
    total, rounds = Signal(COUNT_BITS), Signal(range(MOST_ROUNDS + 1))
    walking, storing, clearing = (probe.state("", name) for name in ("walk", "store", "clear"))
    names = ("step", "counting", "others", "again", "ending", "starting", "last", "hit", "some", "at", "way", "count")
    step, counting, others, again, ending, starting, last, hit, some, at, way, kept = (
        probe.signal("", name) for name in names
    )
    walked = probe.signal("", "row")
    mine = dut.act & (dut.row == row)
    waits = dut.waits & (dut.aggressor == row)
    m.d.comb += [
        # What `openppu.hbm.hammer` does: it activates other rows than the aggressor, until it says that it has.
        Assume(~dut.act | (~dut.busy & ~(dut.found & (dut.row == dut.aggressor)))),
        Assume(~dut.served | dut.waits),
        Assume(~(mine & dut.found) | (rounds != MOST_ROUNDS)),
    ]
    with m.If(dut.served & waits):
        m.d.sync += [total.eq(0), rounds.eq(0)]
    with m.Elif(mine):
        m.d.sync += [total.eq(total + 1), rounds.eq(Mux(dut.found, rounds + 1, 0))]
    with m.Else():
        with m.If(~dut.found):
            m.d.sync += rounds.eq(0)
        with m.If(clearing & last & (total < threshold)):
            m.d.sync += total.eq(0)
    h.check(total < threshold, when=~dut.busy & ~dut.found)
    h.check(total <= threshold + MOST_ROUNDS)

    # Invariants. Entries in the order of the walk; the first of a row counts it.
    bits = len(dut.row) + COUNT_BITS
    words = h.memory("dut.store", rows=WORDS, width=WAYS * bits)
    seen = Signal(COUNT_BITS)
    found_before, several = Const(0), Const(0)
    m.d.comb += seen.eq(others)
    busy_walk = walking | storing
    pending = busy_walk & counting & (walked == row)
    for word in range(WORDS):
        scanned = storing | (walking & (step >= word + 2))
        valid = ~starting | (clearing & (step >= word + 2))
        for place in range(WAYS):
            entry = words[word].word_select(place, bits)
            count, here = entry[len(dut.row) :], entry[: len(dut.row)] == row
            chosen = some & (at == word) & way[place]
            with m.If(here & ~found_before):
                m.d.comb += seen.eq(count)
            h.check(count == 0, when=valid & here & (found_before | waits))
            h.check(count + (pending & dut.found) < threshold + rounds, when=valid & here)
            h.check(count < threshold, when=valid & here & ~dut.found)
            # The walk.
            h.check(scanned, when=busy_walk & chosen)
            walks = busy_walk & scanned
            h.check(entry[: len(dut.row)] == walked, count == kept, when=busy_walk & chosen & hit)
            h.check(count <= others, counting, when=busy_walk & chosen & ~hit)
            h.check(~here, when=walks & counting & ~hit & (walked == row))
            h.check(~found_before, when=busy_walk & chosen & hit & counting & (walked == row))
            h.check(count > others, when=walks & counting & ~some)
            h.check(count >= threshold, when=busy_walk & chosen & ~counting)
            h.check(count < threshold, when=walks & ~counting & ~hit)
            several = several | (here & found_before)
            found_before = found_before | here
    h.check(~several, when=(others != 0) & ~starting)
    h.check(clearing, total == 0, others == 0, ~dut.found, when=starting)
    h.check(seen + pending >= total, when=~waits & ~clearing)
    h.check((total < threshold) | (seen >= total), when=~waits & clearing)
    h.check(total < threshold + rounds + (waits | (pending & ~dut.found)))
    h.check(rounds <= MOST_ROUNDS, ~(waits & pending))
    h.check(others < threshold, ending | clearing | (others + 1 < threshold))
    h.check(others + 1 < threshold, when=busy_walk & counting)
    h.check(again & dut.found, some == hit, when=busy_walk & ~counting)
    h.check(some | ~hit, when=busy_walk)
    h.check(dut.found | ~again)
    h.check(step <= WORDS, when=walking | clearing)
    h.check(step == WORDS + 1, when=storing)
    h.check((way != 0) & ((way & (way - 1)[:WAYS]) == 0) & (at < WORDS), when=busy_walk & some)
    # What was read is what is there.
    (port,) = probe.part("store").read_ports
    for word in range(WORDS):
        h.check(Value.cast(port.data) == words[word], when=(walking | clearing) & (step == word + 1))
    return h
