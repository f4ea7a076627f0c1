"""``openppu trace``: run programs, or a product of matrices, on chips, and write what they did as a trace."""

import argparse
import re
from pathlib import Path

from openppu.chip.chip import queues_of
from openppu.command.instructions import instructions
from openppu.config import FORMATS as FORMAT_NAMES
from openppu.config import ChipConfig
from openppu.formats.spec import FORMATS
from openppu.link.topology import pair

from openppu_sim.cli import apart_from
from openppu_sim.device.backend import CommandError
from openppu_sim.device.device import Cluster, Device
from openppu_sim.device.watched import Watched
from openppu_sim.errors import SimulationError, UserError
from openppu_sim.kernels.matmul import MatmulJob, Operand, matmul_programs
from openppu_sim.program.files import read_text
from openppu_sim.program.sections import Sections, parse_sections
from openppu_sim.progress import step
from openppu_sim.report.cycles import print_cycles
from openppu_sim.report.json_report import writable
from openppu_sim.report.trace import write_trace

BACKENDS = ("model", "rtl")
MOST_CHIPS = 2
MATRICES = 0x10_0000
"""From one matrix of a product to the next in memory, at least."""

DESCRIPTION = """\
Run programs on chips and write a trace of the run for https://ui.perfetto.dev or chrome://tracing (JSON of the
trace-event format): the commands of every queue, what queues wait for, what engines' cycles go to, semaphores, memory
and link. A table says where all cycles went.

PROGRAM is a text: a line [QUEUE], or [chip1.QUEUE], says whose the commands are that follow it, one a line, as
docs/command-processor.md describes them. Memory is zero at the beginning. Instead of it, --matmul traces a product of
matrices from memory to memory."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add the parser of ``trace``."""
    parser = subparsers.add_parser(
        "trace",
        help="run programs on whole chips, and write a trace for Perfetto",
        description=DESCRIPTION,
        epilog="exit codes: 0 done, 1 a command failed, or the programs did not end, 2 bad input or a missing tool",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(config="tiny")
    parser.add_argument("program", type=Path, nargs="?", metavar="PROGRAM", help="programs of queues as text")
    parser.add_argument("--matmul", metavar="MxKxN", help="a product of matrices of such sizes")
    parser.add_argument("--format", choices=FORMAT_NAMES, default="int8", help="of its operands (default: %(default)s)")
    parser.add_argument(
        "--backend", choices=BACKENDS, default="model", help="the cycle model, or the RTL (default: %(default)s)"
    )
    parser.add_argument("--limit", type=int, default=10_000_000, metavar="CYCLES", help="default: %(default)s")
    parser.add_argument("-o", "--output", type=Path, default=Path("trace.json"), help="default: %(default)s")
    return parser


def run(args: argparse.Namespace) -> int:
    """Run the programs and write the trace."""
    chip: ChipConfig = args.chip
    if (args.program is None) == (args.matmul is None):
        raise UserError("trace: give a program or --matmul, one of them")
    if args.limit < 1:
        raise UserError(f"--limit {args.limit}: give at least 1")
    sections = _product(chip, args.matmul, args.format) if args.matmul else _programs(chip, args.program)
    chips = 1 + max((number for number, _ in sections), default=0)
    if chips > MOST_CHIPS or (chips > 1 and not chip.link.ports):
        raise UserError(f"chip {chips - 1}: give chip 0{' or 1' if chip.link.ports else '; this one has no link'}")
    apart_from(args, {"PROGRAM": args.program})
    writable(args.output)
    devices: Cluster | Device
    if chips > 1:
        devices = Cluster(chip, pair(), args.backend, build_root=args.build_dir)
        watched = Watched(devices.devices)
    else:
        devices = Device(chip, args.backend, build_root=args.build_dir)
        watched = Watched([devices])
    with devices:
        failed = ""
        for (number, queue), program in sections.items():
            watched.submit(number, queue, program)
        with step(f"running {args.matmul or args.program} on the {args.backend}, {args.limit:,} cycles at most"):
            try:
                devices.wait(args.limit)
            except (CommandError, SimulationError) as error:
                failed = str(error)
        runs = watched.finish()
    ran = [each.record for chip_run in runs for each in chip_run.ran]
    about = {"config": chip.name, "backend": args.backend, "clock_mhz": chip.clock_mhz}
    events = write_trace(args.output, runs, chip.clock_mhz, about)
    cycles = max(record.ended for record in ran) - min(record.begun for record in ran) if ran else 0
    print(f"{chip.name}, {args.backend}: {len(ran)} commands in {cycles:,} cycles")
    if any(len(chip_run.ran) == watched.most for chip_run in runs):
        print(f"Of each chip, only the last {watched.most:,} commands are kept.")
    print(f"Wrote {args.output}: {events:,} events")
    if cycles:
        print_cycles([chip_run.cycles for chip_run in runs], cycles)
    if failed:
        raise SimulationError(failed)
    return 0


def _programs(chip: ChipConfig, path: Path) -> Sections:
    text = read_text(path)
    try:
        return parse_sections(text, instructions(), [name for name, _ in queues_of(chip)])
    except UserError as error:
        raise UserError(f"{path}, {error}") from None


def _product(chip: ChipConfig, sizes: str, name: str) -> Sections:
    found = re.fullmatch(r"(\d+)x(\d+)x(\d+)", sizes)
    if not found:
        raise UserError(f"--matmul {sizes}: give three sizes, such as 64x64x64")
    m, k, n = map(int, found.groups())
    size = FORMATS[name].bits // 8
    step = max(MATRICES, -(-max(m * k * size, k * n * size, 4 * m * n) // MATRICES) * MATRICES)
    job = MatmulJob(
        m=m,
        n=n,
        k=k,
        format=name,
        a=Operand(address=0, stride=k * size),
        b=Operand(address=step, stride=n * size),
        d=Operand(address=2 * step, stride=4 * n),
    )
    return {(0, queue): tuple(program) for queue, program in matmul_programs(chip, job).items()}
