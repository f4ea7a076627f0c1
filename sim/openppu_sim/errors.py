"""The exceptions that end a command with a message instead of a traceback."""


class UserError(Exception):
    """Something the user can mend: one line that says what was given, what is allowed and what to do. Exit code 2."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class SimulationError(Exception):
    """A simulation ran and failed, or did not finish: the message says how to repeat it. Exit code 1."""
