"""The ``openppu`` command: options that every subcommand has, and errors as one line."""

import argparse
import errno
import importlib
import importlib.metadata
import io
import os
import pkgutil
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from openppu.config import ConfigError, load, presets

from openppu_sim import commands
from openppu_sim.errors import SimulationError, UserError

EPILOG = """\
exit codes: 0 done, 1 the simulation failed, 2 bad input or a missing tool, 130 interrupted

examples:
  openppu info --config ppu810e
  openppu info --config demo --set tile.rows=16 --set tile.columns=16"""

OUTPUTS = ("output", "json", "picture", "timeline")
"""Options that name a file to write, of all commands."""

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Print the complaint and leave with exit code 2."""
        self.exit(2, f"{self.prog}: error: {message}; see {self.prog} --help\n")


def common_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that every command has: ``--config``, ``--set`` and ``--build-dir``.

    A command for chips of another kind than demo names one by ``parser.set_defaults(config=...)``.
    """
    group = parser.add_argument_group("chip and build")
    chip_options(group, default=parser.get_default("config") or "demo")
    group.add_argument(
        "--build-dir",
        type=Path,
        default=Path("build"),
        metavar="DIR",
        help="folder for generated files (default: build)",
    )


def chip_options(group: "argparse._ActionsContainer", *, default: str = "demo") -> None:
    """Add ``--config`` and ``--set``, from which `openppu.config.load` makes the chip."""
    group.add_argument(
        "--config",
        default=default,
        metavar="NAME|FILE",
        help=f"the chip: a TOML file or one of {', '.join(presets())} (default: {default})",
    )
    group.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one value, such as tile.rows=16; may be repeated",
    )


def parser() -> Parser:
    """The parser of the whole command, with every module of ``openppu_sim.commands``."""
    top = Parser(
        prog="openppu",
        description="Run, predict and emit an open AI-accelerator chip.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"openppu {importlib.metadata.version('openppu')}")
    subparsers = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in sorted(pkgutil.iter_modules(commands.__path__), key=lambda module: module.name):
        command = importlib.import_module(f"{commands.__name__}.{module.name}")
        subparser = command.add_parser(subparsers)
        common_options(subparser)
        subparser.set_defaults(run=command.run)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``openppu`` with the arguments, or those of the process, and return the exit code."""
    return guarded(lambda: _run(parser().parse_args(arguments)))


def guarded(work: Callable[[], int]) -> int:
    """Run a command's work; turn what the user can mend into one line on standard error and an exit code."""
    # Amaranth's, of hardware that was begun and then refused or interrupted.
    warnings.filterwarnings("ignore", message=".* created but never used")
    sys.stdout = sys.stdout or io.StringIO()  # who closed them wants no words
    sys.stderr = sys.stderr or io.StringIO()
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal without the character shows its number
    try:
        code = work()
        sys.stdout.flush()
        return code
    except (UserError, ConfigError) as error:
        print(f"openppu: error: {error}", file=sys.stderr)
        return 2
    except SimulationError as error:
        print(f"openppu: simulation failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("openppu: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        _drop_output()
        return 1
    except OSError as error:
        if error.errno in NO_ROOM:
            _drop_output()
            print(f"openppu: error: cannot write the output: {error.strerror}; make room", file=sys.stderr)
        elif error.filename is None and "temporary" in str(error.strerror):
            print(f"openppu: error: {error.strerror}; name one by TMPDIR", file=sys.stderr)
        else:
            raise
        return 2


def _drop_output() -> None:
    """Send what is still to be printed nowhere: the process would else complain of it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def apart_from(args: argparse.Namespace, inputs: Mapping[str, Path | None]) -> None:
    """Raise UserError if what a command writes is one of the files that it reads."""
    for name in OUTPUTS:
        path = getattr(args, name, None)
        for what, given in inputs.items():
            if path is not None and given is not None and given.is_file() and path.resolve() == given.resolve():
                raise UserError(f"--{name} {path}: the same file as {what}; choose another")


def _run(args: argparse.Namespace) -> int:
    args.chip = load(args.config, [*args.overrides, *getattr(args, "more_overrides", [])])
    apart_from(args, {"--config": Path(args.config), "--calibration": getattr(args, "calibration", None)})
    code: int = args.run(args)
    return code


if __name__ == "__main__":
    sys.exit(main())
