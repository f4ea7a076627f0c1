"""Asks other chips, and sees that every transaction ends."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.choose import lowest
from openppu.link.config import LinkConfig
from openppu.link.layouts import CHIP_BITS, REQUESTS, TAG_BITS, Operation, Status, packet_layout

TIMEOUT_BITS = 32
COUNT_BITS = 32


def initiator_status_layout() -> data.StructLayout:
    """What software can see of an initiator.

    ``waiting``: a transaction is not answered yet; ``late``: it is `Status.UNREACHABLE` within a timeout, if nobody
    answers before; ``destination``, ``tag``: which, an oldest one of them. Counters, which wrap: ``sent``,
    ``answered``; ``timeouts``; ``strays``, answers that nobody waited for; ``refused``, which were never sent.
    """
    counters = ("sent", "answered", "timeouts", "strays", "refused")
    return data.StructLayout(
        {"waiting": 1, "late": 1, "destination": CHIP_BITS, "tag": TAG_BITS} | dict.fromkeys(counters, COUNT_BITS)
    )


class Initiator(wiring.Component):
    """Sends requests, and gives each of them one answer: the one that comes, or `Status.UNREACHABLE`.

    A request waits while its tag is in use. One that is no request, or has a tag that does not exist, is answered with
    `Status.OPERATION` at once. What is not answered within one to two timeouts is answered with `Status.UNREACHABLE`;
    then its tag stays closed until the answer comes after all, and is thrown away, or until ``reopen``. An answer that
    is cut off ends with a word that is ``cut``, and another answer follows.

    Latency: 0 cycles each way. Throughput: a word a cycle each way.

    Parameters
    ----------
    config : LinkConfig
    tags : int, a power of two from 2 to 256
        Transactions that may be under way.

    Members
    -------
    chip : In(CHIP_BITS)
        This chip's number.
    requests : In(stream of packet_layout)
        Packets, of whose header ``operation``, ``destination``, ``tag``, ``length`` and ``address`` count.
    answers : Out(stream of packet_layout)
        `Operation.DONE` or `Operation.DATA`, with the tag and a status.
    sent : Out(stream of packet_layout), received : In(stream of packet_layout)
        The same on the side of the router.
    timeout : In(TIMEOUT_BITS)
        In clocks; 0: wait for ever.
    reopen : In(1)
        No answer to what has timed out can come any more.
    status : Out(initiator_status_layout())

    Raises
    ------
    ValueError
        If ``tags`` is not such a number.
    """

    def __init__(self, config: LinkConfig, *, tags: int = 64):
        if not 2 <= tags <= 1 << TAG_BITS or tags.bit_count() != 1:
            raise ValueError(f"Initiator tags = {tags}: give a power of two from 2 to {1 << TAG_BITS}")
        self.config = config
        self.tags = tags
        packets = stream.Signature(packet_layout(config))
        super().__init__(
            {
                "chip": In(CHIP_BITS),
                "requests": In(packets),
                "answers": Out(packets),
                "sent": Out(packets),
                "received": In(packets),
                "timeout": In(TIMEOUT_BITS),
                "reopen": In(1),
                "status": Out(initiator_status_layout()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        tag_bits = (self.tags - 1).bit_length()
        m.submodules.asked = asked = memory.Memory(shape=CHIP_BITS, depth=self.tags, init=[])
        remember = asked.write_port()
        recall_answer, recall_expired, recall_waiting = (asked.read_port(domain="comb") for _ in range(3))

        # A tag is open until it is answered; one that expired is answered here, and closed against a late answer.
        open_, aged, expired, closed = (Signal(self.tags, name=name) for name in ("open", "aged", "expired", "closed"))
        clock = Signal(TIMEOUT_BITS)
        tick = Signal()
        late = Signal(self.tags)
        m.d.comb += [tick.eq((self.timeout != 0) & (clock + 1 >= self.timeout)), late.eq(open_ & aged)]
        m.d.sync += clock.eq(Mux(tick | (self.timeout == 0), 0, clock + 1))

        # Requests.
        passing = Signal()
        current_tag = Signal(tag_bits)
        in_use = Signal(self.tags)
        request, sent = self.requests.payload, self.sent.payload
        ask_tag = request.header.tag[:tag_bits]
        under_way = Signal()
        refusing = Signal()
        is_request = Signal()
        is_known = Signal()
        is_free = Signal()
        refuse = Signal()
        asks = Signal()
        refused = Signal()
        refused_waits = Signal()
        refused_tag = Signal(TAG_BITS)
        m.d.comb += [
            is_request.eq(request.header.operation.as_value().matches(*(operation.value for operation in REQUESTS))),
            is_known.eq(request.header.tag[tag_bits:] == 0),
            # An answer under way may yet be cut off.
            is_free.eq(~in_use.bit_select(ask_tag, 1) & ~(passing & (current_tag == ask_tag))),
            in_use.eq(open_ | expired | closed),
            refuse.eq(Mux(request.first, ~is_request | ~is_known, refusing)),
            sent.eq(request),
            sent.header.source.eq(self.chip),
            sent.header.status.eq(Status.OKAY),
            self.sent.valid.eq(self.requests.valid & ~refuse & (under_way | is_free)),
            self.requests.ready.eq(Mux(refuse, ~refused_waits, self.sent.ready & (under_way | is_free))),
            asks.eq(self.sent.valid & self.sent.ready & request.first),
            refused.eq(self.requests.valid & refuse & ~refused_waits & request.last),
            remember.addr.eq(ask_tag),
            remember.data.eq(request.header.destination),
            remember.en.eq(asks),
        ]
        with m.If(self.requests.valid & self.requests.ready):
            m.d.sync += [under_way.eq(~request.last & ~refuse), refusing.eq(~request.last & refuse)]
        with m.If(self.requests.valid & request.first & ~refused_waits):
            m.d.sync += refused_tag.eq(request.header.tag)

        # Answers from outside, of an open tag and the chip that was asked, which have the way from the first word on.
        answer = self.received.payload
        answer_tag = answer.header.tag[:tag_bits]
        own_valid = Signal()
        own = Signal(data.StructLayout({"source": CHIP_BITS, "tag": TAG_BITS, "status": Status}))
        late_answer = Signal()
        is_own = Signal()
        accepts = Signal()
        passes = Signal()
        takes = Signal()
        m.d.comb += [
            recall_answer.addr.eq(answer_tag),
            is_own.eq(
                (answer.header.tag[tag_bits:] == 0)
                & (recall_answer.data == answer.header.source)
                & answer.header.operation.as_value().matches(Operation.DONE.value, Operation.DATA.value)
            ),
            accepts.eq(
                self.received.valid & answer.first & ~passing & ~own_valid & is_own & open_.bit_select(answer_tag, 1)
            ),
            passes.eq(passing | accepts),
            self.answers.valid.eq(Mux(passes, self.received.valid, own_valid)),
            self.received.ready.eq(Mux(passes, self.answers.ready, ~own_valid | ~answer.first)),
            takes.eq(self.received.valid & self.received.ready),
        ]

        # Answers from here, a word each.
        expired_tag = lowest(m, expired, name="expired_tag")
        header = self.answers.payload.header
        m.d.comb += recall_expired.addr.eq(expired_tag)
        with m.If(passes):
            m.d.comb += self.answers.payload.eq(answer)
        with m.Else():
            m.d.comb += [
                self.answers.payload.first.eq(1),
                self.answers.payload.last.eq(1),
                header.operation.eq(Operation.DONE),
                header.destination.eq(self.chip),
                header.source.eq(own.source),
                header.status.eq(own.status),
                header.tag.eq(own.tag),
            ]
        own_taken = Signal()
        m.d.comb += own_taken.eq(~passes & own_valid & self.answers.ready)

        # What becomes of the tags: statements that come later win.
        with m.If(tick):
            m.d.sync += [
                open_.eq(open_ & ~late),
                aged.eq(open_ | aged),
                expired.eq(expired | late),
                closed.eq(closed | late),
            ]
        with m.If(self.reopen):
            m.d.sync += closed.eq(Mux(tick, late, 0))
        with m.If(asks):
            m.d.sync += [open_.bit_select(ask_tag, 1).eq(1), aged.bit_select(ask_tag, 1).eq(0)]
        with m.If(own_taken):
            m.d.sync += own_valid.eq(0)
        with m.Elif(~own_valid & refused_waits):
            m.d.sync += [own_valid.eq(1), refused_waits.eq(0)]
            m.d.sync += [own.source.eq(self.chip), own.tag.eq(refused_tag), own.status.eq(Status.OPERATION)]
        with m.Elif(~own_valid & expired.any()):
            m.d.sync += [own_valid.eq(1), expired.bit_select(expired_tag, 1).eq(0)]
            m.d.sync += [own.source.eq(recall_expired.data), own.tag.eq(expired_tag), own.status.eq(Status.UNREACHABLE)]
        with m.If(accepts):
            # In the cycle in which it would expire, it does not.
            m.d.sync += [
                current_tag.eq(answer_tag),
                passing.eq(1),
                open_.bit_select(answer_tag, 1).eq(0),
                expired.bit_select(answer_tag, 1).eq(0),
                closed.bit_select(answer_tag, 1).eq(0),
            ]
        with m.If(takes & answer.last):
            m.d.sync += passing.eq(0)
        with m.If(takes & passing & answer.cut):
            m.d.sync += [open_.bit_select(current_tag, 1).eq(1), aged.bit_select(current_tag, 1).eq(1)]
        with m.If(takes & ~passes):
            with m.If(answer.first):
                m.d.sync += [current_tag.eq(answer_tag), late_answer.eq(is_own)]
            with m.If(answer.last & ~answer.cut & Mux(answer.first, is_own, late_answer)):
                m.d.sync += closed.bit_select(Mux(answer.first, answer_tag, current_tag), 1).eq(0)
        with m.If(refused):
            m.d.sync += refused_waits.eq(1)

        # What is told.
        status = self.status
        oldest = lowest(m, Mux(late.any(), late, open_), name="oldest")
        m.d.comb += recall_waiting.addr.eq(oldest)
        m.d.sync += [
            status.waiting.eq(open_.any()),
            status.late.eq(late.any()),
            status.tag.eq(oldest),
            status.destination.eq(recall_waiting.data),
        ]
        for name, event in (
            ("sent", asks),
            ("answered", takes & passes & answer.last & ~answer.cut),
            ("timeouts", own_taken & (own.status == Status.UNREACHABLE)),
            ("strays", takes & ~passes & answer.last),
            ("refused", refused),
        ):
            with m.If(event):
                m.d.sync += status[name].eq(status[name] + 1)
        return m
