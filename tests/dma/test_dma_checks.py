"""A command of any size is refused, or not, as the reference says: nothing overflows in the check."""

import random
from typing import Any

import numpy as np
from amaranth import Shape
from amaranth.sim import Simulator
from openppu.command.error import Error
from openppu.dma.layouts import OPERANDS, Opcode
from openppu.dma.prepare import Prepare
from openppu.formats.spec import BF16
from openppu_sim.reference import dma as reference
from openppu_verif.dma.commands import Fields, encode

HBM_BYTES, PAD_BYTES = 1 << 35, 1 << 24
MEMORIES = reference.Memories(
    np.broadcast_to(np.uint8(0), (HBM_BYTES,)), np.broadcast_to(np.uint8(0), (PAD_BYTES,))
)  # as large as can be, without a byte


def any_fields(name: str, chance: random.Random) -> Fields:
    """Each field of any size, mostly a multiple of 4; large ones rare enough for some commands to fit."""
    fields = {}
    for field, place in OPERANDS[Opcode[name]]:
        shape = Shape.cast(place.shape)
        bits = shape.width - shape.signed
        few = chance.randint(0, min(bits, 3 if "count" in field or "out" in field else bits))
        value = chance.getrandbits(few) if few else 0
        if field in ("source", "target", "format"):
            value = chance.choice([0, 4, 6, 7])
        elif field in ("memory", "scratchpad", "indices", "address"):
            value = chance.choice([0, PAD_BYTES - 4096, HBM_BYTES - 4096, chance.randrange(PAD_BYTES)])
        if "stride" in field or field in ("memory", "scratchpad", "indices", "address", "row"):
            value = value // 4 * 4
        if "stride" not in field and field not in ("memory", "scratchpad", "indices", "address", "pad_top"):
            value = max(value, 1) if field not in ("source", "target", "format", "transpose") else value
        if field == "row":
            value = max(value, 4)
        fields[field] = -value if shape.signed and chance.random() < 0.3 else value
    return fields


WIDE: Fields = dict(memory=0, scratchpad=0, row=65532, source=0, target=7, images=1, height=1, width=1)
WIDE |= dict(out_height=1, out_width=1, kernel_height=1, kernel_width=255, stride_height=1, stride_width=1)
WIDE |= dict(dilation_height=1, dilation_width=1, image_stride=0, row_stride=0, pixel_stride=0, scratchpad_stride=0)
"""A row of the result of just under four times 2**24 bytes, in a scratchpad of 2**24."""


def test_the_verdict_is_the_references() -> None:
    chance = random.Random(1)
    names = [name for name in reference.LOADS for _ in range(60)]
    commands = [("IM2COL", WIDE), *((name, any_fields(name, chance)) for name in names)]
    dut: Any = Prepare(store=False, formats=(BF16,), compute_units=1)
    found: list[int] = []

    async def bench(ctx: Any) -> None:
        ctx.set(dut.hbm_bytes, HBM_BYTES)
        ctx.set(dut.scratchpad_bytes, PAD_BYTES)
        ctx.set(dut.jobs.ready, 1)
        for name, fields in commands:
            ctx.set(dut.commands.payload, encode(name, fields))
            ctx.set(dut.commands.valid, 1)
            await ctx.tick().until(dut.commands.ready)
            ctx.set(dut.commands.valid, 0)
            assert ctx.get(dut.jobs.valid)
            found.append(ctx.get(dut.jobs.payload.error))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    expected = []
    for name, fields in commands:
        of = {**dict.fromkeys(("source", "target", "saturate", "transpose", "value"), 0), **fields}
        if name.startswith("FILL"):
            of["source"] = of["target"] = of["format"]
        expected.append(reference.check(name, of, MEMORIES, store=False, formats=(BF16,), compute_units=1))
    for command, got, want in zip(commands, found, expected, strict=True):
        assert got == want, command
    assert expected[0] == Error.BOUNDS
    assert expected.count(Error.OKAY) > 20
    assert expected.count(Error.BOUNDS) > 20
