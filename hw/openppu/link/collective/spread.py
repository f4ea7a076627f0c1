"""Where the sums of a unit go: memory, ports and the joining unit, all at the same time."""

from amaranth import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.instruction import LENGTH_BITS, PORT_BITS, PROGRESS_BITS
from openppu.link.collective.memory import WriteSignature
from openppu.link.collective.writer import Writer
from openppu.link.layouts import ADDRESS_BITS
from openppu.link.word_queue import WordQueue

TARGET_STEP = data.StructLayout(
    {"address": ADDRESS_BITS, "length": LENGTH_BITS + 2, "write": 1, "feed": 1, "ports": PORT_BITS}
)
"""``length`` bytes of sums."""


class Spread(wiring.Component):
    """Gives each beat to all targets of its step, when all can take it. Latency: 0 cycles. Throughput: a beat a cycle.

    Members
    -------
    steps : In(stream of TARGET_STEP)
    sums : In(stream)
    ports : Out(stream), array of one a port
        A port that is ready stays so until it is given a beat.
    feed : Out(stream)
    memory : Out(WriteSignature(config))
    progress : Out(PROGRESS_BITS)
    clear : In(1)
        As `openppu.link.collective.writer.Writer` has them.
    blocked : Out(ports)
        Ports that a beat waits for.
    busy : Out(1)
    """

    def __init__(self, config: CollectiveConfig):
        self.config = config
        beat = stream.Signature(8 * config.beat_bytes)
        super().__init__(
            {
                "steps": In(stream.Signature(TARGET_STEP)),
                "sums": In(beat),
                "ports": Out(beat).array(config.ports),
                "feed": Out(beat),
                "memory": Out(WriteSignature(config)),
                "progress": Out(PROGRESS_BITS),
                "clear": In(1),
                "blocked": Out(config.ports),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.queue = queue = WordQueue(TARGET_STEP, depth=config.queue)
        m.submodules.writer = writer = Writer(config)
        wiring.connect(m, wiring.flipped(self.steps), queue.i)
        wiring.connect(m, writer.memory, wiring.flipped(self.memory))
        m.d.comb += [self.progress.eq(writer.progress), writer.clear.eq(self.clear)]

        step, active = Signal(TARGET_STEP), Signal()
        left = Signal(step.length.shape())
        goes, loads = Signal(), Signal()
        m.d.comb += [
            loads.eq((~active | (goes & (left <= config.beat_bytes))) & (~queue.o.payload.write | writer.steps.ready)),
            queue.o.ready.eq(loads),
            writer.steps.valid.eq(queue.o.valid & loads & queue.o.payload.write),
            writer.steps.payload.address.eq(queue.o.payload.address),
            writer.steps.payload.length.eq(queue.o.payload.length),
            self.busy.eq(active | queue.o.valid | writer.busy),
        ]
        targets = [(step.write, writer.beats), (step.feed, self.feed)]
        targets += [(step.ports[port], beats) for port, beats in enumerate(self.ports)]
        m.d.comb += goes.eq(active & self.sums.valid & Cat(*(~wanted | to.ready for wanted, to in targets)).all())
        m.d.comb += self.sums.ready.eq(goes)
        for number, (wanted, to) in enumerate(targets):
            others = Cat(*(~also | other.ready for place, (also, other) in enumerate(targets) if place != number)).all()
            m.d.comb += [to.payload.eq(self.sums.payload), to.valid.eq(active & self.sums.valid & wanted & others)]
        for port, beats in enumerate(self.ports):
            m.d.comb += self.blocked[port].eq(active & self.sums.valid & step.ports[port] & ~beats.ready)
        with m.If(goes):
            m.d.sync += left.eq(left - config.beat_bytes)
        with m.If(loads):
            m.d.sync += [active.eq(queue.o.valid), step.eq(queue.o.payload), left.eq(queue.o.payload.length)]
        with m.Elif(goes & (left <= config.beat_bytes)):
            m.d.sync += active.eq(0)
        return m
