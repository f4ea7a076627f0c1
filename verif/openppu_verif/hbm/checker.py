"""The C++ checker from Python: feed it lists of commands, and ask what was wrong."""

import ctypes
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from openppu.hbm.device import Organisation, Timing
from openppu.hbm.phy import PSEUDO_CHANNELS

from openppu_verif.hbm.constraints import COMMANDS, Issued, checker_table
from openppu_verif.hbm.mode_rules import Driven
from openppu_verif.hbm.native_library import TEXT, load

_NUMBERS = 10
_ROW = ("memory clock", "command", "pseudo-channel", "bank", "operand")
_ENDS = (len(COMMANDS), PSEUDO_CHANNELS, 1 << 8, 1 << 8)


@dataclass(frozen=True)
class Violation:
    """A broken rule.

    Parameters
    ----------
    rule : str
        Its name, of ``CONSTRAINTS``, ``STATE_RULES`` or ``MODE_RULES``.
    command : Issued
        What broke it; a ``NOP`` if time alone did.
    earlier : Issued, optional
        The other command of the pair.
    allowed_from : int, optional
        The memory clock from which the pair rule allows the command.
    text : str
        All of it in words.
    """

    rule: str
    command: Issued
    earlier: Issued | None
    allowed_from: int | None
    text: str


class Checker:
    """A checker of one channel, after initialisation unless told otherwise.

    Parameters
    ----------
    timing : Timing
    organisation : Organisation
    build_root : Path
        Folder of all that is generated.
    initialised : bool
        False: the channel has no power yet, reset_n and CKE are low.
    driven : Driven, optional
        To which it holds the mode registers.

    Raises
    ------
    UserError
        If the library cannot be compiled.
    ValueError
        If the checker rejects its table.
    """

    def __init__(
        self,
        timing: Timing,
        organisation: Organisation,
        build_root: Path,
        *,
        initialised: bool = True,
        driven: Driven | None = None,
    ):
        self._library = load(build_root)
        error = ctypes.create_string_buffer(TEXT)
        table = checker_table(timing, organisation, driven).encode()
        self._checker = self._library.checker_new(table, error, TEXT)
        if not self._checker:
            raise ValueError(error.value.decode())
        self._library.checker_restart(self._checker, initialised)

    def __del__(self) -> None:
        if getattr(self, "_checker", None):
            self._library.checker_delete(self._checker)

    def pins(self, *, reset_n: bool = True, cke: bool = True, temperature: int = 3) -> None:
        """Levels of the pins and the device's temperature code, from the present memory clock on."""
        self._library.checker_pins(self._checker, reset_n, cke, temperature)

    def run(self, commands: Iterable[Issued]) -> None:
        """Feed commands in order of time; in one memory clock, that of the column bus first."""
        rows = [(c.ck, COMMANDS.index(c.name), c.pc, c.bank, c.operand) for c in commands]
        self.run_array(np.array(rows, np.int64).reshape(-1, len(_ROW)))

    def run_array(self, rows: NDArray[np.int64]) -> None:
        """Feed commands as rows of memory clock, index in ``COMMANDS``, pseudo-channel, bank, operand.

        Raises
        ------
        ValueError
            If they are no such rows, are not in order of time, or name what no command can.
        """
        rows = np.ascontiguousarray(rows, np.int64)
        if rows.ndim != 2 or rows.shape[1] != len(_ROW):
            raise ValueError(f"commands of shape {rows.shape}: give (n, {len(_ROW)}): {', '.join(_ROW)}")
        if not len(rows):
            return
        if rows[0, 0] < self.now or (np.diff(rows[:, 0]) < 0).any():
            raise ValueError(f"commands that are not in order of time, from memory clock {self.now} on")
        for name, values, end in zip(_ROW[1:], rows.T[1:], _ENDS, strict=True):
            if ((values < 0) | (values >= end)).any():
                raise ValueError(f"{name} {values.min() if values.min() < 0 else values.max()}: give 0 to {end - 1}")
        self._library.checker_run(self._checker, rows.ctypes.data, len(rows))

    def advance(self, clocks: int) -> None:
        """Let memory clocks pass."""
        if clocks < 0:
            raise ValueError(f"{clocks} memory clocks: time does not go back")
        self._library.checker_advance(self._checker, clocks)

    @property
    def now(self) -> int:
        """The present memory clock."""
        return int(self._library.checker_now(self._checker))

    @property
    def total(self) -> int:
        """Violations so far."""
        return int(self._library.checker_violations(self._checker))

    @property
    def counts(self) -> dict[str, int]:
        """Violations by rule, those that have any."""
        found = {}
        for rule in range(self._library.checker_rules(self._checker)):
            if count := self._library.checker_count(self._checker, rule):
                found[self._rule(rule)] = int(count)
        return found

    def owed(self, pc: int) -> float:
        """Refreshes of single banks that a pseudo-channel owes; negative when done in advance."""
        return float(self._library.checker_owed(self._checker, pc))

    @property
    def violations(self) -> list[Violation]:
        """The first few violations, in order of time."""
        found: list[Violation] = []
        numbers = (ctypes.c_int64 * _NUMBERS)()
        text = ctypes.create_string_buffer(TEXT)
        while self._library.checker_violation(self._checker, len(found), numbers, text, TEXT):
            ck, rule, name, pc, bank, earlier_ck, earlier_name, earlier_pc, earlier_bank, allowed_from = numbers
            pair = bool(earlier_name)
            earlier = Issued(earlier_ck, COMMANDS[earlier_name], earlier_pc, earlier_bank) if pair else None
            command = Issued(ck, COMMANDS[name], pc, bank)
            known_from = allowed_from if pair else None
            found.append(Violation(self._rule(rule), command, earlier, known_from, text.value.decode()))
        return found

    def _rule(self, rule: int) -> str:
        text = ctypes.create_string_buffer(TEXT)
        self._library.checker_rule_name(self._checker, rule, text, TEXT)
        return text.value.decode()
