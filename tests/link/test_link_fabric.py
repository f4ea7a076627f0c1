"""Chips ask each other over their ports."""

import random
from typing import Any

from amaranth import Module, Signal
from openppu.link.config import LinkConfig
from openppu.link.fabric import Fabric
from openppu.link.route_table import table_of
from openppu.link.settings import TrainingSettings
from openppu.link.topology import pair
from openppu_sim.reference.link_packets import ADD_INT32, DATA, DONE, MESSAGE, READ, SIGNAL, WRITE, Packet
from openppu_verif.ends import Take, run
from packet_ends import PacketReader, Put, words_of

SIZE = 512
SETTINGS = TrainingSettings(retrain_timeout=100, align_timeout=400, width_timeout=400, start_timeout=400)


class Chip:
    """A fabric with a memory, and who uses it."""

    def __init__(self, number: int, config: LinkConfig, chance: random.Random) -> None:
        self.number, self.config = number, config
        self.fabric = Fabric(config, tags=8, mailboxes=1, mailbox_bytes=64, semaphores=2)
        self.lines = table_of(pair(config.ports), number)
        self.bytes = bytearray(chance.randbytes(SIZE))
        self.requests, self.answers = Put(self.fabric.requests, chance), Take(self.fabric.answers, chance)
        self.accesses, self.results = (
            Take(self.fabric.memory.accesses, chance),
            Put(self.fabric.memory.results, chance),
        )
        self.mail = Take(self.fabric.mail[0], chance)
        self.reader = PacketReader(config)
        self.got: list[Packet] = []
        self.letters = b""

    def step(self, ctx: Any, cycle: int) -> None:
        """One cycle."""
        fabric, width = self.fabric, self.config.beat_bytes
        if cycle == 0:
            ctx.set(fabric.chip, self.number)
            ctx.set(fabric.memory_bytes, SIZE)
            ctx.set(fabric.settings, SETTINGS.values())
        if cycle < 10:
            # The table first: what it does not know is thrown away.
            ctx.set(fabric.routes, self.lines.pop() if self.lines else {"write": 0})
            return
        ends = (self.requests, self.answers, self.accesses, self.results, self.mail)
        for end in ends:
            end.drive(ctx)
        self.requests.sample(ctx)
        self.results.sample(ctx)
        if (word := self.answers.sample(ctx)) is not None and (packet := self.reader.word(word)) is not None:
            self.got.append(packet)
        if (access := self.accesses.sample(ctx)) is not None:
            place = access.address * width
            if access.write:
                for byte, value in enumerate(access.data.to_bytes(width, "little")):
                    if access.mask >> byte & 1:
                        self.bytes[place + byte] = value
            else:
                word = int.from_bytes(self.bytes[place : place + width], "little")
                self.results.waiting.append({"data": word, "error": 0})
        if (word := self.mail.sample(ctx)) is not None:
            self.letters += word.data.to_bytes(width, "little")[: word.count + 1]


def linked(chips: list[Chip], alive: Any) -> Module:
    """Two chips, port to port; ``alive`` has a bit for each port."""
    m = Module()
    m.submodules.a, m.submodules.b = chips[0].fabric, chips[1].fabric
    for one, other in ((chips[0], chips[1]), (chips[1], chips[0])):
        for port in range(one.config.ports):
            near, far = one.fabric.serdes[port], other.fabric.serdes[port]
            m.d.comb += [
                far.receive.eq(near.send),
                far.receive_valid.eq(-1),
                far.signal.eq(~near.send_idle & alive[port].replicate(one.config.lanes)),
            ]
    return m


def ask(chip: Chip, chance: random.Random, operation: int, tag: int, **fields: Any) -> None:
    """Offer a request."""
    packet = Packet(operation=operation, destination=1 - chip.number, tag=tag, **fields)
    chip.requests.waiting.extend(words_of(packet, chip.config, chance))


def test_transactions_between_two_chips() -> None:
    config = LinkConfig(ports=1, lanes=2, lane_bits=16, credits=2, window=8)
    chance = random.Random(0)
    chips = [Chip(number, config, chance) for number in range(2)]
    old = bytes(chips[1].bytes)
    ask(chips[0], chance, WRITE, 0, address=3, length=30, data=bytes(range(30)))
    ask(chips[0], chance, READ, 1, address=0, length=40)
    ask(chips[0], chance, ADD_INT32, 2, address=4, length=4, data=(1).to_bytes(4, "little"))
    ask(chips[0], chance, MESSAGE, 3, address=0, length=5, data=b"hello")
    ask(chips[0], chance, SIGNAL, 4, address=1, length=9)
    ask(chips[0], chance, READ, 5, address=SIZE - 1, length=2)
    ask(chips[1], chance, READ, 7, address=10, length=100)
    raised = 0

    def step(ctx: Any, cycle: int) -> bool:
        nonlocal raised
        ctx.set(alive, 1)
        for chip in chips:
            chip.step(ctx, cycle)
        raised = ctx.get(chips[1].fabric.semaphores[1])
        return len(chips[0].got) == 6 and len(chips[1].got) == 1

    alive = Signal(1)
    run(linked(chips, alive), step, most=3000)
    written = old[:3] + bytes(range(30)) + old[33:]
    seen = [(answer.tag, answer.operation, answer.status, answer.data) for answer in chips[0].got]
    assert seen == [
        (0, DONE, 0, b""),
        (1, DATA, 0, written[:40]),
        (2, DATA, 0, written[4:8]),
        (3, DONE, 0, b""),
        (4, DONE, 0, b""),
        (5, DONE, 1, b""),
    ]
    total = int.from_bytes(written[4:8], "little") + 1
    assert chips[1].bytes == written[:4] + total.to_bytes(4, "little") + written[8:]
    assert chips[1].letters == b"hello"
    assert raised == 9
    assert chips[1].got[0].data == bytes(chips[0].bytes[10:110])
