"""Does what other chips ask for, and answers."""

from amaranth import Module
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.link.config import MOST_DATA_BYTES, LinkConfig
from openppu.link.layouts import ADDRESS_BITS, CHIP_BITS, LENGTH_BITS, TAG_BITS, Status, packet_layout
from openppu.link.mailbox import Mailbox, mail_layout
from openppu.link.memory_port import MemorySignature
from openppu.link.semaphores import VALUE_BITS, Semaphores
from openppu.link.target_answers import TargetAnswers
from openppu.link.target_requests import TargetRequests

OUTSTANDING = 8
"""Requests whose answer is not begun yet."""


def owed_layout(config: LinkConfig) -> data.StructLayout:
    """An answer that is owed: its status, or with ``reads`` what the memory gives from byte ``offset`` of a word on.

    ``adds``: the requests wait for what was found there.
    """
    return data.StructLayout(
        {
            "chip": CHIP_BITS,
            "tag": TAG_BITS,
            "status": Status,
            "reads": 1,
            "adds": 1,
            "length": LENGTH_BITS,
            "offset": max(1, (config.beat_bytes - 1).bit_length()),
        }
    )


class Target(wiring.Component):
    """Takes requests in their order, from any chip, and answers each: memory, mailboxes, semaphores.

    A request that is not possible is answered with a status (`openppu.link.layouts.Status`) and changes nothing. A read
    of wrong data is answered with `Status.MEMORY`; if the answer had begun, that is cut off first, and an addition is
    left out. A write that is cut off has written what came of it, a message's last word says so, and neither is
    answered: who asked has been told that his port was reset, or will be by his timeout.

    Additions and the answers are made one after the other; nothing comes between the reading and the writing.

    Latency: 2 cycles from a word to its access, and 2 from the last result to the last word of the answer. Throughput:
    a word a cycle; writes whose address is not a multiple of the word take an access more; an addition takes the
    memory's latency and 12 cycles.

    Parameters
    ----------
    config : LinkConfig
    mailboxes, mailbox_bytes : int
        Boxes, 0 to 64, and the bytes that each has room for; the longest message is as long.
    semaphores : int
        0 to 256.

    Members
    -------
    chip : In(CHIP_BITS)
        This chip's number.
    memory_bytes : In(ADDRESS_BITS + 1)
        Addresses from there on do not exist.
    requests : In(stream of packet_layout), answers : Out(stream of packet_layout)
    memory : Out(MemorySignature(config))
    mail : Out(stream of mail_layout(config)), array of one a box
    semaphores : Out(VALUE_BITS), array; lower : In(struct)
        `openppu.link.semaphores.Semaphores`. Both only if there are any.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """

    def __init__(self, config: LinkConfig, *, mailboxes: int = 4, mailbox_bytes: int = 4096, semaphores: int = 16):
        for name, value, least, most in (
            ("mailboxes", mailboxes, 0, 64),
            ("mailbox_bytes", mailbox_bytes, 2 * config.beat_bytes, 1 << 16),
            ("semaphores", semaphores, 0, 256),
        ):
            if not least <= value <= most:
                raise ValueError(f"Target {name} = {value}: give {least} to {most}")
        self.config = config
        self.mailboxes = mailboxes
        self.mailbox_bytes = mailbox_bytes
        self.semaphores_count = semaphores
        packets = stream.Signature(packet_layout(config))
        members = {
            "chip": In(CHIP_BITS),
            "memory_bytes": In(ADDRESS_BITS + 1),
            "requests": In(packets),
            "answers": Out(packets),
            "memory": Out(MemorySignature(config)),
            "mail": Out(stream.Signature(mail_layout(config))).array(mailboxes),
        }
        if semaphores:
            members["semaphores"] = Out(VALUE_BITS).array(semaphores)
            members["lower"] = In(Semaphores.lower_layout(semaphores))
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        config = self.config
        depth = -(-self.mailbox_bytes // config.beat_bytes)
        m.submodules.requests = front = TargetRequests(
            config,
            owed=owed_layout(config),
            mailboxes=self.mailboxes,
            mailbox_bytes=min(self.mailbox_bytes, MOST_DATA_BYTES),
            semaphores=self.semaphores_count,
        )
        m.submodules.answers = back = TargetAnswers(config, owed=owed_layout(config))
        m.submodules.owed = owed = fifo.SyncFIFO(width=owed_layout(config).size, depth=OUTSTANDING)
        wiring.connect(m, wiring.flipped(self.requests), front.requests)
        wiring.connect(m, back.answers, wiring.flipped(self.answers))
        wiring.connect(m, front.accesses, wiring.flipped(self.memory.accesses))
        wiring.connect(m, wiring.flipped(self.memory.results), back.results)
        m.d.comb += [
            front.memory_bytes.eq(self.memory_bytes),
            back.chip.eq(self.chip),
            owed.w_data.eq(front.owed.payload),
            owed.w_en.eq(front.owed.valid),
            front.owed.ready.eq(owed.w_rdy),
            back.owed.payload.eq(owed.r_data),
            back.owed.valid.eq(owed.r_rdy),
            owed.r_en.eq(back.owed.ready),
            front.found.eq(back.found),
            front.found_valid.eq(back.found_valid),
            front.found_wrong.eq(back.found_wrong),
        ]
        for box in range(self.mailboxes):
            m.submodules[f"mailbox_{box}"] = mailbox = Mailbox(config, depth=depth)
            m.d.comb += [
                mailbox.word.eq(front.mail),
                mailbox.put.eq(front.mail_put & (front.box == box)),
                front.room[box].eq(mailbox.room),
            ]
            wiring.connect(m, mailbox.mail, wiring.flipped(self.mail[box]))
        if self.semaphores_count:
            m.submodules.semaphores = semaphores = Semaphores(self.semaphores_count)
            m.d.comb += [
                semaphores.signal.eq(front.signal),
                semaphores.lower.eq(self.lower),
                *(mine.eq(value) for mine, value in zip(self.semaphores, semaphores.values, strict=True)),
            ]
        return m
