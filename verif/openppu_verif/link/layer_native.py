"""Builds and runs the native bench of two link layers: every flit once, in order, as it was sent; and the goodput."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import amaranth
import openppu
from openppu.config import load
from openppu.link.config import FLIT_BYTES, LinkConfig
from openppu.link.link_counters import COUNTS
from openppu.verilog import emit
from openppu_sim.simulator.model_cache import content_key, file_contents, make_once
from openppu_sim.simulator.verilator import build

from openppu_verif.link.layer_ports import LayerPorts

TOP = "link_layer"
MAIN = Path(__file__).with_name("layer_bench.cpp")


@dataclass(frozen=True)
class Outcome:
    """What a run printed; of each side a pair, the first side first.

    Parameters
    ----------
    values : dict of str to int
        The bench's own counts, such as ``sent_0``.
    counts : pair of dict
        The link layers' counters.
    complaint : str
        What went wrong; empty if nothing did.
    """

    values: dict[str, int]
    counts: tuple[dict[str, int], dict[str, int]]
    complaint: str

    def total(self, name: str) -> int:
        """Of both sides."""
        return self.values[f"{name}_0"] + self.values[f"{name}_1"]


def build_layers(config: LinkConfig, build_root: Path) -> Path:
    """The executable of the bench, from an earlier build if there is one.

    Raises
    ------
    UserError
        If a tool is missing or rejects its input.
    """
    sources = sorted(Path(openppu.__file__).parent.rglob("*.py"))
    key = content_key(*file_contents(sources), amaranth.__version__, repr(config))

    def make(folder: Path) -> None:
        emit(LayerPorts(config), top=TOP, config=load("tiny")).write(folder / f"{TOP}.v")

    verilog = make_once(build_root / "models", f"{TOP}-verilog-{key}", make) / f"{TOP}.v"
    defines = {
        "BEAT_BYTES": config.beat_bytes,
        "PAYLOAD_BYTES": config.payload_bytes,
        "CHECKED_BYTES": FLIT_BYTES if config.fec else config.crc_place + config.crc_bits // 8,
        "COUNTS": len(COUNTS),
    }
    return build(
        [verilog], TOP, build_root, cpp_main=MAIN, defines={name: str(value) for name, value in defines.items()}
    )


def run(executable: Path, **options: float) -> Outcome:
    """Run the bench.

    Parameters
    ----------
    executable : Path
        From `build_layers`.
    options : numbers
        ``clocks`` in which flits are sent; ``warmup``: those before the bytes count; ``seed``; ``delay`` in clocks;
        ``ber``, in bursts of ``burst`` neighbouring bits; ``drop``, ``double``, ``stop``, ``hold``: probabilities for
        each beat or clock; ``rate``: that a flit is offered, ``want``: that a channel is wanted; ``full``: flits are
        full; ``channels`` that send; ``reset``: both sides are reset each time after so many clocks.
    """
    words = [str(executable), *(f"{name}={value}" for name, value in options.items())]
    finished = subprocess.run(words, capture_output=True, text=True, check=False)
    if finished.returncode not in (0, 1):
        raise RuntimeError(finished.stderr)
    lines = dict(line.split("=", 1) for line in finished.stdout.splitlines())
    complaint = lines.pop("complaint_0", "") or lines.pop("complaint_1", "")
    lines.pop("complaint_1", "")
    values = {name: int(value) for name, value in lines.items()}
    if not complaint and finished.returncode:
        complaint = f"{values['undelivered']} flits did not arrive"
    counts = tuple(
        {name: values.pop(f"count_{side}_{place}") for place, name in enumerate(COUNTS)} for side in range(2)
    )
    return Outcome(values, (counts[0], counts[1]), complaint)
