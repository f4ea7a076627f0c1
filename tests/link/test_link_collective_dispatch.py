"""How instructions are handed out: in order, each to all that it concerns, and bad ones to nobody."""

import random
from dataclasses import replace
from typing import Any

import pytest
from collective_memory import small
from openppu.link.collective.dispatch import Dispatch
from openppu.link.collective.instruction import MOST_BEATS, Instruction, Opcode, Source, Stream
from openppu.link.collective.packets import Fault
from openppu_verif.ends import Put, run

PORTS = 4
CONFIG = small(ports=PORTS)
BEAT = CONFIG.beat_bytes
SEND = Instruction(opcode=Opcode.SEND, ports=0b0101, label=3, address=8 * BEAT, length=9)
STORE = Instruction(opcode=Opcode.STORE, ports=0b0010, label=4, address=BEAT, length=MOST_BEATS * BEAT)
REDUCE = Instruction(
    opcode=Opcode.REDUCE, ports=0b1001, stream=Stream.STORE, label=5, unit=1, length=7, write=1, address=4 * BEAT,
    sources=(Source.PORT + 2, Source.MEMORY), local=16 * BEAT, narrow_sources=1, wait=1, thread=9, base=77,
)  # fmt: skip
FEED = Instruction(opcode=Opcode.REDUCE, unit=0, length=1, feed=1, sources=(Source.PORT,))
JOIN = Instruction(opcode=Opcode.REDUCE, unit=2, length=1, write=1, sources=(Source.UNIT_0, Source.UNIT_1))
END = Instruction(opcode=Opcode.END, label=200)

BAD = [
    (Fault.OPCODE, replace(END, opcode=0)),
    (Fault.PORTS, replace(SEND, ports=0)),
    (Fault.PORTS, replace(SEND, ports=1 << PORTS)),
    (Fault.PORTS, replace(STORE, ports=0b0110)),
    (Fault.PORTS, Instruction(opcode=Opcode.TOKEN)),
    (Fault.PORTS, Instruction(opcode=Opcode.WAIT, ports=0x40)),
    (Fault.PORTS, replace(REDUCE, ports=0x40)),
    (Fault.LENGTH, replace(SEND, length=0)),
    (Fault.LENGTH, replace(STORE, length=MOST_BEATS * BEAT + 1)),
    (Fault.LENGTH, replace(REDUCE, length=0)),
    (Fault.LENGTH, replace(REDUCE, length=MOST_BEATS * CONFIG.lanes + 1)),
    (Fault.ADDRESS, replace(SEND, address=1)),
    (Fault.ADDRESS, replace(REDUCE, address=BEAT // 2)),
    (Fault.ADDRESS, replace(REDUCE, local=2)),
    (Fault.UNIT, replace(REDUCE, unit=3)),
    (Fault.SOURCES, replace(REDUCE, sources=())),
    (Fault.SOURCES, replace(REDUCE, sources=(Source.PORT + PORTS,))),
    (Fault.SOURCES, replace(REDUCE, sources=(4, Source.MEMORY))),
    (Fault.SOURCES, replace(REDUCE, sources=(Source.MEMORY, Source.PORT, Source.MEMORY))),
    (Fault.SOURCES, replace(REDUCE, sources=(Source.UNIT_0,))),
    (Fault.SOURCES, replace(JOIN, sources=(Source.UNIT_0, Source.UNIT_1, Source.PORT))),
    (Fault.TARGET, replace(REDUCE, write=0, ports=0)),
    (Fault.TARGET, replace(FEED, write=1)),
    (Fault.TARGET, replace(FEED, narrow=1)),
    (Fault.TARGET, replace(JOIN, write=0, feed=1)),
]


class Parts:
    """All that a dispatcher hands instructions to."""

    def __init__(self, dut: Dispatch, chance: random.Random, rate: float) -> None:
        self.chance, self.rate = chance, rate
        self.streams = {}
        for name in ("sends", "stores", "results", "consumers", "steps", "targets"):
            for number, stream in enumerate(getattr(dut, name)):
                self.streams[name, number] = stream
        self.ready: set[Any] = set()

    def drive(self, ctx: Any) -> None:
        # In a queue, room stays until it is used.
        for place, stream in self.streams.items():
            if self.chance.random() < self.rate:
                self.ready.add(place)
            ctx.set(stream.ready, place in self.ready)

    def sample(self, ctx: Any) -> dict[Any, Any]:
        """What each part is given in this cycle."""
        given = {place: ctx.get(stream.payload) for place, stream in self.streams.items() if ctx.get(stream.valid)}
        assert self.ready.issuperset(given), "given to a part without room"
        self.ready -= given.keys()
        return given


def check(op: Instruction, given: dict[Any, Any]) -> None:
    """An instruction has gone to all its parts with all its fields."""
    ports = [port for port in range(PORTS) if op.ports >> port & 1]
    if op.opcode == Opcode.SEND:
        assert set(given) == {("sends", port) for port in ports}
        for step in given.values():
            for name in ("address", "length", "stream", "label", "wait", "thread", "base"):
                assert step[name] == getattr(op, name)
    elif op.opcode == Opcode.STORE:
        assert set(given) == {("stores", port) for port in ports}
        for step in given.values():
            assert (step.address, step.length, step.label) == (op.address, op.length, op.label)
    else:
        size = op.length * (2 if op.narrow else 4)
        taken = [source - Source.PORT for source in op.sources if source >= Source.PORT]
        places = {("steps", op.unit), ("targets", op.unit)} | {("consumers", port) for port in taken}
        assert set(given) == places | {("results", port) for port in ports}
        step, target = given["steps", op.unit], given["targets", op.unit]
        for name in ("length", "label", "narrow_sources", "integer", "narrow", "local", "wait", "thread", "base"):
            assert step[name] == getattr(op, name), name
        assert [*step.sources][: len(op.sources)] == list(op.sources)
        assert (target.address, target.length, target.write) == (op.address, size, op.write)
        assert (target.feed, target.ports) == (op.feed, op.ports)
        assert all(given["consumers", port] == op.unit for port in taken)
        for port in ports:
            result = given["results", port]
            assert (result.length, result.stream, result.label, result.unit) == (size, op.stream, op.label, op.unit)


@pytest.mark.parametrize("rate", [0.3, 1.0])
def test_instructions_go_to_all_that_they_concern_in_order(rate: float) -> None:
    chance = random.Random(3)
    dut = Dispatch(CONFIG)
    program, parts = Put(dut.program, chance, 0.8), Parts(dut, chance, rate)
    ops = [chance.choice([SEND, STORE, REDUCE, FEED, JOIN, replace(REDUCE, narrow=1)]) for _ in range(60)]
    program.waiting.extend(op.bits for op in ops)
    place = 0

    def step(ctx: Any, cycle: int) -> bool:
        nonlocal place
        program.drive(ctx)
        parts.drive(ctx)
        given = parts.sample(ctx)
        assert not ctx.get(dut.fault)
        if given:
            check(ops[place], given)
            place += 1
        program.sample(ctx)
        return place == len(ops)

    cycles = run(dut, step, most=3000)
    assert rate < 1.0 or cycles < 100


@pytest.mark.parametrize(("fault", "op"), BAD)
def test_a_bad_instruction_goes_to_nobody(fault: Fault, op: Instruction) -> None:
    dut = Dispatch(CONFIG)
    chance = random.Random(1)
    program, parts = Put(dut.program, chance), Parts(dut, chance, 1.0)
    program.waiting.extend([op.bits, SEND.bits])
    told = []

    def step(ctx: Any, cycle: int) -> bool:
        ctx.set(dut.idle, 1)
        ctx.set(dut.tokens_there, (1 << PORTS) - 1)
        ctx.set(dut.halt, bool(told))
        program.drive(ctx)
        parts.drive(ctx)
        assert not parts.sample(ctx)
        assert not ctx.get(dut.finished)
        assert not ctx.get(dut.tokens)
        assert not ctx.get(dut.take_tokens)
        if ctx.get(dut.fault):
            told.append(ctx.get(dut.fault))
        program.sample(ctx)
        return cycle == 8

    run(dut, step, most=10)
    assert told == [fault]


def test_a_stream_of_a_port_keeps_the_order_of_the_program() -> None:
    """A SEND waits for sums in its stream on one of its ports, and sums for SENDs; others do not."""
    for op, other, stream in ((SEND, "resulting", 0), (REDUCE, "sending", 1)):
        dut = Dispatch(CONFIG)
        chance = random.Random(1)
        program, parts = Put(dut.program, chance), Parts(dut, chance, 1.0)
        program.waiting.append(op.bits)
        when: list[int] = []

        def step(ctx: Any, cycle: int, dut=dut, parts=parts, program=program, when=when, other=other, stream=stream):  # type: ignore[no-untyped-def]
            blocked = 1 << stream if cycle < 10 else 2 >> stream
            ctx.set(getattr(dut, other)[0], blocked)
            ctx.set(getattr(dut, other)[1], 0b11)
            program.drive(ctx)
            parts.drive(ctx)
            if parts.sample(ctx):
                when.append(cycle)
            program.sample(ctx)
            return cycle == 15

        run(dut, step, most=20)
        assert when == [10]


def test_ends_and_fences_wait_for_all_and_tokens_are_taken() -> None:
    dut = Dispatch(CONFIG)
    program = Put(dut.program, random.Random(1))
    fence, token = Instruction(opcode=Opcode.FENCE), Instruction(opcode=Opcode.TOKEN, ports=0b0110)
    program.waiting.extend([fence.bits, token.bits, replace(token, opcode=Opcode.WAIT).bits, END.bits])
    seen: dict[str, list[int]] = {name: [] for name in ("tokens", "waits", "takes", "finished")}

    def step(ctx: Any, cycle: int) -> bool:
        ctx.set(dut.idle, 10 <= cycle < 20 or cycle >= 40)
        ctx.set(dut.tokens_full, 0b0100 if cycle < 15 else 0b1001)
        ctx.set(dut.tokens_there, 0b0010 if cycle < 30 else 0b0110)
        program.drive(ctx)
        if ctx.get(dut.tokens):
            assert ctx.get(dut.tokens) == 0b0110
            seen["tokens"].append(cycle)
        if ctx.get(dut.waits_for_tokens):
            assert ctx.get(dut.waits_for_tokens) == 0b0100
            seen["waits"].append(cycle)
        if ctx.get(dut.take_tokens):
            assert ctx.get(dut.take_tokens) == 0b0110
            seen["takes"].append(cycle)
        if ctx.get(dut.finished):
            assert ctx.get(dut.label) == END.label
            assert ctx.get(dut.clear)
            seen["finished"].append(cycle)
        program.sample(ctx)
        return cycle == 50

    run(dut, step, most=60)
    assert seen == {"tokens": [15], "waits": list(range(16, 30)), "takes": [30], "finished": [40]}
