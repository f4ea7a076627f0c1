"""The self-test of a channel: makes requests, and checks what comes back."""

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, enum, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.hbm.config import MOST_ACCESSES, ChannelConfig
from openppu.hbm.data_pattern import SEED_BITS, STATE_BITS, DataPattern, Pattern, shift_register_step
from openppu.hbm.layouts import acknowledge_layout, request_layout, response_layout, write_word_layout
from openppu.hbm.phy import DATA_BITS, PSEUDO_CHANNELS

REQUESTS = 4
"""Requests that wait for the port, and as many writes that wait for their words."""

WRITES = 64
"""Writes that may be on their way to their acknowledge."""

SHARE_BITS = 8
CLOCK_BITS = 40


class Operation(enum.Enum, shape=2):
    """What a command does."""

    FILL_ZEROS = 0
    FILL = 1
    CHECK = 2
    TRAFFIC = 3


def command_layout(config: ChannelConfig) -> data.StructLayout:
    """``accesses`` in requests of ``last + 1``, the last one shortened.

    They begin at ``address``, and go on by ``stride`` from request to request; or, with ``scattered``, each begins at
    ``address`` plus a random number with the bits of ``mask``. ``writes`` / 256 of the requests of traffic are writes.
    """
    return data.StructLayout(
        {
            "operation": Operation,
            "pattern": Pattern,
            "pattern_seed": SEED_BITS,
            "address": config.address_bits,
            "accesses": config.address_bits + 1,
            "last": range(MOST_ACCESSES),
            "stride": config.address_bits,
            "scattered": 1,
            "mask": config.address_bits,
            "seed": SEED_BITS,
            "writes": range((1 << SHARE_BITS) + 1),
        }
    )


def record_layout(config: ChannelConfig) -> data.StructLayout:
    """What came of a command.

    ``words`` were read: ``errors`` of them answered with error, and ``wrong`` of the others not as they should be, the
    first at ``address``, its wrong bits high in ``bits``. ``refused`` writes were acknowledged with error. ``clocks``:
    from the one in which the first request is made to the last answer's.
    """
    count = config.address_bits + 1
    return data.StructLayout(
        {
            "words": count,
            "wrong": count,
            "errors": count,
            "refused": count,
            "address": config.address_bits,
            "bits": DATA_BITS,
            "clocks": CLOCK_BITS,
        }
    )


class SelfTest(wiring.Component):
    """Fills, checks, or loads memory through a request port, as commands say, and reports on each.

    What should be at an address is computed from the address, so nothing is remembered but the reads on their way.
    A command begins when the one before has been reported, so all its writes are done. The port must be reset with it.

    Latency: 2 cycles from a command to its first request; 3 from the last answer to the record, at most.
    Throughput: one request, one word out and one word in a cycle; answers are always taken at once.

    Members
    -------
    commands : In(stream of command_layout(config))
    records : Out(stream of record_layout(config))
        One a command, in order.
    requests : Out(stream of request_layout(config))
    words : Out(stream of write_word_layout())
        A word may be offered before its request.
    responses : In(stream of response_layout(config))
    acknowledges : In(stream of acknowledge_layout(config))
    stray : Out(1)
        Sticky: an answer came that was not due, or a response that was not its request's last where it should be.
    """

    LATENCY = 2
    """Cycles from a command to its first request."""

    def __init__(self, config: ChannelConfig):
        self.config = config
        super().__init__(
            {
                "commands": In(stream.Signature(command_layout(config))),
                "records": Out(stream.Signature(record_layout(config))),
                "requests": Out(stream.Signature(request_layout(config))),
                "words": Out(stream.Signature(write_word_layout())),
                "responses": In(stream.Signature(response_layout(config))),
                "acknowledges": In(stream.Signature(acknowledge_layout(config))),
                "stray": Out(1),
            }
        )

    @property
    def reads(self) -> int:
        """Reads of a tag that may be on their way: of all tags, as many as the port has slots."""
        return max(2, PSEUDO_CHANNELS * self.config.slots // self.config.tags)

    def elaborate(self, platform):
        m = Module()
        config = self.config
        command = Signal(command_layout(config))
        record = self.records.payload
        run_shape = data.StructLayout({"address": config.address_bits, "last": range(MOST_ACCESSES)})
        request_shape = request_layout(config)
        m.submodules.asked = asked = fifo.SyncFIFO(width=request_shape.size, depth=REQUESTS)
        m.submodules.to_write = to_write = fifo.SyncFIFO(width=run_shape.size, depth=REQUESTS)
        to_read = [fifo.SyncFIFO(width=run_shape.size, depth=self.reads) for _ in range(config.tags)]
        for tag, queue in enumerate(to_read):
            m.submodules[f"to_read_{tag}"] = queue
        m.submodules.written = written = DataPattern()
        m.submodules.expected = expected = DataPattern()
        for word in (written, expected):
            m.d.comb += [word.pattern.eq(command.pattern), word.seed.eq(command.pattern_seed)]
        with m.If(command.operation == Operation.FILL_ZEROS):
            m.d.comb += written.pattern.eq(Pattern.ZEROS)

        # A request, to the port, and to those who make its words or check them.
        request = Signal(request_shape)
        run = Signal(run_shape)
        tag = Signal(range(config.tags))
        missing = Signal(config.address_bits + 1)
        offset = Signal(config.address_bits)
        state = Signal(STATE_BITS)
        share = state[-SHARE_BITS:]
        open_writes = Signal(range(WRITES + 1))
        room = Signal()
        made = Signal()
        following = shift_register_step(m, state, name="following")
        m.d.comb += [
            run.address.eq(
                command.address + Mux(command.scattered, state[: config.address_bits] & command.mask, offset)
            ),
            run.last.eq(Mux(missing > command.last, command.last, missing - 1)),
            request.write.eq(command.operation != Operation.CHECK),
            request.address.eq(run.address),
            request.last.eq(run.last),
            request.tag.eq(tag),
            room.eq(
                Mux(
                    request.write,
                    to_write.w_rdy & (open_writes < WRITES),
                    Cat(queue.w_rdy for queue in to_read).bit_select(tag, 1),
                )
            ),
            made.eq((missing != 0) & asked.w_rdy & room),
            asked.w_data.eq(request),
            asked.w_en.eq(made),
            to_write.w_data.eq(run),
            to_write.w_en.eq(made & request.write),
            self.requests.payload.eq(asked.r_data),
            self.requests.valid.eq(asked.r_rdy),
            asked.r_en.eq(self.requests.ready),
        ]
        with m.If(command.operation == Operation.TRAFFIC):
            m.d.comb += request.write.eq(share < command.writes)
        for index, queue in enumerate(to_read):
            m.d.comb += [queue.w_data.eq(run), queue.w_en.eq(made & ~request.write & (tag == index))]
        with m.If(made):
            m.d.sync += [
                missing.eq(missing - run.last - 1),
                offset.eq(offset + command.stride),
                state.eq(following),
                tag.eq(Mux(tag == config.tags - 1, 0, tag + 1)),
            ]

        # The words of writes.
        writing = Signal(run_shape)
        word = Signal(range(MOST_ACCESSES))
        last_word = Signal()
        word_step = Signal()
        m.d.comb += [
            writing.eq(to_write.r_data),
            last_word.eq(word == writing.last),
            written.address.eq((writing.address + word)[: config.address_bits]),
            self.words.payload.data.eq(written.data),
            self.words.payload.mask.eq(~0),
            self.words.valid.eq(to_write.r_rdy),
            word_step.eq(self.words.valid & self.words.ready),
            to_write.r_en.eq(word_step & last_word),
        ]
        with m.If(word_step):
            m.d.sync += word.eq(Mux(last_word, 0, word + 1))

        # The words read: what comes, how it differs, what is wrong with it.
        response = self.responses.payload
        reading = Signal(run_shape)
        due = Signal()
        last_due = Signal()
        counts = Array(Signal(range(MOST_ACCESSES), name=f"count_{index}") for index in range(config.tags))
        count = Signal(range(MOST_ACCESSES))
        checked_shape = data.StructLayout({"valid": 1, "error": 1, "address": config.address_bits, "data": DATA_BITS})
        came, differs = (Signal(checked_shape, name=name) for name in ("came", "differs"))
        wrong = Signal()
        m.d.comb += [
            self.responses.ready.eq(1),
            reading.eq(Array(queue.r_data for queue in to_read)[response.tag]),
            due.eq(self.responses.valid & Cat(queue.r_rdy for queue in to_read).bit_select(response.tag, 1)),
            count.eq(counts[response.tag]),
            last_due.eq(due & (count == reading.last)),
            expected.address.eq(came.address),
            wrong.eq(differs.valid & ~differs.error & differs.data.any()),
        ]
        with m.If(due):
            m.d.sync += counts[response.tag].eq(Mux(last_due, 0, count + 1))
        for index, queue in enumerate(to_read):
            m.d.comb += queue.r_en.eq(last_due & (response.tag == index))
        m.d.sync += [
            came.valid.eq(due),
            came.error.eq(response.error),
            came.address.eq(reading.address + count),
            came.data.eq(response.data),
            differs.eq(came),
            differs.data.eq(came.data ^ expected.data),
            record.words.eq(record.words + differs.valid),
            record.errors.eq(record.errors + (differs.valid & differs.error)),
            record.wrong.eq(record.wrong + wrong),
        ]
        with m.If(wrong & (record.wrong == 0)):
            m.d.sync += [record.address.eq(differs.address), record.bits.eq(differs.data)]

        # A command is over when all its requests are answered, and all answers are counted.
        running = Signal()
        busy = Signal()
        acknowledged = Signal()
        m.d.comb += [
            self.acknowledges.ready.eq(1),
            acknowledged.eq(self.acknowledges.valid & (open_writes != 0)),
            busy.eq((missing != 0) | (open_writes != 0) | Cat(queue.r_rdy for queue in to_read).any()),
            self.commands.ready.eq(~running),
            self.records.valid.eq(running & ~busy & ~came.valid & ~differs.valid),
        ]
        m.d.sync += [
            open_writes.eq(open_writes + (made & request.write) - acknowledged),
            record.refused.eq(record.refused + (acknowledged & self.acknowledges.payload.error)),
            record.clocks.eq(record.clocks + busy),
        ]
        with m.If(
            (self.responses.valid & (~due | (response.last != last_due))) | (self.acknowledges.valid & ~acknowledged)
        ):
            m.d.sync += self.stray.eq(1)
        with m.If(self.commands.valid & self.commands.ready):
            start = self.commands.payload
            m.d.sync += [
                running.eq(1),
                command.eq(start),
                missing.eq(start.accesses),
                offset.eq(0),
                state.eq(Cat(start.seed, ~start.seed)),
                record.eq(0),
            ]
        with m.If(self.records.valid & self.records.ready):
            m.d.sync += running.eq(0)
        return m
