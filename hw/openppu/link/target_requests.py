"""What a target does with requests, up to the memory, the mailboxes and the semaphores."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.formats.add32 import Add32
from openppu.link.config import MOST_DATA_BYTES, LinkConfig
from openppu.link.grains import moved_up
from openppu.link.layouts import ADDRESS_BITS, LENGTH_BITS, Operation, Status, packet_layout
from openppu.link.mailbox import mail_layout
from openppu.link.memory_port import access_layout
from openppu.link.semaphores import Semaphores

SUM_BITS = 32
SUM_BYTES = SUM_BITS // 8


class Kind(enum.Enum, shape=3):
    """What is done with a packet."""

    REFUSE = 0
    WRITE = 1
    READ = 2
    ADD = 3
    MESSAGE = 4
    SIGNAL = 5


class Phase(enum.Enum, shape=3):
    """What the memory is accessed for."""

    WORDS = 0
    """The words of a packet, one after the other."""
    REST = 1
    """The bytes that are left of a write whose address is not a multiple of a word."""
    READ = 2
    FIND = 3
    """Nothing: what stands where something is added is on its way."""
    ADD = 4
    """Nothing: it is being added."""
    STORE = 5
    """The sum."""


class TargetRequests(wiring.Component):
    """Decodes requests, checks them, and carries them out: part of `openppu.link.target.Target`.

    Latency: 2 cycles from a word to its access. Throughput: a word a cycle.

    Parameters
    ----------
    config : LinkConfig
    owed : data.StructLayout
        `openppu.link.target.owed_layout`.
    mailboxes, mailbox_bytes, semaphores : int
        How many there are, and the longest message.

    Members
    -------
    memory_bytes : In(ADDRESS_BITS + 1)
    requests : In(stream of packet_layout)
    accesses : Out(stream of access_layout)
    owed : Out(stream of owed)
        The answers, in the order of the requests.
    found : In(32), found_valid, found_wrong : In(1)
        What was read for an addition: one of them comes for each.
    mail : Out(mail_layout), mail_put : Out(1), box : Out
        A word for a mailbox.
    room : In, array of one a mailbox
        Words.
    signal : Out(struct)
        For the semaphores.
    """

    def __init__(
        self, config: LinkConfig, *, owed: data.StructLayout, mailboxes: int, mailbox_bytes: int, semaphores: int
    ):
        self.config = config
        self.owed_shape = owed
        self.mailboxes = mailboxes
        self.mailbox_bytes = mailbox_bytes
        self.semaphores = semaphores
        self.room_bits = 17
        super().__init__(
            {
                "memory_bytes": In(ADDRESS_BITS + 1),
                "requests": In(stream.Signature(packet_layout(config))),
                "accesses": Out(stream.Signature(access_layout(config))),
                "owed": Out(stream.Signature(owed)),
                "found": In(SUM_BITS),
                "found_valid": In(1),
                "found_wrong": In(1),
                "mail": Out(mail_layout(config)),
                "mail_put": Out(1),
                "box": Out(range(max(2, mailboxes))),
                "room": In(self.room_bits).array(mailboxes),
                "signal": Out(Semaphores.signal_layout(max(2, semaphores))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        width = config.beat_bytes
        low = (width - 1).bit_length()

        # A word waits in a register, decoded.
        word = Signal(packet_layout(config))
        valid = Signal()
        take = Signal()
        kind = Signal(Kind)
        status = Signal(Status)
        incoming = self.requests.payload
        header = Signal.like(incoming.header)
        decoded = self._decode(m, incoming.header)
        m.d.comb += self.requests.ready.eq(~valid | take)
        with m.If(self.requests.ready):
            m.d.sync += [valid.eq(self.requests.valid), word.eq(incoming)]
            with m.If(self.requests.valid & incoming.first):
                m.d.sync += [kind.eq(decoded.kind), status.eq(decoded.status), header.eq(incoming.header)]

        # A message without room is refused from its first word on.
        room = Signal(self.room_bits)
        words = Signal(self.room_bits)
        needs = Signal()
        m.d.comb += [words.eq((header.length >> low) + 1), needs.eq(word.first & (kind == Kind.MESSAGE))]
        for box in range(self.mailboxes):
            with m.If(header.address[: len(self.box)] == box):
                m.d.comb += room.eq(self.room[box])
        lacks = Signal()
        m.d.comb += lacks.eq(needs & (room < words))
        does = Signal(Kind)
        tells = Signal(Status)
        m.d.comb += [does.eq(Mux(lacks, Kind.REFUSE, kind)), tells.eq(Mux(lacks, Status.BUSY, status))]
        with m.If(take & lacks & ~word.last):
            m.d.sync += [kind.eq(Kind.REFUSE), status.eq(Status.BUSY)]

        # Accesses go out through a register.
        access = Signal(access_layout(config))
        free = Signal()
        accesses = Signal()
        m.d.comb += free.eq(~self.accesses.valid | self.accesses.ready)
        with m.If(free):
            m.d.sync += [self.accesses.valid.eq(accesses), self.accesses.payload.eq(access)]

        # The bytes of a write are moved to their place; what does not fit into the word goes into the next one.
        offset = header.address[:low]
        present = Signal(width)
        m.d.comb += present.eq(Cat(word.filled & (word.count >= byte if byte else 1) for byte in range(width)))
        moved = moved_up(m, word.data, offset, width=16 * width, unit=8, name="moved")
        mask = moved_up(m, present, offset, width=2 * width, unit=1, name="moved_mask")
        carry = Signal(8 * width)
        carry_mask = Signal(width)
        first_place = Signal(len(access.address))
        place = Signal(len(access.address))
        m.d.comb += first_place.eq(header.address[low:])

        # An addition: the operand, what was found, and their sum some cycles later.
        m.submodules.adder = adder = Add32()
        operand = Signal(SUM_BITS)
        old = Signal(SUM_BITS)
        total = Signal(SUM_BITS)
        pause = Signal(range(Add32.LATENCY + 1))
        m.d.comb += [
            adder.a.eq(old),
            adder.b.eq(operand),
            total.eq(Mux(header.operation == Operation.ADD_BINARY32, adder.total, old + operand)),
        ]
        stored = Signal(range(max(2, SUM_BYTES // min(width, SUM_BYTES))))
        last_store = SUM_BYTES // min(width, SUM_BYTES) - 1

        phase = Signal(Phase)
        more = Signal(LENGTH_BITS + 1)
        reads_left = Signal.like(more)
        owed = self.owed.payload
        m.d.comb += [
            owed.chip.eq(header.source),
            owed.tag.eq(header.tag),
            owed.status.eq(tells),
            owed.length.eq(header.length),
            owed.offset.eq(offset),
            owed.adds.eq(does == Kind.ADD),
            owed.reads.eq((does == Kind.READ) | (does == Kind.ADD)),
            self.mail.chip.eq(header.source),
            self.mail.tag.eq(header.tag),
            self.mail.data.eq(word.data),
            self.mail.count.eq(word.count),
            self.mail.filled.eq(word.filled),
            self.mail.cut.eq(word.cut),
            self.mail.first.eq(word.first),
            self.mail.last.eq(word.last),
            self.box.eq(header.address),
            self.signal.index.eq(header.address),
            self.signal.amount.eq(header.length),
            more.eq((offset + header.length) >> low),
        ]

        # A request stays in its register until its last access is made: its header is looked at until then.
        ends = Signal()
        rest = Signal()
        m.d.comb += [ends.eq(word.last & ~word.cut), rest.eq(mask[width:].any())]
        with m.Switch(phase):
            with m.Case(Phase.WORDS):
                with m.If(valid & (does == Kind.WRITE)):
                    m.d.comb += [
                        access.write.eq(1),
                        access.address.eq(Mux(word.first, first_place, place)),
                        access.data.eq(moved[: 8 * width] | Mux(word.first, 0, carry)),
                        access.mask.eq(mask[:width] | Mux(word.first, 0, carry_mask)),
                        self.owed.valid.eq(ends & ~rest & free),
                        take.eq(free & ~(ends & rest) & (~ends | self.owed.ready)),
                        accesses.eq(word.filled & (~ends | rest | self.owed.ready)),
                    ]
                    with m.If(free):
                        m.d.sync += [carry.eq(moved[8 * width :]), carry_mask.eq(mask[width:])]
                    with m.If(free & ends & rest):
                        m.d.sync += phase.eq(Phase.REST)
                    with m.If(accesses & free):
                        m.d.sync += place.eq(access.address + 1)
                with m.Elif(valid & ends & owed.reads):
                    m.d.comb += [
                        access.address.eq(first_place),
                        self.owed.valid.eq(free),
                        accesses.eq(self.owed.ready),
                        take.eq(self.owed.ready & free & (does == Kind.READ) & (more == 0)),
                    ]
                    m.d.sync += [place.eq(first_place + 1), reads_left.eq(more - 1)]
                    with m.If(accesses & free & ~take):
                        m.d.sync += phase.eq(Mux(more == 0, Phase.FIND, Phase.READ))
                with m.Elif(valid):
                    m.d.comb += [
                        self.owed.valid.eq(ends),
                        take.eq(~ends | self.owed.ready),
                        self.mail_put.eq(take & (does == Kind.MESSAGE)),
                        self.signal.valid.eq(take & ends & (does == Kind.SIGNAL)),
                    ]
                with m.If(valid & word.filled & (take | ends)):
                    m.d.sync += operand.eq(Cat(operand, word.data)[-SUM_BITS:] if width < SUM_BYTES else word.data)
            with m.Case(Phase.REST):
                m.d.comb += [
                    access.write.eq(1),
                    access.address.eq(place),
                    access.data.eq(carry),
                    access.mask.eq(carry_mask),
                    accesses.eq(self.owed.ready),
                    self.owed.valid.eq(free),
                    take.eq(free & self.owed.ready),
                ]
            with m.Case(Phase.READ):
                m.d.comb += [
                    access.address.eq(place),
                    accesses.eq(1),
                    take.eq(free & (reads_left == 0) & (kind == Kind.READ)),
                ]
                with m.If(free):
                    m.d.sync += [place.eq(place + 1), reads_left.eq(reads_left - 1)]
                with m.If(free & (reads_left == 0)):
                    m.d.sync += phase.eq(Phase.FIND)
            with m.Case(Phase.FIND):
                m.d.comb += take.eq(self.found_wrong)
                m.d.sync += [old.eq(self.found), pause.eq(Add32.LATENCY), stored.eq(0), place.eq(first_place)]
                with m.If(self.found_valid):
                    m.d.sync += phase.eq(Phase.ADD)
            with m.Case(Phase.ADD):
                m.d.sync += pause.eq(pause - 1)
                with m.If(pause == 0):
                    m.d.sync += phase.eq(Phase.STORE)
            with m.Case(Phase.STORE):
                m.d.comb += [
                    access.write.eq(1),
                    access.address.eq(place),
                    accesses.eq(1),
                    take.eq(free & (stored == last_store)),
                ]
                if width < SUM_BYTES:
                    m.d.comb += [access.data.eq(total.word_select(stored, 8 * width)), access.mask.eq(-1)]
                else:
                    m.d.comb += access.data.eq(total.replicate(width // SUM_BYTES))
                    for byte in range(width):
                        m.d.comb += access.mask[byte].eq((offset >> 2) == byte // SUM_BYTES)
                with m.If(free):
                    m.d.sync += [place.eq(place + 1), stored.eq(stored + 1)]
        with m.If(take):
            m.d.sync += phase.eq(Phase.WORDS)
        return m

    def _decode(self, m: Module, header: data.View) -> data.View:
        """What is done with a packet, and why not."""
        decoded = Signal(data.StructLayout({"kind": Kind, "status": Status}), name="decoded")
        end = Signal(ADDRESS_BITS + 1, name="end")
        beyond = Signal(name="beyond")
        m.d.comb += [end.eq(header.address + header.length), beyond.eq(end >= self.memory_bytes)]

        def refuse(status) -> list:
            return [decoded.kind.eq(Kind.REFUSE), decoded.status.eq(status)]

        m.d.comb += refuse(Status.OPERATION)
        with m.Switch(header.operation):
            for operation, does in ((Operation.WRITE, Kind.WRITE), (Operation.READ, Kind.READ)):
                with m.Case(operation):
                    m.d.comb += [decoded.kind.eq(does), decoded.status.eq(Status.OKAY)]
                    with m.If(beyond):
                        m.d.comb += refuse(Status.ADDRESS)
            with m.Case(Operation.ADD_INT32, Operation.ADD_BINARY32):
                with m.If((header.length == SUM_BYTES - 1) & (header.address[:2] == 0)):
                    m.d.comb += [decoded.kind.eq(Kind.ADD), decoded.status.eq(Status.OKAY)]
                    with m.If(beyond):
                        m.d.comb += refuse(Status.ADDRESS)
            with m.Case(Operation.MESSAGE):
                m.d.comb += [decoded.kind.eq(Kind.MESSAGE), decoded.status.eq(Status.OKAY)]
                fits = (header.length < self.mailbox_bytes) if self.mailbox_bytes < MOST_DATA_BYTES else 1
                with m.If(~((header.address < self.mailboxes) & fits) if self.mailboxes else 1):
                    m.d.comb += refuse(Status.ADDRESS)
            with m.Case(Operation.SIGNAL):
                m.d.comb += [decoded.kind.eq(Kind.SIGNAL), decoded.status.eq(Status.OKAY)]
                with m.If(header.address >= self.semaphores if self.semaphores else 1):
                    m.d.comb += refuse(Status.ADDRESS)
        return decoded
