"""Proofs that the responses of a tag come in the order of its requests, each with the data that was read for it."""

from unittest.mock import patch

from amaranth import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.hdl import Assume
from amaranth.lib import data
from openppu.common.delay_line import DelayLine
from openppu.hbm import reorder as design
from openppu.hbm.address import AddressMap
from openppu.hbm.admission import Admission
from openppu.hbm.config import GRANULE, ChannelConfig
from openppu.hbm.crossbar import PENDING, Crossbar
from openppu.hbm.phy import PSEUDO_CHANNELS
from openppu.hbm.port import Port
from openppu.hbm.read_path import MOST_DELAY, ReadPath
from openppu.hbm.reorder import Reorder, piece_layout

from openppu_verif.formal.harness import Harness, choose
from openppu_verif.formal.probe import Probe


class FewSlots(ChannelConfig):
    """A port with fewer slots than are of use, for proofs."""

    def __post_init__(self) -> None:
        """Take any values."""


CONFIG = FewSlots(height=4, tags=2, reads=8, writes=8, slots=2)

BEATS = 8
"""Bits of a tag's count of responses; fewer than half of what it counts are on their way."""


def reorder() -> Harness:
    """The responses of a tag are the words of its pieces, piece after piece, word after word, as they were returned."""
    h = Harness()
    m = h.m
    # One bit of the data stands for all.
    with patch.object(design, "DATA_BITS", 1):
        probe = Probe(Reorder(CONFIG))
    m.submodules.dut = probe.fragment
    dut = probe.part("")
    shape, depth = piece_layout(CONFIG), PSEUDO_CHANNELS * CONFIG.slots
    bits = (depth - 1).bit_length()

    # What the port does (`port_reads`): it gives a piece the slot on offer, and puts it into its tag's queue.
    enters, tag = h.free("enters"), h.free("tag")
    piece = Signal(shape)
    offers = [(free.valid, free.payload) for free in dut.free]
    h.drive(pc=piece.pc, word=piece.word, last=piece.last, end=piece.end, refused=piece.refused)
    m.d.comb += piece.slot.eq(Mux(piece.pc, offers[1][1], offers[0][1]))
    for number, pieces in enumerate(dut.pieces):
        m.d.comb += [pieces.payload.eq(piece), pieces.valid.eq(enters & (tag == number))]
        m.d.comb += Assume(~pieces.valid | pieces.ready)
    for pc, free in enumerate(dut.free):
        m.d.comb += free.ready.eq(enters & ~piece.refused & (piece.pc == pc))
        m.d.comb += Assume(~free.ready | free.valid)

    # What the memory does, in the eyes of one slot (`returned`): its words come back once, in order.
    my_pc, my_slot = h.fixed("my_pc", 1), h.fixed("my_slot", len(piece.slot))
    h.drive(returned_0=dut.returned[0], returned_1=dut.returned[1], responses_ready=dut.responses.ready)
    returned = data.View(dut.returned[0].shape(), Mux(my_pc, dut.returned[1].as_value(), dut.returned[0].as_value()))
    comes = returned.valid & (returned.slot == my_slot)
    takes = enters & ~piece.refused & (piece.pc == my_pc) & (piece.slot == my_slot)
    held, word, last, back = Signal(), Signal(3), Signal(3), Signal(4)
    m.d.comb += [
        Assume(~comes | (held & (back <= last) & (returned.word == (word + back)[:3]))),
        Assume(~comes | (returned.last == (back == last))),
    ]

    # The watched piece, of the watched tag: any that was refused, or has that slot. Its responses are counted.
    my_tag, nth = h.fixed("my_tag", 1), h.fixed("nth", 3)
    mine = Signal(shape)
    live, queued, begun, my_hold = (Signal(name=name) for name in ("live", "queued", "begun_mine", "my_hold"))
    first, pushed, shown = (Signal(BEATS, name=name) for name in ("first", "pushed", "shown"))
    place = Signal(range(depth))
    expected = Signal(3)
    response = dut.responses.payload
    taken = dut.responses.valid & dut.responses.ready & (response.tag == my_tag)
    pushes = enters & (tag == my_tag)
    done = Signal()
    m.d.comb += done.eq(taken & (shown == (first + mine.last)[:BEATS]))

    def of_tag(name: str) -> Value:
        return Mux(my_tag, *(Value.cast(probe.signal(f"order_{number}", name)) for number in (1, 0)))

    consume, produce, level = (of_tag(name) for name in ("consume", "produce", "level"))
    pick, served = probe.part("turns").pick, probe.part("turns").served
    pops = served & (pick == my_tag)
    step, finishes = probe.signal("", "step"), probe.signal("", "done")
    m.d.sync += shown.eq(shown + taken)
    positions = [Signal(BEATS, name=f"position_{index}") for index in range(depth)]
    with m.If(pushes):
        m.d.sync += pushed.eq(pushed + piece.last + 1)
        for index, position in enumerate(positions):
            with m.If(produce == index):
                m.d.sync += position.eq(pushed)
    with m.If(live):
        m.d.sync += live.eq(~done)
    with m.Elif(pushes & h.free("chosen") & (piece.refused | takes)):
        m.d.sync += [live.eq(1), queued.eq(1), mine.eq(piece), first.eq(pushed), place.eq(produce), my_hold.eq(takes)]
    with m.If(pops & queued & (consume == place)):
        m.d.sync += queued.eq(0)
    with m.If(step & live & (begun | (queued & pops & (consume == place)))):
        m.d.sync += begun.eq(~finishes)
    with m.If(takes):
        m.d.sync += [held.eq(1), word.eq(piece.word), last.eq(piece.last), back.eq(0)]
    with m.If(comes):
        m.d.sync += back.eq(back + 1)
        with m.If(my_hold & (back == nth)):
            m.d.sync += expected.eq(Cat(returned.data[0], returned.error, returned.corrected))
    released = Mux(my_pc, *(probe.part(f"slots_{pc}").released for pc in (1, 0)))
    with m.If(released & (Mux(my_pc, *(probe.part(f"slots_{pc}").slot for pc in (1, 0))) == my_slot)):
        m.d.sync += [held.eq(0), my_hold.eq(0)]

    now = live & dut.responses.valid & (response.tag == my_tag) & (shown == (first + nth)[:BEATS]) & (nth <= mine.last)
    h.check(response.last == (mine.end & (nth == mine.last)), when=now)
    h.check(Cat(response.data[0], response.error, response.corrected) == Mux(mine.refused, 0b010, expected), when=now)
    h.check(response.last == 0, when=now & (nth != mine.last))
    h.check_waits("responses", dut.responses)

    # Invariants: the queues.
    kept, kept_tag, begins = (probe.signal("", name) for name in ("kept", "kept_tag", "begun"))
    kept = data.View(shape, Value.cast(kept))
    owners: list[Value] = []
    rows: list[list[data.View]] = []
    for number in range(CONFIG.tags):
        path = f"order_{number}"
        its = {name: Value.cast(probe.signal(path, name)) for name in ("consume", "produce", "level")}
        h.check(its["level"] <= depth, its["produce"] == (its["consume"] + its["level"])[:bits])
        stored = [data.View(shape, row) for row in h.memory(f"dut.{path}.storage", rows=depth, width=shape.size)]
        rows.append(stored)
        for index, row in enumerate(stored):
            used = (Const(index, bits) - its["consume"])[:bits] < its["level"]
            owners.append(used & ~row.refused & (row.pc == my_pc) & (row.slot == my_slot))
            here = owners[-1]
            h.check(row.word == word, row.last == last, when=here)
    holds = begins & ~kept.refused & (kept.pc == my_pc) & (kept.slot == my_slot)
    owned = Cat(*owners, holds)
    idle = Mux(my_pc, *(Value.cast(probe.signal(f"slots_{pc}", "idle")) for pc in (1, 0)))
    offered = Mux(my_pc, offers[1][0] & (offers[1][1] == my_slot), offers[0][0] & (offers[0][1] == my_slot))
    everywhere = Cat(owned, (idle >> my_slot)[0], offered)
    h.check((everywhere != 0) & ((everywhere & (everywhere - 1)[: len(everywhere)]) == 0))
    h.check(held == owned.any())
    whole = Mux(my_pc, *(Value.cast(probe.signal("", f"whole_{pc}")) for pc in (1, 0)))
    h.check(back <= last + 1, (whole >> my_slot)[0] == (back == last + 1), when=held)
    h.check(back == last + 1, (kept.word + kept.last)[:3] == (word + last)[:3], kept.last < last, when=holds)

    # Where each piece's responses begin.
    given = (shown + (dut.responses.valid & (response.tag == my_tag)))[:BEATS]
    ahead = Mux(begins & (kept_tag == my_tag), kept.last + 1, 0)
    start = Mux(level == 0, pushed, Array(positions)[consume])
    h.check(start == (given + ahead)[:BEATS])
    for index in range(depth):
        offset = (Const(index, bits) - consume)[:bits]
        used = offset < level
        after = Mux(offset + 1 == level, pushed, positions[(index + 1) % depth])
        stored_last = Mux(my_tag, rows[1][index].last, rows[0][index].last)
        h.check(after == (positions[index] + stored_last + 1)[:BEATS], when=used)
    # The watched piece: in its queue, begun, or with its last response on offer.
    j = (given - first)[:BEATS]
    at = data.View(shape, Mux(my_tag, *(Array([row.as_value() for row in rows[number]])[place] for number in (1, 0))))
    h.check((place - consume)[:bits] < level, at.as_value() == mine.as_value(), when=queued)
    h.check(Array(positions)[place] == first, live, ~begun, when=queued)
    h.check(begins, kept_tag == my_tag, live, j <= mine.last, j != 0, when=begun)
    h.check(kept.word == (mine.word + j)[:3], kept.last == (mine.last - j)[:3], when=begun)
    for name in ("pc", "slot", "end", "refused"):
        h.check(kept[name] == mine[name], when=begun)
    shows = dut.responses.valid & (response.tag == my_tag)
    h.check(shows, shown == (first + mine.last)[:BEATS], when=live & ~queued & ~begun)
    h.check((shown - first)[:BEATS] <= mine.last, when=live & ~queued)
    h.check(mine.refused | ((mine.pc == my_pc) & (mine.slot == my_slot)), when=live)
    # Its data.
    h.check(held, word == mine.word, last == mine.last, when=my_hold)
    h.check(my_hold == (~mine.refused & (queued | begun)), when=live)
    h.check(live | ~my_hold)
    stores = [h.memory(f"dut.store_{pc}", rows=CONFIG.slots * GRANULE, width=3) for pc in range(PSEUDO_CHANNELS)]
    address = Cat((word + nth)[:3], my_slot)
    row = Mux(my_pc, *(Array(stores[pc])[address] for pc in (1, 0)))
    h.check(row == expected, when=my_hold & (back > nth) & (nth <= last))
    return h


def port_reads() -> Harness:
    """A request's pieces cover its accesses, in order, each once; a read's have its tag, a slot, an entry."""
    h = Harness()
    m = h.m
    probe = Probe(Port(CONFIG))
    probe.replace(Reorder, lambda part: Module())
    m.submodules.dut = probe.fragment
    dut = probe.part("")
    reorders, splitter = probe.part("reorder"), probe.part("splitter")
    m.submodules.map = reference = AddressMap(CONFIG)
    h.source("requests", dut.requests)
    h.source("words", dut.words)
    for number, pieces in enumerate(reorders.pieces):
        h.drive(**{f"room_{number}": pieces.ready})
    for pc in range(PSEUDO_CHANNELS):
        free = reorders.free[pc]
        h.drive(**{f"free_{pc}": free.valid, f"slot_{pc}": free.payload})
        h.drive(**{f"takes_{pc}": dut.entries[pc].ready, f"takes_word_{pc}": dut.entry_words[pc].ready})
    h.drive(refuse=dut.refuse, acknowledged=dut.acknowledges.ready)
    for name in ("mapping", "hash_banks"):
        for settings in (dut.settings, reference.settings):
            m.d.comb += settings[name].eq(h.ports[-1] if settings is reference.settings else h.fixed(name, 1))

    # The stream rule of requests.
    request = dut.requests.payload
    waiting, before = Signal(), Signal(len(request.as_value()))
    m.d.sync += [waiting.eq(dut.requests.valid & ~dut.requests.ready), before.eq(request)]
    m.d.comb += Assume(~waiting | (dut.requests.valid & (request.as_value() == before)))

    granule, stepped = splitter.granules.payload, splitter.granules.valid & splitter.granules.ready
    sent = Signal(7)
    m.d.sync += sent.eq(Mux(dut.requests.valid, Mux(stepped, Mux(granule.end, 0, sent + granule.last + 1), sent), 0))
    m.d.comb += reference.address.eq(request.address + sent)
    offered = splitter.granules.valid
    h.check(offered == dut.requests.valid, dut.requests.ready == (splitter.granules.ready & granule.end))
    h.check(granule.tag == request.tag, granule.write == request.write, when=offered)
    h.check(granule.place.column[:3] + granule.last < GRANULE, sent + granule.last <= request.last, when=offered)
    h.check(granule.end == (sent + granule.last == request.last), when=offered)
    where = [granule.pc == reference.pc, granule.place.as_value() == Value.cast(reference.place)]
    h.check(*where, when=offered & ~granule.refused)

    # Of a read, one piece and, unless it is refused, one entry.
    reads = stepped & ~granule.write
    for number, pieces in enumerate(reorders.pieces):
        piece = pieces.payload
        h.check(pieces.valid == (reads & (request.tag == number)), pieces.ready | ~pieces.valid)
        h.check(piece.pc == granule.pc, piece.word == granule.place.column[:3], when=pieces.valid)
        h.check(
            piece.last == granule.last, piece.end == granule.end, piece.refused == granule.refused, when=pieces.valid
        )
        slots = [free.payload for free in reorders.free]
        h.check(piece.slot == choose(slots, piece.pc), when=pieces.valid & ~piece.refused)
    for pc, free in enumerate(reorders.free):
        queue = probe.part(f"entries_{pc}")
        here = reads & ~granule.refused & (granule.pc == pc)
        entry = data.View(dut.entries[pc].payload.shape(), queue.w_data[:-1])
        h.check((free.valid & free.ready) == here, free.valid | ~here)
        h.check((queue.w_en & ~granule.write) == here, queue.w_rdy | ~queue.w_en)
        h.check(entry.slot == free.payload, entry.last == granule.last, ~entry.write, when=here)
        h.check(entry.place.as_value() == granule.place.as_value(), when=here)
    # Invariant.
    index = probe.signal("splitter", "index")
    offset = request.address[:3]
    h.check(Mux(index == 0, sent == 0, sent + offset == (index << 3)), sent <= request.last, when=offered)
    h.check(index == 0, when=~waiting)
    return h


def taken_in() -> Harness:
    """An entry goes from its port into the queue of reads, or of writes, once, unchanged, with its port's number."""
    h = Harness()
    m = h.m
    crossing, probe = Probe(Crossbar(CONFIG)), Probe(Admission(CONFIG))
    m.submodules.crossbar, m.submodules.dut = crossing.fragment, probe.fragment
    crossbar, dut = crossing.part(""), probe.part("")
    for number in range(CONFIG.ports):
        port = crossbar.ports[number]
        h.source(f"port_{number}", port)
        h.drive(**{f"words_{number}": crossbar.port_words[number].valid})
        waiting, before = Signal(name=f"waiting_{number}"), Signal(len(Value.cast(port.payload)), name=f"kept_{number}")
        m.d.sync += [waiting.eq(port.valid & ~port.ready), before.eq(port.payload)]
        m.d.comb += Assume(~waiting | (port.valid & (Value.cast(port.payload) == before)))
    h.drive(
        fill_ready=crossbar.fill.ready, enable=dut.enable, released=dut.released, unmerged=dut.unmerged, hit=dut.hit
    )
    for queue in range(2):
        h.drive(**{f"probed_{queue}": dut.probed[queue], f"full_{queue}": dut.full[queue]})
    m.d.comb += [
        dut.entries.valid.eq(crossbar.entries.valid),
        dut.entries.payload.eq(crossbar.entries.payload),
        crossbar.entries.ready.eq(dut.entries.ready),
        crossbar.write_slot.eq(dut.accepted.slot),
    ]
    takes = Cat(port.valid & port.ready for port in crossbar.ports)
    h.check((takes & (takes - 1)[: len(takes)]) == 0, dut.accepted.valid == takes.any())
    for number, port in enumerate(crossbar.ports):
        entry = port.payload
        reads, writes = dut.arrivals
        h.check(dut.arrives[1] == entry.write, dut.arrives[0] == (~entry.write | entry.masked), when=takes[number])
        source = reads.work.source
        mine = [source.port == number, source.slot == entry.slot, ~source.merge, ~reads.unfilled, ~reads.unmerged]
        h.check(*mine, when=takes[number] & ~entry.write)
        h.check(source.merge, source.slot == writes.work.source.slot, when=takes[number] & entry.write)
        for arrival in (reads, writes):
            work = arrival.work
            h.check(work.place.as_value() == entry.place.as_value(), work.last == entry.last, when=takes[number])
    h.check(~dut.arrives[0], ~dut.arrives[1], when=~takes.any())
    # Invariants: an entry that was offered is offered again.
    waits, who = crossing.signal("", "waits"), crossing.signal("", "waiting")
    offers = [port.valid & (~port.payload.write | crossing.part("pending").w_rdy) for port in crossbar.ports]
    h.check(choose(offers, who), when=waits)
    h.check(crossing.part("pending").level <= PENDING)
    return h


def returned() -> Harness:
    """A word comes back for each access read, its delay later, for its port and slot, unless it was cancelled."""
    h = Harness()
    m = h.m
    probe = Probe(ReadPath(CONFIG))
    probe.replace(DelayLine, lambda part: Module())
    m.submodules.dut = probe.fragment
    dut, line = probe.part(""), probe.part("line")
    h.drive(pc=dut.pc, issue=dut.issue, read=dut.read, read_valid=dut.read_valid, cancel=dut.cancel, o=line.o)
    h.drive(distrust=dut.distrust)
    which = h.fixed("which", 1)
    m.d.comb += [dut.settings.timing.RL.eq(h.fixed("RL", 6)), dut.settings.read_delay.eq(h.fixed("read_delay", 4))]
    delay = line.delay
    m.d.comb += [Assume(dut.pc == which), Assume((delay > dut.cancel) & (delay < MOST_DELAY))]

    # One clock, freely chosen: what was issued in it.
    issue = Signal(dut.issue.shape())
    age = Signal(range(MOST_DELAY + 2))
    with m.If(age != 0):
        m.d.sync += age.eq(Mux(age > MOST_DELAY, 0, age + 1))
        with m.If(dut.cancel >= age):
            m.d.sync += issue.valid.eq(0)
    with m.Elif(h.free("chosen")):
        m.d.sync += [issue.eq(dut.issue), age.eq(1)]
    # What `delay_line` proves.
    m.d.comb += Assume((age != delay) | ~issue.valid | (Value.cast(line.o) == Value.cast(issue)))
    m.d.comb += Assume(issue.source.merge | (issue.source.slot < CONFIG.slots))
    now = age == delay + 1
    merge = dut.merge
    for number, back in enumerate(dut.returned):
        h.check(back.valid == (issue.valid & ~issue.source.merge & (issue.source.port == number)), when=now)
        mine = [back.slot == issue.source.slot, back.word == issue.word, back.last == issue.last]
        h.check(*mine, when=now & back.valid)
    h.check(merge.valid == (issue.valid & issue.source.merge), when=now)
    mine = [merge.slot == issue.source.slot, merge.word == issue.word, merge.last == issue.last]
    h.check(*mine, when=now & merge.valid)
    # Invariants.
    on_their_way, answers = probe.signal("", "on_their_way"), probe.signal("", "answers")
    asked = data.View(dut.issue.shape(), Value.cast(probe.signal("", "asked")))
    h.check(age <= MOST_DELAY + 1)
    h.check((on_their_way >> (age - 1)[:6])[0] == issue.valid, when=(age != 0) & (age <= delay))
    h.check(answers == issue.valid, when=now)
    h.check(asked.as_value() == issue.as_value(), when=now & issue.valid)
    return h
