"""Programs through all address registers, and far on in the count of commands: what short programs do not come to."""

import random
from collections.abc import Sequence
from dataclasses import replace

from openppu.command.instructions import instructions
from openppu.command.layouts import REGISTERS
from openppu.common.memory import ADDRESS_BITS
from openppu_sim.device.driver import Driver
from openppu_sim.program.command import Command

MASK = (1 << ADDRESS_BITS) - 1
SETTLED = 300
"""Clocks after which a queue has forgotten all."""


def through_registers(program: Sequence[Command], rng: random.Random, last: int = 0) -> list[Command]:
    """The same program, every address of which is a random number and an address register: one after the other, from
    the one after ``last``."""
    known = instructions()
    changed = []
    for command in program:
        addresses = [each for each in known.by_name[command.name].operands if each.slot is not None]
        fields, registers = dict(command.fields), dict(command.registers)
        for each in addresses:
            if each.name in registers:
                continue
            last = last % (REGISTERS - 1) + 1
            given = rng.randrange(each.most + 1)
            value = (fields.get(each.name, 0) - given) & MASK
            # Some are put together of two.
            part = rng.choice([value, rng.randrange(MASK + 1)])
            changed.append(Command(name="SET", fields={"register": last, "value": part}))
            if part != value:
                changed.append(Command(name="ADD", fields={"register": last, "value": value - part & MASK}))
            fields[each.name], registers[each.name] = given, last
        changed.append(replace(command, fields=fields, registers=registers))
    return changed


def skip(backend: Driver, index: int) -> None:
    """Let all queues of a chip that is at rest go on as if so many commands had been: a restart forgets them."""
    registers, everyone = backend.registers[0], (1 << len(backend.queues)) - 1
    for queue in backend.queues:
        registers[f"command.{queue}.enable"] = 0
        registers[f"command.{queue}.tail"] = index
        backend._tails[0][queue] = index
    registers["command.restart"] = everyone
    backend.hardware.run(SETTLED)
    registers["command.seen"] = everyone
    for queue in backend.queues:
        registers[f"command.{queue}.enable"] = 1
