"""A reduction unit: rows of elements of several sources, added lane by lane."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.delayed import delayed
from openppu.common.shared import shared
from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.instruction import LABEL_BITS, LENGTH_BITS, PROGRESS_BITS, SLOTS, Source
from openppu.link.collective.lane_tree import LaneTree
from openppu.link.collective.lane_tree import latency as tree_latency
from openppu.link.collective.memory import ReadSignature
from openppu.link.collective.reader import PROGRESS, READ_STEP, THREADS, Reader
from openppu.link.collective.receiver import window_layout
from openppu.link.layouts import ADDRESS_BITS
from openppu.link.word_queue import WordQueue

MINUS_ZERO = 0x80000000
"""What an absent operand is among binary32: it leaves any other as it is. Among int32 it is 0."""

UNIT_STEP = data.StructLayout(
    {
        "length": LENGTH_BITS,
        "label": LABEL_BITS,
        "sources": data.ArrayLayout(4, SLOTS),
        "narrow_sources": SLOTS,
        "integer": 1,
        "narrow": 1,
        "local": ADDRESS_BITS,
        "wait": 1,
        "thread": range(THREADS),
        "base": PROGRESS_BITS,
    }
)
"""``length`` elements; the fields are those of `openppu.link.collective.instruction.InstructionLayout`."""


class ReduceUnit(wiring.Component):
    """Takes a row of elements from each source of a step as soon as all have it, and adds.

    A row is an element a lane: a beat of binary32 or int32, or half a beat of bf16, lower half first. Sums come in
    beats: one a row, or if they are bf16 one for two rows, the last one as it is. In a last beat, elements behind the
    end are meaningless.

    Latency: `latency` cycles from the sources to ``sums``. Throughput: a row a cycle, also from one step to the next.

    Parameters
    ----------
    config : CollectiveConfig
    slots : int
        Operands, 2 or 4.
    joining : bool
        What other units give can be an operand.

    Members
    -------
    steps : In(stream of UNIT_STEP)
    windows : In(stream of window_layout(config)), array of one a port
    fed : In(stream), array of two if ``joining``
    progress : In(PROGRESS)
    memory : Out(ReadSignature(config))
    sums : Out(stream)
    finished : Out(1)
        The last row of a step is taken in this cycle.
    claims : Out(ports)
        While a step is worked on: the ports that it takes from, and
    missing : Out(ports + 1)
        those that have nothing for it; the last bit is memory.
    mislabelled : Out(1)
        What comes of a port, in this cycle, has another label.
    busy : Out(1)
    """

    def __init__(self, config: CollectiveConfig, slots: int, joining: bool):
        self.config = config
        self.slots = slots
        self.joining = joining
        beat = stream.Signature(8 * config.beat_bytes)
        super().__init__(
            {
                "steps": In(stream.Signature(UNIT_STEP)),
                "windows": In(stream.Signature(window_layout(config))).array(config.ports),
                "fed": In(beat).array(2 if joining else 0),
                "progress": In(PROGRESS),
                "memory": Out(ReadSignature(config)),
                "sums": Out(beat),
                "finished": Out(1),
                "claims": Out(config.ports),
                "missing": Out(config.ports + 1),
                "mislabelled": Out(1),
                "busy": Out(1),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles."""
        return 1 + tree_latency(self.slots) + 1

    def elaborate(self, platform):
        m = Module()
        config, lanes = self.config, self.config.lanes
        width = 8 * config.beat_bytes
        shift = lanes.bit_length() - 1
        m.submodules.reads = reads = WordQueue(READ_STEP, depth=config.queue)
        m.submodules.queue = queue = WordQueue(UNIT_STEP, depth=config.queue)
        reader = Reader(config)
        m.submodules.reader = shared(reader, platform)
        wiring.connect(m, reads.o, reader.steps)
        wiring.connect(m, reader.memory, wiring.flipped(self.memory))

        # A step that has an operand in memory is for the reader, too.
        given = self.steps.payload
        rows = Signal(LENGTH_BITS)
        local, local_narrow = Signal(), Signal()
        for slot in range(self.slots):
            with m.If(given.sources[slot] == Source.MEMORY):
                m.d.comb += [local.eq(1), local_narrow.eq(given.narrow_sources[slot])]
        m.d.comb += [
            rows.eq((given.length + (lanes - 1)) >> shift),
            reads.i.payload.address.eq(given.local),
            reads.i.payload.beats.eq(Mux(local_narrow, (rows + 1) >> 1, rows)),
            reads.i.payload.wait.eq(given.wait),
            reads.i.payload.thread.eq(given.thread),
            reads.i.payload.base.eq(given.base),
            reads.i.valid.eq(self.steps.valid & queue.i.ready & local),
            queue.i.payload.eq(given),
            queue.i.valid.eq(self.steps.valid & reads.i.ready),
            self.steps.ready.eq(queue.i.ready & reads.i.ready),
            reader.progress.eq(self.progress),
        ]

        # The step that is worked on.
        step, active = Signal(UNIT_STEP), Signal()
        left = Signal(LENGTH_BITS)
        odd, last, fire, gives = Signal(), Signal(), Signal(), Signal()
        # Beats under way from the sources to the end of the queue, at a row a cycle.
        most = 1 << (tree_latency(self.slots) + 2).bit_length()
        room = Signal(range(most + 1), init=most)
        m.d.comb += [
            last.eq(left <= lanes),
            gives.eq(~step.narrow | odd | last),
            queue.o.ready.eq(~active | (fire & last)),
            self.finished.eq(fire & last),
            self.busy.eq(active | queue.o.valid | (room != most)),
        ]
        with m.If(fire):
            m.d.sync += [left.eq(left - lanes), odd.eq(~odd)]
        with m.If(queue.o.ready):
            m.d.sync += [active.eq(queue.o.valid), step.eq(queue.o.payload), left.eq(queue.o.payload.length), odd.eq(0)]

        # All that a slot can take from: memory, units, ports.
        sources = {int(Source.MEMORY): reader.beats}
        sources |= {Source.UNIT_0 + number: fed for number, fed in enumerate(self.fed)}
        sources |= {Source.PORT + port: window for port, window in enumerate(self.windows)}
        beats = {
            code: (source.payload.data if code >= Source.PORT else source.payload) for code, source in sources.items()
        }
        there = Signal(self.slots)
        tree_operands = Signal(data.ArrayLayout(width, self.slots))
        slots = Signal(data.ArrayLayout(width, self.slots), reset_less=True)
        takes: dict[int, list] = {code: [] for code in sources}
        for slot in range(self.slots):
            code, narrow = step.sources[slot], step.narrow_sources[slot]
            beat = Signal(width, name=f"beat_{slot}")
            with m.Switch(code):
                for number, source in sources.items():
                    with m.Case(number):
                        m.d.comb += [there[slot].eq(source.valid), beat.eq(beats[number])]
                with m.Default():
                    zero = Mux(step.integer, 0, MINUS_ZERO)
                    m.d.comb += [there[slot].eq(1), beat.eq(Cat(*[zero] * lanes))]
            half = Signal(width // 2, name=f"half_{slot}")
            m.d.comb += half.eq(Mux(odd, beat[width // 2 :], beat[: width // 2]))
            wide = Cat(*(Cat(Const(0, 16), half.word_select(lane, 16)) for lane in range(lanes)))
            m.d.comb += tree_operands[slot].eq(Mux(narrow, wide, beat))
            for number in sources:
                takes[number].append(((code == number), ~narrow | odd | last))
        m.d.comb += fire.eq(active & there.all() & (room != 0))
        for number, source in sources.items():
            m.d.comb += source.ready.eq(fire & Cat(*(is_it & whole for is_it, whole in takes[number])).any())
        for port, window in enumerate(self.windows):
            claimed = active & Cat(*(is_it for is_it, _ in takes[Source.PORT + port])).any()
            m.d.comb += [self.claims[port].eq(claimed), self.missing[port].eq(claimed & ~window.valid)]
            with m.If(claimed & fire & (window.payload.label != step.label)):
                m.d.comb += self.mislabelled.eq(1)
        uses_memory = Cat(*(is_it for is_it, _ in takes[Source.MEMORY])).any()
        m.d.comb += self.missing[config.ports].eq(active & uses_memory & ~reader.beats.valid)

        # A register, the lanes, and what keeps step with them.
        m.d.sync += slots.eq(tree_operands)
        stage = Signal(data.StructLayout({"fire": 1, "gives": 1, "odd": 1, "narrow": 1, "integer": 1}))
        m.d.sync += stage.eq(Cat(fire, gives, odd, step.narrow, step.integer))
        totals = []
        for lane in range(lanes):
            tree = LaneTree(self.slots)
            m.submodules[f"lane_{lane}"] = shared(tree, platform)
            for slot in range(self.slots):
                m.d.comb += tree.operands[slot].eq(slots[slot].word_select(lane, 32))
            m.d.comb += [tree.int32.eq(stage.integer), tree.narrow.eq(stage.narrow)]
            totals.append(tree.total)
        behind = delayed(m, stage, tree_latency(self.slots), name="behind", reset=True)
        self._collect(m, totals, behind, room, most, fire & gives)
        return m

    def _collect(self, m, totals, behind, room, most, issued):
        """Sums into beats, and into the queue that has room for all that are under way."""
        half = Signal(16 * len(totals), reset_less=True)
        halves = Cat(*(total[:16] for total in totals))
        m.submodules.out = out = WordQueue(8 * self.config.beat_bytes, depth=most)
        with m.If(behind.fire & ~behind.odd):
            m.d.sync += half.eq(halves)
        lower = Mux(behind.odd, half, halves)
        m.d.comb += [
            out.i.valid.eq(behind.fire & behind.gives),
            out.i.payload.eq(Mux(behind.narrow, Cat(lower, halves), Cat(*totals))),
        ]
        wiring.connect(m, out.o, wiring.flipped(self.sums))
        m.d.sync += room.eq(room - issued + (out.o.valid & out.o.ready))
