"""Builds the testbench without Python: the channel's Verilog and ``hbm_device.v``, whose C++ Verilator reaches by DPI
and Icarus by VPI.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

from openppu.hbm.config import ChannelConfig
from openppu.hbm.settings import Settings
from openppu_sim.errors import UserError
from openppu_sim.simulator.model_cache import content_key, file_contents, keep_only, make_once
from openppu_sim.simulator.toolchain import find_icarus, find_toolchain
from openppu_sim.simulator.verilator import build, run_logged

from openppu_verif.hbm.memory_file import MACROS, write
from openppu_verif.hbm.native_model import TOP, channel_verilog
from openppu_verif.native.model import INPUTS_OUTPUTS, VERILATE, control, module_ports

FOLDER = Path(__file__).parent
TESTBENCH = "hbm_device_tb"
VERILOG = tuple(FOLDER / name for name in ("hbm_device.v", f"{TESTBENCH}.v"))
CORE = tuple(FOLDER / f"{name}.cpp" for name in ("verilog_memory", "checker", "device", "faults"))
DPI, VPI = FOLDER / "hbm_device_dpi.cpp", FOLDER / "hbm_device_vpi.cpp"
HEADERS = (
    *(FOLDER / f"{name}.h" for name in ("checker", "device", "faults", "phy_bus", "verilog_memory")),
    INPUTS_OUTPUTS,
)


def build_testbench(sim: str, config: ChannelConfig, settings: Settings, build_root: Path) -> list[str]:
    """The command that runs it, in a folder that holds ``hbm_device.txt`` of `openppu_verif.hbm.memory_file`.

    Parameters
    ----------
    sim : {"verilator", "icarus"}
    config : ChannelConfig
        With one port and one tag.
    settings : Settings
        The controller's.
    build_root : Path
        Folder of all that is generated.

    Raises
    ------
    UserError
        If a tool is missing or rejects its input.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        channel = channel_verilog(config, build_root)
        write(folder, config, settings)
        sources = [folder / MACROS, channel, *VERILOG]
        if sim == "icarus":
            return _build_icarus(sources, build_root)
        modules = module_ports(channel.read_text(encoding="ascii"))
        executable = build(
            [*sources, *CORE],
            TESTBENCH,
            build_root,
            cpp_main=DPI,
            headers=HEADERS,
            control=control(modules, TOP),
            verilate=(*VERILATE, "--main", "--timing"),
            compile_flags=("-std=gnu++20",),
        )
        return [str(executable)]


def _build_icarus(sources: list[Path], build_root: Path) -> list[str]:
    icarus, tools = find_icarus(), find_toolchain()
    if icarus is None or shutil.which("iverilog-vpi") is None:
        raise UserError("Icarus Verilog with iverilog-vpi is missing; install it with `apt-get install iverilog`")
    key = content_key(*file_contents([*sources, *CORE, VPI, *HEADERS]), icarus.version, tools.compiler.version)
    models = build_root.absolute() / "models"
    log = models / f"{TESTBENCH}-icarus-{key}.log"

    def make(folder: Path) -> None:
        compile_vpi = ["iverilog-vpi", "--name=hbm_device", f"-I{INPUTS_OUTPUTS.parent}", *map(str, [VPI, *CORE])]
        run_logged(tools, compile_vpi, folder, log, "iverilog-vpi")
        texts = list(map(str, sources))
        compile_verilog = [str(icarus.path), "-g2005", "-s", TESTBENCH, "-o", f"{TESTBENCH}.vvp", *texts]
        run_logged(tools, compile_verilog, folder, log, "Icarus Verilog")
        keep_only(folder, ["hbm_device.vpi", f"{TESTBENCH}.vvp"])

    made = make_once(models, f"{TESTBENCH}-icarus-{key}", make)
    return ["vvp", "-n", f"-M{made}", "-mhbm_device", str(made / f"{TESTBENCH}.vvp")]


def run(command: list[str], folder: Path, *plusargs: str) -> subprocess.CompletedProcess[str]:
    """Run it there, and return what it printed, and its exit code."""
    return subprocess.run([*command, *plusargs], cwd=folder, capture_output=True, text=True, check=False)
