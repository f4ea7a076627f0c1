"""The exceptions that end a command with a message instead of a traceback."""


class UserError(Exception):
    """Something the user can mend: one line that says what was given, what is allowed and what to do. Exit code 2."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


def require(name: str, value: float, least: float, most: float, unit: str = "") -> None:
    """Raise UserError unless a number is within its limits; NaN never is."""
    if not least <= value <= most:
        behind = f" {unit}" if unit else ""
        raise UserError(f"{name} {_shown(value)}{behind}: give {_shown(least)} to {_shown(most)}")


def _shown(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


class SimulationError(Exception):
    """A simulation ran and failed, or did not finish: the message says how to repeat it. Exit code 1."""
