"""A chip's link: ports, router, collective engine, commands, and their ways to memory, semaphores and registers."""

from amaranth import C, Cat, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.command.error import finished_layout
from openppu.command.layouts import issue_layout, remote_layout, signal_layout
from openppu.common.axi import AxiLiteSignature
from openppu.common.axi_lite import AxiLitePort
from openppu.common.memory import WORD_BYTES, MemorySignature, join
from openppu.common.memory_share import MemoryShare
from openppu.common.register_block import RegisterBlock
from openppu.common.shared import shared
from openppu.link.bridge.beat_reads import BeatReads
from openppu.link.bridge.beat_runs import BLOCK_BYTES
from openppu.link.bridge.beat_writes import BeatWrites
from openppu.link.bridge.word_accesses import WordAccesses
from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.engine import CollectiveEngine
from openppu.link.controller import LinkController
from openppu.link.layouts import ADDRESS_BITS
from openppu.link.registers import ADDRESS_BITS as LINK_REGISTER_BITS
from openppu.link.serdes import SerdesSignature
from openppu.link.unit import registers as own
from openppu.link.unit.link_engine import LinkEngine
from openppu.link.unit.remote_signals import SignalReceiver

TAGS = 16
"""Transactions that the chip may have under way."""

SEMAPHORES = 64
"""That other chips may signal: the first ones of the chip's."""

OUTSIDE_TAGS, STREAM_TAGS = 3, 2

STREAM_REQUESTS = 4
"""That a stream of the collective engine has room for, at least, however few beats it may have under way."""


class LinkUnit(wiring.Component):
    """Everything of a chip that talks to other chips.

    Latency and throughput are those of its parts; packets of a collective's stream and of memory have a port each, so
    that the engine's reads and writes keep the ports' pace: a word of 32 bytes a cycle each way a memory port.

    Parameters
    ----------
    config : CollectiveConfig
    semaphores : int
        That other chips may signal.

    Members
    -------
    axi : In(AxiLiteSignature)
        Registers of `LinkController`.
    collective_axi : In(AxiLiteSignature)
        Registers of `openppu.link.unit.registers`.
    serdes : Out(SerdesSignature(config.link)), array of one a port
    memory_bytes : In(ADDRESS_BITS + 1)
    commands : In(stream of issue_layout()), finished : Out(stream of finished_layout())
        Wrong data that a collective reads, or a write of it that the memory refuses, is an error of the next command.
    remote : In(stream of remote_layout()), signals : Out(stream of signal_layout())
    memory : Out(MemorySignature), array
        The first is for other chips' accesses and for `SEND`; then one for each of the engine's streams.
    """

    def __init__(self, config: CollectiveConfig, *, semaphores: int = SEMAPHORES):
        self.config = config
        self.semaphores = semaphores
        link = config.link
        self._streams = config.ports + len(config.units)
        super().__init__(
            {
                "axi": In(AxiLiteSignature(address_bits=LINK_REGISTER_BITS, data_bits=32)),
                "collective_axi": In(AxiLiteSignature(address_bits=own.ADDRESS_BITS, data_bits=32)),
                "serdes": Out(SerdesSignature(link)).array(config.ports),
                "memory_bytes": In(ADDRESS_BITS + 1),
                "commands": In(stream.Signature(issue_layout())),
                "finished": Out(stream.Signature(finished_layout())),
                "remote": In(stream.Signature(remote_layout())),
                "signals": Out(stream.Signature(signal_layout())),
                "memory": Out(MemorySignature(tags=OUTSIDE_TAGS)).array(1 + self._streams),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        link = config.link
        m.submodules.controller = controller = LinkController(link, tags=TAGS, mailboxes=0, semaphores=self.semaphores)
        m.submodules.control_port = port = AxiLitePort(address_bits=own.ADDRESS_BITS)
        m.submodules.registers = block = RegisterBlock(
            own.registers(config),
            address_bits=own.ADDRESS_BITS,
            control=own.control_layout(config),
            status=own.status_layout(config),
            strobes=own.strobes_layout(),
        )
        collective, engine, accesses = CollectiveEngine(config), LinkEngine(link), WordAccesses(link)
        receiver, share = SignalReceiver(self.semaphores), MemoryShare((2, 1))
        m.submodules.collective = shared(collective, platform, reset=block.strobes.reset)
        m.submodules.engine = shared(engine, platform)
        m.submodules.accesses = shared(accesses, platform)
        m.submodules.signal_receiver = shared(receiver, platform)
        m.submodules.share = shared(share, platform)

        wiring.connect(m, wiring.flipped(self.axi), controller.axi)
        wiring.connect(m, wiring.flipped(self.collective_axi), port.axi)
        wiring.connect(m, port.requests, block.requests)
        wiring.connect(m, block.responses, port.responses)
        for number in range(config.ports):
            wiring.connect(m, controller.serdes[number], wiring.flipped(self.serdes[number]))
            wiring.connect(m, collective.send[number], controller.collectives[number])
            wiring.connect(m, controller.to_collectives[number], collective.receive[number])
            m.d.comb += [
                controller.engines[number].eq(block.control[f"stream{number}"]),
                collective.peers[number].eq(block.control.peers[number]),
            ]

        # Commands.
        wiring.connect(m, wiring.flipped(self.commands), engine.commands)
        wiring.connect(m, engine.finished, wiring.flipped(self.finished))
        wiring.connect(m, wiring.flipped(self.remote), engine.remote)
        wiring.connect(m, engine.packets, controller.requests)
        wiring.connect(m, controller.answers, engine.answers)
        wiring.connect(m, engine.program, collective.program)
        spoiled = Signal()
        lost = Signal()
        m.d.comb += [
            engine.memory_bytes.eq(self.memory_bytes),
            engine.ended.eq(collective.finished),
            engine.broken.eq(spoiled | (collective.status.error.fault != 0)),
            engine.stalled.eq(collective.status.stalled),
            collective.chip.eq(controller.number),
            collective.patience.eq(block.control.patience),
            block.status.engine.eq(collective.status),
            block.status.lost.eq(lost | engine.lost),
        ]
        with m.If(accesses.wrong):
            m.d.sync += lost.eq(1)

        # What other chips write, read and signal.
        wiring.connect(m, controller.memory, accesses.link)
        wiring.connect(m, accesses.memory, share.user(0))
        wiring.connect(m, engine.requests, share.user(1).requests)
        wiring.connect(m, share.user(1).responses, engine.responses)
        wiring.connect(m, share.memory, wiring.flipped(self.memory[0]))
        m.d.comb += [
            *(mine.eq(value) for mine, value in zip(receiver.values, controller.semaphores, strict=True)),
            controller.lower.eq(receiver.lower),
            receiver.settled.eq(accesses.settled),
        ]
        wiring.connect(m, receiver.signals, wiring.flipped(self.signals))
        wrong = [
            self._stream(m, platform, number, collective.reads[number], collective.writes[number])
            for number in range(self._streams)
        ]
        with m.If(block.strobes.reset):
            m.d.sync += spoiled.eq(0)
        with m.Elif(Cat(wrong).any()):
            m.d.sync += spoiled.eq(1)
        return m

    def _stream(self, m, platform, number, read, write) -> Value:
        """A memory port for a stream of the collective engine; whether wrong data came, or a write was refused."""
        width = self.config.beat_bytes
        # So small that a few requests of a stream are under way together.
        block = min(BLOCK_BYTES, max(WORD_BYTES, self.config.reads * width // STREAM_REQUESTS))
        reads = BeatReads(beat_bytes=width, depth=64, block_bytes=block)
        writes = BeatWrites(beat_bytes=width, depth=64, block_bytes=block)
        share = MemoryShare((1, STREAM_TAGS - 1))
        m.submodules[f"reads_{number}"] = shared(reads, platform)
        m.submodules[f"writes_{number}"] = shared(writes, platform)
        m.submodules[f"share_{number}"] = shared(share, platform)
        wiring.connect(m, read.address, reads.address)
        wiring.connect(m, reads.requests, share.user(0).requests)
        wiring.connect(m, share.user(0).responses, reads.responses)
        for name in ("requests", "words"):
            wiring.connect(m, getattr(writes, name), getattr(share.user(1), name))
        wiring.connect(m, share.user(1).acknowledges, writes.acknowledges)
        given = write.beat.payload
        m.d.comb += [
            read.beat.payload.eq(reads.beat.payload.data),
            read.beat.valid.eq(reads.beat.valid),
            reads.beat.ready.eq(read.beat.ready),
            writes.beat.valid.eq(write.beat.valid),
            write.beat.ready.eq(writes.beat.ready),
            writes.beat.payload.address.eq(given.address),
            writes.beat.payload.data.eq(given.data),
            writes.beat.payload.last.eq(given.last),
            writes.beat.payload.mask.eq(Cat(C(1), *(given.count >= byte for byte in range(1, width)))),
            write.written.eq(writes.written),
        ]
        join(m, share.memory, self.memory[1 + number])
        return (reads.beat.valid & reads.beat.payload.error) | writes.wrong
