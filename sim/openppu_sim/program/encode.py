"""A program as bytes, and what can be said against it before a chip has it."""

from collections.abc import Sequence

from openppu.command.instruction import InstructionSet
from openppu.command.layouts import COMMAND_BYTES

from openppu_sim.errors import UserError
from openppu_sim.program.command import Command


def encode_program(
    program: Sequence[Command | bytes], instructions: InstructionSet, *, chips: int, semaphores: int
) -> list[bytes]:
    """The 64 bytes of each command; those that are bytes already are taken as they are.

    Parameters
    ----------
    program : sequence of Command or bytes
    instructions : InstructionSet
    chips, semaphores : int
        How many there are that a command may name, and how many semaphores each has.

    Raises
    ------
    UserError
        One line, with the place of the command that cannot be.
    """
    if isinstance(program, str | bytes) or not isinstance(program, Sequence):
        raise UserError(
            f"a program of {type(program).__name__}: give a list of Command; parse_program makes one of a text"
        )
    images = []
    for place, command in enumerate(program):
        if isinstance(command, bytes) and len(command) == COMMAND_BYTES:
            images.append(command)
            continue
        if not isinstance(command, Command):
            raise UserError(f"command {place}: {command!r}: give a Command, or its {COMMAND_BYTES} bytes")
        try:
            images.append(command.encode(instructions))
            _check_chips(command, chips, semaphores)
        except UserError as error:
            raise UserError(f"command {place}: {error}") from None
    return images


def _check_chips(command: Command, chips: int, semaphores: int) -> None:
    """Another chip that is not there would never answer."""
    named = [] if command.chip is None else [command.chip]
    if command.name == "SEND":
        named.append(command.fields.get("chip", 0))
    for chip in named:
        if chip >= chips:
            have = f"there are chips 0 to {chips - 1}" if chips > 1 else "there is chip 0 alone; a Cluster has more"
            raise UserError(f"{command.name} chip = {chip}: {have}")
    if command.chip is not None and command.signal is not None and command.signal[0] >= semaphores:
        raise UserError(f"{command.name} signal semaphore = {command.signal[0]}: a chip has 0 to {semaphores - 1}")
