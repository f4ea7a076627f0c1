"""The device model and the checker behind a channel's PHY ports, in cocotb: for directed tests, waves, and Icarus."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.lib import data
from cocotb.handle import Immediate
from openppu.hbm.commands import ColumnCommand, RowCommand, column_slot_layout, row_slot_layout
from openppu.hbm.config import ChannelConfig
from openppu.hbm.phy import PSEUDO_CHANNELS
from openppu.hbm.settings import Settings

from openppu_verif.hbm.checker import Checker
from openppu_verif.hbm.constraints import COMMANDS, Issued
from openppu_verif.hbm.device import Device, Drive, Word, column_slot, row_slot
from openppu_verif.hbm.mode_rules import Driven

WORD_BYTES = 36


@dataclass(frozen=True, kw_only=True)
class Busy:
    """A clock at the PHY.

    Parameters
    ----------
    commands : list of (slot, name, pc, bank)
        All but NOP.
    activations : list of (pc, bank, row)
        Of its ACTs.
    write_valid, read_valid : int
        A bit for each pseudo-channel.
    """

    commands: list[tuple[int, str, int, int]]
    activations: list[tuple[int, int, int]]
    write_valid: int
    read_valid: int


class ChannelMemory:
    """Plays the device in each clock: first `drive`, then, once the logic has settled, `sample`.

    Parameters
    ----------
    dut : cocotb handle
        With the ports of `openppu.hbm.phy.PhySignature` under ``phy``, a prefix.
    config : ChannelConfig
    settings : Settings
        Its timing is the device's, too.
    build_root : Path
        Folder of all that is generated.

    Attributes
    ----------
    device : Device
        To load and dump memory, and to make faults.
    checker : Checker
        Sees every command that the device takes.
    """

    def __init__(self, dut: Any, config: ChannelConfig, settings: Settings, build_root: Path, *, phy: str = "phy"):
        of = config.organisation
        self.device = Device(of, build_root, read_delay=settings.read_delay)
        driven = Driven.of(config, settings)
        self.checker = Checker(settings.timing, of, build_root, initialised=False, driven=driven)
        self._row, self._column = row_slot_layout(of), column_slot_layout(of)
        self._ports = {name: getattr(dut, f"{phy}__{name}") for name in (*_OUTPUTS, *_INPUTS)}
        self._driven: dict[str, int] = {}

    def drive(self) -> None:
        """Give the controller what the device and the PHY say in this clock."""
        sense = self.device.sense
        reset = not int(self._ports["reset_n"].value)
        valid = [bool(sense.read_valid[pc]) and not reset for pc in range(PSEUDO_CHANNELS)]
        words = int.from_bytes(b"".join(bytes(sense.read[pc]) for pc in range(PSEUDO_CHANNELS)), "little")
        values = {name: int(getattr(sense, name)) for name in _SIGNALS}
        for name, value in {"read": words, "read_valid": valid[0] | valid[1] << 1, **values}.items():
            if self._driven.get(name) != value:
                self._ports[name].set(Immediate(value))
                self._driven[name] = value

    def sample(self) -> "Busy":
        """Obey what the controller says in this clock.

        Returns
        -------
        Busy
            What stood at the PHY.

        Raises
        ------
        AssertionError
            If it breaks a rule of the device, or says what cannot be obeyed.
        """
        values = {name: int(self._ports[name].value) for name in _OUTPUTS}
        drive = Drive(reset_n=values["reset_n"], cke=values["cke"], init_start=values["init_start"])
        commands: list[tuple[str, int, int]] = []
        for slot in range(PSEUDO_CHANNELS):
            column = _fields(self._column, values["column"], slot)
            row = _fields(self._row, values["row"], slot)
            column_name, row_name = ColumnCommand(column["command"]).name, RowCommand(row["command"]).name
            drive.column[slot] = column_slot(column_name, column["bank"], column["column"], column["operand"])
            drive.row[slot] = row_slot(row_name, row["pc"], row["bank"], row["row"])
            commands += [(column_name, slot, column["bank"]), (row_name, row["pc"], row["bank"])]
            drive.write_valid[slot] = values["write_valid"] >> slot & 1
            drive.write_mask[slot] = values["write_mask"] >> 32 * slot & 0xFFFFFFFF
            raw = values["write"].to_bytes(PSEUDO_CHANNELS * WORD_BYTES, "little")
            drive.write[slot] = Word.from_buffer_copy(raw, slot * WORD_BYTES)
        temperature = self.device.sense.temperature
        lost = self.device.clock(drive)
        self.checker.pins(reset_n=bool(drive.reset_n), cke=bool(drive.cke), temperature=temperature)
        now = self.checker.now
        for number, (name, pc, bank) in enumerate(commands):
            slot, is_row = divmod(number, 2)
            if name != "NOP" and not lost >> slot & (1 if is_row else 4):
                operand = 0 if is_row else drive.column[slot].operand
                self.checker.run([Issued(now + slot, name, pc, bank, operand)])
        self.checker.advance(now + 2 - self.checker.now)
        assert not self.device.problems, self.device.problems[0]
        assert not self.checker.total, self.checker.violations[0].text
        seen = [(index // 2, *command) for index, command in enumerate(commands) if command[0] != "NOP"]
        acts = [(row.pc, row.bank, row.row) for row in drive.row if COMMANDS[row.command] == "ACT"]
        return Busy(
            commands=seen, activations=acts, write_valid=values["write_valid"], read_valid=self._driven["read_valid"]
        )


_SIGNALS = ("temperature", "catastrophic", "address_error", "init_complete", "update_request")
_INPUTS = ("read", "read_valid", *_SIGNALS)
_OUTPUTS = ("row", "column", "write", "write_mask", "write_valid", "cke", "reset_n", "init_start")


def _fields(layout: data.StructLayout, slots: int, index: int) -> dict[str, int]:
    """The fields of a slot of a bus of two."""
    value = slots >> index * layout.size
    return {str(name): value >> place.offset & ((1 << place.width) - 1) for name, place in layout}
