"""A bank of a scratchpad: an SRAM whose words are protected, and repaired."""

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.memory import MemoryData
from amaranth.lib.wiring import In, Out

from openppu.common.choose import lowest
from openppu.common.secded import CHECK_BITS, DATA_BITS, SecdedCorrect, check_bits
from openppu.common.shared import shared
from openppu.scratchpad.config import CODE_BYTES
from openppu.scratchpad.port import request_layout
from openppu.scratchpad.sram import GROUP_BITS, Sram

POISON = 0x7F
"""What inverts the check bits of a poisoned code word: seven of eight. The syndrome is that of no wrong bit, and with
any one bit wrong on top it is still that of no single one."""


class Kind(enum.Enum, shape=3):
    """What an access to the SRAM is for."""

    READ = 0
    WRITE = 1
    MERGE = 2
    """The read of a write that changes a part of a code word."""
    SCRUB = 3
    REPAIR = 4


def access_layout(*, ports: int, words: int, word_bytes: int) -> data.StructLayout:
    """A port's request to a bank."""
    request = request_layout(address_bits=(words - 1).bit_length(), word_bytes=word_bytes)
    return data.StructLayout({**request.members, "port": range(max(2, ports))})


def answer_layout(*, ports: int, word_bytes: int) -> data.StructLayout:
    """What a read found, if ``valid``."""
    members = {"valid": 1, "port": range(max(2, ports)), "data": 8 * word_bytes, "error": 1, "corrected": 1}
    return data.StructLayout(members)


def report_layout(*, words: int, word_bytes: int) -> data.StructLayout:
    """What was wrong with a word that was read: ``group`` is a code word that is as bad as any of it.

    ``scrubbed``: a scrub's read; ``repaired``: a word was written back for what was corrected in it.
    """
    group = range(max(2, word_bytes // CODE_BYTES))
    flags = dict.fromkeys(("corrected", "uncorrectable", "scrubbed", "repaired"), 1)
    return data.StructLayout({**flags, "address": range(words), "group": group, "syndrome": CHECK_BITS})


class Bank(wiring.Component):
    """An SRAM of code words: eight bytes with eight check bits that correct one wrong bit and detect two.

    A write of whole code words takes a cycle. One that changes a part of a code word takes four, in which the bank
    takes nothing else: the word is read, corrected, merged and written. If the code word was wrong beyond correction
    and some of its old bytes would stay, it is poisoned: every read finds it wrong until all its bytes are written.

    A word that was found with a wrong bit is repaired (read, corrected, written: four cycles) as soon as nobody wants
    the bank for a cycle; with several, scrubbing comes back to them. While nobody wants the bank, each ``scrub`` reads
    the next word. A word wrong beyond correction is left as it is.

    Latency: 3 cycles from an access to its answer. Throughput: one access a cycle, of the writes above one in four.

    Parameters
    ----------
    ports : int
    words : int
    word_bytes : int

    Members
    -------
    accesses : In(stream of access_layout)
    answer : Out(answer_layout)
    closed : In(1)
        Nothing is begun.
    fill, fill_address : In
        The word is set to zero, while ``closed`` and ``idle``.
    scrub : In(1)
        One more word is to be read.
    idle : Out(1)
        What takes several cycles is done.
    report : Out(report_layout)
    """

    LATENCY = 3
    MERGE_CYCLES = 4

    def __init__(self, *, ports: int, words: int, word_bytes: int):
        self.ports = ports
        self.words = words
        self.word_bytes = word_bytes
        self._content: MemoryData | None = None
        super().__init__(
            {
                "accesses": In(stream.Signature(access_layout(ports=ports, words=words, word_bytes=word_bytes))),
                "answer": Out(answer_layout(ports=ports, word_bytes=word_bytes)),
                "closed": In(1),
                "fill": In(1),
                "fill_address": In(range(words)),
                "scrub": In(1),
                "idle": Out(1),
                "report": Out(report_layout(words=words, word_bytes=word_bytes)),
            }
        )

    @property
    def content(self) -> MemoryData:
        """The SRAM's words, for Amaranth's simulator, once it has been elaborated."""
        assert self._content is not None
        return self._content

    def elaborate(self, platform):
        m = Module()
        groups = self.word_bytes // CODE_BYTES
        sram = Sram(words=self.words, groups=groups)
        m.submodules.sram = shared(sram, platform)
        self._content = sram.content
        access = self.accesses.payload

        def of_each(name: str, width: int = 1, *, reset_less: bool = False) -> list[Signal]:
            return [Signal(width, name=f"{name}_{group}", reset_less=reset_less) for group in range(groups)]

        # An access that goes on while others wait: cycles that are left of it.
        left = Signal(range(self.MERGE_CYCLES))
        free = Signal()
        m.d.comb += [self.idle.eq(left == 0), free.eq(self.idle & ~self.closed), self.accesses.ready.eq(free)]

        # What is begun: a port's access, else a repair, else a scrub.
        masks = [access.mask.word_select(group, CODE_BYTES) for group in range(groups)]
        narrow = Signal()
        m.d.comb += narrow.eq(access.write & Cat(mask.any() & ~mask.all() for mask in masks).any())
        begins = Signal()
        kind = Signal(Kind)
        address = Signal(range(self.words))
        broken, scrub_due = Signal(), Signal()
        broken_address, scrub_address = (
            Signal(range(self.words), name=f"{what}_address") for what in ("broken", "scrub")
        )
        m.d.sync += scrub_due.eq(scrub_due | self.scrub)
        with m.If(self.accesses.valid & free):
            m.d.comb += [
                begins.eq(1),
                kind.eq(Mux(narrow, Kind.MERGE, Mux(access.write, Kind.WRITE, Kind.READ))),
                address.eq(access.address),
            ]
        with m.Elif(free & broken):
            m.d.comb += [begins.eq(1), kind.eq(Kind.REPAIR), address.eq(broken_address)]
        with m.Elif(free & scrub_due):
            m.d.comb += [begins.eq(1), kind.eq(Kind.SCRUB), address.eq(scrub_address)]
            m.d.sync += [scrub_due.eq(self.scrub), scrub_address.eq(scrub_address + 1)]
        with m.If(begins & ((kind == Kind.MERGE) | (kind == Kind.REPAIR))):
            m.d.sync += left.eq(self.MERGE_CYCLES - 1)
        with m.Elif(~self.idle):
            m.d.sync += left.eq(left - 1)

        # Cycle 1: the SRAM is accessed. A merge's data and mask stay until it is done.
        now = Signal()
        now_kind = Signal(Kind)
        now_port = Signal.like(access.port, reset_less=True)
        now_address = Signal(range(self.words), reset_less=True)
        word = Signal(8 * self.word_bytes, reset_less=True)
        mask = Signal(self.word_bytes, reset_less=True)
        written = Signal(groups, reset_less=True)
        poisoned = Signal(groups, reset_less=True)
        m.d.sync += now.eq(begins | self.fill)
        with m.If(begins | self.fill):
            m.d.sync += [
                now_kind.eq(Mux(self.fill, Kind.WRITE, kind)),
                now_port.eq(access.port),
                now_address.eq(Mux(self.fill, self.fill_address, address)),
                word.eq(Mux(self.fill, 0, access.data)),
                mask.eq(Mux(self.fill, -1, Mux(kind == Kind.REPAIR, 0, access.mask))),
                written.eq(Mux(self.fill, -1, Cat(group.any() for group in masks))),
                poisoned.eq(0),
            ]
        parts = [word.word_select(group, DATA_BITS) for group in range(groups)]
        coded = [Cat(part, check_bits(part) ^ Mux(bad, POISON, 0)) for part, bad in zip(parts, poisoned, strict=True)]
        m.d.comb += [
            sram.enable.eq(now),
            sram.write.eq(now_kind == Kind.WRITE),
            sram.address.eq(now_address),
            sram.groups_written.eq(written),
            sram.write_data.eq(Cat(*coded)),
        ]

        # Cycle 2: syndromes of what was read.
        read, read_kind, read_port, read_address = _next(m, "read", now & ~sram.write, now_kind, now_port, now_address)
        found, syndromes = (
            of_each("found", DATA_BITS, reset_less=True),
            of_each("syndrome", CHECK_BITS, reset_less=True),
        )
        for group in range(groups):
            code = sram.read_data.word_select(group, GROUP_BITS)
            m.d.sync += [
                found[group].eq(code[:DATA_BITS]),
                syndromes[group].eq(code[DATA_BITS:] ^ check_bits(code[:DATA_BITS])),
            ]

        # Cycle 3: corrected.
        done, done_kind, done_port, done_address = _next(m, "done", read, read_kind, read_port, read_address)
        right = of_each("right", DATA_BITS)
        corrected, wrong = Signal(groups), Signal(groups)
        for group in range(groups):
            correct = SecdedCorrect()
            m.submodules[f"correct_{group}"] = shared(correct, platform)
            m.d.comb += [
                correct.i.eq(found[group]),
                correct.syndrome.eq(syndromes[group]),
                right[group].eq(correct.o),
                corrected[group].eq(correct.corrected),
                wrong[group].eq(correct.uncorrectable),
            ]

        answer, report = self.answer, self.report
        m.d.comb += [
            answer.valid.eq(done & (done_kind == Kind.READ)),
            answer.port.eq(done_port),
            answer.data.eq(Cat(*right)),
            answer.error.eq(wrong.any()),
            answer.corrected.eq(corrected.any() & ~wrong.any()),
        ]

        # A merge, or a repair, comes to its write.
        old, new = Cat(*right), Signal.like(word)
        merges, repairs = Signal(), Signal()
        whole, some = Signal(groups), Signal(groups)
        m.d.comb += [
            merges.eq(done & ((done_kind == Kind.MERGE) | (done_kind == Kind.REPAIR))),
            new.eq(Cat(Mux(mask[n], word.word_select(n, 8), old.word_select(n, 8)) for n in range(self.word_bytes))),
            repairs.eq(merges & corrected.any()),
            whole.eq(Cat(mask.word_select(group, CODE_BYTES).all() for group in range(groups))),
            some.eq(Cat(mask.word_select(group, CODE_BYTES).any() for group in range(groups))),
        ]
        with m.If(merges):
            m.d.sync += [
                now.eq((some | corrected).any()),
                now_kind.eq(Kind.WRITE),
                word.eq(new),
                written.eq(some | corrected),
                poisoned.eq(wrong & some & ~whole),
            ]

        # What is broken is found by any read; the first is kept until it is repaired.
        with m.If(begins & (kind == Kind.REPAIR)):
            m.d.sync += broken.eq(0)
        with m.If(done & ~merges & corrected.any() & (~broken | (begins & (kind == Kind.REPAIR)))):
            m.d.sync += [broken.eq(1), broken_address.eq(done_address)]

        worst = lowest(m, Mux(wrong.any(), wrong, corrected), name="worst")
        m.d.comb += [
            report.corrected.eq(done & corrected.any() & (done_kind != Kind.REPAIR)),
            report.uncorrectable.eq(done & wrong.any()),
            report.scrubbed.eq(done & (done_kind == Kind.SCRUB)),
            report.repaired.eq(repairs),
            report.address.eq(done_address),
            report.group.eq(worst),
            report.syndrome.eq(Array(syndromes)[worst]),
        ]
        return m


def _next(m: Module, name: str, valid, kind, port, address):
    """The same a cycle later."""
    later = Signal(name=name)
    rest = [
        Signal.like(value, name=f"{name}_{what}", reset_less=True)
        for what, value in (("kind", kind), ("port", port), ("address", address))
    ]
    m.d.sync += later.eq(valid)
    m.d.sync += [after.eq(before) for after, before in zip(rest, (kind, port, address), strict=True)]
    return later, *rest
