"""``openppu link ACTION``: each module of this package is an action, and is found by being here.

So is each entry point of the group ``openppu.link``: the actions that run the testbenches, which nothing here imports.
An action's module gives ``add_parser(subparsers)`` and ``run(args)``, as a command's does (`openppu_sim.commands`). Its
name is the module's, with - for _ (``train_trace`` is ``openppu link train-trace``).
"""

import argparse
import importlib
import importlib.metadata
import pkgutil
from pathlib import Path

ENTRY_POINTS = "openppu.link"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add the parser of ``link`` and those of its actions."""
    parser = subparsers.add_parser(
        "link",
        help="the inter-chip link: its rates, and what it does",
        description="The inter-chip link. `openppu link ACTION --help` says what an action takes.",
    )
    parser.set_defaults(config="ppu810e")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    found = {
        module.name: importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)
    }
    found |= {entry.name: entry.load() for entry in importlib.metadata.entry_points(group=ENTRY_POINTS)}
    for _, action in sorted(found.items()):
        own = action.add_parser(actions)
        _common_options(own)
        own.set_defaults(act=action.run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Do the action."""
    code: int = args.act(args)
    return code


def _common_options(parser: argparse.ArgumentParser) -> None:
    """The options that ``link`` has, behind the action, too; what is not given here stays as given there.

    What ``--set`` gives in both places counts, the later one last: so it has a name of its own here.
    """
    group = parser.add_argument_group("chip and build, as before the action")
    group.add_argument("--config", default=argparse.SUPPRESS, metavar="NAME|FILE", help="the chip")
    group.add_argument(
        "--set", dest="more_overrides", action="append", default=[], metavar="KEY=VALUE", help="one value"
    )
    group.add_argument("--build-dir", type=Path, default=argparse.SUPPRESS, metavar="DIR", help="generated files")
