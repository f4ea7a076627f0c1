"""Two chips' links with all that is around them: registers, commands, memory, semaphores, port to port."""

import random

import numpy as np
from amaranth import Module
from openppu.command.error import Error
from openppu.host.blocks import Block
from openppu.link import registers as link_registers
from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.plan import plan
from openppu.link.collective.wiring import pair
from openppu.link.config import LinkConfig
from openppu.link.route_table import table_of
from openppu.link.topology import pair as pair_topology
from openppu.link.unit import registers as collective_registers
from openppu.link.unit.instructions import COLLECTIVE, SEND
from openppu.link.unit.link_unit import LinkUnit
from openppu_sim.device.registers import RegisterFile
from openppu_verif.ends import Put, Take, run
from openppu_verif.link.collective_jobs import make_case
from openppu_verif.memory_model import MemoryModel

CONFIG = CollectiveConfig(link=LinkConfig(ports=1, lanes=2, lane_bits=32), window=32, packet=8, reads=16)
TIMES = {"retrain_timeout": 100, "align_timeout": 400, "width_timeout": 400, "start_timeout": 400}
MEMORY = 1 << 16


class Chip:
    """A link unit, its memory (one for all ports), and what software does with it."""

    def __init__(self, number, chance, *, rate):
        self.number, self.chance = number, chance
        self.unit = LinkUnit(CONFIG, semaphores=4)
        self.memories = [MemoryModel(port, chance, rate=rate, delay=4, size=MEMORY) for port in self.unit.memory]
        for each in self.memories[1:]:
            each.bytes = self.memories[0].bytes
        self.commands = Put(self.unit.commands, chance, rate)
        self.finished = Take(self.unit.finished, chance, rate)
        self.remote = Put(self.unit.remote, chance, rate)
        self.signals = Take(self.unit.signals, chance, rate)
        self.errors: list[Error] = []
        self.signalled: list[tuple[int, int]] = []
        self.writes = {"axi": self._link(), "collective_axi": self._collective()}
        self.sent: dict[str, set[str]] = {"axi": set(), "collective_axi": set()}

    def _file(self, registers):
        writes: list[tuple[int, int]] = []
        block = Block(name="it", slot=0, address_bits=16, registers=tuple(registers), meaning="")
        return RegisterFile([block], read=lambda _: 0, write=lambda *pair: writes.append(pair)), writes

    def _link(self):
        file, writes = self._file(link_registers.registers(CONFIG.link))
        file["it.chip"] = self.number
        file["it.memory_bytes"] = MEMORY
        for name, value in TIMES.items():
            file[f"it.settings.{name}"] = value
        for line in table_of(pair_topology(), self.number):
            file["it.route_role"] = line["role"].value
            file["it.route_destination"] = line["destination"]
            for field, value in line["route"].items():
                file[f"it.route_route_{field}"] = int(value)
            file["it.write_route"] = 1
        return writes

    def _collective(self):
        file, writes = self._file(collective_registers.registers(CONFIG))
        file["it.peers"] = 1 - self.number
        file["it.stream0_direct_valid"] = 1
        return writes

    def step(self, ctx, cycle):
        ctx.set(self.unit.memory_bytes, MEMORY)
        for name, writes in self.writes.items():
            axi, sent = getattr(self.unit, name), self.sent[name]
            if writes:
                ctx.set(axi.awaddr, writes[0][0])
                ctx.set(axi.wdata, writes[0][1])
                ctx.set(axi.wstrb, 15)
            for channel in ("aw", "w"):
                ctx.set(getattr(axi, f"{channel}valid"), bool(writes) and channel not in sent)
            ctx.set(axi.bready, 1)
        ready = not any(self.writes.values())
        for memory in self.memories:
            memory.drive(ctx)
        for end in (self.commands, self.remote):
            if ready:
                end.drive(ctx)
        self.finished.drive(ctx)
        self.signals.drive(ctx)
        for memory in self.memories:
            memory.sample(ctx)
        if ready:
            self.commands.sample(ctx)
            self.remote.sample(ctx)
        finished, signal = self.finished.sample(ctx), self.signals.sample(ctx)
        if finished is not None:
            self.errors.append(finished.error)
        if signal is not None:
            self.signalled.append((signal.semaphore, signal.value))
        for name, writes in self.writes.items():
            axi, sent = getattr(self.unit, name), self.sent[name]
            for channel in ("aw", "w"):
                if ctx.get(getattr(axi, f"{channel}valid")) and ctx.get(getattr(axi, f"{channel}ready")):
                    sent.add(channel)
            if ctx.get(axi.bvalid):
                assert ctx.get(axi.bresp).value == 0, f"{name}: {writes[0]} is refused"
                writes.pop(0)
                sent.clear()


def test_two_chips_copy_signal_and_reduce():
    seed = 3
    chance = random.Random(seed)
    chips = [Chip(number, chance, rate=0.8) for number in range(2)]
    m = Module()
    m.submodules.a, m.submodules.b = chips[0].unit, chips[1].unit
    for one, other in ((chips[0], chips[1]), (chips[1], chips[0])):
        near, far = one.unit.serdes[0], other.unit.serdes[0]
        m.d.comb += [
            far.receive.eq(near.send),
            far.receive_valid.eq(-1),
            far.signal.eq(~near.send_idle),
        ]

    case = make_case("all_reduce", pair(), CONFIG, "direct", elements=90, fmt="binary32", seed=seed)
    made = plan(case.job, pair(), CONFIG, "direct")
    image = chance.randbytes(512)
    for chip, memory, program in zip(chips, case.memories, made.programs, strict=True):
        chip.memories[0].load(0, memory.tobytes())
        send = {"source": 0x8000, "target": 0x9000 + 0x800 * chip.number, "bytes": 512, "chip": 1 - chip.number}
        chip.memories[0].load(0x8000, image)
        chip.commands.waiting.append({"opcode": SEND.opcode, "operands": SEND.pack(send)})
        for each in program:
            fields = {name: each.bits >> place.offset & ((1 << place.width) - 1) for name, place in COLLECTIVE.layout}
            chip.commands.waiting.append({"opcode": COLLECTIVE.opcode, "operands": COLLECTIVE.pack(fields)})
    counts = [1 + len(program) for program in made.programs]
    done = [False, False]

    def each_cycle(ctx, cycle):
        for number, chip in enumerate(chips):
            chip.step(ctx, cycle)
            if len(chip.errors) == counts[number] and not done[number]:
                done[number] = True
                chip.remote.waiting.append({"chip": 1 - number, "semaphore": 2 + number, "value": 300})
        return all(chip.signalled for chip in chips)

    run(m, each_cycle, most=12_000)
    for number, chip in enumerate(chips):
        assert chip.errors == [Error.OKAY] * counts[number], f"seed {seed}"
        assert chip.signalled == [(3 - number, 300)]
        assert chip.memories[0].dump(0x9000 + 0x800 * (1 - number), 512) == image
    after = [np.frombuffer(chip.memories[0].dump(0, len(case.memories[0])), np.uint8) for chip in chips]
    case.check([each.copy() for each in after])
