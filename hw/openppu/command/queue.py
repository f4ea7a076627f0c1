"""A queue: a ring of commands in memory, run one after the other for an engine."""

from amaranth import Cat, Module, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.command.completion import Completion
from openppu.command.config import CommandConfig
from openppu.command.error import finished_layout
from openppu.command.fetch import COMMAND_BITS, Fetch
from openppu.command.instruction import Instruction
from openppu.command.layouts import (
    QUEUE_BITS,
    TIME_BITS,
    issue_layout,
    queue_control_layout,
    queue_status_layout,
    record_layout,
    remote_layout,
    signal_layout,
)
from openppu.command.sequencer import Sequencer
from openppu.common.memory import request_layout, response_layout
from openppu.common.shared import shared


class Queue(wiring.Component):
    """Fetches a ring's commands, runs them in their order, and ends them in their order.

    After an error nothing more is begun until ``restart``; what the engine has, it ends. A restart waits until all has
    ended, and forgets all commands up to the tail.

    Latency: 6 cycles from a command's last word to its engine. Throughput: a command in 4 cycles.

    Parameters
    ----------
    config : CommandConfig
    instructions : tuple of Instruction
        Those of the engine.

    Members
    -------
    number : In(QUEUE_BITS)
        Of the queue, for records.
    now : In(TIME_BITS)
    control : In(queue_control_layout()), restart : In(1), status : Out(queue_status_layout())
    requests : Out(stream of request_layout(1)), responses : In(stream of response_layout(1))
        Of memory.
    issue : Out(stream of issue_layout), finished : In(stream of finished_layout)
        The engine.
    waits, signals : Out(stream of signal_layout), remote : Out(stream of remote_layout)
        The semaphores of this chip and of others.
    records : Out(stream of record_layout)
    interrupts : Out(1)
        For a cycle.
    """

    def __init__(self, config: CommandConfig, instructions: tuple[Instruction, ...]):
        self.config = config
        self.instructions = tuple(instructions)
        super().__init__(
            {
                "number": In(QUEUE_BITS),
                "now": In(TIME_BITS),
                "control": In(queue_control_layout()),
                "restart": In(1),
                "status": Out(queue_status_layout()),
                "requests": Out(stream.Signature(request_layout(1))),
                "responses": In(stream.Signature(response_layout(1))),
                "issue": Out(stream.Signature(issue_layout())),
                "finished": In(stream.Signature(finished_layout())),
                "waits": Out(stream.Signature(signal_layout())),
                "signals": Out(stream.Signature(signal_layout())),
                "remote": Out(stream.Signature(remote_layout())),
                "records": Out(stream.Signature(record_layout())),
                "interrupts": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, status = self.config, self.status
        fetch, sequencer, completion = Fetch(), Sequencer(config, self.instructions), Completion(config)
        m.submodules.fetch = shared(fetch, platform)
        m.submodules.sequencer = shared(sequencer, platform)
        m.submodules.completion = shared(completion, platform)
        m.submodules.buffer = buffer = memory.Memory(shape=COMMAND_BITS + 1, depth=config.buffer, init=[])
        write, read = buffer.write_port(), buffer.read_port()

        asked = Signal()
        restarts = Signal()
        at_work = fetch.outstanding | fetch.command.valid | sequencer.issue.valid | sequencer.notes.valid
        m.d.comb += restarts.eq(asked & completion.ended & ~at_work)
        with m.If(self.restart):
            m.d.sync += asked.eq(1)
        with m.Elif(restarts):
            m.d.sync += asked.eq(0)

        m.d.comb += [
            fetch.control.eq(self.control),
            fetch.control.enable.eq(self.control.enable & ~asked & ~completion.stopped),
            fetch.kept.eq(sequencer.kept),
            fetch.room.eq(config.buffer),
            fetch.restart.eq(restarts),
            write.addr.eq(fetch.fetched),
            write.data.eq(Cat(fetch.command.bits, fetch.command.error)),
            write.en.eq(fetch.command.valid),
            read.addr.eq(sequencer.read),
            Cat(sequencer.word, sequencer.damaged).eq(read.data),
            sequencer.fetched.eq(fetch.fetched),
            sequencer.now.eq(self.now),
            sequencer.run.eq(self.control.enable & ~asked & ~completion.stopped),
            sequencer.ended.eq(completion.ended),
            sequencer.restart.eq(restarts),
            sequencer.tail.eq(self.control.tail),
            completion.now.eq(self.now),
            completion.queue.eq(self.number),
            completion.restart.eq(restarts),
            self.interrupts.eq(completion.interrupts),
        ]
        wiring.connect(m, fetch.requests, wiring.flipped(self.requests))
        wiring.connect(m, wiring.flipped(self.responses), fetch.responses)
        wiring.connect(m, sequencer.issue, wiring.flipped(self.issue))
        wiring.connect(m, sequencer.waits, wiring.flipped(self.waits))
        wiring.connect(m, sequencer.notes, completion.notes)
        wiring.connect(m, wiring.flipped(self.finished), completion.finished)
        wiring.connect(m, completion.signals, wiring.flipped(self.signals))
        wiring.connect(m, completion.remote, wiring.flipped(self.remote))
        wiring.connect(m, completion.records, wiring.flipped(self.records))

        first = completion.first
        m.d.comb += [
            status.head.eq(sequencer.kept),
            status.begun.eq(sequencer.begun),
            status.ended.eq(completion.count),
            status.busy.eq(
                asked | ~sequencer.idle | ~completion.ended | (self.control.tail != sequencer.read) | fetch.outstanding
            ),
            status.waiting.eq(sequencer.waits.valid),
            status.semaphore.eq(sequencer.waits.payload.semaphore),
            status.stopped.eq(completion.stopped),
            *(status[name].eq(first[name]) for name in ("error", "opcode", "tag", "index")),
        ]
        return m
