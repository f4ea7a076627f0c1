"""The channel's Verilated model for the native bench, built once for each configuration (by content)."""

from pathlib import Path

from openppu.config import load
from openppu.hbm.channel import Channel
from openppu.hbm.config import ChannelConfig
from openppu.verilog import emit

from openppu_verif.native.model import build_model, cached_verilog

TOP = "channel"


def emit_channel(config: ChannelConfig, folder: Path) -> Path:
    """Write a channel's Verilog to a folder; the file."""
    verilog = folder / f"{TOP}.v"
    emit(Channel(config), top=TOP, config=load("tiny")).write(verilog)
    return verilog


def channel_verilog(config: ChannelConfig, build_root: Path) -> Path:
    """The Verilog of a channel, as of `openppu_verif.native.model.cached_verilog`."""
    return cached_verilog(lambda: Channel(config), TOP, repr(config), build_root)


def build_channel(
    config: ChannelConfig,
    build_root: Path,
    *,
    waves: bool = False,
    netlist: Path | None = None,
    flat: bool = False,
) -> Path:
    """The executable for a channel, from an earlier build if there is one.

    Parameters
    ----------
    config : ChannelConfig
    build_root : Path
        Folder of all that is generated (``build``).
    waves : bool
        For `openppu_verif.hbm.native.run` with ``waves``.
    netlist : Path, optional
        Verilog of the channel that was made in another way; it may have more inputs, which the run sets as ``pins``.
    flat : bool
        That Verilog is one large module.

    Raises
    ------
    UserError
        If a tool is missing or rejects its input.
    """
    return build_model(lambda: Channel(config), TOP, repr(config), build_root, waves=waves, netlist=netlist, flat=flat)
