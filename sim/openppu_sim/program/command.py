"""One command of a program, and its 64 bytes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from openppu.command.instruction import Instruction, InstructionSet
from openppu.command.layouts import COMMAND_BYTES, REGISTERS, word_layout

from openppu_sim.checks import whole
from openppu_sim.errors import UserError
from openppu_sim.program.bits import Bits

_WORD = Bits(word_layout())


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command with all that its header says.

    Parameters
    ----------
    name : str
        Of its instruction.
    fields : mapping of str to int
        Those that are not 0.
    registers : mapping of str to int
        The address register, 1 to 15, that is added to a field.
    wait, signal : tuple of (int, int), optional
        A semaphore and a value.
    chip : int, optional
        Of the semaphore that is signalled, if it is not this one's.
    record, interrupt, fence : bool
    tag : int
    """

    name: str
    fields: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    registers: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    wait: tuple[int, int] | None = None
    signal: tuple[int, int] | None = None
    chip: int | None = None
    record: bool = False
    interrupt: bool = False
    fence: bool = False
    tag: int = 0

    def __post_init__(self) -> None:
        for name in ("fields", "registers"):
            given = getattr(self, name)
            if not isinstance(given, Mapping):
                raise UserError(f"{self.name} {name} = {given!r}: give names and numbers, such as {{'row': 64}}")
            # A copy: who made it may use the dictionary again for another command.
            object.__setattr__(self, name, dict(given))

    def word(self, instructions: InstructionSet) -> int:
        """Its 512 bits as a number.

        Raises
        ------
        UserError
            If there is no such instruction or field, or a value is no whole number or does not fit.
        """
        instruction = instructions.by_name.get(self.name) if isinstance(self.name, str) else None
        if instruction is None:
            raise UserError(f"{self.name}: no such command; give one of {', '.join(instructions.by_name)}")
        try:
            operands = instruction.pack(
                {name: whole(f"{self.name} {name}", value) for name, value in self.fields.items()}
            )
        except ValueError as error:
            raise UserError(str(error)) from None
        wait, signal = self._pair("wait", self.wait), self._pair("signal", self.signal)
        flags = {
            "wait": self.wait is not None,
            "signal": self.signal is not None,
            "remote": self.chip is not None,
            "record": self.record,
            "interrupt": self.interrupt,
            "fence": self.fence,
        }
        for name, is_set in flags.items():
            if is_set not in (0, 1):
                raise UserError(f"{self.name} {name} = {is_set!r}: give True or False")
        header = {
            "opcode": instruction.opcode,
            "wait_semaphore": wait[0],
            "wait_value": wait[1],
            "signal_semaphore": signal[0],
            "signal_value": signal[1],
            "tag": self.tag,
            "chip": 0 if self.chip is None else self.chip,
        }
        values = {"operands": operands}
        for name, given in header.items():
            value = whole(f"{self.name} {name.replace('_', ' ')}", given)
            _, most = _WORD.places[f"header.{name}"]
            if not 0 <= value <= most:
                raise UserError(f"{self.name}: {name.replace('_', ' ')} = {value}: give 0 to {most}")
            values[f"header.{name}"] = value
        if self.chip is not None and self.signal is None:
            raise UserError(f"{self.name}: chip {self.chip} is named, but there is no signal for it")
        for name, register in self.registers.items():
            slot = _slot(instruction, name)
            if not 0 < whole(f"{self.name} {name}: register", register) < REGISTERS:
                raise UserError(f"{self.name} {name}: register {register}: give 1 to {REGISTERS - 1}")
            values[f"header.registers.{slot}"] = register
        values |= {f"header.flags.{name}": int(is_set) for name, is_set in flags.items()}
        return _WORD.pack(values)

    def _pair(self, what: str, given: object) -> tuple[int, int]:
        if given is None:
            return 0, 0
        if not isinstance(given, Sequence) or len(given) != 2:
            raise UserError(f"{self.name} {what} = {given!r}: give a semaphore's number and a value, such as (3, 1)")
        return given[0], given[1]

    def encode(self, instructions: InstructionSet) -> bytes:
        """Its 64 bytes, as in a ring; errors as of `word`."""
        return self.word(instructions).to_bytes(COMMAND_BYTES, "little")

    @classmethod
    def decode(cls, raw: bytes, instructions: InstructionSet) -> "Command":
        """The command of 64 bytes.

        Raises
        ------
        UserError
            If they are none, or bits are set that have no meaning.
        """
        if len(raw) != COMMAND_BYTES:
            raise UserError(f"a command of {len(raw)} bytes: it has {COMMAND_BYTES}")
        of = _WORD.unpack(int.from_bytes(raw, "little"))
        instruction = instructions.by_opcode.get(of["header.opcode"])
        if instruction is None:
            raise UserError(f"opcode {of['header.opcode']}: no such command")
        fields = {name: value for name, value in instruction.unpack(of["operands"]).items() if value}
        command = cls(
            name=instruction.name,
            fields=fields,
            registers={
                operand.name: of[f"header.registers.{operand.slot}"]
                for operand in instruction.operands
                if operand.slot is not None and of[f"header.registers.{operand.slot}"]
            },
            wait=(of["header.wait_semaphore"], of["header.wait_value"]) if of["header.flags.wait"] else None,
            signal=(of["header.signal_semaphore"], of["header.signal_value"]) if of["header.flags.signal"] else None,
            chip=of["header.chip"] if of["header.flags.remote"] else None,
            record=bool(of["header.flags.record"]),
            interrupt=bool(of["header.flags.interrupt"]),
            fence=bool(of["header.flags.fence"]),
            tag=of["header.tag"],
        )
        if command.encode(instructions) != raw:
            raise UserError(f"{instruction.name}: bits are set that have no meaning")
        return command


def _slot(instruction: Instruction, name: str) -> int:
    for operand in instruction.operands:
        if operand.name == name and operand.slot is not None:
            return operand.slot
    can = ", ".join(instruction.addresses) or "none"
    raise UserError(f"{instruction.name} {name}: no register can be added to it; it can to {can}")
