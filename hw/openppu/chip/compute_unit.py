"""A compute unit: tile, vector unit and DMA around a scratchpad."""

from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.chip.engine_registers import counts_layout
from openppu.command.error import finished_layout
from openppu.command.layouts import issue_layout
from openppu.common.memory import ADDRESS_BITS, MemorySignature
from openppu.common.shared import shared
from openppu.config import ChipConfig
from openppu.dma.load_engine import LoadEngine
from openppu.dma.store_engine import StoreEngine
from openppu.matmul.engine import MatmulEngine
from openppu.matmul.instruction import MATMUL
from openppu.scratchpad.error_log import error_log_layout
from openppu.scratchpad.port import ScratchpadPort
from openppu.scratchpad.scratchpad import SCRUB_INTERVAL_BITS, Scratchpad
from openppu.vector.engine import VectorEngine
from openppu.vector.instructions import connect as connect_vector

ENGINES = ("load", "store", "matmul", "vector")
"""In the order of ``commands``."""

PORTS = 10
"""Of the scratchpad: four for the matmul engine, three for the vector engine, one for each DMA engine, one outside."""


class ComputeUnit(wiring.Component):
    """Four engines that work side by side on one scratchpad; the vector engine reads the tile's accumulators, too.

    Latency and throughput are those of the engines. Engines whose buffers are in different banks of the scratchpad
    never wait for each other.

    Parameters
    ----------
    config : ChipConfig

    Members
    -------
    commands : In(stream of issue_layout()), array of one an engine of `ENGINES`
    finished : Out(stream of finished_layout()), array, likewise
    memory : Out(MemorySignature), array
        Of the load engine's channels, then of the store engine's.
    pad : In(ScratchpadPort)
        For the rest of the chip.
    hbm_bytes : In(ADDRESS_BITS)
    scrub_interval : In(SCRUB_INTERVAL_BITS)
        As of `Scratchpad`.
    log : Out
        The scratchpad's errors.
    clear_log : In(1)
    filling : Out(1)
        The scratchpad is not zero yet.
    counts : Out(counts_layout())
        Where the engines' cycles went.
    """

    def __init__(self, config: ChipConfig):
        self.config = config
        pad = config.scratchpad
        count = len(ENGINES)
        super().__init__(
            {
                "commands": In(stream.Signature(issue_layout())).array(count),
                "finished": Out(stream.Signature(finished_layout())).array(count),
                "memory": Out(MemorySignature(tags=config.dma.tags)).array(2 * config.dma.channels),
                "pad": In(ScratchpadPort(address_bits=pad.address_bits, word_bytes=pad.word_bytes)),
                "hbm_bytes": In(ADDRESS_BITS),
                "scrub_interval": In(SCRUB_INTERVAL_BITS),
                "log": Out(error_log_layout(pad)),
                "clear_log": In(1),
                "filling": Out(1),
                "counts": Out(counts_layout()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        engines = {
            "load": LoadEngine(config),
            "store": StoreEngine(config),
            "matmul": MatmulEngine(config),
            "vector": VectorEngine(config),
        }
        for name, engine in engines.items():
            m.submodules[name] = shared(engine, platform)
        load, store, matmul, vector = engines.values()
        pad = Scratchpad(config.scratchpad, ports=PORTS)
        m.submodules.scratchpad = shared(pad, platform)
        users = [
            *(matmul.activations, matmul.weights, matmul.addends, matmul.results),
            *(*vector.inputs, vector.output),
            *(load.scratchpad, store.scratchpad),
        ]
        for number, user in enumerate(users):
            self._join(m, number, user, pad.port[number])
        wiring.connect(m, wiring.flipped(self.pad), pad.port[PORTS - 1])
        wiring.connect(m, vector.accumulators, matmul.accumulators)
        m.d.comb += [
            pad.scrub_interval.eq(self.scrub_interval),
            pad.clear_log.eq(self.clear_log),
            self.log.eq(pad.log),
            self.filling.eq(pad.filling),
        ]

        memories = [*load.memory, *store.memory]
        for mine, outside in zip(memories, self.memory, strict=True):
            wiring.connect(m, mine, wiring.flipped(outside))
        for number, (name, engine) in enumerate(engines.items()):
            given, taken = self.commands[number], engine.commands
            m.d.comb += [
                taken.valid.eq(given.valid),
                given.ready.eq(taken.ready),
                engine.scratchpad_bytes.eq(config.scratchpad.capacity),
                self.counts[name].eq(engine.counters),
            ]
            wiring.connect(m, engine.finished, wiring.flipped(self.finished[number]))
        for engine, number in ((load, 0), (store, 1)):
            m.d.comb += [
                engine.commands.payload.opcode.eq(self.commands[number].payload.opcode),
                engine.commands.payload.operands.eq(self.commands[number].payload.operands),
                engine.hbm_bytes.eq(self.hbm_bytes),
            ]
        m.d.comb += MATMUL.connect(self.commands[2].payload.operands, matmul.commands.payload)
        connect_vector(self.commands[3].payload, vector.commands.payload, m)
        return m

    def _join(self, m, number, user, port):
        """A user of the scratchpad and its port."""
        wiring.connect(m, user, port)
