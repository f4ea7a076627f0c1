"""Proofs of the link layer: credits, numbers, the order of what is received, and what is sent again."""

from amaranth import Cat, Mux, Signal, Value
from amaranth.hdl import Assume
from amaranth.lib import data
from openppu.link.config import CHANNELS, LinkConfig
from openppu.link.credits import REFRESH, CreditsToGive, CreditsToSend
from openppu.link.flit_receive import slots_of
from openppu.link.flit_transmit import Kind
from openppu.link.numbers import NUMBER_BITS
from openppu.link.receive_window import ReceiveWindow
from openppu.link.receiver import Receiver
from openppu.link.sender import Sender

from openppu_verif.formal.harness import Harness, choose, ones
from openppu_verif.formal.probe import Probe

CONFIG = LinkConfig(ports=1, lanes=16, lane_bits=64, window=8, credits=2)
"""The smallest window, and flits of two beats."""


def _bit(values: Value, index: Value) -> Value:
    return values.bit_select(index, 1)


def credits() -> Harness:
    """No more flits of a channel are on their way or held than there is room for; what was lost is told again."""
    h = Harness()
    m = h.m
    ends = {"give": Probe(CreditsToGive(CONFIG)), "spend": Probe(CreditsToSend())}
    m.submodules.giver, m.submodules.spender = ends["give"].fragment, ends["spend"].fragment
    give, spend = ends["give"].part(""), ends["spend"].part("")
    channel = h.fixed("channel", 3)
    h.drive(
        freed=give.freed,
        freed_channel=give.freed_channel,
        told=give.told,
        heard=spend.told,
        heard_channel=spend.channel,
        credit=spend.credit,
        spends=spend.spend,
        spend_channel=spend.spend_channel,
    )

    def of(end: str, name: str) -> Value:
        return choose([ends[end].signal("", f"{name}_{number}") for number in range(CHANNELS)], channel)

    count, limit, spent = of("give", "count"), of("spend", "limit"), of("spend", "spent")
    enters = spend.spend & (spend.spend_channel == channel)
    leaves = give.freed & (give.freed_channel == channel)
    inside = Signal(4)
    m.d.sync += inside.eq(inside + enters - leaves)
    older, untold = Signal(8), Signal(8)
    m.d.comb += [
        older.eq(count - spend.credit),
        untold.eq(count - limit),
        *(Assume(each < CHANNELS) for each in (channel, give.freed_channel, spend.channel, spend.spend_channel)),
        Assume(~enters | _bit(spend.available, channel)),
        Assume(~leaves | (inside != 0)),
        # What is heard was told at some time, though maybe long ago.
        Assume(~(spend.told & (spend.channel == channel)) | (older <= untold + 100)),
    ]
    h.check(inside <= CONFIG.credits, (count - limit)[:8] <= CONFIG.credits, (limit - spent)[:8] <= CONFIG.credits)
    h.check((count - spent)[:8] == (CONFIG.credits - inside)[:8])
    h.check(inside < CONFIG.credits, when=_bit(spend.available, channel))
    h.check(give.credit == count, when=give.channel == channel)

    # Every channel is told within so many flits.
    since = Signal(6)
    with m.If(give.told):
        m.d.sync += since.eq(Mux(give.channel == channel, 0, since + 1))
    refreshed, flits = ends["give"].signal("", "refreshed"), ends["give"].signal("", "flits")
    before = Signal(3)
    m.d.comb += before.eq(Mux(channel >= refreshed, channel - refreshed, channel - refreshed + CHANNELS))
    left = REFRESH * before + Mux(flits == 0, 0, REFRESH - flits)
    h.check(refreshed < CHANNELS, since + left < REFRESH * CHANNELS)
    return h


def window(config: LinkConfig = CONFIG) -> Harness:
    """A flit is right only with its own number; each is passed on once, in order, in the slot in which it came."""
    h = Harness()
    m = h.m
    probe = Probe(ReceiveWindow(config))
    m.submodules.dut = probe.fragment
    dut = probe.part("")
    h.drive(arrival=dut.arrival, asked=dut.asked)
    arrival, trailer = dut.arrival, dut.arrival.trailer
    number, watched = h.free("number", NUMBER_BITS), h.fixed("watched", NUMBER_BITS)
    clean = h.free("clean")
    m.d.comb += [
        # The CRC is without errors: what is left of it is the number's high bits.
        Assume(~clean | ((arrival.residue == number[8:]) & (trailer.sequence == number[:8]))),
        Assume(clean | ~dut.good),
    ]
    distance, watched_distance = Signal(NUMBER_BITS), Signal(NUMBER_BITS)
    m.d.comb += [distance.eq(number - dut.expected), watched_distance.eq(watched - dut.expected)]
    near = (distance < 128) | (distance >= (1 << NUMBER_BITS) - 128)
    h.check(dut.good == near, when=arrival.valid & clean & trailer.data)

    got, slot, channel = Signal(), Signal(range(slots_of(config))), Signal(3)
    inside, comes, first, passes = Signal(), Signal(), Signal(), Signal()
    selective = config.retry == "selective"
    m.d.comb += [
        inside.eq(watched_distance < config.window),
        comes.eq(dut.good & trailer.data & (number == watched)),
        first.eq(comes & inside & ~got & (selective | (watched_distance == 0))),
        passes.eq(dut.push.valid & (watched_distance == 0)),
    ]
    with m.If(passes):
        m.d.sync += got.eq(0)
    with m.Elif(first):
        m.d.sync += [got.eq(1), slot.eq(arrival.slot), channel.eq(trailer.channel)]
    h.check(dut.note.valid == first, dut.release.valid == ~first, when=comes)
    h.check(dut.note.valid != dut.release.valid, when=arrival.valid)
    h.check(passes == ((got | first) & (watched_distance == 0)))
    h.check(
        dut.push.slot == Mux(got, slot, arrival.slot),
        dut.push.channel == Mux(got, channel, trailer.channel),
        when=passes,
    )
    if not selective:
        h.check(~got)
        return h
    # Invariants: it waits in its place, and is not missing.
    place = watched[: (config.window - 1).bit_length()]
    arrived, missing = probe.signal("", "arrived"), probe.signal("", "absentees")
    shape = data.StructLayout({"channel": range(CHANNELS), "slot": range(slots_of(config))})
    rows = h.memory("dut.waiting", rows=config.window, width=shape.size)
    h.check(_bit(arrived, place) == got, when=inside)
    h.check(choose(rows, place) == Cat(channel, slot), when=inside & got)
    h.check((arrived & missing) == 0, inside | ~got)
    h.check(~got, when=dut.missing_valid & inside & (dut.missing == watched[:8]))
    return h


def replay(config: LinkConfig = CONFIG) -> Harness:
    """No flit that is not acknowledged is written over; what is sent again is such a one, from its own place."""
    h = Harness()
    m = h.m
    probe = Probe(Sender(config))
    m.submodules.dut = probe.fragment
    dut, transmit = probe.part(""), probe.part("transmit")
    retry, memory = probe.part("retry"), probe.part("replay")
    h.source("send", dut.send)
    h.drive(sending=dut.sending, ready=dut.transmit.ready, heard=dut.heard)
    place_bits = (config.window - 1).bit_length()
    complete = probe.signal("retry", "complete")
    index, kept = probe.signal("transmit", "position"), probe.signal("transmit", "kept")
    number, address = probe.signal("transmit", "number"), probe.signal("replay", "address")
    current, sends = probe.signal("replay", "current"), probe.signal("replay", "sends")
    number_kept = probe.signal("transmit", "number_kept")
    step, loaded = probe.signal("transmit", "advances"), probe.signal("replay", "loaded")
    watched = h.fixed("watched", NUMBER_BITS)

    def since_oldest(value: Value) -> Value:
        return (value - retry.oldest)[:NUMBER_BITS]

    started, inside = Signal(), Signal()
    m.d.comb += started.eq((index != 0) & (kept == Kind.NEW) & (index < config.payload_beats))
    m.d.comb += inside.eq(since_oldest(watched) < since_oldest(complete))
    h.check(since_oldest(retry.next_number) <= config.window, since_oldest(complete) <= config.window)
    h.check(retry.next_number == (complete + started)[:NUMBER_BITS])
    store = transmit.store
    h.check(since_oldest(store.number) < config.window, when=store.valid)
    h.check(store.number[:place_bits] != watched[:place_bits], when=store.valid & inside)
    h.check(store.number == complete, when=store.valid)
    h.check(number_kept == complete, when=started)

    # What is sent again.
    again, goes_on = Signal(), Signal()
    m.d.comb += [again.eq(transmit.kind == Kind.AGAIN), goes_on.eq((index != 0) & (kept == Kind.AGAIN))]
    h.check(since_oldest(number) < since_oldest(complete), when=transmit.begins & again)
    before = h.history(address, 1, "address")[1]
    h.check(before == Cat(index, number[:place_bits]), when=step & again)
    h.check(sends == goes_on)
    h.check(current == number_kept[:place_bits], before == Cat(index, current), when=goes_on)
    h.check(before == Cat(index, retry.number[:place_bits]), when=loaded & memory.due & (index == 0))
    return h


def slots() -> Harness:
    """Each slot of the receive buffer is in one place: free, filled, checked, early, queued, read, or on its way."""
    h = Harness()
    m = h.m
    probe = Probe(Receiver(CONFIG))
    m.submodules.dut = probe.fragment
    dut, buffer, flits, order = (probe.part(path) for path in ("", "buffer", "flits", "window"))
    h.drive(
        beats=dut.beats,
        valid=dut.valid,
        receiving=dut.receiving,
        ready=dut.receive.ready,
        wanted=dut.wanted,
        told=dut.told,
    )
    count, credits = slots_of(CONFIG), CONFIG.credits
    slot = h.fixed("slot", (count - 1).bit_length())
    m.d.comb += Assume(slot < count)

    # The places. Early flits, and those in queues, each with its channel.
    early_shape = data.StructLayout({"channel": range(CHANNELS), "slot": range(count)})
    rows = [data.View(early_shape, row) for row in h.memory("dut.window.waiting", rows=8, width=early_shape.size)]
    arrived = probe.signal("window", "arrived")
    early = [(arrived[place], row.channel, row.slot) for place, row in enumerate(rows)]
    queued = []
    for number, row in enumerate(h.memory("dut.buffer.queues", rows=CHANNELS * credits, width=len(slot))):
        channel, place = divmod(number, credits)
        head = probe.signal("buffer", f"head_{channel}")
        length = probe.signal("buffer", f"count_{channel}")
        tail = probe.signal("buffer", f"tail_{channel}")
        h.check(tail == (head + length)[: len(head)])
        queued.append(((place - head)[: len(head)] < length, channel, row))
    reads, reading = probe.signal("buffer", "inside"), probe.signal("buffer", "slot_read")
    out_slot = probe.signal("buffer", "out_slot")
    out = buffer.receive.payload
    last = Signal()
    m.d.comb += last.eq(buffer.receive.valid & out.last)
    leaving = [(reads, probe.signal("buffer", "channel_kept"), reading), (last, out.channel, out_slot)]
    has_slot, filled = probe.signal("flits", "has_slot"), probe.signal("flits", "slot_filled")
    waits, waiting = probe.signal("buffer", "waits"), probe.signal("buffer", "waiting")
    idle, offered, offer = (probe.signal("buffer.slots", name) for name in ("idle", "offered", "offer"))
    arrival = flits.arrival
    places = [
        _bit(idle, slot),
        offered & (offer == slot),
        has_slot & (filled == slot),
        arrival.valid & (arrival.slot == slot),
        waits & (waiting == slot),
        *(valid & (held == slot) for valid, _, held in [*early, *queued, *leaving]),
    ]
    h.check(ones(Cat(*places)) == 1)
    for valid, channel, _ in early:
        h.check(channel < CHANNELS, when=valid)

    # The other side keeps to its credits.
    totals = []
    for channel in range(CHANNELS):
        total = Signal(range(8 + 2 * credits + 2), name=f"total_{channel}")
        m.d.comb += total.eq(ones(Cat(*(valid & (of == channel) for valid, of, _ in [*early, *queued, *leaving]))))
        totals.append(total)
        h.check(total <= credits, probe.signal("buffer", f"count_{channel}") <= credits)
    mine = arrival.trailer.channel
    m.d.comb += Assume(~order.note.valid | ((mine < CHANNELS) & (choose(totals, mine) < credits)))

    # What the rest needs: at most one comes back in two cycles, on each way.
    active = probe.signal("flits", "active")
    h.check(~(arrival.valid & active), ~active | has_slot, ~waits | ~last, ~waits | ~arrival.valid, ~(last & reads))
    h.check(reads & (out_slot == reading), when=buffer.receive.valid & ~out.last)
    index, following = probe.signal("buffer", "index"), probe.signal("flits", "following")
    h.check((index == 1) == reads, ~active | (following == 1))
    return h
