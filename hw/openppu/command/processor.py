"""The command processor: a queue an engine, the semaphores between them, records, registers."""

from collections.abc import Sequence

from amaranth import Array, Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.command.config import CommandConfig
from openppu.command.error import finished_layout
from openppu.command.instruction import InstructionSet
from openppu.command.layouts import issue_layout, remote_layout, signal_layout
from openppu.command.queue import Queue
from openppu.command.records import RecordWriter
from openppu.command.registers import (
    ADDRESS_BITS,
    MOST_QUEUES,
    control_layout,
    registers,
    status_layout,
    strobes_layout,
)
from openppu.command.semaphores import Semaphores
from openppu.common.axi import AxiLiteSignature
from openppu.common.axi_lite import AxiLitePort
from openppu.common.choose import KeptTurns
from openppu.common.memory import MemorySignature
from openppu.common.memory_share import MemoryShare
from openppu.common.register_block import RegisterBlock
from openppu.common.shared import shared


class CommandProcessor(wiring.Component):
    """Runs the rings of commands that the host has written to memory.

    Latency and throughput of commands are those of `Queue`; of registers, 3 clocks from address to answer, and an
    access a clock. The queues' requests to memory take turns.

    Parameters
    ----------
    config : CommandConfig
    instructions : InstructionSet
    queues : sequence of (str, str)
        Name and engine of each queue.

    Members
    -------
    axi : In(AxiLiteSignature)
        The registers of ``docs/command-registers.md``.
    memory : Out(MemorySignature)
        A tag a queue, the last for records.
    issue : Out(stream of issue_layout), array; finished : In(stream of finished_layout), array
        The engines.
    signals : In(stream of signal_layout)
        From other chips.
    remote : Out(stream of remote_layout)
        To other chips.
    interrupts : Out(1)
        A queue's interrupt waits for the host.

    Raises
    ------
    ValueError
        If there are no queues, or too many.
    """

    def __init__(self, config: CommandConfig, instructions: InstructionSet, queues: Sequence[tuple[str, str]]):
        if not 1 <= len(queues) <= MOST_QUEUES:
            raise ValueError(f"CommandProcessor with {len(queues)} queues: give 1 to {MOST_QUEUES}")
        self.config = config
        self.instructions = instructions
        self.queues = tuple(queues)
        count = len(queues)
        super().__init__(
            {
                "axi": In(AxiLiteSignature(address_bits=ADDRESS_BITS, data_bits=32)),
                "memory": Out(MemorySignature(tags=count + 1)),
                "issue": Out(stream.Signature(issue_layout())).array(count),
                "finished": In(stream.Signature(finished_layout())).array(count),
                "signals": In(stream.Signature(signal_layout())),
                "remote": Out(stream.Signature(remote_layout())),
                "interrupts": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        count = len(self.queues)
        m.submodules.port = port = AxiLitePort(address_bits=ADDRESS_BITS)
        m.submodules.registers = block = RegisterBlock(
            registers(self.config, [name for name, _ in self.queues]),
            address_bits=ADDRESS_BITS,
            control=control_layout(count),
            status=status_layout(count),
            strobes=strobes_layout(count),
        )
        wiring.connect(m, wiring.flipped(self.axi), port.axi)
        wiring.connect(m, port.requests, block.requests)
        wiring.connect(m, block.responses, port.responses)
        control, status, strobes = block.control, block.status, block.strobes

        m.submodules.records = records = RecordWriter(queues=count)
        # The signals of the queues, of other chips, and of the host.
        m.submodules.semaphores = semaphores = Semaphores(
            count=self.config.semaphores, waiters=count, signallers=count + 2
        )
        now = Signal(64)
        m.d.sync += now.eq(now + 1)

        queues = [Queue(self.config, self.instructions.of(engine)) for _, engine in self.queues]
        interrupts = Signal(count)
        for number, queue in enumerate(queues):
            m.submodules[f"queue_{self.queues[number][0]}"] = shared(queue, platform)
            m.d.comb += [
                queue.number.eq(number),
                queue.now.eq(now),
                queue.control.eq(control.queues[number]),
                queue.restart.eq(strobes.restart[number]),
                status.queues[number].eq(queue.status),
                interrupts[number].eq(queue.interrupts),
            ]
            wiring.connect(m, queue.issue, wiring.flipped(self.issue[number]))
            wiring.connect(m, wiring.flipped(self.finished[number]), queue.finished)
            wiring.connect(m, queue.waits, semaphores.waits[number])
            wiring.connect(m, queue.signals, semaphores.signals[number])
            wiring.connect(m, queue.records, records.records[number])
        self._memory(m, platform, queues, records)
        self._remote(m, platform, queues)

        # The host's signal stays until it is taken; others that come in the meantime are added to it.
        wiring.connect(m, wiring.flipped(self.signals), semaphores.signals[count])
        raised = semaphores.signals[count + 1]
        with m.If(raised.ready):
            m.d.sync += raised.valid.eq(0)
        with m.If(strobes["raise"] != 0):
            m.d.sync += [
                raised.valid.eq(1),
                raised.payload.semaphore.eq(control.semaphore),
                raised.payload.value.eq(strobes["raise"]),
            ]

        # An interrupt is shown when the records before it are in memory.
        coming = Signal(count)
        shown = Signal(count)
        m.d.sync += [
            coming.eq(interrupts | coming & ~records.idle.replicate(count)),
            shown.eq(shown & ~strobes.seen | coming & records.idle.replicate(count)),
        ]
        m.d.comb += [
            records.control.eq(control.records),
            semaphores.clear.eq(strobes.clear),
            status.now.eq(now),
            status.records.eq(records.count),
            status.records_failed.eq(records.failed),
            status.value.eq(Array(semaphores.values)[control.semaphore]),
            status.interrupts.eq(shown),
            self.interrupts.eq((shown & control.interrupts).any()),
        ]
        return m

    def _memory(self, m, platform, queues, records):
        """One port for all: reads of the queues, each with its tag, and writes of records."""
        share = MemoryShare((1,) * (len(queues) + 1))
        m.submodules.share = shared(share, platform)
        for number, queue in enumerate(queues):
            wiring.connect(m, queue.requests, share.user(number).requests)
            wiring.connect(m, share.user(number).responses, queue.responses)
        port = share.user(len(queues))
        for name in ("requests", "words"):
            wiring.connect(m, getattr(records, name), getattr(port, name))
        wiring.connect(m, port.acknowledges, records.acknowledges)
        wiring.connect(m, share.memory, wiring.flipped(self.memory))

    def _remote(self, m, platform, queues):
        turns = KeptTurns(len(queues))
        m.submodules.remote_turns = shared(turns, platform)
        m.d.comb += [
            turns.requests.eq(Cat(queue.remote.valid for queue in queues)),
            turns.served.eq(self.remote.ready),
            self.remote.valid.eq(turns.valid),
            self.remote.payload.eq(Array(queue.remote.payload.as_value() for queue in queues)[turns.pick]),
            *(queue.remote.ready.eq(self.remote.ready & (turns.pick == n)) for n, queue in enumerate(queues)),
        ]
