"""The vector unit: commands in, what they did out."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.command.error import Error, finished_layout
from openppu.common.counters import Counters, counters_layout
from openppu.common.shared import shared
from openppu.config import ChipConfig, ConfigError
from openppu.formats.operand import formats_named
from openppu.scratchpad.port import ScratchpadPort
from openppu.tile.accumulator_port import AccumulatorPort
from openppu.vector.accumulator_reads import AccumulatorReads
from openppu.vector.admission import SIZE_BITS, Admission
from openppu.vector.cause import Cause
from openppu.vector.command import Opcode, command_layout
from openppu.vector.datapath import Datapath
from openppu.vector.input_port import PLACES, InputPort
from openppu.vector.instruction import COUNTS, INPUTS, OUTPUTS, PARAMETERS
from openppu.vector.issue import Issue
from openppu.vector.loader import Loader
from openppu.vector.output_port import OutputPort
from openppu.vector.sequencer import Sequencer

READ_PORTS = INPUTS // PLACES
MOST_WORD_BYTES = 128


class VectorEngine(wiring.Component):
    """Runs programs of lane operations over strips of rows, between streams from and to the scratchpad.

    Commands are done one after the other: a PROGRAM in 8 + latency + instructions, a STREAM in 8 cycles, a RUN as
    `openppu_sim.cycles.vector` says. Throughput: one row of all lanes a cycle. ``docs/vector.md`` says what commands
    and programs mean.

    Parameters
    ----------
    config : ChipConfig
        Its sections ``vector``, ``scratchpad`` and ``tile``: there is a lane for every four bytes of a scratchpad word.

    Members
    -------
    commands : In(stream of command_layout)
    finished : Out(stream of finished_layout)
        One for each command, in order, when all that it writes can be seen.
    inputs : array of 2 Out(ScratchpadPort)
        Streams 0 and 2, and programs; streams 1 and 3.
    output : Out(ScratchpadPort)
        Streams 4 to 7.
    accumulators : Out(AccumulatorPort)
        Of the tile, for streams 0 and 2.
    scratchpad_bytes : In(25)
        Of the scratchpad: commands that would go beyond are refused.
    cause : Out(Cause)
        What this cycle goes to.
    counters : Out
        Cycles by cause, of `openppu.common.counters.Counters`.

    Raises
    ------
    ConfigError
        If a scratchpad word has more than 128 bytes: there are 32 lanes at most.
    """

    def __init__(self, config: ChipConfig):
        scratchpad = config.scratchpad
        self.chip = config
        self.config = config.vector
        self.lanes = self.lanes_of(config)
        port = ScratchpadPort(address_bits=scratchpad.address_bits, word_bytes=scratchpad.word_bytes)
        super().__init__(
            {
                "commands": In(stream.Signature(command_layout())),
                "finished": Out(stream.Signature(finished_layout())),
                "inputs": Out(port).array(READ_PORTS),
                "output": Out(port),
                "accumulators": Out(AccumulatorPort(config.tile)),
                "scratchpad_bytes": In(SIZE_BITS),
                "cause": Out(Cause),
                "counters": Out(counters_layout(Cause)),
            }
        )

    @staticmethod
    def lanes_of(config: ChipConfig) -> int:
        """Of a chip's vector unit; ConfigError if there would be too many."""
        word_bytes = config.scratchpad.word_bytes
        if word_bytes > MOST_WORD_BYTES:
            raise ConfigError(
                f"scratchpad.word_bytes = {word_bytes}: the vector unit has a lane for every 4 bytes, 32 at most; give "
                f"up to {MOST_WORD_BYTES}"
            )
        return word_bytes // 4

    def elaborate(self, platform):
        m = Module()
        config, lanes = self.config, self.lanes
        formats = formats_named(config.formats)
        sizes = dict(lanes=lanes, registers=config.registers, rows=config.strip_rows)
        admission = Admission(
            lanes=lanes,
            rows=config.strip_rows,
            program_words=config.program_words,
            formats=formats,
            accumulators=self.chip.tile.accumulators,
        )
        sequencer = Sequencer(words=config.program_words, **sizes)
        issue = Issue(**sizes)
        datapath = Datapath(lanes=lanes, words=config.registers * config.strip_rows, formats=formats)
        ports = [InputPort(lanes=lanes, formats=formats) for _ in range(READ_PORTS)]
        output = OutputPort(lanes=lanes, formats=formats)
        loader = Loader(lanes=lanes, words=config.program_words)
        reads = AccumulatorReads(self.chip)
        m.submodules.admission = shared(admission, platform)
        m.submodules.sequencer = shared(sequencer, platform)
        m.submodules.issue = shared(issue, platform)
        m.submodules.datapath = shared(datapath, platform)
        m.submodules.output_port = shared(output, platform)
        m.submodules.loader = shared(loader, platform)
        m.submodules.accumulator_reads = shared(reads, platform)
        counters = Counters(Cause)
        m.submodules.counting = shared(counters, platform)

        command = Signal(command_layout())
        run, pattern = command.operands.run, command.operands.stream.pattern
        known = Signal(INPUTS + OUTPUTS)
        setting = Signal(INPUTS + OUTPUTS)
        restart = Signal()
        enable = Signal(INPUTS)
        reads_idle = Signal()
        loading = Signal()
        for number, port in enumerate(ports):
            m.submodules[f"input_port_{number}"] = shared(port, platform)
            places = range(number, INPUTS, READ_PORTS)
            m.d.comb += [
                port.settings.eq(pattern),
                port.restart.eq(restart),
                port.set.eq(Cat(setting[place] for place in places)),
                port.enable.eq(Cat(enable[place] for place in places)),
                port.free.eq(Cat(sequencer.free[place] for place in places)),
                port.pop.eq(Cat(issue.pop[place] for place in places)),
            ]
            for inner, place in enumerate(places):
                m.d.comb += [
                    issue.valid[place].eq(port.valid[inner]),
                    issue.error[place].eq(port.error[inner]),
                    issue.starved[place].eq(port.starved[inner]),
                    datapath.streams[place].eq(port.rows[inner]),
                ]
        wiring.connect(m, reads.scratchpad, wiring.flipped(self.inputs[0]))
        wiring.connect(m, reads.accumulators, wiring.flipped(self.accumulators))
        for outer, port in zip((reads.port, self.inputs[1]), ports, strict=True):
            used = [port.port, loader.port] if port is ports[0] else [port.port]
            m.d.comb += _ask(outer.requests, port.port.requests)
            if port is ports[0]:
                with m.If(loading):
                    m.d.comb += _ask(outer.requests, loader.port.requests)
            for inner in used:
                m.d.comb += [
                    inner.requests.ready.eq(outer.requests.ready),
                    inner.results.valid.eq(outer.results.valid),
                    inner.results.payload.eq(outer.results.payload),
                ]
        m.d.comb += [
            *_ask(self.output.requests, output.port.requests),
            output.port.requests.ready.eq(self.output.requests.ready),
        ]
        m.d.comb += reads_idle.eq(Cat(port.idle for port in ports).all())

        wiring.connect(m, sequencer.instructions, issue.instructions)
        m.d.comb += [
            admission.command.eq(command),
            admission.scratchpad_bytes.eq(self.scratchpad_bytes),
            loader.what.eq(command.operands.program),
            loading.eq(loader.busy),
            sequencer.write.eq(loader.write),
            sequencer.place.eq(loader.place),
            sequencer.word.eq(loader.word),
            sequencer.start.eq(run.start),
            sequencer.counts.eq(Cat(run[f"count_{number}"] for number in range(COUNTS))),
            sequencer.set.eq(known),
            sequencer.drained.eq(issue.idle & output.idle),
            sequencer.abandon.eq(issue.poisoned | issue.stuck),
            issue.strip.eq(run.rows),
            issue.parameters.eq(Cat(run[f"parameter_{number}"] for number in range(PARAMETERS))),
            issue.room.eq(output.room),
            issue.clear.eq(restart),
            datapath.issue.eq(issue.issued),
            datapath.row.eq(issue.row),
            output.settings.eq(pattern),
            output.set.eq(setting[INPUTS:]),
            output.restart.eq(restart),
            output.reserve.eq(issue.reserve),
            output.put.eq(datapath.put),
            output.number.eq(datapath.number),
            output.row.eq(datapath.result),
        ]

        m.d.comb += [self.cause.eq(Cause.COMMAND), counters.cause.eq(self.cause), self.counters.eq(counters.counts)]
        error = Signal(Error)
        m.d.comb += self.finished.payload.error.eq(error)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.commands.ready.eq(1)
                m.d.sync += [command.eq(self.commands.payload), error.eq(Error.OKAY)]
                with m.If(self.commands.valid):
                    m.next = "BEGIN"
                with m.Else():
                    m.d.comb += self.cause.eq(Cause.IDLE)
            with m.State("BEGIN"):
                m.d.comb += admission.go.eq(1)
                m.next = "ADMIT"
            with m.State("ADMIT"):
                with m.If(admission.done):
                    m.d.sync += error.eq(admission.error)
                    m.next = "FINISH"
                    with m.If(admission.error == Error.OKAY):
                        with m.Switch(command.opcode):
                            with m.Case(Opcode.PROGRAM.value):
                                m.d.comb += loader.go.eq(1)
                                m.next = "LOAD"
                            with m.Case(Opcode.STREAM.value):
                                m.d.comb += setting.bit_select(command.operands.stream.stream[:3], 1).eq(1)
                                m.d.sync += known.eq(known | setting)
                            with m.Case(Opcode.RUN.value):
                                m.d.comb += sequencer.check.eq(1)
                                m.next = "CHECK"
            with m.State("LOAD"):
                with m.If(~loader.busy):
                    m.d.sync += error.eq(Mux(loader.error, Error.MEMORY, Error.OKAY))
                    m.next = "FINISH"
            with m.State("CHECK"):
                with m.If(~sequencer.busy):
                    m.next = "START"
            with m.State("START"):
                with m.If(sequencer.wrong):
                    m.d.sync += error.eq(Error.FIELD)
                    m.next = "FINISH"
                with m.Else():
                    m.d.comb += [restart.eq(1), sequencer.run.eq(1)]
                    m.d.sync += enable.eq(sequencer.uses)
                    m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += self.cause.eq(issue.cause)
                with m.If(~sequencer.busy):
                    m.d.sync += enable.eq(0)
                    m.next = "DRAIN"
            with m.State("DRAIN"):
                with m.If(reads_idle):
                    with m.If(issue.poisoned):
                        m.d.sync += error.eq(Error.MEMORY)
                    with m.Elif(issue.stuck):
                        m.d.sync += error.eq(Error.FIELD)
                    m.next = "FINISH"
            with m.State("FINISH"):
                m.d.comb += self.finished.valid.eq(1)
                with m.If(self.finished.ready):
                    m.next = "IDLE"
        return m


def _ask(outer, inner):
    """A request, of whose address there are as many bits as the scratchpad has."""
    asked, given = outer.payload, inner.payload
    return [
        outer.valid.eq(inner.valid),
        asked.write.eq(given.write),
        asked.address.eq(given.address),
        asked.data.eq(given.data),
        asked.mask.eq(given.mask),
    ]
