"""Memory ports and registers whose two sides have different clocks."""

from amaranth import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.axi import AxiLiteSignature, Response
from openppu.common.memory import OUTWARDS, MemorySignature
from openppu.common.shared import shared
from openppu.common.stream_crossing import StreamCrossing

BACK = {"sync": "far", "far": "sync"}
"""What the domains of a `StreamCrossing` are that goes from ``far`` to ``sync``."""

ACCESSES = 4
"""Accesses to registers that a crossing holds."""


class MemoryCrossing(wiring.Component):
    """A memory port: the user in ``sync``, the memory in ``far``.

    Latency: that of `StreamCrossing`, each way. Throughput: a word a clock of the slower domain, each way.

    Parameters
    ----------
    tags : int
    words : int
        As of `StreamCrossing`, of each of the four streams.

    Members
    -------
    user : In(MemorySignature)
    memory : Out(MemorySignature)
    """

    def __init__(self, *, tags: int, words: int = 16):
        self.tags = tags
        self.words = words
        super().__init__({"user": In(MemorySignature(tags=tags)), "memory": Out(MemorySignature(tags=tags))})

    def elaborate(self, platform):
        m = Module()
        for name in (*OUTWARDS, "responses", "acknowledges"):
            mine, theirs = getattr(self.user, name), getattr(self.memory, name)
            crossing = StreamCrossing(mine.payload.shape(), words=self.words)
            outwards = name in OUTWARDS
            m.submodules[name] = shared(crossing, platform, domains={"far": "far"} if outwards else BACK)
            source, target = (mine, theirs) if outwards else (theirs, mine)
            wiring.connect(m, wiring.flipped(source), crossing.i)
            wiring.connect(m, crossing.o, wiring.flipped(target))
        return m


class AxiLiteCrossing(wiring.Component):
    """AXI4-Lite: who asks in ``sync``, who answers in ``far``.

    Latency: that of `StreamCrossing`, each way. Throughput: an access a clock of the slower domain at best, half of it
    with `ACCESSES` under way.

    Parameters
    ----------
    address_bits : int

    Members
    -------
    user : In(AxiLiteSignature)
    part : Out(AxiLiteSignature)
    """

    def __init__(self, *, address_bits: int):
        self.address_bits = address_bits
        signature = AxiLiteSignature(address_bits=address_bits, data_bits=32)
        super().__init__({"user": In(signature), "part": Out(signature)})

    def elaborate(self, platform):
        m = Module()
        user, part = self.user, self.part
        channels = {
            "aw": data.StructLayout({"addr": self.address_bits}),
            "w": data.StructLayout({"data": 32, "strb": 4}),
            "ar": data.StructLayout({"addr": self.address_bits}),
            "b": data.StructLayout({"resp": Response}),
            "r": data.StructLayout({"data": 32, "resp": Response}),
        }
        for name, layout in channels.items():
            outwards = name in ("aw", "w", "ar")
            crossing = StreamCrossing(layout, words=ACCESSES)
            m.submodules[name] = shared(crossing, platform, domains={"far": "far"} if outwards else BACK)
            source, target = (user, part) if outwards else (part, user)
            m.d.comb += [
                crossing.i.valid.eq(getattr(source, f"{name}valid")),
                getattr(source, f"{name}ready").eq(crossing.i.ready),
                getattr(target, f"{name}valid").eq(crossing.o.valid),
                crossing.o.ready.eq(getattr(target, f"{name}ready")),
                *(crossing.i.payload[field].eq(getattr(source, name + field)) for field, _ in layout),
                *(getattr(target, name + field).eq(crossing.o.payload[field]) for field, _ in layout),
            ]
        return m
