"""What the C++ device model and checker of one channel read at their start, as a file; and what a Verilog testbench of
the channel needs to know of it, as macros.
"""

import sys
from pathlib import Path
from typing import Any

from amaranth import Const, Value
from amaranth.lib import data
from openppu.hbm.commands import ColumnCommand, RowCommand, column_slot_layout, row_slot_layout
from openppu.hbm.config import ChannelConfig
from openppu.hbm.device import DEVICES, Timing, device
from openppu.hbm.layouts import request_layout, response_layout
from openppu.hbm.phy import DATA_BITS
from openppu.hbm.settings import Settings, settings_layout
from openppu.section import ConfigError
from openppu_sim.cli import Parser, guarded

from openppu_verif.hbm.constraints import COMMANDS, checker_table
from openppu_verif.hbm.mode_rules import Driven

TEXT, MACROS = "hbm_device.txt", "hbm_device.vh"
TRAINING_CLOCKS, ADDRESS_ERROR_CLOCKS = 16, 4


def memory_lines(config: ChannelConfig, settings: Settings, timing: Timing | None = None) -> list[str]:
    """The lines for a memory.

    Parameters
    ----------
    config : ChannelConfig
        The controller's.
    settings : Settings
        What the controller is told; of which ``read_delay`` is the PHY's, too.
    timing : Timing, optional
        The device's and the checker's, if not the controller's.
    """
    timing, of, driven = timing or settings.timing, config.organisation, Driven.of(config, settings, timing)
    row, column = row_slot_layout(of), column_slot_layout(of)
    lines = []
    for slot in range(2):
        lines += field_lines(f"row{slot}", row, slot * row.size) + field_lines(
            f"column{slot}", column, slot * column.size
        )
    return [
        *lines,
        f"row_codes {_codes(RowCommand)}",
        f"column_codes {_codes(ColumnCommand)}",
        f"device {of.banks} {of.rows} {TRAINING_CLOCKS} {ADDRESS_ERROR_CLOCKS} {settings.read_delay}",
        *(f"table {line}" for line in checker_table(timing, of, driven).splitlines()),
    ]


def field_lines(prefix: str, layout: data.StructLayout, offset: int = 0) -> list[str]:
    """Offset and width of each field but the data, in bits."""
    return [
        f"field.{prefix}.{name} {offset + place.offset} {place.width}"
        for name, place in layout
        if place.width < DATA_BITS
    ]


def settings_value(settings: Settings, config: ChannelConfig) -> int:
    """The bits of the controller's ``settings``."""
    return int(Const.cast(Value.cast(settings_layout().const(settings.values(config)))).value)


def macros(config: ChannelConfig, settings: Settings) -> list[str]:
    """Verilog macros: widths of the PHY's buses and of a port's requests and responses, and the settings."""
    of, response = config.organisation, response_layout(config)
    values = {
        "ROW_BITS": 2 * row_slot_layout(of).size,
        "COLUMN_BITS": 2 * column_slot_layout(of).size,
        "ADDRESS_BITS": request_layout(config)["address"].width,
        "RESPONSE_BITS": response.size,
        "RESPONSE_ERROR": response["error"].offset,
        "SETTINGS": f"{settings_layout().size}'h{settings_value(settings, config):x}",
    }
    return [f"`define HBM_{name} {value}" for name, value in values.items()]


def write(folder: Path, config: ChannelConfig, settings: Settings, timing: Timing | None = None) -> None:
    """Write both files to a folder; arguments as of `memory_lines` and `macros`.

    Raises
    ------
    OSError
        If one cannot be written.
    """
    lines = memory_lines(config, settings, timing)
    (folder / TEXT).write_text("\n".join(lines) + "\n", encoding="ascii")
    (folder / MACROS).write_text("\n".join(macros(config, settings)) + "\n", encoding="ascii")


def _codes(commands: Any) -> str:
    return " ".join(str(COMMANDS.index(each.name)) for each in commands)


def main() -> int:
    """Write the files that hbm_device.v needs to a folder."""
    parser = Parser(prog="python -m openppu_verif.hbm.memory_file", description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", choices=DEVICES, default=DEVICES[0], help=f"default: {DEVICES[0]}")
    parser.add_argument("--height", type=int, default=8, help="of the stack, in dies (default: 8)")
    parser.add_argument("--read-delay", type=int, default=0, help="clocks that the PHY adds to a read (default: 0)")
    args = parser.parse_args()
    try:
        settings = Settings(timing=device(args.device).timing, read_delay=args.read_delay)
        write(args.folder, ChannelConfig(height=args.height), settings)
    except ConfigError as error:
        parser.error(str(error))
    except OSError as error:
        parser.error(f"{error.filename}: cannot be written: {error.strerror}; give a folder that is there")
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
