"""Every register of a chip that the host reaches, but the memory controller's: what it holds, takes, and refuses."""

import random
from collections.abc import Iterator

from openppu.common.register_map import Register
from openppu.host.blocks import SLOT_BITS, Block, blocks
from openppu_sim.device.driver import Driver
from openppu_sim.errors import SimulationError

REFUSED, NOWHERE = "SLVERR", "DECERR"
MOVING = ("enable", "tail", "pause")
"""What makes a queue begin."""

VALUES = 3
"""That each register gets."""


def walk(backend: Driver) -> None:
    """Try all of them, on a chip that has done nothing yet.

    Raises
    ------
    SimulationError
        At the first that is not as its table says.
    """
    rng = random.Random(5)
    found = [block for block in blocks(backend.chip, backend.queues) if not block.name.startswith("hbm")]
    held = {address: _read(backend, address) for _, register, address in _all(found) if register.readable}
    _compare_constants(found, held)
    settable = [
        (block, register, address)
        for block, register, address in _all(found)
        if register.writable and register.readable and register.name.split(".")[-1] not in MOVING
    ]
    for turn in range(VALUES):
        given = {}
        for _, register, address in settable:
            value = register.allowed[-1] if turn == 0 else rng.choice(register.allowed)
            backend.hardware.write_register(0, address, value)
            given[address] = value
        for block, register, address in settable:
            if (now := _read(backend, address)) != given[address]:
                raise SimulationError(f"{block.name}.{register.name} is {now:#x} instead of {given[address]:#x}")
    for block, register, address in _all(found):
        _refuse(backend, block, register, address)
    for block in found:
        _nothing_there(backend, block)


def _all(found: list[Block]) -> Iterator[tuple[Block, Register, int]]:
    for block in found:
        for register in block.registers:
            yield block, register, block.base + register.offset


def _read(backend: Driver, address: int) -> int:
    return backend.hardware.read_register(0, address)


def _compare_constants(found: list[Block], held: dict[int, int]) -> None:
    for block, register, address in _all(found):
        if register.readable and not register.source and held[address] != register.reset:
            raise SimulationError(f"{block.name}.{register.name} is {held[address]:#x}, not {register.reset:#x}")


def _refuse(backend: Driver, block: Block, register: Register, address: int) -> None:
    """What cannot be read or written, and a value that is not allowed."""
    name = f"{block.name}.{register.name}"
    if not register.readable:
        _expect(REFUSED, lambda: _read(backend, address), f"reading {name}")
    if not register.writable:
        _expect(REFUSED, lambda: backend.hardware.write_register(0, address, 0), f"writing {name}")
    elif register.allowed[-1] < 0xFFFFFFFF and not register.held:
        value = register.allowed[-1] + 1
        _expect(REFUSED, lambda: backend.hardware.write_register(0, address, value), f"writing {value} to {name}")


def _nothing_there(backend: Driver, block: Block) -> None:
    """Between the registers, behind them, and behind the part."""
    taken = {register.offset for register in block.registers}
    size = 1 << block.address_bits
    free = [offset for offset in range(0, size, 4) if offset not in taken]
    for offset in free[:1] + free[len(free) // 2 : len(free) // 2 + 1] + free[-1:]:
        _expect(REFUSED, lambda at=block.base + offset: _read(backend, at), f"reading {block.name} {offset:#x}")
        _expect(
            REFUSED,
            lambda at=block.base + offset: backend.hardware.write_register(0, at, 0),
            f"writing {block.name} {offset:#x}",
        )
    if size < 1 << SLOT_BITS:
        _expect(NOWHERE, lambda: _read(backend, block.base + size), f"reading behind {block.name}")
        _expect(
            NOWHERE,
            lambda: backend.hardware.write_register(0, block.base + size, 0),
            f"writing behind {block.name}",
        )


def _expect(response: str, access, what: str) -> None:
    try:
        access()
    except SimulationError as error:
        if response in str(error):
            return
        raise
    raise SimulationError(f"{what} is not answered {response}")
