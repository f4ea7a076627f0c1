"""A box for messages of other chips."""

from amaranth import Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.link.config import LinkConfig
from openppu.link.layouts import CHIP_BITS, TAG_BITS
from openppu.link.word_queue import WordQueue


def mail_layout(config: LinkConfig) -> data.StructLayout:
    """A word of a message: ``count`` bytes less one; all words but the last are full.

    ``cut``, with a last word that is not ``filled``: the rest was lost, and the sender does not believe it arrived.
    """
    return data.StructLayout(
        {
            "chip": CHIP_BITS,
            "tag": TAG_BITS,
            "data": 8 * config.beat_bytes,
            "count": range(config.beat_bytes),
            "filled": 1,
            "cut": 1,
            "first": 1,
            "last": 1,
        }
    )


class Mailbox(wiring.Component):
    """Keeps the words of messages until they are read.

    Latency: 1 cycle. Throughput: a word a cycle.

    Parameters
    ----------
    config : LinkConfig
    depth : int
        Words.

    Members
    -------
    word : In(mail_layout(config)), put : In(1)
        Only as many as there is room for.
    room : Out(range(depth + 1))
    mail : Out(stream of mail_layout(config))
    """

    def __init__(self, config: LinkConfig, *, depth: int):
        self.config = config
        self.depth = depth
        super().__init__(
            {
                "word": In(mail_layout(config)),
                "put": In(1),
                "room": Out(range(depth + 1)),
                "mail": Out(stream.Signature(mail_layout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = WordQueue(mail_layout(self.config), depth=self.depth)
        wiring.connect(m, queue.o, wiring.flipped(self.mail))
        m.d.comb += [queue.i.payload.eq(self.word), queue.i.valid.eq(self.put)]
        with m.If(queue.level < self.depth):
            m.d.comb += self.room.eq(self.depth - queue.level)
        return m
