"""The subcommands of ``openppu``: each module of this package is one, and is found by being here.

A module ``<name>`` gives ``add_parser(subparsers)``, which adds the parser of ``<name>`` and returns it, and
``run(args)``, which does the work and returns the exit code. ``args.chip`` is the configuration, read and checked;
``args.build_dir`` is the folder for generated files.
"""
